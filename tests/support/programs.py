"""Processes that start fast, as they are forked from one that imported all modules.

They are real processes, with pipes, terminals, signals and exit statuses. Starting the
interpreter and importing, which takes most of the time of a short command, is done
once for all of them. At their end, functions of ``atexit`` are not called. A program
that needs these, such as one with a Dask cluster, needs an interpreter of its own.
"""

import asyncio
import multiprocessing
import os
import random
import runpy
import signal
import sys
import sysconfig
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import asynccontextmanager, suppress
from multiprocessing import forkserver, reduction
from pathlib import Path

__all__ = ["command", "installed", "prepared", "script"]

_IMPORTED = (
    "canopy_async.distributed.shard",
    "canopy_async.cli.commands.demo",
    "canopy_async.cli.commands.export",
    "canopy_async.cli.commands.follow",
    "canopy_async.cli.terminal.progress_bar",
    "canopy_async.cli.commands.events",
    "canopy_async.cli.commands.report",
    "canopy_async.cli.commands.serve",
    "rich._emoji_codes",
    "typer.rich_utils",
)


def prepared():
    """Start multiprocessing's fork server, and return its context.

    All code that uses the fork server shares it, with the modules that it imported.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_IMPORTED))
    forkserver.ensure_running()
    return context


@asynccontextmanager
async def command(*arguments, **options):
    """Run ``canopy-async`` with arguments; kill it at the end of the ``with`` block.

    Options are those of `Process.start`.
    """
    async with _running(_command, ("canopy-async", *arguments), **options) as process:
        yield process


@asynccontextmanager
async def script(path, *arguments, **options):
    """Run a Python file with arguments; kill it at the end of the ``with`` block."""
    async with _running(_script, (path, *arguments), **options) as process:
        yield process


@asynccontextmanager
async def installed(*arguments, stdout=PIPE, **options):
    """Run the installed ``canopy-async`` in an interpreter of its own.

    It is killed at the end of the ``with`` block. Options are those of
    `subprocess.Popen`.
    """
    process = await asyncio.create_subprocess_exec(
        Path(sysconfig.get_path("scripts")) / "canopy-async",
        *arguments,
        stdin=DEVNULL,
        stdout=stdout,
        stderr=PIPE,
        **options,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def _running(main, arguments, **options):
    process = await Process.start(main, arguments, **options)
    try:
        yield process
    finally:
        process.kill()
        await process.wait()
        process.close()


class Process:
    """A process, with the part of asyncio's ``Process`` that the tests use.

    Attributes:
        stdout: The stream of its standard output, or None if it is not a pipe.
        stderr: The stream of its standard error, or None if it is not a pipe.
        returncode: Its exit status; negative if a signal ended it, None while it runs.
    """

    def __init__(self, process, readers, stdin):
        self._process = process
        self._stdin = stdin
        self._transports = [transport for transport, _ in readers.values()]
        self.stdout, self.stderr = (
            readers[number][1] if number in readers else None for number in (1, 2)
        )
        self.returncode = None
        self._ended = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(process.sentinel, self._end)

    @classmethod
    async def start(
        cls,
        main,
        arguments,
        *,
        env,
        cwd=None,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    ):
        """Start a process.

        Args:
            main: The function that it runs.
            arguments: Its ``sys.argv``.
            env: Its whole environment.
            cwd: Its working directory; by default that of this process.
            stdin: A file descriptor, `DEVNULL` or `PIPE`.
            stdout: A file descriptor or `PIPE`.
            stderr: A file descriptor or `PIPE`.
        """
        ours, theirs = {}, []
        for number, wanted in enumerate((stdin, stdout, stderr)):
            if wanted == DEVNULL:
                theirs.append(os.open(os.devnull, os.O_RDWR))
            elif wanted == PIPE:
                ends = os.pipe()
                ours[number], end = ends if number else reversed(ends)
                theirs.append(end)
            else:
                theirs.append(os.dup(wanted))
        process = prepared().Process(
            target=_become,
            args=(
                main,
                [os.fspath(argument) for argument in arguments],
                dict(env),
                os.fspath(cwd or Path.cwd()),
                [_Passed(fd) for fd in theirs],
            ),
        )
        process.start()
        for fd in theirs:
            os.close(fd)
        stdin = ours.pop(0, None)
        readers = {number: await _reader(fd) for number, fd in ours.items()}
        return cls(process, readers, stdin)

    def send_signal(self, number):
        """Send a signal, unless the process has ended."""
        if self.returncode is None:
            os.kill(self._process.pid, number)

    def kill(self):
        """Kill the process."""
        self.send_signal(signal.SIGKILL)

    async def wait(self):
        """Wait until the process ends, and return its exit status."""
        return await asyncio.shield(self._ended)

    async def communicate(self, text=None):
        """Write to the process, read all of its output, and wait until it ends."""
        if self._stdin is not None:
            await asyncio.to_thread(self._feed, text or b"")
        out, err = await asyncio.gather(_all_of(self.stdout), _all_of(self.stderr))
        await self.wait()
        return out, err

    def close(self):
        """Close the pipes to the process."""
        for transport in self._transports:
            transport.close()
        if self._stdin is not None:
            os.close(self._stdin)

    def _feed(self, text):
        fd, self._stdin = self._stdin, None
        with os.fdopen(fd, "wb") as file, suppress(BrokenPipeError):
            file.write(text)

    def _end(self):
        asyncio.get_running_loop().remove_reader(self._process.sentinel)
        self._process.join()
        self.returncode = self._process.exitcode
        self._process.close()
        self._ended.set_result(self.returncode)


class _Passed:
    """A file descriptor that pickling duplicates into the other process."""

    def __init__(self, fd):
        self._fd = fd

    def __reduce__(self):
        return _detached, (reduction.DupFd(self._fd),)


def _detached(passed):
    return passed.detach()


async def _all_of(stream):
    return None if stream is None else await stream.read()


async def _reader(fd):
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb", 0)
    )
    return transport, reader


def _become(main, arguments, env, directory, fds):
    """Set up the forked process like a new interpreter, and run ``main``."""
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
        os.close(fd)
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, "r" if number == 0 else "w", closefd=False)  # noqa: SIM115 - they last
        for number in range(3)
    )
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(directory)
    random.seed()
    sys.argv[:] = arguments
    main()


def _command():
    from canopy_async.cli import main  # not where tests run

    main()


def _script():
    sys.path.insert(0, str(Path(sys.argv[0]).parent))
    runpy.run_path(sys.argv[0], run_name="__main__")
