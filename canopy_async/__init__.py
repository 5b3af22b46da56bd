"""The asyncio client for Canopy's audit events."""

from typing import TYPE_CHECKING, Any

from canopy_async.auth import RefreshingToken, StaticToken, TokenProvider
from canopy_async.checkpoint import Checkpoint
from canopy_async.errors import (
    ApiError,
    BadRequestError,
    CanopyError,
    CheckpointError,
    DriftTooFastError,
    FanOutError,
    ForbiddenError,
    IncompleteReadError,
    NotFoundError,
    ProtocolError,
    RateLimitedError,
    RequestBudgetError,
    RequestTimeoutError,
    ServerError,
    SessionClosedError,
    TransportError,
    UnauthorizedError,
    UnorderedListError,
    UnprovenTiesError,
)
from canopy_async.fanout import (
    FanOut,
    FanOutProgress,
    IdentityBatch,
    IdentityEvent,
)
from canopy_async.follow import Follower
from canopy_async.gate import SessionStats
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
    Identity,
    Outcome,
    Page,
    PageMeta,
    Severity,
)
from canopy_async.report import Progress, Proof, ReadReport
from canopy_async.retry import RetryPolicy
from canopy_async.session import CanopySession
from canopy_async.store import CheckpointStore
from canopy_async.stream import EventStream, Run, Stream
from canopy_async.watermark import Batch, FollowCheckpoint, Gap

if TYPE_CHECKING:
    from cattrs import Converter

    converter: Converter
    __version__: str

__all__ = [
    "ActorType",
    "ApiError",
    "AuditEvent",
    "BadRequestError",
    "Batch",
    "CanopyError",
    "CanopySession",
    "Category",
    "Checkpoint",
    "CheckpointError",
    "CheckpointStore",
    "CooldownStarted",
    "DriftTooFastError",
    "EventStream",
    "FanOut",
    "FanOutError",
    "FanOutProgress",
    "FollowCheckpoint",
    "Follower",
    "ForbiddenError",
    "Gap",
    "Hook",
    "HookRecord",
    "Identity",
    "IdentityBatch",
    "IdentityEvent",
    "IncompleteReadError",
    "LoggingHook",
    "NotFoundError",
    "Outcome",
    "Page",
    "PageMeta",
    "PageReceived",
    "Progress",
    "Proof",
    "ProtocolError",
    "RateLimitedError",
    "ReadReport",
    "RefreshingToken",
    "RequestBudgetError",
    "RequestFinished",
    "RequestTimeoutError",
    "RetryPolicy",
    "RetryScheduled",
    "Run",
    "ServerError",
    "SessionClosedError",
    "SessionStats",
    "Severity",
    "StaticToken",
    "Stream",
    "TokenProvider",
    "TransportError",
    "UnauthorizedError",
    "UnorderedListError",
    "UnprovenTiesError",
    "converter",
]


def __getattr__(name: str) -> Any:
    """Load on first use what costs time to import and few need."""
    if name == "converter":
        from canopy_async.conversion import converter  # noqa: PLC0415

        return converter
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415

        return version("canopy-async")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
