"""The rich consoles of all commands; they don't interpret text as markup."""

from rich.console import Console

from canopy_async.cli.terminal.exit import end_at_closed_pipe

__all__ = ["make_console", "make_error_console"]


class _Console(Console):
    def on_broken_pipe(self) -> None:
        end_at_closed_pipe()


def make_console() -> Console:
    """Return a console on standard output."""
    return _Console(markup=False, emoji=False, highlight=False)


def make_error_console() -> Console:
    """Return a console on standard error."""
    return Console(stderr=True, markup=False, emoji=False, highlight=False)
