"""The tokens of a session, and how often a provider that fails is asked again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from canopy_async.auth import (
    Credential,
    InvalidTokenError,
    RefreshingToken,
    StaticToken,
    TokenProvider,
)
from canopy_async.errors import TokenError
from canopy_async.retry import RetryPolicy

__all__ = ["Tokens"]


class Tokens:
    """Asks a provider for tokens; what it raises becomes a `TokenError`.

    While the provider fails it is asked by one request at a time, after the waits of
    the retry policy; the other requests get its latest error at once.

    No method raises a `TokenError`: they return it, so that it passes through no
    frame that holds a token.

    Args:
        provider: The provider.
        timeout: Seconds that it may take to give a token.
        retry: Says after which waits it is asked again when it has failed.
    """

    def __init__(
        self, provider: TokenProvider, *, timeout: float, retry: RetryPolicy
    ) -> None:
        self._provider: Final = provider
        self._timeout: Final = timeout
        self._retry: Final = retry
        self._fixed: Final = (
            provider.credential if isinstance(provider, StaticToken) else None
        )
        self._lock: Final = asyncio.Lock()
        self._calls = 0
        self._failures = 0
        self._next_call = float("-inf")
        self._error: TokenError | None = None
        self._to_replace: Credential | None = None
        self._newest: Credential | None = self._fixed
        self._accepted: Credential | None = None

    async def current(self) -> Credential | TokenError:
        """Return the token to send, or the error of asking for it."""
        if self._fixed is not None:
            return self._fixed
        if self._error is not None:
            return await self._try_again()
        return await self._ask(self._provider.token)

    async def replacement_of(self, rejected: Credential) -> Credential | TokenError:
        """Return the token to send instead of one that the server rejected.

        Returns:
            ``rejected`` where there is no other token.
        """
        if self._fixed is not None:
            return self._fixed
        if self._error is not None:
            return await self._try_again()
        return await self._replace(rejected)

    def newest(self, credential: Credential) -> Credential:
        """Return the newest token, in place of one that was got before a wait."""
        if isinstance(self._provider, RefreshingToken):
            return self._provider.current or credential
        return credential

    def accepted(self, credential: Credential) -> None:
        """Note that the server accepted a token."""
        self._accepted = credential

    def may_be_outdated(self, rejected: Credential) -> bool:
        """Tell whether a token that was rejected may have been good before.

        That is the case if the server accepted it before, or if there is a newer one:
        the provider then gives good tokens, which expire soon.
        """
        return self._accepted == rejected or self._newest != rejected

    async def _try_again(self) -> Credential | TokenError:
        """Ask a provider that has failed, unless it was asked just now."""
        calls = self._calls
        if self._error is not None and _now() < self._next_call:
            return self._error
        async with self._lock:
            if self._error is not None and self._calls != calls:
                return self._error
            rejected = self._to_replace
            if rejected is not None:
                return await self._replace(rejected)
            return await self._ask(self._provider.token)

    async def _replace(self, rejected: Credential) -> Credential | TokenError:
        replaced = await self._ask(lambda: self._provider.refresh(rejected.reveal()))
        # Until it is replaced, the provider may give the rejected token again.
        self._to_replace = rejected if isinstance(replaced, TokenError) else None
        return replaced

    async def _ask(self, ask: Callable[[], Awaitable[str]]) -> Credential | TokenError:
        outcome = await self._outcome_of(ask)
        self._calls += 1
        if isinstance(outcome, Credential):
            self._failures, self._error = 0, None
            self._newest = outcome
            return outcome
        self._next_call = _now() + self._retry.probe_wait(self._failures)
        self._failures += 1
        self._error = outcome
        return outcome

    async def _outcome_of(
        self, ask: Callable[[], Awaitable[str]]
    ) -> Credential | TokenError:
        task = asyncio.current_task()
        cancels = 0 if task is None else task.cancelling()
        scope = asyncio.timeout(self._timeout)
        try:
            async with scope:
                credential = Credential(await ask())
            credential.check("the provider's token")
        except InvalidTokenError as invalid:
            return TokenError(str(invalid), cause=invalid.cause.__name__, invalid=True)
        except asyncio.CancelledError:
            # The task counts who cancels it; a provider may raise this error, too.
            if task is None or task.cancelling() > cancels:
                raise
            return _failure("CancelledError")
        except Exception as error:  # noqa: BLE001 - whatever a provider raises
            if isinstance(error, TimeoutError) and scope.expired():
                seconds = f"{self._timeout:g}"
                return TokenError(
                    f"the token provider gave no token within {seconds} s",
                    cause="TimeoutError",
                )
            return _failure(type(error).__name__)
        return credential


def _failure(cause: str) -> TokenError:
    return TokenError(f"the token provider raised {cause}", cause=cause)


def _now() -> float:
    return asyncio.get_running_loop().time()
