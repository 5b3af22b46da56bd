"""Names of tokens: workers get the token by one, and never over the cluster."""

import asyncio
import inspect
import os
import re
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, Self

import attrs

from canopy_async.auth import Credential, RefreshingToken
from canopy_async.errors import ExportError

__all__ = ["TokenSource"]

_VARIABLE: Final = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*")
_FUNCTION: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_ALLOWED: Final = (
    "token must be 'env:NAME', an environment variable of the workers, or a function"
    " that can be imported, itself or as 'module:function'; never the token"
)


class TokenError(Exception):
    """There is no token now; another attempt of the task may find one."""


@attrs.frozen
class TokenSource:
    """The name of what gives out the token, to be looked up by each worker.

    Attributes:
        name: ``env:NAME`` or ``module:function``.
    """

    name: str

    @classmethod
    def of(cls, token: Any) -> Self:
        """Return the source that a caller named; its value is in no error.

        Args:
            token: ``env:NAME``, ``module:function``, or such a function.

        Raises:
            TypeError: It is neither text nor a function.
            ValueError: It names neither, or what can't be imported.
        """
        if callable(token):
            return cls(_name_of(token))
        if not isinstance(token, str):
            raise TypeError(_ALLOWED)
        if _VARIABLE.fullmatch(token):
            return cls(token)
        if not _FUNCTION.fullmatch(token) or _imported(token) is None:
            del token  # a traceback shows this frame's locals
            raise ValueError(_ALLOWED)
        return cls(token)

    async def open(self) -> RefreshingToken:
        """Return the provider on this worker, with a token at hand.

        Raises:
            ExportError: There is none.
        """
        provider = RefreshingToken(self._fetch)
        try:
            await provider.token()
        except TokenError as error:
            raise ExportError(str(error)) from None
        return provider

    async def _fetch(self) -> str:
        """Return a token that can be sent; also called after a 401.

        Raises:
            TokenError: There is none.
        """
        try:
            credential = Credential(await self._ask())
            credential.check("the token")
        except TokenError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the function raises
            cause = type(error).__name__
        else:
            return str(credential.reveal())
        # Without its text: Dask logs what a task raises, and sends it to the driver.
        raise TokenError(f"no token from {self.name!r} on a worker: {cause}")

    async def _ask(self) -> str:
        kind, _, variable = self.name.partition(":")
        if kind == "env":
            if not os.environ.get(variable):
                raise TokenError(f"{variable} is not set on a worker")
            return os.environ[variable]
        function = _imported(self.name)
        if function is None:
            raise TokenError(f"{self.name!r} can't be imported on a worker")
        if inspect.iscoroutinefunction(function):
            return str(await function())
        # It may fetch the token over the network, and block meanwhile.
        return str(await asyncio.to_thread(function))


def _name_of(function: Any) -> str:
    module = getattr(function, "__module__", None)
    name = f"{module}:{getattr(function, '__qualname__', '')}"
    # Only by its name: pickled by value, it would take along what it holds.
    if module == "__main__" or _imported(name) is not function:
        raise ValueError(f"{_ALLOWED}, and no function of __main__, lambda or method")
    return name


def _imported(name: str) -> Callable[[], Any] | None:
    """Return the function of this name, None where there is none."""
    module, _, path = name.partition(":")
    try:
        found: Any = import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError):
        return None
    return found if callable(found) else None
