"""Requests ahead of a reader, and their answers, held ready as bytes."""

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Final, TypeAlias
from weakref import WeakMethod

from canopy_async._api.responses import Response
from canopy_async._transport.lanes import Lane, PageRequest
from canopy_async._util.tasks import cancel_and_wait, start_task, until_done
from canopy_async._walk import Window
from canopy_async.errors import NotFoundError, SessionClosedError

__all__ = ["Outcome", "ReadAhead"]

READY_BYTES: Final = 12 * 1024 * 1024
"""Bytes of answers that one read holds ready at most, and has under way, about."""

READY_PER_REQUEST: Final = 8
"""Answers held ready at most, for each request that may be in flight."""

_DEEPEST: Final = 4
"""While one answer is late, up to this many times as many answers are held ready."""

_MAX_BYTES_FACTOR: Final = 2
"""While one answer is late, up to this many times as many bytes are held ready."""

Outcome: TypeAlias = Response | Exception


class ReadAhead:
    """The windows of one read that were asked for and not taken yet.

    Args:
        lane: Sends the requests.
        concurrency: Requests in flight at most.
        on_answer: A method of the reader, called after each answer, when there may be
            room for more. Once the reader is freed, the requests are ended.

    Attributes:
        requests: Requests sent so far, retries included, without those that were
            dropped while they waited for their turn.
        retries: How many of them were repeats.
        failing: Whether some answer was an error that may end the read: until
            it is taken, no more is asked for.
    """

    def __init__(
        self, lane: Lane, concurrency: int, on_answer: Callable[[], None]
    ) -> None:
        self._lane: Final = lane
        self._concurrency: Final = concurrency
        # Weak: a reader that is dropped is freed, though its requests are in flight.
        self._on_answer: WeakMethod[Callable[[], None]] | None = WeakMethod(
            on_answer, self._reader_left
        )
        self._tasks: Final[dict[Window, asyncio.Task[None]]] = {}
        self._outcomes: Final[dict[Window, Outcome]] = {}
        self._dropped: Final[set[asyncio.Task[None]]] = set()
        self._ready_bytes = 0
        self._likely_bytes = 0
        self._is_awaited = False
        self._deepen(1)
        self.requests = 0
        self.retries = 0
        self.failing = False

    def __contains__(self, window: Window) -> bool:
        """Tell whether a window was asked for and not taken or dropped yet."""
        return window in self._tasks or window in self._outcomes

    def find_room(self) -> bool:
        """Tell whether one more window may be asked for, and make room if that pays.

        More room pays where the reader waits for an answer that is late, and answers
        that came before it take all the room. Where the reader is slower than the
        server, more room would only take memory.
        """
        in_flight = len(self._tasks)
        if self.failing or in_flight >= self._concurrency:
            return False
        if in_flight * self._likely_bytes >= READY_BYTES:
            return False
        while (
            len(self._outcomes) >= self._most_ready
            or self._ready_bytes >= self._most_bytes
        ):
            if not self._is_awaited or self._depth >= _DEEPEST:
                return False
            self._deepen(2 * self._depth)
        return True

    def _deepen(self, depth: int) -> None:
        """Hold ``depth`` times as much ready as where no answer is late."""
        self._depth = depth
        self._most_ready = READY_PER_REQUEST * self._concurrency * depth
        self._most_bytes = READY_BYTES * min(depth, _MAX_BYTES_FACTOR)

    def start(self, window: Window, request: PageRequest) -> None:
        """Send the request for a window."""
        fetch = self._fetch(window, request)
        self._tasks[window] = start_task(fetch)

    def sent(self, attempt: int) -> None:
        """Count a request that is sent: its first attempt is 1."""
        self.requests += 1
        if attempt > 1:
            self.retries += 1

    async def arrived(self, window: Window) -> bool:
        """Wait for the answer of a window.

        Returns:
            Whether it is there: not where `aclose` was called meanwhile.

        Raises:
            SessionClosedError: Its task was cancelled by somebody else.
        """
        if window not in self._outcomes:
            await self._wait_for(self._tasks[window])
        if window in self._outcomes:
            return True
        if self._tasks.pop(window, None) is None:
            return False
        raise SessionClosedError("the request was cancelled from outside")

    def answer_of(self, window: Window) -> Response | None:
        """Return the answer of a window if it is held ready, else None."""
        outcome = self._outcomes.get(window)
        return outcome if isinstance(outcome, Response) else None

    def pop(self, window: Window) -> Outcome:
        """Release the answer of a window that has arrived, and return it."""
        outcome = self._outcomes.pop(window)
        if isinstance(outcome, Response):
            self._let_go(outcome)
        return outcome

    def keep_only(self, windows: Collection[Window]) -> None:
        """Forget the windows that are no longer wanted, and end their requests."""
        if len(self._tasks) + len(self._outcomes) <= len(windows):
            return
        wanted = set(windows)
        for window in self._outcomes.keys() - wanted:
            outcome = self._outcomes.pop(window)
            if isinstance(outcome, Response):
                self._let_go(outcome)
            else:
                self.failing = False
        for window in self._tasks.keys() - wanted:
            # It is awaited in aclose(): the rows that were just taken must not wait.
            task = self._tasks.pop(window)
            self._dropped.add(task)
            task.cancel()
            task.add_done_callback(self._dropped.discard)

    async def _wait_for(self, task: asyncio.Task[None]) -> None:
        self._is_awaited = True
        try:
            if self._outcomes:
                self._tell_reader()  # as the reader waits, there may be more room
            await until_done(task)
        finally:
            self._is_awaited = False
            if self._depth > 1:
                self._deepen(1)

    async def aclose(self) -> None:
        """Cancel the requests that are still running, and await them."""
        await cancel_and_wait(self._let_go_of_all())

    def _let_go_of_all(self) -> list[asyncio.Task[None]]:
        """Forget all windows; return the tasks that are to be cancelled."""
        self._on_answer = None
        tasks = [*self._tasks.values(), *self._dropped]
        self._tasks.clear()
        while self._outcomes:
            self.pop(next(iter(self._outcomes)))
        return tasks

    def _reader_left(self, _: object) -> None:
        """End all requests, as the reader was dropped and not closed."""
        task = next(iter(self._tasks.values()), None)
        if task is None:
            return
        # It may be freed by a collection in another thread, or after the loop's end.
        with suppress(RuntimeError):
            task.get_loop().call_soon_threadsafe(self._abandon)

    def _abandon(self) -> None:
        for task in self._let_go_of_all():
            task.cancel()

    def _tell_reader(self) -> None:
        on_answer = self._on_answer and self._on_answer()
        if on_answer is not None:
            on_answer()

    async def _fetch(self, window: Window, request: PageRequest) -> None:
        # An error is kept, not raised: whether it matters is known when the walk takes
        # the window, and a task that nobody awaits would log it.
        outcome: Outcome
        try:
            outcome = await self._lane.get(request)
        except Exception as error:  # noqa: BLE001 - it is raised by the reader
            outcome = error
        if self._tasks.pop(window, None) is None:  # the window was dropped meanwhile
            if isinstance(outcome, Response):
                self._lane.release(outcome)
            return
        self._outcomes[window] = outcome
        if isinstance(outcome, Response):
            self._likely_bytes = len(outcome.body)
            self._ready_bytes += self._likely_bytes
        elif not isinstance(outcome, NotFoundError):
            self.failing = True
        self._tell_reader()

    def _let_go(self, response: Response) -> None:
        self._ready_bytes -= len(response.body)
        self._lane.release(response)
