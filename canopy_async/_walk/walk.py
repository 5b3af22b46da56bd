"""What every way to read a list has in common."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from canopy_async._walk.window import Window
from canopy_async.models import Page
from canopy_async.report import ReadReport

__all__ = ["Walk"]

T = TypeVar("T")


class Walk(Protocol[T]):
    """What drives and is driven by `canopy_async._read.run.Run`."""

    @property
    def windows(self) -> Sequence[Window]:
        """The windows whose pages are still wanted, in the order of taking."""
        ...

    @property
    def done(self) -> bool:
        """Whether nothing more is wanted."""
        ...

    @property
    def total(self) -> int | None:
        """Rows that the walk expects to hand out, None before it knows."""
        ...

    @property
    def sends_sort_by(self) -> bool:
        """Whether requests are to carry ``sort_by``."""
        ...

    def plan(self) -> Window | None:
        """Append the next window to `windows` and return it.

        Returns:
            None where no window beyond those in `windows` is wanted for now.
            Never None while `windows` is empty and the walk is not `done`.
        """
        ...

    def take(self, page: Page[T]) -> Sequence[T]:
        """Take the page of the first of `windows`; return the rows to hand out.

        Windows may leave `windows` here, or new ones come first.
        """
        ...

    def take_missing(self) -> Sequence[T]:
        """Take it that the first of `windows`, not page 1, was a 404."""
        ...

    def take_oversized(self) -> Sequence[T] | None:
        """Take it that the page of the first of `windows` was too large to be read.

        Returns:
            The rows to hand out, where the walk goes on and asks for fewer rows at a
            time; None where that is of no use.
        """
        ...

    def refused(self) -> bool:
        """Take it that the first of `windows` was a 400 or 422.

        Returns:
            Whether the walk goes on all the same, asking differently.
        """
        ...

    @property
    def position(self) -> int:
        """About where in the list the rows handed out end: a hint."""
        ...

    def report(self, *, requests: int = 0, retries: int = 0) -> ReadReport:
        """Return what is known, with what was counted by who sends the requests."""
        ...
