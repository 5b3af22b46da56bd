"""A raw server of the audit endpoint, so fast that it is never what is measured.

    python benchmarks/server.py

It prints its port and serves until its standard input ends. What it serves is
in the URL: the identity ``idn_7_1000`` has a thousand events, 2 000 of them an hour,
those of ``calm_7_1000`` come at 2 000 a month, and the account
says how far away the server is: ``acme`` not at all, ``acme-30`` by 30 ms,
``acme-10-50-2-300`` by 10 to 50 ms and in 2 % of the answers by 300 ms.
"""

import argparse
import asyncio
import gc
import random
import selectors
import sys
import time
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache
from typing import Final, cast

from cores import pin
from events import BUSY, CALM, Lap

_MAX_TAKE: Final = 100
_DEFAULT_TAKE: Final = 20
_NOT_FOUND: Final = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


class Pages:
    """The pages of every log."""

    def __init__(self) -> None:
        self._rows = {
            (kind, order): Lap(descending=order == "desc", calendar=calendar)
            for kind, calendar in (("idn", BUSY), ("calm", CALM))
            for order in ("asc", "desc")
        }

    def answer(self, identity: str, query: str) -> bytes:
        """Return the whole HTTP answer to one request for a page."""
        page, take, order = _parsed(query)
        total = int(identity.rpartition("_")[2])
        start = (page - 1) * take
        count = max(0, min(take, total - start))
        first = start if order == "asc" else total - 1 - start
        rows = self._rows[identity.partition("_")[0], order].window(first, count)
        pages = -(-total // take)
        meta = (
            f'],"pagination":{{"page":{page},"take":{take},"item_count":{total},'
            f'"page_count":{pages},'
            f'"has_previous_page":{"true" if page > 1 else "false"},'
            f'"has_next_page":{"true" if page < pages else "false"}}}}}'
        ).encode()
        head = (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n"
            f"Date: {_date_of(int(time.time()))}\r\n"
            f"Content-Length: {len(rows) + len(meta) + 10}\r\n\r\n"
        ).encode()
        return b"".join((head, b'{"items":[', rows, meta))


@lru_cache(maxsize=1)
def _date_of(second: int) -> str:
    """Return the ``Date`` that every answer of a real server has."""
    return formatdate(second, usegmt=True)


def _parsed(query: str) -> tuple[int, int, str]:
    given = dict(pair.split("=", 1) for pair in query.split("&") if pair)
    take = min(int(given.get("take", _DEFAULT_TAKE)), _MAX_TAKE)
    return int(given.get("page", 1)), take, given.get("order", "asc")


@lru_cache(maxsize=64)
def _distance(account: str) -> Callable[[], float] | None:
    """Return what draws the seconds until an answer is sent, None for at once."""
    milliseconds = [int(part) for part in account.split("-")[1:]]
    dice = random.Random(account)
    match milliseconds:
        case []:
            return None
        case [fixed]:
            return lambda: fixed / 1000
        case [least, most, percent, late]:
            return lambda: (
                (late if dice.random() * 100 < percent else dice.uniform(least, most))
                / 1000
            )
    raise ValueError(f"no such distance: {account!r}")


class Connection(asyncio.Protocol):
    """One keep-alive connection; requests are answered one after the other."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Forget what was to be sent."""
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Answer the requests that are whole."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            line = self._received[: self._received.index(b"\r\n")]
            self._received = self._received[end + 4 :]
            self._answer(line.decode().split(" ")[1])

    def _answer(self, target: str) -> None:
        path, _, query = target.partition("?")
        try:
            _, _, _, _, account, _, identity, kind = path.split("/")
        except ValueError:
            kind = ""
        if kind != "audit":
            self._write(_NOT_FOUND)
            return
        draw = _distance(account)
        answer = self._pages.answer(identity, query)
        if draw is None:
            self._write(answer)
        else:
            self._loop.call_later(draw(), self._write, answer)

    def _write(self, answer: bytes) -> None:
        if self._transport is not None:
            self._transport.write(answer)


async def serve() -> None:
    """Print the port, and serve until standard input ends."""
    loop = asyncio.get_running_loop()
    pages = Pages()
    gc.freeze()
    server = await loop.create_server(
        lambda: Connection(pages), "127.0.0.1", 0, backlog=1024
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    over = loop.create_future()

    def read() -> None:
        if not sys.stdin.buffer.read1(1) and not over.done():
            over.set_result(None)

    loop.add_reader(sys.stdin, read)
    await over


def main() -> None:
    """Serve, on one core where that can be had."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    pin("server")
    # select() waits to the microsecond, where epoll rounds up to the next millisecond.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    loop.run_until_complete(serve())


if __name__ == "__main__":
    main()
