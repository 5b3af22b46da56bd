"""A simulated server with an outage, which counts the requests during it."""

import asyncio
from datetime import UTC, datetime, timedelta
from math import ceil

import aiohttp
import attrs
from aiohttp.client_reqrep import ConnectionKey

from support.samples import event_row, page_body
from support.scripted import answer
from support.virtual import now

LATENCY = 0.02
NOON = datetime(2026, 4, 20, 12, tzinfo=UTC)
_WHERE = ConnectionKey("host", 443, True, True, None, None, None)


@attrs.define
class AwayServer:
    """A server with an outage; a script for `scripted.scripted`.

    Attributes:
        away: The times when the outage begins and ends.
        fault: How requests fail during the outage: ``refused``, ``reset``, ``hang``, a
            status, or a status with a plus such as ``429+``, with which the server
            sends a ``Retry-After`` up to the end of the outage.
        asked: The time of each request.
        served: The number of pages served.
    """

    away: tuple[float, float] = (0.0, 0.0)
    fault: str = "refused"
    asked: list = attrs.field(factory=list)
    served: int = 0

    @property
    def asked_in_vain(self):
        """The number of requests that were sent during the outage."""
        return len([at for at in self.asked if self.is_away(at)])

    def is_away(self, at):
        return self.away[0] <= at < self.away[1]

    async def __call__(self, call):
        self.asked.append(now())
        if self.is_away(now()):
            return await self._fail()
        await asyncio.sleep(LATENCY)
        if self.is_away(now()) and not self._asks_for_quiet:
            raise aiohttp.ServerDisconnectedError
        self.served += 1
        return self.page_of(call)

    @property
    def _asks_for_quiet(self):
        return self.fault.endswith("+")

    def page_of(self, call):
        """The page that a request asks for."""
        raise NotImplementedError

    async def _fail(self):
        if self.fault == "refused":
            raise aiohttp.ClientConnectorError(_WHERE, OSError("refused"))
        if self.fault == "reset":
            raise aiohttp.ServerDisconnectedError
        if self.fault == "hang":
            await asyncio.sleep(1e6)
        if self._asks_for_quiet:
            left = ceil(self.away[1] - now())
            return answer(int(self.fault[:-1]), b"", {"Retry-After": str(left)})
        return int(self.fault)


@attrs.define
class ServerOfLogs(AwayServer):
    """A server with an outage, and with logs whose events are a second apart.

    Attributes:
        logs: The rows of each identity, oldest first.
    """

    logs: dict = attrs.field(factory=dict)

    def add(self, identity_id, count=1):
        """Add events to a log, which is created if needed; return their ids."""
        log = self.logs.setdefault(identity_id, [])
        begin = len(log)
        log.extend(
            event_row(
                id=f"{identity_id}_{number}",
                created_at=(NOON + timedelta(seconds=number)).isoformat(),
            )
            for number in range(begin, begin + count)
        )
        return [row["id"] for row in log[begin:]]

    def ids(self):
        """The ids of all events, by identity."""
        return {name: [row["id"] for row in log] for name, log in self.logs.items()}

    def page_of(self, call):
        identity_id = call.url.path.split("/")[-2]
        rows = self.logs[identity_id]
        query = call.url.query
        if query.get("order", "desc") == "desc":
            rows = rows[::-1]
        page, take = call.page, int(query["take"])
        pages = -(-len(rows) // take)
        return page_body(
            rows[(page - 1) * take : page * take],
            page=page,
            take=take,
            item_count=len(rows),
            page_count=pages,
            has_next_page=page < pages,
            has_previous_page=page > 1,
        )
