"""`Mailbox`: many tasks hand items to one reader, and wait while it is busy."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

import attrs

__all__ = ["Mailbox"]

T = TypeVar("T")


@attrs.define(eq=False)
class _Delivery(Generic[T]):
    """An item on its way to the reader.

    Attributes:
        item: The item.
        processed: Done once the reader asks for the next item. It holds the error if
            the reader gave the item back, and is cancelled if the task that put the
            item in is cancelled.
    """

    item: T
    processed: asyncio.Future[None]


class Mailbox(Generic[T]):
    """A queue of items from many tasks for one reader, first in, first out.

    A task that puts an item in waits until the reader is done with that item. A slow
    reader slows the tasks down, so that each task has at most one item here.

    Args:
        name: The thing that is being read, for error messages.
        ended: Returns whether every task that could put an item in has ended. The
            caller must call `wake` when this becomes true.

    Attributes:
        error: The error that the mailbox was stopped with, or None.
        closed: Whether the mailbox was closed.
    """

    def __init__(self, name: str, ended: Callable[[], bool]) -> None:
        self._name: Final = name
        self._ended: Final = ended
        self._waiting: Final[deque[_Delivery[T]]] = deque()
        self._current: _Delivery[T] | None = None
        self._wakeup: asyncio.Future[None] | None = None
        self.error: Exception | None = None
        self.closed = False

    @property
    def current(self) -> T | None:
        """The item that the reader is working on, or None."""
        return None if self._current is None else self._current.item

    @property
    def is_over(self) -> bool:
        """Whether the reader gets no more items than those that wait already."""
        return self.closed or self.error is not None or self._ended()

    async def put(self, item: T) -> None:
        """Hand an item to the reader; return once the reader asks for the next item.

        Raises:
            Exception: The error that the reader passed to `give_back`.
        """
        processed = asyncio.get_running_loop().create_future()
        self._waiting.append(_Delivery(item, processed))
        self.wake()
        await processed

    def check_reader(self) -> None:
        """Check that no other task is waiting for an item: there is only one reader.

        Raises:
            RuntimeError: Another task is waiting for an item.
        """
        if self._wakeup is not None:
            raise RuntimeError(f"{self._name} is being read by another task")

    async def next(self) -> T | None:
        """Finish the current item, and wait for the next one.

        Returns:
            The next item whose task was not cancelled. None at the end: all tasks have
            ended, or the mailbox was stopped or closed.

        Raises:
            RuntimeError: Another task is waiting for an item.
        """
        self.check_reader()
        self.accept()
        while True:
            while not (self._waiting or self.is_over):
                self._wakeup = asyncio.get_running_loop().create_future()
                try:
                    await self._wakeup
                finally:
                    self._wakeup = None
            if self.closed or self.error is not None or not self._waiting:
                return None
            delivery = self._waiting.popleft()
            if not delivery.processed.done():  # else its task was cancelled
                self._current = delivery
                return delivery.item

    def accept(self) -> None:
        """Finish the current item, if there is one: its task may continue."""
        delivery, self._current = self._current, None
        if delivery is not None and not delivery.processed.done():
            delivery.processed.set_result(None)

    def give_back(self, error: Exception) -> None:
        """Finish the current item with an error, which `put` raises in its task."""
        delivery, self._current = self._current, None
        if delivery is not None and not delivery.processed.done():
            delivery.processed.set_exception(error)

    def drop(self, is_dropped: Callable[[T], bool]) -> None:
        """Remove waiting items. The caller must cancel the tasks that put them in."""
        kept = [one for one in self._waiting if not is_dropped(one.item)]
        self._waiting.clear()
        self._waiting.extend(kept)

    def stop(self, error: Exception) -> bool:
        """Stop the reader and set `error`; items that still wait are not delivered.

        Returns:
            True; False where the mailbox was stopped or closed before, and nothing
            changes.
        """
        if self.error is not None or self.closed:
            return False
        self.error = error
        self.wake()
        return True

    def close(self) -> None:
        """End the reading: `next` returns None from now on."""
        self.closed = True
        self.wake()

    def wake(self) -> None:
        """Wake the reader, so that it checks again for an item or the end."""
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)
