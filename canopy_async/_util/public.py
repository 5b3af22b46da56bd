"""The public place of a name: where users import it from, and not its file."""

from typing import Any

__all__ = ["publish"]


def publish(module: str, *things: Any) -> None:
    """Let classes and functions say that they are of a public module.

    A traceback, a repr and a pickle then name the place that users import from, which
    stays, and not the file, which may move.

    Args:
        module: The public module or package.
        *things: Classes and functions that can be imported from it.
    """
    for thing in things:
        thing.__module__ = module
