"""The commands and their options; what a command does is imported when it runs."""

from pathlib import Path
from typing import Annotated

import typer

import canopy_async
from canopy_async.cli.terminal.exit import run, umask_of

__all__ = ["app"]

app = typer.Typer(
    name="canopy-async",
    help="Read Canopy's audit events, from a terminal or into a pipe.",
    epilog=(
        "Exit status: 0; 1 for an error of the API or the network; 2 for wrong"
        " usage; 3 when some identities could not be exported; 130 when interrupted;"
        " 141 when the reader of the output left."
    ),
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

_CONNECTION = "Connection"
_CLUSTER = "More processes"
_FOLLOWING = "Following"

AccountOption = Annotated[
    str,
    typer.Option(
        "--account",
        envvar="CANOPY_ACCOUNT",
        show_default=False,
        rich_help_panel=_CONNECTION,
        help="The account's slug.",
    ),
]
TokenOption = Annotated[
    str,
    typer.Option(
        "--token",
        envvar="CANOPY_TOKEN",
        show_default=False,
        rich_help_panel=_CONNECTION,
        help="The bearer token. The variable keeps it out of the process list.",
    ),
]
BaseUrlOption = Annotated[
    str | None,
    typer.Option(
        "--base-url",
        envvar="CANOPY_BASE_URL",
        show_default=False,
        rich_help_panel=_CONNECTION,
        help="Where the API is, if not at Canopy itself.",
    ),
]
PatienceOption = Annotated[
    float,
    typer.Option(
        "--patience",
        rich_help_panel=_CONNECTION,
        help="Seconds to wait for a server that is away, after a first failure.",
    ),
]
ProxyOption = Annotated[
    str | None,
    typer.Option(
        "--proxy",
        show_default="HTTPS_PROXY, unless NO_PROXY names the host",
        rich_help_panel=_CONNECTION,
        help="The URL of an HTTP proxy.",
    ),
]
CaFileOption = Annotated[
    Path | None,
    typer.Option(
        "--ca-file",
        show_default="SSL_CERT_FILE, or what the system trusts",
        rich_help_panel=_CONNECTION,
        help="A PEM file of the authorities to trust.",
    ),
]
AllowHttpOption = Annotated[
    bool,
    typer.Option(
        "--allow-http",
        rich_help_panel=_CONNECTION,
        help="Allow http to other hosts: the token is sent unencrypted.",
    ),
]
SearchOption = Annotated[str | None, typer.Option("--q", help="Search term.")]
OrderOption = Annotated[
    str | None, typer.Option("--order", help="asc or desc; the server's own if none.")
]
SortOption = Annotated[
    str | None, typer.Option("--sort-by", help="The column to sort by.")
]
LimitOption = Annotated[
    int | None, typer.Option("--limit", help="How many rows in all at most.")
]
TakeOption = Annotated[int, typer.Option("--take", help="Rows per request, 1 to 100.")]
ConcurrencyOption = Annotated[
    int, typer.Option("--concurrency", help="Requests in flight at most.")
]
JsonOption = Annotated[
    bool | None,
    typer.Option(
        "--json/--table",
        show_default=False,
        help="JSON lines or a table; a table only on a terminal if not given.",
    ),
]
UmaskOption = Annotated[
    str,
    typer.Option(
        "--umask", help="What others may not do with the files, in octal as in a shell."
    ),
]
LatencyOption = Annotated[
    float,
    typer.Option("--latency", min=0, help="Milliseconds that each answer takes."),
]


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - as typer calls it
    if wanted:
        typer.echo(f"canopy-async {canopy_async.__version__}")
        raise typer.Exit


@app.callback()
def common(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            is_eager=True,
            callback=_print_version,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """Read Canopy's audit events, from a terminal or into a pipe."""


@app.command()
def events(
    identity: Annotated[str, typer.Argument(metavar="IDENTITY", help="Its id.")],
    *,
    account: AccountOption,
    token: TokenOption,
    base_url: BaseUrlOption = None,
    patience: PatienceOption = 60.0,
    proxy: ProxyOption = None,
    ca_file: CaFileOption = None,
    allow_http: AllowHttpOption = False,
    q: SearchOption = None,
    order: OrderOption = None,
    sort_by: SortOption = None,
    limit: LimitOption = None,
    take: TakeOption = 100,
    concurrency: ConcurrencyOption = 8,
    as_json: JsonOption = None,
) -> None:
    """Read the audit events of one identity."""
    from canopy_async.cli.commands import events as reading  # noqa: PLC0415 - for the others' speed

    read = reading.read_events(
        reading.Account(
            slug=account,
            token=token,
            base_url=base_url,
            patience=patience,
            proxy=proxy,
            ca_file=ca_file,
            allow_http=allow_http,
        ),
        identity,
        as_json=as_json,
        q=q,
        order=order,
        sort_by=sort_by,
        limit=limit,
        take=take,
        concurrency=concurrency,
    )
    run(read, secret=token)


@app.command()
def follow(
    identity: Annotated[
        list[str] | None,
        typer.Argument(metavar="IDENTITY...", help="Their ids.", show_default=False),
    ] = None,
    *,
    account: AccountOption,
    token: TokenOption,
    base_url: BaseUrlOption = None,
    patience: PatienceOption = 60.0,
    proxy: ProxyOption = None,
    ca_file: CaFileOption = None,
    allow_http: AllowHttpOption = False,
    is_all: Annotated[
        bool, typer.Option("--all", help="Every identity of the account.")
    ] = False,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            help="A file that remembers what was written.",
            show_default=False,
        ),
    ] = None,
    start: Annotated[
        str,
        typer.Option(
            "--start",
            help="On the first run: now, beginning, or a date or instant, in UTC if it"
            " does not say.",
        ),
    ] = "now",
    until_caught_up: Annotated[
        bool,
        typer.Option(
            "--until-caught-up", help="End once all that there is was written."
        ),
    ] = False,
    discover_every: Annotated[
        float,
        typer.Option(
            "--discover-every", help="Seconds between looks for new identities."
        ),
    ] = 60.0,
    every: Annotated[
        float, typer.Option("--every", help="Seconds between looks, where much comes.")
    ] = 5.0,
    settle: Annotated[
        float,
        typer.Option("--settle", help="Seconds to wait for late ones, for order."),
    ] = 0.0,
    umask: UmaskOption = "077",
    q: SearchOption = None,
    as_json: JsonOption = None,
) -> None:
    """Write new events as they come until Ctrl-C, which ends it with status 0."""
    from canopy_async.cli.commands import events as reading  # noqa: PLC0415 - as above
    from canopy_async.cli.commands import follow as following  # noqa: PLC0415 - as above

    follow_on = following.follow_events(
        reading.Account(
            slug=account,
            token=token,
            base_url=base_url,
            patience=patience,
            proxy=proxy,
            ca_file=ca_file,
            allow_http=allow_http,
        ),
        identity or (),
        is_all=is_all,
        checkpoint=checkpoint,
        umask=umask_of(umask),
        as_json=as_json,
        start=start,
        until_caught_up=until_caught_up,
        discover_every=discover_every,
        every=every,
        settle=settle,
        q=q,
    )
    run(follow_on, secret=token, ends_by_signal=True)


@app.command()
def log(
    *,
    account: AccountOption,
    token: TokenOption,
    base_url: BaseUrlOption = None,
    patience: PatienceOption = 60.0,
    proxy: ProxyOption = None,
    ca_file: CaFileOption = None,
    allow_http: AllowHttpOption = False,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            help="The earliest date or instant, in UTC if it does not say.",
            show_default=False,
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until", help="The first that is not wanted.", show_default=False
        ),
    ] = None,
    action: Annotated[
        list[str] | None,
        typer.Option("--action", help="An action; may be given several times."),
    ] = None,
    category: Annotated[
        str | None, typer.Option("--category", help="The category.")
    ] = None,
    severity: Annotated[
        str | None, typer.Option("--severity", help="The severity, exactly.")
    ] = None,
    outcome: Annotated[
        str | None, typer.Option("--outcome", help="success, failure or denied.")
    ] = None,
    actor_id: Annotated[
        str | None, typer.Option("--actor-id", help="The actor.")
    ] = None,
    actor_type: Annotated[
        str | None, typer.Option("--actor-type", help="The kind of actor.")
    ] = None,
    resource_type: Annotated[
        str | None, typer.Option("--resource-type", help="The kind of resource.")
    ] = None,
    resource_id: Annotated[
        str | None, typer.Option("--resource-id", help="The resource.")
    ] = None,
    correlation_id: Annotated[
        str | None,
        typer.Option("--correlation-id", help="What the events of one request share."),
    ] = None,
    application_id: Annotated[
        str | None, typer.Option("--application-id", help="The application.")
    ] = None,
    environment_id: Annotated[
        str | None, typer.Option("--environment-id", help="The environment.")
    ] = None,
    q: SearchOption = None,
    limit: LimitOption = None,
    concurrency: ConcurrencyOption = 8,
    is_followed: Annotated[
        bool,
        typer.Option(
            "--follow",
            help="Write new events as they come until Ctrl-C.",
            rich_help_panel=_FOLLOWING,
        ),
    ] = False,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            help="A file that remembers what was written.",
            show_default=False,
            rich_help_panel=_FOLLOWING,
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--start",
            help="On the first run: now, beginning, or a date or instant.",
            show_default="now",
            rich_help_panel=_FOLLOWING,
        ),
    ] = None,
    every: Annotated[
        float | None,
        typer.Option(
            "--every",
            help="Seconds between looks, each of which may write a row into the log.",
            show_default="60",
            rich_help_panel=_FOLLOWING,
        ),
    ] = None,
    until_caught_up: Annotated[
        bool,
        typer.Option(
            "--until-caught-up",
            help="End once all that there is was written.",
            rich_help_panel=_FOLLOWING,
        ),
    ] = False,
    umask: UmaskOption = "077",
    as_json: JsonOption = None,
) -> None:
    """Read the log of the whole account, newest first; or follow it.

    Each request may write one row into that log.
    """
    from canopy_async.cli.commands import events as reading  # noqa: PLC0415 - as above
    from canopy_async.cli.commands import log as logs  # noqa: PLC0415 - as above
    from canopy_async.cli.commands.export import instant_of  # noqa: PLC0415 - as above

    of_reads = {"--since": since, "--until": until, "--limit": limit}
    of_following = {
        "--checkpoint": checkpoint,
        "--start": start,
        "--every": every,
        "--until-caught-up": until_caught_up or None,
    }
    for name, value in (of_reads if is_followed else of_following).items():
        if value is not None:
            said = "can't be used with --follow" if is_followed else "needs --follow"
            raise typer.BadParameter(said, param_hint=name)
    where = reading.Account(
        slug=account,
        token=token,
        base_url=base_url,
        patience=patience,
        proxy=proxy,
        ca_file=ca_file,
        allow_http=allow_http,
    )
    filters = {
        "action": action or (),
        "category": category,
        "severity": severity,
        "outcome": outcome,
        "actor_id": actor_id,
        "actor_type": actor_type,
        "resource_type": resource_type,
        "resource_id": resource_id,
        "correlation_id": correlation_id,
        "application_id": application_id,
        "environment_id": environment_id,
        "q": q,
    }
    if not is_followed:
        read = logs.read_log(
            where,
            as_json=as_json,
            since=instant_of(since, "--since"),
            until=instant_of(until, "--until"),
            limit=limit,
            concurrency=concurrency,
            **filters,
        )
        run(read, secret=token)
        return
    how = logs.Following(
        checkpoint=checkpoint,
        umask=umask_of(umask),
        start="now" if start is None else start,
        every=60.0 if every is None else every,
        until_caught_up=until_caught_up,
    )
    following = logs.follow_log(where, how, as_json=as_json, **filters)
    run(following, secret=token, ends_by_signal=True)


@app.command()
def show(
    event: Annotated[str, typer.Argument(metavar="EVENT_ID", help="Its id.")],
    *,
    account: AccountOption,
    token: TokenOption,
    base_url: BaseUrlOption = None,
    patience: PatienceOption = 60.0,
    proxy: ProxyOption = None,
    ca_file: CaFileOption = None,
    allow_http: AllowHttpOption = False,
    as_json: JsonOption = None,
) -> None:
    """Show one event of the account's log, with those of its request and actor."""
    from canopy_async.cli.commands import events as reading  # noqa: PLC0415 - as above
    from canopy_async.cli.commands.log import show_event  # noqa: PLC0415 - as above

    shown = show_event(
        reading.Account(
            slug=account,
            token=token,
            base_url=base_url,
            patience=patience,
            proxy=proxy,
            ca_file=ca_file,
            allow_http=allow_http,
        ),
        event,
        as_json=as_json,
    )
    run(shown, secret=token)


@app.command()
def export(
    identity: Annotated[
        list[str] | None,
        typer.Argument(metavar="IDENTITY...", help="Their ids.", show_default=False),
    ] = None,
    *,
    account: AccountOption,
    token: TokenOption = "",
    out: Annotated[
        str,
        typer.Option(
            "--out",
            help="The directory to write to; run it again to add what is new.",
            show_default=False,
        ),
    ],
    base_url: BaseUrlOption = None,
    patience: PatienceOption = 60.0,
    proxy: ProxyOption = None,
    ca_file: CaFileOption = None,
    allow_http: AllowHttpOption = False,
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
            "--format", help="jsonl, jsonl.gz, jsonl.zst, csv, csv-bom or parquet."
        ),
    ] = "jsonl",
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            help="The earliest date or instant, in UTC if it does not say.",
            show_default=False,
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
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
        int, typer.Option("--max-file-bytes", help="The size to close a file at.")
    ] = 128 * 1024 * 1024,
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
    from canopy_async.cli.chosen_ids import chosen_ids  # noqa: PLC0415 - as above
    from canopy_async.cli.commands import events as reading  # noqa: PLC0415 - as above
    from canopy_async.cli.commands import export as exporting  # noqa: PLC0415 - as above

    if not out:
        raise typer.BadParameter("must not be empty", param_hint="--out")
    cluster = exporting.Cluster.of(scheduler, workers, token_from, token=token, out=out)
    source_account = reading.Account(
        slug=account,
        token=token,
        base_url=base_url,
        patience=patience,
        proxy=proxy,
        ca_file=ca_file,
        allow_http=allow_http,
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
        max_file_bytes=max_file_bytes,
        umask=umask_of(umask),
    )
    if cluster is None:
        run(
            exporting.export_events(source_account, ids, Path(out), **options),
            secret=token,
        )
        return
    from canopy_async.cli.commands import export_cluster as clustering  # noqa: PLC0415 - an extra

    clustering.export_on_cluster(source_account, ids, out, cluster, **options)


@app.command()
def verify(
    directory: Annotated[
        str,
        typer.Argument(metavar="DIRECTORY", help="Where an export is: a path or URL."),
    ],
    *,
    digest: Annotated[
        str | None,
        typer.Option(
            "--digest",
            help="The digest that its manifest must have, or have had before.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Say it as one object of JSON.")
    ] = False,
) -> None:
    """Tell whether an export is finished (0), not finished (3) or damaged (1)."""
    from canopy_async.cli.commands.verify import verify_files  # noqa: PLC0415 - as above

    verify_files(directory, digest=digest, as_json=as_json)


@app.command()
def identities(
    *,
    account: AccountOption,
    token: TokenOption,
    base_url: BaseUrlOption = None,
    patience: PatienceOption = 60.0,
    proxy: ProxyOption = None,
    ca_file: CaFileOption = None,
    allow_http: AllowHttpOption = False,
    q: SearchOption = None,
    order: OrderOption = None,
    sort_by: SortOption = None,
    status: Annotated[
        str | None, typer.Option("--status", help="active or inactive; both if none.")
    ] = None,
    limit: LimitOption = None,
    take: TakeOption = 100,
    concurrency: ConcurrencyOption = 8,
    as_json: JsonOption = None,
) -> None:
    """List the identities of the account."""
    from canopy_async.cli.commands import events as reading  # noqa: PLC0415 - for the others' speed

    read = reading.read_identities(
        reading.Account(
            slug=account,
            token=token,
            base_url=base_url,
            patience=patience,
            proxy=proxy,
            ca_file=ca_file,
            allow_http=allow_http,
        ),
        as_json=as_json,
        q=q,
        order=order,
        sort_by=sort_by,
        status=status,
        limit=limit,
        take=take,
        concurrency=concurrency,
    )
    run(read, secret=token)


@app.command()
def report(
    directory: Annotated[
        str,
        typer.Argument(metavar="DIRECTORY", help="Where an export is: a path or URL."),
    ],
    *,
    out: Annotated[Path, typer.Option("--out", help="The page to write.")] = Path(
        "report.html"
    ),
    latest: Annotated[
        int,
        typer.Option(
            "--latest", min=1, max=20_000, help="Rows in the table of latest events."
        ),
    ] = 2_000,
    top: Annotated[
        int,
        typer.Option("--top", min=1, max=100, help="Actors and actions to rank."),
    ] = 10,
    umask: UmaskOption = "077",
) -> None:
    """Make a page to look at of an export: one HTML file that loads nothing."""
    from canopy_async.cli.commands.report import report_on  # noqa: PLC0415 - as above

    report_on(directory, out, latest=latest, top=top, umask=umask_of(umask))


@app.command()
def demo(
    *,
    events: Annotated[
        int, typer.Option("--events", min=0, help="How many to make and read.")
    ] = 50_000,
    concurrency: ConcurrencyOption = 8,
    latency: LatencyOption = 5.0,
) -> None:
    """Read from a local server made up for it: no account, no network."""
    from canopy_async.cli.commands.demo import run_demo  # noqa: PLC0415 - for the others' speed

    run(run_demo(events=events, concurrency=concurrency, latency_ms=latency))


@app.command()
def serve(
    *,
    host: Annotated[
        str, typer.Option("--host", help="The address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, help="0 for a free one.")
    ] = 8787,
    rate: Annotated[
        float,
        typer.Option("--rate", min=0, help="Events added per second while it runs."),
    ] = 0.0,
    events: Annotated[
        int, typer.Option("--events", min=0, help="Events of each identity.")
    ] = 1_000,
    identities: Annotated[
        int, typer.Option("--identities", min=0, help="How many identities.")
    ] = 5,
    latency: LatencyOption = 0.0,
    seed: Annotated[
        int, typer.Option("--seed", help="The same seed makes the same rows.")
    ] = 0,
    path: Annotated[
        str | None,
        typer.Option(
            "--path", help="The SQLite file; one with identities is served as it is."
        ),
    ] = None,
) -> None:
    """Serve a local Canopy until Ctrl-C, which ends it with status 0."""
    from canopy_async.cli.commands import serve as serving  # noqa: PLC0415 - for the others' speed

    options = serving.ServeOptions(
        host=host,
        port=port,
        rate=rate,
        identities=identities,
        events=events,
        latency_ms=latency,
        seed=seed,
        path=path,
    )
    run(serving.serve(options), ends_by_signal=True)
