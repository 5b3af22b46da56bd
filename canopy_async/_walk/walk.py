"""The interface of a walk: what each way to read a list has in common."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from canopy_async._walk.window import Window
from canopy_async.models import Page
from canopy_async.report import ReadReport

__all__ = ["Walk"]

T = TypeVar("T")


class Walk(Protocol[T]):
    """A way to read a list: it asks for windows, and takes their answers in order.

    `canopy_async._read.run.Run` drives it.
    """

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

    def accept_page(self, page: Page[T]) -> Sequence[T]:
        """Take the page of the first of `windows`; return the rows to hand out.

        Windows may leave `windows` here, or new ones come first.
        """
        ...

    def accept_missing(self) -> Sequence[T]:
        """Take a 404 as the answer of the first of `windows`, which is not page 1."""
        ...

    def accept_oversized(self) -> Sequence[T] | None:
        """Ask for fewer rows: the page of the first of `windows` is too large to read.

        Returns:
            The rows to hand out, where the walk goes on and asks for fewer rows at a
            time; None where that is of no use.
        """
        ...

    def retry_without_sort(self) -> bool:
        """Ask without ``sort_by`` after the first of `windows` was a 400 or 422.

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
