"""The interface of a walk, which each way to read a list implements."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from canopy_async._walk.window import Window
from canopy_async.models import Page
from canopy_async.report import ReadReport

__all__ = ["Walk"]

T = TypeVar("T")


class Walk(Protocol[T]):
    """A way to read a list: it asks for windows, and takes their answers in order.

    `canopy_async._read.reader.PageReader` drives it.
    """

    @property
    def windows(self) -> Sequence[Window]:
        """The windows whose pages are still wanted, in the order of taking."""
        ...

    @property
    def done(self) -> bool:
        """Whether the walk is over: no further page is wanted."""
        ...

    @property
    def total(self) -> int | None:
        """Rows that the walk expects to hand out, None while that is not known."""
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

        The call may also remove other windows from `windows`, or put a new window
        first.
        """
        ...

    def accept_missing(self) -> Sequence[T]:
        """Take a 404 as the answer of the first of `windows`, which is not page 1."""
        ...

    def accept_oversized(self) -> Sequence[T] | None:
        """Ask for fewer rows: the page of the first of `windows` is too large to read.

        Returns:
            The rows to hand out, if the walk goes on with smaller pages; None if
            smaller pages are of no use.
        """
        ...

    def retry_without_sort(self) -> bool:
        """Give ``sort_by`` up, after a 400 or 422 for the first of `windows`.

        Returns:
            Whether the walk goes on, with requests that have no ``sort_by``.
        """
        ...

    @property
    def position(self) -> int:
        """The position, about, after the last row that was handed out: a hint."""
        ...

    def report(self, *, requests: int = 0, retries: int = 0) -> ReadReport:
        """Return the report of the rows handed out so far.

        Args:
            requests: How many requests were sent; the walk does not count them.
            retries: How many of these requests were repeats.
        """
        ...
