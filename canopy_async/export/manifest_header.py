"""The header of a manifest: which export it is of, and whether that one is wanted."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

import attrs
import msgspec

from canopy_async._account.account_log import account_key
from canopy_async._read.events_query import EventsQuery
from canopy_async._util.instants import text_of
from canopy_async._util.public import publish
from canopy_async.checkpoint import scope_of
from canopy_async.errors import ExportError
from canopy_async.models import AwareDatetime

__all__ = ["VERSION", "Header", "Source", "refuse_other", "scope_of_export"]

VERSION: Final = 2

Source: TypeAlias = Literal["identities", "account-log"]

_OF: Final = {"identities": "identities", "account-log": "the account's own log"}


@attrs.frozen(kw_only=True)
class Header:
    """The first line of a manifest: what the files of an export hold.

    Attributes:
        kind: Always ``header``.
        n: The number of its line, 1.
        prev: The sha256 of the line before it: empty, as there is none.
        version: The version of the manifest's format.
        account: The account's slug.
        base_url: Where the API is.
        format: The format of the data files.
        order: The order that events of one identity were asked for in.
        since: The earliest ``created_at`` that is wanted, inclusive, or None.
        until: The first ``created_at`` that is not wanted. None makes the export
            an open one: each run adds what has come since the run before.
        q: The search term, or None.
        source: Where the events were read: ``identities``, the logs of identities, or
            ``account-log``, the log of the account. Rows of this one have no
            ``identity_id``.
        filters: What else the events of an account's log have to match, by the name
            of the filter; several actions are divided by commas. None for all events.
        scope: A hash of all of these. A run only goes on with an export of the
            same scope.
        created_at: When the export began, by the clock of the machine.
        library: The name and version of the library that wrote it.
    """

    kind: Literal["header"] = "header"
    n: int = 1
    prev: str = ""
    version: int = VERSION
    account: str
    base_url: str
    format: str
    order: Literal["asc"] = "asc"
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    q: str | None = None
    source: Source = "identities"
    filters: Mapping[str, str] | None = None
    scope: str
    created_at: AwareDatetime
    library: str

    @property
    def query(self) -> EventsQuery:
        """The query that is read of each identity."""
        return EventsQuery(
            q=self.q, order=self.order, since=self.since, until=self.until
        )

    @property
    def log_key(self) -> str | None:
        """The id of an account's log in this manifest, None of other exports."""
        return account_key(self.account) if self.source == "account-log" else None


def scope_of_export(header: Header) -> str:
    """Return the hash of what an export is of, whatever ``header.scope`` is."""
    named: dict[str, Any] = {
        "account": header.account,
        "base_url": header.base_url,
        "format": header.format,
        "order": header.order,
        "q": header.q,
        "since": None if header.since is None else text_of(header.since),
        "until": None if header.until is None else text_of(header.until),
        "v": VERSION,
    }
    if header.source != "identities":  # whose scope has always been that of the others
        named |= {"source": header.source, "filters": header.filters}
    return scope_of(msgspec.json.encode(named, order="sorted").decode())


def refuse_other(where: str, there: Header, wanted: Header) -> None:
    """Raise unless an export that was begun is the one that is wanted.

    Raises:
        ExportError: It is another one.
    """
    if there.source != wanted.source:
        raise ExportError(
            f"{where} holds an export of {_OF[there.source]}, and {_OF[wanted.source]}"
            " can't be added to it: use another directory"
        )
    for name in ("account", "base_url", "format", "q", "since", "until", "filters"):
        found, asked = getattr(there, name), getattr(wanted, name)
        if found != asked:
            raise ExportError(
                f"{where} holds another export: its {name} is {_shown(found)}, not"
                f" {_shown(asked)}"
            )
    if there.version == wanted.version and there.scope != wanted.scope:
        raise ExportError(f"{where} holds another export")


def _shown(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else repr(value)


publish("canopy_async.export", Header)
