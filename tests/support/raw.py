"""A TCP server that answers with given bytes, for tests of broken HTTP."""

import asyncio
from contextlib import asynccontextmanager


@asynccontextmanager
async def raw_server(answer):
    """Answer each connection once, and close it.

    Args:
        answer: The bytes of the answer, or a function of the raw request.

    Yields:
        The base URL, and the raw requests so far.
    """
    requests = []
    handlers = set()

    async def handle(reader, writer):
        handlers.add(asyncio.current_task())
        try:
            requests.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer(requests[-1]) if callable(answer) else answer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            handlers.discard(asyncio.current_task())

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", requests
    finally:
        server.close()
        await server.wait_closed()
        if handlers:
            await asyncio.wait(handlers)


def http(status, body=b"", **headers):
    """The bytes of a complete HTTP response."""
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{k}: {v}\r\n" for k, v in fields.items() if v is not None)
    return f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body
