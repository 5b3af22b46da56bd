"""Options that several commands have."""

from pathlib import Path
from typing import Annotated, Final

import typer

__all__ = [
    "AccountOption",
    "AllOption",
    "AllowHttpOption",
    "BaseUrlOption",
    "CaFileOption",
    "ConcurrencyOption",
    "DirectoryArgument",
    "IdentitiesArgument",
    "JsonOption",
    "LatencyOption",
    "LimitOption",
    "OrderOption",
    "PatienceOption",
    "ProfileOption",
    "ProxyOption",
    "QuietOption",
    "SearchOption",
    "SinceOption",
    "SortOption",
    "TakeOption",
    "TokenFileOption",
    "TokenOption",
    "UmaskOption",
    "UntilOption",
    "VerboseOption",
]

_CONNECTION: Final = "Connection"
_MESSAGES: Final = "Messages"

AccountOption = Annotated[
    str,
    typer.Option(
        "--account",
        "-a",
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
TokenFileOption = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        show_default=False,
        rich_help_panel=_CONNECTION,
        help="A file that holds the token.",
    ),
]
ProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile",
        "-p",
        envvar="CANOPY_PROFILE",
        show_default=False,
        rich_help_panel=_CONNECTION,
        help="An account by its name in the file of profiles, instead of variables.",
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
QuietOption = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        rich_help_panel=_MESSAGES,
        help="Say nothing of progress; warnings and errors are still said.",
    ),
]
VerboseOption = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        rich_help_panel=_MESSAGES,
        help="Say each request, retry and cooldown as it happens, on standard error.",
    ),
]
IdentitiesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="IDENTITY...", help="Their ids.", show_default=False),
]
AllOption = Annotated[
    bool, typer.Option("--all", help="Every identity of the account.")
]
DirectoryArgument = Annotated[
    str,
    typer.Argument(metavar="DIRECTORY", help="Where an export is: a path or URL."),
]
SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since",
        "-s",
        help="The earliest date or instant, in UTC if it does not say; or 24h, 7d,"
        " yesterday.",
        show_default=False,
    ),
]
UntilOption = Annotated[
    str | None,
    typer.Option(
        "--until", "-u", help="The first that is not wanted.", show_default=False
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
    int | None, typer.Option("--limit", "-n", help="How many rows in all at most.")
]
TakeOption = Annotated[int, typer.Option("--take", help="Rows per request, 1 to 100.")]
ConcurrencyOption = Annotated[
    int, typer.Option("--concurrency", "-c", help="Requests in flight at most.")
]
JsonOption = Annotated[
    bool | None,
    typer.Option(
        "--json/--table",
        show_default=False,
        help="Short for --output json and --output table.",
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
