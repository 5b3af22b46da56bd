"""The log of the account: its query and its single events, on a local server."""

import base64
import binascii
import json
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs
from aiohttp import web

from canopy_async._util.instants import moved
from canopy_async.models import Category, Outcome, Severity
from canopy_async.testing.account_rules import LogRules
from canopy_async.testing.api_instants import Clock, as_sort_key, as_utc
from canopy_async.testing.dice import Dice
from canopy_async.testing.refusal import RefusedError
from canopy_async.testing.request_log import parse_int
from canopy_async.testing.scenario import Scenario
from canopy_async.testing.store import UNION, Entry, LogView, Row

_DEFAULT_LIMIT = 50
_DEFAULT_DAYS = 30
_MOST_BY_CORRELATION = 50
_MOST_BY_ACTOR = 10
_AROUND = timedelta(hours=1)
_TICK = timedelta(microseconds=1)

_FILTERS = (
    "category",
    "severity",
    "outcome",
    "actor_id",
    "actor_type",
    "resource_type",
    "resource_id",
    "correlation_id",
    "application_id",
    "environment_id",
)
_CHOICES = {"category": Category, "severity": Severity, "outcome": Outcome}
_PARAMETERS = frozenset((*_FILTERS, "from", "to", "action", "q", "cursor", "limit"))
_QUERY_TRACE = {
    "action": "audit.query.executed",
    "category": "audit",
    "resource_type": None,
    "resource_id": None,
    "metadata": {"surface": "api"},
}
_VIEW_TRACE = _QUERY_TRACE | {"action": "audit.row.viewed"}


@attrs.frozen(kw_only=True)
class LogRequest:
    """A validated request for a page of the log."""

    low: str
    high: str
    limit: int
    cursor: str | None
    place: Entry | None
    view: LogView


class AccountPortal:
    """Answers the requests for the log of the account of a `LocalCanopy`."""

    def __init__(self, scenario: Scenario, *, dice: Dice, clock: Clock) -> None:
        self._scenario = scenario
        self._dice = dice
        self._clock = clock
        self._requests = 0

    @property
    def _rules(self) -> LogRules:
        return self._scenario.log_rules

    def check_available(self) -> None:
        """Refuses every request where the account has no such log.

        Raises:
            RefusedError: With status 404.
        """
        if not self._rules.available:
            raise RefusedError(404, "Cannot GET this path")

    def admit(self, request: web.BaseRequest) -> LogRequest:
        """Validates the parameters of a query.

        Raises:
            RefusedError: With status 400 and a detail for each bad parameter, or with
                the status of a cursor that is not known.
        """
        self._requests += 1
        query: Mapping[str, str] = request.query
        details = [
            f"property {name} should not exist"
            for name in dict.fromkeys(query)
            if name not in _PARAMETERS
        ]
        details += [
            f"{name} must not be repeated"
            for name in dict.fromkeys(query)
            if name != "action" and len(request.query.getall(name)) > 1
        ]
        limit = self._limit(query, details)
        after = self._after(query.get("cursor"))
        low, high = self._window(query, after, details)
        view = LogView(
            term=query.get("q", ""),
            actions=_split(request.query.getall("action", [])),
            fields=self._fields(query, details),
        )
        if details:
            raise RefusedError(400, "Validation failed", details=details)
        return LogRequest(
            low=as_sort_key(low),
            high=as_sort_key(high),
            limit=limit,
            cursor=query.get("cursor"),
            place=None if after is None else after[0],
            view=view,
        )

    def read(self, request: LogRequest) -> tuple[list[str], Row]:
        """Reads a page, and writes the row of the query.

        Returns:
            The rows as JSON, and the ``pagination``.
        """
        rules = self._rules
        entries = self._scenario.store.order(UNION, request.view)
        first = bisect_left(entries, (request.low, -1))
        last = bisect_right(entries, (request.high, _LAST))
        if request.place is not None:
            if rules.order == "desc":
                last = min(last, bisect_left(entries, request.place))
            else:
                first = max(first, bisect_right(entries, request.place))
        page, rest = self._page(entries, first, last, request.limit)
        cursor = self._cursor_after(request, page, rest=rest)
        if page and rest and self._dice.hits(rules.empty_rate):
            edge, step = page[0], 1 if rules.order == "desc" else -1
            cursor, page = self._cursor((edge[0], edge[1] + step), request), []
        rows = self._scenario.store.rows([number for _, number in page])
        self._trace(_QUERY_TRACE)
        return rows, {"next_cursor": cursor}

    def event(self, event_id: str) -> str:
        """Reads one event with those it belongs to, and writes the row of the view.

        Raises:
            RefusedError: With status 404 where there is none.
        """
        found = self._scenario.store.union_rows("id", event_id)
        if not found:
            raise RefusedError(404, "Audit event not found", code="audit.not_found")
        row: Row = json.loads(found[0])
        related = {
            "related_by_correlation": self._by_correlation(row),
            "related_by_actor": self._by_actor(row),
        }
        self._trace(_VIEW_TRACE)
        detail = row | related
        wrapped = {"data": detail} if self._rules.detail == "wrapped" else detail
        return json.dumps(wrapped)

    def _by_correlation(self, row: Row) -> list[Row]:
        value = row.get("correlation_id")
        if value is None:
            return []
        others = self._others(row, "correlation_id", value)
        return others[:_MOST_BY_CORRELATION]

    def _by_actor(self, row: Row) -> list[Row]:
        value = row.get("actor_id")
        if value is None:
            return []
        at = as_utc(row["created_at"])
        near = [
            other
            for other in self._others(row, "actor_id", value)
            if abs(as_utc(other["created_at"]) - at) <= _AROUND
        ]
        return near[::-1][:_MOST_BY_ACTOR]

    def _others(self, row: Row, field: str, value: str) -> list[Row]:
        rows = map(json.loads, self._scenario.store.union_rows(field, value))
        return [other for other in rows if other["id"] != row["id"]]

    def _trace(self, fields: Mapping[str, object]) -> None:
        own_rows = self._rules.own_rows
        if own_rows == "none":
            return
        self._scenario.add_account_event(hidden=own_rows == "hidden", **fields)

    def _page(
        self, entries: Sequence[Entry], first: int, last: int, limit: int
    ) -> tuple[list[Entry], bool]:
        """Picks the rows of a page, and tells whether more follow."""
        if self._rules.order == "asc":
            return list(entries[first : min(last, first + limit)]), first + limit < last
        begin = max(first, last - limit)
        return list(entries[begin:last])[::-1] if begin < last else [], begin > first

    def _cursor_after(
        self, request: LogRequest, page: list[Entry], *, rest: bool
    ) -> str | None:
        rules = self._rules
        if not rest and rules.end == "null":
            return None
        if not page:
            return request.cursor
        key, number = page[-1]
        if rules.cursor_milliseconds:
            key = f"{key[:-3]}000"
        return self._cursor((key, number), request)

    def _cursor(self, place: Entry, request: LogRequest) -> str:
        text = json.dumps([self._requests, *place, request.low, request.high])
        return base64.urlsafe_b64encode(text.encode()).decode()

    def _after(self, cursor: str | None) -> tuple[Entry, str, str] | None:
        """Reads a cursor.

        Returns:
            The place, and the window that it was made in.

        Raises:
            RefusedError: It is no cursor, or one that is not known any more.
        """
        if cursor is None:
            return None
        rules = self._rules
        try:
            text = base64.urlsafe_b64decode(cursor.encode())
            made_at, key, number, low, high = json.loads(text)
        except (ValueError, binascii.Error):
            raise RefusedError(400, "Invalid cursor") from None
        known = rules.cursor_requests
        if known is not None and self._requests - made_at > known:
            raise RefusedError(rules.dead_cursor, "The cursor has expired")
        return (key, number), low, high

    def _limit(self, query: Mapping[str, str], details: list[str]) -> int:
        rules = self._rules
        if "limit" not in query:
            return min(_DEFAULT_LIMIT, rules.most)
        limit = parse_int(query["limit"])
        if limit is None:
            details.append("limit must be an integer number")
        elif limit < 1:
            details.append("limit must not be less than 1")
        elif limit > rules.most and rules.over_most == "refused":
            details.append(f"limit must not be greater than {rules.most}")
        return min(limit or 1, rules.most)

    def _window(
        self,
        query: Mapping[str, str],
        after: tuple[Entry, str, str] | None,
        details: list[str],
    ) -> tuple[datetime, datetime]:
        rules = self._rules
        given = {name: _instant(query, name, details) for name in ("from", "to")}
        now = as_utc(self._clock())
        if after is not None and rules.default_window == "frozen":
            _, low_text, high_text = after
            low, high = as_utc(low_text), as_utc(high_text)
        else:
            high = given["to"] or now
            low = moved(high, -timedelta(days=_DEFAULT_DAYS))
        if rules.future_to == "refused" and given["to"] and given["to"] > now:
            details.append("to must not be in the future")
        low, high = given["from"] or low, given["to"] or high
        if rules.bounds_milliseconds:
            low, high = _to_milliseconds(low), _to_milliseconds(high)
        if low > high:
            details.append("from must not be later than to")
        if rules.widest_days is not None:
            widest = timedelta(days=rules.widest_days)
            if high - low > widest:
                details.append(f"from and to must be within {rules.widest_days:g} days")
        return low, high

    def _fields(
        self, query: Mapping[str, str], details: list[str]
    ) -> tuple[tuple[str, str], ...]:
        fields = tuple((name, query[name]) for name in _FILTERS if name in query)
        for name, value in fields:
            choices = _CHOICES.get(name)
            is_known = choices is None or value in choices.__members__.values()
            if not is_known and self._rules.unknown_values == "refused":
                details.append(f"{name} must be one of the known values")
        return fields


_LAST = 1 << 62


def _instant(
    query: Mapping[str, str], name: str, details: list[str]
) -> datetime | None:
    if name not in query:
        return None
    try:
        return as_utc(query[name])
    except ValueError:
        details.append(f"{name} must be a valid ISO 8601 date string")
        return None


def _to_milliseconds(moment: datetime) -> datetime:
    return moment - moment.microsecond % 1000 * _TICK


def _split(values: Sequence[Any]) -> tuple[str, ...]:
    """Reads actions, which may be repeated or divided by commas."""
    return tuple(one for value in values for one in str(value).split(",") if one)
