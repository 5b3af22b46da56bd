"""The workers' way to the server: proxy, certificate authorities, plain http."""

import os
import re
import ssl
from pathlib import Path
from typing import Any, Final, Self

import attrs

from canopy_async._api.base_url import parse_proxy
from canopy_async._util.arguments import check_flag
from canopy_async.errors import ExportError

__all__ = ["Network"]

_VARIABLE: Final = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*")


@attrs.frozen(kw_only=True)
class Network:
    """The network options of each worker's session; without secrets.

    Attributes:
        proxy: The URL of a proxy, without credentials; or ``env:NAME``, a variable of
            the workers that has the URL; None for no proxy.
        authorities: Certificates in PEM, the only ones to trust; None for what each
            worker's system trusts.
        allow_http: Whether http to other hosts is allowed.
    """

    proxy: str | None = None
    authorities: str | None = None
    allow_http: bool = False

    @classmethod
    def of(
        cls,
        *,
        proxy: str | None,
        ca_file: str | os.PathLike[str] | None,
        allow_http: bool,
    ) -> Self:
        """Return what the arguments of an export say.

        Args:
            proxy: The URL of a proxy, or None.
            ca_file: A PEM file of this machine; its text is sent to the workers.
            allow_http: Whether http is allowed to hosts other than the worker.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: It can't be used. A proxy's URL is not quoted.
        """
        return cls(
            proxy=None if proxy is None else _checked(proxy),
            authorities=None if ca_file is None else _text_of(ca_file),
            allow_http=check_flag("allow_http", allow_http),
        )

    def session_options(self) -> dict[str, Any]:
        """Return arguments of a `CanopySession`, on a worker.

        Raises:
            ExportError: The variable of the proxy is not set, or holds none.
        """
        options: dict[str, Any] = {"allow_http": self.allow_http}
        if self.proxy is not None:
            options["proxy"] = self._proxy_here()
        if self.authorities is not None:
            options["ssl"] = ssl.create_default_context(cadata=self.authorities)
        return options

    def _proxy_here(self) -> str | None:
        kind, _, variable = (self.proxy or "").partition(":")
        if kind != "env":
            return self.proxy
        try:
            found = os.environ[variable]
            parse_proxy(found)
        except KeyError:
            raise ExportError(f"{variable} is not set on a worker") from None
        except ValueError:
            raise ExportError(
                f"{variable} is not the URL of an HTTP proxy on a worker"
            ) from None
        return found


def _checked(proxy: Any) -> str:
    """Return where the proxy is said, which names it without its credentials."""
    if isinstance(proxy, str) and _VARIABLE.fullmatch(proxy):
        return proxy
    url = parse_proxy(proxy)
    if url.raw_user is not None or url.raw_password is not None:
        raise ValueError(
            "proxy must hold no password: name a variable of the workers, as env:NAME"
        )
    return str(url)


def _text_of(ca_file: str | os.PathLike[str]) -> str:
    try:
        # Comments in other letters may stand between the certificates.
        text = Path(ca_file).read_text(encoding="ascii", errors="ignore")
        ssl.create_default_context(cadata=text)
    except OSError as error:  # which an SSLError is, too
        raise ValueError(f"ca_file can't be used: {error.strerror or error}") from None
    return text
