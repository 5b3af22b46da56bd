"""Standard output, written without holding up the event loop."""

import asyncio
import errno
import os
import select
import stat
import sys
from typing import Final, TextIO

__all__ = ["Output"]

_CHUNK: Final = 4096
"""A pipe that has room at all takes this much without blocking."""


class Output:
    """Standard output as bytes.

    A slow reader (a pager, a full pipe) must not stop the loop, or requests
    in flight would time out behind it. Nothing is buffered: what was written
    is out, and a reader that left is noticed at once.

    Args:
        stdout: ``sys.stdout``, which is None where it was closed.

    Raises:
        OSError: It was closed.
    """

    def __init__(self, stdout: TextIO | None) -> None:
        if stdout is None:
            raise OSError(errno.EBADF, "standard output is closed")
        stdout.flush()
        self._fd: Final = stdout.fileno()
        self._may_block: Final = _may_block(self._fd)

    async def write(self, data: bytes) -> None:
        """Write all of ``data``, in whole lines where they fit.

        Raises:
            BrokenPipeError: The reader left.
            OSError: The disk is full, or the like.
        """
        start = 0
        while start < len(data):
            end = len(data)
            if self._may_block:
                end = _end_of_chunk(data, start)
                await self._has_room()
            start += os.write(self._fd, memoryview(data)[start:end])

    async def _has_room(self) -> None:
        if select.select((), (self._fd,), (), 0)[1]:
            return
        loop = asyncio.get_running_loop()
        room = loop.create_future()
        loop.add_writer(self._fd, _resolve, room)
        try:
            await room
        finally:
            loop.remove_writer(self._fd)


def _may_block(fd: int) -> bool:
    if sys.platform == "win32":  # select knows only sockets there
        return False
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(fd)


def _end_of_chunk(data: bytes, start: int) -> int:
    end = start + _CHUNK
    if end >= len(data):
        return len(data)
    return data.rfind(b"\n", start, end) + 1 or end


def _resolve(room: "asyncio.Future[None]") -> None:
    if not room.done():
        room.set_result(None)
