"""A real local Canopy to test against, and the pytest plugin that starts it.

Example:
    ```python
    from canopy_async.testing import Faults, LocalCanopy

    async with LocalCanopy(faults=Faults(latency=0.01, tie_order="shuffled")) as server:
        server.seed_events("idn_1", 5_000)
        ...  # point a client at server.base_url, with server.token
        assert seen == server.event_ids("idn_1", order="asc")
    ```
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from canopy_async.testing.account_rules import LogRules
    from canopy_async.testing.event_maker import make_event
    from canopy_async.testing.faults import Failure, Faults
    from canopy_async.testing.request_log import RecordedRequest
    from canopy_async.testing.server import LocalCanopy

__all__ = [
    "Failure",
    "Faults",
    "LocalCanopy",
    "LogRules",
    "RecordedRequest",
    "make_event",
]

_HOMES = {
    "Failure": "canopy_async.testing.faults",
    "Faults": "canopy_async.testing.faults",
    "LocalCanopy": "canopy_async.testing.server",
    "LogRules": "canopy_async.testing.account_rules",
    "RecordedRequest": "canopy_async.testing.request_log",
    "make_event": "canopy_async.testing.event_maker",
}


def __getattr__(name: str) -> object:
    # Every pytest run of every user imports this package for its plugin, so
    # the server and aiohttp are imported by the first one who asks for them.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
