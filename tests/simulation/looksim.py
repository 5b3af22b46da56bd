"""A log that is read again and again, without I/O: what its look-back makes of it.

Each event is committed at an instant of its own, in time, late, or ahead of its
date, and may be deleted. Each read sees the log as it is at the instant of each of
its pages, and may be killed after any of them.
"""

import math
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import attrs

from canopy_async._fanout.results import IdentityOutcome
from canopy_async.checkpoint import Checkpoint
from canopy_async.export.manifest_records import Commit
from canopy_async.export.pending import OpenLog
from canopy_async.export.standing import Standings
from canopy_async.report import Proof, ReadReport

NOON = datetime(2026, 4, 20, 12, tzinfo=UTC)
NAME = "idn_1"


def at(seconds):
    """An instant so many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


@attrs.frozen
class Written:
    """An event: its date, when it is committed, and when it is deleted, in seconds."""

    id: str
    dated: float
    committed: float
    deleted: float = math.inf

    def is_there(self, now):
        return self.committed <= now < self.deleted


@attrs.frozen
class Read:
    """One run's read of the log.

    Attributes:
        begins: When, in seconds.
        page: Rows of a page.
        pace: Seconds between two pages.
        pages: After how many pages it is killed; None is not at all.
    """

    begins: float
    page: int = 3
    pace: float = 0.0
    pages: int | None = None


class Simulation:
    """An identity of an export.

    Args:
        written: The events that there ever are.
        span: Seconds of the look-back.
        order: In which order the server lists them, whatever was asked for.
        since: The ``since`` of the export in seconds, or None.
        clock_error: By how many seconds this machine's clock is ahead, of a server that
            does not tell the time; None of one that does.
    """

    def __init__(self, written, *, span, order, since=None, clock_error=None):
        self.written = sorted(
            written,
            key=lambda event: (event.dated, event.committed),
            reverse=order == "desc",
        )
        self.span = timedelta(seconds=span)
        self.order = order
        self.since = None if since is None else at(since)
        self.is_told = clock_error is None
        self.clock_error = clock_error or 0.0
        self.standings = Standings()
        self.files = []
        self.entries = []
        self.ends = 0

    def there(self, now):
        """The rows that the server has, in its order."""
        return [event for event in self.written if event.is_there(now)]

    def read(self, read):
        """Read the log; return the entry that is committed at the end."""
        before = self.standings.of(NAME)
        log = OpenLog.of(
            NAME, before, since=self.since, began=0.0, span=self.span, scope="s"
        )
        place = None
        if before.checkpoint is not None:
            place = Checkpoint.loads(before.checkpoint)
        now, count = read.begins, 0
        while read.pages is None or count < read.pages:
            rows = self._page(now, log.since, place, read.page)
            if not rows:
                entry = self._end(log, place, read)
                break
            log.note_begin(self._begin_of(read), is_told=self.is_told)
            self.files += [row.id for row in log.take(rows)]
            place = self._after(place, rows)
            count += 1
            now += read.pace
        else:
            entry = log.entry(place)
        self.standings.add(Commit(identities=(entry,)))
        self.entries.append(entry)
        return entry

    def _end(self, log, place, read):
        self.ends += 1
        report = ReadReport(
            complete=True,
            proof=Proof.STRICT_KEY,
            expected=len(self.there(read.begins)),
        )
        outcome = IdentityOutcome(identity_id=NAME, report=report, checkpoint=place)
        log.note_begin(self._begin_of(read), is_told=self.is_told)
        return log.last_entry(outcome, self._begin_of(read), goes_on=True)

    def _begin_of(self, read):
        return at(read.begins + self.clock_error)

    def _page(self, now, since, place, size):
        """The next rows after a place, from ``since`` on."""
        rows = []
        for event in self.there(now):
            key = at(event.dated)
            if since is not None and key < since:
                continue
            if place is not None and place.key is not None:
                is_behind = key < place.key if self.order == "asc" else key > place.key
                if is_behind or (key == place.key and event.id in place.ids):
                    continue
            rows.append(SimpleNamespace(id=event.id, created_at=key))
        return rows[:size]

    def _after(self, place, rows):
        key = rows[-1].created_at
        ids = {row.id for row in rows if row.created_at == key}
        if place is not None and place.key == key:
            ids |= place.ids
        keys = {row.created_at for row in rows} | {place.key if place else key}
        seen = place.order if place else None
        return Checkpoint(
            scope="r",
            order=self.order if len(keys) > 1 else seen,
            key=key,
            ids=frozenset(ids),
            proof=Proof.STRICT_KEY,
        )

    def owed(self, now):
        """The ids that any read which begins now must have made known at its end."""
        return {
            event.id
            for event in self.written
            if event.is_there(now)
            and (self.since is None or at(event.dated) >= self.since)
        }
