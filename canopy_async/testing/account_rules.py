"""The rules of an account's log on a local server, which are documented nowhere."""

from typing import Any, Literal

import attrs

from canopy_async._util.public import publish

__all__ = ["LogRules"]


def _positive(_: object, field: "attrs.Attribute[Any]", value: float | None) -> None:
    if value is not None and value <= 0:
        raise ValueError(f"{field.name} must be positive, not {value!r}")


def _rate(_: object, field: "attrs.Attribute[float]", value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{field.name} must be between 0 and 1, not {value!r}")


@attrs.frozen(kw_only=True)
class LogRules:
    """The rules by which a local server serves the log of its account.

    The defaults are what the API documents, or what it most probably does. Each field
    is one thing that is documented nowhere.

    Attributes:
        available: False answers 404, as an account without this log may.
        order: Whether the newest or the oldest rows come first.
        most: Rows per page at most.
        over_most: Whether a larger ``limit`` is refused with 400, or cut.
        end: Whether the last page has null for a cursor, or is an empty one with the
            cursor that was sent.
        empty_rate: How many pages are empty and have another cursor, from 0 to 1.
        cursor_milliseconds: Whether cursors are cut to milliseconds, so that rows of
            one millisecond are skipped.
        bounds_milliseconds: Whether ``from`` and ``to`` are cut to milliseconds.
        cursor_requests: For how many requests a cursor is valid; None is for ever.
        dead_cursor: The status of the answer to a cursor that is not valid any more.
        default_window: Whether a window that was not asked for stays with a cursor, or
            is counted from each request's time.
        widest_days: How many days a request may span; None is any number.
        future_to: Whether a ``to`` that is ahead of the server's clock is ``answered``,
            or ``refused`` with 400.
        unknown_values: Whether a category, severity or outcome that is not known is
            refused with 400, or matches nothing.
        detail: Whether one event is wrapped in ``data``, or bare.
        own_rows: Whether the row that each successful query writes is ``shown`` in this
            log, is ``hidden`` from it, or is not written at all (``none``).

    Example:
        ```python
        LocalCanopy(log_rules=LogRules(order="asc", over_most="cut", most=50))
        ```
    """

    available: bool = True
    order: Literal["desc", "asc"] = "desc"
    most: int = attrs.field(default=200, validator=_positive)
    over_most: Literal["refused", "cut"] = "refused"
    end: Literal["null", "echo"] = "null"
    empty_rate: float = attrs.field(default=0.0, validator=_rate)
    cursor_milliseconds: bool = False
    bounds_milliseconds: bool = False
    cursor_requests: int | None = attrs.field(default=None, validator=_positive)
    dead_cursor: int = 400
    default_window: Literal["frozen", "moving"] = "frozen"
    widest_days: float | None = attrs.field(default=None, validator=_positive)
    future_to: Literal["answered", "refused"] = "answered"
    unknown_values: Literal["refused", "nothing"] = "refused"
    detail: Literal["wrapped", "bare"] = "wrapped"
    own_rows: Literal["shown", "hidden", "none"] = "shown"


DOCUMENTED = LogRules()


publish("canopy_async.testing", LogRules)
