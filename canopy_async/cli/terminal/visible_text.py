"""Text that others wrote, as a terminal may show it."""

import unicodedata
from typing import Final

__all__ = ["one_line", "visible"]

_LONGEST_LINE: Final = 1000
_JOINERS: Final = "\u200c\u200d"
"""What some scripts and emoji need between characters; they move nothing."""


def visible(text: str) -> str:
    r"""Return ``text`` with every character that shows as none written out.

    Control characters, bidirectional overrides and line separators become
    escapes such as ``\x1b``; spaces of any kind become a plain space.
    """
    if text.isprintable():
        return text
    return "".join(map(_visible, text))


def one_line(text: str) -> str:
    """Return ``text`` as one visible line of bounded length."""
    line = visible(text)
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…"


def _visible(character: str) -> str:
    if character.isprintable() or character in _JOINERS:
        return character
    if unicodedata.category(character) == "Zs":
        return " "
    return character.encode("unicode_escape").decode()
