"""The size of pages: how many rows a walk asks for, by what it learns of the server.

A server may send fewer rows per page than it is asked for, and say so in the answer. A
server may also cut pages without saying so; `CutPages` infers that. And pages may be
too large to be read, because their rows are large; `ReadablePages` keeps track of that.
"""

from typing import Any, Final

from canopy_async._walk.view import View

__all__ = ["SURE_TAKE", "PageSize"]

SURE_TAKE: Final = 20
"""Rows per page that any server allows, as this is the API's default."""

_MIN_TAKE: Final = 4
"""Rows of the smallest windows that overlap and still bring new rows."""

_PAGES_TO_INFER: Final = 3
"""Short pages of one length, after which this length is taken for the largest page that
the server sends."""

_PAGES_THAT_CLAIM_MORE: Final = 2
"""Short pages of one length that are enough for this, where the server says that more
pages follow."""

_CALM_PAGES: Final = 4
"""Pages that are read, after a page that was too large, before larger pages are tried
again. Each trial that fails doubles this number."""

_MOST_BARREN: Final = 8
"""The most answers in a row without a new row before an inferred page size is dropped.
"""


class PageSize:
    """The rows per page that the windows of one walk are asked for.

    Args:
        take: Rows per page at most, for the windows of the plan.
        max_take: Rows per page at most, for windows that bridge a gap: the more rows,
            the easier.

    Attributes:
        take: Rows per page at most of the windows of the plan, by what is known of the
            server now.
        max_take: Rows per page at most of windows that bridge a gap, by what is known
            of the server now.
        smallest: The lowest value that ``take`` ever had.
        cut: Whether the server cuts pages, as their lengths show.
        readable: How large pages may be so that they can be read.
    """

    def __init__(self, take: int, max_take: int) -> None:
        self.take = self._said_take = min(max(take, _MIN_TAKE), max_take)
        self.max_take = self._said_max_take = max_take
        self.smallest = self.take
        self.cut: Final = CutPages()
        self.readable: Final = ReadablePages()

    @property
    def is_certain(self) -> bool:
        """Whether no page size was inferred: an inferred one may be wrong."""
        return self.cut.most is None

    def learn(self, view: View[Any]) -> bool:
        """Learn from a page how many rows the server sends at most.

        The server may say so, or it is inferred from the length of the page.

        Returns:
            Whether the windows that were asked for are too large.
        """
        if len(view.rows) == view.take == view.asked:
            self.cut.longest = max(self.cut.longest, view.take)
            return False
        said_less = self.learn_take(view.asked, view.take)
        is_cut = self.learn_length(
            len(view.rows),
            asked=view.asked,
            short=bool(view.rows) and view.is_short,
            claims_more=view.claims_more,
            behind=view.count - view.end,
        )
        return said_less or is_cut

    def learn_take(self, asked: int, said: int) -> bool:
        """Learn how many rows the server sends at most, from what it says.

        Args:
            asked: How many rows a page was asked for.
            said: How many rows per page the answer states.

        Returns:
            Whether the windows that were asked for are too large.
        """
        if said >= asked:
            return False
        self._said_max_take = min(self._said_max_take, said)
        self._said_take = min(self._said_take, said)
        return self._resize()

    def learn_length(
        self, rows: int, *, asked: int, short: bool, claims_more: bool, behind: int
    ) -> bool:
        """Learn how many rows the server sends at most, from the length of a page.

        The arguments are those of `CutPages.learn`.

        Returns:
            Whether the windows that were asked for are too large.
        """
        self.cut.learn(
            rows, asked=asked, short=short, claims_more=claims_more, behind=behind
        )
        return self._resize()

    def note_oversized(self, asked: int, *, least: int) -> None:
        """Ask for fewer rows: a page was too large to be read.

        Rows are not all of one size, so larger pages are tried again some pages later.

        Args:
            asked: How many rows the page was asked for.
            least: Rows per page that are always asked for.
        """
        self.readable.note_oversized(asked, least=least)
        self._resize()

    def try_larger(self, position: int) -> bool:
        """Ask for larger pages again, where no smaller page crosses a position.

        A page crosses a position if it holds the rows on both sides.

        Returns:
            Whether larger pages may exist, and were not tried at this position before.
        """
        may_try = self.readable.try_larger(position)
        self._resize()
        return may_try

    def note_progress(self, rows: int, *, asked: int) -> None:
        """Take back what was learnt of the size of pages, where it is true no longer.

        Args:
            rows: How many new rows the latest page brought.
            asked: How many rows that page was asked for.
        """
        if rows:
            self.readable.note_read(asked, said=self._said_take)
        self.cut.note_progress(rows, asked=asked)
        self._resize()

    def _resize(self) -> bool:
        """Set the sizes by what is known now.

        A size that the server has stated holds for good. A size that was inferred holds
        until it is taken back.

        Returns:
            Whether the windows that were asked for before are larger than this.
        """
        before, readable = self.take, self.readable
        known = (self._said_max_take, self.cut.most, readable.most)
        self.max_take = min(size for size in known if size is not None)
        known = (self._said_take, self.cut.most, readable.trial or readable.most)
        self.take = min(size for size in known if size is not None)
        self.smallest = min(self.smallest, self.take)
        return self.take < before


class CutPages:
    """The size of pages that a server cuts without saying so, as far as it is inferred.

    A page that holds fewer rows than it should, by what the server counts, has one of
    two causes: the server has cut it, or the list grew after the server had selected
    rows and before it counted. All pages that a server cuts have one length, and no
    other page is longer. So a cut is inferred from several short pages of one length,
    or from a single one if the list must have grown by half a page at once to explain
    it. A cut that was inferred is taken back where a page is longer, or is shorter
    although the cut does not explain that.

    Attributes:
        most: The most rows that the server sends, None while no cut is inferred.
        longest: The most rows that any page had so far.
        suspect: How many rows the latest page had that was short although the server
            said that another page follows; None if there was no such page.
    """

    def __init__(self) -> None:
        self.most: int | None = None
        self.longest = 0
        self.suspect: int | None = None
        self._suspected: int = 0
        self._agreeing = 0
        self._spare_pages = 0
        self._barren = 0

    @property
    def is_suspected(self) -> bool:
        """Whether the next answer may show that the server cuts pages."""
        return (
            self.most is None and self._agreeing > 0 and self._suspected == self.longest
        )

    def learn(
        self, rows: int, *, asked: int, short: bool, claims_more: bool, behind: int
    ) -> None:
        """Learn from the length of a page.

        Args:
            rows: How many rows the page holds.
            asked: How many rows it was asked for.
            short: Whether it is short: it has fewer rows than it was asked for, and
                does not show the end of the list.
            claims_more: Whether the server says that another page follows. A list must
                grow by more than the rest of the page to explain that, so fewer such
                pages are needed to infer a cut.
            behind: How many rows the server counts after the last row of the page.
        """
        self.longest = max(self.longest, rows)
        if self.most is not None and (
            rows > self.most or (short and asked <= self.most)
        ):
            self._take_back()
            return
        if not short or rows < self.longest:
            return
        if rows != self._suspected:
            self._suspected, self._agreeing = rows, 0
        self._agreeing += 1
        needed = _PAGES_TO_INFER
        if claims_more:
            self.suspect = rows
            needed = 1 if 2 * behind >= asked else _PAGES_THAT_CLAIM_MORE
        if self._agreeing >= needed + self._spare_pages:
            self.most = rows

    def note_progress(self, rows: int, *, asked: int) -> None:
        """Take back an inferred cut, where page after page brings no new row.

        Args:
            rows: How many new rows the latest page brought.
            asked: How many rows that page was asked for.
        """
        if self.most is None or asked > self.most:
            return
        self._barren = 0 if rows else self._barren + 1
        if self._barren > _MOST_BARREN:
            self._take_back()

    def _take_back(self) -> None:
        """Forget the inferred cut, and need one more page to infer a cut again."""
        self.most, self._agreeing, self._barren = None, 0, 0
        self._spare_pages += 1


class ReadablePages:
    """The size of pages that can be read, where larger pages can't.

    Attributes:
        most: The most rows per page that are asked for, None for as many as the server
            sends.
        trial: The rows per page that are asked for now, to see whether larger pages can
            be read again; None while no trial is due.
    """

    def __init__(self) -> None:
        self.most: int | None = None
        self.trial: int | None = None
        self._calm, self._calm_needed = 0, _CALM_PAGES
        self._tried_at: int | None = None

    def note_oversized(self, asked: int, *, least: int) -> None:
        """Ask for fewer rows, as a page was too large to be read.

        Args:
            asked: How many rows the page was asked for.
            least: Rows per page that are always asked for.
        """
        if self.trial is not None:
            self.trial = None
            self._calm_needed *= 2
        elif self.most is None or asked <= self.most:
            self.most = max(least, asked // 2)
        self._calm = 0

    def note_read(self, asked: int, *, said: int) -> None:
        """Try larger pages again, once enough pages of the present size were read.

        Args:
            asked: How many rows the page was asked for that was read.
            said: How many rows per page the plan asks for where all pages can be read.
        """
        if self.most is None:
            return
        self._calm += 1
        if asked > self.most:
            self.most = asked if asked < said else None
            self.trial, self._calm = None, 0
        elif self._calm >= self._calm_needed:
            self.trial = 2 * self.most

    def try_larger(self, position: int) -> bool:
        """Ask for larger pages at once, where no smaller page crosses a position.

        Returns:
            Whether larger pages may exist, and were not tried at this position before.
        """
        if self.most is None or self._tried_at == position:
            return False
        self._tried_at = position
        self.most = self.trial = None
        return True
