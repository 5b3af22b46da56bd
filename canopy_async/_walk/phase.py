"""The phases of a walk: the interface of a phase, and the result of an answer."""

from collections.abc import Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from canopy_async._walk.window import Window
from canopy_async.models import Page

__all__ = ["Done", "Phase", "Step"]

R = TypeVar("R")


class Step(NamedTuple, Generic[R]):
    """The result of one answer.

    Attributes:
        rows: The rows to hand out, in list order.
        phase: The phase that takes the next answer; None for `Reading`, in which the
            walk goes on by its plan.
    """

    rows: Sequence[R] = ()
    phase: "Phase[R] | None" = None


class Phase(Protocol[R]):
    """A stage of a walk: it asks for windows, and takes their answers in order."""

    @property
    def windows(self) -> Sequence[Window]:
        """The windows whose answers are still wanted, in the order of taking."""
        ...

    def plan(self) -> Window | None:
        """Append the next window to `windows` and return it, None if none is wanted."""
        ...

    def accept_page(self, page: Page[R]) -> Step[R]:
        """Take the page of the first window."""
        ...

    def accept_missing(self) -> Step[R]:
        """Take a 404 as the answer of the first window, which is not page 1."""
        ...

    def accept_oversized(self) -> Step[R] | None:
        """Ask for fewer rows: the page of the first window is too large to be read.

        Returns:
            The step that follows, None where it is of no use to ask for fewer rows.
        """
        ...


class Done(Generic[R]):
    """The last phase: the walk is over, and no window is wanted."""

    @property
    def windows(self) -> Sequence[Window]:
        """No window."""
        return ()

    def plan(self) -> Window | None:
        """Ask for nothing."""
        return None

    def accept_page(self, page: Page[R]) -> Step[R]:
        """Hand out nothing."""
        del page
        return Step((), self)

    def accept_missing(self) -> Step[R]:
        """Hand out nothing."""
        return Step((), self)

    def accept_oversized(self) -> Step[R] | None:
        """Ask for nothing."""
        return None
