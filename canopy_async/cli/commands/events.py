"""``canopy-async events`` and ``canopy-async identities``."""

import ssl
import sys
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import attrs
import typer

from canopy_async import AuditEvent, CanopySession, Identity, RetryPolicy, Stream
from canopy_async.cli.terminal.exit import argument_checks, complain
from canopy_async.cli.terminal.output import Output
from canopy_async.cli.terminal.request_lines import say_record
from canopy_async.cli.terminal.row_style import RowStyle

_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")

__all__ = [
    "Account",
    "Wanted",
    "read_events",
    "read_identities",
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
        quiet: Whether to say nothing of progress.
        verbose: Whether to say each request as it happens.
    """

    slug: str
    token: str = attrs.field(repr=False)
    base_url: str | None = None
    patience: float = 60.0
    proxy: str | None = attrs.field(default=None, repr=False)
    ca_file: Path | None = None
    allow_http: bool = False
    quiet: bool = False
    verbose: bool = False

    def session(self, **options: Any) -> CanopySession:
        """Return a session on the account.

        Args:
            **options: As `CanopySession` takes them.

        Raises:
            typer.BadParameter: Something of it can't be used.
        """
        if self.base_url is not None:
            options["base_url"] = self.base_url
        if self.verbose:
            options["hooks"] = [say_record]
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


@attrs.frozen(kw_only=True)
class Wanted:
    """Which events are written; the server is not asked for them, and sends all.

    Attributes:
        actions: Patterns of actions, none for all.
        outcomes: Outcomes, none for all.
        severities: Severities, none for all.
    """

    actions: Sequence[str] = ()
    outcomes: Sequence[str] = ()
    severities: Sequence[str] = ()

    @classmethod
    def of(
        cls,
        actions: Sequence[str] | None,
        outcomes: Sequence[str] | None,
        severities: Sequence[str] | None,
    ) -> Self | None:
        """Return what the options say, None where all events are wanted."""
        if not (actions or outcomes or severities):
            return None
        return cls(
            actions=actions or (),
            outcomes=outcomes or (),
            severities=severities or (),
        )

    def __call__(self, event: AuditEvent) -> bool:
        """Tell whether an event is wanted."""
        if self.outcomes and event.outcome not in self.outcomes:
            return False
        if self.severities and event.severity not in self.severities:
            return False
        if not self.actions:
            return True
        return any(fnmatchcase(event.action, pattern) for pattern in self.actions)


async def read_events(
    account: Account,
    identity_id: str,
    style: RowStyle,
    *,
    wanted: Wanted | None = None,
    **options: Any,
) -> None:
    """Write the events of an identity to standard output.

    Args:
        account: Where to read.
        identity_id: The identity.
        style: How to write them.
        wanted: Which of them to write, None for all. ``limit`` counts these.
        **options: As `CanopySession.events` takes them.

    Raises:
        typer.BadParameter: An argument can't be used.
        CanopyError: The read failed.
        OSError: Standard output can't be written.
    """
    render = style.renderer(AuditEvent)
    async with account.session() as canopy:
        with argument_checks():
            stream = canopy.events(identity_id, **options)
            most: int | None = None
            if wanted is not None:  # the limit was checked above, and counts matches
                most, options["limit"] = options.get("limit"), None
                stream = canopy.events(identity_id, **options)
        await write_rows(stream, render, wanted=wanted, most=most, head=render.head())


async def read_identities(
    account: Account,
    style: RowStyle,
    **options: Any,
) -> None:
    """Write the identities of an account to standard output.

    Args:
        account: Where to read.
        style: How to write them.
        **options: As `CanopySession.identities` takes them.

    Raises:
        typer.BadParameter: An argument can't be used.
        CanopyError: The read failed.
        OSError: Standard output can't be written.
    """
    render = style.renderer(Identity)
    async with account.session() as canopy:
        with argument_checks():
            stream = canopy.identities(**options)
        await write_rows(stream, render, head=render.head())


async def write_rows(
    stream: Stream[T],
    render: Callable[[Sequence[T]], bytes],
    *,
    wanted: Callable[[T], bool] | None = None,
    most: int | None = None,
    head: bytes = b"",
) -> None:
    """Write the rows of a stream to standard output, and complain of its warnings.

    Args:
        stream: The rows.
        render: Makes text of some of them.
        wanted: Tells whether a row is written; None for all.
        most: How many to write at most, None for all.
        head: What to write first.
    """
    output = Output(sys.stdout)
    if head:
        await output.write(head)
    if most == 0:
        return
    written = 0
    async with stream.open() as run:
        while (rows := await run.next_batch()) is not None:
            found = rows if wanted is None else list(filter(wanted, rows))
            if most is not None:
                found = found[: most - written]
            if found:
                await output.write(render(found))
            written += len(found)
            if written == most:
                break
    for warning in run.report.warnings:
        complain(warning)
