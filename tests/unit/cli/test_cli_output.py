"""Standard output of the command line, with readers that are slow or gone."""

import asyncio
import os
import sys
from typing import BinaryIO, TextIO

import attrs
import pytest

from canopy_async.cli.terminal.output import Output

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes to wait for")

LINES = b"".join(b"%07d\n" % number for number in range(50_000))


@attrs.define
class Pipe:
    """A pipe whose one end is standard output and whose other end is read."""

    reader: BinaryIO
    stdout: TextIO


@pytest.fixture
def pipe():
    ours, theirs = os.pipe()
    with os.fdopen(ours, "rb") as reader, os.fdopen(theirs, "w") as stdout:
        yield Pipe(reader, stdout)


async def test_all_of_a_long_write_arrives(pipe):
    writing = asyncio.create_task(Output(pipe.stdout).write(LINES))
    assert await asyncio.to_thread(pipe.reader.read, len(LINES)) == LINES
    await writing


async def test_a_reader_that_does_not_read_holds_up_neither_loop_nor_cancelling(pipe):
    writing = asyncio.create_task(Output(pipe.stdout).write(LINES))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not writing.done()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    pipe.stdout.close()
    arrived = pipe.reader.read()
    assert LINES.startswith(arrived)
    assert arrived.endswith(b"\n")


async def test_a_line_longer_than_a_chunk_arrives_whole(pipe):
    line = b"x" * 10_000 + b"\n"
    await Output(pipe.stdout).write(line)
    assert await asyncio.to_thread(pipe.reader.readline) == line


async def test_a_reader_that_left_is_noticed_at_once(pipe):
    pipe.reader.close()
    with pytest.raises(BrokenPipeError):
        await Output(pipe.stdout).write(b"{}\n")


async def test_a_file_is_written_in_one_go(tmp_path):
    path = tmp_path / "events.jsonl"
    with path.open("w") as stdout:
        await Output(stdout).write(LINES)
    assert path.read_bytes() == LINES


def test_a_closed_standard_output_is_an_error():
    with pytest.raises(OSError, match="standard output is closed"):
        Output(None)
