"""Tables in Markdown, aligned to be read in a terminal as well."""

from collections.abc import Sequence

import attrs

_THOUSAND = 1_000


@attrs.define
class Table:
    """A title, a head and rows of text."""

    title: str
    head: Sequence[str]
    rows: list[Sequence[str]] = attrs.field(factory=list)

    def add(self, *cells: str) -> None:
        """Append a row."""
        self.rows.append(cells)

    def __str__(self) -> str:
        """Return the table without its title; figures are aligned right."""
        lines = [self.head, *self.rows]
        widths = [max(len(line[at]) for line in lines) for at in range(len(self.head))]
        rule = [f"{'-' * (w - 1)}{':' if at else '-'}" for at, w in enumerate(widths)]
        return "\n".join(
            _joined(line, widths) for line in [self.head, rule, *self.rows]
        )


def number(value: float) -> str:
    """Return a figure with three digits that mean something, or all of a count."""
    if isinstance(value, int) or value >= _THOUSAND:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"


def _joined(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell.rjust(width) if at else cell.ljust(width)
        for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"| {' | '.join(padded)} |"
