"""Many identities under one budget: their events, merged as they arrive.

Its `Workers` each read one identity after another. A fan-out has one turn beside the
session's other reads, which goes to each of its identities by turns. The bytes that
they hold ready are bounded, all of them together.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

from canopy_async._api.identity_ids import IdentityIds, check_ids, each_id, shown_id
from canopy_async._fanout.open_read import OpenRead
from canopy_async._fanout.results import (
    FanOutProgress,
    IdentityBatch,
    IdentityEvent,
    IdentityOutcome,
)
from canopy_async._fanout.tally import Tally
from canopy_async._fanout.workers import Workers
from canopy_async._read.audit_log import AuditLog
from canopy_async._tables.arrow import (
    BATCH_ROWS,
    BatchBuilder,
    check_arrow,
    table_of,
)
from canopy_async._transport.transport import Transport
from canopy_async._util.arguments import (
    OnError,
    check_callback,
    check_choice,
    check_integer,
)
from canopy_async._util.mailbox import Mailbox
from canopy_async._util.public import publish
from canopy_async._util.single_pass import SinglePass
from canopy_async.checkpoint import Checkpoint
from canopy_async.errors import CanopyError, FanOutError, SessionClosedError

__all__ = ["FanOut"]

_ON_ERROR: Final = ("raise", "collect")


class FanOut(SinglePass):
    """The events of many identities, in one pass that can be watched.

    Read it with ``async for``. The events of one identity come in their order;
    those of different identities alternate, by pages at most. After a bare
    ``break`` the loop's next turns clean up; ``async with`` does it at the end
    of its block.

    An identity that is named twice is read twice: what was seen is not kept,
    so that a million ids need no more memory than ten.

    Attributes:
        failures: The error of each identity that could not be read, without
            its traceback.
        reports: The reports of identities that are not proven complete, of
            the first 10 000 of them; `progress` counts the others.

    Example:
        >>> async with canopy.fan_out(ids, on_error="collect") as fan_out:
        ...     async for identity_id, event in fan_out:
        ...         print(identity_id, event.action)
        >>> print(fan_out.progress, fan_out.failures)
    """

    def __init__(
        self,
        identity_ids: IdentityIds,
        log_of: Callable[[str], AuditLog],
        *,
        transport: Transport,
        on_error: OnError,
        width: int,
        resume: Mapping[str, Checkpoint | str | None] | None,
        on_end: Callable[[IdentityOutcome], None] | None = None,
    ) -> None:
        super().__init__("a fan-out")
        check_ids(identity_ids)
        check_choice("on_error", on_error, _ON_ERROR)
        check_integer("width", width, minimum=1)
        if resume is not None and not isinstance(resume, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError("resume must map identity ids to checkpoints")
        if on_end is not None:
            check_callback("on_end", on_end)
        self._transport: Final = transport
        self._on_end: Final = on_end
        self._tally: Final = Tally(
            collects=on_error == "collect", on_end=on_end, stop=self._stop
        )
        self.failures: Final = self._tally.failures
        self.reports: Final = self._tally.reports
        self._mailbox: Final = Mailbox[OpenRead]("this fan-out", self._has_ended)
        self._workers: Final = Workers(
            each_id(identity_ids),
            log_of,
            transport=transport,
            width=width,
            # Not `or`: one that is empty may be filled while ids are pulled.
            resume={} if resume is None else resume,
            tally=self._tally,
            mailbox=self._mailbox,
            stop=self._stop,
        )
        self._events = 0
        self._builder: BatchBuilder | None = None

    @property
    def progress(self) -> FanOutProgress:
        """The progress of this fan-out."""
        tally, current = self._tally, self._mailbox.current
        return FanOutProgress(
            done=tally.done,
            complete=tally.complete,
            failed=tally.failed,
            open=0 if self._mailbox.closed else len(tally.open),
            events=self._events + (0 if current is None else current.handed),
            requests=tally.requests_so_far,
        )

    @property
    def checkpoints(self) -> dict[str, Checkpoint | None]:
        """The place to go on from, of each identity that was begun and not finished.

        These are the identities that failed, and those that are open, or were open
        when this fan-out was left; None stands for the start. Given as ``resume`` to a
        later fan-out over these ids and those that were not begun, it makes it read
        what is left, and nothing twice.

        Raises:
            RuntimeError: `iter_arrow` holds rows that it has not yielded, so that no
                checkpoint would be right: between two batches it holds none.
        """
        if self._builder is not None and self._builder.held:
            raise RuntimeError(
                "iter_arrow() has read rows that it has not yielded: look at the"
                " checkpoints between two batches"
            )
        return self._tally.checkpoints

    def __aiter__(self) -> AsyncIterator[IdentityEvent]:
        """Yield the events, each with its identity.

        Raises:
            RuntimeError: At the call: it was iterated before.
            CanopyError: While iterating: an identity failed and ``on_error`` is
                ``"raise"``, the token was refused or the session was closed.
            TypeError: While iterating: an id is neither a str nor has an ``id``.
            ValueError: While iterating: an id can't be one. Where the server has
                listed it, that identity fails with a `ProtocolError` instead.
        """
        self._begin_pass()
        return self._iterate()

    async def next_batch(self) -> IdentityBatch | None:
        """Return the next events of some identity, those of one page at most.

        Call it within ``async with``: leaving the block ends the reads that are still
        running. Without the block nothing would end them.

        Returns:
            At least one event, or None at the end.

        Raises:
            CanopyError: As `__aiter__` says.
            RuntimeError: The fan-out was not entered with ``async with``, another task
                is waiting for events of it, or it is read with ``async for``.

        Example:
            >>> async with canopy.fan_out(ids) as fan_out:
            ...     while (batch := await fan_out.next_batch()) is not None:
            ...         print(batch.identity_id, len(batch.events))
        """
        if not self._entered:
            raise RuntimeError(
                "next_batch() is for a fan-out that was entered: use"
                " 'async with canopy.fan_out(...) as fan_out'"
            )
        if self._iterated:
            raise RuntimeError("this fan-out is read with 'async for'")
        reading = await self._next_reading()
        if reading is None:
            return None
        return IdentityBatch(reading.identity_id, reading.take_all())

    async def collect(self) -> list[IdentityEvent]:
        """Return all events in a list.

        Raises:
            FanOutError: Some identities failed and ``on_error`` is
                ``"collect"``: a part is never returned as if it were all.
                Iterate to have what could be read.
            CanopyError: As `__aiter__` says.
        """
        self._begin_pass()
        pairs: list[IdentityEvent] = []
        try:
            while (reading := await self._next_reading()) is not None:
                pairs += reading.pairs()
        finally:
            await self.aclose()
        self._check_nothing_failed()
        return pairs

    async def to_arrow(self) -> Any:
        """Return all events as a table of Arrow.

        Its schema is that of the Parquet files of an export, and ``identity_id`` says
        whose log a row is from. The rows of one identity are in their order; those of
        different identities alternate. It needs the extra ``arrow``.

        Returns:
            A ``pyarrow.Table``.

        Raises:
            ModuleNotFoundError: The package pyarrow is not installed.
            FanOutError: Some identities failed and ``on_error`` is ``"collect"``: a
                part is never returned as if it were all. Use `iter_arrow` to have
                what could be read.
            CanopyError: As `__aiter__` says.

        Example:
            >>> async with canopy.fan_out(ids) as fan_out:
            ...     table = await fan_out.to_arrow()
        """
        check_arrow(BATCH_ROWS)
        self._begin_pass()
        batches = [batch async for batch in self._arrow_batches(BATCH_ROWS)]
        self._check_nothing_failed()
        return table_of(batches)

    def iter_arrow(self, *, rows: int = BATCH_ROWS) -> AsyncIterator[Any]:
        """Yield the events as record batches of Arrow, in bounded memory.

        Their schema is that of `to_arrow`. With ``on_error="collect"``, look at
        `failures` at the end: the events of these identities are not all there.
        Between two batches, `checkpoints` are right after the rows that were yielded.
        It needs the extra ``arrow``.

        Args:
            rows: Rows of a batch at most, 100 or more. Batches are made of whole pages
                of the server, and a batch of large rows has fewer.

        Yields:
            ``pyarrow.RecordBatch``, each with at least one row.

        Raises:
            ModuleNotFoundError: At the call: the package pyarrow is not installed.
            TypeError: At the call: ``rows`` is not an int.
            ValueError: At the call: ``rows`` is less than 100, or the fan-out has
                ``on_end``, which would be told of an end before its rows are yielded.
            RuntimeError: At the call: it was iterated before.
            CanopyError: While iterating: as `__aiter__` says. All events that were
                read before it were yielded.

        Example:
            >>> async with canopy.fan_out(ids) as fan_out:
            ...     async for batch in fan_out.iter_arrow():
            ...         print(batch.num_rows)
        """
        check_arrow(rows)
        if self._on_end is not None:
            raise ValueError(
                "on_end is not for iter_arrow(): it would be told of the end of an"
                " identity before its last rows are yielded"
            )
        self._begin_pass()
        return self._arrow_batches(rows)

    async def _arrow_batches(self, rows: int) -> AsyncIterator[Any]:
        builder = self._builder = BatchBuilder(rows)
        try:
            while (reading := await self._next_reading()) is not None:
                # Not taken before there is room for it: a checkpoint of between two
                # batches is never after rows that were not yielded.
                if not builder.has_room(len(reading.events)):
                    yield builder.take()
                builder.add((reading.identity_id, reading.take_all()))
        except CanopyError:
            if builder.held:
                yield builder.take()
            raise
        finally:
            await self.aclose()
        if builder.held:
            yield builder.take()

    def _check_nothing_failed(self) -> None:
        """Raise where some identities could not be read."""
        if not self.failures:
            return
        raise FanOutError(
            f"{len(self.failures)} identities could not be read,"
            f" {shown_id(next(iter(self.failures)))} first",
            failures=self.failures,
        )

    async def aclose(self) -> None:
        """Cancel the reads that are still running, and await them."""
        self._transport.check_loop()
        self._mailbox.close()
        await self._workers.aclose()

    async def _iterate(self) -> AsyncIterator[IdentityEvent]:
        try:
            while (reading := await self._next_reading()) is not None:
                for found in reading.pairs():
                    yield found
        finally:
            await self.aclose()

    async def _next_reading(self) -> OpenRead | None:
        """Wait for an identity that has events."""
        self._mailbox.check_reader()
        self._transport.check_loop()
        self._finish_current()
        if self._transport.closed:
            self._stop(SessionClosedError("the session is closed"))
        self._start()
        while (reading := await self._mailbox.next()) is not None:
            if self._take_answer(reading):
                return reading
            self._finish_current()
        if self._mailbox.error is None and not self._mailbox.closed:
            self._tally.judge_suspects(at_end=True)
        await self.aclose()
        if self._mailbox.error is not None:
            raise self._mailbox.error
        return None

    def _take_answer(self, reading: OpenRead) -> bool:
        """Make the events of an answer; tell whether there are any."""
        try:
            has_events = reading.decode()
            if has_events:
                self._tally.note_answer()
        except Exception as error:  # noqa: BLE001 - raised where it is read
            self._mailbox.give_back(error)
            return False
        return has_events

    def _finish_current(self) -> None:
        """Count what was handed out, and let its identity go on."""
        reading = self._mailbox.current
        if reading is None:
            return
        self._events += reading.finish_batch()
        self._mailbox.accept()

    def _has_ended(self) -> bool:
        return self._workers.have_ended

    def _start(self) -> None:
        if not (self._workers.have_begun or self._mailbox.is_over):
            self._workers.start()

    def _stop(self, error: Exception) -> None:
        """End everything; the reader raises the error."""
        if self._mailbox.stop(error):
            self._workers.cancel()


publish("canopy_async", FanOut)
