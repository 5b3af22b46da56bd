"""Answers as bytes: compression, the error envelope, and the ways to fail."""

import asyncio
import gzip
import math
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import NoReturn

from aiohttp import web

from canopy_async.testing.api_instants import as_text, as_utc
from canopy_async.testing.faults import Failure, RetryAfter
from canopy_async.testing.refusal import RefusedError
from canopy_async.testing.store import as_json

JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"
GZIP_FROM = 1024

_GZIP_LEVEL = 1
_PROXY_PAGE = b"""<html>
<head><title>502 Bad Gateway</title></head>
<body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx</center></body>
</html>
"""


def envelope(
    problem: RefusedError, *, request: web.BaseRequest, now: datetime
) -> bytes:
    """The documented body of an error."""
    path, _, _ = request.raw_path.partition("?")
    error: dict[str, object] = {
        "statusCode": problem.status,
        "code": problem.code,
        "message": problem.message,
        "timestamp": as_text(now),
        "path": path,
        "method": request.method,
    }
    if problem.details:
        error["details"] = problem.details
    return as_json({"error": error}).encode()


def answer(
    request: web.BaseRequest,
    status: int,
    body: bytes,
    headers: dict[str, str],
) -> web.Response:
    """Builds an answer, compressed where the client admits it."""
    body, encoding = _encoded(request, body)
    return web.Response(
        status=status, body=body, headers={"Content-Type": JSON} | headers | encoding
    )


def proxy_page(failure: Failure, headers: dict[str, str]) -> web.Response:
    """The answer of a proxy in place of the server: HTML, or nothing."""
    if failure.kind == "empty":
        return web.Response(status=failure.status, headers=headers)
    return web.Response(
        status=failure.status,
        body=_PROXY_PAGE,
        headers={"Content-Type": HTML} | headers,
    )


async def reset(request: web.BaseRequest) -> NoReturn:
    """Aborts the connection; ends by the cancellation that follows."""
    if request.transport is not None:
        request.transport.abort()
    await never()


async def send_half(
    request: web.BaseRequest,
    body: bytes,
    headers: dict[str, str],
    *,
    chunked: bool,
    hang_up: bool,
) -> NoReturn:
    """Sends half of a page; ends by a cancellation.

    Args:
        request: What is answered.
        body: The whole page.
        headers: The headers of the whole page.
        chunked: Whether to send chunks instead of a ``Content-Length``.
        hang_up: Whether to close the connection then, rather than to stall.
    """
    body, encoding = _encoded(request, body)
    response = web.StreamResponse(
        status=200, headers={"Content-Type": JSON} | headers | encoding
    )
    if chunked:
        response.enable_chunked_encoding()
    else:
        response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if hang_up and request.transport is not None:
        request.transport.close()
    await never()


async def never() -> NoReturn:
    """Waits until the client leaves or the server stops, which both cancel."""
    while True:
        await asyncio.get_running_loop().create_future()


def retry_after_header(
    wanted: RetryAfter, *, wait: float, now: datetime
) -> dict[str, str]:
    """The ``Retry-After`` header, if one is wanted.

    Args:
        wanted: As in `Faults`.
        wait: The true wait in seconds, rounded up to whole ones.
        now: What a date is counted from.

    Returns:
        The header, or nothing.
    """
    seconds = max(1, math.ceil(wait))
    match wanted:
        case None:
            return {}
        case "seconds":
            return {"Retry-After": str(seconds)}
        case "date":
            # A date has no fraction: one second more than the floor of now.
            later = as_utc(now).replace(microsecond=0) + timedelta(seconds=seconds + 1)
            return {"Retry-After": format_datetime(later, usegmt=True)}
        case str():
            return {"Retry-After": wanted}
        case _:
            return {"Retry-After": f"{wanted:g}"}


def _encoded(request: web.BaseRequest, body: bytes) -> tuple[bytes, dict[str, str]]:
    vary = {"Vary": "Accept-Encoding"}
    if len(body) < GZIP_FROM or not _admits_gzip(request):
        return body, vary
    packed = gzip.compress(body, _GZIP_LEVEL, mtime=0)
    return packed, vary | {"Content-Encoding": "gzip"}


def _admits_gzip(request: web.BaseRequest) -> bool:
    for choice in request.headers.get("Accept-Encoding", "").split(","):
        name, _, quality = choice.partition(";")
        if name.strip().lower() in {"gzip", "*"}:
            return quality.replace(" ", "").rstrip("0.") != "q="
    return False
