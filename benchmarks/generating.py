"""A client that is generated from the API's description while it is needed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

_DESCRIPTION = Path(__file__).parent / "contestants" / "audit.openapi.yaml"
_PATH = "PYTHONPATH"


@contextmanager
def generated_client() -> Iterator[None]:
    """Let processes started within import ``audit_client``.

    Raises:
        subprocess.CalledProcessError: The generator failed.
    """
    before = os.environ.get(_PATH)
    with TemporaryDirectory() as directory:
        _generate(Path(directory))
        os.environ[_PATH] = os.pathsep.join(filter(None, (directory, before)))
        try:
            yield
        finally:
            del os.environ[_PATH]
            if before is not None:
                os.environ[_PATH] = before


def _generate(directory: Path) -> None:
    config = directory / "config.yaml"
    config.write_text("post_hooks: []\n", encoding="utf-8")
    command = [sys.executable, "-m", "openapi_python_client", "generate"]
    command += ["--path", str(_DESCRIPTION), "--config", str(config)]
    command += ["--output-path", str(directory / "audit_client"), "--meta", "none"]
    subprocess.run(command, check=True, capture_output=True)
