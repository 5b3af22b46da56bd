"""The processes of a run: the server, and each measurement on the other core."""

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@contextmanager
def running_server() -> Iterator[str]:
    """Start a raw server; yield its base URL."""
    command = [sys.executable, str(HERE / "server.py")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()


def measured(function: str, **arguments: Any) -> Any:
    """Call ``module:function`` in a new process; return what it returns.

    Raises:
        RuntimeError: It failed; the message is its traceback.
    """
    command = [sys.executable, str(HERE / "measure.py"), function]
    done = subprocess.run(
        [*command, json.dumps(arguments)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{function} {arguments}: {done.stderr}")
    return json.loads(done.stdout)


def in_turns(
    repeats: int, ways: Mapping[str, Callable[[], dict[str, Any]]]
) -> dict[str, list[dict[str, Any]]]:
    """Measure each way so often, by turns: what the machine does, it does to all."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, measure in ways.items():
            runs[name].append(measure())
    return runs


def main() -> None:
    """Be that process."""
    from cores import pin  # the parent is not pinned

    pin("client")
    module, _, name = sys.argv[1].partition(":")
    function = getattr(importlib.import_module(module), name)
    print(json.dumps(function(**json.loads(sys.argv[2]))))


if __name__ == "__main__":
    main()
