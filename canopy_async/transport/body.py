"""The body of an answer: read whole, decompressed, and never too much of it."""

import zlib
from http import HTTPStatus
from typing import Final

import aiohttp

from canopy_async.compression import unpacked

__all__ = ["MAX_BODY", "OK", "BodyTooLargeError", "read_body"]

MAX_BODY: Final = 32 * 1024 * 1024
"""The largest body that is read, in bytes, before and after decompression."""

OK: Final = int(HTTPStatus.OK)  # to look it up in the enum takes longer


class BodyTooLargeError(Exception):
    """A body is over `MAX_BODY`."""


async def read_body(response: aiohttp.ClientResponse, *, decoded: bool) -> bytes:
    """Return the whole body, decompressed.

    An answer that is an error is one whatever its body is: that is empty where
    it can't be read.

    Args:
        response: The answer, of which nothing was read.
        decoded: Whether aiohttp decompresses it.

    Raises:
        BodyTooLargeError: It is that of a 200, and over `MAX_BODY`.
        aiohttp.ClientError: It is that of a 200, and incomplete; where the
            connection broke, this may be an OSError.
        zlib.error: It is that of a 200, and can't be decompressed.
    """
    is_error = response.status != OK
    try:
        body = await _read_capped(response)
        if body is not None and not decoded:
            encoding = response.headers.get("Content-Encoding")
            body = unpacked(body, encoding, limit=MAX_BODY)
    except (aiohttp.ClientError, OSError, zlib.error):
        if not is_error:
            raise
        body = None
    if body is None and not is_error:
        raise BodyTooLargeError(f"the body is over {MAX_BODY} bytes")
    return body or b""


async def _read_capped(response: aiohttp.ClientResponse) -> bytes | None:
    content = response.content
    body = await content.readany()
    if len(body) <= MAX_BODY and content.at_eof():
        return body  # as a rule
    chunks = [body]
    size = len(body)
    while size <= MAX_BODY and not content.at_eof():
        chunk = await content.readany()
        size += len(chunk)
        chunks.append(chunk)
    if size <= MAX_BODY:
        return b"".join(chunks)
    response.close()
    return None
