"""Reads of an account's log that moves: without network, tasks or time.

    python tests/simulation/accountlogsim.py RUNS

prints what `AccountWalk` and a reader that follows the cursor come to, for servers of
each kind, and for as many schedules each. Both see the same rows.
"""

import random
import sys
from bisect import bisect_left
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import attrs

from canopy_async import AuditEvent, CanopyError, Outcome, Severity
from canopy_async._account.account_walk import AccountWalk
from canopy_async._account.log_window import Glance
from canopy_async.models import ActorType, CursorMeta, CursorPage

START = datetime(2026, 3, 1, tzinfo=UTC)
US = timedelta(microseconds=1)
MS = timedelta(milliseconds=1)
DAY = 86_400_000_000


@attrs.frozen(kw_only=True)
class Kind:
    """What a server is like.

    Attributes:
        name: How it is called in the table.
        newest_first: Its order.
        fine_rows: Whether rows have microseconds.
        fine_print: Whether it prints them.
        fine_cursor: Whether its cursor has them.
        fine_bounds: Whether it reads them in bounds.
        second_bounds: Whether it cuts bounds to seconds.
        exclusive: Whether what lies on a bound is left out.
        most: Rows per page at most.
        refuses_more: Whether more is a 400, and not cut.
        echoes_end: Whether the end is an empty page with the cursor that was sent.
        empty_pages: How many pages in a hundred are empty, with another cursor.
        cursor_uses: Requests after which cursors that were given out are refused.
        widest: Days that a request may span at most.
        late: How many rows in a hundred are committed while it is read.
        arriving: Rows that come per request, at the newest edge.
        deleting: How many of the oldest rows go per request.
        crowd: How many rows share one instant, here and there.
        burst: Whether most rows come in a few seconds.
        loses: Whether a reader that follows the cursor loses rows.
        unproven: Whether a read may end with an error that says so.
    """

    name: str
    newest_first: bool = True
    fine_rows: bool = False
    fine_print: bool = False
    fine_cursor: bool = True
    fine_bounds: bool = True
    second_bounds: bool = False
    exclusive: bool = False
    most: int = 200
    refuses_more: bool = False
    echoes_end: bool = False
    empty_pages: int = 0
    cursor_uses: int | None = None
    widest: int | None = None
    late: int = 0
    arriving: float = 0.0
    deleting: float = 0.0
    crowd: int = 1
    burst: bool = False
    loses: bool = False
    unproven: bool = False


COARSE = {
    "fine_rows": True,
    "fine_print": False,
    "fine_cursor": False,
    "fine_bounds": False,
}
KINDS = (
    Kind(name="still"),
    Kind(name="moving edge", arriving=1.5),
    Kind(name="late commits", late=10, arriving=0.5),
    Kind(name="ties", crowd=30, arriving=0.3),
    Kind(name="crowds larger than a page", crowd=700, late=3),
    Kind(name="bursts", burst=True, crowd=5, arriving=0.3),
    Kind(name="retention deletes", deleting=4.0),
    Kind(name="microseconds everywhere", fine_rows=True, fine_print=True),
    Kind(name="printed in milliseconds", fine_rows=True),
    Kind(name="all but rows in milliseconds", loses=True, **COARSE),
    Kind(name="the same in bursts", loses=True, burst=True, late=3, **COARSE),
    Kind(
        name="the same with crowds",
        loses=True,
        crowd=700,
        unproven=True,
        **COARSE,
    ),
    Kind(name="oldest first", newest_first=False, arriving=0.5),
    Kind(name="oldest first, ties", newest_first=False, crowd=30, late=5),
    Kind(name="oldest first, crowds", newest_first=False, crowd=700),
    Kind(name="oldest first, bursts", newest_first=False, burst=True),
    Kind(name="oldest first, coarse", newest_first=False, **COARSE),
    Kind(name="no null at the end", echoes_end=True, crowd=3),
    Kind(name="empty pages", empty_pages=30, crowd=300),
    Kind(name="pages of 50, more is cut", most=50),
    Kind(name="pages of 50, more is refused", most=50, refuses_more=True),
    Kind(name="31 days at most", widest=31),
    Kind(name="31 days and 50 rows", widest=31, most=50, refuses_more=True),
    Kind(name="31 days, oldest first", widest=31, newest_first=False),
    Kind(name="exclusive bounds", exclusive=True),
    Kind(name="exclusive bounds, coarse", exclusive=True, loses=True, **COARSE),
    Kind(name="bounds in seconds", second_bounds=True, unproven=True, burst=True),
    Kind(name="bounds in seconds, ties", second_bounds=True, unproven=True, crowd=30),
    Kind(name="cursors die", cursor_uses=3, crowd=700, unproven=True),
)


class RefusedError(Exception):
    """A 400, 404 or 410."""


@attrs.define(eq=False)
class Server:
    """A log of one account.

    Rows are ``(instant, id)``, the instant in microseconds since `START`.
    """

    kind: Kind
    rng: random.Random
    rows: list = attrs.field(factory=list)
    waiting: list = attrs.field(factory=list)
    removed: set = attrs.field(factory=set)
    requests: int = 0
    now: int = 0
    given: dict = attrs.field(factory=dict)
    _arriving: float = 0.0
    _number: int = 0

    def fill(self, count, days):
        kind, rng = self.kind, self.rng
        at = 0
        mean = days * DAY / max(count, 1) * kind.crowd
        centre = rng.uniform(0, days * DAY)
        while count > 0:
            if kind.burst and rng.random() < 0.9:
                at = max(0, int(rng.gauss(centre, 3_000_000)))
            else:
                at = int(rng.uniform(0, days * DAY))
            if not kind.fine_rows:
                at -= at % 1000
            size = rng.choice([1, 1, 2, kind.crowd]) if mean else 1
            for _ in range(min(size, count)):
                count -= 1
                self._add(at, late=rng.randrange(100) < kind.late)
        self.rows.sort()
        self.now = days * DAY

    def _add(self, at, *, late=False):
        self._number += 1
        row = (at, f"{self.rng.randrange(10**6):06}-{self._number}")
        if late:
            self.waiting.append(row)
        else:
            self.rows.append(row)

    def move(self):
        """Let happen what happens between two requests."""
        kind, rng = self.kind, self.rng
        if self.waiting and rng.random() < 0.5:
            row = self.waiting.pop(rng.randrange(len(self.waiting)))
            self.rows.insert(bisect_left(self.rows, row), row)
        self._arriving += kind.arriving
        while self._arriving >= 1:
            self._arriving -= 1
            self.now += rng.randrange(1, 2_000_000)
            at = self.now if kind.fine_rows else self.now - self.now % 1000
            self._add(at)
        if kind.deleting and rng.random() < kind.deleting / 10:
            gone, self.rows = self.rows[:10], self.rows[10:]
            self.removed.update(id_ for _, id_ in gone)

    def answer(self, since, until, cursor, limit):
        """Return the rows of a page, and the cursor."""
        self.requests += 1
        self.move()
        kind = self.kind
        low, high = self._bounds(since, until)
        if kind.widest is not None and high - low > kind.widest * DAY:
            raise RefusedError("the range is too wide")
        if limit > kind.most and kind.refuses_more:
            raise RefusedError("limit must not be greater than 50")
        rows = self.rows[bisect_left(self.rows, (low, "")) :]
        rows = rows[: bisect_left(rows, (high + 1, ""))]
        if kind.newest_first:
            rows.reverse()
        rows = self._after(cursor, rows)
        most = min(limit, kind.most)
        page, left = rows[:most], rows[most:]
        if page and left and self.rng.randrange(100) < kind.empty_pages:
            return [], self._cursor(self._before(rows[0]))
        if left or (kind.echoes_end and page):
            return page, self._cursor(self._cut(page[-1]))
        return page, cursor if kind.echoes_end else None

    def _bounds(self, since, until):
        kind = self.kind
        low, high = (since - START) // US, (until - START) // US
        step = 1_000_000 if kind.second_bounds else 1 if kind.fine_bounds else 1000
        low, high = low - low % step, high - high % step
        return (low + 1, high - 1) if kind.exclusive else (low, high)

    def _after(self, cursor, rows):
        kind = self.kind
        if cursor is None:
            return rows
        number, place = self.given[cursor]
        if kind.cursor_uses is not None and self.requests - number > kind.cursor_uses:
            raise RefusedError("the cursor has expired")
        if kind.newest_first:
            return [row for row in rows if row < place]
        return [row for row in rows if row > place]

    def _before(self, row):
        at, _ = row
        return (at + 1, "") if self.kind.newest_first else (at - 1, "~")

    def _cut(self, row):
        at, id_ = row
        return row if self.kind.fine_cursor else (at - at % 1000, id_)

    def _cursor(self, place):
        cursor = f"c{self.requests}"
        self.given[cursor] = (self.requests, place)
        return cursor

    def printed(self, row):
        at, id_ = row
        if not self.kind.fine_print:
            at -= at % 1000
        return AuditEvent(
            id=id_,
            actor_type=ActorType.USER,
            action="role.created",
            metadata={},
            created_at=START + at * US,
            outcome=Outcome.SUCCESS,
            severity=Severity.INFO,
            customer_visible=True,
            identity_visible=True,
        )


@attrs.define
class Result:
    """What came of a read."""

    lost: int = 0
    repeated: int = 0
    disordered: int = 0
    requests: int = 0
    rows: int = 0
    error: str | None = None
    report: object = None
    handed: list = attrs.field(factory=list)


def server_of(kind, seed, *, rows=None, days=40):
    rng = random.Random(seed)
    server = Server(kind, rng)
    server.fill(rng.choice([0, 1, 150, 900, 3000]) if rows is None else rows, days)
    return server


def now_of(server):
    return START + server.now * US


class Driver:
    """Does what a run does: has requests under way, and takes their answers in order.

    Which of those under way is answered next is for ``rng`` to say.
    """

    def __init__(self, server, walk, *, concurrency, rng):
        self._server, self._walk = server, walk
        self._concurrency, self._rng = concurrency, rng
        self._arrived, self._in_flight = {}, {}
        self.handed = []

    def read(self, *, most=None):
        """Read to the end, or until there are so many events at least."""
        while not self._walk.done:
            self._ask()
            if self._walk.front() in self._in_flight:
                self._answer(self._rng.choice(list(self._in_flight)))
            while not self._walk.done and self._walk.front() in self._arrived:
                self._take(self._walk.front())
                if most is not None and len(self.handed) >= most:
                    return self.handed
        return self.handed

    def _ask(self):
        front = self._walk.front()
        if front not in self._arrived:
            self._in_flight[front] = None
        while len(self._in_flight) < self._concurrency:
            more = self._walk.plan()
            if more is None:
                return
            self._in_flight[more] = None

    def _answer(self, window):
        del self._in_flight[window]
        try:
            rows, cursor = self._server.answer(
                window.since, window.until, window.cursor, window.take
            )
        except RefusedError as refusal:
            self._arrived[window] = refusal
            return
        events = tuple(map(self._server.printed, rows))
        meta = CursorMeta(next_cursor=cursor)
        self._arrived[window] = CursorPage(items=events, pagination=meta)
        self._walk.learn(window, Glance.of([e.created_at for e in events], cursor))

    def _take(self, window):
        found = self._arrived.pop(window)
        if not isinstance(found, RefusedError):
            self.handed += self._walk.accept_page(found)
        elif not self._walk.retry_without_sort():
            raise AssertionError(f"{window}: {found}")
        wanted = set(self._walk.windows)
        for kept in (self._arrived, self._in_flight):
            for other in kept.keys() - wanted:
                del kept[other]


def judged(server, before, handed):
    """Compare what was handed out with what had to be."""
    ids = Counter(event.id for event in handed)
    owed = {id_ for _, id_ in before} - server.removed
    keys = [(event.created_at - START) // MS for event in handed]
    return Result(
        lost=len(owed - ids.keys()),
        repeated=sum(ids.values()) - len(ids),
        disordered=sum(a < b for a, b in pairwise(keys)),
        requests=server.requests,
        rows=len(handed),
        handed=[event.id for event in handed],
    )


def proven(kind, seed, *, concurrency=4, rows=None, **options):
    """Read the log of a server by time; return what came of it."""
    server = server_of(kind, seed, rows=rows)
    before = list(server.rows)
    walk = AccountWalk(now=now_of(server), concurrency=concurrency, **options)
    rng = random.Random(seed)
    driver = Driver(server, walk, concurrency=concurrency, rng=rng)
    try:
        handed = driver.read()
    except CanopyError as error:
        return Result(error=type(error).__name__, requests=server.requests)
    result = judged(server, before, handed)
    result.report = walk.report(requests=server.requests)
    return result


def naive(kind, seed, *, rows=None):
    """Follow the cursor, as a paginator does; return what came of it."""
    server = server_of(kind, seed, rows=rows)
    before = list(server.rows)
    handed, cursor, limit = [], None, min(200, kind.most)
    since = START - timedelta(days=1)
    if kind.widest is not None:
        since = now_of(server) - timedelta(days=kind.widest - 2)
        before = [row for row in before if START + row[0] * US >= since]
    while True:
        try:
            page, after = server.answer(
                since, now_of(server) + timedelta(days=1), cursor, limit
            )
        except RefusedError as refusal:
            return Result(error=str(refusal), requests=server.requests)
        handed += map(server.printed, page)
        if after is None or after == cursor:
            break
        cursor = after
    if not kind.newest_first:
        handed.reverse()
    return judged(server, before, handed)


def table(runs):
    print(f"{'':34}{'by time':>32}{'by cursor':>26}")
    print(f"{'':34}{'lost':>6}{'twice':>6}{'error':>6}{'requests':>14}", end="")
    print(f"{'lost':>10}{'error':>6}{'requests':>10}")
    for kind in KINDS:
        ours = [proven(kind, seed, concurrency=1 + seed % 8) for seed in range(runs)]
        theirs = [naive(kind, seed) for seed in range(runs)]
        print(
            f"{kind.name:34}"
            f"{sum(one.lost for one in ours):6}"
            f"{sum(one.repeated + one.disordered for one in ours):6}"
            f"{sum(one.error is not None for one in ours):6}"
            f"{sum(one.requests for one in ours):14}"
            f"{sum(one.lost for one in theirs):10}"
            f"{sum(one.error is not None for one in theirs):6}"
            f"{sum(one.requests for one in theirs):10}",
            flush=True,
        )


if __name__ == "__main__":
    table(int(sys.argv[1]))
