"""Failed attempts: what each means for its request, and for the others of its session.

A 429 is read here from the answer to its consequences, which the gate carries out:

1. Fewer requests are in flight, and the rate that the server allows is learnt
   (`Gate.strained`).
2. A ``Retry-After`` that one may wait for stops all requests until then
   (`Gate.cool_down`); one that is longer ends all of them at once, until it is over
   (`Gate.keep_quiet`).
3. The request is sent again where the retry policy allows it, and the session has a
   retry left to spend (`Gate.spend_retry`).
"""

import asyncio
from typing import Final, TypeGuard

from canopy_async._api.responses import Response
from canopy_async._transport.attempt import (
    Attempt,
    Fault,
    NotAdmittedError,
    Outcome,
    is_down,
    is_refused,
    shows_strain,
)
from canopy_async._transport.gate import Gate
from canopy_async._transport.turns import Ticket
from canopy_async.errors import ApiError, CanopyError, TokenError
from canopy_async.hooks import CooldownStarted, Hooks
from canopy_async.retry import COOLDOWN_STATUSES, RetryPolicy

__all__ = ["FailureRules"]


class FailureRules:
    """Decides about requests that failed, and lets all others learn from them.

    Args:
        gate: Is told, and keeps what was learnt.
        retry: The session's policy.
        hooks: Are told of cooldowns.
    """

    def __init__(self, gate: Gate, retry: RetryPolicy, hooks: Hooks) -> None:
        self._gate: Final = gate
        self._retry: Final = retry
        self._hooks: Final = hooks

    def judge(
        self,
        error: CanopyError,
        made: Attempt,
        outcome: Outcome,
        ticket: Ticket,
        failures: int,
    ) -> float | None:
        """Let all requests learn from a failure, and decide about this one.

        Args:
            error: The error that the request ends with, if it is given up.
            made: The attempt.
            outcome: The outcome of the attempt; if its token was rejected and there is
                no other token, the reason for that.
            ticket: The ticket of the request.
            failures: How often the request has failed.

        Returns:
            Seconds to wait before it is sent again, None to give up.
        """
        if isinstance(outcome, NotAdmittedError):
            return None
        if not isinstance(outcome, TokenError):
            self._learn(error, outcome, made, ticket)
            if self.asks_for_quiet(error):
                self._gate.keep_quiet(error.retry_after or 0.0, outcome)
                return None
        since = ticket.troubled_since or 0.0
        elapsed = asyncio.get_running_loop().time() - since
        wait = self._retry.delay_for(error, failures, elapsed=elapsed)
        is_held = self._gate.in_outage and is_down(outcome)
        # Neither spends a retry: an outage is probed by one request at a time, and
        # asking for a token is no request.
        is_free = is_held or isinstance(outcome, TokenError)
        if wait is None or not (is_free or self._gate.spend_retry()):
            self._give_up(error, outcome, since)
            return None
        return max(wait, self._gate.next_probe_in()) if is_held else wait

    def asks_for_quiet(self, error: CanopyError) -> TypeGuard[ApiError]:
        """Tell whether the server asked for a longer pause than one may wait."""
        if not _is_cooldown(error):
            return False
        return (error.retry_after or 0.0) > self._retry.longest_pause

    def waits_at_gate(
        self, error: CanopyError, outcome: Outcome, seconds: float
    ) -> bool:
        """Stop all requests if the server asked for it.

        Returns:
            Whether the gate holds the next attempt back, so that it is sent there at
            once: in a cooldown, and as a probe in an outage.
        """
        if self._cool_down(error, seconds):
            return True
        return self._gate.in_outage and is_down(outcome)

    def _learn(
        self,
        error: CanopyError,
        outcome: Response | Fault,
        made: Attempt,
        ticket: Ticket,
    ) -> None:
        if shows_strain(error):
            self._gate.strained(made.started, refused=is_refused(error))
        if not is_down(outcome):
            self._gate.answered()
            return
        is_unreachable = isinstance(outcome, Fault) and outcome.unreachable
        self._gate.failed(ticket, outcome, unreachable=is_unreachable)

    def _give_up(self, error: CanopyError, outcome: Outcome, since: float) -> None:
        """Mark an error that concerns all reads; keep a pause that was asked for."""
        seconds = error.retry_after if isinstance(error, ApiError) else None
        if seconds and seconds <= self._retry.longest_pause:
            self._cool_down(error, seconds)
        if is_down(outcome) and self._gate.hits_all(since):
            error.concerns_all = True
        if isinstance(outcome, Fault) and outcome.final and outcome.unreachable:
            error.concerns_all = True  # a certificate that is not trusted, say

    def _cool_down(self, error: CanopyError, seconds: float) -> bool:
        """Stop all requests if the server asked for it; tell whether it did."""
        if not _is_cooldown(error):
            return False
        if self._gate.cool_down(seconds) and self._hooks:
            self._hooks(CooldownStarted(seconds=seconds, status=error.status))
        return True


def _is_cooldown(error: CanopyError) -> TypeGuard[ApiError]:
    return isinstance(error, ApiError) and error.status in COOLDOWN_STATUSES
