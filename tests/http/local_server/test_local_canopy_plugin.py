"""The pytest plugin, in a pytest of its own, as a user has it."""

import asyncio
import os
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
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
    """Run tests in a pytest of its own: a module, or several by their names."""
    modules = {"test_user": code} if isinstance(code, str) else code
    for name, text in modules.items():
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
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


KINDS = {
    "a plain test": (
        (),
        """
        def test_user(local_canopy):
            assert ask(local_canopy) == 20
        """,
    ),
    "a plain test with a session": (
        (),
        """
        def test_user(local_canopy, canopy_session):
            local_canopy.seed_events("idn_1", 30)
            page = asyncio.run(canopy_session.page("idn_1"))
            assert len(page.items) == 20
        """,
    ),
    "asyncio, a loop for each test": (
        ASYNCIO,
        """
        @pytest.mark.asyncio
        async def test_user(local_canopy, canopy_session):
            assert ask(local_canopy) == 20  # it blocks the loop of this test
            assert len((await canopy_session.page("idn_1")).items) == 20

        @pytest.mark.asyncio
        async def test_other(canopy_session):
            async with canopy_session as canopy:
                assert await canopy.identities().collect() == []
        """,
    ),
    "asyncio, one loop for all": (
        (*ASYNCIO, "--asyncio-mode", "auto"),
        """
        @pytest.mark.asyncio(loop_scope="session")
        class TestAll:
            async def test_user(self, local_canopy, canopy_session):
                local_canopy.seed_events("idn_1", 30)
                assert len((await canopy_session.page("idn_1")).items) == 20

            async def test_other(self, local_canopy, canopy_session):
                local_canopy.seed_events("idn_1", 30)
                assert len(await canopy_session.events("idn_1").collect()) == 30
        """,
    ),
    "anyio": (
        ("-p", "anyio.pytest_plugin"),
        """
        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        @pytest.mark.anyio
        async def test_user(local_canopy, canopy_session):
            local_canopy.seed_events("idn_1", 30)
            assert len((await canopy_session.page("idn_1")).items) == 20
        """,
    ),
    "unittest": (
        (),
        """
        class TestUser(unittest.TestCase):
            def setUp(self):
                self.server = self.enterContext(LocalCanopy())

            def test_it(self):
                assert ask(self.server) == 20

        class TestAsync(unittest.IsolatedAsyncioTestCase):
            async def asyncSetUp(self):
                self.server = await self.enterAsyncContext(LocalCanopy())
                url = self.server.base_url
                canopy = CanopySession("acme", self.server.token, base_url=url)
                self.canopy = await self.enterAsyncContext(canopy)

            async def test_it(self):
                self.server.seed_events("idn_1", 30)
                assert len((await self.canopy.page("idn_1")).items) == 20
        """,
    ),
    "FastAPI's client": (
        (),
        """
        @pytest.mark.filterwarnings("ignore")
        def test_user(local_canopy):
            from fastapi import FastAPI
            from fastapi.testclient import TestClient

            local_canopy.seed_events("idn_1", 30)
            app = FastAPI()

            @app.get("/{identity_id}")
            async def newest(identity_id: str):
                async with CanopySession(
                    "acme", local_canopy.token, base_url=local_canopy.base_url
                ) as canopy:
                    return len((await canopy.page(identity_id)).items)

            assert TestClient(app).get("/idn_1").json() == 20
        """,
    ),
    "another process": (
        (),
        """
        def test_user(local_canopy):
            local_canopy.seed_events("idn_1", 3)
            env = os.environ | {
                "CANOPY_ACCOUNT": local_canopy.account,
                "CANOPY_TOKEN": local_canopy.token,
                "CANOPY_BASE_URL": local_canopy.base_url,
            }
            code = (
                "import asyncio, canopy_async as c;"
                "s = c.CanopySession.from_env();"
                "print(len(asyncio.run(s.events('idn_1').collect())))"
            )
            done = subprocess.run(
                [sys.executable, "-c", code], env=env, capture_output=True, text=True
            )
            assert done.stdout == "3\\n"
        """,
    ),
    "threads": (
        (),
        """
        def test_user(local_canopy):
            def work(number):
                local_canopy.seed_events(f"idn_{number}", 30)
                local_canopy.add_event(f"idn_{number}")
                local_canopy.fail_next(status=500, only=lambda request: False)
                ask(local_canopy)
                return local_canopy.count(f"idn_{number}")

            with ThreadPoolExecutor(8) as pool:
                assert set(pool.map(work, range(2, 34))) == {31}
        """,
    ),
}
PREAMBLE = """
import asyncio, json, os, subprocess, sys, unittest, urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from canopy_async import CanopySession
from canopy_async.testing import LocalCanopy


def ask(server):
    if not server.has_identity("idn_1"):
        server.seed_events("idn_1", 30)
    url = f"{server.base_url}/portal/v1/accounts/acme/identities/idn_1/audit"
    headers = {"Authorization": f"Bearer {server.token}"}
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=5) as answer:
        return len(json.load(answer)["items"])
"""


def check(output, passed):
    assert f"\n{passed} passed" in output, output
    assert "failed" not in output, output
    assert "error" not in output, output
    assert "warning" not in output, output
    # What a test waits for is the server's start and its end, and no time-out.
    slowest = [
        float(line.split("s ")[0]) for line in output.splitlines() if "s call " in line
    ]
    assert all(seconds < 5 for seconds in slowest), output


def count_of_tests(code):
    return code.count("def test_")


@pytest.mark.parametrize(
    "kind", [kind for kind, (options, _) in KINDS.items() if options]
)
async def test_the_fixtures_work_in_tests_of_any_kind(tmp_path, kind):
    options, code = KINDS[kind]
    module = PREAMBLE + textwrap.dedent(code)
    output = await run(tmp_path, module, *PLUGIN, *options, "--durations=3")
    check(output, passed=count_of_tests(code))


async def test_the_fixtures_work_in_tests_that_need_no_plugin_of_their_own(tmp_path):
    """They share a pytest, as starting one takes most of the time."""
    codes = [code for options, code in KINDS.values() if not options]
    assert len(codes) == 6
    modules = {
        f"test_kind_{number}": PREAMBLE + textwrap.dedent(code)
        for number, code in enumerate(codes)
    }
    output = await run(tmp_path, modules, *PLUGIN, "--durations=3")
    check(output, passed=sum(map(count_of_tests, codes)))


async def test_the_plugin_does_not_import_the_server(tmp_path):
    code = """
        import sys
        def test_user():
            assert "canopy_async.testing.plugin" in sys.modules
            assert "canopy_async.testing.server" not in sys.modules
    """
    output = await run(tmp_path, code, *PLUGIN)
    assert "1 passed" in output, output


async def test_the_plugin_imports_nothing_heavy_before_a_fixture_is_asked_for(tmp_path):
    code = """
    import sys

    HEAVY = {"aiohttp", "attrs", "backoff", "cattrs", "msgspec", "sqlite3", "yarl"}

    def test_nothing_was_imported():
        assert not HEAVY & set(sys.modules) - sys.were_there
        assert "canopy_async.testing.plugin" in sys.modules
    """
    # Where coverage is measured, that has imported some before anything else.
    before = "sys.were_there = {*sys.modules}"
    assert "1 passed" in await run(tmp_path, code, *PLUGIN, before=before)
