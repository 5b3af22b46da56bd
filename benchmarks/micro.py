"""The cost of parts of a read without a network, run in a process of its own."""

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import msgspec
from contestants import TAKE
from server import Pages

from canopy_async import AuditEvent
from canopy_async._api.requests import audit_endpoint
from canopy_async._api.responses import decode_page
from canopy_async._walk.chain import OverlapChain
from canopy_async.models import Page

_AHEAD = 8
_PASSES = 5
_ENDPOINT = audit_endpoint("acme", "idn_1")


def decode(events: int) -> dict[str, float]:
    """Return the µs of CPU that one page takes to be decoded, in several ways."""
    bodies = _bodies(events)
    decode_rows = msgspec.json.Decoder(Page[AuditEvent]).decode
    ways: dict[str, Callable[[bytes], Any]] = {
        "page": lambda body: decode_page(_ENDPOINT, body, page=2),
        "rows": decode_rows,
        "dicts": msgspec.json.decode,
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(_PASSES):
        for way, decoded in ways.items():
            began = time.process_time()
            for body in bodies:
                decoded(body)
            seconds[way].append(time.process_time() - began)
    return {way: 1e6 * median(took) / len(bodies) for way, took in seconds.items()}


def walk(events: int) -> dict[str, float]:
    """Return the µs that the walk takes for a window, and those of decoding one.

    What the walk does is planning, building views, certifying seams and taking
    the rows that are new; each right after its page was decoded, as in a read.
    These are medians over the windows, which no pause of the process moves.
    """
    server = Pages()
    chain: OverlapChain[AuditEvent] = OverlapChain(take=TAKE, order="asc")
    decoding: list[float] = []
    walking: list[float] = []
    looking: list[float] = []
    seen = 0
    _plan(chain)
    while not chain.done:
        window = chain.windows[0]
        body = _body(server, events, window.page, window.take)
        began = time.perf_counter()
        page = decode_page(_ENDPOINT, body, page=window.page)
        decoded = time.perf_counter()
        seen += len(chain.accept_page(page))
        _plan(chain)
        walked = time.perf_counter()
        _look_at(page.items)
        looking.append(time.perf_counter() - walked)
        walking.append(walked - decoded)
        decoding.append(decoded - began)
    if seen != events:
        raise RuntimeError(f"the walk saw {seen} of {events} events")
    return {
        "windows": len(walking),
        "walk": 1e6 * median(walking),
        "decode": 1e6 * median(decoding),
        "look": 1e6 * median(looking),
    }


def _look_at(rows: Sequence[AuditEvent]) -> None:
    """Do the least that a proof must: see each id and key, and how they compare."""
    set([row.id for row in rows])  # noqa: C403 - as the walk needs the list, too
    sorted([row.created_at for row in rows])


def _plan(chain: OverlapChain[AuditEvent]) -> None:
    """Keep some windows ahead, as a run does."""
    while len(chain.windows) < _AHEAD and chain.plan() is not None:
        pass


def _bodies(events: int) -> list[bytes]:
    pages = Pages()
    return [
        _body(pages, events, page, TAKE) for page in range(2, -(-events // TAKE) + 1)
    ]


def _body(pages: Pages, events: int, page: int, take: int) -> bytes:
    answer = pages.answer(f"idn_1_{events}", f"page={page}&take={take}&order=asc")
    return answer.partition(b"\r\n\r\n")[2]
