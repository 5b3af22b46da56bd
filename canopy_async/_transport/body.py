"""The body of an answer: read whole, decompressed, and up to a limit of its size."""

import zlib
from http import HTTPStatus
from typing import Final

import aiohttp

from canopy_async._api.json_cost import weighing
from canopy_async._transport.decompression import unpacking
from canopy_async._util.tasks import in_steps

__all__ = ["MAX_BODY", "BodyTooLargeError", "read_body"]

MAX_BODY: Final = 32 * 1024 * 1024
"""The largest body that is read, in bytes, compressed or not."""

_MAX_ERROR: Final = 64 * 1024
"""The largest body of an error that is read, in bytes, compressed or not."""


class BodyTooLargeError(Exception):
    """A body is over `MAX_BODY`, or would take too long to decode."""


async def read_body(response: aiohttp.ClientResponse, *, decoded: bool) -> bytes:
    """Return the whole body, decompressed.

    The body of an error, an answer other than a 200, adds nothing that is needed: if it
    can't be read, it counts as empty.

    Args:
        response: The answer, of whose body nothing was read yet.
        decoded: Whether aiohttp decompresses the body.

    Raises:
        BodyTooLargeError: The body of a 200 is over `MAX_BODY`, or would block the
            event loop for too long when it is decoded.
        aiohttp.ClientError: The body of a 200 is incomplete; if the connection broke,
            this may be an OSError.
        zlib.error: The body of a 200 can't be decompressed.
    """
    is_error = response.status != HTTPStatus.OK
    limit = _MAX_ERROR if is_error else MAX_BODY
    try:
        body = await _read_capped(response, limit)
        if body is not None and not decoded:
            encoding = response.headers.get("Content-Encoding")
            body = await in_steps(unpacking(body, encoding, limit=limit))
    except (aiohttp.ClientError, OSError, zlib.error):
        if not is_error:
            raise
        body = None
    if is_error:
        return body or b""
    if body is None:
        raise BodyTooLargeError(f"the body is over {limit} bytes")
    excess = await in_steps(weighing(body))
    if excess is not None:
        raise BodyTooLargeError(excess)
    return body


async def _read_capped(response: aiohttp.ClientResponse, limit: int) -> bytes | None:
    content = response.content
    body = await content.readany()
    if len(body) <= limit and content.at_eof():
        return body  # most bodies arrive in one piece
    chunks = [body]
    size = len(body)
    while size <= limit and not content.at_eof():
        chunk = await content.readany()
        size += len(chunk)
        chunks.append(chunk)
    if size <= limit:
        return b"".join(chunks)
    response.close()
    return None
