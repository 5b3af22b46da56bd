"""The asyncio client for Canopy's audit events."""

from canopy_async._util import interrupts as _interrupts

if _interrupts.is_command():
    _interrupts.end_at_once()

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from canopy_async import errors as _errors
from canopy_async._version import __version__ as __version__
from canopy_async.errors import *

if TYPE_CHECKING:
    from canopy_async._account.account_run import AccountRun
    from canopy_async._account.account_stream import AccountStream
    from canopy_async._api.conversion import converter
    from canopy_async._fanout.fanout import FanOut
    from canopy_async._fanout.results import (
        FanOutProgress,
        IdentityBatch,
        IdentityEvent,
        IdentityOutcome,
    )
    from canopy_async._follow import (
        AccountFollower,
        Batch,
        CheckpointStore,
        FollowCheckpoint,
        Follower,
        FollowOutcome,
        Gap,
    )
    from canopy_async._read.run import Run
    from canopy_async._read.stream import EventStream, Stream
    from canopy_async._transport.session_stats import SessionStats
    from canopy_async.auth import RefreshingToken, StaticToken, TokenProvider
    from canopy_async.checkpoint import Checkpoint
    from canopy_async.hooks import (
        CooldownStarted,
        Hook,
        HookRecord,
        LoggingHook,
        PageReceived,
        RequestFinished,
        RetryScheduled,
    )
    from canopy_async.models import (
        ActorType,
        AuditEvent,
        Category,
        EventDetail,
        Identity,
        Outcome,
        Page,
        PageMeta,
        Severity,
    )
    from canopy_async.report import AccountReport, Progress, Proof, ReadReport
    from canopy_async.retry import RetryPolicy
    from canopy_async.session import CanopySession

__all__ = [
    "AccountFollower",
    "AccountReport",
    "AccountRun",
    "AccountStream",
    "ActorType",
    "AuditEvent",
    "Batch",
    "CanopySession",
    "Category",
    "Checkpoint",
    "CheckpointStore",
    "CooldownStarted",
    "EventDetail",
    "EventStream",
    "FanOut",
    "FanOutProgress",
    "FollowCheckpoint",
    "FollowOutcome",
    "Follower",
    "Gap",
    "Hook",
    "HookRecord",
    "Identity",
    "IdentityBatch",
    "IdentityEvent",
    "IdentityOutcome",
    "LoggingHook",
    "Outcome",
    "Page",
    "PageMeta",
    "PageReceived",
    "Progress",
    "Proof",
    "ReadReport",
    "RefreshingToken",
    "RequestFinished",
    "RetryPolicy",
    "RetryScheduled",
    "Run",
    "SessionStats",
    "Severity",
    "StaticToken",
    "Stream",
    "TokenProvider",
    "converter",
]
__all__ += _errors.__all__

_LATE: Final = {
    "AccountFollower": "_follow",
    "AccountReport": "report",
    "AccountRun": "_account.account_run",
    "AccountStream": "_account.account_stream",
    "ActorType": "models",
    "AuditEvent": "models",
    "Batch": "_follow",
    "CanopySession": "session",
    "Category": "models",
    "Checkpoint": "checkpoint",
    "CheckpointStore": "_follow",
    "CooldownStarted": "hooks",
    "EventDetail": "models",
    "EventStream": "_read.stream",
    "FanOut": "_fanout.fanout",
    "FanOutProgress": "_fanout.results",
    "FollowCheckpoint": "_follow",
    "FollowOutcome": "_follow",
    "Follower": "_follow",
    "Gap": "_follow",
    "Hook": "hooks",
    "HookRecord": "hooks",
    "Identity": "models",
    "IdentityBatch": "_fanout.results",
    "IdentityEvent": "_fanout.results",
    "IdentityOutcome": "_fanout.results",
    "LoggingHook": "hooks",
    "Outcome": "models",
    "Page": "models",
    "PageMeta": "models",
    "PageReceived": "hooks",
    "Progress": "report",
    "Proof": "report",
    "ReadReport": "report",
    "RefreshingToken": "auth",
    "RequestFinished": "hooks",
    "RetryPolicy": "retry",
    "RetryScheduled": "hooks",
    "Run": "_read.run",
    "SessionStats": "_transport.session_stats",
    "Severity": "models",
    "StaticToken": "auth",
    "Stream": "_read.stream",
    "TokenProvider": "auth",
    "converter": "_api.conversion",
}
"""Where names come from that cost time to import. The plugin of pytest is in here, so
that each run of pytest imports this package where it is installed."""


def __getattr__(name: str) -> Any:
    """Load a name on its first use."""
    module = _LATE.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"canopy_async.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Name what is public, loaded or not."""
    return [*globals(), *_LATE]
