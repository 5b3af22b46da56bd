"""Decoding of pages into typed rows, faster than into dicts."""

import gc
import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final, Generic, TypeVar, cast

import attrs
import msgspec

from canopy_async._api.careless_json import Note, parse
from canopy_async._util.instants import is_unusual, parse_instant
from canopy_async.models import Page

__all__ = [
    "Codec",
    "codec_of",
    "collecting_later",
    "has_fine_instants",
    "is_large",
    "rows_in",
]

T = TypeVar("T")

_CREATED_AT: Final = "created_at"
_SEVEN_DIGITS: Final = re.compile(rb"\.[0-9]{7}")
_TOO_FINE: Final = re.compile(rb'"created_at"\s*:\s*"[^"]{19}\.[0-9]{7}')
"""An instant finer than a microsecond: msgspec rounds it, and it must be cut off.

Searching for seven digits first, which few pages have, saves a quarter of the time.
"""


_LARGE: Final = 128 * 1024
"""The most bytes of a body that is decoded without counting its rows first.

A page of a hundred usual rows has 82 kB. Counting them would take a quarter as long as
decoding them. The worst body of this size, of empty rows only, takes some 20 ms.
"""


class _Size(msgspec.Struct, gc=False):
    """The server's own statement of how many rows the page has."""

    take: Any = 0


class _Shape(msgspec.Struct, gc=False):
    """A page whose rows are still bytes."""

    items: list[msgspec.Raw]
    pagination: _Size


_shape_of: Final = msgspec.json.Decoder(_Shape).decode


def is_large(body: bytes) -> bool:
    """Tell whether a body is so large that its rows are counted before decoding."""
    return len(body) > _LARGE


def rows_in(body: bytes) -> tuple[int, int]:
    """Return how many rows a page has, and the page size that the server states.

    No row is decoded. Both numbers are 0 if the body is not a page: decoding it then
    says what is wrong.
    """
    try:
        shape = _shape_of(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return 0, 0
    said = shape.pagination.take
    return len(shape.items), said if isinstance(said, int) else 0


@contextmanager
def collecting_later() -> Generator[None]:
    """Turn the garbage collector off while many values are made.

    While values are made by the hundred thousand, the collector searches them again
    and again, which takes ten times as long as making them.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Text(msgspec.Struct, gc=False):
    """The instant of a row, as it is written."""

    created_at: str | None = None


class _Texts(msgspec.Struct, gc=False):
    """The instants of all rows of a page, as they are written."""

    items: list[_Text]


_texts_in: Final = msgspec.json.Decoder(_Texts).decode


class Codec(Generic[T]):
    """Decodes the pages of one class of rows.

    msgspec decodes most pages in one step. It refuses a page with a row that has an
    unknown field, or a value that msgspec does not read. Such a page is parsed into
    dicts: the unknown fields are taken out of each dict, and the rest becomes the row.

    Args:
        row: A class of `canopy_async._util.structs.decoded_strictly` that has a field
            ``extra``.
        envelope: The class of its pages.
    """

    def __init__(self, row: type[T], envelope: Any = Page) -> None:
        names = attrs.fields_dict(cast("type[attrs.AttrsInstance]", row))
        self._known: Final = frozenset(names) - {"extra"}
        self._page: Final[Any] = envelope[row]
        self._decoder: Final[msgspec.json.Decoder[Page[T]]] = msgspec.json.Decoder(
            self._page
        )

    def decode(self, body: bytes, note: Note | None = None) -> Page[T] | None:
        """Return the page in ``body``, or None if it breaks the contract.

        Args:
            body: JSON.
            note: Called with a sentence about each kind of value read with a change.
        """
        try:
            page = self._decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            try:
                return self._decode_with_care(parse(body, note))
            except _FAULTS:
                return None
        if has_fine_instants(body):
            _cut_instants(page, body)
        return page

    def _decode_with_care(self, parsed: Any) -> Page[T]:
        extras = [self._prepare(row) for row in parsed["items"]]
        page: Page[T] = msgspec.convert(parsed, self._page)
        for row, extra in zip(page.items, extras, strict=True):
            if extra:
                _set(row, "extra", extra)
        return page

    def _prepare(self, row: Any) -> dict[str, Any]:
        """Remove from a row the unknown fields, which msgspec refuses; return them."""
        if not isinstance(row, dict):
            raise TypeError("a row is an object")
        row = cast("dict[str, Any]", row)
        text = row.get(_CREATED_AT)
        if isinstance(text, str) and is_unusual(text):
            row[_CREATED_AT] = parse_instant(text)
        return {name: row.pop(name) for name in list(row) if name not in self._known}


_FAULTS: Final = (
    msgspec.MsgspecError,
    ValueError,
    TypeError,
    KeyError,
    RecursionError,
)
"""The errors of parsing and converting a page that breaks the contract."""


def has_fine_instants(body: bytes) -> bool:
    """Tell whether a page has instants finer than microseconds: msgspec rounds them."""
    return bool(_SEVEN_DIGITS.search(body) and _TOO_FINE.search(body))


def _cut_instants(page: Page[Any], body: bytes) -> None:
    """Give rows the instants that are written in the page, cut to microseconds."""
    for row, written in zip(page.items, _texts_in(body).items, strict=True):
        text = written.created_at
        if text is not None and is_unusual(text):
            _set(row, _CREATED_AT, parse_instant(text))


def _set(row: Any, name: str, value: Any) -> None:
    """Change a row, which is frozen for its users, before any of them has it."""
    msgspec.structs.force_setattr(row, name, value)


_CODECS: Final[dict[tuple[type, type], Codec[Any]]] = {}


def codec_of(row: type[T], envelope: Any = Page) -> Codec[T]:
    """Return the codec of a row class and its pages; it is made once and shared."""
    codec = _CODECS.get((row, envelope))
    if codec is None:
        codec = _CODECS[row, envelope] = Codec(row, envelope)
    return codec
