"""Untrusted text made safe to show on a terminal."""

from typing import Final

from canopy_async._util.display import printable as visible

__all__ = ["one_line", "visible"]

_LONGEST_LINE: Final = 1000


def one_line(text: str) -> str:
    """Return ``text`` as one line that is safe to show, cut after 1000 characters."""
    line = visible(text)
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…"
