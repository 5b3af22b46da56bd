"""The gate of all requests, in virtual time: width, turns, rate, cooldown, budget."""

import asyncio
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.virtual import now, run, settle, virtual

from canopy_async._transport.attempt import Fault, NotAdmittedError
from canopy_async._transport.gate import Gate
from canopy_async._transport.retry_budget import RETRY_BUDGET, RETRY_EARNED
from canopy_async._transport.turns import ReadQueue, RoundRobin


def queue_of(gate):
    """The queue of one more read."""
    return ReadQueue(gate.turns)


def alone(gate):
    """The ticket of a request that is a read of its own."""
    return queue_of(gate).ticket()


async def hold(gate, seconds, log=None, *, urgent=False, name=None, queue=None):
    """Pass the gate as a request does, and stay for a while."""
    ticket = (queue or queue_of(gate)).ticket(urgent=urgent)
    started = await gate.acquire(ticket)
    try:
        if log is not None:
            log.append((name, started))
        await asyncio.sleep(seconds)
    finally:
        gate.release(ticket)


def waiting(gate, count, log, **options):
    return [
        asyncio.create_task(hold(gate, 1, log, name=n, **options)) for n in range(count)
    ]


@pytest.mark.parametrize("width", [1, 3, 8])
@virtual
async def test_no_more_than_the_width_are_in_flight(width):
    gate, log = Gate(width), []
    await asyncio.gather(*waiting(gate, 20, log))
    assert gate.stats.peak_in_flight == width
    assert gate.stats.in_flight == gate.stats.waiting == 0
    assert gate.stats.requests == 20
    assert now() == -(-20 // width)


@virtual
async def test_single_requests_take_their_turns_in_the_order_of_asking():
    gate, log = Gate(2), []
    await asyncio.gather(*waiting(gate, 9, log))
    assert [name for name, _ in log] == list(range(9))


@virtual
async def test_reads_take_turns_however_many_requests_each_has():
    gate, log = Gate(1), []
    first = asyncio.create_task(hold(gate, 1, log, name="first"))
    await settle()
    long, short = queue_of(gate), queue_of(gate)
    tasks = [
        asyncio.create_task(hold(gate, 1, log, name=f"long {n}", queue=long))
        for n in range(4)
    ]
    tasks += [
        asyncio.create_task(hold(gate, 1, log, name=f"short {n}", queue=short))
        for n in range(2)
    ]
    tasks.append(asyncio.create_task(hold(gate, 1, log, name="single")))
    await asyncio.gather(first, *tasks)
    assert [name for name, _ in log] == [
        "first",
        *("long 0", "short 0", "single", "long 1", "short 1", "long 2", "long 3"),
    ]


@virtual
async def test_a_group_of_reads_has_one_turn_and_shares_it_by_turns():
    gate, log = Gate(1), []
    first = asyncio.create_task(hold(gate, 1, log, name="first"))
    await settle()
    group = RoundRobin(gate.turns)
    members = [ReadQueue(group) for _ in range(3)]
    tasks = [
        asyncio.create_task(hold(gate, 1, log, name=f"{n}{m}", queue=member))
        for m, member in enumerate(members)
        for n in "ab"
    ]
    single = queue_of(gate)
    tasks += [
        asyncio.create_task(hold(gate, 1, log, name="x", queue=single))
        for _ in range(4)
    ]
    await asyncio.gather(first, *tasks)
    names = [name for name, _ in log][1:]
    assert names == ["a0", "x", "a1", "x", "a2", "x", "b0", "x", "b1", "b2"]


@virtual
async def test_the_page_that_its_reader_waits_for_goes_first_within_its_read_only():
    gate, log = Gate(1), []
    first = asyncio.create_task(hold(gate, 1, log, name="first"))
    await settle()
    read, other = queue_of(gate), queue_of(gate)
    tasks = []
    for name, urgent, queue in [
        ("page 2", False, read),
        ("page 3", False, read),
        ("other", False, other),
        ("page 1", True, read),
        ("page 0", True, read),
    ]:
        made = hold(gate, 1, log, name=name, urgent=urgent, queue=queue)
        tasks.append(asyncio.create_task(made))
        await settle()
    await asyncio.gather(first, *tasks)
    assert [name for name, _ in log] == [
        *("first", "page 0", "other", "page 1", "page 2", "page 3")
    ]


@virtual
async def test_a_retry_keeps_the_place_of_its_request_and_passes_by_no_other_read():
    gate, log = Gate(1), []
    read = queue_of(gate)
    early = read.ticket()
    await gate.acquire(early)
    tasks = [
        asyncio.create_task(hold(gate, 1, log, name=f"later {n}", queue=read))
        for n in range(2)
    ]
    tasks.append(asyncio.create_task(hold(gate, 1, log, name="other")))
    await settle()

    async def again():
        gate.release(early)
        await gate.acquire(early)
        log.append(("retry", now()))
        gate.release(early)

    await again()
    await asyncio.gather(*tasks)
    assert [name for name, _ in log] == ["retry", "other", "later 0", "later 1"]


@virtual
async def test_no_read_starves_beside_others_that_keep_coming():
    gate, log = Gate(2), []

    async def keep_asking(name):
        while now() < 100:
            await hold(gate, 1, log, name=name)

    async def read_long():
        queue = queue_of(gate)

        async def worker():
            while now() < 100:
                await hold(gate, 1, log, name="long", queue=queue)

        await asyncio.gather(*(worker() for _ in range(8)))

    await asyncio.gather(read_long(), *(keep_asking(n) for n in range(16)))
    served = [name for name, at in log if at < 100]
    share = served.count("long") / len(served)
    assert share >= 1 / 17
    shares = [served.count(n) / len(served) for n in range(16)]
    assert max(shares) <= 1.5 * min(shares)


@virtual
async def test_a_free_gate_admits_at_once():
    gate = Gate(2)
    ticket = alone(gate)
    assert await gate.acquire(ticket) == 0
    assert gate.stats.in_flight == 1
    gate.release(ticket)


@given(
    st.sampled_from([0.3, 1, 2, 3, 7, 10, 33.3]),
    st.integers(1, 10),
    st.lists(st.floats(0, 3), min_size=1, max_size=40),
    st.integers(0, 2**32),
)
def test_max_rate_holds_over_any_second(rate, width, arrivals, seed):
    dice = random.Random(seed)

    async def scenario():
        gate, log = Gate(width, max_rate=rate), []

        async def arrive(at):
            await asyncio.sleep(at)
            await hold(gate, dice.random() * 2, log, urgent=dice.random() < 0.3)

        await asyncio.gather(*map(arrive, arrivals))
        return [at for _, at in log]

    starts = run(scenario())
    assert len(starts) == len(arrivals)
    spacing = 1 / rate
    for earlier, later in itertools.pairwise(starts):
        assert later - earlier >= spacing * (1 - 1e-9)
    for first in starts:
        window = [at for at in starts if first <= at < first + 1 - 1e-6]
        assert len(window) <= -(-rate // 1)


@virtual
async def test_max_rate_is_used_up_where_there_is_work():
    gate, log = Gate(100, max_rate=10), []
    await asyncio.gather(*waiting(gate, 21, log))
    assert [at for _, at in log] == pytest.approx([n / 10 for n in range(21)])


@virtual
async def test_idle_time_saves_up_no_burst():
    gate, log = Gate(100, max_rate=10), []
    await hold(gate, 0, log)
    await asyncio.sleep(60)
    await asyncio.gather(*waiting(gate, 3, log))
    assert [at for _, at in log] == pytest.approx([0, 60, 60.1, 60.2])


@virtual
async def test_a_cooldown_holds_everybody_the_urgent_too():
    gate, log = Gate(4), []
    running = asyncio.create_task(hold(gate, 0.5, log, name="running"))
    await settle()
    assert gate.cool_down(10)
    tasks = waiting(gate, 3, log) + waiting(gate, 3, log, urgent=True)
    await asyncio.gather(running, *tasks)
    starts = [at for name, at in log if name != "running"]
    assert min(starts) >= 10
    assert max(starts) <= 10 * 1.1 + 1
    assert gate.stats.cooldowns == 1


@virtual
async def test_a_longer_cooldown_wins_and_a_shorter_one_changes_nothing():
    gate = Gate(1)
    assert gate.cool_down(10)
    assert not gate.cool_down(5)
    assert gate.cool_down(30)
    assert 30 <= await gate.acquire(alone(gate)) <= 33
    assert gate.stats.cooldowns == 1
    assert gate.cool_down(1)
    assert gate.stats.cooldowns == 2


@virtual
async def test_a_cooldown_that_comes_while_one_waits_is_kept_to():
    gate, log = Gate(1), []
    gate.cool_down(1)
    tasks = waiting(gate, 1, log)
    await asyncio.sleep(0.5)
    gate.cool_down(20)
    await asyncio.gather(*tasks)
    assert log[0][1] >= 20.5


@virtual
async def test_strain_halves_the_width_once_per_round_trip_and_never_below_one():
    gate = Gate(8)
    for width in (4, 2, 1, 1):
        started = now()
        await asyncio.sleep(1)
        for _ in range(8):  # all that were in flight together
            gate.strained(started)
        assert gate.stats.width == width


@virtual
async def test_a_halved_width_admits_fewer():
    gate, log = Gate(8), []
    gate.strained(now())
    await asyncio.gather(*waiting(gate, 8, log))
    assert gate.stats.peak_in_flight == 4


@virtual
async def test_success_widens_by_about_one_a_round_trip_up_to_the_ceiling():
    gate = Gate(8)
    for _ in range(3):
        gate.strained(now())
        await asyncio.sleep(1)
    widths = []
    for _ in range(12):
        for _ in range(gate.stats.width):
            gate.succeeded()
        widths.append(gate.stats.width)
    assert widths == sorted(widths)
    assert all(b - a <= 1 for a, b in itertools.pairwise([1, *widths]))
    assert widths[-1] == 8


@virtual
async def test_the_retry_budget_is_bounded_and_earned_back_by_successes():
    gate = Gate(1)
    spent = sum(gate.spend_retry() for _ in range(1000))
    assert spent == RETRY_BUDGET
    gate.succeeded()
    assert gate.spend_retry() is (RETRY_EARNED >= 1)
    for _ in range(10_000):
        gate.succeeded()
    assert sum(gate.spend_retry() for _ in range(1000)) == RETRY_BUDGET


@virtual
async def test_cancelled_waiters_leave_and_their_timer_with_them():
    gate, log = Gate(1), []
    gate.cool_down(1000)
    tasks = waiting(gate, 5, log)
    await settle()
    assert gate.stats.waiting == 5
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert gate.stats.waiting == gate.stats.in_flight == 0
    loop = asyncio.get_running_loop()
    assert not [t for t in loop._scheduled if not t.cancelled()]  # noqa: SLF001


@virtual
async def test_one_cancelled_in_the_moment_of_admission_gives_its_slot_back():
    gate, log = Gate(1), []
    ticket = alone(gate)
    await gate.acquire(ticket)
    first, second = waiting(gate, 2, log)
    await settle()
    gate.release(ticket)  # admits the first, which has not run yet
    first.cancel()
    await second
    assert [name for name, _ in log] == [1]
    assert gate.stats.in_flight == 0


def act(gate, what, number, tasks):
    """Do what one step of a script says; `pass` and anything else do nothing."""
    match what:
        case "come" | "urgent":
            made = hold(gate, number / 10, urgent=what == "urgent")
            tasks.append(asyncio.create_task(made))
        case "cancel" if tasks:
            tasks[number % len(tasks)].cancel()
        case "cool":
            gate.cool_down(number / 10 + 0.1)
        case "strain":
            gate.strained(now())
        case "win":
            gate.succeeded()
        case "down":
            fault = Fault("reset", "it was reset")
            gate.failed(alone(gate), fault, unreachable=False)
        case "quiet":
            gate.keep_quiet(number / 10 + 0.1, Fault("quiet", "quiet"))


steps = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *("come", "urgent", "cancel", "cool", "strain", "win", "pass"),
                *("down", "quiet"),
            ]
        ),
        st.integers(0, 50),
    ),
    max_size=60,
)


@settings(max_examples=2 * settings().max_examples)
@given(st.integers(1, 4), st.sampled_from([None, 5.0]), steps)
def test_whatever_happens_no_slot_is_lost_and_all_are_served(width, rate, script):
    async def scenario():
        gate, tasks = Gate(width, max_rate=rate), []

        for what, number in script:
            act(gate, what, number, tasks)
            if what == "pass":
                await asyncio.sleep(number / 20)
            stats = gate.stats
            assert 0 <= stats.in_flight <= width
            assert 1 <= stats.width <= width
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            assert result is None or isinstance(
                result, (asyncio.CancelledError, NotAdmittedError)
            )
        stats = gate.stats
        assert (stats.in_flight, stats.waiting) == (0, 0)
        assert stats.peak_in_flight <= width
        # The gate still opens as wide as it says.
        await asyncio.sleep(100)
        gate.succeeded()
        stats = gate.stats
        for _ in range(stats.width):
            await asyncio.wait_for(gate.acquire(alone(gate)), 60)
        assert gate.stats.in_flight == stats.width

    run(scenario())


@virtual
async def test_a_tenth_of_a_cooldown_at_most_is_added_at_random():
    starts = set()
    for _ in range(20):
        gate, begun = Gate(1), now()
        gate.cool_down(10)
        starts.add(await gate.acquire(alone(gate)) - begun)
    assert min(starts) >= 10
    assert max(starts) <= 11
    assert len(starts) > 10
