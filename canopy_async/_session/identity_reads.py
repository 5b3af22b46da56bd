"""Reads of identities: the audit log of one, and their list."""

from datetime import datetime
from functools import partial
from typing import Any

from canopy_async._api.requests import (
    MAX_TAKE,
    Query,
    audit_endpoint,
    identities_endpoint,
)
from canopy_async._api.responses import page_from
from canopy_async._read.audit_log import AuditLog
from canopy_async._read.events_query import EventsQuery
from canopy_async._read.reader import ReadOptions
from canopy_async._read.stream import EventStream, Stream
from canopy_async._session.base_session import BaseSession
from canopy_async._transport.lanes import PageRequest
from canopy_async._util.arguments import Order, Status, check_integer
from canopy_async._walk import WHOLE
from canopy_async.checkpoint import Checkpoint, scope_of_read
from canopy_async.models import AuditEvent, Identity, Page

__all__ = ["IdentityReads"]


class IdentityReads(BaseSession):
    """The reads of a session that are about one identity, or about the list of all."""

    async def page(
        self,
        identity_id: str,
        page: int = 1,
        *,
        take: int = 20,
        q: str | None = None,
        sort_by: str | None = None,
        order: Order | None = None,
    ) -> Page[AuditEvent]:
        """Return one page of an identity's audit log, as the server sends it.

        Args:
            identity_id: The identity; any characters but control characters.
            page: The page's number, from 1.
            take: Rows per page, 1 to 100.
            q: Search term.
            sort_by: The column to sort by, None for the server's default.
            order: ``asc`` or ``desc``, None for the server's default.

        Raises:
            TypeError: At the call: an argument has the wrong type.
            ValueError: At the call: an argument is out of bounds.
            CanopyError: The request failed.

        Example:
            >>> page = await canopy.page("idn_1", take=50, order="desc")
            >>> print(page.pagination.item_count)
        """
        self._transport.check_open()
        endpoint = audit_endpoint(self._account, identity_id)
        check_integer("page", page, minimum=1)
        check_integer("take", take, minimum=1, maximum=MAX_TAKE)
        query = Query(q=q, sort_by=sort_by, order=order)
        request = PageRequest(endpoint=endpoint, query=query, page=page, take=take)
        response = await self._transport.get(request)
        return page_from(endpoint, response, page=page)

    def events(
        self,
        identity_id: str,
        *,
        q: str | None = None,
        sort_by: str | None = None,
        order: Order | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        take: int = MAX_TAKE,
        concurrency: int | None = None,
        lossless: bool = True,
        resume: Checkpoint | str | None = None,
    ) -> EventStream:
        """Return the audit events of an identity, to be read with ``async for``.

        Nothing is sent before the stream is iterated. Pages are fetched
        concurrently and events come out in list order.

        Args:
            identity_id: The identity; any characters but control characters.
            q: Search term.
            sort_by: The column to sort by, None for the server's default.
            order: ``asc`` or ``desc``, None for the server's default.
            since: The earliest ``created_at`` that is wanted, inclusive; aware. A log
                without an event since then costs one request.
            until: The first ``created_at`` that is not wanted; aware, and not in the
                future, where nothing can be proven yet.
            limit: Events in all at most, None for no limit.
            take: Events per page at most, 1 to 100. If pages of fewer than 20 can't
                overlap, a proven read asks for up to 20.
            concurrency: Requests in flight at most for this read; the
                session's own limit by default.
            lossless: Whether the read is proven complete. If False, each of the pages
                1 to ``page_count`` is read once, and rows are lost or repeated if the
                log moves meanwhile.
            resume: A checkpoint of an earlier read with the same arguments, or
                its text: this read begins after the last event of that read, and
                ``limit`` counts from there. Events with a date before that place that
                are committed later are not read; `follow` finds them.

        Raises:
            TypeError: At the call: an argument has the wrong type.
            ValueError: At the call: an argument is out of bounds.
            CheckpointError: At the call: ``resume`` is damaged or of another
                read.
            SessionClosedError: At the call, or while iterating when the
                session is closed meanwhile.
            FutureRangeError: While iterating: ``until`` is later than the server's
                time.
            CanopyError: While iterating; carries ``checkpoint``.

        Example:
            >>> latest = await canopy.events("idn_1", order="desc", limit=20).collect()
        """
        query = EventsQuery(q=q, sort_by=sort_by, order=order, since=since, until=until)
        options = self._options(
            limit=limit, take=take, concurrency=concurrency, lossless=lossless
        )
        return self._log(identity_id, query, options).stream(resume)

    def identities(
        self,
        *,
        q: str | None = None,
        sort_by: str | None = None,
        order: Order | None = None,
        status: Status | None = None,
        limit: int | None = None,
        take: int = MAX_TAKE,
        concurrency: int | None = None,
        lossless: bool = True,
    ) -> Stream[Identity]:
        """Return the identities of the account, to be read with ``async for``.

        Args:
            q: Search term.
            sort_by: The column to sort by, None for the server's default.
            order: ``asc`` or ``desc``, None for the server's default.
            status: ``active`` or ``inactive``, None for both.
            limit: Identities in all at most, None for no limit.
            take: Identities per page at most, 1 to 100.
            concurrency: Requests in flight at most for this read; the
                session's own limit by default.
            lossless: Whether the read is proven complete. If False, each of the pages
                1 to ``page_count`` is read once, and rows are lost or repeated if the
                list moves meanwhile.

        Raises:
            TypeError: At the call: an argument has the wrong type.
            ValueError: At the call: an argument is out of bounds.
            SessionClosedError: At the call, or while iterating when the
                session is closed meanwhile.
            CanopyError: While iterating; carries ``checkpoint``.

        Example:
            >>> ids = [who.id async for who in canopy.identities(status="active")]
        """
        query = Query(q=q, sort_by=sort_by, order=order, status=status)
        options = self._options(
            limit=limit, take=take, concurrency=concurrency, lossless=lossless
        )
        self._transport.check_open()
        return Stream(
            endpoint=identities_endpoint(self._account),
            query=query,
            span=WHOLE,
            options=options,
            scope=partial(
                scope_of_read,
                base_url=self._base_url,
                account=self._account,
                **query.named,
            ),
            transport=self._transport,
        )

    def lists_identities(self, stream: Stream[Any]) -> bool:
        """Tell whether a stream is a list of identities that this session made."""
        return stream.is_of(identities_endpoint(self._account), self._transport)

    def _options(
        self,
        *,
        limit: int | None = None,
        take: int = MAX_TAKE,
        concurrency: int | None = None,
        lossless: bool = True,
    ) -> ReadOptions:
        """Return the options of a read, checked."""
        return ReadOptions(
            limit=limit,
            take=take,
            concurrency=self._concurrency if concurrency is None else concurrency,
            lossless=lossless,
        )

    def _log(
        self, identity_id: str, query: EventsQuery, options: ReadOptions
    ) -> AuditLog:
        return AuditLog.of(
            identity_id,
            account=self._account,
            base_url=self._base_url,
            transport=self._transport,
            query=query,
            options=options,
        )
