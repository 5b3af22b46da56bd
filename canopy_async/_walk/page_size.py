"""The size of pages: how many rows a walk asks for, by what it learns of the server.

A server may send fewer rows per page than it is asked for, and say so. It may do it
without a word, which `CutPages` infers. And pages may be too large to be read, because
their rows are, which `ReadablePages` keeps track of.
"""

from typing import Any, Final

from canopy_async._walk.view import View

__all__ = ["SURE_TAKE", "PageSize"]

SURE_TAKE: Final = 20
"""Rows per page that any server allows, as they are the API's default."""

_MIN_TAKE: Final = 4
"""Rows of the smallest windows that overlap and still get on."""

_PAGES_TO_INFER: Final = 3
"""Short pages of one length after which that is taken for the most that is sent."""

_PAGES_THAT_CLAIM_MORE: Final = 2
"""Short pages of one length that suffice where the server says that more follow."""

_CALM_PAGES: Final = 4
"""Pages read after one that was too large, before larger ones are tried again; twice as
many after each further one."""

_MOST_BARREN: Final = 8
"""Answers in a row without a new row after which an inferred page size is dropped."""


class PageSize:
    """The rows per page that the windows of one walk are asked for.

    Args:
        take: Rows per page at most, for the windows that are planned.
        max_take: Rows per page at most for windows that bridge a gap, where more rows
            help.

    Attributes:
        take: Rows per page of planned windows; what the server sends at most
            is learnt.
        max_take: Rows per page of windows that bridge a gap.
        smallest: The least that ``take`` ever was.
        cut: What is inferred from the lengths of pages.
        readable: What is learnt from pages that are too large to be read.
    """

    def __init__(self, take: int, max_take: int) -> None:
        self.take = self._said_take = min(max(take, _MIN_TAKE), max_take)
        self.max_take = self._said_max_take = max_take
        self.smallest = self.take
        self.cut: Final = CutPages()
        self.readable: Final = ReadablePages()

    @property
    def is_certain(self) -> bool:
        """Whether the size of pages is not one that was inferred, and may be wrong."""
        return self.cut.most is None

    def learn(self, view: View[Any]) -> bool:
        """Learn from a page how many rows the server sends at most, said or not.

        Returns:
            Whether the windows that are asked for are too large.
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
        """Learn what the server sends at most, where it says so.

        Returns:
            Whether the windows that are asked for are too large.
        """
        if said >= asked:
            return False
        self._said_max_take = min(self._said_max_take, said)
        self._said_take = min(self._said_take, said)
        return self._resize()

    def learn_length(
        self, rows: int, *, asked: int, short: bool, claims_more: bool, behind: int
    ) -> bool:
        """Learn from the length of a page what the server sends at most.

        The arguments are those of `CutPages.learn`.

        Returns:
            Whether the windows that are asked for are too large.
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
            least: Rows of the smallest pages that are asked for.
        """
        self.readable.note_oversized(asked, least=least)
        self._resize()

    def try_larger(self, position: int) -> bool:
        """Ask for larger pages again where smaller ones do not cross a position.

        Returns:
            Whether there are larger ones, and they were not tried here.
        """
        may_try = self.readable.try_larger(position)
        self._resize()
        return may_try

    def note_progress(self, rows: int, *, asked: int) -> None:
        """Take back what was learnt of the size of pages where it holds no longer.

        Args:
            rows: How many rows the latest page added.
            asked: How many it was asked for.
        """
        if rows:
            self.readable.note_read(asked, said=self._said_take)
        self.cut.note_progress(rows, asked=asked)
        self._resize()

    def _resize(self) -> bool:
        """Plan with what is known; tell whether windows that are asked for are larger.

        What the server says holds for good, what was inferred until it is taken back.
        """
        before, readable = self.take, self.readable
        known = (self._said_max_take, self.cut.most, readable.most)
        self.max_take = min(size for size in known if size is not None)
        known = (self._said_take, self.cut.most, readable.trial or readable.most)
        self.take = min(size for size in known if size is not None)
        self.smallest = min(self.smallest, self.take)
        return self.take < before


class CutPages:
    """Pages that the server cuts without a word: of how many rows are they?

    A page that holds fewer rows than are counted may be such a one, or the list grew
    between what was selected and what was counted. Pages that are cut all hold as many
    rows as each other, and more than any other page; only where several agree is that
    inferred, or from one that a list explains only if it grew by half a page at once.
    It is taken back where a page holds more rows, or fewer though no cut explains it.

    Attributes:
        most: The most rows that the server sends, None while nothing is inferred.
        longest: The most rows that any page had so far.
        suspect: How many rows a page had that was short, and yet claimed that more
            follow; None if there was none.
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
        """Whether it depends on the next answer how large windows may be."""
        return (
            self.most is None and self._agreeing > 0 and self._suspected == self.longest
        )

    def learn(
        self, rows: int, *, asked: int, short: bool, claims_more: bool, behind: int
    ) -> None:
        """Learn from the rows of a page.

        Args:
            rows: How many the page holds.
            asked: How many it was asked for.
            short: Whether it holds fewer than the server says that there are.
            claims_more: Whether the server says that another page follows: a list
                must grow beyond the page for that, so that fewer pages suffice.
            behind: How many rows are counted beyond those that it holds.
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
        """Take back what was inferred where page after page adds nothing.

        Args:
            rows: How many rows the latest page added.
            asked: How many it was asked for.
        """
        if self.most is None or asked > self.most:
            return
        self._barren = 0 if rows else self._barren + 1
        if self._barren > _MOST_BARREN:
            self._take_back()

    def _take_back(self) -> None:
        """Forget what was inferred, and be slower to infer it again."""
        self.most, self._agreeing, self._barren = None, 0, 0
        self._spare_pages += 1


class ReadablePages:
    """Pages that are too large to be read: of how many rows are those that are not?

    Attributes:
        most: The most rows that are asked for, None for as many as the server sends.
        trial: How many are asked for to see whether larger pages can be read by now;
            None while no trial is due.
    """

    def __init__(self) -> None:
        self.most: int | None = None
        self.trial: int | None = None
        self._calm, self._calm_needed = 0, _CALM_PAGES
        self._tried_at: int | None = None

    def note_oversized(self, asked: int, *, least: int) -> None:
        """Ask for fewer rows, after a page of so many was too large to be read.

        Args:
            asked: How many rows the page was asked for.
            least: Rows of the smallest pages that are asked for.
        """
        if self.trial is not None:
            self.trial = None
            self._calm_needed *= 2
        elif self.most is None or asked <= self.most:
            self.most = max(least, asked // 2)
        self._calm = 0

    def note_read(self, asked: int, *, said: int) -> None:
        """Try larger pages again, once enough of those were read that are no larger.

        Args:
            asked: How many rows the page was asked for that was read.
            said: How many rows per page are planned where all can be read.
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
        """Ask for larger pages at once, where smaller ones do not cross a position.

        Returns:
            Whether there are larger ones, and they were not tried there before.
        """
        if self.most is None or self._tried_at == position:
            return False
        self._tried_at = position
        self.most = self.trial = None
        return True
