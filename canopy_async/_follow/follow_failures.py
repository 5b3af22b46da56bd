"""`FollowFailures`: the latest failures of a follower, each logged once."""

import logging
from collections.abc import Callable
from typing import Final

from canopy_async._follow.outage_notice import OutageNotice, kind_of
from canopy_async.errors import (
    ApiError,
    CanopyError,
    IncompleteReadError,
    ProtocolError,
    ServerError,
)

__all__ = ["FollowFailures"]

_log: Final = logging.getLogger("canopy_async")


class FollowFailures:
    """The latest failures of a follower's polls and of its listing of identities.

    Of several failures in a row, the first is logged. A failure that concerns all
    identities is logged as an outage, once for all of them.

    Args:
        clock: Returns the running loop's time in seconds.

    Attributes:
        of_polls: The error of each identity whose last poll failed, and of each listed
            id that can't be an id.
        of_listing: The error of the last listing, None where it did not fail.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._outage: Final = OutageNotice(clock)
        self.of_polls: Final[dict[str, CanopyError]] = {}
        self.of_listing: CanopyError | None = None

    @property
    def outage(self) -> CanopyError | None:
        """The error that keeps every identity from being read, None for no outage."""
        return self._outage.error

    def poll_answered(self, identity_id: str, began: float) -> None:
        """Note that a poll was read to its end.

        Args:
            identity_id: The identity.
            began: When the poll began, by the clock.
        """
        self._outage.end(began)
        self.of_polls.pop(identity_id, None)

    def poll_failed(self, identity_id: str, error: CanopyError, *, wait: float) -> None:
        """Note that a poll failed; log that, unless it is known.

        Args:
            identity_id: The identity.
            error: The error of the poll.
            wait: Seconds until the next poll of this identity.
        """
        before = self.of_polls.get(identity_id)
        self.of_polls[identity_id] = error
        if error.concerns_all:
            self._outage.begin(error)
        elif _is_news(before):
            _log.warning(
                "a poll failed, the next is in %.1f s: %s",
                wait,
                kind_of(error),
                extra={"identity_id": identity_id},
            )

    def look_for_answer(self, error: CanopyError, began: float) -> None:
        """End an outage where an error shows that the server has answered.

        Args:
            error: The error of a poll.
            began: When the poll began, by the clock.
        """
        if _is_answer(error):
            self._outage.end(began)

    def id_refused(self, identity_id: str, error: ProtocolError) -> None:
        """Note that a listed id can't be an id; log that once."""
        is_new = identity_id not in self.of_polls
        self.of_polls[identity_id] = error
        if is_new:
            _log.warning(
                "an identity is not followed", extra={"identity_id": identity_id}
            )

    def listing_answered(self, began: float) -> None:
        """Note that the identities were listed to their end.

        Args:
            began: When the listing began, by the clock.
        """
        if self.of_listing is not None:
            self._outage.end(began)
        self.of_listing = None

    def listing_failed(self, error: CanopyError, *, wait: float) -> None:
        """Note that a listing failed; log that, unless it is known.

        Args:
            error: The error of the listing.
            wait: Seconds until the next listing, without the random part.
        """
        before, self.of_listing = self.of_listing, error
        if error.concerns_all:
            self._outage.begin(error)
        elif _is_news(before):
            _log.warning(
                "identities could not be listed, the next time is in %.1f s: %s",
                wait,
                kind_of(error),
            )


def _is_news(before: CanopyError | None) -> bool:
    """Tell whether a failure is to be logged.

    Args:
        before: The failure before it in a row, None if there is none. A failure that
            concerns all identities was logged as an outage only.
    """
    return before is None or before.concerns_all


def _is_answer(error: CanopyError) -> bool:
    """Tell whether an error shows that the server works for other identities."""
    is_server = isinstance(error, (ApiError, ProtocolError, IncompleteReadError))
    is_broken = isinstance(error, ServerError)
    return is_server and not is_broken and not error.concerns_all
