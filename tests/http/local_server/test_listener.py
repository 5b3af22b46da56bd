"""The port of a local server: no connection outlives it."""

import asyncio
import gc
import socket
import warnings

import pytest
from aiohttp import web

from canopy_async.testing.listener import Listener


async def answer(_request):
    return web.Response(text="here")


@pytest.mark.parametrize("turns", range(6))
async def test_a_connection_that_comes_while_the_server_ends_is_closed(turns):
    listener = await Listener.open(answer, "127.0.0.1", 0)
    # Blocking: the loop accepts the connection in one of its next turns.
    with socket.create_connection(("127.0.0.1", listener.port), timeout=5) as client:
        for _ in range(turns):
            await asyncio.sleep(0)
        with warnings.catch_warnings(record=True) as unclosed:
            warnings.simplefilter("always")
            await listener.refuse()
            await listener.close()
            await asyncio.sleep(0)  # a transport is closed in the turn after
            gc.collect()
        assert not unclosed
        assert is_closed(client)


async def test_a_listener_refuses_before_it_ends_what_is_open():
    listener = await Listener.open(answer, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    await listener.refuse()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
    assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    assert listener.open_connections == 1
    await listener.close()
    assert (await reader.read()).endswith(b"here")
    assert listener.open_connections == 0
    writer.close()
    await writer.wait_closed()


def is_closed(client):
    """Whether the other side has ended a connection, in order or not."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True
