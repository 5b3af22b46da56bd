"""Options that narrow down the log of an account."""

from typing import Annotated, Any, Final

import typer

from canopy_async.cli.usage.option_group import OptionGroup

__all__ = ["with_filters"]


def _filter(flag: str, described: str) -> Any:
    return typer.Option(
        flag, help=described, rich_help_panel="Filters of the account's log"
    )


def _options(  # noqa: PLR0917 - its signature is all that it is for
    action: Annotated[
        list[str] | None,
        _filter("--action", "An action; may be given several times."),
    ] = None,
    category: Annotated[str | None, _filter("--category", "The category.")] = None,
    severity: Annotated[
        str | None, _filter("--severity", "The severity, exactly.")
    ] = None,
    outcome: Annotated[
        str | None, _filter("--outcome", "success, failure or denied.")
    ] = None,
    actor_id: Annotated[str | None, _filter("--actor-id", "The actor.")] = None,
    actor_type: Annotated[
        str | None, _filter("--actor-type", "The kind of actor.")
    ] = None,
    resource_type: Annotated[
        str | None, _filter("--resource-type", "The kind of resource.")
    ] = None,
    resource_id: Annotated[
        str | None, _filter("--resource-id", "The resource.")
    ] = None,
    correlation_id: Annotated[
        str | None,
        _filter("--correlation-id", "What the events of one request share."),
    ] = None,
    application_id: Annotated[
        str | None, _filter("--application-id", "The application.")
    ] = None,
    environment_id: Annotated[
        str | None, _filter("--environment-id", "The environment.")
    ] = None,
) -> None:
    """Have the filters of the account's log."""


def _given(*, action: list[str] | None, **others: str | None) -> dict[str, Any]:
    """Return the filters that were given, by the names that a session has for them."""
    given: dict[str, Any] = {n: it for n, it in others.items() if it is not None}
    return given | {"action": tuple(action)} if action else given


with_filters: Final = OptionGroup("filters", _options, _given)
"""Gives a command these options, as its argument ``filters``: a dict by name."""
