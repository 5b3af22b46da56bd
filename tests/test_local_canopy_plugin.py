"""The pytest plugin, in a pytest of its own, as a user has it."""

import asyncio
import os
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PLUGIN = ("-p", "canopy_async.testing.plugin")
ASYNCIO = (
    *("-p", "pytest_asyncio.plugin"),
    *("-o", "asyncio_default_fixture_loop_scope=function"),
)
USERS_TEST = """
import pytest

pytestmark = pytest.mark.asyncio

async def test_server(local_canopy):
    local_canopy.seed_events("idn_1", 30)
    assert local_canopy.base_url.startswith("http://127.0.0.1:")

async def test_session(local_canopy, canopy_session):
    local_canopy.seed_events("idn_1", 30)
    page = await canopy_session.page("idn_1")
    assert len(page.items) == 20
    assert local_canopy.requests[0].status == 200
"""


async def run(tmp_path, code, *options, before="pass"):
    (tmp_path / "test_user.py").write_text(textwrap.dedent(code))
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    starter = (
        f"import sys; {before}; import pytest; sys.exit(pytest.main(sys.argv[1:]))"
    )
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", starter, "-q", *options),
        cwd=tmp_path,
        env=os.environ | alone,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return output.decode()


@pytest.mark.parametrize("mode", ["auto", "strict"])
async def test_the_fixtures_work_in_either_mode(tmp_path, mode):
    options = (*ASYNCIO, *PLUGIN, "--asyncio-mode", mode)
    output = await run(tmp_path, USERS_TEST, *options)
    assert "2 passed" in output, output
    assert "warning" not in output


async def test_without_pytest_asyncio_the_fixtures_say_so(tmp_path):
    code = "def test_user(canopy_session): ...\ndef test_other(): ..."
    missing = "sys.modules['pytest_asyncio'] = None"
    output = await run(tmp_path, code, *PLUGIN, before=missing)
    assert "pip install pytest-asyncio" in output, output
    assert "1 passed, 1 error" in output


async def test_the_plugin_does_not_import_the_server(tmp_path):
    code = """
        import sys
        def test_user():
            assert "canopy_async.testing.plugin" in sys.modules
            assert "canopy_async.testing.server" not in sys.modules
    """
    output = await run(tmp_path, code, *PLUGIN)
    assert "1 passed" in output, output
