"""Work that a signal must not leave half done."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Final, ParamSpec, TypeVar

__all__ = ["Uninterrupted"]

P = ParamSpec("P")
T = TypeVar("T")


class Uninterrupted:
    """Does work in a thread of its own, which no signal interrupts.

    A signal interrupts whoever waits for the work: what its handler raises is raised
    once the work is done.
    """

    def __init__(self) -> None:
        self._executor: Final = ThreadPoolExecutor(1, "canopy-manifest")

    def do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do some work; return its result.

        Raises:
            BaseException: What a handler of a signal has raised meanwhile.
        """
        future = self._executor.submit(work, *args, **kwargs)
        interrupted: BaseException | None = None
        while not future.done():
            try:
                wait((future,))
            except BaseException as error:  # noqa: BLE001 - raised below
                interrupted = error
        if interrupted is not None:
            raise interrupted
        return future.result()

    def close(self) -> None:
        """End the thread."""
        self._executor.shutdown()
