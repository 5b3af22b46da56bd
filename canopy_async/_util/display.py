"""Untrusted text made safe to display: control and bidirectional marks escaped."""

import unicodedata
from typing import Final

__all__ = ["clipped", "printable"]

_JOINERS: Final = "\u200c\u200d"
"""Characters that some scripts and emoji need; they hide and reorder nothing."""


def printable(text: str) -> str:
    r"""Return ``text`` with its invisible characters written as escapes.

    Control characters, bidirectional overrides and line separators become escapes
    such as ``\x1b``. Spaces of any kind become a plain space.
    """
    if text.isprintable():
        return text
    return "".join(map(_printable, text))


def clipped(text: str, most: int) -> str:
    """Return ``text`` made `printable` and cut to at most ``most`` characters."""
    text = printable(text[: most + 1])  # cut first: the text may be very long
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _printable(character: str) -> str:
    if character.isprintable() or character in _JOINERS:
        return character
    if unicodedata.category(character) == "Zs":
        return " "
    return character.encode("unicode_escape").decode()
