"""`choose`: the decision how a poll goes on after its first page."""

from enum import Enum, auto

__all__ = ["Choice", "choose"]


class Choice(Enum):
    """The ways to go on after the first page of a poll, which was read newest first."""

    WAIT = auto()
    """Read no further, as the log seems unchanged. A later poll reads all of it."""

    GO_ON = auto()
    """Go on newest first with the pass that has begun: it is done, or its pages are
    large."""

    READ_AGAIN = auto()
    """Read newest first in a new pass of large pages, as the first page was small."""

    OLDEST_FIRST = auto()
    """Read oldest first in a new pass, page by page, as more events have come than may
    be held in memory."""


def choose(
    *, is_all: bool, seems_unchanged: bool, is_too_much: bool, is_large_page: bool
) -> Choice:
    """Return how a poll goes on after its first page.

    Args:
        is_all: Whether the page reached back to the floor of the poll.
        seems_unchanged: Whether neither counts nor rows show a new event.
        is_too_much: Whether more events have come than may be held in memory.
        is_large_page: Whether the page was asked for as many rows as the API allows.
    """
    if is_all:
        return Choice.GO_ON
    if seems_unchanged:
        return Choice.WAIT
    if is_too_much:
        return Choice.OLDEST_FIRST
    return Choice.GO_ON if is_large_page else Choice.READ_AGAIN
