"""Answers of the API, without I/O: from a body to a typed page or a clear error."""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias, TypeVar

import attrs

from canopy_async._api.careless_json import Note
from canopy_async._api.decoding import codec_of, collecting_later, is_large, rows_in
from canopy_async._api.requests import MAX_TAKE, Endpoint
from canopy_async._util.display import printable
from canopy_async._util.redaction import clip
from canopy_async.errors import ProtocolError
from canopy_async.models import CursorPage, Page

__all__ = [
    "MAX_MESSAGE",
    "MAX_NAME",
    "Redact",
    "Response",
    "decode_page",
    "decoded_by",
    "page_from",
    "request_id_of",
]

A = TypeVar("A")
T = TypeVar("T")

Redact: TypeAlias = Callable[[str, int], str]
"""Returns a text without the token, cut to a length."""

_MOST_ROWS: Final = 1_000
"""The most rows in a page of a server that has a page size of its own."""

MAX_NAME: Final = 100
"""The longest code, id of a request or content type that is kept, in characters."""

MAX_MESSAGE: Final = 500


@attrs.define(kw_only=True, eq=False)
class Response:
    """One whole answer: its body read and decompressed.

    Attributes:
        status: The HTTP status.
        headers: The answer's headers, case-insensitive.
        body: The bytes of the body.
        url: Where it is from, without the query.
        redact: Returns a text of the answer without the token that was sent, which
            a server may have echoed, and cut to a length.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    url: str = attrs.field(default="", repr=False)
    redact: Redact = attrs.field(default=clip, repr=False)


def page_from(
    endpoint: Endpoint[T], response: Response, *, page: int, note: Note | None = None
) -> Page[T]:
    """Return the page in an answer with status 200.

    Args:
        endpoint: Where the answer is from.
        response: The answer.
        page: The page that was asked for, named in errors.
        note: Called with a sentence about each kind of value read with a change.

    Raises:
        ProtocolError: The answer breaks the contract; names page, row, field, URL and
            request, and the ``Content-Type`` of a body that is not JSON.
    """
    redact = response.redact

    def note_redacted(sentence: str) -> None:
        if note is not None:
            note(printable(redact(sentence, MAX_MESSAGE)))

    def decode(kind: str) -> Page[T]:
        return decode_page(
            endpoint,
            response.body,
            page=page,
            note=note_redacted,
            content_type=kind,
        )

    return decoded_by(decode, response)


def decoded_by(decode: Callable[[str], A], response: Response) -> A:
    """Decode an answer with status 200.

    Args:
        decode: Decodes the body, given its ``Content-Type``.
        response: The answer.

    Raises:
        ProtocolError: The answer breaks the contract; names its URL and its request,
            and holds nothing else of it.
    """
    redact = response.redact
    kind = redact(response.headers.get("Content-Type", "none"), MAX_NAME)
    try:
        return decode(kind)
    except ProtocolError as error:
        error.html = _is_html(kind, response.body)
        # The message quotes the answer, which may echo the token.
        error.args = (redact(str(error.args[0]), MAX_MESSAGE),)
        error.path = redact(error.path, MAX_MESSAGE)
        error.url = response.url
        error.request_id = request_id_of(response)
        # The inner frames and an error of `json` hold the body, which may echo the
        # token.
        error.__context__ = None
        raise error.with_traceback(None) from None


def _is_html(kind: str, body: bytes) -> bool:
    return kind.startswith("text/html") or body[:64].lstrip().startswith(b"<")


def decode_page(
    endpoint: Endpoint[T],
    body: bytes,
    *,
    page: int,
    note: Note | None = None,
    content_type: str | None = None,
) -> Page[T]:
    """Return the page that ``body`` holds.

    Args:
        endpoint: Where the body is from.
        body: JSON.
        page: The page that was asked for, named in errors.
        note: Called with a sentence about each kind of value read with a change.
        content_type: The ``Content-Type`` of the answer, quoted if it is not JSON.

    Raises:
        ProtocolError: The body breaks the contract; names page, row, field.
    """
    if not is_large(body):
        return _decode(endpoint, body, page, note, content_type)
    rows, said = rows_in(body)
    most = _MOST_ROWS if endpoint.envelope is CursorPage else min(said, _MOST_ROWS)
    if rows > max(MAX_TAKE, most):
        raise ProtocolError("more rows than were asked for", page=page, path="items")
    with collecting_later():
        return _decode(endpoint, body, page, note, content_type)


def _decode(
    endpoint: Endpoint[T],
    body: bytes,
    page: int,
    note: Note | None,
    content_type: str | None,
) -> Page[T]:
    decoded = codec_of(endpoint.row, endpoint.envelope).decode(body, note)
    if decoded is not None:
        return decoded
    # Imported here: cattrs doubles the time that importing this package takes.
    from canopy_async._api.conversion import structure_page

    return structure_page(
        endpoint.row,
        body,
        page=page,
        content_type=content_type,
        envelope=endpoint.envelope,
    )


def request_id_of(response: Response) -> str | None:
    """Return the server's id of a request, None if the answer has none."""
    headers = response.headers
    value = headers.get("x-request-id") or headers.get("request-id")
    if value is None:
        return None
    # A header may hold any bytes, which arrive as surrogates.
    text = response.redact(value, MAX_NAME)
    return text.encode("ascii", "backslashreplace").decode()
