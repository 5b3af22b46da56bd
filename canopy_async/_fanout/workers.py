"""`Workers`: the tasks of a fan-out, each of which reads one identity after another."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Final

from canopy_async._api.identity_ids import ListedId, check_listed_id, shown_id
from canopy_async._fanout.open_read import OpenRead
from canopy_async._fanout.tally import Tally
from canopy_async._read.audit_log import AuditLog
from canopy_async._transport.transport import Transport
from canopy_async._util.mailbox import Mailbox
from canopy_async._util.tasks import cancel_and_wait, start_task
from canopy_async.checkpoint import Checkpoint
from canopy_async.errors import CanopyError, SessionClosedError

__all__ = ["Workers"]

READY_BYTES: Final = 16 * 1024 * 1024
"""Bytes of answers that all identities together hold ready, about."""


class Workers:
    """The tasks that read the identities of one fan-out.

    There is one at first. Each that finds an identity to read calls for one more, up
    to ``width``. A read waits in the mailbox whenever it has an answer.

    Args:
        ids: The ids to read; it is asked for one at a time.
        log_of: Returns the log of an identity.
        transport: Sends the requests.
        width: Identities read at a time at most.
        resume: The places where reads begin, by identity.
        tally: Is told how each read ends.
        mailbox: Hands the reads to the reader of the fan-out.
        stop: Ends the fan-out with an error.

    Attributes:
        have_begun: Whether `start` was called.
    """

    def __init__(
        self,
        ids: AsyncGenerator[str],
        log_of: Callable[[str], AuditLog],
        *,
        transport: Transport,
        width: int,
        resume: Mapping[str, Checkpoint | str | None],
        tally: Tally,
        mailbox: Mailbox[OpenRead],
        stop: Callable[[Exception], None],
    ) -> None:
        self._ids: Final = ids
        self._pulling: Final = asyncio.Lock()
        self._log_of: Final = log_of
        self._transport: Final = transport
        self._lanes: Final = transport.open_group(max_ready=READY_BYTES)
        self._width: Final = width
        self._resume: Final = resume
        self._tally: Final = tally
        self._mailbox: Final = mailbox
        self._stop: Final = stop
        self._tasks: Final[set[asyncio.Task[None]]] = set()
        self.have_begun = False

    @property
    def have_ended(self) -> bool:
        """Whether no identity is read any more, and none will be."""
        return self.have_begun and not self._tasks

    def start(self) -> None:
        """Begin with the first one."""
        self.have_begun = True
        self._add()

    def cancel(self) -> None:
        """Cancel all but the one that calls this, without waiting for their end."""
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()

    async def aclose(self) -> None:
        """Cancel all, and await their end; then end the ids."""
        try:
            await cancel_and_wait(self._tasks)
        finally:
            await self._ids.aclose()

    def _add(self) -> None:
        task = start_task(self._work())
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            self._stop(SessionClosedError("a read was cancelled from outside"))
        self._mailbox.wake()

    async def _work(self) -> None:
        """Read one identity after another."""
        try:
            is_first = True
            while self._mailbox.error is None:
                found = await self._next_id()
                if found is None:
                    return
                # Each worker that finds work calls for one more to look for some.
                if is_first and len(self._tasks) < self._width:
                    self._add()
                is_first = False
                await self._read_one(str(found), listed=isinstance(found, ListedId))
        except Exception as error:  # noqa: BLE001 - raised where it is read
            self._stop(error)

    async def _next_id(self) -> str | None:
        async with self._pulling:  # a generator can't be asked twice at once
            return await self._transport.until_closed(anext(self._ids, None))

    async def _read_one(self, identity_id: str, *, listed: bool) -> None:
        reading = OpenRead(identity_id, self._resume.get(identity_id))
        self._tally.open[reading] = None
        try:
            if listed:
                check_listed_id(identity_id)
            stream = self._log_of(identity_id).stream(reading.resume)
            async with stream.reader(self._lanes) as run:
                reading.run = run
                while await run.wait():
                    await self._mailbox.put(reading)
        except CanopyError as error:
            error.add_note(
                f"while the events of identity {shown_id(identity_id)} were read"
            )
            self._tally.note_failure(reading, error)
        else:
            self._tally.note_end(reading, run.report, run.checkpoint)
