"""The contestants: this library, its upper bounds, and what else users read with.

Each is a context manager that takes a `Log` and yields what is then iterated
by the same loop for all: its events one by one, or its pages, or a list.
"""

from typing import Literal

import attrs

__all__ = ["CONTESTANTS", "Contestant", "Log"]


@attrs.frozen(kw_only=True)
class Log:
    """What a contestant is to read.

    Attributes:
        base_url: Where the server is.
        account: The account, which says how far away it is.
        identity: Whose log.
        events: How many events there are, for whoever checks that.
        in_flight: Requests in flight at most, for those who can have several.
        order: ``asc`` or ``desc``.
    """

    base_url: str
    account: str
    identity: str
    events: int
    in_flight: int = 8
    order: str = "asc"

    @property
    def url(self) -> str:
        """The endpoint's URL, without a query."""
        path = f"portal/v1/accounts/{self.account}/identities/{self.identity}/audit"
        return f"{self.base_url}/{path}"


TAKE = 100
TOKEN = "token-of-the-benchmark"  # noqa: S105 - made up


@attrs.frozen(kw_only=True)
class Contestant:
    """One way to read a log.

    Attributes:
        title: What it is called in tables.
        made_by: The module here and its function.
        gives: What the loop around it gets: events one by one, pages of events,
            or one list of all, which is kept.
        is_async: Whether it is read by ``async for``.
        needs: The modules that are not this library's own requirements.
        typed: Whether its events are typed rows.
        proven: Whether it proves that it has all of them.
    """

    title: str
    made_by: str
    gives: Literal["events", "pages", "list"] = "events"
    is_async: bool = True
    needs: tuple[str, ...] = ()
    typed: bool = True
    proven: bool = False


CONTESTANTS = {
    # Streaming: each event is let go of before the next page.
    "proven": Contestant(title="canopy_async", made_by="ours:proven", proven=True),
    "plain": Contestant(title="canopy_async, lossless=False", made_by="ours:plain"),
    "bare": Contestant(
        title="bare aiohttp, same decoder", made_by="bare:pages", gives="pages"
    ),
    "bare-msgspec": Contestant(
        title="bare aiohttp, msgspec alone", made_by="bare:by_msgspec", gives="pages"
    ),
    "ceiling": Contestant(
        title="raw sockets, same decoder", made_by="raw:pages", gives="pages"
    ),
    "bytes": Contestant(
        title="raw sockets, nothing decoded",
        made_by="raw:bodies",
        gives="pages",
        typed=False,
    ),
    "requests": Contestant(
        title="requests, dicts",
        made_by="with_requests:dicts",
        is_async=False,
        needs=("requests",),
        typed=False,
    ),
    "aiohttp": Contestant(
        title="aiohttp, dicts", made_by="with_aiohttp:dicts", typed=False
    ),
    "httpx": Contestant(
        title="httpx, pydantic",
        made_by="with_httpx:models",
        needs=("httpx", "pydantic"),
    ),
    "generated": Contestant(
        title="openapi-python-client",
        made_by="generated:models",
        needs=("openapi_python_client",),
    ),
    # Keeping: all events are in one list in the end.
    "proven-list": Contestant(
        title="canopy_async, collect()",
        made_by="ours:proven_list",
        gives="list",
        proven=True,
    ),
    "gathered-dicts": Contestant(
        title="aiohttp, gather, dicts",
        made_by="with_aiohttp:gathered_dicts",
        gives="list",
        typed=False,
    ),
    "gathered-cattrs": Contestant(
        title="aiohttp, gather, cattrs",
        made_by="with_aiohttp:gathered_rows",
        gives="list",
    ),
    "gathered-httpx": Contestant(
        title="httpx, gather, pydantic",
        made_by="with_httpx:gathered",
        gives="list",
        needs=("httpx", "pydantic"),
    ),
    "gathered-generated": Contestant(
        title="openapi-python-client, gather",
        made_by="generated:gathered",
        gives="list",
        needs=("openapi_python_client",),
    ),
}
