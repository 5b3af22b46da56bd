"""Removing bearer tokens from texts of a server, such as error messages."""

import re
from typing import Final

__all__ = ["clip", "redacted"]

_REDACTED: Final = "<redacted>"
_SHORT: Final = 16
"""A token with fewer characters may also occur inside of ordinary words."""

_LONGEST_ESCAPE: Final = 16
"""The most characters that an escape of one character of a token may have."""


def redacted(text: str, token: str, most: int) -> str:
    r"""Return the beginning of a text, with a token replaced by ``<redacted>``.

    The token is found in upper and lower case, and with its punctuation escaped, as in
    a URL or in JSON within JSON: ``\/``, ``\u002b``, ``%2B``, ``&#43;`` or ``&#x2b;``.
    A token of fewer than 16 characters is only replaced where its case is the same and
    no letter, digit, hyphen or underscore touches it. Otherwise a token such as ``a``
    would make the text unreadable.

    Args:
        text: The text, which may contain the token.
        token: The token.
        most: The most characters to return. The token is replaced before the text is
            cut, so that no part of a token stays at the end.
    """
    if not _may_hold(text, token):
        return text[:most]
    pattern = _compiled(token)
    longest = len(token) * _LONGEST_ESCAPE
    parts: list[str] = []
    start, left = 0, most
    while left > 0 and start < len(text):
        # Search no further than is returned: the text may be a whole response body.
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
    """Return the beginning of a text, where no token was sent that it could contain."""
    return text[:most]


def _may_hold(text: str, token: str) -> bool:
    """Tell whether the longest plain part of the token occurs in the text.

    This is a cheap check, which saves compiling the regular expression.
    """
    plain = max(re.split("[^0-9A-Za-z]+", token), key=len)
    return bool(token) and plain.lower() in text.lower()


def _compiled(token: str) -> re.Pattern[str]:
    """Compile the regular expression that finds a token."""
    if len(token) < _SHORT:
        return re.compile(rf"(?<![\w-]){_pattern_of(token)}(?![\w-])")
    return re.compile(_pattern_of(token), re.IGNORECASE)


def _pattern_of(token: str) -> str:
    """Return a regular expression that matches a token, plain or escaped."""
    # Escaping multiplies backslashes, so that any number of them counts as one.
    parts = re.split("([^0-9A-Za-z]+)", re.sub(r"\\+", r"\\", token))
    return "".join(
        "".join(map(_escapes_of, part)) if index % 2 else part
        for index, part in enumerate(parts)
    )


def _escapes_of(character: str) -> str:
    """Return a regular expression that matches a character, plain or escaped."""
    code = ord(character)
    if character == "\\":
        return r"(?:\\++|%(?:25)?5c)"
    return (
        rf"(?:\\{{0,8}}(?:{re.escape(character)}|u{code:04x}|x{code:02x})"
        rf"|%(?:25)?{code:02x}|&#0?{code};|&#x0?{code:x};)"
    )
