"""`SinglePass`: an object that is read once with ``async for``, and closed."""

from typing import Any, Final, Self

from canopy_async._util.closeable import Closeable

__all__ = ["SinglePass"]


class SinglePass(Closeable):
    """A pass over many logs, which can be begun once and has to be closed.

    Args:
        name: The name of the object in error messages, with an article.
    """

    def __init__(self, name: str) -> None:
        self._pass_name: Final = name
        self._iterated = False
        self._entered = False

    async def __aenter__(self) -> Self:
        """Return the object itself. It sends nothing before it is iterated."""
        self._entered = True
        return self

    def __iter__(self) -> Any:
        """Refuse: this is read with ``async for``."""
        raise TypeError(f"a {type(self).__name__} is read with 'async for'")

    def _begin_pass(self) -> None:
        """Record the first iteration.

        Raises:
            RuntimeError: The object was iterated before.
        """
        if self._iterated:
            raise RuntimeError(
                f"{self._pass_name} is one pass, and this one was iterated"
            )
        self._iterated = True
