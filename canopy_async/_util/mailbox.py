"""`Mailbox`: many tasks hand items to one reader, which sets their pace."""

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
        processed: Is set once the reader asks for what comes next, or to the error
            for which the item was given back. Cancelled with the task that waits.
    """

    item: T
    processed: asyncio.Future[None]


class Mailbox(Generic[T]):
    """Items of many tasks for one reader, one at a time, in the order they came.

    A task that puts an item in waits until the reader is done with it: a slow reader
    slows the tasks, and nothing piles up.

    Args:
        name: What the reader reads, for errors.
        ended: Tells whether no task is left that may put an item in. `wake` has to be
            called when that becomes true.

    Attributes:
        error: What the mailbox was stopped by, None where it was not.
        closed: Whether it was closed.
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
        """The item that the reader has, None before the first and after the last."""
        return None if self._current is None else self._current.item

    @property
    def is_over(self) -> bool:
        """Whether the reader gets no other items than those that wait already."""
        return self.closed or self.error is not None or self._ended()

    async def put(self, item: T) -> None:
        """Hand an item to the reader; return once it asks for what comes next.

        Raises:
            Exception: What the reader gave the item back with.
        """
        processed = asyncio.get_running_loop().create_future()
        self._waiting.append(_Delivery(item, processed))
        self.wake()
        await processed

    def check_reader(self) -> None:
        """Raise where another task waits for an item.

        Raises:
            RuntimeError: It is so.
        """
        if self._wakeup is not None:
            raise RuntimeError(f"{self._name} is being read by another task")

    async def next(self) -> T | None:
        """Be done with the current item, and wait for the next one.

        Returns:
            An item whose task still waits for it; None at the end, which is also when
            the mailbox was stopped or closed.

        Raises:
            RuntimeError: Another task waits for an item.
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
            if not delivery.processed.done():  # its task was not cancelled meanwhile
                self._current = delivery
                return delivery.item

    def accept(self) -> None:
        """Be done with the current item, if there is one: its task goes on."""
        delivery, self._current = self._current, None
        if delivery is not None and not delivery.processed.done():
            delivery.processed.set_result(None)

    def give_back(self, error: Exception) -> None:
        """Let the task of the current item have an error in the place of an end."""
        delivery, self._current = self._current, None
        if delivery is not None and not delivery.processed.done():
            delivery.processed.set_exception(error)

    def drop(self, is_dropped: Callable[[T], bool]) -> None:
        """Forget items that wait; their tasks are ended by somebody else."""
        kept = [one for one in self._waiting if not is_dropped(one.item)]
        self._waiting.clear()
        self._waiting.extend(kept)

    def stop(self, error: Exception) -> bool:
        """Let the reader have this error next; tell whether it is the first one."""
        if self.error is not None or self.closed:
            return False
        self.error = error
        self.wake()
        return True

    def close(self) -> None:
        """Let the reader come to the end."""
        self.closed = True
        self.wake()

    def wake(self) -> None:
        """Let the reader look again whether there is an item, or an end."""
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)
