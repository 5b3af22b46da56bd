"""The client that openapi-python-client generates from the API's description.

``audit_client`` is generated when benchmarks are run, by `generating`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from audit_client import AuthenticatedClient
from audit_client.api.audit import list_identity_audit
from audit_client.models import AuditLogRow, AuditPage, ListIdentityAuditOrder

from contestants import TAKE, TOKEN, Log


@asynccontextmanager
async def models(log: Log) -> AsyncIterator[AsyncIterator[AuditLogRow]]:
    """Read page after page until none follows."""
    async with _client(log) as client:
        yield _rows(client, log)


@asynccontextmanager
async def gathered(log: Log) -> AsyncIterator[list[AuditLogRow]]:
    """Read page 1, then all others at once; keep all."""
    async with _client(log) as client:
        fetch = partial(_fetch, client, log)
        first = await fetch(1)
        numbers = range(2, first.pagination.page_count + 1)
        rest = await asyncio.gather(*map(fetch, numbers))
        yield [event for page in (first, *rest) for event in page.items]


def _client(log: Log) -> AuthenticatedClient:
    return AuthenticatedClient(base_url=log.base_url, token=TOKEN, timeout=None)


async def _rows(client: AuthenticatedClient, log: Log) -> AsyncIterator[AuditLogRow]:
    number, more = 1, True
    while more:
        page = await _fetch(client, log, number)
        for event in page.items:
            yield event
        number, more = number + 1, page.pagination.has_next_page


async def _fetch(client: AuthenticatedClient, log: Log, page: int) -> AuditPage:
    return await list_identity_audit.asyncio(
        log.account,
        log.identity,
        client=client,
        page=page,
        take=TAKE,
        order=ListIdentityAuditOrder(log.order),
    )
