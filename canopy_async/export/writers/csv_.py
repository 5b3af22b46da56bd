"""CSV: RFC 4180, in UTF-8, with a header, safe to open in a spreadsheet."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from canopy_async._tables.columns import COLUMNS, EXTRA, EventsOfOne, columns_of
from canopy_async.export.writers.instant_text import texts_of

__all__ = ["BYTE_ORDER_MARK", "HEADER", "encode", "guarded", "unguarded"]

_ENCODER: Final = msgspec.json.Encoder()
_TRIMMED: Final = (
    r"\x00-\x08\x0a-\x20\x7f-\xa0\xad\u1680\u2000-\u200f\u2028-\u202f"
    r"\u205f-\u2064\u3000\ufeff"
)
"""What spreadsheets may trim before they look at a cell: spaces, and what shows as
none. A tab is one of these, unless it is the separator."""

_SIGNS: Final = r"=+\-@\uff1d\uff0b\uff0d\uff20\ufe62\ufe66\ufe63\ufe6b\u2212"
"""What a formula begins with, in full width and small as well."""

_FORMULA: Final = re.compile(f"'*(?:[\\t{_TRIMMED}]*[{_SIGNS}]|[\\t\\r\\n])")
_INNER: Final = re.compile(f"(?<=[;\\t])(?='*[{_TRIMMED}]*[{_SIGNS}])")
_INNER_GUARDED: Final = re.compile(f"(?<=[;\\t])'(?='*[{_TRIMMED}]*[{_SIGNS}])")
_INNER_JSON: Final = re.compile(f";(?='*[{_TRIMMED}]*[{_SIGNS}])")
_SUSPECT: Final = re.compile(f"['\\t{_TRIMMED}{_SIGNS}]")
_QUOTED_CHARACTERS: Final = '",;\t\r\n'
_QUOTED: Final = re.compile(f"[{_QUOTED_CHARACTERS}]")


def guarded(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula.

    One that begins with ``=``, ``+``, ``-``, ``@``, in full width as well and whatever
    spaces and invisible characters come before, or with a tab or a line break, gets an
    apostrophe before it, and so does one that looks as if it had got one. So does what
    comes after a semicolon or a tab: either may be what separates cells to whoever
    opens the file, and then begins another one.
    """
    cell = _INNER.sub("'", cell)
    return f"'{cell}" if _FORMULA.match(cell) else cell


def unguarded(cell: str) -> str:
    """Return what `guarded` was given."""
    if cell[:1] == "'" and _FORMULA.match(cell):
        cell = cell[1:]
    return _INNER_GUARDED.sub("", cell)


def encode(page: EventsOfOne) -> bytes:
    """Return a line of cells for each event of a page.

    What is null is an empty cell. ``metadata`` is JSON; so is ``extra``, empty
    where an event has no unknown fields. Instants are as `texts_of` makes them.
    """
    columns = columns_of([page])
    cells = [_CELLS.get(name, _texts)(column) for name, column in columns.items()]
    return _lines(zip(*cells, strict=True))


def _lines(lines: Iterable[Sequence[str]]) -> bytes:
    # Column by column, `_CELLS` has quoted what has to be: `csv.writer`
    # looks at each character of each cell, which takes four times as long.
    text = "\r\n".join(map(",".join, lines))
    return f"{text}\r\n".encode()


HEADER: Final = _lines([COLUMNS])
"""The first line of a file."""

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
"""What makes spreadsheets that guess the encoding of a file guess UTF-8."""


def _texts(column: Sequence[str | None]) -> Sequence[str]:
    cells = [cell or "" for cell in column]
    together = "".join(cells)
    is_parted = ";" in together or "\t" in together
    if is_parted or any(map(_SUSPECT.match, {cell[:1] for cell in cells})):
        cells = [guarded(cell) for cell in cells]
    if any(character in together for character in _QUOTED_CHARACTERS):
        return [_quoted(cell) if _QUOTED.search(cell) else cell for cell in cells]
    return cells


def _flags(column: Sequence[bool]) -> Sequence[str]:
    return ["true" if flag else "false" for flag in column]


def _objects(column: Sequence[Any]) -> Sequence[str]:
    """Return JSON in which no semicolon comes before what a formula begins with."""
    # All at once, parted by what JSON never holds as it is.
    text = _ENCODER.encode_lines(column).decode()
    if ";" in text:
        text = _INNER_JSON.sub(r"\\u003b", text)
    cells = text.replace('"', '""').split("\n")
    return [f'"{cell}"' for cell in cells[: len(column)]]


def _extras(column: Sequence[dict[str, Any]]) -> Sequence[str]:
    if not any(column):
        return [""] * len(column)
    cells = _objects(column)
    return [cell if value else "" for value, cell in zip(column, cells, strict=True)]


def _quoted(cell: str) -> str:
    doubled = cell.replace('"', '""')
    return f'"{doubled}"'


_CELLS: Final[dict[str, Callable[[Sequence[Any]], Sequence[str]]]] = {
    "metadata": _objects,
    "created_at": texts_of,
    "customer_visible": _flags,
    "identity_visible": _flags,
    EXTRA: _extras,
}
"""What makes the cells of a column; `_texts` those of all others."""
