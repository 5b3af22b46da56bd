"""Every schedule of a small world: short lists, and all that may happen to them.

A random simulation (`walksim`) finds what is likely; this one leaves nothing out. The
world is a list of a few rows on a server. A read has a few requests in flight, which
the server answers in any order, and at any instant a row may be added or removed
anywhere. What a read may see of that is very little: each answer holds rows as they
were at one instant, and a count as it was at another. So a schedule is a history, the
list at each of its instants, and two instants for each answer, neither before the
answer's request was sent. `explore` follows the walk through all of them.

No schedule is skipped, but many are followed together. A state of a schedule is left
out only where another state that is followed shows all that it could show:

- *Equal states.* A walk has no clock, no network and no random numbers, so that it is a
  function of its answers. Two states are one if their walks had the same answers, and
  if answers can still come from the same lists, however the lists came to be.
- *Other names.* A walk compares ids and keys, and does not compute with them. So two
  states are one, too, if other ids and other keys in the same order turn the one into
  the other. Whether a walk computes with keys is watched (`Key`): where one does, its
  world is explored again, and keys are told apart by their values.
- *States that demand less.* A state is left out if another one of the same answers and
  lists owes all rows that it owes, took no more moves, and excuses no more (`_Demand`).
  Whatever may come next may come next in the other state as well; and where a read is
  wrong after the state that is left out, it is wrong after the other one.
- *Moves that no answer shows yet.* A row is added or removed right before the first
  answer that may show it. Before that, a move changes nothing that a walk can see; and
  all instants since an open request was sent stay there for its answer. Before page 1
  is served no row is moved, as that makes another list to begin with.

A walk that two schedules go on with is not copied, but made again from its answers: a
deep copy takes longer than these few answers.

`explore` raises `WrongError` where a walk hands out a row twice or out of order, loses
one that was there throughout, or raises without a reason that is true of that history.
Run as a script, it goes through the worlds of many sizes, or of one, as far as each
gets in the time that it is given, and prints a table: whether the size was explored
whole, and whether a careless walk was caught there, which certifies any view, and ends
with any that has all rows that are counted. A dash says that no schedule was found, in
the time, in which such a walk is wrong.

    python tests/simulation/smallworld.py
    python tests/simulation/smallworld.py --rows 5 --moves 2 --windows 3 --seconds 600
"""

import argparse
import itertools
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache
from typing import Any, ClassVar, NamedTuple, TypeAlias

import attrs
from walksim import EPOCH, SimRow

from canopy_async._walk import WHOLE, Span, Walk, Window, proven_walk
from canopy_async._walk.key_cover import KeyCover
from canopy_async._walk.list_end import ListEnd
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
        counts_first: Whether the server counts rows before it selects them; None if it
            may do the one or the other at each answer, which is not in the table.
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
    counts_first: bool | None = False
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
        ends: How many states were the end of a read that was complete.
        refusals: How many were the end of a read that raised.
    """

    states: int = 0
    ends: int = 0
    refusals: int = 0

    def add(self, other: "Tally") -> None:
        """Add what another exploration went through."""
        self.states += other.states
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


class Key(datetime):
    """A key that notes if it is computed with, and not only compared.

    Attributes:
        milliseconds: The instant, counted from `EPOCH`.
    """

    was_computed_with: ClassVar[bool] = False
    milliseconds: int

    @classmethod
    def at(cls, milliseconds: int) -> "Key":
        """Return the key of an instant, counted from `EPOCH`."""
        instant = EPOCH + timedelta(milliseconds=milliseconds)
        key = cls.combine(instant.date(), instant.timetz())
        key.milliseconds = milliseconds
        return key

    def __add__(self, other: Any) -> Any:
        Key.was_computed_with = True
        return super().__add__(other)

    def __sub__(self, other: Any) -> Any:
        Key.was_computed_with = True
        return super().__sub__(other)

    def __rsub__(self, other: Any) -> Any:
        Key.was_computed_with = True
        return super().__rsub__(other)


def _row(key: int, id_: str) -> SimRow:
    return SimRow(id_, Key.at(key))


class _Shown:
    """Rows in a list or an answer, as naming them needs them.

    Attributes:
        ids: Their ids.
        keys: Their keys, by id.
    """

    __slots__ = ("ids", "keys")

    def __init__(self, rows: Rows) -> None:
        self.ids = tuple(row.id for row in rows)
        self.keys = {row.id: row.created_at.milliseconds for row in rows}


class _Served(_Shown):
    """An answer.

    Attributes:
        page: The answer as the walk gets it.
    """

    __slots__ = ("page",)

    def __init__(self, page: Page[SimRow]) -> None:
        super().__init__(page.items)
        self.page = page


class _List:
    """The list as it is at one instant; there is one object for equal lists.

    Args:
        rows: Its rows, oldest first.
        world: The world that it is in.
        known: All lists of an exploration.

    Attributes:
        ids: Their ids as a set.
        has_long_run: Whether rows of one key lie so that no page shows all of them
            and what is on both sides.
        shown: The rows as naming them needs them.
        keys: The keys of the rows.
    """

    __slots__ = (
        "_known",
        "_moved",
        "_pages",
        "_world",
        "has_long_run",
        "ids",
        "keys",
        "rows",
        "shown",
    )

    def __init__(self, rows: Rows, world: World, known: dict[Rows, "_List"]) -> None:
        self.rows = rows
        self.shown = _Shown(rows)
        self.ids = frozenset(self.shown.ids)
        self.keys = frozenset(self.shown.keys.values())
        newest_first = world.order == "desc"
        self.has_long_run = _has_long_run(
            [row.created_at for row in (rows[::-1] if newest_first else rows)],
            world.max_take,
        )
        self._world = world
        self._known = known
        self._moved: dict[tuple[int, frozenset[int]], tuple[_List, ...]] = {}
        self._pages: dict[tuple[int, ...], _Served] = {}

    def moved(self, number: int, seen: frozenset[int]) -> tuple["_List", ...]:
        """Return what it may be after one move.

        Args:
            number: How many moves there were before.
            seen: All keys that are in answers, or in lists that answers may come from.
                A row that is added has a key before, between or after them, or one of
                them, also where their rows are gone.
        """
        move = number, seen
        if move not in self._moved:
            self._moved[move] = tuple(map(self._other, self._move(number, seen)))
        return self._moved[move]

    def _move(self, number: int, seen: frozenset[int]) -> Iterator[Rows]:
        rows = self.rows
        for at in range(len(rows)):
            yield rows[:at] + rows[at + 1 :]
        for at in range(len(rows) + 1):
            for key in _keys_between(rows, at, seen, tying=self._world.tying):
                new = SimRow(f"{number} at {key.milliseconds}", key)
                yield (*rows[:at], new, *rows[at:])

    def _other(self, rows: Rows) -> "_List":
        if rows not in self._known:
            self._known[rows] = _List(rows, self._world, self._known)
        return self._known[rows]

    def serve(self, window: Window, count: int) -> _Served:
        """Return a page, with a count that may be that of another instant."""
        page, take = window.page, window.take
        newest_first = window.newest_first or self._world.order == "desc"
        key = page, take, newest_first, count
        if key not in self._pages:
            start, pages = (page - 1) * take, -(-count // take)
            rows = self.rows[::-1] if newest_first else self.rows
            answer: Page[SimRow] = Page(
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
            self._pages[key] = _Served(answer)
        return self._pages[key]


def _keys_between(
    rows: Rows, at: int, seen: frozenset[int], *, tying: bool
) -> list[Key]:
    """Return the keys, of all kinds, that a row may have that is added there."""
    before = rows[at - 1].created_at.milliseconds if at else None
    after = rows[at].created_at.milliseconds if at < len(rows) else None
    ends = {key for key in (before, after) if key is not None}
    gone = {
        key
        for key in seen
        if (before is None or before < key) and (after is None or key < after)
    }
    marks = sorted(ends | gone)
    keys = ends | gone if tying else gone
    keys |= {(one + other) // 2 for one, other in itertools.pairwise(marks)}
    if before is None:
        keys.add(marks[0] - _SPACING if marks else 0)
    if after is None:
        keys.add(marks[-1] + _SPACING if marks else 0)
    return [Key.at(key) for key in sorted(keys)]


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
        keys: The keys of all rows in the answers, by id.
    """

    world: World
    make_walk: MakeWalk
    answers: tuple[_Served, ...] = ()
    windows: tuple[Window, ...] = ()
    was: tuple[int | None, ...] = ()
    read: Rows = ()
    raised: CanopyError | None = None
    is_resumed: bool = False
    walk: Walk[SimRow] | None = None
    keys: dict[str, int] = attrs.field(factory=dict)
    _children: dict[tuple[Any, ...], "_Node"] = attrs.field(factory=dict)

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

    @property
    def pages(self) -> tuple[Page[SimRow], ...]:
        """The answers as the walk got them."""
        return tuple(answer.page for answer in self.answers)

    def answered(self, answer: _Served) -> "_Node":
        """Return the walk after the next answer; there is one for equal answers."""
        # There is one window to answer: all that is not told by it is told by this.
        told = answer.page.pagination.item_count, answer.ids
        if told not in self._children:
            self._children[told] = self._after(answer)
        return self._children[told]

    def _after(self, answer: _Served) -> "_Node":
        walk, self.walk = self.walk, None
        if walk is None:  # it was moved on: another one is brought here
            again = _Node.first(self.world, self.make_walk)
            for earlier in self.answers:
                again.accept_page(earlier)
            walk, again.walk = again.walk, None
        after = _Node(
            self.world,
            self.make_walk,
            answers=self.answers,
            windows=tuple(walk.windows),
            read=self.read,
            is_resumed=self.is_resumed,
            walk=walk,
            keys=self.keys,
        )
        after.accept_page(answer)
        return after

    def begin(self, span: Span) -> None:
        """Begin to read a part of the list, or all of it."""
        self.walk = self.make_walk(self.world, span)
        self._fill(())

    def accept_page(self, answer: _Served) -> None:
        """Take an answer, and ask for what comes next."""
        before = tuple(self.walk.windows)
        self.answers += (answer,)
        self.keys = {**self.keys, **answer.keys}
        try:
            rows = tuple(self.walk.accept_page(answer.page))
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
        place.advance(_stored(self.read))
        handed = rows[: len(rows) - left]
        checkpoint = place.checkpoint(
            _stored(handed), self.walk.report(), position=self.walk.position - left
        )
        self.read += handed
        self.is_resumed = True
        self.begin(Span(resume=Checkpoint.loads(checkpoint.dumps())))


def _stored(rows: Rows) -> Rows:
    """Return rows with keys of the class that a checkpoint can be stored with."""
    return tuple(
        SimRow(row.id, datetime.combine(row.created_at.date(), row.created_at.timetz()))
        for row in rows
    )


# The schedules


class _Demand(NamedTuple):
    """What is demanded of the read that goes on from a state.

    Attributes:
        owed: The rows that are still to be handed out.
        moves: How many moves there were: few leave many, and explain little.
        moved_inside: Whether one was elsewhere than at the ends of the log.
        had_long_run: Whether the list had a run of ties that no page shows whole.
    """

    owed: frozenset[Any]
    moves: int
    moved_inside: bool
    had_long_run: bool

    def covers(self, other: "_Demand") -> bool:
        """Tell whether a read that is wrong under the other one is wrong here, too."""
        return (
            self.moves <= other.moves
            and self.moved_inside <= other.moved_inside
            and self.had_long_run <= other.had_long_run
            and self.owed >= other.owed
        )


@attrs.frozen(eq=False)
class _State:
    """A state of some schedules.

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


@attrs.frozen(eq=False)
class _Answer:
    """An answer that the first window of a state may get.

    Attributes:
        later: The state right before it, after the moves that it shows.
        answer: The answer.
        served: The instant of the history at which its rows were selected.
    """

    later: _State
    answer: _Served
    served: int


Name: TypeAlias = tuple[Any, ...]
"""Answers, lists that others may come from, and since when, in names of rows that only
the order of their keys decides."""


class Exploration:
    """The states of one world that were followed.

    Args:
        world: The world.
        make_walk: Makes the walk.
        exactly: Whether keys are told apart by their values, not by their order.
    """

    def __init__(self, world: World, make_walk: MakeWalk, *, exactly: bool) -> None:
        self._world = world
        self._exactly = exactly
        root = _Node.first(world, make_walk)
        start = _List(world.rows(), world, {})
        self.start = _State(root, (start,), (0,) * len(root.windows))
        self._given: dict[Name, list[_Demand]] = {}

    def run(self) -> Tally:
        """Follow the walk through all schedules.

        Raises:
            WrongError: A schedule has shown that the walk is wrong.
        """
        tally = Tally(states=1)
        left = [self.start]
        while left:
            state = left.pop()
            node = state.node
            if node.is_over:
                _judge(state, self._world)
                tally.refusals += node.raised is not None
                tally.ends += node.raised is None
                continue
            if len(node.answers) > _MOST_ANSWERS:
                raise WrongError(_told(state, self._world, "it asks on and on"))
            for answer in answers(state, self._world):
                if self._is_new(answer):
                    tally.states += 1
                    left.append(follow(answer))
        return tally

    def covers(self, answer: _Answer) -> bool:
        """Tell whether an answer was given, or one that demands as much."""
        name, demand = self._named(answer)
        return any(known.covers(demand) for known in self._given.get(name, ()))

    def _is_new(self, answer: _Answer) -> bool:
        name, demand = self._named(answer)
        known = self._given.setdefault(name, [])
        if any(one.covers(demand) for one in known):
            return False
        known.append(demand)
        return True

    def _named(self, answer: _Answer) -> tuple[Name, _Demand]:
        """Name all that decides what comes after an answer, and what it demands."""
        state = _owing(answer.later, answer.served)
        taken = (*state.node.answers, answer.answer)
        keys = {**state.node.keys, **answer.answer.keys}
        asked = state.asked[1:]
        oldest = min(asked, default=len(state.history) - 1)
        history = state.history[oldest:]
        for then in history:
            keys.update(then.shown.keys)
        name_of = self._names(keys).__getitem__
        name = (
            tuple(at - oldest for at in asked),
            tuple(one.page.pagination.item_count for one in taken),
            tuple(tuple(map(name_of, one.ids)) for one in taken),
            tuple(tuple(map(name_of, then.shown.ids)) for then in history),
        )
        handed = {row.id for row in state.node.read}
        owed = frozenset(map(name_of, state.owed - handed))
        demand = _Demand(owed, state.moves, state.moved_inside, state.had_long_run)
        return name, demand

    def _names(self, keys: dict[str, int]) -> dict[str, int]:
        """Name rows by the order of their keys, and by which of a key comes first."""
        if self._exactly:
            ranks = {key: key for key in keys.values()}
        else:
            ranks = {key: at for at, key in enumerate(sorted(set(keys.values())))}
        most = len(keys)
        if len(ranks) == most:
            return {id_: most * ranks[key] for id_, key in keys.items()}
        names: dict[str, int] = {}
        of_key = dict.fromkeys(ranks, 0)
        for id_, key in keys.items():
            names[id_] = most * ranks[key] + of_key[key]
            of_key[key] += 1
        return names


def explore(world: World, make_walk: MakeWalk = proven) -> Tally:
    """Follow a walk through all schedules of a world.

    Raises:
        WrongError: A schedule has shown that the walk is wrong.
    """
    Key.was_computed_with = False
    tally = Exploration(world, make_walk, exactly=False).run()
    if Key.was_computed_with:
        tally = Exploration(world, make_walk, exactly=True).run()
    return tally


def answers(state: _State, world: World) -> Iterator[_Answer]:
    """Yield the answers that the first window may get, from any two instants."""
    window = state.node.windows[0]
    seen = frozenset(state.node.keys.values()).union(
        *(then.keys for then in state.history)
    )
    for moves in range(world.moves - state.moves + 1):
        for lists_ in _futures(state.history[-1], state.moves, moves, seen):
            later = _after_moves(state, lists_)
            history = later.history
            latest = len(history) - 1
            # Page 1 is served at once: before it, moves make but another list.
            last_first = latest if state.owed is not None else 0
            for first in range(state.asked[0], last_first + 1):
                # What was answered before the last move is answered without it, too.
                for second in range(max(first, latest) if moves else first, latest + 1):
                    for selected, counted in _both_ways(first, second, world):
                        count = len(history[counted].rows)
                        served = history[selected].serve(window, count)
                        yield _Answer(later, served, selected)


def _both_ways(first: int, second: int, world: World) -> set[tuple[int, int]]:
    """Return at which instants rows may be selected and counted."""
    ways = set()
    if world.counts_first is not True:
        ways.add((first, second))
    if world.counts_first is not False:
        ways.add((second, first))
    return ways


def _futures(
    now: _List, number: int, moves: int, seen: frozenset[int]
) -> Iterator[tuple[_List, ...]]:
    """Yield what becomes of a list, move by move."""
    if not moves:
        yield ()
        return
    for moved in now.moved(number, seen):
        for rest in _futures(moved, number + 1, moves - 1, seen | moved.keys):
            yield moved, *rest


def _after_moves(state: _State, lists_: tuple[_List, ...]) -> _State:
    if not lists_:
        return state
    steps = itertools.pairwise((state.history[-1], *lists_))
    return attrs.evolve(
        state,
        history=state.history + lists_,
        moves=state.moves + len(lists_),
        moved_inside=state.moved_inside or not all(itertools.starmap(_at_end, steps)),
    )


def _at_end(before: _List, after: _List) -> bool:
    """Tell whether a row came at the newest end, or went at the oldest."""
    return after.rows[:-1] == before.rows or before.rows[1:] == after.rows


def _owing(state: _State, served: int) -> _State:
    """Return a state with the rows that are owed after an answer, and its excuses."""
    history = state.history
    owed, since = state.owed, 0
    if owed is None:
        owed, since = history[served].ids, served
    for then in history[since:]:
        if not owed <= then.ids:
            owed &= then.ids
    had_long_run = state.had_long_run or any(then.has_long_run for then in history)
    return attrs.evolve(state, owed=owed, had_long_run=had_long_run)


def follow(answer: _Answer) -> _State:
    """Return the state after an answer."""
    state = _owing(answer.later, answer.served)
    node = state.node.answered(answer.answer)
    latest = len(state.history) - 1
    asked = [latest if was is None else state.asked[was] for was in node.was]
    oldest = min(asked, default=latest)
    return attrs.evolve(
        state,
        node=node,
        history=state.history[oldest:],
        asked=tuple(at - oldest for at in asked),
    )


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


# The table


class Size(NamedTuple):
    """The worlds of one line of the table.

    Attributes:
        rows: How many rows the list has to begin with.
        moves: How many rows are added and removed in all, at most.
        windows: Requests in flight at most.
        tying: Whether rows tie.
    """

    rows: int
    moves: int
    windows: int
    tying: bool

    def worlds(self) -> list[World]:
        """Return all worlds of this size, in an order that is drawn by a fixed seed."""
        chosen = [
            *worlds(
                rows=self.rows,
                least=self.rows,
                moves=self.moves,
                tying=self.tying,
                widths=(self.windows,),
            )
        ]
        random.Random(1).shuffle(chosen)
        return chosen


@contextmanager
def _careless() -> Iterator[None]:
    """Certify any view that has rows, and end with any that has all that is counted."""
    certifies, is_shown_by = KeyCover.certifies, ListEnd.is_shown_by
    KeyCover.certifies = lambda _cover, view: bool(view.rows)
    ListEnd.is_shown_by = lambda _end, view, **_: view.end >= view.count
    try:
        yield
    finally:
        KeyCover.certifies, ListEnd.is_shown_by = certifies, is_shown_by


def explore_until(world: World, deadline: float) -> Tally | str | None:
    """Explore a world in a process of a pool.

    Returns:
        None if it was not begun before the deadline, and what was wrong, if anything
        was.
    """
    if time.time() >= deadline:
        return None
    try:
        return explore(world)
    except WrongError as error:
        return str(error)


def catches(world: World, deadline: float) -> bool:
    """Tell whether a walk that is careless is caught in a world, before a deadline."""
    if time.time() >= deadline:
        return False
    try:
        with _careless():
            explore(world)
    except WrongError:
        return True
    return False


def print_line(pool: ProcessPoolExecutor, size: Size, seconds: float) -> bool:
    """Explore the worlds of a size; print what was found, and return if all is well."""
    began = time.time()
    chosen = size.worlds()
    total, done = Tally(), 0
    wrong: list[str] = []
    deadline = began + seconds
    for found in pool.map(explore_until, chosen, itertools.repeat(deadline)):
        if isinstance(found, Tally):
            total.add(found)
        elif found is not None:
            wrong.append(found)
        done += found is not None
    took = time.time() - began
    deadline = time.time() + max(5.0, took / 4)
    caught = any(catches(world, deadline) for world in chosen)
    extent = "whole" if done == len(chosen) else f"sampled {done}/{len(chosen)}"
    ties = "yes" if size.tying else "no"
    print(
        f"{size.rows:4} {size.moves:5} {size.windows:7}  {ties:4}"
        f" {extent:>16} {total.states:9} {total.ends:9}"
        f" {total.refusals:7} {len(wrong):5}  {'yes' if caught else '-':6} {took:6.0f}",
        flush=True,
    )
    for sentence in wrong[:3]:
        print(sentence)
    return not wrong


HEADER = (
    "rows moves windows  ties           worlds    states  complete refused"
    " wrong  caught seconds"
)

SIZES = (
    *(Size(rows, 1, width, True) for rows in range(8) for width in (1, 2, 3)),
    *(Size(rows, 2, width, False) for rows in range(8) for width in (1, 2, 3)),
    *(Size(rows, 2, width, True) for rows in range(5) for width in (1, 2, 3)),
    *(Size(rows, 3, width, False) for rows in range(5) for width in (1, 2, 3)),
    *(Size(rows, 3, width, True) for rows in range(4) for width in (1, 2, 3)),
)
"""The lines of the table."""


def main() -> int:
    """Go through the worlds of some sizes; fail where a walk is wrong."""
    parser = argparse.ArgumentParser(description="Every schedule of a small world.")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--moves", type=int)
    parser.add_argument("--windows", type=int)
    parser.add_argument("--seconds", type=float, default=60.0, help="for each line")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    asked = options.rows, options.moves, options.windows
    sizes = [
        size
        for size in SIZES
        if all(want in {None, is_} for want, is_ in zip(asked, size, strict=False))
    ]
    if not sizes and None not in asked:
        sizes = [Size(*asked, tying) for tying in (False, True)]
    print(HEADER)
    with ProcessPoolExecutor(options.jobs) as pool:
        are_right = [print_line(pool, size, options.seconds) for size in sizes]
    return 0 if all(are_right) else 1


if __name__ == "__main__":
    sys.exit(main())
