"""`Closeable`: an object that ``async with`` closes at the end of its block."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

__all__ = ["Closeable"]


class Closeable(ABC):
    """An object with `aclose`, which the end of an ``async with`` block calls."""

    async def __aenter__(self) -> Self:
        """Return the object itself."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the object."""
        await self.aclose()

    @abstractmethod
    async def aclose(self) -> None:
        """Close the object: end its work, and wait for that end."""
