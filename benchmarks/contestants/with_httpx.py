"""A typed asyncio program as many are: httpx, and models of pydantic."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from enum import StrEnum
from typing import Any

import httpx
from pydantic import BaseModel

from contestants import TAKE, TOKEN, Log


class Outcome(StrEnum):
    """How the audited action ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    DENIED = "denied"


class Severity(StrEnum):
    """How much an event matters."""

    INFO = "info"
    NOTICE = "notice"
    WARNING = "warning"
    CRITICAL = "critical"


class Event(BaseModel):
    """One row, its ids as text and its open sets as well."""

    id: str
    account_id: str | None = None
    application_id: str | None = None
    environment_id: str | None = None
    actor_id: str | None = None
    actor_type: str
    action: str
    resource_type: str | None = None
    resource_id: str | None = None
    metadata: dict[str, Any]
    created_at: datetime
    actor_label: str | None = None
    resource_label: str | None = None
    correlation_id: str | None = None
    outcome: Outcome
    category: str | None = None
    severity: Severity
    customer_visible: bool
    identity_visible: bool


class Pagination(BaseModel):
    """What the server says about the page."""

    page: int
    take: int
    item_count: int
    page_count: int
    has_previous_page: bool
    has_next_page: bool


class Page(BaseModel):
    """One answer."""

    items: list[Event]
    pagination: Pagination


@asynccontextmanager
async def models(log: Log) -> AsyncIterator[AsyncIterator[Event]]:
    """Read page after page until none follows."""
    async with _client() as http:
        yield _rows(http, log)


@asynccontextmanager
async def gathered(log: Log) -> AsyncIterator[list[Event]]:
    """Read page 1, then all others at once; keep all."""
    async with _client() as http:
        first = await _fetch(http, log, 1)
        numbers = range(2, first.pagination.page_count + 1)
        rest = await asyncio.gather(*(_fetch(http, log, page) for page in numbers))
        yield [event for page in (first, *rest) for event in page.items]


def _client() -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    # A gather waits for connections longer than its default timeout of 5 s.
    return httpx.AsyncClient(headers=headers, timeout=None)  # noqa: S113


async def _rows(http: httpx.AsyncClient, log: Log) -> AsyncIterator[Event]:
    number, more = 1, True
    while more:
        page = await _fetch(http, log, number)
        for event in page.items:
            yield event
        number, more = number + 1, page.pagination.has_next_page


async def _fetch(http: httpx.AsyncClient, log: Log, page: int) -> Page:
    query = {"page": page, "take": TAKE, "order": log.order}
    response = await http.get(log.url, params=query)
    response.raise_for_status()
    return Page.model_validate_json(response.content)
