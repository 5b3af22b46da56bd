"""`AccountPoller`: polls the log of an account, in few requests."""

from collections.abc import Sequence
from contextlib import aclosing
from datetime import datetime
from typing import cast

import attrs

from canopy_async._account.account_log import AccountLog
from canopy_async._account.time_parts import PartReader
from canopy_async._follow.follow_checkpoint import (
    Batch,
    FollowCheckpoint,
    before,
    front_of,
    not_ahead,
)
from canopy_async._follow.options import NOW
from canopy_async._follow.poll import Deliver, clock
from canopy_async._follow.poller import MAX_ROWS_IN_MEMORY, Poller
from canopy_async.models import AuditEvent
from canopy_async.report import AccountReport

__all__ = ["AccountPoller"]


@attrs.define(eq=False, kw_only=True)
class AccountPoller(Poller):
    """Polls the log of an account.

    A poll reads newest first, back to ``overlap`` before the front. If these are more
    events than may be held in memory, their time is divided into parts. The parts are
    read and handed out one after the other, the oldest part first.
    """

    _requests: int = attrs.field(init=False, default=0)
    _retries: int = attrs.field(init=False, default=0)

    async def poll(self, deliver: Deliver) -> None:
        """Hand out the new events; `checkpoint` moves with them.

        Raises:
            CanopyError: The log could not be read. `checkpoint` then covers exactly the
                events that were handed out before.
        """
        self.report, self._requests, self._retries = None, 0, 0
        began = clock()
        if self.checkpoint is None and self.start == NOW:
            await self._learn_what_is_there(began, deliver)
            return
        known = self.checkpoint or self._at_start()
        floor = self._floor_of(known, began)
        rows, report = await self._parts.read(floor, most=MAX_ROWS_IN_MEMORY)
        if report is None:
            known = await self._catch_up(known, rows, deliver)
            floor = known.floor
            rows, report = await self._parts.read(floor)
        if report is None:
            raise AssertionError("all rows were wanted")
        is_deep = floor == known.floor
        found = self._concluded(known, rows, began=began, is_deep=is_deep)
        whole = attrs.evolve(found, report=self._whole(report))
        await self._hand_out(deliver, whole)

    @property
    def _parts(self) -> PartReader:
        return PartReader(
            cast("AccountLog", self.log).stream(),
            most=MAX_ROWS_IN_MEMORY,
            lanes=self.lanes,
            on_read=self._count,
        )

    def _floor_of(self, known: FollowCheckpoint, began: float) -> datetime | None:
        """Return the earliest date that this poll reads, None for all dates."""
        if self._memory.deep_polls.is_due(began):
            return known.floor
        return known.near(self.lateness.overlap, now=self.now())

    async def _learn_what_is_there(self, began: float, deliver: Deliver) -> None:
        """Note the ids of the newest events, so that only later events are new."""
        span = max(self.lateness.overlap, self.lateness.settle)
        rows: list[AuditEvent] = []
        async with self._parts.open(None, None, concurrency=1) as run:
            while (batch := await run.next_batch()) is not None:
                rows.extend(batch)
                if self._spans(rows, span):
                    break
            report = run.report
        self._count(report)
        known = self._knowing(rows, count=0, proven=True, is_all=report.complete)
        self._memory.deep_polls.ran(began, 0)
        found = known.batch(self.identity_id, (), rows, truncated=False)
        found = attrs.evolve(found, checkpoint=known, report=self._whole(report))
        await self._hand_out(deliver, found)

    async def _catch_up(
        self, known: FollowCheckpoint, newest: Sequence[AuditEvent], deliver: Deliver
    ) -> FollowCheckpoint:
        """Hand out a backlog, the oldest part of its time first.

        Args:
            known: The checkpoint after the events that were handed out so far.
            newest: The newest events of the log, newest first.
            deliver: Hands batches out.

        Returns:
            The checkpoint after the backlog. The end of the backlog is within its
            overlap, and is read again for late events.
        """
        dates = [row.created_at for row in newest]
        top = max(not_ahead(dates, self.now()) or dates)
        look_back = before(top, self.lateness.deep_overlap)
        async with aclosing(
            self._parts.oldest_first(known.floor, top, newest)
        ) as parts:
            async for part in parts:
                batch = known.batch(
                    self.identity_id,
                    known.new_among(part.rows),
                    part.rows,
                    truncated=False,
                )
                until = part.until or top
                floor = until if look_back is None else min(until, look_back)
                if known.floor is None or floor > known.floor:
                    floored = batch.checkpoint.without_older(floor)
                    batch = attrs.evolve(batch, checkpoint=floored)
                await self._hand_out(deliver, batch)
                known = batch.checkpoint
        return known

    def _concluded(
        self,
        known: FollowCheckpoint,
        rows: Sequence[AuditEvent],
        *,
        began: float,
        is_deep: bool,
    ) -> Batch:
        """Return the last batch of a poll that has read all events from its floor on.

        Args:
            known: The checkpoint after the events that were handed out so far.
            rows: The events from the floor on, in any order.
            began: When the poll began, by `clock`.
            is_deep: Whether the poll is a deep one.
        """
        memory, lateness, now = self._memory, self.lateness, self.now()
        dates = sorted(row.created_at for row in rows)
        dated = not_ahead(dates, now)
        newest = (dated or dates)[-1] if dates else None
        ready = new = known.new_among(rows)
        if lateness.settle:
            until = memory.time.settled(lateness.settle, newest=newest, began=began)
            ready = known.settled(new, until)
        if newest is not None:
            memory.time.learn(newest, clock())
        found = known.batch(self.identity_id, ready, rows, truncated=bool(known.ids))
        if is_deep:
            checkpoint = found.checkpoint.trimmed(
                overlap=lateness.overlap,
                deep=lateness.deep_overlap,
                seen=front_of(dated, lateness.deep_overlap, now=now) if dated else None,
                now=now,
            )
            found = attrs.evolve(found, checkpoint=checkpoint)
            memory.deep_polls.ran(began, 0)
        self._new = max(0, len(new) - len(self._held))
        self._held = new[len(ready) :]
        return found

    def _count(self, report: AccountReport) -> None:
        self._requests += report.requests
        self._retries += report.retries

    def _whole(self, report: AccountReport) -> AccountReport:
        """Return a report that counts the requests of the whole poll."""
        return attrs.evolve(report, requests=self._requests, retries=self._retries)
