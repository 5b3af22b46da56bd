"""The rows that the raw server sends: realistic, and the same each time.

A log is as long as it is asked to be. Its rows come in laps of `LAP` rows. In a
`BUSY` log a lap takes an hour, in a `CALM` one four weeks of a month of its own. Within
a lap all bodies differ, and from one lap to the next only the hour or the month of
``created_at`` and the lap's number in the id change. All rows are of one width, so
these are columns of one small buffer: any window of a log of a million rows is a slice
of it once they are patched, and still every id is unique and every ``created_at`` comes
after the one before.
"""

import json
import random
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

LAP = 2_000
WIDTH = 820
"""Bytes of a row, with the comma after it."""

_START = datetime(2026, 1, 1, tzinfo=UTC)
_FIRST_YEAR = 2020
_ID = "0198a3c0-5d2e-7000-8000-{lap:08}{slot:04}"
_LAP_NUMBER = slice(*(len('{"id":"') + at for at in (24, 32)))
_CREATED_AT = 540
_INSTANT = _CREATED_AT + len('"created_at":"')
_ACTIONS = (
    ("auth.login.succeeded", "auth", "session", "success", "info"),
    ("auth.login.failed", "auth", "session", "failure", "warning"),
    ("identity.updated", "identity", "identity", "success", "info"),
    ("role.assigned", "rbac", "role", "success", "notice"),
    ("permission.checked", "authorization", "permission", "denied", "notice"),
    ("api_key.revoked", "api_keys", "api_key", "success", "critical"),
    ("mfa.challenge.passed", "mfa", "factor", "success", "info"),
)
_ACTORS = ("user", "identity", "api_key", "platform")
_AGENT = "okhttp/4.12.0"


class Calendar(NamedTuple):
    """When the rows of a log are dated.

    Attributes:
        start: The instant of the first row.
        span: How long a lap takes.
        begin: The first character of an instant that says of which lap it is.
        said: The text from that character on, by the lap.
    """

    start: datetime
    span: timedelta
    begin: int
    said: Callable[[int], str]


def _hour_of(lap: int) -> str:
    return (_START + lap * timedelta(hours=1)).strftime("%m-%dT%H")


def _month_of(lap: int) -> str:
    return f"{_FIRST_YEAR + lap // 12:04}-{lap % 12 + 1:02}"


BUSY = Calendar(_START, timedelta(hours=1), len("2026-"), _hour_of)
"""2 000 rows in each hour: more than any look-back wants to remember."""

CALM = Calendar(
    datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC), timedelta(weeks=4), 0, _month_of
)
"""2 000 rows in each month: three an hour."""


class Lap:
    """The rows of one lap, patched to be those of any.

    Args:
        descending: Whether they come newest first.
        calendar: When they are dated.
    """

    def __init__(self, *, descending: bool, calendar: Calendar = BUSY) -> None:
        rows = _rows(calendar)
        self._calendar = calendar
        self._descending = descending
        self._buffer = bytearray(b"".join(rows[::-1] if descending else rows))
        self._laps = [0] * LAP

    def window(self, first: int, count: int) -> bytes:
        """Return ``count`` rows from the row ``first`` on, with commas between."""
        parts: list[bytearray] = []
        step = -1 if self._descending else 1
        while count:
            lap, slot = divmod(first, LAP)
            begin = LAP - 1 - slot if self._descending else slot
            end = min(begin + count, LAP)
            self._patch(lap, begin, end)
            parts.append(self._buffer[begin * WIDTH : end * WIDTH])
            first += step * (end - begin)
            count -= end - begin
        return b"".join(parts)[:-1]

    def _patch(self, lap: int, begin: int, end: int) -> None:
        count = end - begin
        if self._laps[begin:end].count(lap) == count:
            return
        for column, digit in _digits(self._calendar, lap):
            self._buffer[begin * WIDTH + column : end * WIDTH : WIDTH] = digit * count
        self._laps[begin:end] = [lap] * count


def event_ids(count: int) -> Iterator[str]:
    """Yield the ids of a log of so many rows, oldest first."""
    for place in range(count):
        lap, slot = divmod(place, LAP)
        yield _ID.format(lap=lap, slot=slot)


@lru_cache(maxsize=64)
def _digits(calendar: Calendar, lap: int) -> list[tuple[int, bytes]]:
    """Return which columns of a row say of which lap it is, and what is there."""
    number, said = f"{lap:08}", calendar.said(lap)
    placed = ((_LAP_NUMBER.start, number), (_INSTANT + calendar.begin, said))
    return [
        (at, text.encode())
        for begin, digits in placed
        for at, text in enumerate(digits, begin)
        if text.isdigit()
    ]


@lru_cache(maxsize=2)
def _rows(calendar: Calendar) -> list[bytes]:
    dice = random.Random("events")
    return [_row(slot, dice, calendar) for slot in range(LAP)]


def _row(slot: int, dice: random.Random, calendar: Calendar) -> bytes:
    """Return a row of `WIDTH` bytes whose ``created_at`` is at `_CREATED_AT`."""
    row = _fields(slot, dice, calendar)
    begin = _as_json(row).index('"created_at"')
    row["metadata"]["trace"] = dice.randbytes(_CREATED_AT).hex()[: _CREATED_AT - begin]
    room = WIDTH - 1 - len(_as_json(row))
    row["resource_label"] = f"{_LABEL * (room // len(_LABEL) + 1)}"[:room]
    return f"{_as_json(row)},".encode()


_LABEL = "Sign-in of the customer portal, "
_as_json = json.JSONEncoder(separators=(",", ":")).encode


def _fields(slot: int, dice: random.Random, calendar: Calendar) -> dict[str, Any]:
    action, category, resource, outcome, severity = dice.choice(_ACTIONS)
    instant = calendar.start + slot * (calendar.span / LAP)
    created_at = instant.isoformat(timespec="milliseconds")
    return {
        "id": _ID.format(lap=0, slot=slot),
        "account_id": "6f1c9a52-0d2b-4c8e-9a41-7be2d5c3f018",
        "application_id": _uuid(dice) if dice.random() < 0.7 else None,
        "environment_id": _uuid(dice) if dice.random() < 0.7 else None,
        "actor_id": _uuid(dice),
        "actor_type": dice.choice(_ACTORS),
        "action": action,
        "resource_type": resource,
        "resource_id": _uuid(dice),
        "metadata": {
            "ip": f"198.51.100.{dice.randrange(256)}",
            "user_agent": _AGENT,
            "request": {"retries": dice.randrange(3), "cached": False},
            "trace": "",
        },
        "created_at": created_at.replace("+00:00", "Z"),
        "actor_label": f"person{dice.randrange(1_000)}@example.com",
        "resource_label": "",
        "correlation_id": _uuid(dice) if dice.random() < 0.9 else None,
        "outcome": outcome,
        "category": category,
        "severity": severity,
        "customer_visible": True,
        "identity_visible": dice.random() < 0.5,
    }


def _uuid(dice: random.Random) -> str:
    return str(uuid.UUID(bytes=dice.randbytes(16), version=4))
