"""The faults that can be ordered of a local server."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import attrs

from canopy_async._util.public import publish
from canopy_async.testing.dice import Dice

if TYPE_CHECKING:
    from canopy_async.testing.request_log import RecordedRequest

FailureKind = Literal["status", "html", "empty", "reset", "truncate", "hang", "stall"]
RetryAfter = float | str | None
Selector = Callable[["RecordedRequest"], bool]


@attrs.frozen(kw_only=True)
class Failure:
    """One way for a request to fail.

    Attributes:
        kind: ``status`` answers the error envelope, ``html`` the page of a proxy,
            ``empty`` no body at all; ``reset`` aborts the connection before a
            byte; ``truncate`` closes it after half of the body; ``hang`` never
            answers; ``stall`` stops after half of the body and keeps the
            connection open.
        status: The status of the first three kinds; 200 is allowed.
        retry_after: As in `Faults`.
        only: Which requests it may hit; None is any.
    """

    kind: FailureKind = "status"
    status: int = 503
    retry_after: RetryAfter = None
    only: Selector | None = None


def _rate(_: object, field: "attrs.Attribute[float]", value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{field.name} must be between 0 and 1, not {value!r}")


def _not_negative(_: object, field: "attrs.Attribute[Any]", value: float) -> None:
    if value < 0:
        raise ValueError(f"{field.name} must not be negative, not {value!r}")


def _positive(_: object, field: "attrs.Attribute[Any]", value: float | None) -> None:
    if value is not None and value <= 0:
        raise ValueError(f"{field.name} must be positive, not {value!r}")


@attrs.frozen(kw_only=True)
class Faults:
    """The misbehaviour of a local server; every field is off by default.

    Rates are probabilities of one request. The failure rates share one roll, so
    each is exact and their sum may be at most 1.

    Attributes:
        latency: Seconds that every answer takes at least.
        jitter: Up to so many seconds more, uniformly.
        straggler_rate: The rate of answers that take ``straggler_factor`` times longer.
        straggler_factor: How much longer stragglers take.
        serve_at: When the rows are read: on ``arrival`` of the request, at the
            ``departure`` of the answer, or in the ``middle`` of the latency. The
            last two let concurrent requests overtake each other.
        rate_limit: Requests per second; one more in any such window is answered
            429. A refused request does not count.
        retry_after: The ``Retry-After`` of 429 and ``status`` failures: a number of
            seconds, ``"seconds"`` or ``"date"`` for the true wait in either
            form, any other text as it is, or None for no header.
        error_rate: The rate of requests that get one of ``error_statuses``.
        error_statuses: The statuses to choose from.
        html_rate: The rate of requests that get an HTML page with status 502.
        empty_rate: The rate of requests that get status 502 and no body.
        reset_rate: The rate of requests whose connection is aborted before an answer.
        truncate_rate: The rate of requests that get half of the body, then the end of
            the connection.
        truncate_mode: Whether the cut body had a ``Content-Length`` or was chunked.
        hang_rate: The rate of requests that never get an answer.
        stall_rate: The rate of requests that get half of the body, then nothing more.
        redirect: Where to send every request with a 302.
        body: Bytes served with status 200 instead of every page.
        tamper: Called with each decoded page; what it returns is served.
        bad_row: Fields set on the last row of each page; ``...`` drops a field.
        clamp_take: A larger ``take`` is cut to this instead of refused.
        clamp_said: Whether a cut ``take`` is echoed, rather than the asked one.
        take_ignored: The page size whatever ``take`` says; it is echoed.
        past_end: How a page after the last one is answered.
        zero_based: The first page is 0.
        tie_order: Whether rows of equal sort key keep their order, or are shuffled
            for each request.
        unsorted: Rows come in a random order, another one each time.
        default_order: The order when the client does not ask for one.
        ignore_order: ``order`` is accepted and not obeyed.
        ignore_sort_by: ``sort_by`` is accepted, whatever it says, and not obeyed.
        reject_sort_by: Any ``sort_by`` is a 400.
        count_lag: ``item_count`` is the one of so many requests for this list ago.
        insert_per_request: How many new events each read of a log appends to
            it; 0.25 is one in every fourth.
        delete_per_request: How many of its oldest events each read deletes.
        writes_on_read: Each read appends one ``audit.query.executed`` event.
        mutate: Called with the `LocalCanopy` and the request at each read of a list.
            What it raises is logged by ``aiohttp.server`` and answered 500.
        write_at: When these inserts, deletes and calls happen: ``before`` the COUNT,
            ``between`` COUNT and SELECT, or ``after`` the SELECT.
        only: Which requests the faults apply to; None is all.

    Example:
        ```python
        Faults(latency=0.05, error_rate=0.02, only=lambda r: r.attempt == 1)
        ```
    """

    latency: float = attrs.field(default=0.0, validator=_not_negative)
    jitter: float = attrs.field(default=0.0, validator=_not_negative)
    straggler_rate: float = attrs.field(default=0.0, validator=_rate)
    straggler_factor: float = attrs.field(default=10.0, validator=_not_negative)
    serve_at: Literal["arrival", "middle", "departure"] = "middle"

    rate_limit: float | None = attrs.field(default=None, validator=_positive)
    retry_after: RetryAfter = None
    error_rate: float = attrs.field(default=0.0, validator=_rate)
    error_statuses: tuple[int, ...] = (500, 502, 503)
    html_rate: float = attrs.field(default=0.0, validator=_rate)
    empty_rate: float = attrs.field(default=0.0, validator=_rate)
    reset_rate: float = attrs.field(default=0.0, validator=_rate)
    truncate_rate: float = attrs.field(default=0.0, validator=_rate)
    truncate_mode: Literal["length", "chunked"] = "length"
    hang_rate: float = attrs.field(default=0.0, validator=_rate)
    stall_rate: float = attrs.field(default=0.0, validator=_rate)
    redirect: str | None = None

    body: bytes | None = None
    tamper: Callable[[dict[str, Any]], object] | None = None
    bad_row: Mapping[str, Any] | None = None

    clamp_take: int | None = attrs.field(default=None, validator=_positive)
    clamp_said: bool = True
    take_ignored: int | None = attrs.field(default=None, validator=_positive)
    past_end: Literal["empty", "404"] = "empty"
    zero_based: bool = False

    tie_order: Literal["stable", "shuffled"] = "stable"
    unsorted: bool = False
    default_order: Literal["asc", "desc"] = "desc"
    ignore_order: bool = False
    ignore_sort_by: bool = False
    reject_sort_by: bool = False

    count_lag: int = attrs.field(default=0, validator=_not_negative)
    insert_per_request: float = attrs.field(default=0.0, validator=_not_negative)
    delete_per_request: float = attrs.field(default=0.0, validator=_not_negative)
    writes_on_read: bool = False
    mutate: "Callable[[Any, RecordedRequest], object] | None" = None
    write_at: Literal["before", "between", "after"] = "before"

    only: Selector | None = None

    def __attrs_post_init__(self) -> None:
        """Refuses failure rates that can not all be met.

        Raises:
            ValueError: If they sum up to more than 1.
        """
        total = sum(rate for rate, _ in self._failures())
        if total > 1 + 1e-9:
            raise ValueError(f"the failure rates sum up to {total}, more than 1")

    def applying_to(self, request: "RecordedRequest") -> "Faults":
        """These faults if ``only`` selects the request, else no faults."""
        if self.only is None or self.only(request):
            return self
        return NO_FAULTS

    def draw_failure(self, dice: Dice) -> Failure | None:
        """Rolls once for the failure of one request.

        Args:
            dice: Where the roll comes from; not used when no failure is on.

        Returns:
            The failure, or None.
        """
        if not any(rate for rate, _ in self._failures()):
            return None
        roll = dice.random()
        for rate, kind in self._failures():
            if roll < rate:
                return self._failure(kind, dice)
            roll -= rate
        return None

    def draw_delay(self, dice: Dice) -> float:
        """Rolls for the seconds that one answer takes."""
        delay = self.latency
        if self.jitter:
            delay += dice.uniform(0, self.jitter)
        if dice.hits(self.straggler_rate):
            delay *= self.straggler_factor
        return delay

    def _failures(self) -> tuple[tuple[float, FailureKind], ...]:
        return (
            (self.error_rate, "status"),
            (self.html_rate, "html"),
            (self.empty_rate, "empty"),
            (self.reset_rate, "reset"),
            (self.truncate_rate, "truncate"),
            (self.hang_rate, "hang"),
            (self.stall_rate, "stall"),
        )

    def _failure(self, kind: FailureKind, dice: Dice) -> Failure:
        if kind != "status":
            return Failure(kind=kind, status=502)
        status = dice.choice(self.error_statuses)
        return Failure(status=status, retry_after=self.retry_after)


NO_FAULTS = Faults()


publish("canopy_async.testing", Failure, Faults)
