"""`choose`: how a poll goes on after its first page, as a pure decision."""

from enum import Enum, auto

__all__ = ["Choice", "choose"]


class Choice(Enum):
    """The ways to go on after the first page of a poll, which was read newest first."""

    WAIT = auto()
    """Nothing more: the log seems unchanged. A later poll reads all of it."""

    GO_ON = auto()
    """Newest first with the pass that has begun: its pages are large, or it is done."""

    READ_AGAIN = auto()
    """Newest first in a new pass of large pages: the first page was a small one."""

    OLDEST_FIRST = auto()
    """Oldest first in a new pass, page by page: more has come than fits in memory."""


def choose(
    *, is_all: bool, seems_unchanged: bool, is_too_much: bool, is_large_page: bool
) -> Choice:
    """Return how a poll goes on after its first page.

    Args:
        is_all: Whether the page reached back to where the poll reads from.
        seems_unchanged: Whether counts and rows give no sign of anything new.
        is_too_much: Whether more events have come than one batch may hold.
        is_large_page: Whether the page had as many rows as the API sends at most.
    """
    if is_all:
        return Choice.GO_ON
    if seems_unchanged:
        return Choice.WAIT
    if is_too_much:
        return Choice.OLDEST_FIRST
    return Choice.GO_ON if is_large_page else Choice.READ_AGAIN
