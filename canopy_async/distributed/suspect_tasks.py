"""Failures of tasks that may concern all identities of a run, not each by itself."""

from collections.abc import Hashable
from http import HTTPStatus
from typing import Final

from canopy_async._fanout.suspects import FOR_ALL, refusal_of
from canopy_async.distributed.work import Outcome
from canopy_async.errors import ApiError, CanopyError, TransportError

__all__ = ["Suspects"]

_DOWN: Final = "down"


class Suspects:
    """Tasks all of whose identities have failed alike, while no other task read any.

    A task that reads many identities can tell by itself that the server refuses all
    of them, or is away. A task of one identity can't, and so the tasks are looked at
    together. What they ended with is held back until another task tells.

    Args:
        patience: Seconds for which a task waits for a server that is away.
    """

    def __init__(self, patience: float) -> None:
        self._patience: Final = patience
        self._held: list[Outcome] = []
        self._kind: Hashable = None
        self._read_at: float | None = None

    def hold(self, outcome: Outcome, now: float) -> bool:
        """Hold back what a task ended with, if that may concern all.

        Args:
            outcome: The outcome of the task.
            now: The present instant.

        Returns:
            Whether it is held back.
        """
        kind = _kind_of(outcome)
        if kind is None or (self._held and kind != self._kind):
            return False
        if self._read_at is not None and (
            kind != _DOWN or now - self._read_at <= self._patience
        ):
            return False  # others were read while this task failed
        self._kind = kind
        self._held.append(outcome)
        return True

    def release(self, now: float) -> list[Outcome]:
        """Return what was held back, as another task has read an identity.

        Args:
            now: The present instant.
        """
        self._read_at = now
        return self.give_back()

    def give_back(self) -> list[Outcome]:
        """Return what was held back."""
        held, self._held = self._held, []
        return held

    def verdict(self, *, at_end: bool) -> CanopyError | None:
        """Return the error that concerns all, if there is enough to tell.

        Args:
            at_end: Whether there is no other task.
        """
        failed = [
            error for outcome in self._held for error in outcome.failures.values()
        ]
        if len(failed) < (2 if at_end else FOR_ALL):
            return None
        failed[0].concerns_all = True
        return failed[0]


def _kind_of(outcome: Outcome) -> Hashable:
    """Return the kind of failure that all identities of a task have ended with."""
    if outcome.done or outcome.left or outcome.rests:
        return None
    kinds = set(map(_kind_of_error, outcome.failures.values()))
    return kinds.pop() if len(kinds) == 1 else None


def _kind_of_error(error: CanopyError) -> Hashable:
    if isinstance(error, TransportError):
        return None if error.final else _DOWN
    if isinstance(error, ApiError) and error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _DOWN
    return refusal_of(error)
