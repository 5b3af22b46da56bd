"""Every schedule of a small world: short lists, and all that may happen to them.

A random simulation (`walksim`) finds what is likely; this one leaves nothing out. The
world is a list of a few rows on a server. A read has a few requests in flight, which
the server answers in any order, and at any instant a row may be added or removed
anywhere. What a read may see of that is very little: each answer holds rows as they
were at one instant, and a count as it was at another. So a schedule is a history, the
list at each of its instants, and two instants for each answer, neither before the
answer's request was sent. `explore` follows the walk through all of them.

States that nothing can tell apart any more are folded into one: the walk has seen the
same answers, and the list is what it is, whatever it was before the oldest request
that is under way was sent. Rows are removed and added before page 1 is served in no
schedule, as that makes another list to begin with.

`explore` raises `WrongError` where a walk hands out a row twice or out of order, loses
one that was there throughout, or raises without a reason that is true of that history.
Run as a script, it goes through all worlds of some sizes, or of one, and prints how
many states those had:

    python tests/simulation/smallworld.py
    python tests/simulation/smallworld.py --rows 5 --moves 2 --tying
"""

import argparse
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timedelta
from functools import cache

import attrs
from walksim import EPOCH, SimRow

from canopy_async._walk import WHOLE, Span, Walk, Window, proven_walk
from canopy_async.checkpoint import Checkpoint, CheckpointBuilder
from canopy_async.errors import (
    CanopyError,
    IncompleteReadError,
    UnorderedListError,
    UnprovenTiesError,
)
from canopy_async.models import Page, PageMeta
from canopy_async.report import Proof

Rows = tuple[SimRow, ...]
"""The list at one instant, oldest first."""

_SPACING = 1 << 10
"""Milliseconds between two rows at the start: room for others between them."""

_MOST_ANSWERS = 400
"""Answers that a walk may take: more, and it chases a list that stands still."""


@attrs.frozen(kw_only=True)
class World:
    """What all schedules of one exploration have in common.

    Attributes:
        runs: How many rows of each key the list has to begin with, oldest first.
        order: The order that the read asks for.
        take: Rows per page at most, of the pages that are planned.
        max_take: Rows per page that the server allows.
        width: Requests in flight at most.
        moves: How many rows are added and removed in all, at most.
        tying: Whether a row that is added may tie with one beside it.
        counts_first: Whether the server counts rows before it selects them.
        cut: After how many rows the read is cut, and goes on from a checkpoint;
            None for a read of the whole list.
    """

    runs: tuple[int, ...]
    order: str = "desc"
    take: int = 5
    max_take: int = 8
    width: int = 3
    moves: int = 2
    tying: bool = False
    counts_first: bool = False
    cut: int | None = None

    def rows(self) -> Rows:
        """Return the list as it is to begin with."""
        return tuple(
            _row(number * _SPACING, f"{number}{'abcdefghij'[at]}")
            for number, run in enumerate(self.runs, 1)
            for at in range(run)
        )


@attrs.define
class Tally:
    """What was gone through.

    Attributes:
        states: How many states could be told apart.
        walks: In how many different ways a walk was answered.
        ends: How many states were the end of a read that was complete.
        refusals: How many were the end of a read that raised.
    """

    states: int = 0
    walks: int = 0
    ends: int = 0
    refusals: int = 0

    def add(self, other: "Tally") -> None:
        """Add what another exploration went through."""
        self.states += other.states
        self.walks += other.walks
        self.ends += other.ends
        self.refusals += other.refusals


class WrongError(AssertionError):
    """A walk got a schedule wrong; the message tells which, and what was wrong."""


MakeWalk = Callable[[World, Span], Walk[SimRow]]


def proven(world: World, span: Span) -> Walk[SimRow]:
    """Return the walk under test."""
    return proven_walk(
        take=world.take, max_take=world.max_take, order=world.order, span=span
    )


# The list


def _row(key: int, id_: str) -> SimRow:
    return SimRow(id_, EPOCH + timedelta(milliseconds=key))


class _List:
    """The list as it is at one instant; there is one object for equal lists.

    Args:
        rows: Its rows, oldest first.
        world: The world that it is in.
        known: All lists of an exploration.

    Attributes:
        has_long_run: Whether rows of one key lie so that no page shows all of them
            and what is on both sides.
    """

    __slots__ = ("_known", "_moved", "_pages", "_world", "has_long_run", "ids", "rows")

    def __init__(self, rows: Rows, world: World, known: dict[Rows, "_List"]) -> None:
        self.rows = rows
        self.ids = frozenset(row.id for row in rows)
        newest_first = world.order == "desc"
        self.has_long_run = _has_long_run(
            [row.created_at for row in (rows[::-1] if newest_first else rows)],
            world.max_take,
        )
        self._world = world
        self._known = known
        self._moved: dict[int, tuple[_List, ...]] = {}
        self._pages: dict[tuple[int, ...], Page[SimRow]] = {}

    def moved(self, number: int) -> tuple["_List", ...]:
        """Return what it may be after one move, the one of this number."""
        if number not in self._moved:
            self._moved[number] = tuple(map(self._other, self._move(number)))
        return self._moved[number]

    def _move(self, number: int) -> Iterator[Rows]:
        rows = self.rows
        for at in range(len(rows)):
            yield rows[:at] + rows[at + 1 :]
        for at in range(len(rows) + 1):
            for key in _keys_between(rows, at, tying=self._world.tying):
                new = SimRow(f"{number} at {key:%S.%f}", key)
                yield (*rows[:at], new, *rows[at:])

    def _other(self, rows: Rows) -> "_List":
        if rows not in self._known:
            self._known[rows] = _List(rows, self._world, self._known)
        return self._known[rows]

    def serve(self, window: Window, count: int) -> Page[SimRow]:
        """Return a page, with a count that may be that of another instant."""
        page, take = window.page, window.take
        newest_first = window.newest_first or self._world.order == "desc"
        key = page, take, newest_first, count
        if key not in self._pages:
            start, pages = (page - 1) * take, -(-count // take)
            rows = self.rows[::-1] if newest_first else self.rows
            self._pages[key] = Page(
                items=rows[start : start + take],
                pagination=PageMeta(
                    page=page,
                    take=take,
                    item_count=count,
                    page_count=pages,
                    has_previous_page=page > 1,
                    has_next_page=page < pages,
                ),
            )
        return self._pages[key]


def _keys_between(rows: Rows, at: int, *, tying: bool) -> list[datetime]:
    """Return the keys, of all kinds, that a row may have that is added there."""
    gap = timedelta(milliseconds=_SPACING)
    before = rows[at - 1].created_at if at else None
    after = rows[at].created_at if at < len(rows) else None
    ties = {key for key in (before, after) if key is not None and tying}
    if before is None:
        between = EPOCH if after is None else after - gap
    elif after is None:
        between = before + gap
    else:
        between = before + (after - before) / 2
    return sorted({between} | ties)


def _has_long_run(keys: list[datetime], most: int) -> bool:
    """Tell whether a run of ties lies so that no page shows what is on both sides."""
    runs = [len([*run]) for _, run in itertools.groupby(keys)]
    places = zip(runs, itertools.accumulate(runs), strict=True)
    return any(run > 1 and not _is_shown(end - run, end, most) for run, end in places)


@cache
def _is_shown(start: int, end: int, most: int) -> bool:
    """Tell whether a page of so many rows at most begins before and ends after."""
    return any(
        (page - 1) * take < max(start, 1) and end < page * take
        for take in range(1, most + 1)
        for page in range(1, end + 2)
    )


# The walk


@attrs.define(eq=False)
class _Node:
    """A walk after certain answers; `answered` leads on from it.

    Attributes:
        windows: The windows that are under way.
        was: Where each of them was among the windows under way before the last
            answer, None for one that was asked for since.
        read: The rows handed out.
        walk: What stands there, until it is moved on.
    """

    world: World
    make_walk: MakeWalk
    pages: tuple[Page[SimRow], ...] = ()
    windows: tuple[Window, ...] = ()
    was: tuple[int | None, ...] = ()
    read: Rows = ()
    raised: CanopyError | None = None
    is_resumed: bool = False
    walk: Walk[SimRow] | None = None
    _children: dict[tuple[int | str, ...], "_Node"] = attrs.field(factory=dict)

    @classmethod
    def first(cls, world: World, make_walk: MakeWalk) -> "_Node":
        """Return the walk before the first answer."""
        node = cls(world, make_walk)
        node.begin(WHOLE)
        return node

    @property
    def is_over(self) -> bool:
        """Whether the read has ended, in one way or the other."""
        return self.raised is not None or not self.windows

    def answered(self, page: Page[SimRow]) -> tuple["_Node", bool]:
        """Return the walk after the next answer, and whether that is a new one."""
        # There is one window to answer: all that is not told by it is told by this.
        key = (page.pagination.item_count, *[row.id for row in page.items])
        if (known := self._children.get(key)) is not None:
            return known, False
        walk, self.walk = self.walk, None
        if walk is None:  # it was moved on: another one is brought here
            again = _Node.first(self.world, self.make_walk)
            for earlier in self.pages:
                again.accept_page(earlier)
            walk, again.walk = again.walk, None
        child = _Node(
            self.world,
            self.make_walk,
            pages=self.pages,
            windows=tuple(walk.windows),
            read=self.read,
            is_resumed=self.is_resumed,
            walk=walk,
        )
        child.accept_page(page)
        self._children[key] = child
        return child, True

    def begin(self, span: Span) -> None:
        """Begin to read a part of the list, or all of it."""
        self.walk = self.make_walk(self.world, span)
        self._fill(())

    def accept_page(self, page: Page[SimRow]) -> None:
        """Take an answer, and ask for what comes next."""
        before = tuple(self.walk.windows)
        self.pages += (page,)
        try:
            rows = tuple(self.walk.accept_page(page))
            if self._is_cut_by(rows):
                self._resume(rows)
            else:
                self.read += rows
                self._fill(before)
        except CanopyError as error:
            self.raised = error

    def _fill(self, before: tuple[Window, ...]) -> None:
        """Ask for as many windows as may be in flight."""
        walk = self.walk
        while not walk.done and len(walk.windows) < self.world.width:
            if walk.plan() is None:
                break
        now = () if walk.done else tuple(walk.windows)
        places = {window: place for place, window in enumerate(before)}
        self.was = tuple(places.get(window) for window in now)
        self.windows = now

    def _is_cut_by(self, rows: Rows) -> bool:
        cut = self.world.cut
        if cut is None or self.is_resumed:
            return False
        return len(self.read) + len(rows) >= cut

    def _resume(self, rows: Rows) -> None:
        """End the read after the cut; go on from a checkpoint, as text."""
        left = len(self.read) + len(rows) - self.world.cut
        place = CheckpointBuilder(lambda: "small world")
        place.advance(self.read)
        handed = rows[: len(rows) - left]
        checkpoint = place.checkpoint(
            handed, self.walk.report(), position=self.walk.position - left
        )
        self.read += handed
        self.is_resumed = True
        self.begin(Span(resume=Checkpoint.loads(checkpoint.dumps())))


# The schedules


@attrs.frozen
class _State:
    """One of the states that can be told apart.

    Attributes:
        node: The walk.
        history: The list at each instant that an answer may still come from, the
            latest last.
        asked: For each window under way, at which of them it was asked for.
        owed: The rows that were there since page 1 was served, None before.
        moves: How many moves there were.
        moved_inside: Whether one was elsewhere than at the ends of the log.
        had_long_run: Whether the list had a run of ties that no page shows whole.
    """

    node: _Node
    history: tuple[_List, ...]
    asked: tuple[int, ...]
    owed: frozenset[str] | None = None
    moves: int = 0
    moved_inside: bool = False
    had_long_run: bool = False


def explore(world: World, make_walk: MakeWalk = proven) -> Tally:
    """Follow a walk through all schedules of a world.

    Raises:
        WrongError: A schedule has shown that the walk is wrong.
    """
    root = _Node.first(world, make_walk)
    start = _List(world.rows(), world, {})
    tally = Tally(states=1)
    seen: set[_State] = set()
    left = [_State(root, (start,), (0,) * len(root.windows))]
    while left:
        state = left.pop()
        node = state.node
        if node.is_over:
            _judge(state, world)
            tally.refusals += node.raised is not None
            tally.ends += node.raised is None
            continue
        if len(node.pages) > _MOST_ANSWERS:
            raise WrongError(_told(state, world, "it asks on and on"))
        for after, is_new in _answers(state, world):
            tally.walks += is_new
            if after not in seen:
                seen.add(after)
                left.append(after)
    tally.states += len(seen)
    return tally


def _answers(state: _State, world: World) -> Iterator[tuple[_State, bool]]:
    """Yield what may come next: the first window's answer, from any two instants."""
    for moves in range(world.moves - state.moves + 1):
        for lists in _futures(state.history[-1], state.moves, moves):
            later = _after_moves(state, lists)
            latest = len(later.history) - 1
            # Page 1 is served at once: before it, moves make but another list.
            last_first = latest if state.owed is not None else 0
            for first in range(state.asked[0], last_first + 1):
                # What was answered before the last move is answered without it, too.
                for second in range(max(first, latest) if moves else first, latest + 1):
                    yield _answer(later, first, second, world)


def _futures(now: _List, number: int, moves: int) -> Iterator[tuple[_List, ...]]:
    """Yield what becomes of a list, move by move."""
    if not moves:
        yield ()
        return
    for moved in now.moved(number):
        for rest in _futures(moved, number + 1, moves - 1):
            yield moved, *rest


def _after_moves(state: _State, lists: tuple[_List, ...]) -> _State:
    if not lists:
        return state
    steps = itertools.pairwise((state.history[-1], *lists))
    return attrs.evolve(
        state,
        history=state.history + lists,
        moves=state.moves + len(lists),
        moved_inside=state.moved_inside or not all(itertools.starmap(_at_end, steps)),
    )


def _at_end(before: _List, after: _List) -> bool:
    """Tell whether a row came at the newest end, or went at the oldest."""
    return after.rows[:-1] == before.rows or before.rows[1:] == after.rows


def _answer(
    state: _State, first: int, second: int, world: World
) -> tuple[_State, bool]:
    """Answer the first window with rows and a count of two instants."""
    history = state.history
    selected, counted = (second, first) if world.counts_first else (first, second)
    page = history[selected].serve(state.node.windows[0], len(history[counted].rows))
    node, is_new = state.node.answered(page)
    owed = state.owed
    if owed is None:
        owed, since = history[selected].ids, selected
    else:
        since = 0
    for then in history[since:]:
        if not owed <= then.ids:
            owed &= then.ids
    latest = len(history) - 1
    asked = [latest if was is None else state.asked[was] for was in node.was]
    oldest = min(asked, default=latest)
    after = _State(
        node,
        history[oldest:],
        tuple(at - oldest for at in asked),
        owed,
        state.moves,
        state.moved_inside,
        state.had_long_run or any(then.has_long_run for then in history),
    )
    return after, is_new


# The verdict


def _judge(state: _State, world: World) -> None:
    """Raise where a read that is over is not what it must be.

    Raises:
        WrongError: It is not.
    """
    node = state.node
    report = node.walk.report()
    ids = [row.id for row in node.read]
    lost = state.owed - set(ids)
    # Rows that come and go in the middle in equal numbers leave no trace in a count.
    claims_more = report.proof is not Proof.COUNT or not state.moved_inside
    if len(ids) != len(set(ids)):
        wrong = "a row is handed out twice"
    elif not _is_in_order(node):
        wrong = "rows are handed out in disorder"
    elif node.raised is None and lost and claims_more:
        wrong = f"{sorted(lost)} are lost"
    elif report.complete == (node.raised is not None):
        wrong = "the report says otherwise"
    elif node.raised is not None and not _is_true(node.raised, state):
        wrong = f"it raises without a reason: {node.raised!r}"
    else:
        return
    raise WrongError(_told(state, world, wrong))


def _is_in_order(node: _Node) -> bool:
    """Tell whether rows are handed out in the order that was asked for.

    Where nothing had shown the order of the list when the read was cut, what is there
    now may be handed out as what comes next.
    """
    keys = [row.created_at for row in node.read]
    if keys == sorted(keys, reverse=node.world.order == "desc"):
        return True
    return node.is_resumed and _lacks_order(node) and _is_sorted(keys)


def _lacks_order(node: _Node) -> bool:
    """Tell whether nothing showed the order of the list when it was needed."""
    if node.is_resumed:
        return len({row.created_at for row in node.read[: node.world.cut]}) == 1
    return all(len({row.created_at for row in page.items}) <= 1 for page in node.pages)


def _is_sorted(keys: list[datetime]) -> bool:
    return sorted(keys) in (keys, keys[::-1])


def _is_true(reason: CanopyError, state: _State) -> bool:
    """Tell whether an error says what was the case in a history.

    A few moves are no drift that is too fast. What is left are three cases. Rows of
    one key are too many for a page, while the list moves. Or an answer counts more
    rows than it sends, as rows came or went between the two: then the server seems to
    cut pages without a word, to fewer rows than a proof takes. Or
    nothing had shown the order of the list when all rows that were read were removed,
    or when the read was cut.
    """
    node = state.node
    if state.moves and any(map(_seems_cut, node.pages)):
        return isinstance(reason, IncompleteReadError)
    if isinstance(reason, UnorderedListError):
        return state.moves > 0 and _lacks_order(node)
    has_ties = state.moves > 0 and state.had_long_run
    return has_ties and isinstance(reason, UnprovenTiesError)


def _seems_cut(page: Page[SimRow]) -> bool:
    meta = page.pagination
    return len(page.items) < meta.take and meta.has_next_page


def _told(state: _State, world: World, wrong: str) -> str:
    answers = [
        f"  {meta.take} rows of page {meta.page}, of {meta.item_count} counted:"
        f" {' '.join(row.id for row in page.items)}"
        for page in state.node.pages
        for meta in (page.pagination,)
    ]
    handed = " ".join(row.id for row in state.node.read)
    return "\n".join((f"{wrong}, in {world}:", *answers, f"  handed out: {handed}"))


# All of them


def lists(most: int, *, tying: bool) -> Iterator[tuple[int, ...]]:
    """Yield the lists of up to so many rows, by how many rows each key has."""
    for count in range(most + 1):
        for marks in itertools.product((False, True), repeat=max(0, count - 1)):
            if any(marks) and not tying:
                continue
            runs = [1] if count else []
            for tied in marks:
                if tied:
                    runs[-1] += 1
                else:
                    runs.append(1)
            yield tuple(runs)


def worlds(
    *,
    rows: int,
    moves: int,
    tying: bool = False,
    least: int = 0,
    orders: tuple[str, ...] = ("desc", "asc"),
    takes: tuple[int, ...] = (4, 5),
    widths: tuple[int, ...] = (1, 2, 3),
) -> Iterator[World]:
    """Yield the worlds of ``least`` to so many ``rows``: each way to read each list."""
    for runs in lists(rows, tying=tying):
        for order, take, width, counts_first, cut in itertools.product(
            orders, takes, widths, (False, True), (None, *range(1, sum(runs) + 1))
        ):
            if sum(runs) >= least:
                yield World(
                    runs=runs,
                    order=order,
                    take=take,
                    width=width,
                    moves=moves,
                    tying=tying,
                    counts_first=counts_first,
                    cut=cut,
                )


SIZES = ((7, 1, True), (7, 2, False), (4, 2, True), (4, 3, False))
"""Rows and moves at most, and whether rows tie: what some minutes suffice for."""


def main() -> int:
    """Go through all worlds of some sizes; fail where a walk is wrong."""
    parser = argparse.ArgumentParser(description="Every schedule of a small world.")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--moves", type=int, default=2)
    parser.add_argument("--tying", action="store_true")
    options = parser.parse_args()
    sizes = SIZES
    if options.rows is not None:
        sizes = ((options.rows, options.moves, options.tying),)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for rows, moves, tying in sizes:
            began = time.monotonic()
            chosen = [*worlds(rows=rows, moves=moves, tying=tying)]
            total = Tally()
            for tally in pool.map(explore, chosen, chunksize=4):
                total.add(tally)
            print(
                f"{rows} rows, {moves} moves, {'with' if tying else 'no'} ties:"
                f" {len(chosen)} worlds, {total.states} states, {total.walks} walks,"
                f" {total.ends} complete, {total.refusals} refused,"
                f" {time.monotonic() - began:.0f} s",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
