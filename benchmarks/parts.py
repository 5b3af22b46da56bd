"""The cost of a request by part: decoding, the proof, the rest.

It runs in a process of its own. Decoding and the proof are calls that can be timed
where they are made. The rest is what sends requests and receives answers, in aiohttp,
asyncio and the kernel, and, in this library, what keeps windows in order.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import readers
import scenarios
from contestants import bare

from canopy_async._read import reader
from canopy_async._walk.chain import OverlapChain


def read_ours(log: dict[str, Any]) -> dict[str, float]:
    """Read a log with the proof; return µs of CPU per request, by part."""
    return _by_part(lambda: readers.read("proven", log))


def read_bare(log: dict[str, Any]) -> dict[str, float]:
    """Do so with nothing but aiohttp and the decoder."""
    return _by_part(lambda: readers.read("bare", log))


def read_raw(log: dict[str, Any]) -> dict[str, float]:
    """Do so off raw sockets, with the decoder."""
    return _by_part(lambda: readers.read("ceiling", log))


def fan_out_ours(**options: Any) -> dict[str, float]:
    """Read the logs of many identities; return µs of CPU per request, by part."""
    return _by_part(lambda: scenarios.fan_out(**options))


def fan_out_bare(**options: Any) -> dict[str, float]:
    """Do so with nothing but aiohttp and the decoder."""
    return _by_part(lambda: scenarios.fan_out_bare(**options))


def fan_out_raw(**options: Any) -> dict[str, float]:
    """Do so off raw sockets, with the decoder."""
    return _by_part(lambda: scenarios.fan_out_raw(**options))


def _by_part(read: Callable[[], dict[str, Any]]) -> dict[str, float]:
    """Return µs of CPU per request, by part, and the requests per 100 events."""
    with _timed() as timed:
        figures = read()
    requests = timed["requests"]
    decoding, proof = timed["decoding"] / requests, timed["proof"] / requests
    whole = figures["cpu"] / requests
    return {
        "requests": 100 * requests / figures["events"],
        "whole": 1e6 * whole,
        "decoding": 1e6 * decoding,
        "proof": 1e6 * proof,
        "else": 1e6 * (whole - decoding - proof),
    }


@contextmanager
def _timed() -> Iterator[Counter[str]]:
    """Time the calls; yield the seconds of each part, and how many were decoded."""
    seconds: Counter[str] = Counter()

    def timing(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                seconds[part] += time.perf_counter() - began
                seconds["requests"] += part == "decoding"

        return timed

    replaced: list[tuple[Any, str, Any]] = []
    for owner, name, part in (
        (reader, "page_from", "decoding"),
        (bare, "decode", "decoding"),
        (OverlapChain, "accept_page", "proof"),
        (OverlapChain, "plan", "proof"),
    ):
        replaced.append((owner, name, getattr(owner, name)))
        setattr(owner, name, timing(part, getattr(owner, name)))
    try:
        yield seconds
    finally:
        for owner, name, function in replaced:
            setattr(owner, name, function)
