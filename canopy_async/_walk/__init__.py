"""How a list is read, without I/O: which windows to ask for, what to make of them.

A walk is a state machine over windows. Whoever drives it asks `Walk.plan` for
windows as long as it has room to fetch, and gives the answers back with
`Walk.take`, in the order of `Walk.windows`, whatever order they arrived in.
The walk hands out rows, and knows when it is done. It has no network, no clock
and no tasks, so that it can be tested on simulated lists.
"""

from canopy_async._walk.chain import OverlapChain
from canopy_async._walk.newest import NewestFirst, proven_walk
from canopy_async._walk.plain import PlainWalk
from canopy_async._walk.span import WHOLE, Span
from canopy_async._walk.walk import Walk
from canopy_async._walk.window import Window

__all__ = [
    "WHOLE",
    "NewestFirst",
    "OverlapChain",
    "PlainWalk",
    "Span",
    "Walk",
    "Window",
    "proven_walk",
]
