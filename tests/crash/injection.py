"""Ends injected at every step of the event loop: nothing is lost, doubled or left.

Run as a script, it tries every step of every scenario with every kind of end:

    PYTHONPATH=tests python tests/crash/injection.py [--every N] [--seed N]
"""

import argparse
import asyncio
import gc
import random
import warnings
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import aiohttp
import attrs
from support.samples import event_row, page_body
from support.scripted import answer, simulated
from support.virtual import VirtualLoop

from canopy_async import CanopySession, RetryPolicy, SessionClosedError

IDS = {"one": 260, "two": 0, "three": 130, "four": 31, "five": 205}
START = datetime(2026, 1, 1, tzinfo=UTC)
STEP = timedelta(seconds=7)
LATENCY = 0.05
ENDS = ("cancel", "timeout", "close", "close and cancel", "cancel twice", "fault")


class StepLoop(VirtualLoop):
    """A virtual loop that calls a function in its n-th turn."""

    def __init__(self, step, inject):
        super().__init__()
        self.steps = 0
        self._step = step
        self._inject = inject

    def _run_once(self):
        self.steps += 1
        if self.steps == self._step:
            self.call_soon(self._inject)
        super()._run_once()


def rows_of(name):
    base = 1_000 * list(IDS).index(name)
    return [
        event_row(base + number, created_at=(START + number * STEP).isoformat())
        for number in range(IDS[name])
    ]


ROWS = {name: rows_of(name) for name in IDS}
TRUTH = {name: [row["id"] for row in rows] for name, rows in ROWS.items()}


@attrs.define
class Server:
    """Five logs that hold still, and a network that has faults now and then."""

    seed: int
    broken: bool = False
    dice: random.Random = attrs.field(init=False)

    def __attrs_post_init__(self):
        self.dice = random.Random(self.seed)

    async def __call__(self, call):
        await asyncio.sleep(LATENCY * self.dice.uniform(0.2, 1.8))
        luck = self.dice.random()
        if self.broken:
            self.broken = False
            raise aiohttp.ServerDisconnectedError
        if luck < 0.05:
            return self.dice.choice([500, 503])
        if luck < 0.08:
            return answer(429, b"", {"Retry-After": "1"})
        query = call.url.query
        rows = ROWS[call.url.path.split("/")[-2]]
        if query.get("order") == "desc":
            rows = rows[::-1]
        page, take = call.page, int(query["take"])
        pages = max(1, -(-len(rows) // take))
        return page_body(
            rows[(page - 1) * take : page * take],
            page=page,
            take=take,
            item_count=len(rows),
            page_count=pages,
            has_next_page=page < pages,
        )


def session():
    retry = RetryPolicy(base=0.01, throttled_base=0.01, deadline=30)
    return CanopySession("acme", "t0ken", concurrency=4, retry=retry)


class Reader:
    """Reads, until it is ended; keeps what it was given and where to go on."""

    def __init__(self):
        self.found = Counter()
        self.places = {}

    def take(self, name, events):
        self.found.update((name, event.id) for event in events)


class OneLog(Reader):
    """One log, read page by page."""

    async def read(self, canopy):
        place = self.places.get("one")
        run = canopy.events("one", order="asc", take=20, resume=place).open()
        async with run:
            try:
                async for event in run:
                    self.take("one", [event])
            finally:
                self.places["one"] = run.checkpoint

    def truth(self):
        return {("one", event_id): 1 for event_id in TRUTH["one"]}


class ManyLogs(Reader):
    """All logs, side by side."""

    def __init__(self):
        super().__init__()
        self.done = set()

    async def read(self, canopy):
        left = [name for name in IDS if name not in self.done]
        fan_out = canopy.fan_out(
            left,
            order="asc",
            take=20,
            width=3,
            resume=self.places,
            on_end=lambda outcome: self.done.add(outcome.identity_id),
        )
        async with fan_out:
            try:
                async for name, event in fan_out:
                    self.take(name, [event])
            finally:
                self.places |= fan_out.checkpoints

    def truth(self):
        return {(name, id_): 1 for name, ids in TRUTH.items() for id_ in ids}


class Followed(Reader):
    """All logs, followed from their beginning until nothing is new."""

    async def read(self, canopy):
        follower = canopy.follow(
            list(IDS),
            start="beginning",
            checkpoints={k: v for k, v in self.places.items() if v is not None},
            every=1.0,
        )
        left = sum(IDS.values()) - self.found.total()
        async with follower:
            try:
                while left > 0:
                    async for event in follower.events():
                        name = list(IDS)[int(event.id.removeprefix("evt_")) // 1_000]
                        self.take(name, [event])
                        left -= 1
                        if not left:
                            break
            finally:
                self.places |= follower.checkpoints

    truth = ManyLogs.truth


SCENARIOS = {"one log": OneLog, "many logs": ManyLogs, "followed": Followed}


@attrs.define
class Trial:
    """One read that is ended in one way, and then gone on with."""

    reader: Reader
    server: Server
    end: str
    canopy: CanopySession | None = None
    task: asyncio.Task | None = None
    scope: asyncio.Timeout | None = None
    closing: asyncio.Task | None = None

    def inject(self):
        if self.task is None or self.scope is None or self.task.done():
            return
        soon = asyncio.get_running_loop().call_soon
        if self.end == "fault":
            self.server.broken = True
        elif self.end == "timeout":
            self.scope.reschedule(asyncio.get_running_loop().time())
        elif self.end.startswith("close"):
            self.closing = asyncio.ensure_future(self.canopy.aclose())
            if self.end == "close and cancel":
                soon(self.closing.cancel)
        else:
            self.task.cancel()
            if self.end == "cancel twice":
                soon(self.task.cancel)

    async def carry_out(self):
        self.canopy = session()
        self.task = asyncio.ensure_future(self._limited())
        with suppress(asyncio.CancelledError, TimeoutError, SessionClosedError):
            await self.task
        if self.closing is not None:
            with suppress(asyncio.CancelledError):
                await self.closing
        stats = self.canopy.stats
        assert stats.in_flight == stats.waiting == 0
        await self.canopy.aclose()
        await asyncio.sleep(0)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"left behind: {left}"
        async with session() as another:
            await self.reader.read(another)

    async def _limited(self):
        async with asyncio.timeout(None) as self.scope:
            await self.reader.read(self.canopy)


def tried(scenario, end, step, *, seed=0):
    """Inject an end into a step; return how many steps there were.

    Raises:
        AssertionError: Something was lost, doubled or left behind.
        CanopyError: A read failed that only had to wait.
    """
    reader = SCENARIOS[scenario]()
    trial = Trial(reader, Server(seed), end)
    loop = StepLoop(step, trial.inject)
    with (
        simulated(trial.server),
        warnings.catch_warnings(),
        asyncio.Runner(loop_factory=lambda: loop) as runner,
    ):
        warnings.simplefilter("error")
        runner.run(trial.carry_out())
    lost = reader.truth().keys() - reader.found.keys()
    doubled = [key for key, count in reader.found.items() if count > 1]
    assert not lost, f"lost {len(lost)}: {sorted(lost)[:3]}"
    assert not doubled, f"doubled {len(doubled)}: {doubled[:3]}"
    return loop.steps


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="try each n-th step")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    gc.disable()
    for scenario in SCENARIOS:
        steps = tried(scenario, "cancel", 0, seed=chosen.seed)
        for end in ENDS:
            for step in range(1, steps + 1, chosen.every):
                try:
                    tried(scenario, end, step, seed=chosen.seed)
                except BaseException:
                    print(f"FAILED: {scenario}, {end!r} in step {step}")
                    raise
            print(f"{scenario}, {end}: every {chosen.every} of {steps} steps")
            gc.collect()


if __name__ == "__main__":
    main()
