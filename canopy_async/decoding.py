"""Bytes to typed rows, for the price of dicts."""

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final, Generic, TypeVar, cast, get_origin, get_type_hints

import attrs
import msgspec

from canopy_async.models import NO_EXTRA, Page

__all__ = ["Codec", "codec_of"]

T = TypeVar("T")

_NEXT_OBJECT: Final = re.compile(rb"\}\s*,\s*\{")
_END_OF_ITEMS: Final = re.compile(
    rb'\}\s*\]\s*(?:,\s*"pagination"\s*:\s*\{[^{}]*\}\s*)?\}\s*\Z'
)
_LONGEST_END: Final = 1_000
"""Bytes in which a page ends after its last row; longer ends are not understood."""


class Codec(Generic[T]):
    """The fast path of one row class: the bytes of a page to typed rows.

    For each field with a default, msgspec asks each row whether it got a value,
    which is a quarter of the time of decoding. A server that sends every known
    field, null or not, leaves no need for that: its rows are decoded as if none
    had a default; after a page whose rows lack some, it is asked for a while.

    msgspec drops fields that it doesn't know, so they are looked for on their
    own: in each row of a short page, of the first long ones and of a sample of
    the later ones, where fields come and go, and once an unknown one was seen.
    Where every known field is sent, there is one shape of row, and the first row
    and the last speak for the others of their page.

    Args:
        row: An attrs class.
    """

    # To look at each row takes nearly half as long as to decode it. It is done
    # where that is little time in all, and seldom enough elsewhere.
    _SHORT: Final = 20
    _FIRST_PAGES: Final = 16
    _SAMPLE: Final = 64
    # Rows hold objects: the first thing that ends like a row may be inside of it.
    _TRIES: Final = 8

    def __init__(self, row: type[T]) -> None:
        fields = attrs.fields(cast("type[attrs.AttrsInstance]", row))
        hints = get_type_hints(row, include_extras=True)
        types = {f.name: hints[f.name] for f in fields if f.name != "extra"}
        page: Any = Page[row]  # type: ignore[valid-type]
        self._row: Final = row
        self._decoder: Final[msgspec.json.Decoder[Page[T]]] = msgspec.json.Decoder(page)
        self._whole_rows = _decoder_of_whole_rows(row, types)
        self._known: Final = frozenset(types)
        self._only_known: Final = _decoder_of_only_known(types)
        self._whole_row: Final = msgspec.json.Decoder(
            msgspec.defstruct(
                "WholeRow",
                [(name, msgspec.Raw) for name in types],
                forbid_unknown_fields=True,
            )
        )
        self._seen_unknown = False
        self._long_pages = 0
        self._lacking = 0

    def decode(self, body: bytes) -> Page[T] | None:
        """Return the page in ``body``, or None if it breaks the contract."""
        try:
            decoded = self._decode(body)
            # What the decoder skips it does not check: this may fail on its own.
            if self._may_hold_unknown_fields(body, len(decoded.items)):
                self._keep_unknown_fields(body, decoded)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        return decoded

    def _decode(self, body: bytes) -> Page[T]:
        if self._lacking:
            self._lacking -= 1
        if self._whole_rows is not None and not self._lacking:
            try:
                decoded = self._whole_rows.decode(body)
            except msgspec.ValidationError:
                pass  # raised again below, unless it is that a field is not there
            else:
                _adopt(decoded.items, self._row)
                return decoded
        decoded = self._decoder.decode(body)
        self._lacking = self._lacking or self._SAMPLE
        return decoded

    def _may_hold_unknown_fields(self, body: bytes, rows: int) -> bool:
        """Tell whether some row holds a field that its class does not."""
        if not rows or self._seen_unknown:
            return rows > 0
        if self._outer_rows_suffice(rows) and self._outer_rows_are_whole(body):
            return False
        try:
            self._only_known.decode(body)
        except msgspec.ValidationError:
            self._seen_unknown = True
        return self._seen_unknown

    def _outer_rows_suffice(self, rows: int) -> bool:
        """Tell whether the outer rows of a page speak for all of it."""
        if rows <= self._SHORT or self._lacking:
            return False
        self._long_pages += 1
        is_sample = self._long_pages % self._SAMPLE == 0
        return self._long_pages > self._FIRST_PAGES and not is_sample

    def _keep_unknown_fields(self, body: bytes, page: Page[T]) -> None:
        """Put each row's unknown fields into its ``extra``."""
        rows = msgspec.json.decode(body)["items"]
        for typed, row in zip(page.items, rows, strict=True):
            extra = {name: row[name] for name in row if name not in self._known}
            # The rows are frozen for their users; these are not handed out yet.
            object.__setattr__(typed, "extra", extra or NO_EXTRA)

    def _outer_rows_are_whole(self, body: bytes) -> bool:
        """Tell whether the first row and the last hold all known fields, no other."""
        begin = body.find(b"{", body.find(b'"items"') + 1)
        # As a rule rows end and begin where this is found first and last; where
        # it is inside of a row, what is cut there is no JSON.
        first_end = body.find(b"},{", begin) + 1
        last, last_end = body.rfind(b"},{", begin) + 2, body.rfind(b"}]") + 1
        rest = body[last_end:]
        if rest == b"]}" or rest.startswith(b'],"pagination":'):
            try:
                self._whole_row.decode(body[begin:first_end])
                self._whole_row.decode(body[last:last_end])
            except (msgspec.DecodeError, RecursionError):
                pass  # it was cut inside of a row, or there is an unknown field
            else:
                return True
        return self._is_whole(_beginnings(body, begin)) and self._is_whole(
            _endings(body, begin)
        )

    def _is_whole(self, pieces: Iterable[bytes]) -> bool:
        """Tell whether the first of some pieces that is a row is a whole one."""
        for piece in islice(pieces, self._TRIES):
            try:
                self._whole_row.decode(piece)
            except msgspec.ValidationError:
                return False
            except (msgspec.DecodeError, RecursionError):
                continue  # it was cut inside of the row
            return True
        return False


def _beginnings(body: bytes, begin: int) -> Iterator[bytes]:
    """Yield what may be the first row, which begins there."""
    for end in _NEXT_OBJECT.finditer(body, begin):
        yield body[begin : end.start() + 1]


def _endings(body: bytes, begin: int) -> Iterator[bytes]:
    """Yield what may be the last row, if it begins as the first one does."""
    found = _END_OF_ITEMS.search(body, max(begin, len(body) - _LONGEST_END))
    if found is None:
        return
    opening = body[begin : body.find(b":", begin)]
    end = at = found.start() + 1
    while (at := body.rfind(opening, begin, at)) >= 0:
        yield body[at:end]


def _decoder_of_whole_rows(
    row: type[T], types: dict[str, Any]
) -> msgspec.json.Decoder[Page[T]] | None:
    """Return what decodes rows that hold each field, to be adopted by their class.

    None where that can't be: the class has no room for unknown fields, say.
    """
    fields = attrs.fields(cast("type[attrs.AttrsInstance]", row))
    whole: Any = type(
        f"Whole{row.__name__}",
        (row,),  # an object is adopted fastest by the base of its class
        {
            "__slots__": (),
            "__attrs_attrs__": tuple(
                field.evolve(default=attrs.NOTHING)
                for field in fields
                if field.name in types
            ),
            "__setattr__": object.__setattr__,
            "__delattr__": object.__delattr__,
        },
    )
    try:
        _adopt([whole.__new__(whole)], row)
    except (AttributeError, TypeError):
        return None
    return msgspec.json.Decoder(cast("type[Page[T]]", Page[whole]))


def _adopt(rows: Iterable[Any], class_: type) -> None:
    """Make rows of ``class_`` out of those that hold all of its fields."""
    for row in rows:
        row.extra = NO_EXTRA
        row.__class__ = class_  # frozen from here on


def _decoder_of_only_known(types: dict[str, Any]) -> msgspec.json.Decoder[Any]:
    """Return what refuses rows that hold a field other than these.

    What it decodes is of no use, and was found to be of the right types before.
    """
    # Of all types, Raw takes the longest to be made, but for objects.
    row = msgspec.defstruct(
        "KnownRow",
        [
            (name, msgspec.Raw if get_origin(type_) is dict else type_, None)
            for name, type_ in types.items()
        ],
        forbid_unknown_fields=True,
        gc=False,
    )
    page = msgspec.defstruct("KnownPage", [("items", list[row])])  # type: ignore[valid-type]
    return msgspec.json.Decoder(page)


_CODECS: Final[dict[type, Codec[Any]]] = {}


def codec_of(row: type[T]) -> Codec[T]:
    """Return the codec of a row class, the same each time."""
    codec = _CODECS.get(row)
    if codec is None:
        codec = _CODECS[row] = Codec(row)
    return codec
