"""The cost of decoding a body of JSON, estimated without decoding it.

A byte of a text takes about a nanosecond to decode. A byte outside of texts may take
a hundred times as long, as a value is made of it: a megabyte of ``[],[],[]`` is a third
of a million lists. So a body may be as large as `canopy_async._transport.body.MAX_BODY`
says, but only a part of it may stand outside of texts.
"""

import codecs
from collections.abc import Generator
from typing import Final

__all__ = ["MAX_STRUCTURE", "weighing"]

MAX_STRUCTURE: Final = 512 * 1024
"""The most bytes of a body outside of texts, which take long to decode.

The quotes of texts count as outside, escaped ones too. The limit is 50 times as much
as a page of a hundred usual rows has.
"""

_MAX_ESCAPES: Final = 2 * 1024 * 1024
"""The most escaped characters of a body."""

_MAX_CARELESS: Final = 2 * 1024 * 1024
"""The largest body that is read if it is not UTF-8, in bytes."""

_QUOTES_PER_STEP: Final = 4_000
_BYTES_PER_STEP: Final = 1024 * 1024


def weighing(body: bytes) -> Generator[None, None, str | None]:
    """Estimate whether a body takes too long to decode; pause after each step.

    Args:
        body: The body, which should be JSON.

    Returns:
        Why it takes too long, in words; None if it does not.
    """
    if len(body) <= MAX_STRUCTURE:
        return None
    outside = yield from _outside_of_texts(body)
    if outside > MAX_STRUCTURE:
        return f"the body has over {MAX_STRUCTURE} bytes outside of texts"
    if body.count(b"\\") > _MAX_ESCAPES:
        return f"the body has over {_MAX_ESCAPES} escapes"
    if len(body) > _MAX_CARELESS and not (yield from _is_utf8(body)):
        return f"the body is not UTF-8, and over {_MAX_CARELESS} bytes"
    return None


def _outside_of_texts(body: bytes) -> Generator[None, None, int]:
    """Count the bytes outside of texts; stop at more than `MAX_STRUCTURE`."""
    outside = at = quotes = 0
    in_text = False
    while outside <= MAX_STRUCTURE:
        quote = body.find(b'"', at)
        if quote < 0:
            return outside if in_text else outside + len(body) - at
        before = body[at:quote] if in_text else b""
        outside += 1 if in_text else quote - at + 1
        if not in_text:
            in_text = True
        elif (len(before) - len(before.rstrip(b"\\"))) % 2 == 0:
            in_text = False  # the quote is not escaped
        at = quote + 1
        quotes += 1
        if quotes % _QUOTES_PER_STEP == 0:
            yield
    return outside


def _is_utf8(body: bytes) -> Generator[None, None, bool]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for at in range(0, len(body), _BYTES_PER_STEP):
            decoder.decode(body[at : at + _BYTES_PER_STEP])
            yield
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
