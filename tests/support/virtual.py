"""An event loop whose clock jumps to the next timer: no test waits for time."""

import asyncio
import functools


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs as an ordinary loop does, in no time.

    Whenever nothing is ready, `time` moves to the earliest timer. Where there
    is none either, nothing will ever happen: that is an error, not a hang.
    Work that is done in another thread takes no time: none passes until it is done.
    """

    def __init__(self):
        super().__init__()
        self._virtual_now = 0.0
        self._in_threads = 0

    def time(self):
        return self._virtual_now

    def run_in_executor(self, executor, func, *args):
        work = super().run_in_executor(executor, func, *args)
        self._in_threads += 1
        work.add_done_callback(self._is_done)
        return work

    def _is_done(self, _work):
        self._in_threads -= 1

    def _run_once(self):
        if not (self._ready or self._in_threads):
            timers = [t.when() for t in self._scheduled if not t.cancelled()]
            if not timers:
                raise AssertionError("every task waits for what will never happen")
            self._virtual_now = max(self._virtual_now, min(timers))
        super()._run_once()


def run(coroutine):
    """Run a coroutine in virtual time, from instant 0."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)


def virtual(test):
    """Make a test of an async one, in virtual time."""

    @functools.wraps(test)
    def wrapper(*args, **kwargs):
        run(test(*args, **kwargs))

    return wrapper


def now():
    """The running loop's clock."""
    return asyncio.get_running_loop().time()


async def settle(turns=20):
    """Let the loop take some turns, without time passing."""
    for _ in range(turns):
        await asyncio.sleep(0)
