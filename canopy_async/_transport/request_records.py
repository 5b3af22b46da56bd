"""Request records for hooks: an attempt ended, another will follow."""

from canopy_async._api.responses import Response
from canopy_async._transport.attempt import Fault
from canopy_async._transport.lanes import PageRequest
from canopy_async.errors import ApiError, CanopyError
from canopy_async.hooks import RequestFinished, RetryScheduled

__all__ = ["finished_record", "retry_record"]


def finished_record(
    request: PageRequest, outcome: Response | Fault, *, attempt: int, seconds: float
) -> RequestFinished:
    """Return the record of an attempt that was sent and has ended.

    Args:
        request: What was asked for.
        outcome: What the attempt ended with.
        attempt: Which attempt it was, 1 for the first.
        seconds: How long it took.
    """
    response = outcome if isinstance(outcome, Response) else None
    return RequestFinished(
        path=request.endpoint.template,
        page=request.page,
        take=request.take,
        attempt=attempt,
        status=response.status if response else None,
        seconds=seconds,
        size=len(response.body) if response else 0,
    )


def retry_record(
    request: PageRequest, error: CanopyError, *, attempt: int, wait: float
) -> RetryScheduled:
    """Return the record of a request that is sent again.

    Args:
        request: What is asked for.
        error: What the latest attempt ended with.
        attempt: Which attempt that was, 1 for the first.
        wait: Seconds until the next one.
    """
    status = error.status if isinstance(error, ApiError) else None
    return RetryScheduled(
        path=request.endpoint.template,
        page=request.page,
        attempt=attempt,
        wait=wait,
        reason=type(error).__name__ if status is None else str(status),
    )
