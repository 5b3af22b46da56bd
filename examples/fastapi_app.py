"""Serve an identity's last events from a web application.

    pip install fastapi uvicorn  # and this library, as its README says
    CANOPY_ACCOUNT=acme CANOPY_TOKEN=… uvicorn fastapi_app:app

    GET /identities/idn_1/events?take=20
    GET /identities/idn_1/events?take=20&cursor=…

Each answer has a cursor for the next page, until there is none. It is the checkpoint
of the read: events that come in the meantime move no page. One session serves all
requests: its limits hold over all of them, and nobody waits for long.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeVar

from fastapi import Depends, FastAPI, HTTPException, Query, Request

from canopy_async import (
    CanopyError,
    CanopySession,
    CheckpointError,
    EventStream,
    NotFoundError,
    RetryPolicy,
    converter,
)

T = TypeVar("T")
PATIENCE = 3.0
"""Seconds that a visitor waits for a server that is away."""
LONGEST_WAIT = 10.0
"""Seconds that a visitor waits at all."""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep one session open as long as the application runs."""
    retry = RetryPolicy(deadline=PATIENCE)
    async with CanopySession.from_env(retry=retry) as app.state.canopy:
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


async def read_page(stream: EventStream, take: int) -> dict[str, Any]:
    """Read the rows of a stream, and where to go on after them."""
    async with stream.open() as run:
        items = [converter.unstructure(event) async for event in run]
        cursor = run.checkpoint.dumps() if len(items) == take else None
    return {"items": items, "cursor": cursor}


@app.get("/identities/{identity_id}/events")
async def last_events(
    request: Request,
    identity_id: str,
    canopy: Annotated[CanopySession, Depends(get_canopy)],
    cursor: Annotated[str | None, Query(max_length=100_000)] = None,
    take: Annotated[int, Query(ge=1, le=100)] = 20,
) -> dict[str, Any]:
    """Return events of an identity, the last ones first."""
    try:
        stream = canopy.events(identity_id, order="desc", limit=take, resume=cursor)
    except CheckpointError:
        raise HTTPException(400, "this cursor is none of this list") from None
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
    try:
        async with asyncio.timeout(LONGEST_WAIT):
            return await unless_gone(request, read_page(stream, take))
    except NotFoundError:
        raise HTTPException(404, "no such identity") from None
    except TimeoutError:
        raise HTTPException(504, "Canopy takes too long") from None
    except CanopyError as error:
        raise HTTPException(502, f"Canopy: {type(error).__name__}") from None
