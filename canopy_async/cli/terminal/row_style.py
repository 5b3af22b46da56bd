"""The output style of rows: a table, JSON lines or CSV, with all or chosen fields."""

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Self, TypeAlias

import attrs
import msgspec
import typer

from canopy_async import AuditEvent, Identity
from canopy_async.cli.terminal.render import (
    event_table,
    field_table,
    fields_line,
    identity_table,
    json_lines,
    wire_of,
)

__all__ = ["RowStyle"]

Row: TypeAlias = AuditEvent | Identity
Render: TypeAlias = Callable[[Sequence[Any]], bytes]
AddedFields: TypeAlias = Mapping[str, str]
"""Fields to add to rows, such as the identity whose log an event is from."""

_KINDS: Final = ("table", "json", "csv")
_TABLES: Final = {AuditEvent: event_table, Identity: identity_table}


@attrs.frozen(kw_only=True)
class RowStyle:
    """The output style of rows.

    Attributes:
        kind: ``table``, ``json`` (lines) or ``csv``.
        fields: The fields to write, in this order; None for the default ones.
    """

    kind: str
    fields: tuple[str, ...] | None = None

    @classmethod
    def of(
        cls, output: str | None, fields: str | None, *, as_json: bool | None
    ) -> Self:
        """Return the style that the options of a command ask for.

        Args:
            output: The value of ``--output``, if given.
            fields: The value of ``--fields``, if given.
            as_json: True for ``--json``, False for ``--table``, None for neither.

        Raises:
            typer.BadParameter: The options contradict each other, or name no style.
        """
        if output is not None and output not in _KINDS:
            raise typer.BadParameter(
                "must be table, json or csv", param_hint="--output"
            )
        if as_json is not None:
            short = "json" if as_json else "table"
            if output not in {None, short}:
                raise typer.BadParameter(
                    f"can't be used with --{short}", param_hint="--output"
                )
            output = short
        if output is None:
            is_terminal = sys.stdout is not None and sys.stdout.isatty()
            output = "table" if is_terminal else "json"
        names = None
        if fields is not None:
            names = tuple(name.strip() for name in fields.split(","))
        return cls(kind=output, fields=names)

    def renderer(self, row: type[Row], *others: str) -> "Renderer":
        """Return the renderer of rows of a class.

        Args:
            row: The class of the rows.
            *others: The names of fields that are added to the rows.

        Raises:
            typer.BadParameter: A chosen field is unknown.
        """
        own = tuple(field.name for field in attrs.fields(row))
        known = (*others, *own)
        for name in self.fields or ():
            if name not in known:
                raise typer.BadParameter(
                    f"{name!r} is not one of {', '.join(known)}", param_hint="--fields"
                )
        return Renderer(self.kind, row, self.fields or known, is_whole=not self.fields)


class Renderer:
    """Renders batches of rows as text, with one header.

    Args:
        kind: ``table``, ``json`` or ``csv``.
        row: The class of the rows.
        fields: The names of the fields to write.
        is_whole: Whether these are all fields.
    """

    def __init__(
        self, kind: str, row: type[Row], fields: Sequence[str], *, is_whole: bool
    ) -> None:
        self._row: Final = row
        self._fields: Final = fields
        self._is_whole: Final = is_whole
        self._has_header = False
        make = {"json": self._lines, "csv": self._csv, "table": self._table}
        self._make: Final = make[kind]
        self._console: Any = None

    def __call__(self, rows: Sequence[Row], added: AddedFields | None = None) -> bytes:
        """Return the text of some rows, with the added fields in each."""
        return self._make(rows, added or {})

    def head(self) -> bytes:
        """Return the header of a CSV output; else nothing."""
        if self._make != self._csv:
            return b""
        return _csv_line(self._fields)

    def _lines(self, rows: Sequence[Row], added: AddedFields) -> bytes:
        if not self._is_whole:
            return b"".join(map(fields_line, self._values(rows, added)))
        if added:
            rows = [attrs.evolve(row, extra={**row.extra, **added}) for row in rows]
        return json_lines(rows)

    def _csv(self, rows: Sequence[Row], added: AddedFields) -> bytes:
        return b"".join(
            _csv_line([_cell(value) for value in values.values()])
            for values in self._values(rows, added)
        )

    def _table(self, rows: Sequence[Row], added: AddedFields) -> bytes:
        console = self._console_of_tables()
        options: dict[str, Any] = {
            "width": console.width,
            "header": not self._has_header,
        }
        if self._is_whole:
            make: Any = _TABLES[self._row]
            table = make(rows, **options)
        else:
            values = list(self._values(rows, added))
            table = field_table(self._fields, values, **options)
        self._has_header = True
        with console.capture() as capture:
            console.print(table)
        text: str = capture.get()
        return text.encode(console.encoding, "backslashreplace")

    def _console_of_tables(self) -> Any:
        if self._console is None:
            # Imported here, as JSON lines and CSV do not need rich.
            from canopy_async.cli.terminal.console import make_console

            self._console = make_console()
        return self._console

    def _values(self, rows: Sequence[Row], added: AddedFields) -> Any:
        """Yield the fields to write of each row by name, in their order."""
        for row in rows:
            wire = {**wire_of(row), "extra": row.extra, **added}
            yield {name: wire[name] for name in self._fields}


def _cell(value: object) -> str:
    if value is None or value == {}:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return str(value)
    if isinstance(value, datetime):
        return msgspec.json.encode(value).decode().strip('"')
    return msgspec.json.encode(value).decode()


def _csv_line(cells: Sequence[str]) -> bytes:
    """Return a line of CSV with cells that no spreadsheet takes for a formula."""
    from canopy_async.export.writers.csv_ import guarded  # only for CSV

    quoted = ('"{}"'.format(guarded(cell).replace('"', '""')) for cell in cells)
    plain = (
        cell[1:-1] if not set(cell[1:-1]) & set('",\r\n') else cell for cell in quoted
    )
    return (",".join(plain) + "\n").encode()
