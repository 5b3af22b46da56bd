"""A view: one answer as evidence, with its rows and their positions in the list."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Generic, Protocol, TypeVar

from canopy_async._walk.window import Window
from canopy_async.errors import ProtocolError
from canopy_async.models import Page

__all__ = ["Row", "View", "check_page"]


class Row(Protocol):
    """The fields of a row that a proof needs."""

    @property
    def id(self) -> str:
        """Unique in the list."""
        ...

    @property
    def created_at(self) -> datetime | None:
        """The key that the list is sorted by; it never changes."""
        ...


R = TypeVar("R", bound=Row)


class View(Generic[R]):
    """One piece of the list, with no row missing inside, at one instant.

    Attributes:
        rows: The rows.
        ids: The ids of the rows.
        members: The ids of the rows, as a set.
        keys: The ``created_at`` of the rows.
        start: Position of the first row.
        end: Position after the last row.
        count: How many rows the server counted for this answer.
        answer: The page as it was decoded.
        page: The page's number.
        asked: Rows per page that were asked for.
        take: Rows per page that the server says it sends.
        number: The number of its window, from 1, in the order in which windows were
            asked for.
        claims_more: Whether the server says that another page follows.
        is_first: Whether it is page 1, and so begins at the head of the list.
        is_end: Whether it proves to reach the end of the list. It does if it holds
            fewer rows than a full page, the server says that no page follows, and the
            server counts no row after it. Any two of these three may be wrong where
            rows move between COUNT and SELECT, so all three are needed.
            Where a server cuts pages without saying so, all three may be wrong, as a
            page then begins elsewhere than its number says. So the view must also be of
            a size that the server is known to send, or hold fewer rows than some page
            did before. Page 1 always begins where its number says; it must only not be
            as long as a page that seemed to be cut.
        is_short: Whether it holds fewer rows than a full page, and yet does not prove
            to reach the end of the list.
        is_placed: Whether it begins where its number says, even if the server cuts
            pages without saying so.

    Args:
        page: The answer.
        window: The window that was asked for.
        longest: The most rows that any page had so far. The server sends as many at
            least, so that a page with fewer rows was not cut.
        suspect: How many rows a page had that was short although the server said that
            another page follows; another page of that length may be cut, too. None if
            there was no such page.
    """

    __slots__ = (
        "answer",
        "asked",
        "claims_more",
        "count",
        "end",
        "ids",
        "is_end",
        "is_first",
        "is_placed",
        "is_short",
        "keys",
        "members",
        "number",
        "page",
        "rows",
        "start",
        "take",
    )

    def __init__(
        self,
        page: Page[R],
        window: Window,
        *,
        longest: int,
        suspect: int | None = None,
    ) -> None:
        meta = page.pagination
        rows = page.items
        self.answer: Final = page
        self.asked: Final = window.take
        self.take: Final = meta.take
        take = meta.take
        self.rows: Final[Sequence[R]] = rows
        self.ids: Final = [row.id for row in rows]
        self.members: Final = frozenset(self.ids)
        self.keys: Final[list[Any]] = [row.created_at for row in rows]
        self.start: Final = (window.page - 1) * take
        self.end: Final = self.start + len(rows)
        self.count: Final = meta.item_count
        self.claims_more: Final = meta.has_next_page
        self.page: Final = window.page
        self.number: Final = window.number
        self.is_first: Final = window.page == 1
        self.is_placed: Final = self.is_first or take <= longest
        is_full = len(rows) >= take
        may_be_cut = len(rows) >= longest and (
            not self.is_first or len(rows) == suspect
        )
        self.is_end: Final = (
            not is_full
            and not self.claims_more
            and self.end >= self.count
            and not may_be_cut
        )
        self.is_short: Final = not (is_full or self.is_end)

    def check_ids(self) -> None:
        """Check that no row is in the view twice.

        Raises:
            ProtocolError: A row is in the view twice; names the page and the row.
        """
        if len(self.members) == len(self.ids):
            return
        at = next(at for at, id_ in enumerate(self.ids) if id_ in self.ids[:at])
        raise ProtocolError(
            "the id occurs twice in one page", page=self.page, path=f"items[{at}].id"
        )


def check_page(page: Page[R], window: Window) -> None:
    """Check that a page agrees with its window and with itself.

    Raises:
        ProtocolError: The page does not; names the page and the field.
    """
    meta = page.pagination
    number = window.page
    if meta.item_count < 0 or meta.page_count < 0:
        raise ProtocolError("a count is negative", page=number, path="pagination")
    if meta.take < 1:
        raise ProtocolError("is below 1", page=number, path="pagination.take")
    if meta.page != number:
        raise ProtocolError(
            f"the server answered with page {meta.page}",
            page=number,
            path="pagination.page",
        )
    if number == 1 and meta.has_previous_page:
        raise ProtocolError(
            "the first page claims to have one before it",
            page=number,
            path="pagination.has_previous_page",
        )
    if len(page.items) > max(meta.take, window.take):
        raise ProtocolError("more rows than were asked for", page=number, path="items")
