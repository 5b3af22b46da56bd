"""Streams: descriptions of reads, each iteration a pass of its own."""

from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, TypeAlias, TypeVar

import attrs

from canopy_async._api.requests import Endpoint, Query
from canopy_async._api.responses import page_from
from canopy_async._read.reader import PageReader, ReadOptions
from canopy_async._read.run import Run
from canopy_async._tables.arrow import (
    BATCH_ROWS,
    BatchBuilder,
    check_arrow,
    table_of,
)
from canopy_async._transport.lanes import Lanes, PageRequest
from canopy_async._transport.transport import Transport
from canopy_async._util.public import publish
from canopy_async._walk import PlainWalk, Span, Walk, proven_walk
from canopy_async.errors import CanopyError
from canopy_async.models import AuditEvent, Identity, Page

__all__ = ["EventStream", "Stream"]

T = TypeVar("T")


@attrs.frozen(eq=False, repr=False)
class Stream(Generic[T]):
    """A list to be read: a description, which sends nothing by itself.

    Each iteration is a pass of its own, from the start.

    Example:
        >>> async for event in session.events("idn_1"):
        ...     print(event.action)
    """

    _endpoint: Endpoint[T] = attrs.field(alias="endpoint")
    _query: Query = attrs.field(alias="query")
    _span: Span = attrs.field(alias="span")
    _options: ReadOptions = attrs.field(alias="options")
    _scope: Callable[[], str] = attrs.field(alias="scope")
    _transport: Transport = attrs.field(alias="transport")

    async def __aiter__(self) -> AsyncIterator[T]:
        """Yield the rows in list order.

        Raises:
            CanopyError: While iterating; carries ``checkpoint``.
        """
        async with self.open() as run:
            while (batch := await run.next_batch()) is not None:
                for row in batch:
                    yield row
                # These rows are freed before the next page is decoded, which then takes
                # their memory while it is in the processor's cache.
                del batch

    def __repr__(self) -> str:
        """Show what is read, in one short line."""
        return f"<Stream of {self._endpoint.row.__name__}: {self._endpoint.path}>"

    def __iter__(self) -> Any:
        """Refuse: this is read with ``async for``."""
        raise TypeError("a Stream is read with 'async for'")

    def open(self) -> "Run[T]":
        """Return a new pass, to be used with ``async with``."""
        return Run(self.reader())

    def reader(
        self, lanes: Lanes | None = None, walk: Walk[T] | None = None
    ) -> PageReader[T]:
        """Return a new pass that is read a page at a time.

        Args:
            lanes: The round in which the pass takes its turns with other reads, None
                for the session's own.
            walk: Steers the pass, None for the walk that the options ask for.
        """
        return PageReader(
            endpoint=self._endpoint,
            query=self._query,
            walk=walk or self._new_walk(),
            lane=(self._transport if lanes is None else lanes).open_lane(),
            span=self._span,
            scope=self._scope,
            concurrency=self._options.concurrency,
        )

    def _new_walk(self) -> Walk[T]:
        options, query = self._options, self._query
        if not options.lossless:
            return PlainWalk(take=options.take, limit=options.limit)
        return proven_walk(
            take=options.take,
            limit=options.limit,
            order=query.order,
            sort_by=query.sort_by,
            span=self._span,
            # The API does not document a default order for identities.
            accept_unordered=self._endpoint.row is Identity,
        )

    @property
    def narrowed_by(self) -> dict[str, str]:
        """The arguments that leave rows out, as text by name; maybe none."""
        options, query = self._options, self._query
        narrowing = {
            "limit": options.limit,
            "q": query.q,
            "since": self._span.since,
            "status": query.status,
            "until": self._span.until,
        }
        return {name: str(it) for name, it in narrowing.items() if it is not None}

    def is_of(self, endpoint: Endpoint[Any], transport: Transport) -> bool:
        """Tell whether this is the list of an endpoint, read by this transport."""
        return self._endpoint.path == endpoint.path and self._transport is transport

    async def pages(self) -> AsyncIterator[Page[T]]:
        """Yield the rows page by page, as they come from the server.

        ``items`` are the rows that the page added, never one twice;
        ``pagination`` is what the server said.

        Raises:
            CanopyError: While iterating; carries ``checkpoint``.
        """
        async with self.open() as run:
            while (batch := await run.next_batch()) is not None:
                yield Page(items=tuple(batch), pagination=run.pagination)

    async def collect(self) -> list[T]:
        """Return all rows in a list.

        Raises:
            CanopyError: The read failed; carries ``checkpoint``.
        """
        rows: list[T] = []
        async with self.open() as run:
            while (batch := await run.next_batch()) is not None:
                rows.extend(batch)
        return rows

    async def to_arrow(self: "Stream[AuditEvent]") -> Any:
        """Return all events as a table of Arrow.

        Its schema is that of the Parquet files of an export: ``identity_id`` and the
        fields of `AuditEvent`. ``created_at`` is a timestamp of microseconds in UTC,
        the enums are dictionaries, ``metadata`` and ``extra`` are JSON text. It needs
        the extra ``arrow``.

        Returns:
            A ``pyarrow.Table``.

        Raises:
            ModuleNotFoundError: The package pyarrow is not installed.
            TypeError: This is not the list of an identity's events.
            CanopyError: The read failed; carries ``checkpoint``. A part of the events
                is never returned as if it were all.

        Example:
            >>> table = await session.events("idn_1").to_arrow()
            >>> frame = table.to_pandas()
        """
        return table_of([batch async for batch in self.iter_arrow()])

    def iter_arrow(
        self: "Stream[AuditEvent]", *, rows: int = BATCH_ROWS
    ) -> AsyncIterator[Any]:
        """Yield the events as record batches of Arrow, in bounded memory.

        Their schema is that of `to_arrow`. It needs the extra ``arrow``.

        Args:
            rows: Rows of a batch at most, 100 or more. Batches are made of whole pages
                of the server, and a batch of large rows has fewer.

        Yields:
            ``pyarrow.RecordBatch``, each with at least one row.

        Raises:
            ModuleNotFoundError: At the call: the package pyarrow is not installed.
            TypeError: At the call: ``rows`` is not an int, or this is not the list of
                an identity's events.
            ValueError: At the call: ``rows`` is less than 100.
            CanopyError: While iterating: the read failed. All events before its
                ``checkpoint`` were yielded.

        Example:
            >>> async for batch in session.events("idn_1").iter_arrow():
            ...     print(batch.num_rows)
        """
        identity_id = self._endpoint.identity
        if self._endpoint.row is not AuditEvent or identity_id is None:
            raise TypeError("only a list of an identity's events can be a table")
        check_arrow(rows)
        return self._arrow_batches(identity_id, BatchBuilder(rows))

    async def _arrow_batches(
        self: "Stream[AuditEvent]", identity_id: str, builder: BatchBuilder
    ) -> AsyncIterator[Any]:
        async with self.open() as run:
            try:
                while (events := await run.next_batch()) is not None:
                    if not builder.has_room(len(events)):
                        yield builder.take()
                    builder.add((identity_id, events))
                    del events  # freed before the next page is decoded
            except CanopyError:
                # The checkpoint of the error is after these rows.
                if builder.held:
                    yield builder.take()
                raise
        if builder.held:
            yield builder.take()

    async def first(self) -> T | None:
        """Return the first row, or None where there is none.

        Raises:
            CanopyError: The read failed.
        """
        options = attrs.evolve(self._options, limit=_least(self._options.limit, 1))
        for row in await attrs.evolve(self, options=options).collect():
            return row
        return None

    async def count(self) -> int:
        """Return how many rows there are now.

        One request of one row, to see what the server counts, and never more
        than ``limit``. The server can't count a part of a list: with
        ``since``, ``until`` or ``resume``, the rows are read.

        Raises:
            CanopyError: The request failed.
        """
        if self._options.limit == 0:
            return 0
        if not self._span.is_whole:
            return len(await self.collect())
        response = await self._transport.get(
            PageRequest(endpoint=self._endpoint, query=self._query, page=1, take=1)
        )
        page = page_from(self._endpoint, response, page=1)
        return _least(self._options.limit, page.pagination.item_count)


EventStream: TypeAlias = Stream[AuditEvent]


def _least(limit: int | None, value: int) -> int:
    return value if limit is None else min(limit, value)


publish("canopy_async", Stream)
