"""Options that narrow down the log of an account."""

from typing import Annotated, Any, Final

import typer

__all__ = [
    "ActionOption",
    "ActorIdOption",
    "ActorTypeOption",
    "ApplicationIdOption",
    "CategoryOption",
    "CorrelationIdOption",
    "EnvironmentIdOption",
    "OutcomeOption",
    "ResourceIdOption",
    "ResourceTypeOption",
    "SeverityOption",
    "filters_given",
]

_PANEL: Final = "Filters of the account's log"

ActionOption = Annotated[
    list[str] | None,
    typer.Option(
        "--action",
        help="An action; may be given several times.",
        rich_help_panel=_PANEL,
    ),
]
CategoryOption = Annotated[
    str | None,
    typer.Option("--category", help="The category.", rich_help_panel=_PANEL),
]
SeverityOption = Annotated[
    str | None,
    typer.Option("--severity", help="The severity, exactly.", rich_help_panel=_PANEL),
]
OutcomeOption = Annotated[
    str | None,
    typer.Option(
        "--outcome", help="success, failure or denied.", rich_help_panel=_PANEL
    ),
]
ActorIdOption = Annotated[
    str | None, typer.Option("--actor-id", help="The actor.", rich_help_panel=_PANEL)
]
ActorTypeOption = Annotated[
    str | None,
    typer.Option("--actor-type", help="The kind of actor.", rich_help_panel=_PANEL),
]
ResourceTypeOption = Annotated[
    str | None,
    typer.Option(
        "--resource-type", help="The kind of resource.", rich_help_panel=_PANEL
    ),
]
ResourceIdOption = Annotated[
    str | None,
    typer.Option("--resource-id", help="The resource.", rich_help_panel=_PANEL),
]
CorrelationIdOption = Annotated[
    str | None,
    typer.Option(
        "--correlation-id",
        help="What the events of one request share.",
        rich_help_panel=_PANEL,
    ),
]
ApplicationIdOption = Annotated[
    str | None,
    typer.Option("--application-id", help="The application.", rich_help_panel=_PANEL),
]
EnvironmentIdOption = Annotated[
    str | None,
    typer.Option("--environment-id", help="The environment.", rich_help_panel=_PANEL),
]


def filters_given(*, action: list[str] | None, **others: str | None) -> dict[str, Any]:
    """Return the filters that were given, by the names that a session has for them."""
    given: dict[str, Any] = {n: it for n, it in others.items() if it is not None}
    return given | {"action": tuple(action)} if action else given
