"""Checks that a session leaves no task, request or socket behind."""

import asyncio
import gc

from support.waiting import until


async def assert_quiet(server, *, but=()):
    """Check that no task of the client and no request is left."""
    await until(lambda: not clients_tasks(but), "tasks of the client are left")
    await until(lambda: server.in_flight == 0, "requests are left in flight")


async def assert_gone(session, server):
    """Close a session; check that no task, request or socket is left."""
    await session.aclose()
    await assert_quiet(server)
    await until(lambda: server.open_connections == 0, "sockets are left open")
    gc.collect()  # unclosed and never awaited objects now warn, which fails the test


def clients_tasks(but=()):
    """The tasks except the current one, the local server's, and those in ``but``."""
    return [
        task
        for task in asyncio.all_tasks()
        if task is not asyncio.current_task()
        and task not in but
        and "RequestHandler.start" not in repr(task.get_coro())
        and "aiohttp.web" not in repr(task.get_coro())
    ]
