"""The gate that admits each request: turns, width, rate, cooldowns, outages."""

import asyncio
from typing import Final

from canopy_async._api.responses import Response
from canopy_async._transport.attempt import Fault, NotAdmittedError
from canopy_async._transport.cooldown import Cooldown
from canopy_async._transport.expiries import NEVER, Expiries
from canopy_async._transport.outage import Outage
from canopy_async._transport.pace import Pace
from canopy_async._transport.quiet import Quiet
from canopy_async._transport.retry_budget import RetryBudget
from canopy_async._transport.session_stats import RequestCounters, SessionStats
from canopy_async._transport.spacing import Spacing
from canopy_async._transport.turns import RoundRobin, Ticket
from canopy_async._transport.wakeup import Wakeup
from canopy_async._transport.width import Width
from canopy_async.retry import RetryPolicy

__all__ = ["Gate"]


class Gate:
    """Admits requests by turns between reads, as far as all policies allow.

    A request is admitted when fewer than ``width`` are in flight, no cooldown
    runs, and the rates allow: ``max_rate``, and the one that is learnt from a
    server that refuses requests. In an outage it is admitted as a probe, one at a
    time, and fails once it has waited for as long as the retry policy's deadline.

    Time is the running loop's.

    Args:
        concurrency: Requests in flight at most.
        max_rate: Requests started per second at most; None for no limit.
            Starts are spaced evenly, so that it holds over any second.
        retry: How long an outage is waited for, and how often it is probed.

    Attributes:
        turns: The outermost round, in which reads and fan-outs take their turns.
    """

    def __init__(
        self,
        concurrency: int,
        *,
        max_rate: float | None = None,
        retry: RetryPolicy = RetryPolicy(),
    ) -> None:
        self.turns: Final = RoundRobin()
        self._width: Final = Width(concurrency)
        self._spacing: Final = Spacing(max_rate)
        self._pace: Final = Pace()
        self._cooldown: Final = Cooldown()
        self._budget: Final = RetryBudget()
        self._outage: Final[Outage[Response | Fault]] = Outage(
            retry.probe_wait, patience=retry.cap
        )
        self._quiet: Final = Quiet()
        self._waiting: Final[dict[Ticket, None]] = {}
        self._expiries: Final = Expiries(retry.deadline)
        self._wakeup: Final = Wakeup(self._pump)
        self._count: Final = RequestCounters()

    @property
    def stats(self) -> SessionStats:
        """The counters so far, and the present limits."""
        return SessionStats(
            requests=self._count.sent,
            retries=self._count.retries,
            cooldowns=self._cooldown.count,
            in_flight=self._count.in_flight,
            peak_in_flight=self._count.peak,
            width=int(self._width),
            waiting=len(self._waiting),
            rate=self._pace.rate,
            outage=self._outage.is_on,
        )

    @property
    def in_outage(self) -> bool:
        """Whether the server is away, so that only probes are admitted."""
        return self._outage.is_on

    def set_ceiling(self, concurrency: int) -> None:
        """Let so many requests be in flight at most from now on.

        Those that are in flight go on, so more may be until they have ended.
        """
        self._width.set_ceiling(concurrency)
        self._limits_changed()

    def set_max_rate(self, max_rate: float | None) -> None:
        """Start so many requests per second at most from now on."""
        self._spacing.set_rate(max_rate)
        self._limits_changed()

    async def acquire(self, ticket: Ticket) -> float:
        """Wait to be admitted.

        Every return must be followed by one `release`.

        Args:
            ticket: The ticket of the request; its retries come with the same one.

        Returns:
            The instant of admission, to be given to `strained`.

        Raises:
            NotAdmittedError: The request must not be sent: the server asked for
                quiet for longer than one may wait, or is away for so long.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._quiet.check(now)
        ticket.queued_at = now
        if not self._waiting and self._may_start(now) and ticket.queue.admits(ticket):
            return self._start(ticket, now)
        waiter: asyncio.Future[float] = loop.create_future()
        ticket.waiter = waiter
        self._waiting[ticket] = None
        try:
            ticket.queue.push(ticket)
            if self._outage.is_on:
                self._expect(ticket)
            self._pump()
            return await waiter
        except BaseException:
            self._withdraw(ticket, waiter)
            raise

    def release(self, ticket: Ticket) -> None:
        """Say that an admitted request has ended, however it did.

        Other requests are admitted in the loop's next turn, when the gate knows the
        outcome of this one: no request slips through before a cooldown.
        """
        self._count.ended()
        if self._outage.is_on:
            self._outage.left(ticket, asyncio.get_running_loop().time())
        self.look_again()

    def look_again(self) -> None:
        """Admit waiting requests in the loop's next turn, as far as the rules allow."""
        if self._waiting:
            self._wakeup.soon()

    def succeeded(self) -> None:
        """Note a success: widen a little, earn part of a retry, end an outage."""
        now = asyncio.get_running_loop().time()
        self._pace.succeeded(now)
        self._width.widen()
        self._budget.earn()
        self._note_answer(now)

    def answered(self) -> None:
        """Note an answer that is no success: the server is there, so an outage ends."""
        self._note_answer(asyncio.get_running_loop().time())

    def failed(
        self, ticket: Ticket, outcome: Response | Fault, *, unreachable: bool
    ) -> bool:
        """Note a request that got no answer, or a 5xx.

        Args:
            ticket: The ticket of the request.
            outcome: The outcome of the request.
            unreachable: Whether no connection could be made.

        Returns:
            Whether this began an outage.
        """
        began = self._outage.failed(
            ticket,
            ticket.queue,
            outcome,
            asyncio.get_running_loop().time(),
            unreachable=unreachable,
        )
        if began:
            for waiting in self._waiting:
                self._expect(waiting)
        return began

    def strained(self, started: float, *, refused: bool = False) -> None:
        """Halve the width, unless that was done since ``started``.

        Args:
            started: When the request was admitted that shows the strain.
            refused: Whether the server said that there are too many requests.
        """
        now = asyncio.get_running_loop().time()
        if self._width.halve(started, now) and refused:
            self._pace.refused(now)

    def cool_down(self, seconds: float) -> bool:
        """Admit nobody for ``seconds``, and a random bit longer.

        Returns:
            Whether this began a cooldown or made one longer.
        """
        return self._cooldown.extend(seconds, asyncio.get_running_loop().time())

    def keep_quiet(self, seconds: float, outcome: Response | Fault) -> None:
        """Let every request fail at once for ``seconds``, also those that wait.

        Args:
            seconds: For how long the server asked for quiet.
            outcome: The answer that asked for it.
        """
        if not self._quiet.extend(seconds, outcome, asyncio.get_running_loop().time()):
            return
        for ticket in list(self._waiting):
            self._refuse(ticket, NotAdmittedError(outcome, seconds))

    def spend_retry(self) -> bool:
        """Take one retry from the shared budget, or say that it is empty."""
        return self._budget.spend()

    def hits_all(self, since: float) -> bool:
        """Tell whether a request has failed for a reason that concerns all reads.

        That is the case if requests of different reads fail, no request has succeeded
        since, and the retry policy's deadline has passed; and at once if no connection
        can be made.

        Args:
            since: The instant of the first failure of the request.
        """
        if not (self._outage.hits_all and self._outage.lasts_since(since)):
            return False
        now = asyncio.get_running_loop().time()
        return self._outage.is_unreachable or now - since >= self._expiries.patience

    def next_probe_in(self) -> float:
        """Return the seconds until a probe may be sent in an outage."""
        now = asyncio.get_running_loop().time()
        return max(0.0, self._outage.ready_at() - now)

    def _note_answer(self, now: float) -> None:
        if self._outage.answered(now):
            self._expiries.clear()
            self.look_again()

    def _limits_changed(self) -> None:
        """Admit waiting requests, as far as the new limits allow."""
        if self._waiting:
            self._pump()

    def _may_start(self, now: float) -> bool:
        return self._has_room() and now >= self._ready_at()

    def _has_room(self) -> bool:
        width = self._width.ceiling if self._outage.is_on else int(self._width)
        return self._count.in_flight < width

    def _ready_at(self) -> float:
        return max(
            self._cooldown.ready_at(),
            self._spacing.ready_at(),
            self._pace.ready_at(),
            self._outage.ready_at(),
        )

    def _start(self, ticket: Ticket, now: float) -> float:
        self._spacing.started(now)
        self._pace.started(now)
        if self._outage.is_on:
            self._troubled_since(ticket)
            self._outage.probing(ticket, now)
        ticket.queue.admitted(ticket)
        self._count.started(repeated=ticket.sends > 1)
        return now

    def _pump(self) -> None:
        """Admit whom the rules allow, and wake up when time allows more."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._give_up(now)
        while self._waiting and self._has_room():
            ready = self._ready_at()
            if now < ready:
                self._wakeup.at(min(ready, self._expiries.next()))
                return
            ticket = self.turns.pop()
            if ticket is None:
                break  # no read that waits has room for one more answer
            self._admit(ticket, now)
        expiry = self._expiries.next() if self._waiting else NEVER
        self._wakeup.at(None if expiry == NEVER else expiry)

    def _admit(self, ticket: Ticket, now: float) -> None:
        waiter, ticket.waiter = ticket.waiter, None
        self._waiting.pop(ticket, None)
        if waiter is not None and not waiter.done():
            waiter.set_result(self._start(ticket, now))

    def _refuse(self, ticket: Ticket, error: NotAdmittedError) -> None:
        waiter, ticket.waiter = ticket.waiter, None
        self._waiting.pop(ticket, None)
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)

    def _withdraw(self, ticket: Ticket, waiter: "asyncio.Future[float]") -> None:
        """Undo `acquire`, which may have been cancelled at any point."""
        was_admitted = (
            waiter.done() and not waiter.cancelled() and waiter.exception() is None
        )
        waiter.cancel()
        ticket.waiter = None
        self._waiting.pop(ticket, None)
        if was_admitted:
            self.release(ticket)
        else:
            self.look_again()

    def _expect(self, ticket: Ticket) -> None:
        """Let a request that waits in an outage fail when its patience is over."""
        self._expiries.add(ticket, self._troubled_since(ticket))

    def _troubled_since(self, ticket: Ticket) -> float:
        """Return since when an outage has kept a request from being served."""
        if ticket.troubled_since is None:
            ticket.troubled_since = max(ticket.queued_at, self._outage.began)
        return ticket.troubled_since

    def _give_up(self, now: float) -> None:
        outcome = self._outage.last
        if outcome is None:
            return
        while (ticket := self._expiries.pop_due(now)) is not None:
            self._refuse(ticket, NotAdmittedError(outcome))
