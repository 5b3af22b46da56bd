"""Requests to the account's log, without I/O: its endpoints and its queries."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, urlencode

import attrs

from canopy_async._api.requests import Endpoint
from canopy_async.models import AuditEvent, CursorPage, EventDetail

__all__ = [
    "MAX_LIMIT",
    "LogQuery",
    "account_log_endpoint",
    "encoded_filters",
    "event_endpoint",
]

MAX_LIMIT: Final = 200
"""The most rows that the account's log sends in a page."""

_TEMPLATE: Final = "/portal/v1/accounts/{account}/audit-log/identities"


def account_log_endpoint(account: str) -> Endpoint[AuditEvent]:
    """Return the log of an account.

    The log has a twin for API keys, ``/api/v1/audit-events``, which has no account in
    its path and shows one application only. This one takes the session's token.
    """
    return Endpoint(AuditEvent, _TEMPLATE, _path(account), envelope=CursorPage)


def event_endpoint(account: str, event_id: str) -> Endpoint[EventDetail]:
    """Return one event of the log of an account."""
    return Endpoint(
        EventDetail,
        _TEMPLATE + "/{id}",
        f"{_path(account)}/{quote(event_id, safe='')}",
    )


def _path(account: str) -> str:
    return _TEMPLATE.replace("{account}", quote(account, safe=""))


def encoded_filters(filters: Sequence[tuple[str, str]]) -> str:
    """Return filters as they are sent with each request, percent-encoded."""
    return f"&{urlencode(filters, quote_via=quote)}" if filters else ""


@attrs.frozen
class LogQuery:
    """The query of a request to the account's log: it always has the first instant.

    Attributes:
        since: The first instant, inclusive.
        until: The last instant, inclusive; None is the time that the server has when
            it answers.
        cursor: The server's cursor of the page before, None for a first page.
        filters: The other filters, as `encoded_filters` returns them.
    """

    since: datetime
    until: datetime | None
    cursor: str | None
    filters: str

    def text(self, *, page: int, take: int) -> str:
        """Return the query string of the URL of a request."""
        del page  # this log has none
        after = ""
        if self.cursor is not None:
            after = f"&cursor={quote(self.cursor, safe='')}"
        to = "" if self.until is None else f"&to={_text_of(self.until)}"
        return f"from={_text_of(self.since)}{to}&limit={take}{self.filters}{after}"


@attrs.frozen
class NoQuery:
    """An empty query: the path says it all."""

    def text(self, *, page: int, take: int) -> str:
        """Return the query string of the URL of a request, which is empty."""
        del page, take  # one event has none
        return ""


def _text_of(instant: datetime) -> str:
    text = instant.astimezone(UTC).isoformat(timespec="milliseconds")
    return quote(text.replace("+00:00", "Z"), safe="")
