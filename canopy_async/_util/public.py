"""Making public names report the package that users import them from."""

from types import FunctionType
from typing import Any

__all__ = ["publish", "publish_methods"]


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


def publish_methods(name: str, *bases: type) -> None:
    """Set ``__qualname__`` of inherited methods to the public class of users.

    The error of a call with a wrong argument then names the class that users know.

    Args:
        name: The name of the public class.
        *bases: The private base classes whose methods it inherits.
    """
    for base in bases:
        for member in vars(base).values():
            if isinstance(member, FunctionType):
                member.__qualname__ = f"{name}.{member.__name__}"
