"""The window of rows that a query asks for: validation, rows, page metadata."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

import attrs
from aiohttp import web

from canopy_async.testing.dice import Dice
from canopy_async.testing.faults import Faults
from canopy_async.testing.refusal import RefusedError
from canopy_async.testing.request_log import parse_int
from canopy_async.testing.store import Entry, View

DEFAULT_TAKE = 20
EVENT_COLUMNS = (
    "created_at",
    "action",
    "actor_type",
    "actor_label",
    "resource_type",
    "resource_label",
    "outcome",
    "category",
    "severity",
    "id",
)
IDENTITY_COLUMNS = ("created_at", "email", "first_name", "last_name", "id")

_sort_key = itemgetter(0)


@attrs.frozen(kw_only=True)
class PageQuery:
    """A validated query.

    Attributes:
        page: The page as it is echoed.
        offset: How many rows come before it.
        take: How many rows it has at most.
        said_take: The ``take`` that is echoed.
        descending: Whether the list is read from its end.
        view: The rows that are paged over.
    """

    page: int
    offset: int
    take: int
    said_take: int
    descending: bool
    view: View


def parse_query(
    query: Mapping[str, str],
    *,
    columns: Sequence[str],
    page_limit: int,
    faults: Faults,
) -> PageQuery:
    """Validates the parameters of a page-based endpoint.

    Args:
        query: The decoded parameters.
        columns: The allowed values of ``sort_by``.
        page_limit: The largest allowed ``take``.
        faults: Those in force for this request.

    Returns:
        The query.

    Raises:
        RefusedError: With status 400 and a detail for each bad parameter.
    """
    details: list[str] = []
    first = 0 if faults.zero_based else 1
    page = _number(query, "page", first, (first, None), details)
    asked, take = _take(query, page_limit, faults, details)
    order = _choice(query, "order", ("asc", "desc"), details) or faults.default_order
    if faults.ignore_order:
        order = faults.default_order
    view = View(
        sort_by=_sort_by(query, columns, faults, details),
        term=query.get("q", ""),
        active=_status(query, details),
        assigned=_flag(query, "has_any_assignment", details),
        without_tag=_tag(query.get("not_in_app")),
    )
    if details:
        raise RefusedError(400, "Validation failed", details=details)
    return PageQuery(
        page=page,
        offset=(page - first) * take,
        take=take,
        said_take=take if faults.clamp_said else asked,
        descending=order == "desc",
        view=view,
    )


def window(
    entries: Sequence[Entry], query: PageQuery, *, faults: Faults, dice: Dice
) -> list[int]:
    """Picks the rows of one page.

    Ties come in the order of their insertion, in both directions, as a database
    gives them that sorts by one column only.

    Args:
        entries: The whole list, ascending.
        query: Which page.
        faults: Those in force for this request.
        dice: For ties and lists without an order.

    Returns:
        The numbers of the rows.
    """
    total = len(entries)
    low, high = query.offset, min(query.offset + query.take, total)
    if low >= high:
        return []
    if faults.unsorted:
        return [entries[place][1] for place in dice.sample(range(total), high - low)]
    if query.descending:
        low, high = total - high, total - low
    first = bisect_left(entries, _sort_key(entries[low]), key=_sort_key)
    last = bisect_right(entries, _sort_key(entries[high - 1]), key=_sort_key)
    ties = [
        [number for _, number in tie]
        for _, tie in groupby(entries[first:last], key=_sort_key)
    ]
    if faults.tie_order == "shuffled":
        for tie in ties:
            dice.shuffle(tie)
    if query.descending:
        ties.reverse()
    skip = last - high if query.descending else low - first
    return list(chain.from_iterable(ties))[skip : skip + high - low]


def page_meta(query: PageQuery, item_count: int, faults: Faults) -> dict[str, Any]:
    """The ``pagination`` of an answer, as the TypeORM page DTO computes it."""
    first = 0 if faults.zero_based else 1
    page_count = -(-item_count // query.take)
    return {
        "page": query.page,
        "take": query.said_take,
        "item_count": item_count,
        "page_count": page_count,
        "has_previous_page": query.page > first,
        "has_next_page": query.page < page_count - 1 + first,
    }


def refuse_repeated(request: web.BaseRequest) -> None:
    """Refuses a parameter that is given twice, which is a list to the server.

    Raises:
        RefusedError: With status 400.
    """
    repeated = [name for name in request.query if len(request.query.getall(name)) > 1]
    if repeated:
        details = [f"{name} must not be repeated" for name in dict.fromkeys(repeated)]
        raise RefusedError(400, "Validation failed", details=details)


def _take(
    query: Mapping[str, str], page_limit: int, faults: Faults, details: list[str]
) -> tuple[int, int]:
    if faults.take_ignored is not None:
        return faults.take_ignored, faults.take_ignored
    if faults.clamp_take is None:
        asked = _number(query, "take", DEFAULT_TAKE, (1, page_limit), details)
        return asked, asked
    asked = _number(query, "take", DEFAULT_TAKE, (1, None), details)
    return asked, min(asked, faults.clamp_take)


def _number(
    query: Mapping[str, str],
    name: str,
    default: int,
    bounds: tuple[int, int | None],
    details: list[str],
) -> int:
    if name not in query:
        return default
    number = parse_int(query[name])
    least, most = bounds
    if number is None:
        details.append(f"{name} must be an integer number")
        return default
    if number < least:
        details.append(f"{name} must not be less than {least}")
        return default
    if most is not None and number > most:
        details.append(f"{name} must not be greater than {most}")
        return default
    return number


def _choice(
    query: Mapping[str, str], name: str, allowed: Sequence[str], details: list[str]
) -> str | None:
    value = query.get(name)
    if value is None or value in allowed:
        return value
    listed = ", ".join(allowed)
    details.append(f"{name} must be one of the following values: {listed}")
    return None


def _sort_by(
    query: Mapping[str, str],
    columns: Sequence[str],
    faults: Faults,
    details: list[str],
) -> str:
    if faults.ignore_sort_by:
        return "created_at"
    if faults.reject_sort_by and "sort_by" in query:
        details.append("property sort_by should not exist")
    return _choice(query, "sort_by", columns, details) or "created_at"


def _status(query: Mapping[str, str], details: list[str]) -> bool | None:
    status = _choice(query, "status", ("active", "inactive"), details)
    return None if status is None else status == "active"


def _flag(query: Mapping[str, str], name: str, details: list[str]) -> bool | None:
    value = query.get(name)
    if value is None:
        return None
    if value not in {"true", "false"}:
        details.append(f"{name} must be a boolean value")
    return value == "true"


def _tag(slug: str | None) -> str | None:
    return f" {slug} " if slug else None
