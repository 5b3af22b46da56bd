"""The options of every command that reads an account, and what they come to."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import typer

from canopy_async.cli.usage.option_group import OptionGroup
from canopy_async.cli.usage.shared import (
    AccountOption,
    AllowHttpOption,
    BaseUrlOption,
    CaFileOption,
    PatienceOption,
    ProfileOption,
    ProxyOption,
    QuietOption,
    TokenFileOption,
    TokenOption,
    VerboseOption,
)

if TYPE_CHECKING:
    from canopy_async.cli.commands.events import Account

__all__ = ["Connection", "with_connection"]


@attrs.frozen(kw_only=True)
class Connection:
    """The values of the options of a connection, as they were given.

    Attributes:
        named: The options that stand on the command line itself; the others come from
            variables or are defaults.
    """

    account: str
    token: str = attrs.field(repr=False)
    token_file: Path | None
    profile: str | None
    base_url: str | None
    patience: float
    proxy: str | None = attrs.field(repr=False)
    ca_file: Path | None
    allow_http: bool
    quiet: bool
    verbose: bool
    named: frozenset[str]

    def resolve(self, *, needs_token: bool = True) -> "Account":
        """Return the account to read.

        An option beats a profile, and a profile beats variables: a token of one
        account is never sent for another one by chance.

        Args:
            needs_token: Whether to refuse where there is no token.

        Raises:
            typer.BadParameter: Something is missing, or can't be used.
        """
        from canopy_async.cli.commands.events import Account
        from canopy_async.cli.profiles import read_profile

        if self.quiet and self.verbose:
            raise typer.BadParameter(
                "can't be used with --verbose", param_hint="--quiet"
            )
        slug, base_url = self.account, self.base_url
        profile = None
        if self.profile is not None:
            profile = read_profile(self.profile)
            if "account" not in self.named:
                slug = profile.account or ""
            if "base_url" not in self.named:
                base_url = profile.base_url
        if not slug:
            raise _missing("--account", "CANOPY_ACCOUNT")
        token = self._token()
        if token is None:
            token = (self.token if profile is None else profile.token()) or ""
        if not token and needs_token:
            raise _missing("--token", "CANOPY_TOKEN")
        return Account(
            slug=slug,
            token=token,
            base_url=base_url,
            patience=self.patience,
            proxy=self.proxy,
            ca_file=self.ca_file,
            allow_http=self.allow_http,
            quiet=self.quiet,
            verbose=self.verbose,
        )

    def _token(self) -> str | None:
        """Return the token that the command line itself names, None for none."""
        from canopy_async.cli.profiles import read_token_file

        if self.token_file is None:
            return self.token if "token" in self.named else None
        if "token" in self.named:
            raise typer.BadParameter(
                "can't be used with --token", param_hint="--token-file"
            )
        return read_token_file(self.token_file, "--token-file")


def _options(  # noqa: PLR0917 - its signature is all that it is for
    ctx: typer.Context,
    account: AccountOption = "",
    token: TokenOption = "",
    token_file: TokenFileOption = None,
    profile: ProfileOption = None,
    base_url: BaseUrlOption = None,
    patience: PatienceOption = 60.0,
    proxy: ProxyOption = None,
    ca_file: CaFileOption = None,
    allow_http: AllowHttpOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Have the options of a connection."""


def _given(ctx: typer.Context, **values: Any) -> Connection:
    named = frozenset(name for name in values if _is_on_command_line(ctx, name))
    return Connection(**values, named=named)


def _is_on_command_line(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _missing(option: str, variable: str) -> typer.BadParameter:
    return typer.BadParameter(
        f"is missing: give it, set {variable}, or name a --profile", param_hint=option
    )


with_connection: Final = OptionGroup("connection", _options, _given)
"""Gives a command these options, as its argument ``connection``: a `Connection`."""
