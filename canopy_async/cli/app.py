"""The typer app with all commands; their options are defined in ``cli.usage``."""

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, cast

import typer
from typer.core import TyperCommand, TyperGroup

import canopy_async
from canopy_async.cli.terminal.exit import CLOSED_PIPE
from canopy_async.cli.usage import (
    demo,
    events,
    export,
    follow,
    identities,
    log,
    report,
    serve,
    show,
    verify,
)

__all__ = ["app"]

_PANELS: Final = {
    "Without an account": (demo, serve),
    "Look at an account": (identities, events, follow, log, show),
    "Keep its log": (export, verify, report),
}
"""The modules of the commands, by their panel in the help."""

_USAGE_ERROR: Final = cast("type[typer.BadParameter]", typer.BadParameter.__mro__[2])
"""The base class of all usage errors; typer has no public name for it."""


class _Help:
    """Mixin for help that is quick, and that handles a closed pipe."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters; the default of a flag without one becomes ``False``.

        Typer loads pydantic to check any value that is not a bool, which doubles the
        time of a usage error. A pair of flags, such as ``--json/--table``, keeps the
        default None, which means that neither was given.
        """
        found: Any = super().get_params(ctx)  # type: ignore[misc]
        parameters = cast("list[Any]", found)
        for parameter in parameters:
            is_flag = getattr(parameter, "is_bool_flag", False)
            if is_flag and not parameter.secondary_opts and parameter.default is None:
                parameter.default = False
        return parameters

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help; exit with status 141 if the reader closed the pipe."""
        try:
            super().format_help(ctx, formatter)  # type: ignore[misc]
        except SystemExit:  # rich raises this at a closed pipe
            raise typer.Exit(CLOSED_PIPE) from None


class _Command(_Help, TyperCommand):
    """A single command."""


class _Group(_Help, TyperGroup):
    """The group of all commands, which reports usage errors in plain text."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command, and exit with its status."""
        del windows_expand_args
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode, **extra)
        given = list(sys.argv[1:] if args is None else args)
        name = prog_name or "canopy-async"
        self._main_shell_completion(extra, name, complete_var)
        try:
            with self.make_context(name, given, **extra) as ctx:
                self.invoke(ctx)
        except typer.Exit as end:
            sys.exit(end.exit_code)
        except typer.Abort:
            sys.exit(1)
        except _USAGE_ERROR as error:
            error.show()
            sys.exit(error.exit_code)
        sys.exit(0)


app = typer.Typer(
    name="canopy-async",
    cls=_Group,
    help="Read Canopy's audit events, from a terminal or into a pipe.",
    epilog=(
        "Exit status: 0; 1 for an error of the API or the network; 2 for wrong"
        " usage; 3 when some identities could not be exported; 130 when interrupted;"
        " 141 when the reader of the output left."
    ),
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"canopy-async {canopy_async.__version__}")
        raise typer.Exit


@app.callback()
def common(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            "-V",
            is_eager=True,
            callback=_print_version,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """Read Canopy's audit events, from a terminal or into a pipe."""


def _add(module: Any, panel: str) -> None:
    name: str = module.__name__.rpartition(".")[2]
    command: Callable[..., None] = getattr(module, name)
    examples: Sequence[str] = module.EXAMPLES
    app.command(
        name,
        cls=_Command,
        rich_help_panel=panel,
        epilog="\n\n".join(f"Example: {example}" for example in examples),
    )(command)


for _panel, _modules in _PANELS.items():
    for _module in _modules:
        _add(_module, _panel)
