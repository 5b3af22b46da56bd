"""Standard output that never blocks the event loop."""

import asyncio
import errno
import os
import select
import stat
import sys
from typing import Final, TextIO

__all__ = ["Output"]

_CHUNK: Final = 4096
"""Bytes that a pipe takes without blocking if it is writable at all."""


class Output:
    """Standard output for bytes.

    A slow reader, such as a pager, must not block the event loop, or requests in flight
    would time out. Nothing is buffered: written bytes are out, and a reader that left
    is noticed at once.

    Args:
        stdout: ``sys.stdout``, or None if it is closed.

    Raises:
        OSError: Standard output is closed.
    """

    def __init__(self, stdout: TextIO | None) -> None:
        if stdout is None:
            raise OSError(errno.EBADF, "standard output is closed")
        stdout.flush()
        self._fd: Final = stdout.fileno()
        self._may_block: Final = _may_block(self._fd)

    async def write(self, data: bytes) -> None:
        """Write all of ``data``; split it between lines if possible.

        Raises:
            BrokenPipeError: The reader closed the pipe.
            OSError: The disk is full, or the like.
        """
        start = 0
        while start < len(data):
            end = len(data)
            if self._may_block:
                end = _end_of_chunk(data, start)
                await self._wait_until_writable()
            start += os.write(self._fd, memoryview(data)[start:end])

    async def _wait_until_writable(self) -> None:
        if select.select((), (self._fd,), (), 0)[1]:
            return
        loop = asyncio.get_running_loop()
        writable = loop.create_future()
        loop.add_writer(self._fd, _resolve, writable)
        try:
            await writable
        finally:
            loop.remove_writer(self._fd)


def _may_block(fd: int) -> bool:
    if sys.platform == "win32":  # select works only with sockets on Windows
        return False
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(fd)


def _end_of_chunk(data: bytes, start: int) -> int:
    end = start + _CHUNK
    if end >= len(data):
        return len(data)
    return data.rfind(b"\n", start, end) + 1 or end


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
