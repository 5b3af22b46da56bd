"""Serve an identity's last events from a web application.

    pip install fastapi uvicorn  # and this library, as its README says
    CANOPY_ACCOUNT=acme CANOPY_TOKEN=… uvicorn fastapi_app:app

    GET /identities/idn_1/events?page=1&take=20

One session serves all requests: its limits hold over all of them.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeVar

from fastapi import Depends, FastAPI, HTTPException, Query, Request

from canopy_async import CanopyError, CanopySession, NotFoundError, converter

T = TypeVar("T")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep one session open as long as the application runs."""
    async with CanopySession.from_env() as app.state.canopy:
        yield


app = FastAPI(lifespan=lifespan)


def get_canopy(request: Request) -> CanopySession:
    """Return the application's session."""
    return request.app.state.canopy


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Do the work, but give it up when the client disconnects."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise HTTPException(499, "the client is gone")
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


@app.get("/identities/{identity_id}/events")
async def last_events(
    request: Request,
    identity_id: str,
    canopy: Annotated[CanopySession, Depends(get_canopy)],
    page: Annotated[int, Query(ge=1)] = 1,
    take: Annotated[int, Query(ge=1, le=100)] = 20,
) -> dict[str, Any]:
    """Return a page of an identity's events, the last ones first."""
    reading = canopy.page(identity_id, page, take=take, order="desc")
    try:
        found = await unless_gone(request, reading)
    except NotFoundError:
        raise HTTPException(404, "no such identity") from None
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
    except CanopyError as error:
        raise HTTPException(502, f"Canopy: {type(error).__name__}") from None
    return {
        "items": [converter.unstructure(event) for event in found.items],
        "page": found.pagination.page,
        "pages": found.pagination.page_count,
        "total": found.pagination.item_count,
    }
