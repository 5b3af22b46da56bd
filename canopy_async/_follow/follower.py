"""The turns of many pollers, and batches handed to one reader.

A few tasks poll those that are due, and each waits until what it found was
processed: a slow reader slows the polls instead of piling up events.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Final, Self, cast

import attrs

from canopy_async._account.account_log import AccountLog
from canopy_async._api.identity_ids import ListedId, check_listed_id
from canopy_async._follow.beginning import Beginnings
from canopy_async._follow.discovery import IdentitySource
from canopy_async._follow.follow_checkpoint import (
    Batch,
    FollowCheckpoint,
    FollowOutcome,
)
from canopy_async._follow.options import FollowOptions, Start, check_start
from canopy_async._follow.poll_inputs import clock
from canopy_async._follow.poller import Poller
from canopy_async._follow.schedule import Schedule
from canopy_async._read.audit_log import AuditLog
from canopy_async._transport.transport import Transport
from canopy_async._util.arguments import check_callback
from canopy_async._util.frames import forget_frames
from canopy_async._util.mailbox import Mailbox
from canopy_async._util.public import publish
from canopy_async._util.tasks import cancel_and_wait
from canopy_async.errors import (
    ApiError,
    CanopyError,
    IncompleteReadError,
    ProtocolError,
    ServerError,
    SessionClosedError,
    UnauthorizedError,
)
from canopy_async.models import AuditEvent

__all__ = ["Follower"]

READY_BYTES: Final = 16 * 1024 * 1024
"""Bytes of answers that all polls together hold ready, about."""

_log = logging.getLogger("canopy_async")

_LISTING_SHARE: Final = 10
"""Listing identities takes no more than the tenth part of the time."""

_OPEN_PER_TURN: Final = 2
"""Identities that are begun at a time at most, for each that may be polled, where
following ends: so that the next is there when one is done."""


@attrs.define(eq=False)
class _Handover:
    """A batch on its way to the reader.

    Attributes:
        poller: Where it comes from.
        batch: The batch.
        before: What was handed out of the log before.
        handed: Events of it that were handed out.
    """

    poller: Poller
    batch: Batch
    before: FollowCheckpoint
    handed: int = 0

    @property
    def checkpoint(self) -> FollowCheckpoint:
        """What was handed out of the log so far."""
        if self.handed == len(self.batch.events):
            return self.batch.checkpoint
        return self.before.after(self.batch.events[: self.handed])


class Follower:
    """New events, each once, as long as it is read.

    Read it with ``async for``, which yields a `Batch` at a time; `events` is
    for those who keep no checkpoints. After a bare ``break`` the loop's next
    turns clean up; ``async with`` does it at the end of its block.

    The first poll of each identity yields a batch, maybe an empty one, so that
    its checkpoint can be saved; later ones only where there is something to
    say. An identity is not polled again before its batch was processed, which
    is when the next one is asked for.

    An event is found if, when it is committed, it is no more than
    ``deep_overlap`` older than the newest one there: by the next poll up to
    ``overlap``, else by one of the next ``deep_every`` seconds. Where an hour's
    events are more than fit into a checkpoint, `FollowCheckpoint.floor` says how
    far back the ids that it holds reach. One that is older than some that were
    handed out is named in `Batch.late`. With ``settle``, events come in order of
    ``created_at``, but for those that are committed later than that.

    A poll that fails changes nothing and is repeated, less and less often, while
    the other identities go on. What concerns all of them, such as an outage or a pause
    that the server asks for, is waited out, and logged once, as is its end. A 401 stops
    everything.

    With ``until_caught_up``, each identity is polled to its end once, and then let go
    of: its last batch, maybe an empty one, has a `Batch.report`, and once that was
    processed, ``on_end`` is called. A poll that fails is not repeated; what concerns
    all of them ends all with that one error, and the rest is left for another time.

    Attributes:
        failures: The error of each identity whose last poll failed.
        listing_failure: Why the identities could not be listed the last time, None
            where they could. It is tried again.
        outage: The error that keeps every identity from being read, None where there
            is none. ``failures`` has it as well, of those that were polled since.

    Example:
        >>> async with CheckpointStore("bot.db") as store:
        ...     async for batch in canopy.follow(ids, checkpoints=store):
        ...         await post(batch.events)
        ...         await store.save(batch)
    """

    def __init__(
        self,
        identities: Any,
        *,
        log_of: Callable[[str], AuditLog | AccountLog],
        transport: Transport,
        options: FollowOptions,
        checkpoints: Any,
        on_end: Callable[[FollowOutcome], None] | None = None,
    ) -> None:
        self.failures: Final[dict[str, CanopyError]] = {}
        self.listing_failure: CanopyError | None = None
        self.outage: CanopyError | None = None
        self._outage_began = 0.0
        self._identities: Final = IdentitySource(identities)
        self._beginnings: Final = Beginnings(checkpoints, options.start)
        self._log_of: Final = log_of
        self._transport: Final = transport
        self._lanes: Final = transport.open_group(max_ready=READY_BYTES)
        self._options: Final = options
        if on_end is not None:
            check_callback("on_end", on_end)
        self._on_end: Final = on_end
        self._waiting: Final[dict[str, Start | None]] = {}
        self._pollers: Final[dict[str, Poller]] = {}
        self._removed: Final[set[str]] = set()
        self._finished: Final[dict[str, FollowCheckpoint | None]] = {}
        self._schedule: Final = Schedule(
            self._poll,
            width=options.width,
            beat=self._check_session,
            interrupted=self._interrupted,
        )
        self._listing: asyncio.Task[None] | None = None
        self._room: Final = asyncio.Event()
        self._turn: Final = asyncio.Lock()
        self._mailbox: Final = Mailbox[_Handover]("this follower", self._has_ended)
        self._hands_out_batches = True
        self._iterated = False
        self._started = False
        for identity_id in self._identities.named:
            self.add(identity_id)

    @property
    def identity_ids(self) -> tuple[str, ...]:
        """The identities that are followed, but for those polled to their end."""
        return (*self._pollers, *self._waiting)

    @property
    def checkpoints(self) -> dict[str, FollowCheckpoint]:
        """What was handed out of each log, to the event.

        With ``until_caught_up``, a log that was polled to its end is left out where
        this is read in batches: its last batch has its checkpoint.
        """
        known = {
            identity_id: checkpoint
            for identity_id, checkpoint in self._finished.items()
            if checkpoint is not None
        }
        for identity_id, poller in self._pollers.items():
            if poller.checkpoint is not None:
                known[identity_id] = poller.checkpoint
        current = self._mailbox.current
        if current is not None and self._follows(current.poller):
            known[current.batch.identity_id] = current.checkpoint
        return known

    def add(self, identity_id: str, *, start: Start | None = None) -> None:
        """Follow one more identity; one that is followed already stays so.

        Args:
            identity_id: The identity.
            start: Where to begin if there is no checkpoint of it: ``now``,
                ``beginning`` or an aware datetime. None is as for the identities that
                were given at first, if it is added before these are read; and as
                `CanopySession.follow` was told otherwise.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: It can't be an id, or a place to begin.
            CheckpointError: Its checkpoint is damaged or of another log.
        """
        scope = self._log_of(identity_id).scope
        if start is not None:
            check_start(start)
        if self._has(identity_id):
            return
        self._removed.discard(identity_id)
        if not self._started:
            self._beginnings.checkpoint_of(identity_id, scope)  # which may refuse
            self._waiting[identity_id] = start
            return
        self._begin(identity_id, start or self._options.start)

    def remove(self, identity_id: str) -> None:
        """Follow an identity no longer; what was not handed out of it is not.

        Added again, it goes on where it was left.
        """
        place = self.checkpoints.get(identity_id)
        self._removed.add(identity_id)
        self._waiting.pop(identity_id, None)
        poller = self._pollers.pop(identity_id, None)
        self.failures.pop(identity_id, None)
        if poller is None:
            return
        self._schedule.drop(poller)
        self._beginnings.keep(identity_id, place)
        self._mailbox.drop(lambda handover: handover.poller is poller)
        self._room.set()
        self._mailbox.wake()

    def __repr__(self) -> str:
        """Show how many identities are followed by now, in one short line."""
        return f"<Follower of {len(self._pollers)} identities so far>"

    async def __aenter__(self) -> Self:
        """Return the follower itself; nothing is sent before it is iterated."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the polls that are still running."""
        await self.aclose()

    def __aiter__(self) -> AsyncIterator[Batch]:
        """Yield batches as they come.

        Raises:
            RuntimeError: At the call: it was iterated before.
            CheckpointError: While iterating: the store can't be read, or a
                checkpoint in it is of another log.
            UnauthorizedError: While iterating.
            CanopyError: While iterating, with ``until_caught_up``: it concerns all
                identities, or they can't be listed.
            SessionClosedError: While iterating: the session was closed.
        """
        self._begin_iterating()
        return self._batches()

    def __iter__(self) -> Any:
        """Refuse: this is read with ``async for``."""
        raise TypeError("a Follower is read with 'async for'")

    def events(self) -> AsyncIterator[AuditEvent]:
        """Yield events as they come, without the batches around them.

        `checkpoints` moves with each event.

        Raises:
            RuntimeError: At the call: it was iterated before.
            CanopyError: As `__aiter__` says.

        Example:
            >>> async for event in canopy.follow("idn_1").events():
            ...     print(event.created_at, event.action)
        """
        self._begin_iterating()
        self._hands_out_batches = False
        return self._events()

    async def aclose(self) -> None:
        """Cancel the polls that are still running, and await them."""
        self._transport.check_loop()
        self._mailbox.close()
        listing = () if self._listing is None else (self._listing,)
        try:
            await cancel_and_wait(listing)
        finally:
            await self._schedule.aclose()

    def _begin_iterating(self) -> None:
        if self._iterated:
            raise RuntimeError("a follower is one pass, and this one was iterated")
        self._iterated = True

    async def _batches(self) -> AsyncIterator[Batch]:
        try:
            while (handover := await self._next()) is not None:
                handover.handed = len(handover.batch.events)
                yield handover.batch
        finally:
            await self.aclose()

    async def _events(self) -> AsyncIterator[AuditEvent]:
        try:
            while (handover := await self._next()) is not None:
                for event in handover.batch.events:
                    if not self._follows(handover.poller):
                        break  # it was removed, or is read anew
                    handover.handed += 1
                    yield event
        finally:
            await self.aclose()

    def _follows(self, poller: Poller) -> bool:
        return self._pollers.get(poller.identity_id) is poller

    async def _next(self) -> _Handover | None:
        """Wait for a batch, and make it the current one."""
        self._transport.check_loop()
        self._finish_current()
        await self._start()
        handover = await self._mailbox.next()
        if self._mailbox.error is not None:
            raise self._mailbox.error
        return handover

    def _has_ended(self) -> bool:
        """Whether every identity was polled to its end, where following ends."""
        is_listed = self._listing is None or self._listing.done()
        has_ended = is_listed and not self._pollers and not self._waiting
        return self._options.until_caught_up and has_ended

    def _finish_current(self) -> None:
        """Let the identity go on whose batch was processed."""
        current = self._mailbox.current
        if current is not None:
            current.poller.checkpoint = current.batch.checkpoint
            self._mailbox.accept()

    async def _start(self) -> None:
        if self._started or self._mailbox.closed:
            return
        self._transport.check_open()
        await self._beginnings.load()
        self._started = True
        self._listing = asyncio.create_task(self._list())
        self._listing.add_done_callback(self._listed)

    async def _list(self) -> None:
        """Begin with each identity; then look for new ones now and then."""
        begun: dict[str, None] = {}
        while self._waiting:
            identity_id = next(iter(self._waiting))
            begun[identity_id] = None
            await self._wait_for_room()
            self._begin_waiting(identity_id)
        if not self._identities.changes:
            await self._list_rest(begun)
            await self._beginnings.listed(begun)
            return
        failures = 0
        while True:
            began = clock()
            try:
                await self._list_rest(begun)
                await self._beginnings.listed(begun)
            except (UnauthorizedError, SessionClosedError):
                raise
            except CanopyError as error:
                if self._options.until_caught_up:
                    raise
                failures += 1
                wait = self._listing_failed(error, failures)
            else:
                if self.listing_failure is not None:
                    self._end_outage(began)
                self.listing_failure, failures = None, 0
                if self._options.until_caught_up:
                    return
                begun.clear()
                took = clock() - began
                wait = max(self._options.discover_every, _LISTING_SHARE * took)
            await asyncio.sleep(wait)

    async def _list_rest(self, begun: dict[str, None]) -> None:
        """Begin with the identities of the source that were not begun yet."""
        ids = self._identities.each()
        try:
            while True:
                found = await self._transport.until_closed(anext(ids, None))
                if found is None:
                    return
                if isinstance(found, ListedId) and not self._may_be_asked_for(found):
                    continue
                found = str(found)
                begun[found] = None
                if self._has(found) or found in self._removed:
                    continue
                await self._wait_for_room()
                if not self._has(found):
                    self._begin(found, None)
        finally:
            await ids.aclose()

    def _may_be_asked_for(self, listed: ListedId) -> bool:
        """Tell whether an id that the server lists can be one; keep why it can't."""
        identity_id = str(listed)
        try:
            check_listed_id(identity_id)
        except ProtocolError as error:
            is_new = identity_id not in self.failures
            forget_frames(error)
            self.failures[identity_id] = error
            if is_new:
                _log.warning(
                    "an identity is not followed",
                    extra={"identity_id": identity_id},
                )
            return False
        return True

    def _listing_failed(self, error: CanopyError, failures: int) -> float:
        """Remember why identities could not be listed; return how long to wait."""
        pace = self._options.pace
        wait = min(pace.after_failures(failures), self._options.discover_every)
        is_new = _is_news(self.listing_failure)
        forget_frames(error)
        self.listing_failure = error
        if error.concerns_all:
            self._begin_outage(error)
        elif is_new:
            _log.warning(
                "identities could not be listed, the next time is in %.1f s: %s",
                wait,
                _kind_of(error),
            )
        return pace.spread(wait)

    def _listed(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._stop(cast("Exception", error))
        elif task.cancelled() and not self._mailbox.closed:
            self._stop(SessionClosedError("a listing was cancelled from outside"))
        self._mailbox.wake()

    async def _wait_for_room(self) -> None:
        """Wait until one more may be begun, where following ends."""
        most = _OPEN_PER_TURN * self._options.width
        while self._options.until_caught_up and len(self._pollers) >= most:
            self._room.clear()
            await self._room.wait()

    def _has(self, identity_id: str) -> bool:
        """Whether an identity is followed, or was until it was caught up."""
        return (
            identity_id in self._pollers
            or identity_id in self._waiting
            or identity_id in self._finished
        )

    def _begin_waiting(self, identity_id: str) -> None:
        if identity_id in self._waiting:
            self._begin(identity_id, self._waiting.pop(identity_id))

    def _begin(self, identity_id: str, start: Start | None) -> None:
        """Let an identity have its turns from now on."""
        log = self._log_of(identity_id)
        poller = self._new_poller(
            identity_id=identity_id,
            log=log,
            start=start or self._beginnings.start_of(identity_id),
            scope=log.scope,
            lateness=self._options.lateness,
            pace=self._options.pace,
            lanes=self._lanes,
            turn=self._turn,
            now=lambda: self._transport.server_time,
            tells_ends=self._options.until_caught_up,
            checkpoint=self._beginnings.checkpoint_of(identity_id, log.scope),
        )
        self._pollers[identity_id] = poller
        self._schedule.add(poller)

    def _new_poller(self, **options: Any) -> Poller:
        return Poller(**options)

    def _check_session(self) -> None:
        if self._transport.closed:
            self._stop(SessionClosedError("the session was closed"))

    def _interrupted(self) -> None:
        self._stop(SessionClosedError("a poll was cancelled from outside"))

    async def _poll(self, poller: Poller) -> float | None:
        """Poll one log; return how long to wait before the next time."""
        began = clock()
        try:
            await poller.poll(lambda batch: self._hand_over(poller, batch))
        except (UnauthorizedError, SessionClosedError) as error:
            self._stop(error)
            return None
        except CanopyError as error:
            if _is_answer(error):
                self._end_outage(began)
            return self._failed(poller, error)
        except Exception as error:  # noqa: BLE001 - raised where it is read
            self._stop(error)
            return None
        self._end_outage(began)
        self.failures.pop(poller.identity_id, None)
        if not self._options.until_caught_up:
            return poller.succeeded()
        if not poller.is_caught_up:
            return 0.0
        self._finish(poller)
        return None

    def _finish(self, poller: Poller, error: CanopyError | None = None) -> None:
        """Let go of an identity that was polled to its end, or failed."""
        if not self._follows(poller):
            return
        identity_id = poller.identity_id
        del self._pollers[identity_id]
        kept = None if self._hands_out_batches else poller.checkpoint
        self._finished[identity_id] = kept
        self._room.set()
        self._mailbox.wake()
        if self._on_end is None:
            return
        outcome = FollowOutcome(
            identity_id=identity_id,
            report=poller.report,
            error=error,
            checkpoint=poller.checkpoint,
        )
        try:
            self._on_end(outcome)
        except Exception as failed:  # noqa: BLE001 - raised where it is read
            self._stop(failed)

    async def _hand_over(self, poller: Poller, batch: Batch) -> None:
        """Queue a batch, and wait until it was processed."""
        before = poller.checkpoint or FollowCheckpoint(scope=poller.scope)
        await self._mailbox.put(_Handover(poller, batch, before))

    def _failed(self, poller: Poller, error: CanopyError) -> float | None:
        if self._options.until_caught_up and error.concerns_all:
            self._stop(error)  # what is left is gone on with another time
            return None
        wait = poller.failed(error)
        forget_frames(error)
        is_new = _is_news(self.failures.get(poller.identity_id))
        if self._follows(poller):
            self.failures[poller.identity_id] = error
        if self._options.until_caught_up:
            self._finish(poller, error)
            return None
        if error.concerns_all:
            self._begin_outage(error)
        elif is_new:
            _log.warning(
                "a poll failed, the next is in %.1f s: %s",
                wait,
                _kind_of(error),
                extra={"identity_id": poller.identity_id},
            )
        return wait

    def _begin_outage(self, error: CanopyError) -> None:
        """Say once that no identity can be read, whichever of them has shown it."""
        is_new, self.outage = self.outage is None, error
        if is_new:
            self._outage_began = clock()
            _log.warning(
                "no identity can be read for now, which is tried again: %s",
                _kind_of(error),
                extra={"outage": "began"},
            )

    def _end_outage(self, began: float) -> None:
        """Say that identities can be read again, if the server answered since.

        Args:
            began: When that began which the server has answered. What began before
                the outage may have been answered before it, and be told of only now.
        """
        if self.outage is None or began < self._outage_began:
            return
        self.outage = None
        _log.warning(
            "identities can be read again, after %.1f s",
            clock() - self._outage_began,
            extra={"outage": "over"},
        )

    def _stop(self, error: Exception) -> None:
        """End everything; the reader raises the error."""
        if not self._mailbox.stop(error):
            return
        self._schedule.end()
        if self._listing is not None:
            self._listing.cancel()


def _is_news(before: CanopyError | None) -> bool:
    """Whether a failure was not told of yet, given the failure before it."""
    return before is None or before.concerns_all


def _is_answer(error: CanopyError) -> bool:
    """Whether the server is there, and failed one identity alone."""
    is_server = isinstance(error, (ApiError, ProtocolError, IncompleteReadError))
    is_broken = isinstance(error, ServerError)
    return is_server and not is_broken and not error.concerns_all


def _kind_of(error: CanopyError) -> str:
    """Name an error without the URL, which has the id and the search term."""
    status = f" {error.status}" if isinstance(error, ApiError) else ""
    return f"{type(error).__name__}{status}"


publish("canopy_async", Follower)
