"""Refusals that may concern every identity of a fan-out, and not each by itself."""

from collections.abc import Hashable
from http import HTTPStatus
from typing import Final

from canopy_async._fanout.results import IdentityOutcome
from canopy_async.errors import ApiError, CanopyError, ProtocolError

__all__ = ["FOR_ALL", "Suspects", "refusal_of"]

FOR_ALL: Final = 16
"""Identities that have to be refused alike, and none answered, to speak for all."""


class Suspects:
    """Identities that were refused alike, while none was answered.

    A redirect, a page of HTML or a 403 may come from a proxy, a login page or a
    token of the wrong kind: then it comes to every identity, and is the failure of
    none of them. Or it is one identity's own. The first answer tells: until there is
    one, such failures are held back.
    """

    def __init__(self) -> None:
        self._held: list[IdentityOutcome] = []
        self._kind: Hashable = None
        self._answered = False

    def hold(self, failed: IdentityOutcome) -> bool:
        """Hold a failure back, if it may concern all.

        Returns:
            Whether it is held back.
        """
        kind = refusal_of(failed.error)
        if self._answered or kind is None:
            return False
        if self._held and kind != self._kind:
            return False
        self._kind = kind
        self._held.append(failed)
        return True

    def release(self) -> list[IdentityOutcome]:
        """Return the failures that were held back: an identity was answered."""
        self._answered = True
        held, self._held = self._held, []
        return held

    def verdict(self, *, at_end: bool) -> CanopyError | None:
        """Return the error that concerns all, if there is enough to tell.

        Args:
            at_end: Whether there is no other identity.
        """
        if len(self._held) < (2 if at_end else FOR_ALL):
            return None
        error = self._held[0].error
        if error is not None:
            error.concerns_all = True
        return error


def refusal_of(error: CanopyError | None) -> Hashable:
    """Return the kind of a refusal that may concern all; None for another error."""
    if isinstance(error, ProtocolError):
        return "html" if error.html else None
    if not isinstance(error, ApiError):
        return None
    is_redirect = HTTPStatus.MULTIPLE_CHOICES <= error.status < HTTPStatus.BAD_REQUEST
    return error.status if is_redirect or error.status == HTTPStatus.FORBIDDEN else None
