"""CSV: RFC 4180, in UTF-8, with a header, safe to open in a spreadsheet."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from canopy_async.export.writers.columns import COLUMNS, EXTRA, columns_of
from canopy_async.export.writers.instants import texts_of
from canopy_async.export.writers.protocol import Sink
from canopy_async.identity_events import IdentityBatch

__all__ = ["CsvWriter", "guarded", "unguarded"]

_ENCODE: Final = msgspec.json.Encoder().encode
_FORMULA: Final = re.compile(r"'*[=+\-@\t\r\n]")
_SUSPECTS: Final = frozenset("'=+-@\t\r\n")
_QUOTED_CHARACTERS: Final = '",\r\n'
_QUOTED: Final = re.compile(f"[{_QUOTED_CHARACTERS}]")


def guarded(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula.

    One that begins with ``=``, ``+``, ``-``, ``@``, a tab or a line break gets
    an apostrophe before it, and so does one that looks as if it had got one.
    """
    return f"'{cell}" if _FORMULA.match(cell) else cell


def unguarded(cell: str) -> str:
    """Return what `guarded` was given."""
    return cell[1:] if cell[:1] == "'" and _FORMULA.match(cell) else cell


class CsvWriter:
    """Writes a line of cells for each event.

    What is null is an empty cell. ``metadata`` is JSON; so is ``extra``, empty
    where an event has no unknown fields. Instants are as `texts_of` makes them.

    Args:
        sink: Where the lines go.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink: Final = sink
        self._write_lines([COLUMNS])

    def write(self, batches: Sequence[IdentityBatch]) -> None:
        """Write a line for each event."""
        columns = columns_of(batches)
        cells = [_CELLS.get(name, _texts)(column) for name, column in columns.items()]
        self._write_lines(zip(*cells, strict=True))

    def close(self) -> None:
        """Do nothing: a line has no end but its own."""

    def _write_lines(self, lines: Iterable[Sequence[str]]) -> None:
        # Column by column, `_CELLS` has quoted what has to be: `csv.writer`
        # looks at each character of each cell, which takes four times as long.
        text = "\r\n".join(map(",".join, lines))
        self._sink.write(f"{text}\r\n".encode())


def _texts(column: Sequence[str | None]) -> Sequence[str]:
    cells = [cell or "" for cell in column]
    if not _SUSPECTS.isdisjoint({cell[:1] for cell in cells}):
        cells = [guarded(cell) for cell in cells]
    together = "".join(cells)
    if any(character in together for character in _QUOTED_CHARACTERS):
        return [_quoted(cell) if _QUOTED.search(cell) else cell for cell in cells]
    return cells


def _flags(column: Sequence[bool]) -> Sequence[str]:
    return ["true" if flag else "false" for flag in column]


def _objects(column: Sequence[Any]) -> Sequence[str]:
    return [_quoted(_ENCODE(value).decode()) for value in column]


def _extras(column: Sequence[dict[str, Any]]) -> Sequence[str]:
    return [_quoted(_ENCODE(value).decode()) if value else "" for value in column]


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
