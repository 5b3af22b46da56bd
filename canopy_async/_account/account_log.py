"""`AccountLog`: the log of an account, and what is wanted of it."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, Self

import attrs

from canopy_async._account.account_query import AccountQuery
from canopy_async._account.account_stream import AccountStream
from canopy_async._account.log_limits import KnownLimits
from canopy_async._api.log_requests import account_log_endpoint
from canopy_async._api.requests import MAX_TAKE, Endpoint, Query
from canopy_async._read.reader import ReadOptions
from canopy_async._transport.transport import Transport
from canopy_async._walk import Span
from canopy_async.checkpoint import Checkpoint, scope_of_read
from canopy_async.models import AuditEvent

__all__ = ["AccountLog", "account_key"]

_PREFIX: Final = "account:"


def account_key(account: str) -> str:
    """Return the name of an account's log, where those of identities have ids."""
    return _PREFIX + account


@attrs.frozen(kw_only=True, eq=False)
class AccountLog:
    """The log of an account, and what is wanted of it. It sends nothing.

    Attributes:
        account: The account's slug.
        base_url: Where the API is, without a trailing slash.
        transport: What its requests are sent by.
        query: Which of its events are wanted.
        options: How they are read.
        known: What the server refuses, as far as it is known.
    """

    account: str
    base_url: str
    transport: Transport
    query: AccountQuery
    options: ReadOptions
    known: KnownLimits

    @classmethod
    def of(
        cls,
        account: str,
        *,
        base_url: str,
        transport: Transport,
        query: AccountQuery,
        limit: int | None,
        concurrency: int,
        known: KnownLimits,
    ) -> Self:
        """Return the log of an account.

        Raises:
            TypeError: An option has the wrong type.
            ValueError: An option is out of bounds.
            SessionClosedError: The session is closed.
        """
        transport.check_open()
        options = ReadOptions(
            limit=limit, take=MAX_TAKE, concurrency=concurrency, lossless=True
        )
        return cls(
            account=account,
            base_url=base_url,
            transport=transport,
            query=query,
            options=options,
            known=known,
        )

    @property
    def key(self) -> str:
        """The name of the log, where those of identities have ids."""
        return account_key(self.account)

    @property
    def endpoint(self) -> Endpoint[AuditEvent]:
        """The endpoint of the log."""
        return account_log_endpoint(self.account)

    @property
    def scope(self) -> str:
        """The hash of what a checkpoint of this read may be used for."""
        named: dict[str, Any] = self.query.named
        return scope_of_read(
            base_url=self.base_url, account=self.account, log="account", **named
        )

    def stream(self, resume: Checkpoint | str | None = None) -> AccountStream:
        """Return the events, to be read with ``async for``.

        Args:
            resume: Where an earlier read of the same scope ended, None to begin with
                the newest event.

        Raises:
            TypeError: ``resume`` is no checkpoint.
            CheckpointError: ``resume`` is damaged or of another read.
        """
        span: Span = self.query.span
        if resume is not None:
            checkpoint = Checkpoint.of_read(resume, self.scope)
            if checkpoint.key is not None:
                span = attrs.evolve(span, resume=checkpoint)
        scope: Callable[[], str] = partial(getattr, self, "scope")
        return AccountStream(
            endpoint=self.endpoint,
            query=Query(),
            span=span,
            options=self.options,
            scope=scope,
            transport=self.transport,
            filters=self.query.filters,
            known=self.known,
        )
