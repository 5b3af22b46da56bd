"""Late commits in virtual time: a follower, restarted at random, and its log.

    python latesim.py RUNS

The log decides in advance what is committed when. Its server counts and selects
at different instants of each request, either one first.
"""

import asyncio
import math
import random
import sys
from bisect import insort
from collections import Counter
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import attrs
from support.samples import event_row, page_body
from support.scripted import answer, simulated
from support.virtual import now, run

from canopy_async import CanopySession

NOON = datetime(2026, 4, 20, 12, tzinfo=UTC)
OVERLAP = 20.0
DEEP = 200.0
OPTIONS = {
    "every": 5.0,
    "idle_every": 20.0,
    "overlap": OVERLAP,
    "deep_overlap": DEEP,
    "deep_every": 60.0,
}
LIFETIME = 60.0
HOUR = 3600.0
AHEAD = (
    *((0, 0),) * 6,
    (-30, -1),
    (-3 * HOUR, -HOUR),
    (-60 * 24 * HOUR, -24 * HOUR),
    (-7_900 * 365 * 24 * HOUR, -7_000 * 365 * 24 * HOUR),
    (0, OVERLAP),
    (OVERLAP, DEEP - 40),
)
"""Ages of events of which many are dated ahead. Those that are so by less than `DEEP`
take away from how late others may be."""

RARELY_AHEAD = (
    *((0, 0),) * 100,
    *((0, OVERLAP),) * 10,
    *((OVERLAP, 160),) * 10,
    *AHEAD,
)
"""The same, so that fewer than ninety are ahead: more may hide others where the server
tells no time."""


@attrs.frozen(order=True)
class Written:
    """An event: when it was committed, and how old it was then, in seconds."""

    at: float
    age: float = 0.0
    name: str = ""

    @property
    def date(self):
        made = NOON + timedelta(seconds=self.at - self.age)
        return made.replace(microsecond=made.microsecond // 1000 * 1000)


@attrs.frozen(kw_only=True)
class Case:
    """What happens in a run.

    Attributes:
        seed: Decides on all that is random.
        ages: How old events are when committed: pairs of bounds, one is drawn.
        settle: As `CanopySession.follow` takes it.
        start: The same.
        restarts: Whether the follower is killed now and then.
        by_event: Whether it is read event by event, each with its checkpoint.
        bursts: Whether hundreds of events come at once, now and then.
        retains: How many events the log keeps, None for all.
        seconds: How long events are written.
        tells_time: Whether the server sends a ``Date``.
        ends: Whether the follower ends when it is caught up, and begins anew later.
    """

    seed: int
    ages: tuple = ((0, 0), (0, 0), (0, OVERLAP), (OVERLAP, DEEP), (DEEP, 10 * DEEP))
    settle: float = 0.0
    start: str = "beginning"
    restarts: bool = True
    by_event: bool = False
    bursts: bool = True
    retains: int | None = None
    seconds: float = 900.0
    tells_time: bool = False
    ends: bool = False


@attrs.define
class Outcome:
    """What came of it.

    Attributes:
        made: Events that there were, by where the age of each is.
        lost: Those that had to be handed out, and were not.
        unseen: Those that were deleted before they were seen.
        untold: Those of them that no gap speaks of.
        missed: Those that were not, though they need not be.
        repeated: Those that were more than once.
        misflagged: Those that were said to be late, or not, and it was wrong.
        disordered: Those that came after a newer one, though settled in time.
        suspected: How many were suspected to be missing.
        restarts: How often the follower was killed.
        requests: Requests in all.
    """

    made: Counter = attrs.field(factory=Counter)
    lost: int = 0
    unseen: int = 0
    untold: int = 0
    missed: int = 0
    repeated: int = 0
    misflagged: int = 0
    disordered: int = 0
    suspected: int = 0
    restarts: int = 0
    requests: int = 0


def write(case):
    """Decide what is committed when."""
    rng, at, made = random.Random(case.seed), -300.0, 0
    while at < case.seconds:
        at += min(60.0, rng.expovariate(1 / rng.choice([0.5, 5, 5, 60])))
        is_burst = case.bursts and rng.random() < 0.01
        for _ in range(700 if is_burst else rng.choice([1, 1, 1, 4, 30])):
            made += 1
            at += 0.002 if is_burst else 0.0  # no run of ties over a page
            age = 0.0 if is_burst else rng.uniform(*rng.choice(case.ages))
            yield Written(at, age, f"evt_{made}")


class Log:
    """What the server has at each instant, and how it answers.

    Args:
        written: The events, in any order.
        seed: Decides on latencies.
        retains: How many events it keeps, None for all.
        tells_time: Whether the server sends a ``Date``.
    """

    def __init__(self, written, *, seed=0, retains=None, tells_time=False):
        self._rng = random.Random(seed)
        self._retains = retains
        self._tells_time = tells_time
        self._coming = sorted(written, reverse=True)
        self.written = tuple(reversed(self._coming))
        self._rows = []
        self.deleted = set()

    def _catch_up(self):
        while self._coming and self._coming[-1].at <= now():
            row = self._coming.pop()
            insort(self._rows, (row.date, self._rng.random(), row))
        if self._retains is not None:
            gone = self._rows[: -self._retains]
            self.deleted |= {row.name for *_, row in gone}
            del self._rows[: -self._retains]

    def count(self):
        self._catch_up()
        return len(self._rows)

    def select(self, call):
        self._catch_up()
        page, take = call.page, int(call.url.query["take"])
        is_descending = call.url.query["order"] == "desc"
        rows = self._rows[::-1] if is_descending else self._rows
        return [row for *_, row in rows[(page - 1) * take : page * take]]

    async def answer(self, call):
        """Answer a request, with a count of another instant than the rows."""
        page, take = call.page, int(call.url.query["take"])
        await asyncio.sleep(self._rng.uniform(0, 0.2))
        counts_first = self._rng.random() < 0.5
        count = self.count()
        rows = self.select(call)
        await asyncio.sleep(self._rng.uniform(0, 0.5))
        if counts_first:
            rows = self.select(call)
        else:
            count = self.count()
        date = NOON + timedelta(seconds=now())
        await asyncio.sleep(self._rng.uniform(0, 0.2))
        body = page_body(
            [event_row(id=r.name, created_at=r.date.isoformat()) for r in rows],
            page=page,
            take=take,
            item_count=count,
            page_count=-(-count // take),
            has_previous_page=page > 1,
            has_next_page=page * take < count,
        )
        if not self._tells_time:
            return body
        return answer(body=body, headers={"Date": f"{date:%a, %d %b %Y %H:%M:%S GMT}"})


class Reader:
    """Follows the log, and keeps what it got with its checkpoint, or neither."""

    def __init__(self, case, log):
        self.case = case
        self._rng = random.Random(-case.seed - 1)
        self._dates = {row.name: row.date for row in log.written}
        self._ages = {row.name: row.age for row in log.written}
        self._text = None
        self._newest = None
        self._owed_from = None if case.start == "now" else (-math.inf, None)
        self.got = Counter()
        self.gaps = []
        self.outcome = Outcome()

    async def live(self, canopy, seconds):
        """Follow for so long, or until killed."""
        try:
            async with asyncio.timeout(seconds):
                while self.case.ends:
                    await self._follow(canopy)
                    await asyncio.sleep(self._rng.expovariate(1 / 30))
                await self._follow(canopy)
        except TimeoutError:
            pass

    async def _follow(self, canopy):
        follower = canopy.follow(
            "idn_1",
            checkpoint=self._text,
            start=self.case.start,
            settle=self.case.settle,
            until_caught_up=self.case.ends,
            **OPTIONS,
        )
        try:
            if self.case.by_event:
                await self._read_events(follower)
            else:
                await self._read_batches(follower)
        finally:
            await follower.aclose()

    def lifetime(self):
        """Draw the seconds until it is killed, whatever it is doing."""
        return self._rng.expovariate(1 / LIFETIME)

    def _is_killed(self, chance):
        return self.case.restarts and self._rng.random() < chance

    async def _read_batches(self, follower):
        async with aclosing(aiter(follower)) as batches:
            async for batch in batches:
                if self._is_killed(0.05):
                    return
                assert batch.gap is None or self.case.retains is not None
                if batch.gap is not None:
                    self.gaps.append((now(), batch.gap.older_than))
                self._text = batch.checkpoint.dumps()
                self.outcome.suspected += batch.late_suspected
                if self._owed_from is None:
                    self._owed_from = (now(), batch.checkpoint.floor)
                for event in batch.events:
                    self._got(event, is_late=event.id in batch.late)

    async def _read_events(self, follower):
        async with aclosing(follower.events()) as events:
            async for event in events:
                if self._is_killed(0.01):
                    return
                self._text = follower.checkpoints["idn_1"].dumps()
                self._got(event, is_late=None)

    def owes(self, row):
        """Whether an event came after following began, and within reach."""
        at, floor = self._owed_from
        return row.at > at and (floor is None or row.date >= floor)

    def was_told_of(self, row):
        """Whether a gap says that an event may have been deleted unseen."""
        return any(
            told >= row.at and (older_than is None or row.date < older_than)
            for told, older_than in self.gaps
        )

    def _got(self, event, *, is_late):
        assert event.created_at == self._dates[event.id]
        self.got[event.id] += 1
        is_older = self._newest is not None and event.created_at < self._newest
        in_time = self._ages[event.id] <= self.case.settle
        if is_late is not None:
            expected = is_older if self.case.start == "beginning" else is_late
            wrong = is_late != expected or (is_older and not is_late)
            self.outcome.misflagged += wrong or (
                is_late and in_time and self.case.settle > 0
            )
        self.outcome.disordered += is_older and in_time and self.case.settle > 0
        self._newest = max(self._newest or event.created_at, event.created_at)


def kind_of(row):
    """Where the age of an event is."""
    if row.age <= 0:
        return "in time"
    if row.age <= OVERLAP:
        return "overlap"
    return "deep" if row.age <= DEEP else "too late"


async def simulate(case):
    """Follow a log from instant 0 to some time after its last event."""
    random.seed(case.seed)  # the library's own jitter
    log = Log(
        write(case),
        seed=case.seed,
        retains=case.retains,
        tells_time=case.tells_time,
    )
    reader = Reader(case, log)
    outcome = reader.outcome
    with simulated(log.answer) as calls:
        async with CanopySession("acme", "token") as canopy:
            while (left := case.seconds - now()) > 0:
                seconds = reader.lifetime() if case.restarts else left
                await reader.live(canopy, min(seconds, left))
                outcome.restarts += 1
            reader.case = attrs.evolve(case, restarts=False)
            await reader.live(canopy, 5 * OPTIONS["deep_every"] + case.settle)
    for row in log.written:
        outcome.made[kind_of(row)] += 1
        if row.name in reader.got:
            continue
        if row.name in log.deleted:
            # One that was committed late may be older than what was handed out.
            is_owed = row.age <= 0 and reader.owes(row)
            outcome.unseen += is_owed
            outcome.untold += is_owed and not reader.was_told_of(row)
            continue
        if kind_of(row) == "too late":
            outcome.missed += 1
        elif reader.owes(row):
            outcome.lost += 1
    outcome.repeated = sum(count > 1 for count in reader.got.values())
    outcome.requests = len(calls)
    return outcome


def main(runs):
    """Print what came of many runs of each kind."""
    kinds = {
        "batches": {},
        "by event": {"by_event": True},
        "from now on": {"start": "now"},
        "settled": {"settle": 30.0},
        "settled, from now on": {"settle": 30.0, "start": "now"},
        "settled for longer": {"settle": 120.0},
        "retention": {"retains": 300},
        "little is kept": {"retains": 20},
        "little is kept, the time told": {"retains": 20, "tells_time": True},
        "in time": {"ages": ((0, 0), (0, DEEP))},
        "dated ahead": {"ages": RARELY_AHEAD},
        "dated ahead, from now on": {"ages": RARELY_AHEAD, "start": "now"},
        "dated ahead, the time told": {"ages": AHEAD, "tells_time": True},
        "the time told, from now on": {
            "ages": AHEAD,
            "tells_time": True,
            "start": "now",
        },
        "again and again": {"ends": True},
        "again and again, by event": {"ends": True, "by_event": True},
        "again and again, dated ahead": {"ends": True, "ages": RARELY_AHEAD},
        "again and again, the time told": {
            "ends": True,
            "ages": AHEAD,
            "tells_time": True,
        },
    }
    for name, options in kinds.items():
        total = Outcome()
        for seed in range(runs):
            came = run(simulate(Case(seed=seed, **options)))
            for field in attrs.fields_dict(Outcome):
                setattr(total, field, getattr(total, field) + getattr(came, field))
        print(f"{name}: {total}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
