"""The account's log as the source of an export, in the place of identities."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from canopy_async._tables.columns import EventsOfOne
from canopy_async.export.account_reading import AccountReading
from canopy_async.export.log_reader import LogReader, Reading
from canopy_async.export.manifest_records import Asked, Header, Listed
from canopy_async.export.source import hash_of
from canopy_async.models import AuditEvent

__all__ = ["AccountLogReader", "AccountSource", "filters_of"]

_ACTION: Final = "action"


class AccountSource:
    """A source with one log, that of the account, for an export.

    Args:
        key: The name of the log in the manifest.

    Attributes:
        asked: The record that the export is asked for this log.
        seen: The name of the log, once it was yielded.
        total: The number of logs, which is 1.
        is_whole_list: Always False, as there is no list that the log could vanish from.
    """

    def __init__(self, key: str) -> None:
        self._key: Final = key
        self.asked: Final = Asked(kind="log")
        self.seen: Final[set[str]] = set()
        self.total: Final = 1
        self.is_whole_list: Final = False

    async def ids(self) -> AsyncGenerator[str]:
        """Yield the name of the log."""
        self.seen.add(self._key)
        yield self._key

    def listed(self, at: datetime) -> Listed | None:
        """Return the record of the log, or None until its name was yielded.

        Args:
            at: The time of the record.
        """
        if not self.seen:
            return None
        return Listed(
            at=at, identities=len(self.seen), sha256=hash_of(self.seen), complete=True
        )


class AccountLogReader(LogReader):
    """Reads an account's log from where an earlier run stopped; commits new events."""

    def _open(self, wanted: AsyncGenerator[str]) -> Reading:
        header = self._header
        stream = self._session.account_events(
            since=header.since, until=header.until, q=header.q, **_filters_in(header)
        )
        return AccountReading(
            stream,
            wanted,
            since=self._since,
            until=header.until,
            server_time=lambda: self._session.server_time,
            scope=header.scope,
            on_end=self._on_log_end,
        )

    def _page(self, identity_id: str, events: Sequence[AuditEvent]) -> EventsOfOne:  # noqa: ARG002 - a row of this log belongs to no identity
        return None, events


def filters_of(named: Mapping[str, Any]) -> Mapping[str, str] | None:
    """Return the filters of a query in the form of a manifest; None if there are none.

    Args:
        named: The fields of the query by name; fields that are None are left out.
    """
    found = {name: str(value) for name, value in named.items() if value is not None}
    return dict(sorted(found.items())) or None


def _filters_in(header: Header) -> dict[str, Any]:
    """Return the filters of a manifest as keyword arguments of `account_events`."""
    named: dict[str, Any] = dict(header.filters or {})
    if _ACTION in named:
        named[_ACTION] = tuple(named[_ACTION].split(","))
    return named
