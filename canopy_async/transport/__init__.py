"""One GET over aiohttp: token, admission, attempts, size cap.

`connection` is what aiohttp is kept from or told about connections, `body` reads what
comes, and `transport` does the rest.
"""

from canopy_async._transport.lanes import Lane, Lanes, PageRequest
from canopy_async.transport.body import MAX_BODY
from canopy_async.transport.transport import Transport

__all__ = ["MAX_BODY", "Lane", "Lanes", "PageRequest", "Transport"]
