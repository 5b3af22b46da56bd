"""Making public names report the package that users import them from."""

from typing import Any

__all__ = ["publish"]


def publish(module: str, *things: Any) -> None:
    """Set ``__module__`` of classes and functions to the module users import from.

    Tracebacks, reprs and pickles then name the public module, which stays, and not the
    file, which may move.

    Args:
        module: The public module or package.
        *things: Classes and functions that can be imported from it.
    """
    for thing in things:
        thing.__module__ = module
