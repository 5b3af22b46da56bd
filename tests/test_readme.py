"""The README: every block of it runs, and everything that it names is there."""

import ast
import asyncio
import builtins
import inspect
import io
import itertools
import os
import re
import shlex
import signal
import sys
import textwrap
import tomllib
from contextlib import redirect_stdout, suppress
from pathlib import Path

import attrs
import pytest
from aiohttp.test_utils import TestClient, TestServer
from support.clusters import local_client
from support.programs import command
from support.waiting import until

import canopy_async
from canopy_async import (
    AuditEvent,
    CanopySession,
    ReadReport,
    distributed,
    errors,
    export,
    hooks,
    testing,
)

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTEST_INI = """
[pytest]
asyncio_default_fixture_loop_scope = function
filterwarnings = error
"""
INSTALL = "python3 -m venv .venv && .venv/bin/pip install -q -e '.[{extra}]' && {then}"


@attrs.frozen(kw_only=True)
class Block:
    """A fenced block.

    Attributes:
        line: The number of its first line.
        heading: The heading above it.
        language: What its fence says.
        code: What is in it.
        output: The text block right after it, None if there is none.
    """

    line: int
    heading: str
    language: str
    code: str
    output: str | None = None


def parse(text):
    """Yields the blocks of a Markdown text, and its headings as (level, title)."""
    heading, opened = "", None
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if opened is None and line.startswith("```"):
            opened = number
        elif line.startswith("```"):
            code = "\n".join(lines[opened : number - 1]) + "\n"
            language = lines[opened - 1].removeprefix("```")
            yield Block(line=opened + 1, heading=heading, language=language, code=code)
            opened = None
        elif opened is None and (match := re.fullmatch(r"(#+) (.+)", line)):
            heading = match[2]
            yield heading


def with_outputs(blocks):
    """Gives each Python block the text block that follows it with no word between."""
    for block, after in itertools.pairwise([*blocks, None]):
        end = block.line + block.code.count("\n")
        if block.language == "python" and after and after.language == "text":
            follows = after.line == end + 3
            yield attrs.evolve(block, output=after.code if follows else None)
        else:
            yield block


PARSED = list(parse(README))
HEADINGS = [part for part in PARSED if isinstance(part, str)]
BLOCKS = list(with_outputs([part for part in PARSED if isinstance(part, Block)]))
PYTHON = [block for block in BLOCKS if block.language == "python"]
PYTEST = [block for block in PYTHON if "\nasync def test_" in block.code]
CLUSTER = [block for block in PYTHON if "tcp://" in block.code]
PROSE = re.sub(r"^```.*?^```$", "", README, flags=re.DOTALL | re.MULTILINE)


def each(blocks):
    return [pytest.param(b, id=f"{b.heading}, line {b.line}") for b in blocks]


def block_with(text):
    (block,) = (block for block in PYTHON if text in block.code)
    return block


def lines_under(heading):
    (block,) = (block for block in BLOCKS if block.heading == heading)
    assert block.language == "sh"
    return block.code.splitlines()


@pytest.fixture
def account(server, monkeypatch, tmp_path):
    """What the blocks find: events, identities, variables, a token in a file."""
    server.seed_events("idn_1", 250)
    for identity in server.seed_identities(3):
        server.seed_events(identity, 2)
    for name, value in variables(server).items():
        monkeypatch.setenv(name, value)
    (tmp_path / "canopy-token").write_text(f"{server.token}\n")
    monkeypatch.chdir(tmp_path)
    return server


def variables(server):
    return {
        "CANOPY_ACCOUNT": server.account,
        "CANOPY_TOKEN": server.token,
        "CANOPY_BASE_URL": server.base_url,
    }


async def run_block(block):
    """Runs a block as its reader would; returns its names and what it printed."""
    padded = "\n" * (block.line - 1) + block.code  # tracebacks say the README's line
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(padded, "README.md", "exec", flags=flags, dont_inherit=True)
    printed = io.StringIO()
    async with CanopySession.from_env() as canopy:
        names = {"__name__": "readme", "canopy": canopy}
        with redirect_stdout(printed):
            if code.co_flags & inspect.CO_COROUTINE:
                await eval(code, names)  # noqa: S307 - our own code
            else:  # a program of its own: it may run a loop of its own
                await asyncio.to_thread(exec, code, names)
    return names, printed.getvalue()


async def run_program(*arguments, **options):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        **options,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


def test_no_block_is_of_a_language_that_is_not_looked_at():
    assert {block.language for block in BLOCKS} == {"python", "sh", "text"}


@pytest.mark.parametrize("block", each(b for b in PYTHON if b not in PYTEST + CLUSTER))
@pytest.mark.usefixtures("account")
async def test_a_block_runs_and_prints_what_is_shown(block):
    _, printed = await run_block(block)
    assert block.output in {None, printed}


@pytest.mark.parametrize("block", each(PYTEST))
async def test_a_block_of_tests_passes_in_a_pytest_of_its_own(tmp_path, block):
    (tmp_path / "test_block.py").write_text(block.code)
    (tmp_path / "pytest.ini").write_text(PYTEST_INI)
    ours = {"PYTHONPATH": str(Path(canopy_async.__file__).parent.parent)}
    if "site-packages" in ours["PYTHONPATH"]:  # found without being told
        ours = {}
    others = ("anyio", "cacheprovider", "hypothesispytest", "randomly", "xdist")
    options = ("-q", *(f"-pno:{name}" for name in others))
    status, output = await run_program(
        *("-m", "pytest", *options), cwd=tmp_path, env=os.environ | ours
    )
    assert status == 0, output
    assert f"{block.code.count('async def test_')} passed" in output


@pytest.mark.usefixtures("account")
async def test_the_first_program_reads_what_the_server_holds(account):
    _, printed = await run_block(block_with("asyncio.run("))
    newest = account.events("idn_1", order="desc")[:5]
    shown = [f"{event['action']} {event['outcome']}" for event in newest]
    assert [line.split("+00:00 ")[1] for line in printed.splitlines()] == shown


async def test_the_web_app_answers(account):
    names, _ = await run_block(block_with("def make_app"))
    async with TestClient(TestServer(names["make_app"]())) as client:
        answer = await client.get("/identities/idn_1/events")
        assert answer.status == 200
        newest = account.event_ids("idn_1", order="desc")[:20]
        assert [event["id"] for event in await answer.json()] == newest
        for nobody in ("idn_nobody", "%2e%2e"):
            answer = await client.get(f"/identities/{nobody}/events")
            assert answer.status == 404
        account.fail_next(status=429, retry_after=10)
        answer = await client.get("/identities/idn_1/events")
        assert answer.status == 503


async def test_the_bot_posts_each_critical_event_once(account, tmp_path):
    names, _ = await run_block(block_with("async def watch"))
    posted = asyncio.Queue()
    added = []
    for _ in range(2):  # the second time from its file
        async with CanopySession.from_env() as canopy:
            path = tmp_path / "bot.db"
            looks = len(account.requests)
            bot = asyncio.create_task(
                names["watch"](canopy, ["idn_1"], posted.put, path, every=0.01)
            )
            await until(lambda asked=looks: len(account.requests) > asked + 2)
            account.add_event("idn_1", severity="info")
            new = [account.add_event("idn_1", severity="critical") for _ in range(3)]
            added += [event["id"] for event in new]
            assert [(await posted.get()).id for _ in new] == added[-3:]
            looks = len(account.requests)
            await until(lambda asked=looks: len(account.requests) > asked + 2)
            bot.cancel()
            with suppress(asyncio.CancelledError):
                await bot
    assert posted.empty()


async def test_the_export_on_a_cluster_works(account):
    (block,) = CLUSTER
    with local_client(processes=False) as client:
        code = (
            block.code.replace("tcp://scheduler:8786", client.scheduler.address)
            .replace("s3://bucket/out", "memory://readme/out")
            .replace('"acme"', f'"acme", base_url="{account.base_url}"')
        )
        _, printed = await run_block(attrs.evolve(block, code=code))
    assert printed == "256 events by 4 tasks, 0 failed\n"


def test_run_it_is_one_command_that_runs_the_demo():
    (line,) = lines_under("Run it")
    assert line == INSTALL.format(extra="cli", then=".venv/bin/canopy-async demo")


def test_test_it_is_one_command_that_runs_all_tests():
    (line,) = lines_under("Test it")
    assert line == INSTALL.format(extra="dev", then=".venv/bin/python -m pytest -q")


def test_the_commands_install_extras_that_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = set(re.findall(r"'\.\[(\w+)\]'", README))
    assert named == {"cli", "dev"}
    assert named <= project["optional-dependencies"].keys()
    assert "canopy-async" in project["scripts"]


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize(
    "line", [line for line in lines_under("The command line") if " serve " not in line]
)
async def test_a_command_works(line):
    program, *arguments = shlex.split(line)
    assert program == "canopy-async"
    async with command(*arguments, env=os.environ) as process:
        out, err = await process.communicate()
    assert process.returncode == 0, (out + err).decode()


async def test_the_command_that_serves_works():
    (line,) = (line for line in lines_under("The command line") if " serve " in line)
    _, *arguments = shlex.split(line)
    arguments[arguments.index("--port") + 1] = "0"  # one that is free
    async with command(*arguments, env=os.environ) as process:
        said = await process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        rest, _ = await process.communicate()
    assert said.startswith(b"A local Canopy is listening")
    assert all(f"export {name}=".encode() in rest for name in variables_named())
    assert process.returncode == 0


def variables_named():
    return sorted(set(re.findall(r"\bCANOPY_[A-Z_]+\b", PROSE)))


def test_the_variables_named_are_those_that_are_read():
    assert variables_named() == ["CANOPY_ACCOUNT", "CANOPY_BASE_URL", "CANOPY_TOKEN"]


def slug(title):
    """The anchor that a heading gets where the README is shown."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def test_each_link_leads_somewhere():
    targets = re.findall(r"\]\(([^)]+)\)", PROSE)
    anchors = [slug(title) for title in HEADINGS]
    assert len(set(anchors)) == len(anchors)
    for target in targets:
        if target.startswith("#"):
            assert target[1:] in anchors
        else:
            assert (ROOT / target).is_file(), target


def test_the_list_of_contents_is_in_order():
    start = HEADINGS.index("The guide") + 1
    listed = re.findall(r"^- \[(.+)\]\(#", PROSE, re.MULTILINE)
    titles = re.findall(r"^## (.+)$", PROSE, re.MULTILINE)
    assert [title for title in HEADINGS[start:] if title in titles] == [*listed, "More"]


def imported_names():
    for block in PYTHON:
        for node in ast.walk(ast.parse(block.code)):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    yield node.module, alias.name


@pytest.mark.parametrize(
    ("module", "name"),
    sorted({pair for pair in imported_names() if pair[0].startswith("canopy_async")}),
)
def test_what_a_block_imports_is_public(module, name):
    homes = {"canopy_async": canopy_async, "canopy_async.testing": testing}
    homes |= {"canopy_async.export": export, "canopy_async.distributed": distributed}
    assert name in homes[module].__all__


def named_classes():
    """The names in backticks that look like a class, with what follows a dot."""
    names = re.findall(r"`([A-Z][a-z]+[A-Za-z]*(?:\.\w+)*)\b[^`]*`", PROSE)
    no_classes = {"None", "False", "True"}
    headers = {"Date", "RateLimit", "Retry"}
    return sorted(set(names) - no_classes - headers)


@pytest.mark.parametrize("name", named_classes())
def test_a_class_that_is_named_exists(name):
    first, *rest = name.split(".")
    homes = [home for home in (canopy_async, testing, export) if first in home.__all__]
    found = getattr(homes[0] if homes else builtins, first)
    for attribute in rest:
        fields = {field.name for field in getattr(found, "__attrs_attrs__", ())}
        assert attribute in fields or hasattr(found, attribute)


def table_after(text):
    """The rows of the first table after a text, without its head."""
    lines = iter(PROSE[PROSE.index(text) :].splitlines())
    table = itertools.dropwhile(lambda line: not line.startswith("|"), lines)
    rows = list(itertools.takewhile(lambda line: line.startswith("|"), table))
    return [[cell.strip() for cell in row[1:-1].split("|")] for row in rows[2:]]


def test_the_table_of_the_report_has_each_field():
    fields = [f"`{field.name}`" for field in attrs.fields(ReadReport)]
    assert [row[0] for row in table_after("### The report")] == fields


def test_the_table_of_proofs_has_each_proof():
    proofs = [f"`{proof}`" for proof in canopy_async.Proof]
    assert [row[0] for row in table_after("`proof` is a `Proof`")] == proofs


def test_the_table_of_records_has_each_field():
    rows = table_after("A hook is a function")
    assert len(rows) == len(hooks.HookRecord.__args__)
    for name, _, listed in rows:
        record = getattr(canopy_async, name.strip("`"))
        fields = [f"`{field.name}`" for field in attrs.fields(record)]
        assert listed == ", ".join(fields)


def test_the_fields_said_to_be_always_there_are_required():
    said = re.search(r"19 fields of the API\. (.+?) are always", PROSE, re.DOTALL)[1]
    fields = attrs.fields(AuditEvent)
    required = {field.name for field in fields if field.default is attrs.NOTHING}
    assert set(re.findall(r"`(\w+)`", said)) == required
    assert len(fields) == 19 + 1  # and extra


def test_the_tree_of_errors_is_that_of_the_module():
    (tree,) = (block.code for block in BLOCKS if "├─ ApiError" in block.code)
    assert tree in inspect.getdoc(errors) + "\n"


def test_the_version_of_the_changelog_is_that_of_the_project():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert canopy_async.__version__ in changelog
    assert changelog.startswith("# Changelog\n")


def test_an_output_is_found_only_right_after_its_block():
    text = textwrap.dedent(
        """\
        # Title

        ```python
        1
        ```

        ```text
        one
        ```

        ```python
        2
        ```

        Word.

        ```text
        two
        ```
        """
    )
    blocks = [part for part in parse(text) if isinstance(part, Block)]
    outputs = [block.output for block in with_outputs(blocks)]
    assert outputs == ["one\n", None, None, None]
