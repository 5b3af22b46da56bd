"""`Follower`: the polls of many identities, handed to one reader as batches.

A few tasks poll the identities that are due. Each task waits until its batch was
processed, so a slow reader slows the polls, and no events pile up.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar, Final

from canopy_async._account.account_log import AccountLog
from canopy_async._follow.beginning import Beginnings
from canopy_async._follow.discovery import IdentitySource
from canopy_async._follow.follow_checkpoint import Batch, FollowCheckpoint
from canopy_async._follow.follow_failures import FollowFailures
from canopy_async._follow.follow_outcome import FollowOutcome
from canopy_async._follow.followed import Followed
from canopy_async._follow.handover import Handover
from canopy_async._follow.listing import Listing
from canopy_async._follow.options import FollowOptions, Start, check_start
from canopy_async._follow.poll_inputs import clock
from canopy_async._follow.poller import Poller
from canopy_async._follow.poller_source import PollerSource
from canopy_async._follow.schedule import Schedule
from canopy_async._read.audit_log import AuditLog
from canopy_async._transport.transport import Transport
from canopy_async._util.arguments import check_callback
from canopy_async._util.frames import forget_frames
from canopy_async._util.mailbox import Mailbox
from canopy_async._util.public import publish
from canopy_async._util.single_pass import SinglePass
from canopy_async.errors import CanopyError, SessionClosedError, UnauthorizedError
from canopy_async.models import AuditEvent

__all__ = ["Follower"]


class Follower(SinglePass):
    """New events, each once, as long as it is read.

    Read a Follower with ``async for``, which yields a `Batch` at a time. If you keep no
    checkpoints, read `events` instead. After a bare ``break``, polls that are running
    end a little later, in the next turns of the event loop; with ``async with``, they
    end with the block.

    The first poll of each identity yields a batch, which may be empty, so that its
    checkpoint can be saved. Later polls yield a batch only if there are new events, or
    a gap, or a suspicion of late events. An identity is not polled again before its
    batch was processed, which is when you ask for the next batch.

    An event may be committed after events with newer dates. It is found if it is then
    no more than ``deep_overlap`` older than the newest event: by the next poll if it is
    no more than ``overlap`` older, else by a poll within the next ``deep_every``
    seconds. If the events of ``deep_overlap`` are more than fit into a checkpoint,
    `FollowCheckpoint.floor` says how far back events are found. `Batch.late` has the
    ids of events that are older than an event handed out before. With ``settle``,
    events come in the order of ``created_at``, except those that are committed more
    than ``settle`` after their date.

    A poll that fails changes nothing. It is repeated, less and less often, while the
    other identities are polled as usual. An error that concerns all identities, such as
    an outage, or a pause that the server asks for, is waited out; its beginning and its
    end are logged once. A 401 ends everything.

    With ``until_caught_up``, following ends. Each identity is polled until its log was
    read to its end once. The last batch of the identity, which may be empty, has a
    `Batch.report`; once that batch was processed, ``on_end`` is called. A poll that
    fails is not repeated. An error that concerns all identities is raised, and the
    identities that are left are not polled.

    Example:
        >>> async with CheckpointStore("bot.db") as store:
        ...     async for batch in canopy.follow(ids, checkpoints=store):
        ...         await post(batch.events)
        ...         await store.save(batch)
    """

    _poller_type: ClassVar[type[Poller]] = Poller

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
        super().__init__("a follower")
        source = IdentitySource(identities)
        self._beginnings: Final = Beginnings(checkpoints, options.start)
        self._pollers: Final = PollerSource(
            log_of,
            self._beginnings,
            transport=transport,
            options=options,
            make=self._poller_type,
        )
        self._transport: Final = transport
        self._options: Final = options
        if on_end is not None:
            check_callback("on_end", on_end)
        self._on_end: Final = on_end
        self._followed: Final = Followed()
        self._failures: Final = FollowFailures(clock)
        self._listing: Final = Listing(
            source,
            self._followed,
            self._beginnings,
            transport=transport,
            options=options,
            failures=self._failures,
            begin=self._begin,
            ended=self._listing_ended,
        )
        self._schedule: Final = Schedule(
            self._poll, width=options.width, interrupted=self._interrupted
        )
        self._mailbox: Final = Mailbox[Handover]("this follower", self._has_ended)
        self._hands_out_batches = True
        for identity_id in source.named:
            self.add(identity_id)

    @property
    def failures(self) -> dict[str, CanopyError]:
        """The error of each identity whose last poll failed."""
        return self._failures.of_polls

    @property
    def listing_failure(self) -> CanopyError | None:
        """The error of the last listing of identities, None where it did not fail.

        A listing that failed is tried again.
        """
        return self._failures.of_listing

    @property
    def outage(self) -> CanopyError | None:
        """The error that keeps every identity from being read, None if there is none.

        `failures` has the error, too, for the identities that were polled since.
        """
        return self._failures.outage

    @property
    def identity_ids(self) -> tuple[str, ...]:
        """The identities that are followed and not read to their end."""
        return self._followed.ids

    @property
    def checkpoints(self) -> dict[str, FollowCheckpoint]:
        """The checkpoint of each log, after the last event that was handed out.

        With ``until_caught_up``, and if you read batches, a log that was read to its
        end is left out: its last batch has the checkpoint.
        """
        known = self._followed.checkpoints
        current = self._mailbox.current
        if current is not None and self._followed.has(current.poller):
            known[current.batch.identity_id] = current.checkpoint
        return known

    def add(self, identity_id: str, *, start: Start | None = None) -> None:
        """Follow one more identity; nothing changes if it is followed already.

        Args:
            identity_id: The identity.
            start: Where to begin if the identity has no checkpoint: ``now``,
                ``beginning`` or an aware datetime. None is the default: before the
                first batch was asked for, the identity begins like those that the
                follower was given; after that, at the ``start`` of
                `CanopySession.follow`.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: ``identity_id`` can't be an id, or ``start`` is not a place to
                begin.
            CheckpointError: The checkpoint of the identity is damaged, or of another
                log.
        """
        self._pollers.check_id(identity_id)
        if start is not None:
            check_start(start)
        if identity_id in self._followed:
            return
        self._followed.removed.discard(identity_id)
        if not self._listing.has_begun:
            self._pollers.check_checkpoint(identity_id)
            self._followed.waiting[identity_id] = start
            return
        self._begin(identity_id, start or self._options.start)

    def remove(self, identity_id: str) -> None:
        """Follow an identity no longer; its events that wait are not handed out.

        If it is added again, it goes on after the last event that was handed out.
        """
        place = self.checkpoints.get(identity_id)
        poller = self._followed.remove(identity_id)
        self.failures.pop(identity_id, None)
        if poller is None:
            return
        self._schedule.drop(poller)
        self._beginnings.keep(identity_id, place)
        self._mailbox.drop(lambda handover: handover.poller is poller)
        self._mailbox.wake()

    def __repr__(self) -> str:
        """Show how many identities are followed by now, in one short line."""
        return f"<Follower of {len(self._followed.pollers)} identities so far>"

    def __aiter__(self) -> AsyncIterator[Batch]:
        """Yield batches as they come.

        Raises:
            RuntimeError: At the call: this follower was iterated before.
            CheckpointError: While iterating: the store can't be read, or a
                checkpoint in the store is of another log.
            UnauthorizedError: While iterating: the server refuses the token.
            CanopyError: While iterating, with ``until_caught_up``: the error concerns
                all identities, or the identities can't be listed.
            SessionClosedError: While iterating: the session was closed.
        """
        self._begin_pass()
        return self._batches()

    def events(self) -> AsyncIterator[AuditEvent]:
        """Yield events as they come, without the batches around them.

        `checkpoints` moves with each event.

        Raises:
            RuntimeError: At the call: this follower was iterated before.
            CanopyError: While iterating: the errors of ``async for`` over the follower.

        Example:
            >>> async for event in canopy.follow("idn_1").events():
            ...     print(event.created_at, event.action)
        """
        self._begin_pass()
        self._hands_out_batches = False
        return self._events()

    async def aclose(self) -> None:
        """Cancel the polls that are still running, and await them."""
        self._transport.check_loop()
        self._mailbox.close()
        try:
            await self._listing.aclose()
        finally:
            await self._schedule.aclose()

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
                    if not self._followed.has(handover.poller):
                        break  # the identity was removed, or removed and added again
                    handover.handed += 1
                    yield event
        finally:
            await self.aclose()

    async def _next(self) -> Handover | None:
        """Wait for a batch, and make it the current one."""
        self._transport.check_loop()
        self._finish_current()
        await self._start()
        # Following that ends by itself has requests to send until then, and they raise.
        if self._transport.closed and not self._options.until_caught_up:
            self._stop(SessionClosedError("the session is closed"))
        handover = await self._transport.until_closed(self._mailbox.next())
        if self._mailbox.error is not None:
            raise self._mailbox.error
        return handover

    def _has_ended(self) -> bool:
        """Whether following has ended, as every log was read to its end."""
        has_ended = self._listing.is_over and self._followed.is_empty
        return self._options.until_caught_up and has_ended

    def _finish_current(self) -> None:
        """Note that the current batch was processed, so that its log may be polled."""
        current = self._mailbox.current
        if current is not None:
            current.poller.checkpoint = current.batch.checkpoint
            self._mailbox.accept()

    async def _start(self) -> None:
        if self._listing.has_begun or self._mailbox.closed:
            return
        self._transport.check_open()
        await self._beginnings.load()
        self._listing.start()

    def _listing_ended(self, error: Exception | None) -> None:
        if error is not None:
            self._stop(error)
        self._mailbox.wake()

    def _begin(self, identity_id: str, start: Start | None) -> None:
        """Poll an identity from now on."""
        poller = self._pollers.poller_of(identity_id, start)
        self._followed.pollers[identity_id] = poller
        self._schedule.add(poller)

    def _interrupted(self) -> None:
        self._stop(SessionClosedError("a poll was cancelled from outside"))

    async def _poll(self, poller: Poller) -> float | None:
        """Poll one log; return the seconds until the next poll, None for no more."""
        began = clock()
        try:
            await poller.poll(lambda batch: self._hand_over(poller, batch))
        except (UnauthorizedError, SessionClosedError) as error:
            self._stop(error)
            return None
        except CanopyError as error:
            self._failures.look_for_answer(error, began)
            return self._failed(poller, error)
        except Exception as error:  # noqa: BLE001 - raised where it is read
            self._stop(error)
            return None
        self._failures.poll_answered(poller.identity_id, began)
        if not self._options.until_caught_up:
            return poller.succeeded()
        if not poller.is_caught_up:
            return 0.0
        self._finish(poller)
        return None

    def _finish(self, poller: Poller, error: CanopyError | None = None) -> None:
        """Stop polling an identity that was read to its end, or whose poll failed."""
        if not self._followed.has(poller):
            return
        identity_id = poller.identity_id
        kept = None if self._hands_out_batches else poller.checkpoint
        self._followed.finish(identity_id, kept)
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
        await self._mailbox.put(Handover(poller, batch, before))

    def _failed(self, poller: Poller, error: CanopyError) -> float | None:
        """Note that a poll failed; return the seconds until the next one."""
        if self._options.until_caught_up:
            self._give_up(poller, error)
            return None
        wait = poller.failed(error)
        forget_frames(error)
        if self._followed.has(poller):
            self._failures.poll_failed(poller.identity_id, error, wait=wait)
        return wait

    def _give_up(self, poller: Poller, error: CanopyError) -> None:
        """End following an identity whose poll failed.

        An error that concerns all identities ends following all of them.
        """
        if error.concerns_all:
            self._stop(error)  # what is left is gone on with another time
            return
        forget_frames(error)
        if self._followed.has(poller):
            self.failures[poller.identity_id] = error
        self._finish(poller, error)

    def _stop(self, error: Exception) -> None:
        """End everything; the reader raises the error."""
        if not self._mailbox.stop(error):
            return
        self._schedule.end()
        self._listing.cancel()


publish("canopy_async", Follower)
