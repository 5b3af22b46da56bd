"""Usage of ``canopy-async export``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from canopy_async.cli.terminal.exit import run, umask_of
from canopy_async.cli.usage.connection import Connection, with_connection
from canopy_async.cli.usage.filters import with_filters
from canopy_async.cli.usage.shared import (
    AllOption,
    ConcurrencyOption,
    IdentitiesArgument,
    SearchOption,
    UmaskOption,
)

__all__ = ["EXAMPLES", "export"]

EXAMPLES = (
    "canopy-async export --all --out out",
    "canopy-async export --from ids.txt --out out --format parquet",
    "canopy-async export --log --out log --severity critical",
)
_CLUSTER = "More processes"


@with_connection
@with_filters
def export(
    identity: IdentitiesArgument = None,
    *,
    out: Annotated[
        str,
        typer.Option(
            "--out",
            "-o",
            help="The directory to write to; run it again to add what is new.",
            show_default=False,
        ),
    ],
    is_all: AllOption = False,
    is_log: Annotated[
        bool,
        typer.Option(
            "--log",
            help="The account's own log, in the place of logs of identities. Each"
            " request may write one row into it.",
        ),
    ] = False,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="A file with an id in each line; - is standard input.",
            show_default=False,
        ),
    ] = None,
    written_as: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            help="jsonl, jsonl.gz, jsonl.zst, csv, csv-bom or parquet.",
        ),
    ] = "jsonl",
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            "-s",
            help="The earliest date or instant, in UTC if it does not say; or 24h, 7d,"
            " yesterday. A directory that is to be added to needs the same one again.",
            show_default=False,
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
            "-u",
            help="The first that is not wanted, which closes the export.",
            show_default=False,
        ),
    ] = None,
    q: SearchOption = None,
    filters: dict[str, Any],
    concurrency: ConcurrencyOption = 8,
    max_rate: Annotated[
        float | None,
        typer.Option(
            "--max-rate", help="Requests per second at most.", show_default=False
        ),
    ] = None,
    look_back: Annotated[
        float,
        typer.Option(
            "--look-back",
            help="Seconds that an event may be committed late; the next run finds it.",
        ),
    ] = 3600.0,
    max_file_bytes: Annotated[
        str,
        typer.Option(
            "--max-file-bytes", help="The size to close a file at, as 128MB or 64MiB."
        ),
    ] = "128MiB",
    umask: UmaskOption = "077",
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=1,
            help="Processes to start for it, which share all limits.",
            show_default=False,
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            "--dask",
            metavar="ADDRESS",
            help="A Dask scheduler to run on; --out may be a URL of fsspec.",
            show_default=False,
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
    token_from: Annotated[
        str | None,
        typer.Option(
            "--token-from",
            help="Where workers get it: env:NAME or module:function.",
            show_default="env:CANOPY_TOKEN",
            rich_help_panel=_CLUSTER,
        ),
    ] = None,
    connection: Connection,
) -> None:
    """Write every event of identities into files; run it again for what is new.

    With --log, write every event of the account's own log.
    """
    from canopy_async.cli.chosen_ids import chosen_ids
    from canopy_async.cli.commands import export as exporting
    from canopy_async.cli.quantities import instant_of, size_of

    if not out:
        raise typer.BadParameter("must not be empty", param_hint="--out")
    account = connection.resolve(needs_token=False)
    cluster = exporting.Cluster.of(
        scheduler, workers, token_from, token=account.token, out=out
    )
    _check_kind(
        is_log=is_log,
        identities=bool(identity) or source is not None or is_all,
        on_cluster=cluster is not None,
        filters=filters,
    )
    options = exporting.Options(
        format=written_as,
        since=instant_of(since, "--since"),
        until=instant_of(until, "--until"),
        q=q,
        look_back=look_back,
        concurrency=concurrency,
        max_rate=max_rate,
        max_file_bytes=size_of(max_file_bytes, "--max-file-bytes"),
        umask=umask_of(umask),
    )
    if is_log:
        run(
            exporting.export_log_events(account, Path(out), **options, **filters),
            secret=account.token,
        )
        return
    ids = chosen_ids(identity or (), source, is_all=is_all)
    if cluster is None:
        run(
            exporting.export_events(account, ids, Path(out), **options),
            secret=account.token,
        )
        return
    from canopy_async.cli.commands import export_cluster as clustering  # an extra

    clustering.export_on_cluster(account, ids, out, cluster, **options)


def _check_kind(
    *,
    is_log: bool,
    identities: bool,
    on_cluster: bool,
    filters: Mapping[str, object],
) -> None:
    """Check that what is given fits to an export of identities, or to one of the log.

    Args:
        is_log: Whether the account's own log is wanted.
        identities: Whether identities are named, in whatever way.
        on_cluster: Whether more processes are to share the work.
        filters: The filters of the account's log that are given, by name.

    Raises:
        typer.BadParameter: Something does not fit.
    """
    if not is_log:
        for name in filters:
            flag = f"--{name.replace('_', '-')}"
            raise typer.BadParameter("needs --log", param_hint=flag)
        return
    if identities:
        raise typer.BadParameter(
            "is one log: it can't be used with identities, --from or --all",
            param_hint="--log",
        )
    if on_cluster:
        raise typer.BadParameter(
            "is one log, which one process reads: it can't be used with --dask or"
            " --workers",
            param_hint="--log",
        )
