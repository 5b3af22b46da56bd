"""Usage of ``canopy-async export``."""

from pathlib import Path
from typing import Annotated

import typer

from canopy_async.cli.terminal.exit import run, umask_of
from canopy_async.cli.usage.connection import Connection, with_connection
from canopy_async.cli.usage.shared import ConcurrencyOption, SearchOption, UmaskOption

__all__ = ["EXAMPLES", "export"]

EXAMPLES = (
    "canopy-async export --all --out out",
    "canopy-async export --from ids.txt --out out --format parquet",
)
_CLUSTER = "More processes"


@with_connection
def export(
    connection: Connection,
    identity: Annotated[
        list[str] | None,
        typer.Argument(metavar="IDENTITY...", help="Their ids.", show_default=False),
    ] = None,
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
    is_all: Annotated[
        bool, typer.Option("--all", help="Every identity of the account.")
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
) -> None:
    """Write every event of identities into files; run it again for what is new."""
    from canopy_async.cli.chosen_ids import chosen_ids
    from canopy_async.cli.commands import export as exporting
    from canopy_async.cli.quantities import size_of

    if not out:
        raise typer.BadParameter("must not be empty", param_hint="--out")
    account = connection.resolve(needs_token=False)
    cluster = exporting.Cluster.of(
        scheduler, workers, token_from, token=account.token, out=out
    )
    ids = chosen_ids(identity or (), source, is_all=is_all)
    options = exporting.Options(
        format=written_as,
        since=since,
        until=until,
        q=q,
        look_back=look_back,
        concurrency=concurrency,
        max_rate=max_rate,
        max_file_bytes=size_of(max_file_bytes, "--max-file-bytes"),
        umask=umask_of(umask),
    )
    if cluster is None:
        run(
            exporting.export_events(account, ids, Path(out), **options),
            secret=account.token,
        )
        return
    from canopy_async.cli.commands import export_cluster as clustering  # an extra

    clustering.export_on_cluster(account, ids, out, cluster, **options)
