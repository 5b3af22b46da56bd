"""Usage of ``canopy-async verify``."""

from typing import Annotated

import typer

from canopy_async.cli.usage.shared import DirectoryArgument

__all__ = ["EXAMPLES", "verify"]

EXAMPLES = ("canopy-async verify out",)


def verify(
    directory: DirectoryArgument,
    *,
    digest: Annotated[
        str | None,
        typer.Option(
            "--digest",
            help="The digest that its manifest must have, or have had before.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Say it as one object of JSON.")
    ] = False,
) -> None:
    """Tell whether an export is finished (0), not finished (3) or damaged (1)."""
    from canopy_async.cli.commands.verify import verify_files

    verify_files(directory, digest=digest, as_json=as_json)
