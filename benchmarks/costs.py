"""The costs of a request by part, and what is ours of them."""

from collections.abc import Iterator, Mapping
from functools import partial
from statistics import median
from typing import Any

import goals
from contestants import TAKE
from measure import in_turns, measured
from sizes import Sizes
from tables import Table

_WHO = {"ours": "canopy_async", "bare": "bare aiohttp", "raw": "raw sockets"}
_PARTS = ("decoding", "proof", "else", "whole")
_HEAD = ("decoding", "proof", "all else", "whole")

Costs = Mapping[str, float]


def tables(base_url: str, sizes: Sizes) -> list[Table]:
    """Measure three situations, each read in three ways."""
    near = goals.log_of(base_url, sizes.peer_events)
    far = goals.log_of(
        base_url, sizes.far_pages * TAKE, goals.LATENCY, in_flight=goals.FAR_WIDTH
    )
    near_costs = _costs("read", sizes, log=near)
    far_costs = _costs("read", sizes, log=far)
    many_costs = _costs(
        "fan_out",
        sizes,
        base_url=base_url,
        account=goals.account_at(goals.FAN_OUT_LATENCY),
        **goals.identities_of(sizes),
    )
    parts = Table(
        "Where the time goes",
        ("µs of CPU per request", *_HEAD, "ideal leaves"),
    )
    for what, costs, ideal in (
        ("no latency", near_costs, None),
        ("30 ms, 32 in flight", far_costs, goals.LATENCY / goals.FAR_WIDTH),
        ("identities", many_costs, goals.FAN_OUT_LATENCY / goals.FAN_OUT_WIDTH),
    ):
        for who, title in _WHO.items():
            cells = (f"{costs[who][part]:.0f}" for part in _PARTS)
            left = "" if ideal is None else f"{1e6 * ideal:.0f}"
            parts.add(f"{what}: {title}", *cells, left)
    bill = Table(
        "What a read costs more than with bare aiohttp",
        ("µs of CPU per 100 events", "one log", "÷ bare", "identities", "÷ bare"),
    )
    for (what, one), (_, many) in zip(
        _bill(near_costs), _bill(many_costs), strict=True
    ):
        bill.add(what, *one, *many)
    return [parts, bill]


def _costs(function: str, sizes: Sizes, **options: Any) -> dict[str, Costs]:
    """Return the medians of each way to read, in turns."""
    runs = in_turns(
        sizes.repeats,
        {who: partial(measured, f"parts:{function}_{who}", **options) for who in _WHO},
    )
    return {
        who: {part: median(run[part] for run in figures) for part in figures[0]}
        for who, figures in runs.items()
    }


def _bill(costs: Mapping[str, Costs]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield what adds up to a read of ours, and what is left of bare's speed."""
    ours, bare = costs["ours"], costs["bare"]
    requests = ours["requests"]
    least = bare["requests"] * bare["whole"]
    total = 0.0
    for what, cost in (
        ("bare aiohttp, all of it", least),
        (
            "more requests and rows, as windows overlap",
            requests * (ours["decoding"] + bare["else"]) - least,
        ),
        ("the proof", requests * ours["proof"]),
        (
            "order, retries, limits, events one by one",
            requests * (ours["else"] - bare["else"]),
        ),
    ):
        total += cost
        yield what, (f"{cost:.0f}", f"{least / total:.2f}")
