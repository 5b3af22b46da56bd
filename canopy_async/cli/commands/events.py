"""``canopy-async events`` and ``canopy-async identities``."""

import ssl
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import attrs
import typer

from canopy_async import AuditEvent, CanopySession, Identity, RetryPolicy, Stream
from canopy_async.cli.terminal.exit import argument_checks, complain
from canopy_async.cli.terminal.output import Output
from canopy_async.cli.terminal.render import event_table, identity_table, json_lines

if TYPE_CHECKING:
    from rich.table import Table

_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")

__all__ = [
    "Account",
    "read_events",
    "read_identities",
    "row_renderer",
    "write_rows",
]

T = TypeVar("T", AuditEvent, Identity)
T_contra = TypeVar("T_contra", contravariant=True)


@attrs.frozen(kw_only=True)
class Account:
    """The account to read, and the session's options.

    Attributes:
        slug: The account.
        token: The bearer token.
        base_url: Where the API is, None for the library's default.
        patience: Seconds to wait for a server that is away.
        proxy: The URL of a proxy; None for what the environment says.
        ca_file: The authorities to trust, None for the default.
        allow_http: Whether http to other hosts is allowed.
    """

    slug: str
    token: str = attrs.field(repr=False)
    base_url: str | None = None
    patience: float = 60.0
    proxy: str | None = attrs.field(default=None, repr=False)
    ca_file: Path | None = None
    allow_http: bool = False

    def session(self, **options: Any) -> CanopySession:
        """Return a session on the account.

        Args:
            **options: As `CanopySession` takes them.

        Raises:
            typer.BadParameter: Something of it can't be used.
        """
        if self.base_url is not None:
            options["base_url"] = self.base_url
        with argument_checks():
            return CanopySession(
                self.slug,
                self.token,
                retry=RetryPolicy(deadline=self.patience),
                proxy=self.proxy_to_use(),
                ssl=self._trusted(),
                allow_http=self.allow_http,
                **options,
            )

    def proxy_to_use(self) -> str | None:
        """Return the proxy to use: the one that was named, or the environment's."""
        if self.proxy is not None:
            return self.proxy
        parts = urlsplit(self.base_url or CanopySession("any", "any").base_url)
        host = parts.hostname
        if host is None or host in _THIS_MACHINE or proxy_bypass(host):
            return None
        return getproxies().get(parts.scheme)

    def _trusted(self) -> ssl.SSLContext | None:
        if self.ca_file is None:
            return None  # OpenSSL looks at SSL_CERT_FILE itself
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:  # which an SSLError is, too
            raise typer.BadParameter(
                f"can't be used: {error.strerror or error}", param_hint="--ca-file"
            ) from None


async def read_events(
    account: Account, identity_id: str, *, as_json: bool | None, **options: Any
) -> None:
    """Write the events of an identity to standard output.

    Args:
        account: Where to read.
        identity_id: The identity.
        as_json: Whether to write JSON lines; None is unless on a terminal.
        **options: As `CanopySession.events` takes them.

    Raises:
        typer.BadParameter: An argument can't be used.
        CanopyError: The read failed.
        OSError: Standard output can't be written.
    """
    async with account.session() as canopy:
        with argument_checks():
            stream = canopy.events(identity_id, **options)
        await write_rows(stream, row_renderer(event_table, as_json=as_json))


async def read_identities(
    account: Account, *, as_json: bool | None, **options: Any
) -> None:
    """Write the identities of an account to standard output.

    Args:
        account: Where to read.
        as_json: Whether to write JSON lines; None is unless on a terminal.
        **options: As `CanopySession.identities` takes them.

    Raises:
        typer.BadParameter: An argument can't be used.
        CanopyError: The read failed.
        OSError: Standard output can't be written.
    """
    async with account.session() as canopy:
        with argument_checks():
            stream = canopy.identities(**options)
        await write_rows(stream, row_renderer(identity_table, as_json=as_json))


async def write_rows(stream: Stream[T], render: Callable[[Sequence[T]], bytes]) -> None:
    """Write the rows of a stream to standard output, and complain of its warnings."""
    output = Output(sys.stdout)
    async with stream.open() as run:
        while (rows := await run.next_batch()) is not None:
            await output.write(render(rows))
    for warning in run.report.warnings:
        complain(warning)


class _MakeTable(Protocol[T_contra]):
    def __call__(
        self, rows: Sequence[T_contra], /, *, width: int, header: bool
    ) -> "Table": ...


def row_renderer(
    make_table: _MakeTable[T], *, as_json: bool | None
) -> Callable[[Sequence[T]], bytes]:
    """Return what makes JSON lines or a table of rows, batch by batch.

    Args:
        make_table: Makes a table.
        as_json: Whether to make JSON lines; None is unless on a terminal.
    """
    if as_json is None:
        as_json = sys.stdout is None or not sys.stdout.isatty()
    return json_lines if as_json else _table_lines(make_table)


def _table_lines(make_table: _MakeTable[T]) -> Callable[[Sequence[T]], bytes]:
    """Return what renders a table batch by batch, with one header."""
    # Not at the top: JSON lines need none of it.
    from canopy_async.cli.terminal.console import make_console  # noqa: PLC0415

    console = make_console()
    header = True

    def render(rows: Sequence[T]) -> bytes:
        nonlocal header
        with console.capture() as capture:
            console.print(make_table(rows, width=console.width, header=header))
        header = False
        return capture.get().encode(console.encoding, "backslashreplace")

    return render
