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


def publish_methods(cls: type, *bases: type) -> None:
    """Let the methods of the bases of a public class say that they are of that class.

    The message of a call with a wrong argument then names the class that users know,
    and a pickle of a method its public place.

    Args:
        cls: The public class, which was published before.
        *bases: Its bases that are not public.
    """
    for base in bases:
        for member in vars(base).values():
            if isinstance(member, FunctionType):
                member.__module__ = cls.__module__
                member.__qualname__ = f"{cls.__name__}.{member.__name__}"
