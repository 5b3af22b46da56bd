"""The walk: which pages of a list to ask for, and what their answers prove.

The API hands out a list in pages: "page 3 of 100 rows" is the rows 200 to 299 of the
list as it is when the server answers. While a read goes on, the list moves: rows are
added at one end, removed at the other, or appear and vanish in between. So page 3 may
begin further on than page 2 ended, and the rows between them are in no page that was
read. The counts of the server do not show this: one row added and one row removed leave
a count as it was. A walk reads such a list with many requests in flight. As a rule, it
hands out a row only where it is proven that no row before it was skipped. Where pages
can't overlap (`fence`), and inside of long runs of ties (`ties`), it hands out rows
first, and proves them at the end or raises an error. `plain` proves nothing.

**The theorem.** Each row has a key, its ``created_at``, which never changes, and the
server sorts the list by key. Say that the walk has handed out every row that comes
before some key, and knows which rows of that key it has handed out: this is the
*cover*. Now a page comes. Its number does not matter, nor when it was served. If
its first row lies strictly before the cover, or if it is page 1, then the page holds
all rows from the cover to its own last row: a page is one piece of a sorted list, so no
row can be missing inside of it. The rows of the page that were not handed out yet are
handed out, and the cover moves to the key of the page's last row. Comparing the key of
the page's first row with the cover is the whole proof. It does not matter what was
added or removed between two answers.

An example, newest first. The last row that was handed out is of 12:05, so the cover is
12:05::

    keys of the page             may be accepted?
    12:06  12:05  12:04  12:03   yes: 12:04 and 12:03 are handed out, cover 12:03
    12:05  12:04  12:03          no: another row of 12:05 may stand before this page
    12:04  12:03  12:02          no: a row between 12:05 and 12:04 may be missing

So pages have to overlap. Pages of one size never do. Therefore each request asks for
another size: page 1 of 100 rows is the rows 0 to 99, and page 2 of 98 rows is the rows
98 to 195, which begins two rows before page 1 ended. Where a page begins too late all
the same, because the list has moved, another page is fetched that begins earlier.

**The phases.** A walk is always in one phase, and each answer may lead to another one.
These are the usual ways::

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

A phase that a read does not need is left out. Where a page of as few rows as a walk
asks for is too large to be read, the phase `NamingRow` ends the walk with an error that
names the row.

`canopy_async._read.reader.PageReader` drives a walk. While more requests may be in
flight, it asks `Walk.plan` for the next window. Answers arrive in any order; it hands
them to `Walk.accept_page` in the order of `Walk.windows`. A walk has no network, no
clock and no tasks, so that it can be tested on simulated lists. Where a walk can prove
nothing, it raises an error, and does not guess.

**The words.**

- *Row*: an event or an identity. All that matters is its ``id`` and its key.
- *Key*: a row's ``created_at``. Rows of one key are *tied*; together they are a *run*.
- *Before* and *after*: in the order of the list. In a list that is sorted newest first,
  a later instant comes before an earlier one.
- *Position*: the number of a row in the list, from 0, when an answer was made.
- *Head*: the rows at the beginning of the list, which page 1 shows.
- *Window*: the rows that one request asks for, as a page number and a page size.
- *View*: the answer to a window: one piece of the list at one instant.
- *Short*: said of a view that has fewer rows than its window, and yet does not show
  the end of the list.
- *Cut*: said of a page that the server has shortened without saying so.
- *Cover*: what was handed out so far, as a key and the ids of the rows at that key.
- *Seam*: the place where a view continues the cover. A view whose seam holds is
  *certified*, and may be accepted.
- *Certificate*: the reason why a seam holds. `KeyCover` compares keys. `IdCover` looks
  for a shared row, which is weaker: it needs a list in one fixed order.
- *Chain*: the accepted views. Each overlaps the cover that was there before it.
- *Plan*: the windows that are asked for ahead, each overlapping the one before it.
- *Gap*: the rows that may be missing between the cover and a view that is not
  certified.
- *Bridge*: windows that are asked for before all windows of the plan, to close a gap.
- *Held*: said of the view after a gap. It is compared with the cover again once the gap
  is closed.
- *Probe*: a window that looks for a place in the list, such as where the wanted part
  begins.
- *Drift*: how many positions the rows have moved between two answers.
- *Span*: the part of the list that is wanted: since, until, or after a checkpoint.
- *Bound*: the last key that is wanted.
- *Steady*: said of a list whose answers all counted as many rows as page 1 did.
- *Fence*: page 1, asked for again at the end where pages can't overlap.
- *Barren*: said of an answer that brings no new row. *Patience* counts such answers
  that come one after the other.
- *Evidence* and *hint*: a proof rests on evidence only (`Cover`, `Recent`). A hint
  (`Position`, a count) decides where to look next, and may be wrong.

**Where to begin.** Read `window`, `view` and `key_cover` first: they are the theorem.
Then read `phase`, `reading` and `bridge`: they are a walk through a usual list. What is
left is for servers and lists that are not usual: `fence` for one page size, `ties` for
many rows of one key, `page_size` for pages that are cut or too large, `id_cover` for
lists in another order, `plain` for reads without a proof.
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
