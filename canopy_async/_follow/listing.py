"""`Listing`: lists the identities to follow, once or again and again."""

import asyncio
from collections.abc import Callable
from typing import Final, cast

from canopy_async._api.identity_ids import ListedId, check_listed_id
from canopy_async._follow.beginning import Beginnings
from canopy_async._follow.discovery import IdentitySource
from canopy_async._follow.follow_failures import FollowFailures
from canopy_async._follow.followed import Followed
from canopy_async._follow.options import FollowOptions, Start
from canopy_async._follow.poll_inputs import clock
from canopy_async._transport.transport import Transport
from canopy_async._util.frames import forget_frames
from canopy_async._util.tasks import cancel_and_wait
from canopy_async.errors import (
    CanopyError,
    ProtocolError,
    SessionClosedError,
    UnauthorizedError,
)

__all__ = ["Listing"]

_LISTING_SHARE: Final = 10
"""After a listing, the next one waits ten times as long as the listing took, so that
listing takes no more than a tenth of the time."""

_OPEN_PER_TURN: Final = 2
"""With ``until_caught_up``: how many identities have been begun and are not done, for
each identity that may be polled at a time. So the next one is there when one is done.
"""


class Listing:
    """Lists the identities to follow, once or again and again, in a task of its own.

    Args:
        source: The identities, as the caller gave them.
        followed: The identities that are followed by now.
        beginnings: Knows where each identity begins.
        transport: Sends the requests.
        options: How identities are followed.
        failures: Keeps the errors of listings, and the listed ids that can't be ids.
        begin: Begins to poll an identity. Its second argument is where to begin; None
            leaves that to ``beginnings``.
        ended: Called with the error that ends the listing, None for its normal end.
    """

    def __init__(
        self,
        source: IdentitySource,
        followed: Followed,
        beginnings: Beginnings,
        *,
        transport: Transport,
        options: FollowOptions,
        failures: FollowFailures,
        begin: Callable[[str, Start | None], None],
        ended: Callable[[Exception | None], None],
    ) -> None:
        self._source: Final = source
        self._followed: Final = followed
        self._beginnings: Final = beginnings
        self._transport: Final = transport
        self._options: Final = options
        self._failures: Final = failures
        self._begin: Final = begin
        self._ended: Final = ended
        self._task: asyncio.Task[None] | None = None

    @property
    def has_begun(self) -> bool:
        """Whether `start` was called."""
        return self._task is not None

    @property
    def is_over(self) -> bool:
        """Whether no listing is running: it has ended, or was not started."""
        return self._task is None or self._task.done()

    def start(self) -> None:
        """Begin to list, in a task."""
        self._task = asyncio.create_task(self.run())
        self._task.add_done_callback(self._tell_end)

    def cancel(self) -> None:
        """End the task, if there is one, without waiting for its end."""
        if self._task is not None:
            self._task.cancel()

    async def aclose(self) -> None:
        """End the task, and wait for its end, even if the wait is cancelled."""
        await cancel_and_wait(() if self._task is None else (self._task,))

    async def run(self) -> None:
        """Begin to poll each identity; then list new ones again and again.

        Raises:
            CanopyError: The server refuses the token, or the session was closed. With
                ``until_caught_up``, any error of a listing.
        """
        begun: dict[str, None] = {}
        await self._begin_waiting(begun)
        if not self._source.changes:
            await self._list_once(begun)
            return
        failures = 0
        while True:
            began = clock()
            try:
                await self._list_once(begun)
            except (UnauthorizedError, SessionClosedError):
                raise
            except CanopyError as error:
                if self._options.until_caught_up:
                    raise
                failures += 1
                wait = self._failed(error, failures)
            else:
                self._failures.listing_answered(began)
                failures = 0
                if self._options.until_caught_up:
                    return
                begun.clear()
                took = clock() - began
                wait = max(self._options.discover_every, _LISTING_SHARE * took)
            await asyncio.sleep(wait)

    async def _begin_waiting(self, begun: dict[str, None]) -> None:
        """Begin to poll the identities that were added before the first listing."""
        waiting = self._followed.waiting
        while waiting:
            identity_id = next(iter(waiting))
            begun[identity_id] = None
            await self._wait_for_room()
            if identity_id in waiting:
                self._begin(identity_id, waiting.pop(identity_id))

    async def _list_once(self, begun: dict[str, None]) -> None:
        """List the source once; begin to poll the identities that are not polled yet.

        Args:
            begun: The ids that were seen so far; those that are listed are added.
        """
        ids = self._source.each()
        try:
            while True:
                found = await self._transport.until_closed(anext(ids, None))
                if found is None:
                    break
                if isinstance(found, ListedId) and not self._may_be_asked_for(found):
                    continue
                found = str(found)
                begun[found] = None
                if found in self._followed or found in self._followed.removed:
                    continue
                await self._wait_for_room()
                if found not in self._followed:
                    self._begin(found, None)
        finally:
            await ids.aclose()
        await self._beginnings.listed(begun)

    def _may_be_asked_for(self, listed: ListedId) -> bool:
        """Tell whether an id that the server lists can be an id; report it if not."""
        identity_id = str(listed)
        try:
            check_listed_id(identity_id)
        except ProtocolError as error:
            forget_frames(error)
            self._failures.id_refused(identity_id, error)
            return False
        return True

    def _failed(self, error: CanopyError, failures: int) -> float:
        """Note that a listing failed; return the seconds until the next listing."""
        pace = self._options.pace
        wait = min(pace.after_failures(failures), self._options.discover_every)
        forget_frames(error)
        self._failures.listing_failed(error, wait=wait)
        return pace.spread(wait)

    def _tell_end(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            self._ended(SessionClosedError("a listing was cancelled from outside"))
        else:
            self._ended(cast("Exception | None", task.exception()))

    async def _wait_for_room(self) -> None:
        """With ``until_caught_up``, wait until one more identity may be begun."""
        if self._options.until_caught_up:
            await self._followed.wait_for_fewer(_OPEN_PER_TURN * self._options.width)
