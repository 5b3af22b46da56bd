"""`AuditLog`: one identity's log, and how it is to be read."""

from functools import partial
from typing import Final, Self

import attrs

from canopy_async._api.requests import Endpoint, audit_endpoint
from canopy_async._read.events_query import EventsQuery
from canopy_async._read.reader import ReadOptions
from canopy_async._read.stream import EventStream, Stream
from canopy_async._transport.transport import Transport
from canopy_async.checkpoint import Checkpoint, scope_of_read
from canopy_async.models import AuditEvent

__all__ = ["AuditLog", "check_provable"]

_NOT_PROVABLE: Final = "lossless must be True with since, until or resume"


@attrs.frozen(kw_only=True, eq=False)
class AuditLog:
    """The audit log of one identity, and how it is to be read. It sends nothing.

    Attributes:
        account: The account's slug.
        base_url: Where the API is, without a trailing slash.
        transport: What its requests are sent by.
        endpoint: Where the log is.
        query: Which of its events are wanted, and in which order.
        options: How they are read.
    """

    account: str
    base_url: str
    transport: Transport
    endpoint: Endpoint[AuditEvent]
    query: EventsQuery
    options: ReadOptions

    @classmethod
    def of(
        cls,
        identity_id: str,
        *,
        account: str,
        base_url: str,
        transport: Transport,
        query: EventsQuery,
        options: ReadOptions,
    ) -> Self:
        """Return the log of an identity.

        Raises:
            TypeError: The id is not a str.
            ValueError: It can't be an id, or the read needs the proof that it is to
                go without.
            SessionClosedError: The session is closed.
        """
        transport.check_open()
        endpoint = audit_endpoint(account, identity_id)
        check_provable(query, options)
        return cls(
            account=account,
            base_url=base_url,
            transport=transport,
            endpoint=endpoint,
            query=query,
            options=options,
        )

    @property
    def scope(self) -> str:
        """The hash of what a checkpoint of this read may be used for."""
        return scope_of_read(
            base_url=self.base_url,
            account=self.account,
            identity=self.endpoint.identity,
            **self.query.named,
        )

    def stream(self, resume: Checkpoint | str | None = None) -> EventStream:
        """Return the events, to be read with ``async for``.

        Args:
            resume: Where an earlier read of the same scope ended, None to begin at the
                beginning of the list.

        Raises:
            TypeError: ``resume`` is no checkpoint.
            ValueError: ``resume`` is given for a read that is not to be proven.
            CheckpointError: ``resume`` is damaged or of another read.
        """
        span = self.query.span
        if resume is not None:
            if not self.options.lossless:
                raise ValueError(_NOT_PROVABLE)
            checkpoint = Checkpoint.of_read(resume, self.scope)
            # A checkpoint before the first row names no place in the list.
            if checkpoint.key is not None:
                span = attrs.evolve(span, resume=checkpoint)
        return Stream(
            endpoint=self.endpoint,
            query=self.query.request,
            span=span,
            options=self.options,
            scope=partial(getattr, self, "scope"),
            transport=self.transport,
        )


def check_provable(query: EventsQuery, options: ReadOptions) -> None:
    """Raise where a part of a log is wanted without a proof: no such read can find it.

    Raises:
        ValueError: The query has bounds, and the options go without a proof.
    """
    if not options.lossless and not query.span.is_whole:
        raise ValueError(_NOT_PROVABLE)
