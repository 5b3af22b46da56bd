"""Identities that appear, in virtual time: a follower of them all, killed at random.

    PYTHONPATH=tests python tests/simulation/accountsim.py RUNS

Each identity appears at some instant, and gets events from then on. The follower's
checkpoints are saved together with what it hands out, or neither is.
"""

import asyncio
import random
import sys
from collections import Counter
from contextlib import aclosing

import attrs
from latesim import AHEAD, OPTIONS, Log, Written
from support.samples import page_body
from support.scripted import simulated
from support.virtual import now, run

from canopy_async import CanopySession, FollowCheckpoint

AGES = ((0, 0), (0, 0), (0, 100), *AHEAD[:8])


@attrs.frozen(kw_only=True)
class Case:
    """What happens in a run.

    Attributes:
        seed: Decides on all that is random.
        start: As `CanopySession.follow` takes it.
        ends: Whether the follower ends when it is caught up, and begins anew later.
        lifetime: Seconds until it is killed, on average.
        present: Identities that are there from the beginning.
        seconds: How long identities appear and events are written.
    """

    seed: int
    start: str = "now"
    ends: bool = False
    lifetime: float = 40.0
    present: int = 4
    seconds: float = 900.0


@attrs.define
class Outcome:
    """What came of it.

    Attributes:
        identities: Identities that there were.
        later: Those of them that appeared after the first run had listed all.
        made: Events that there were.
        owed: Those of them that had to be handed out.
        lost: Those of the owed that were not.
        repeated: Those that were handed out more than once.
        flooded: Events of identities of the first run that were there before it.
        lives: How often the follower was begun.
    """

    identities: int = 0
    later: int = 0
    made: int = 0
    owed: int = 0
    lost: int = 0
    repeated: int = 0
    flooded: int = 0
    lives: int = 0


class Memory:
    """Keeps checkpoints, and what the first run listed, as texts."""

    def __init__(self):
        self.saved = {}
        self.first_run = None
        self.listed_at = None

    async def load(self):
        return {
            identity_id: FollowCheckpoint.loads(text)
            for identity_id, text in self.saved.items()
        }

    async def load_first_run(self):
        if self.first_run is None:
            return None
        return self.first_run - self.saved.keys()

    async def save_first_run(self, identity_ids):
        self.first_run = frozenset(identity_ids)
        self.listed_at = now()


class Account:
    """The identities of an account, and their logs."""

    def __init__(self, case):
        self._rng = random.Random(case.seed)
        self._seconds = case.seconds
        self.logs, self.appear = {}, {}
        for n in range(case.present + 8):
            name = f"idn_{n}"
            at = -50.0 if n < case.present else self._rng.uniform(0, case.seconds)
            self.appear[name] = at
            self.logs[name] = Log(
                self._events(name, at), seed=n, tells_time=self._rng.random() < 0.5
            )

    def _events(self, name, at):
        rng, number = self._rng, 0
        pace = rng.choice([0.5, 5, 50])
        while at < self._seconds and number < 600:
            number += 1
            yield Written(at, rng.uniform(*rng.choice(AGES)), f"{name}-{number}")
            at += rng.expovariate(1 / pace)

    async def answer(self, call):
        if not call.url.path.endswith("/identities"):
            return await self._events_page(call)
        await asyncio.sleep(self._rng.uniform(0, 0.5))
        names = [name for name, at in self.appear.items() if at <= now()]
        take, page = int(call.url.query["take"]), call.page
        rows = [{"id": name} for name in names[(page - 1) * take : page * take]]
        await asyncio.sleep(self._rng.uniform(0, 0.5))
        return page_body(
            rows,
            page=page,
            take=take,
            item_count=len(names),
            page_count=-(-len(names) // take),
            has_previous_page=page > 1,
            has_next_page=page * take < len(names),
        )

    async def _events_page(self, call):
        name = call.url.path.split("/")[-2]
        if self.appear[name] > now():
            return 404
        return await self.logs[name].answer(call)


async def simulate(case):
    """Follow an account from instant 0 to some time after its last event."""
    random.seed(case.seed)  # the library's own jitter
    rng = random.Random(-case.seed - 1)
    account, memory, outcome = Account(case), Memory(), Outcome()
    got, begun = Counter(), {}

    async def live(canopy, seconds):
        outcome.lives += 1
        follower = canopy.follow(
            canopy.identities(),
            checkpoints=memory,
            start=case.start,
            until_caught_up=case.ends,
            discover_every=20.0,
            width=4,
            **OPTIONS,
        )
        try:
            async with (
                asyncio.timeout(seconds),
                follower,
                aclosing(aiter(follower)) as batches,
            ):
                async for batch in batches:
                    memory.saved[batch.identity_id] = batch.checkpoint.dumps()
                    begun.setdefault(batch.identity_id, (now(), batch))
                    got.update(event.id for event in batch.events)
        except TimeoutError:
            pass

    with simulated(account.answer):
        async with CanopySession("acme", "token") as canopy:
            while now() < case.seconds:
                await live(canopy, rng.expovariate(1 / case.lifetime))
                await asyncio.sleep(rng.expovariate(1 / 10))
            await live(canopy, 10 * OPTIONS["deep_every"])
    outcome.repeated = sum(count > 1 for count in got.values())
    for name, log in account.logs.items():
        _judge(case, memory, outcome, (name, log, begun[name]), got)
    return outcome


def _judge(case, memory, outcome, of, got):
    """Compare what was handed out of one log with what had to be."""
    name, log, (at, first) = of
    is_later = name not in memory.first_run
    outcome.identities += 1
    outcome.later += is_later
    outcome.made += len(log.written)
    is_whole = is_later or case.start == "beginning"
    floor = first.checkpoint.floor
    for row in log.written:
        is_new = row.at > at and (floor is None or row.date >= floor)
        if is_whole or is_new:
            outcome.owed += 1
            outcome.lost += row.name not in got
        elif row.at < at - 5:
            outcome.flooded += row.name in got


def main(runs):
    """Print what came of many runs of each kind."""
    kinds = {
        "now": {},
        "beginning": {"start": "beginning"},
        "killed often": {"lifetime": 5.0},
        "none at first": {"present": 0},
        "again and again": {"ends": True},
        "again and again, from the beginning": {"ends": True, "start": "beginning"},
    }
    for name, options in kinds.items():
        total = Outcome()
        for seed in range(runs):
            came = run(simulate(Case(seed=seed, **options)))
            for field in attrs.fields_dict(Outcome):
                setattr(total, field, getattr(total, field) + getattr(came, field))
        print(f"{name}: {total}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
