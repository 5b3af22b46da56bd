"""One event of the account's log, by its id."""

from canopy_async._account.account_run import advise
from canopy_async._api.log_requests import NoQuery, event_endpoint
from canopy_async._api.log_responses import detail_from
from canopy_async._transport.lanes import PageRequest
from canopy_async._transport.transport import Transport
from canopy_async._util.arguments import check_segment
from canopy_async.errors import CanopyError
from canopy_async.models import EventDetail

__all__ = ["read_event"]


async def read_event(transport: Transport, account: str, event_id: str) -> EventDetail:
    """Return one event of an account's log, and the events it belongs to.

    Args:
        transport: Sends the request.
        account: The account's slug.
        event_id: The id of the event.

    Raises:
        TypeError: The id is not a str.
        ValueError: The id can't be one.
        CanopyError: The request failed.
    """
    transport.check_open()
    check_segment("event_id", event_id)
    request = PageRequest(
        endpoint=event_endpoint(account, event_id), query=NoQuery(), page=1, take=1
    )
    try:
        return detail_from(await transport.get(request))
    except CanopyError as error:
        advise(error)
        raise
