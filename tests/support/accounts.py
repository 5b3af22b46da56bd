"""A simulated server of an account's log, in virtual time and without HTTP."""

import json
from bisect import bisect_left, bisect_right
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import attrs

from support.samples import event_row
from support.scripted import answer
from support.virtual import now

START = datetime(2026, 3, 1, tzinfo=UTC)
MS = timedelta(milliseconds=1)


@attrs.frozen
class Written:
    """An event of the simulated log.

    Attributes:
        at: The virtual time from which on the server shows it.
        date: Its ``created_at``.
        id: Its id.
    """

    at: float
    date: datetime
    id: str


class AccountServer:
    """A server of an account's log; `answer` is a script for `scripted.simulated`.

    Args:
        newest_first: Whether the newest events come first.
        tells_time: Whether responses have a ``Date`` header.
    """

    def __init__(self, *, newest_first=True, tells_time=True):
        self.newest_first = newest_first
        self.tells_time = tells_time
        self.events = []
        self.deleted = set()
        self.asked = []
        self.fails = None
        self._in_order = None

    def write(self, id_, *, at=0.0, age=0.0):
        """Add an event that appears at time ``at``, dated ``age`` seconds before."""
        date = START + timedelta(seconds=at - age)
        date -= date.microsecond % 1000 * timedelta(microseconds=1)
        self.events.append(Written(at, date, id_))
        self._in_order = None

    def visible(self, low, high):
        """Return the events between two instants that exist now, in the log's order."""
        if self._in_order is None:
            self._in_order = sorted(self.events, key=lambda one: (one.date, one.id))
        first = bisect_left(self._in_order, low, key=lambda one: one.date)
        last = bisect_right(self._in_order, high, key=lambda one: one.date)
        seconds = now()
        there = [
            event
            for event in self._in_order[first:last]
            if event.at <= seconds and event.id not in self.deleted
        ]
        return there[::-1] if self.newest_first else there

    def answer(self, call):
        """Answer a request for the log."""
        query = call.url.query
        self.asked.append(query)
        if self.fails is not None and (made := self.fails(call)) is not None:
            return made
        low, high = map(datetime.fromisoformat, (query["from"], query["to"]))
        rows = self.visible(low, high)
        begin = int(query.get("cursor", 0))
        end = begin + int(query["limit"])
        body = {
            "items": [
                event_row(id=event.id, created_at=text_of(event.date))
                for event in rows[begin:end]
            ],
            "pagination": {"next_cursor": str(end) if end < len(rows) else None},
        }
        headers = {}
        if self.tells_time:
            date = START + timedelta(seconds=now())
            headers["Date"] = format_datetime(date, usegmt=True)
        return answer(200, json.dumps(body).encode(), headers)


def text_of(date):
    return date.isoformat(timespec="milliseconds").replace("+00:00", "Z")
