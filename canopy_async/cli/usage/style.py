"""Options that say how rows are written."""

from typing import TYPE_CHECKING, Annotated, Final

import attrs
import typer

from canopy_async.cli.usage.option_group import OptionGroup
from canopy_async.cli.usage.shared import JsonOption

if TYPE_CHECKING:
    from canopy_async.cli.terminal.row_style import RowStyle

__all__ = ["Style", "with_style"]


@attrs.frozen(kw_only=True)
class Style:
    """The values of the options of style, as they were given."""

    output: str | None
    fields: str | None
    as_json: bool | None

    def resolve(self) -> "RowStyle":
        """Return the style to write rows in.

        Raises:
            typer.BadParameter: The options contradict each other, or name no style.
        """
        from canopy_async.cli.terminal.row_style import RowStyle

        return RowStyle.of(self.output, self.fields, as_json=self.as_json)


def _options(
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="table|json|csv",
            show_default="a table on a terminal, else JSON lines",
            help="How rows are written.",
        ),
    ] = None,
    fields: Annotated[
        str | None,
        typer.Option(
            "--fields",
            "-f",
            metavar="NAME,...",
            show_default=False,
            help="The fields to write, as id,action,created_at.",
        ),
    ] = None,
    as_json: JsonOption = None,
) -> None:
    """Have the options of style."""


with_style: Final = OptionGroup("style", _options, Style)
"""Gives a command these options, as its argument ``style``: a `Style`."""
