"""``canopy-async serve``: a local Canopy in the foreground."""

import asyncio
import shlex
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

import attrs
import typer

from canopy_async import CanopySession
from canopy_async.cli.local_events import seed_in_steps
from canopy_async.cli.terminal.render import visible
from canopy_async.testing import Faults, LocalCanopy

__all__ = ["ServeOptions", "serve"]

_SHOWN: Final = 5

_BEAT: Final = 0.05
"""Seconds after which events are added again, at the earliest."""


@attrs.frozen(kw_only=True)
class ServeOptions:
    """The options of the local server.

    Attributes:
        host: The address to listen on.
        port: The port, 0 for a free one.
        rate: Events that are added per second while it runs.
        identities: How many identities to make.
        events: How many events each of them gets.
        latency_ms: Milliseconds that each answer takes.
        seed: Where data and token are derived from.
        path: The SQLite file; one that has identities already is left as it is.
    """

    host: str
    port: int
    rate: float
    identities: int
    events: int
    latency_ms: float
    seed: int
    path: str | None


async def serve(options: ServeOptions) -> None:
    """Serve until cancelled.

    Args:
        options: The options of the local server.

    Raises:
        OSError: The port is taken.
        sqlite3.Error: The file can't be used.
    """
    server = LocalCanopy(
        host=options.host,
        port=options.port,
        seed=options.seed,
        path=options.path or ":memory:",
        faults=Faults(latency=options.latency_ms / 1000),
    )
    async with server:
        identity_ids = await _first_identities(server)
        if not identity_ids:
            identity_ids = await _fill(server, options)
        typer.echo(_how_to_reach(server, identity_ids), nl=False)
        await _add_events(server, identity_ids, options)


async def _add_events(
    server: LocalCanopy, identity_ids: Sequence[str], options: ServeOptions
) -> None:
    """Add events to one identity after another, for ever."""
    if not (options.rate and identity_ids):
        await asyncio.Event().wait()
    clock = asyncio.get_running_loop().time
    began, added = clock(), 0
    while True:
        due = int((clock() - began) * options.rate)
        for number in range(added, due):
            server.add_event(identity_ids[number % len(identity_ids)])
        added = due
        await asyncio.sleep(max(_BEAT, (added + 1) / options.rate - (clock() - began)))


async def _first_identities(server: LocalCanopy) -> Sequence[str]:
    async with CanopySession(
        server.account, server.token, base_url=server.base_url
    ) as canopy:
        stream = canopy.identities(order="asc", limit=_SHOWN + 1, take=_SHOWN + 1)
        return [identity.id async for identity in stream]


async def _fill(server: LocalCanopy, options: ServeOptions) -> Sequence[str]:
    identity_ids = server.seed_identities(options.identities)
    typer.echo(
        f"Making {options.events:,} events for each of"
        f" {options.identities:,} identities ...",
        err=True,
    )
    for identity_id in identity_ids:
        async for _ in seed_in_steps(server, identity_id, options.events):
            pass
    return identity_ids


def _how_to_reach(server: LocalCanopy, identity_ids: Sequence[str]) -> str:
    shown = ", ".join(map(visible, identity_ids[:_SHOWN]))
    more = ", ..." if len(identity_ids) > _SHOWN else ""
    identities = f"/portal/v1/accounts/{quote(server.account, safe='')}/identities"
    return f"""\
A local Canopy is listening; Ctrl-C ends it.

base URL    {server.base_url}
account     {server.account}
token       {server.token}
identities  {shown or "none"}{more}

export CANOPY_BASE_URL={server.base_url}
export CANOPY_ACCOUNT={shlex.quote(server.account)}
export CANOPY_TOKEN={server.token}

{_read_command(identity_ids)}
curl -H "Authorization: Bearer $CANOPY_TOKEN" "$CANOPY_BASE_URL{identities}?take=5"
"""


def _read_command(identity_ids: Sequence[str]) -> str:
    if not identity_ids:
        return "canopy-async identities"
    return f"canopy-async events {shlex.quote(visible(identity_ids[0]))} --limit 5"
