"""The walk: which pages of a list to ask for, and what their answers prove.

The API hands out a list in pages: "page 3 of 100 rows" is the rows 200 to 299 of the
list as it is at that instant. While a read goes on, the list moves: rows are added at
one end, removed at the other, or appear and vanish in between. So page 3 may begin
further on than page 2 ended, and what lies between is in no page that was read. No
count tells: a row that came and a row that went leave the count as it was. A walk reads
such a list with many requests in flight, and hands out a row only where it is proven
that none was passed by.

**The theorem.** Each row has a key, its ``created_at``, which never changes, and the
server sorts the list by it. Say that the walk has handed out every row up to some key,
the *cover*. Now a page comes, whatever its number and whenever it was served. If its
first row lies strictly before the cover, or if it is page 1, then the page holds all
rows from the cover to its own last row: it is one piece of a sorted list, so nothing
can be missing inside of it. Of these rows, those that were not handed out yet are
handed out, and the cover moves to the key of the last one. That one comparison is the
whole proof; it does not matter what moved in the meantime.

For that, pages have to overlap. Pages of one size never do, so each request asks for
another size: page 1 of 100 rows is 0-100, and page 2 of 98 rows is 98-196, which begins
two rows before page 1 ended. Where a page begins too late all the same, because the
list has moved, another is fetched that begins earlier.

**The phases.** A walk is always in one of these, and each answer may lead to the next::

    NewestPage            only for a part that is read oldest first
        |
        v
    Opening ------------> Unproven      if rows have no created_at
        |      |      |
        |      |      +-> Fenced        if the server ignores the page size
        |      v
        |   FindingOrder                if all rows of page 1 have one key
        v      v
    FindingStart                        if the wanted part begins after page 1
        |      |
        v      v
    Reading <---------> Seeking         if a seam does not hold, until one does
        |               SamplingTies    if that is because too many rows are tied
        |               FindingEnd      if the end moves on while it is read
        v
    Closing                             if tied rows were read by shared rows
        |
        v
      Done

A phase that is not needed is passed by. `NamingRow` follows any of them where a page is
too large to be read, and ends the walk with an error.

Whoever drives a walk asks `Walk.plan` for windows while there is room in flight, and
gives the answers to `Walk.accept_page` in the order of `Walk.windows`, in whatever
order they arrive. A walk has no network, no clock and no tasks, so that it can be
tested on simulated lists; it never guesses, and raises where it can prove nothing.

**The words.**

- *Row*: an event or an identity. All that matters is its ``id`` and its key.
- *Key*: a row's ``created_at``. Rows of one key are *tied*; together they are a *run*.
- *Window*: the rows that one request asks for, as a page number and a page size.
- *View*: the answer to a window: one piece of the list at one instant.
- *Cover*: what was handed out so far, as a key and the ids of the rows at that key.
- *Seam*: the place where a view continues the cover. A view whose seam holds is
  *certified*, and may be accepted.
- *Certificate*: the reason why a seam holds. `KeyCover` compares keys. `IdCover` looks
  for a shared row, which is weaker: it needs a list in one fixed order.
- *Chain*: the accepted views, each overlapping the cover that the others left.
- *Plan*: the windows that are asked for ahead, each overlapping the one before.
- *Gap*: what may lie between the cover and a view that is not certified.
- *Bridge*: windows that are asked for before all others, to close a gap.
- *Span*: the part of the list that is wanted: since, until, or after a checkpoint.
- *Bound*: the last key that is wanted.
- *Fence*: page 1, asked for again at the end where pages can't overlap.
- *Barren*: said of answers that bring nothing new.
- *Evidence* and *hint*: a proof rests on evidence only (`Cover`, `Recent`). A hint
  (`Position`, a count) decides where to look next, and may be wrong.

To read the code: `window`, `view` and `key_cover` are the theorem; `phase`, `reading`
and `bridge` are the walk; the rest is what odd servers and odd lists need.
"""

from canopy_async._walk.chain import OverlapChain
from canopy_async._walk.newest import proven_walk
from canopy_async._walk.plain import PlainWalk
from canopy_async._walk.span import WHOLE, Span
from canopy_async._walk.walk import Walk
from canopy_async._walk.window import Window

__all__ = [
    "WHOLE",
    "OverlapChain",
    "PlainWalk",
    "Span",
    "Walk",
    "Window",
    "proven_walk",
]
