"""Tokens taken out of texts that others wrote."""

import re
from typing import Final

__all__ = ["clip", "redacted"]

_REDACTED: Final = "<redacted>"
_SHORT: Final = 16
"""A token of fewer characters may also be a part of words that are no token."""

_LONGEST_ESCAPE: Final = 16
"""Characters that one character of a token may be written with."""


def redacted(text: str, token: str, most: int) -> str:
    r"""Return the beginning of a text, in which a token is no more to be read.

    The token is found in any case, and where its punctuation is written as an escape:
    ``\/``, ``\u002b``, ``%2B``, ``&#43;`` or ``&#x2b;``, as a server does that quotes
    JSON in JSON, or a URL. A short token is only looked for where no other letter,
    digit, hyphen or underscore touches it, and as it is written: the text stays
    readable, whatever the token is.

    Args:
        text: What may hold the token.
        token: The token.
        most: How many characters are returned at most. A token that the end of these
            would cut in two is taken out before.
    """
    if not _may_hold(text, token):
        return text[:most]
    pattern = _compiled(token)
    longest = len(token) * _LONGEST_ESCAPE
    parts: list[str] = []
    start, left = 0, most
    while left > 0 and start < len(text):
        # No further than needed: the text may be as long as an answer.
        found = pattern.search(text, start, start + left + longest)
        before = text[start : found.start() if found else None][:left]
        parts.append(before)
        left -= len(before)
        if found is None:
            break
        parts.append(_REDACTED[: max(left, 0)])
        left -= len(_REDACTED)
        start = found.end()
    return "".join(parts)


def clip(text: str, most: int) -> str:
    """Return the beginning of a text that no token was sent for."""
    return text[:most]


def _may_hold(text: str, token: str) -> bool:
    """Tell whether to look closer: to make a regular expression takes a while."""
    plain = max(re.split("[^0-9A-Za-z]+", token), key=len)
    return bool(token) and plain.lower() in text.lower()


def _compiled(token: str) -> re.Pattern[str]:
    """Return the regular expression that finds a token."""
    if len(token) < _SHORT:
        return re.compile(rf"(?<![\w-]){_pattern_of(token)}(?![\w-])")
    return re.compile(_pattern_of(token), re.IGNORECASE)


def _pattern_of(token: str) -> str:
    """Return the regular expression of a token and of the ways to escape it."""
    # A run of backslashes is as good as one: how many there are is up to escaping.
    parts = re.split("([^0-9A-Za-z]+)", re.sub(r"\\+", r"\\", token))
    return "".join(
        "".join(map(_escapes_of, part)) if place % 2 else part
        for place, part in enumerate(parts)
    )


def _escapes_of(character: str) -> str:
    """Return the regular expression of a character of punctuation."""
    code = ord(character)
    if character == "\\":
        return r"(?:\\++|%(?:25)?5c)"
    return (
        rf"(?:\\{{0,8}}(?:{re.escape(character)}|u{code:04x}|x{code:02x})"
        rf"|%(?:25)?{code:02x}|&#0?{code};|&#x0?{code:x};)"
    )
