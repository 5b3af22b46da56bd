"""Untrusted text made safe to display: control and bidirectional marks escaped."""

import unicodedata
from typing import Final

__all__ = ["clipped", "printable"]

_JOINERS: Final = "\u200c\u200d"
"""What some scripts and emoji need between characters; they move nothing."""


def printable(text: str) -> str:
    r"""Return ``text`` with every character that shows as none written out.

    Control characters, bidirectional overrides and line separators become
    escapes such as ``\x1b``; spaces of any kind become a plain space.
    """
    if text.isprintable():
        return text
    return "".join(map(_printable, text))


def clipped(text: str, most: int) -> str:
    """Return ``text`` as `printable` has it, of ``most`` characters at most."""
    # Cut before as well: what is cut off need not be looked at.
    text = printable(text[: most + 1])
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _printable(character: str) -> str:
    if character.isprintable() or character in _JOINERS:
        return character
    if unicodedata.category(character) == "Zs":
        return " "
    return character.encode("unicode_escape").decode()
