"""CSV after RFC 4180: UTF-8, with a header, safe to open in a spreadsheet."""

import re
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any, Final, cast

import msgspec

from canopy_async._tables.columns import COLUMNS, EXTRA, EventsOfOne, columns_of
from canopy_async.export.writers.instant_text import texts_of

__all__ = ["BYTE_ORDER_MARK", "HEADER", "encode", "guarded", "unguarded"]

_ENCODER: Final = msgspec.json.Encoder()
_TRIMMED: Final = (
    r"\x00-\x08\x0a-\x20\x7f-\xa0\xad\u1680\u2000-\u200f\u2028-\u202f"
    r"\u205f-\u2064\u3000\ufeff"
)
"""Spaces and invisible characters, which spreadsheets may remove from a cell's start.

They may also remove a tab, where a tab does not separate cells."""

_SIGNS: Final = r"=+\-@\uff1d\uff0b\uff0d\uff20\ufe62\ufe66\ufe63\ufe6b\u2212"
"""The characters that start a formula, also in their full-width and small forms."""

_FORMULA: Final = re.compile(f"'*(?:[\\t{_TRIMMED}]*[{_SIGNS}]|[\\t\\r\\n])")
_INNER: Final = re.compile(f"(?<=[;\\t])(?='*[{_TRIMMED}]*[{_SIGNS}])")
_INNER_GUARDED: Final = re.compile(f"(?<=[;\\t])'(?='*[{_TRIMMED}]*[{_SIGNS}])")
_INNER_JSON: Final = re.compile(f";(?='*[{_TRIMMED}]*[{_SIGNS}])")
_SUSPECT: Final = re.compile(f"['\\t{_TRIMMED}{_SIGNS}]")
_first: Final = itemgetter(slice(1))
"""Returns the first character of a cell; an empty text if the cell is empty."""

_QUOTED_CHARACTERS: Final = '",;\t\r\n'
_QUOTED: Final = re.compile(f"[{_QUOTED_CHARACTERS}]")


def guarded(cell: str) -> str:
    """Return a cell in a form that no spreadsheet takes for a formula.

    An apostrophe is put before a cell that begins with ``=``, ``+``, ``-`` or ``@``,
    also in full width and after spaces or invisible characters, and before one that
    begins with a tab or a line break. A cell that already looks like a guarded one
    gets another apostrophe, so that `unguarded` restores every cell.

    Text after a semicolon or a tab is guarded in the same way, because a spreadsheet
    may be set to split cells there.
    """
    cell = _INNER.sub("'", cell)
    return f"'{cell}" if _FORMULA.match(cell) else cell


def unguarded(cell: str) -> str:
    """Return the original cell for a cell that `guarded` returned."""
    if cell[:1] == "'" and _FORMULA.match(cell):
        cell = cell[1:]
    return _INNER_GUARDED.sub("", cell)


def encode(page: EventsOfOne) -> bytes:
    """Encode the events of a page, one line for each.

    A null becomes an empty cell. ``metadata`` is JSON. So is ``extra``, but empty where
    an event has no unknown fields. Instants are written as by `texts_of`.
    """
    columns = columns_of([page])
    cells = [_CELLS.get(name, _texts)(column) for name, column in columns.items()]
    return _lines(zip(*cells, strict=True))


def _lines(lines: Iterable[Sequence[str]]) -> bytes:
    # The cells are already quoted, column by column. `csv.writer` would check each
    # character of each cell, which takes four times as long.
    text = "\r\n".join(map(",".join, lines))
    return f"{text}\r\n".encode()


HEADER: Final = _lines([COLUMNS])
"""The first line of a file: the names of the columns."""

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
"""The mark that tells spreadsheets that a file is encoded in UTF-8."""


def _texts(column: Sequence[str | None]) -> Sequence[str]:
    """Return the cells of a column of text, guarded and quoted.

    The whole column is checked first, as most columns need neither.
    """
    cells, joined = _joined(column)
    has_separator = ";" in joined or "\t" in joined
    if has_separator or any(map(_SUSPECT.match, set(map(_first, cells)))):
        cells = [guarded(cell) for cell in cells]
    if any(character in joined for character in _QUOTED_CHARACTERS):
        return [_quoted(cell) if _QUOTED.search(cell) else cell for cell in cells]
    return cells


def _joined(column: Sequence[str | None]) -> tuple[Sequence[str], str]:
    """Return the cells of a column of text, and the text of all of them together."""
    # Joining the column finds out in a sixth of the time whether it has a null.
    cells = cast("Sequence[str]", column)
    try:
        return cells, "".join(cells)
    except TypeError:
        cells = [cell or "" for cell in column]
        return cells, "".join(cells)


def _flags(column: Sequence[bool]) -> Sequence[str]:
    return ["true" if flag else "false" for flag in column]


def _objects(column: Sequence[Any]) -> Sequence[str]:
    """Return cells of JSON; a semicolon before the start of a formula is escaped."""
    # All values are encoded at once, and then split at line feeds, which JSON escapes.
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
"""The function that makes the cells of a column; for all other columns `_texts`."""
