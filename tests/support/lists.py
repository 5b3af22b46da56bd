"""Lists that are served to a walk page by page, also with the faults of a server."""

from datetime import timedelta

import attrs
import pytest
from walksim import EPOCH, SimRow

from canopy_async._walk.chain import OverlapChain
from canopy_async.errors import ProtocolError
from canopy_async.models import Page, PageMeta
from canopy_async.report import Proof

TAKE = 100
DENIED = object()
"""The answer to a window: the server refuses how it is asked."""

TOO_LARGE = object()
"""The answer to a window: the page is larger than can be read."""


def row(key, id_=None):
    instant = None if key is None else EPOCH + timedelta(seconds=key)
    return SimRow(f"r{key}" if id_ is None else id_, instant)


def log(count, order="asc"):
    rows = [row(key) for key in range(count)]
    return rows if order == "asc" else rows[::-1]


def tied(count, key, name="t"):
    return [row(key, f"{name}{number}") for number in range(count)]


def page_of(rows, window, *, cut=None, said=None, count=None, pages=None, **meta):
    """The page of a correct server, except for the arguments that change it.

    Args:
        rows: The whole list.
        window: The requested window.
        cut: The page size that the server uses in place of the requested one.
        said: The ``take`` that the page states.
        count: The ``item_count`` that the page states.
        pages: The ``page_count`` that the page states.
        **meta: Other fields of the page's metadata.
    """
    take = window.take if cut is None else cut
    said = take if said is None else said
    start = (window.page - 1) * take
    items = tuple(rows[start : start + take])
    count = len(rows) if count is None else count
    pages = -(-count // take) if pages is None else pages
    page = PageMeta(
        page=window.page,
        take=said,
        item_count=count,
        page_count=pages,
        has_previous_page=window.page > 1,
        has_next_page=window.page < pages,
    )
    return Page(items=items, pagination=attrs.evolve(page, **meta))


class Reader:
    """Drives a walk; ``serve`` returns the page for a window.

    In place of a page, it may return None for a 404, ``DENIED`` or ``TOO_LARGE``.
    """

    def __init__(self, serve, *, take=TAKE, width=1, most=2000, walk=None, **options):
        self.walk = OverlapChain(take=take, **options) if walk is None else walk
        self.asked = []
        self.read = []
        self._serve = serve
        self._width = width
        self._most = most

    def run(self):
        walk, answers = self.walk, {}
        while not walk.done:
            while len(walk.windows) < self._width and (window := walk.plan()):
                self._ask(window, answers)
            head = walk.windows[0]
            if head not in answers:
                self._ask(head, answers)
            self.read += self._take(answers.pop(head))
        return self

    def _ask(self, window, answers):
        assert len(self.asked) < self._most, "it asks for ever"
        self.asked.append(window)
        answers[window] = self._serve(window)

    def _take(self, page):
        if page is None:
            return self.walk.accept_missing()
        if page is DENIED:
            assert self.walk.retry_without_sort()
            return ()
        if page is TOO_LARGE:
            window = self.walk.windows[0]
            rows = self.walk.accept_oversized()
            if rows is None:
                raise ProtocolError(f"row {window.start + 1} is too large")
            return rows
        return self.walk.accept_page(page)

    def fails(self, error, match=None):
        with pytest.raises(error, match=match):
            self.run()
        assert not self.report.complete
        assert self.report.delivered == len(self.read)
        return self

    @property
    def report(self):
        return self.walk.report()


def read(rows, **options):
    """Read a list that does not change; further options are those of `page_of`."""
    ours = {
        "take",
        "width",
        "limit",
        "order",
        "sort_by",
        "accept_unordered",
        "span",
    }
    oddities = {k: options.pop(k) for k in set(options) - ours}
    return Reader(lambda window: page_of(rows, window, **oddities), **options).run()


def assert_all(reader, rows, proof=Proof.STRICT_KEY):
    assert [r.id for r in reader.read] == [r.id for r in rows]
    assert reader.report.complete
    assert reader.report.proof == proof
    assert reader.report.delivered == len(rows)
