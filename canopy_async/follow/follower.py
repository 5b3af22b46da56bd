"""The turns of many pollers, and batches handed to one reader.

A few tasks poll those that are due, and each waits until what it found was
processed: a slow reader slows the polls instead of piling up events.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Final, Self

import attrs

from canopy_async.arguments import check_choice
from canopy_async.errors import (
    ApiError,
    CanopyError,
    CheckpointError,
    SessionClosedError,
    UnauthorizedError,
)
from canopy_async.follow.polling import STARTS, FollowOptions, Poller
from canopy_async.follow.rota import Rota
from canopy_async.follow.watermark import (
    Batch,
    CheckpointSource,
    FollowCheckpoint,
    SavedCheckpoint,
)
from canopy_async.models import AuditEvent
from canopy_async.stream import EventStream
from canopy_async.transport import Transport

__all__ = ["Follower"]

_log = logging.getLogger("canopy_async")


@attrs.define(eq=False)
class _Handover:
    """A batch on its way to the reader.

    Attributes:
        poller: Where it comes from.
        batch: The batch.
        before: What was handed out of the log before.
        handed: Events of it that were handed out.
        processed: Is set once the reader asks for what comes next.
    """

    poller: Poller
    batch: Batch
    before: FollowCheckpoint
    handed: int
    processed: asyncio.Future[None]

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
    the other identities go on. A 401 stops everything.

    Attributes:
        failures: The error of each identity whose last poll failed.

    Example:
        >>> async with CheckpointStore("bot.db") as store:
        ...     async for batch in canopy.follow(ids, checkpoints=store):
        ...         await post(batch.events)
        ...         await store.save(batch)
    """

    def __init__(
        self,
        identity_ids: Iterable[str],
        *,
        read: Callable[[str], Callable[..., EventStream]],
        scope: Callable[[str], str],
        transport: Transport,
        options: FollowOptions,
        checkpoints: Mapping[str, SavedCheckpoint] | CheckpointSource | None,
    ) -> None:
        self.failures: Final[dict[str, CanopyError]] = {}
        self._read: Final = read
        self._scope: Final = scope
        self._transport: Final = transport
        self._options: Final = options
        self._source: CheckpointSource | None = None
        self._saved: dict[str, SavedCheckpoint] = {}
        if isinstance(checkpoints, Mapping):
            self._saved.update(checkpoints)
        elif checkpoints is None or hasattr(checkpoints, "load"):
            self._source = checkpoints
        else:
            raise TypeError("checkpoints must map identity ids, or have load()")
        self._pollers: Final[dict[str, Poller]] = {}
        self._rota: Final = Rota(
            self._poll,
            width=options.width,
            beat=self._check_session,
            interrupted=self._interrupted,
        )
        self._ready: Final[deque[_Handover]] = deque()
        self._current: _Handover | None = None
        self._wakeup: asyncio.Future[None] | None = None
        self._stopped_by: Exception | None = None
        self._iterated = False
        self._started = False
        self._closed = False
        for identity_id in identity_ids:
            self.add(identity_id)

    @property
    def identity_ids(self) -> tuple[str, ...]:
        """The identities that are followed."""
        return tuple(self._pollers)

    @property
    def checkpoints(self) -> dict[str, FollowCheckpoint]:
        """What was handed out of each log, to the event."""
        known = {
            identity_id: poller.checkpoint
            for identity_id, poller in self._pollers.items()
            if poller.checkpoint is not None
        }
        current = self._current
        if current is not None and self._follows(current.poller):
            known[current.batch.identity_id] = current.checkpoint
        return known

    def add(self, identity_id: str, *, start: str | None = None) -> None:
        """Follow one more identity; one that is followed already stays so.

        Args:
            identity_id: The identity.
            start: Where to begin if there is no checkpoint of it, ``now`` or
                ``beginning``; None is as for the others.

        Raises:
            TypeError: An argument is not a str.
            ValueError: It can't be an id, or a place to begin.
            CheckpointError: Its checkpoint is damaged or of another log.
        """
        scope = self._scope(identity_id)
        if start is not None:
            check_choice("start", start, STARTS)
        if identity_id in self._pollers:
            return
        poller = Poller(
            identity_id=identity_id,
            read=self._read(identity_id),
            start=start or self._options.start,
            scope=scope,
            reach=self._options.reach,
            pace=self._options.pace,
        )
        self._begin_at_saved(poller)
        self._pollers[identity_id] = poller
        if self._started:
            self._rota.add(poller)

    def remove(self, identity_id: str) -> None:
        """Follow an identity no longer; what was not handed out of it is not.

        Added again, it goes on where it was left.
        """
        place = self.checkpoints.get(identity_id)
        poller = self._pollers.pop(identity_id, None)
        self.failures.pop(identity_id, None)
        if poller is None:
            return
        self._rota.drop(poller)
        self._saved[identity_id] = place
        kept = [item for item in self._ready if item.poller is not poller]
        self._ready.clear()
        self._ready.extend(kept)

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
        return self._events()

    async def aclose(self) -> None:
        """Cancel the polls that are still running, and await them."""
        self._closed = True
        self._wake()
        await self._rota.aclose()

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
        self._finish_current()
        await self._start()
        while not (self._ready or self._closed or self._stopped_by):
            self._wakeup = asyncio.get_running_loop().create_future()
            try:
                await self._wakeup
            finally:
                self._wakeup = None
        if self._stopped_by is not None:
            raise self._stopped_by
        if self._closed:
            return None
        self._current = self._ready.popleft()
        return self._current

    def _finish_current(self) -> None:
        """Let the identity go on whose batch was processed."""
        current, self._current = self._current, None
        if current is None:
            return
        current.poller.checkpoint = current.batch.checkpoint
        if not current.processed.done():
            current.processed.set_result(None)

    async def _start(self) -> None:
        if self._started or self._closed:
            return
        self._transport.check_open()
        if self._source is not None:
            self._saved |= await self._source.load()
        for poller in self._pollers.values():
            self._begin_at_saved(poller)
            self._rota.add(poller)
        self._started = True

    def _begin_at_saved(self, poller: Poller) -> None:
        saved = self._saved.pop(poller.identity_id, None)
        if saved is None:
            return
        if not isinstance(saved, FollowCheckpoint):
            saved = FollowCheckpoint.loads(saved)
        if saved.scope != poller.scope:
            raise CheckpointError(
                f"the checkpoint of {poller.identity_id!r} is of another log: server,"
                " account, identity and q must be the same"
            )
        poller.checkpoint = saved

    def _check_session(self) -> None:
        if self._transport.closed:
            self._stop(SessionClosedError("the session was closed"))

    def _interrupted(self) -> None:
        self._stop(SessionClosedError("a poll was cancelled from outside"))

    async def _poll(self, poller: Poller) -> float | None:
        """Poll one log; return how long to wait before the next time."""
        try:
            await poller.poll(lambda batch: self._hand_over(poller, batch))
        except (UnauthorizedError, SessionClosedError) as error:
            self._stop(error)
            return None
        except CanopyError as error:
            return self._failed(poller, error)
        except Exception as error:  # noqa: BLE001 - raised where it is read
            self._stop(error)
            return None
        self.failures.pop(poller.identity_id, None)
        return poller.succeeded()

    async def _hand_over(self, poller: Poller, batch: Batch) -> None:
        """Queue a batch, and wait until it was processed."""
        handover = _Handover(
            poller=poller,
            batch=batch,
            before=poller.checkpoint or FollowCheckpoint(scope=poller.scope),
            handed=0,
            processed=asyncio.get_running_loop().create_future(),
        )
        self._ready.append(handover)
        self._wake()
        await handover.processed

    def _failed(self, poller: Poller, error: CanopyError) -> float:
        wait = poller.failed(error)
        # An error that is kept must hold nothing but itself.
        error.__traceback__ = error.__context__ = error.__cause__ = None
        is_new = poller.identity_id not in self.failures
        if self._pollers.get(poller.identity_id) is poller:
            self.failures[poller.identity_id] = error
        if is_new:
            _log.warning(
                "a poll failed, the next is in %.0f s: %s",
                wait,
                _kind_of(error),
                extra={"identity_id": poller.identity_id},
            )
        return wait

    def _stop(self, error: Exception) -> None:
        """End everything; the reader raises the error."""
        if self._stopped_by is not None or self._closed:
            return
        self._stopped_by = error
        self._rota.end()
        self._wake()

    def _wake(self) -> None:
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)


def _kind_of(error: CanopyError) -> str:
    """Name an error without the URL, which has the id and the search term."""
    status = f" {error.status}" if isinstance(error, ApiError) else ""
    return f"{type(error).__name__}{status}"
