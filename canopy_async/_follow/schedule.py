"""`Schedule`: periodic work for thousands of members, done by a few tasks."""

import asyncio
from collections.abc import Callable, Coroutine
from heapq import heappop, heappush
from itertools import count
from typing import Any, Final, Generic, TypeVar

from canopy_async._util.tasks import start_task, until_all_done

__all__ = ["Schedule"]

M = TypeVar("M")


class Schedule(Generic[M]):
    """Runs a piece of work for each member, again and again, the most overdue first.

    Between two runs a member is an entry in a heap. One timer serves all members: it
    is set for the next turn that is due, and there is none while nothing is due.

    Args:
        work: One turn of a member. It returns the seconds until the member's next turn,
            None for no more turns. It must not raise.
        width: How many turns run at a time at most.
        interrupted: Called when a turn was cancelled, but not by this schedule.
    """

    def __init__(
        self,
        work: Callable[[M], Coroutine[Any, Any, float | None]],
        *,
        width: int,
        interrupted: Callable[[], None],
    ) -> None:
        self._work: Final = work
        self._width: Final = width
        self._interrupted: Final = interrupted
        self._members: Final[set[M]] = set()
        self._due: Final[list[tuple[float, int, M]]] = []
        self._entries: Final = count()
        self._tasks: Final[dict[asyncio.Task[float | None], M]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False

    def add(self, member: M) -> None:
        """Add a member; its first turn comes as soon as there is room."""
        if self._ended:
            return
        self._members.add(member)
        self._enter(member, 0.0)
        self._pump()

    def drop(self, member: M) -> None:
        """Give a member no more turns, and cancel the turn that it may be having."""
        self._members.discard(member)
        for task, working in self._tasks.items():
            if working is member:
                task.cancel()

    def end(self) -> None:
        """Give no member more turns; cancel all turns but the one that calls this."""
        self._ended = True
        self._cancel_timer()
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()

    async def aclose(self) -> None:
        """End, and wait until every turn has ended, even if the wait is cancelled."""
        self.end()
        await until_all_done(self._tasks)

    def _enter(self, member: M, wait: float) -> None:
        instant = asyncio.get_running_loop().time() + wait
        heappush(self._due, (instant, next(self._entries), member))

    def _pump(self) -> None:
        """Begin the turns that are due, up to ``width``; set the timer for the next."""
        self._cancel_timer()
        if self._ended:
            return
        loop = asyncio.get_running_loop()
        while self._due and len(self._tasks) < self._width:
            instant, _, member = self._due[0]
            if member in self._members:
                if instant > loop.time():
                    self._timer = loop.call_at(instant, self._pump)
                    return
                self._begin(member)
            heappop(self._due)

    def _begin(self, member: M) -> None:
        task = start_task(self._work(member))
        self._tasks[task] = member
        task.add_done_callback(self._worked)

    def _worked(self, task: asyncio.Task[float | None]) -> None:
        member = self._tasks.pop(task)
        if self._ended:
            return
        if task.cancelled():
            if member in self._members:
                self._interrupted()
        elif member in self._members:
            wait = task.result()
            if wait is not None:
                self._enter(member, wait)
        self._pump()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
