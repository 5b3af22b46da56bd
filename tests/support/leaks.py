"""That nothing is left behind."""

import asyncio
import gc

from support.waiting import until


async def assert_quiet(server, *, but=()):
    """No task but this one, no request in flight."""
    await until(lambda: not clients_tasks(but), "tasks of the client are left")
    await until(lambda: server.in_flight == 0, "requests are left in flight")


async def assert_gone(session, server):
    """After closing: no task, no request, no socket."""
    await session.aclose()
    await assert_quiet(server)
    await until(lambda: server.open_connections == 0, "sockets are left open")
    gc.collect()  # what is left unclosed or never awaited warns now, and fails


def clients_tasks(but=()):
    """The tasks that are neither this one nor the local server's."""
    return [
        task
        for task in asyncio.all_tasks()
        if task is not asyncio.current_task()
        and task not in but
        and "RequestHandler.start" not in repr(task.get_coro())
        and "aiohttp.web" not in repr(task.get_coro())
    ]
