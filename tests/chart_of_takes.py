"""Works out `canopy_async._walk.takes`: ``python tests/chart_of_takes.py`` prints it.

A window is asked for as a page of some take, so it begins at a multiple of its
length. Windows of a chain share rows with the one before. That makes a graph, with
an arrow from each window to those that may follow, and a shortest path through it:
of the fewest requests, and of the fewest rows among those.
"""

import sys
from bisect import bisect_left
from heapq import merge
from itertools import islice, repeat
from typing import Final

from canopy_async._walk.takes import TAKE
from canopy_async._walk.window import OVERLAP

ROWS: Final = 1_000_000
_SMALLEST: Final = 40  # smaller ones would save three rows in a million
_PER_LINE: Final = 75
_REQUEST: Final = 10**9
"""What a request costs, in rows: more than all rows of any chain."""


def best_takes(rows: int) -> bytes:
    """Return the takes of the best chain through so many rows, but for page 1.

    Windows are looked at in the order of their starts. Of the chains that lead
    on from there, those are kept that no other is better than: none that gets
    as far costs as little.
    """
    sizes = range(_SMALLEST, TAKE + 1)
    starts = merge(*(zip(range(size, rows + 1, size), repeat(size)) for size in sizes))
    ends, costs, chains = [TAKE], [0], [None]
    for start, size in starts:
        gone = bisect_left(ends, start + OVERLAP)
        del ends[:gone], costs[:gone], chains[:gone]
        if not ends:
            raise AssertionError("no chain leads on")
        end, cost = start + size, costs[0] + _REQUEST + size
        chain = (size, chains[0])
        at = bisect_left(ends, end)
        if at < len(ends) and costs[at] <= cost:
            continue
        worse = at
        while worse and costs[worse - 1] >= cost:
            worse -= 1
        after = at + (ends[at : at + 1] == [end])
        ends[worse:after], costs[worse:after] = [end], [cost]
        chains[worse:after] = [chain]
    chain = chains[bisect_left(ends, rows + 1)]
    takes = []
    while chain is not None:
        size, chain = chain
        takes.append(size)
    return bytes(reversed(takes))


def literal(takes: bytes) -> list[str]:
    """Return the lines of a raw literal of some takes: none is a quote."""
    lines = []
    rest = iter(takes.decode("ascii"))
    while line := "".join(islice(rest, _PER_LINE)):
        if line.endswith("\\"):  # which would escape the quote
            line += next(rest)
        lines.append(f'rb"{line}"')
    return lines


if __name__ == "__main__":
    sys.stdout.write("\n".join(literal(best_takes(ROWS))) + "\n")
