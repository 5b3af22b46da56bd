"""HTTP without sockets: aioresponses, with responses written as functions.

aioresponses 0.7.9 creates a `ClientResponse` without the ``stream_writer`` that aiohttp
has required since 3.14, from which a response reads the size of the request. `_Answer`
is a response class that adds one.
"""

import inspect
import re
from contextlib import contextmanager
from types import SimpleNamespace
from unittest.mock import patch

import aiohttp
import attrs
from aioresponses import CallbackResult, aioresponses
from multidict import CIMultiDict
from yarl import URL

from support.samples import page_body
from support.virtual import now

_NEEDS_WRITER = "stream_writer" in inspect.signature(aiohttp.ClientResponse).parameters


class _Answer(aiohttp.ClientResponse):
    def __init__(self, *args, **kwargs):
        if _NEEDS_WRITER:
            kwargs.setdefault("stream_writer", SimpleNamespace(output_size=0))
        super().__init__(*args, **kwargs)


@attrs.frozen
class Call:
    """One request, with the arguments that aiohttp got.

    Attributes:
        number: The number of the request, from 1.
        url: The URL.
        options: The keyword arguments of ``session.get``.
        at: The time by the loop's clock.
    """

    number: int
    url: URL
    options: dict
    at: float

    @property
    def headers(self):
        return self.options["headers"]

    @property
    def page(self):
        return int(self.url.query["page"])

    @property
    def token(self):
        return self.headers["Authorization"].removeprefix("Bearer ")


def answer(status=200, body=None, headers=None):
    """A response; by default a page with one event."""
    body = page_body() if body is None else body
    return CallbackResult(
        status=status, body=body, headers=headers, response_class=_Answer
    )


async def _answered(script, calls, url, options):
    call = Call(len(calls) + 1, url, options, now())
    calls.append(call)
    made = script(call)
    if inspect.isawaitable(made):
        made = await made
    if isinstance(made, int):
        made = answer(made, b"" if made != 200 else None)
    if isinstance(made, bytes):
        made = answer(body=made)
    return made


@contextmanager
def scripted(script):
    """Answer every request with the result of ``script``.

    Args:
        script: Takes a `Call`, and returns an answer, a status or the bytes of a body,
            or raises. It may be async.

    Yields:
        The list of calls so far.
    """
    calls = []

    async def respond(url, **options):
        return await _answered(script, calls, url, options)

    with aioresponses() as mock:
        mock.get(re.compile(".*"), callback=respond, repeat=True)
        yield calls


@contextmanager
def simulated(script):
    """Answer like `scripted`, but without most of aiohttp: for thousands of requests.

    Such a test covers how a log is read, and not how requests are sent.
    """
    calls = []

    async def get(session, url, **options):
        if session.closed:
            raise RuntimeError("Session is closed")
        made = await _answered(script, calls, url, options)
        headers = CIMultiDict(made.headers or {})
        return SimpleNamespace(
            status=made.status,
            headers=headers,
            content=_Content(made.body),
            release=lambda: None,
            close=lambda: None,
        )

    with patch.object(aiohttp.ClientSession, "get", get):
        yield calls


class _Content:
    def __init__(self, body):
        self._body = body

    def at_eof(self):
        return not self._body

    async def readany(self):
        body, self._body = self._body, b""
        return body
