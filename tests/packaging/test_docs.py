"""The pages: every block of them runs, and everything that they name is there."""

import ast
import asyncio
import builtins
import inspect
import io
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
from support import check_site
from support.clusters import local_client
from support.markdown import PAGES, ROOT, Block, parse, slug, with_outputs
from support.programs import command, installed
from support.waiting import until

import canopy_async
from canopy_async import (
    AuditEvent,
    CanopySession,
    ReadReport,
    SessionStats,
    distributed,
    errors,
    export,
    hooks,
    testing,
)

HOMES = {
    "canopy_async": canopy_async,
    "canopy_async.distributed": distributed,
    "canopy_async.export": export,
    "canopy_async.testing": testing,
}
PYTEST_INI = """
[pytest]
asyncio_default_fixture_loop_scope = function
filterwarnings = error
"""
BLOCKS = [block for page in PAGES.values() for block in page.blocks]
PYTHON = [block for block in BLOCKS if block.language == "python"]
PYTEST = [block for block in PYTHON if "\nasync def test_" in block.code]
CLUSTER = [block for block in PYTHON if "tcp://" in block.code]
SHELL = [block for block in BLOCKS if block.language == "sh"]
MAY_BE_MISSING = {"altair", "opentelemetry"}
"""Packages that a block needs and that are no part of an older set-up."""

PROGRAM = "canopy-async "
ON_A_CLUSTER = "--dask "
OF_THE_PROGRAM = {"--help", "--install-completion", "--show-completion", "--version"}
OF_DEVELOPMENT = (
    "python3 -m venv .venv && ",
    ".venv/bin/pre-commit ",
    ".venv/bin/nox",
    ".venv/bin/python -m pytest ",
    ".venv/bin/ruff ",
    "pip install ",
)
PRIVATE = {"docs/architecture.md"}
"""Pages that name classes which are not public."""


def each(blocks):
    """Blocks to run; one that starts a cluster's processes is a slow test."""
    return [
        pytest.param(
            block,
            id=f"{block.page}, line {block.line}",
            marks=pytest.mark.slow if "--workers" in block.code else (),
        )
        for block in blocks
    ]


def block_with(text):
    (block,) = (block for block in PYTHON if text in block.code)
    return block


@pytest.fixture
def account(server, monkeypatch, tmp_path):
    """An account to read: events, identities, variables, a token in a file."""
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
    """Run a block as its reader would; return its names and its output."""
    for package in MAY_BE_MISSING:
        if re.search(rf"^(from|import) {package}\b", block.code, re.MULTILINE):
            pytest.importorskip(package)
    padded = "\n" * (block.line - 1) + block.code  # tracebacks say the page's line
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(padded, block.page, "exec", flags=flags, dont_inherit=True)
    printed = io.StringIO()
    async with CanopySession.from_env() as canopy:
        names = {"__name__": "page", "canopy": canopy}
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


@pytest.mark.parametrize("block", each(b for b in PYTHON if "asyncio.run(" in b.code))
async def test_a_first_program_prints_the_newest_events(account, block):
    _, printed = await run_block(block)
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


@pytest.mark.parametrize(
    ("function", "wanted"),
    [("watch", {"info", "critical"}), ("post_critical_events", {"critical"})],
)
async def test_a_bot_takes_each_of_its_events_once(account, tmp_path, function, wanted):
    names, _ = await run_block(block_with(f"async def {function}("))
    taken = asyncio.Queue()
    for _ in range(2):  # the second time from its file
        async with CanopySession.from_env() as canopy:
            path = tmp_path / "bot.db"
            looks = len(account.requests)
            bot = asyncio.create_task(
                names[function](canopy, ["idn_1"], taken.put, path, every=0.01)
            )
            await until(lambda asked=looks: len(account.requests) > asked + 2)
            new = [
                account.add_event("idn_1", severity=severity)
                for severity in ("info", "critical", "critical", "critical")
            ]
            ids = [event["id"] for event in new if event["severity"] in wanted]
            assert [(await taken.get()).id for _ in ids] == ids
            looks = len(account.requests)
            await until(lambda asked=looks: len(account.requests) > asked + 2)
            bot.cancel()
            with suppress(asyncio.CancelledError):
                await bot
    assert taken.empty()


async def test_the_bot_of_the_readme_takes_events_of_each_identity(account):
    names, _ = await run_block(block_with("async def watch_forever"))
    bot = asyncio.create_task(names["watch_forever"](None))

    def identities_asked():
        return {request.identity for request in account.requests} - {None}

    await until(lambda: len(identities_asked()) == 4)
    assert not bot.done()
    bot.cancel()
    with suppress(asyncio.CancelledError):
        await bot
    assert await asyncio.to_thread(Path("bot.db").exists)


@pytest.mark.parametrize("block", each(CLUSTER))
async def test_the_export_on_a_cluster_works(account, block):
    with local_client(processes=False) as client:
        code = (
            block.code.replace("tcp://scheduler:8786", client.scheduler.address)
            .replace("s3://bucket/out", "memory://page/out")
            .replace('"acme"', f'"acme", base_url="{account.base_url}"')
        )
        _, printed = await run_block(attrs.evolve(block, code=code))
    assert printed == "256 events by 4 tasks, 0 failed\n"


def lines_with(prefix):
    return [
        pytest.param(line, id=f"{block.page}: {line}")
        for block in SHELL
        for line in block.code.splitlines()
        if line.startswith(prefix)
    ]


def test_each_line_for_a_shell_is_of_a_kind_that_is_looked_at():
    for block in SHELL:
        for line in block.code.splitlines():
            assert line.startswith((PROGRAM, *OF_DEVELOPMENT)), line


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize("block", each(b for b in SHELL if PROGRAM in b.code))
async def test_the_commands_of_a_block_work_one_after_the_other(block):
    for line in block.code.splitlines():
        if not line.startswith(PROGRAM) or " serve " in line or ON_A_CLUSTER in line:
            continue
        _, *arguments = shlex.split(line)
        # Dask's processes end well in an interpreter of their own only.
        run = installed if "--workers" in arguments else command
        async with run(*arguments, env=os.environ) as process:
            out, err = await process.communicate()
        assert process.returncode == 0, (line, (out + err).decode())


@pytest.mark.parametrize("line", lines_with("canopy-async serve "))
async def test_a_command_that_serves_works(line):
    _, *arguments = shlex.split(line)
    arguments[arguments.index("--port") + 1] = "0"  # one that is free
    async with command(*arguments, env=os.environ) as process:
        said = await process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        rest, _ = await process.communicate()
    assert said.startswith(b"A local Canopy is listening")
    named = ("CANOPY_ACCOUNT", "CANOPY_TOKEN", "CANOPY_BASE_URL")
    assert all(f"export {name}=".encode() in rest for name in named)
    assert process.returncode == 0


def commands():
    """Return the options of each command, by its name."""
    from typer.main import get_command

    from canopy_async.cli.app import app

    return {
        name: {
            option for it in found.params for option in (*it.opts, *it.secondary_opts)
        }
        for name, found in get_command(app).commands.items()
    }


def test_a_command_has_the_options_that_a_line_gives_it():
    options = commands()
    for param in lines_with(PROGRAM):
        _, name, *arguments = shlex.split(param.values[0])
        given = {it for it in arguments if it.startswith("--")}
        assert given <= options[name], param.values[0]


def test_the_page_of_the_command_line_names_each_command_and_option():
    page = PAGES["docs/guide/cli.md"]
    options = commands()
    rows = page.table_after("| command | does |")
    assert {row[0].strip("`") for row in rows} == options.keys()
    every = {it for found in options.values() for it in found if it.startswith("--")}
    named = set(re.findall(r"`(--[a-z-]+)`", page.prose))
    assert named - OF_THE_PROGRAM == every


@pytest.mark.parametrize("line", lines_with(".venv/bin/nox -s "))
def test_a_session_that_is_named_exists(line):
    _, _, name, *_ = shlex.split(line)
    assert f"\ndef {name}(" in (ROOT / "noxfile.py").read_text(encoding="utf-8")


def test_the_sessions_that_ci_runs_exist():
    path = ROOT / ".github" / "workflows" / "ci.yml"
    if not path.exists():  # away from the source, as where the wheel is tested
        pytest.skip("there is no CI here")
    named = re.findall(r"nox .*-s (\w+)", path.read_text(encoding="utf-8"))
    text = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    assert set(named) == {"build", "coverage", "lowest", "tests"}
    assert all(f"\ndef {name}(" in text for name in named)


def test_the_sessions_that_a_night_runs_exist():
    path = ROOT / ".github" / "workflows" / "night.yml"
    if not path.exists():
        pytest.skip("there is no CI here")
    named = re.findall(r"session: (\w+)", path.read_text(encoding="utf-8"))
    text = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    assert {"free_seeds", "mutation", "soak", "fuzz"} <= set(named)
    assert all(f"\ndef {name}(" in text for name in named)


def test_ci_waits_for_each_of_its_jobs():
    path = ROOT / ".github" / "workflows" / "ci.yml"
    if not path.exists():
        pytest.skip("there is no CI here")
    text = path.read_text(encoding="utf-8")
    jobs = re.findall(r"^  (\S+):$", text.partition("\njobs:\n")[2], re.MULTILINE)
    awaited = re.search(r"needs: \[(.+)\]", text)[1].split(", ")
    assert sorted(jobs) == sorted([*awaited, "all-green"])


def test_the_sessions_that_contributors_are_told_of_are_all_there_are():
    rows = PAGES["CONTRIBUTING.md"].table_after("| session | does |")
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    text = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    assert named == set(
        re.findall(r"^@nox\.session.*\ndef (\w+)\(", text, re.MULTILINE)
    )


def test_no_line_installs_this_library_by_its_name_alone():
    """Somebody else could register the name on an index."""
    for line in lines_with("pip install "):
        assert re.search(r"\./|\.\./| @ git\+", line.values[0]), line.values[0]


@pytest.mark.parametrize("folder", ["canopy_async", "examples"])
def test_no_message_tells_to_install_this_library_by_its_name_alone(folder):
    home = Path(canopy_async.__file__).parent
    files = sorted((home if folder == home.name else ROOT / folder).rglob("*.py"))
    assert files
    for path in files:
        found = re.search(
            r"pip install[^\n#]*canopy[-_]async", path.read_text(encoding="utf-8")
        )
        assert not found, path


def test_the_variables_named_are_those_that_are_read():
    named = {
        name
        for page in PAGES.values()
        for name in re.findall(r"\bCANOPY_[A-Z_]+\b", page.prose)
    }
    ours = {"CANOPY_ACCOUNT", "CANOPY_BASE_URL", "CANOPY_PROFILE", "CANOPY_TOKEN"}
    assert named == ours | {"CANOPY_CI_BROWSER"}
    assert "CANOPY_CI_BROWSER" in PAGES["CONTRIBUTING.md"].prose


@pytest.mark.parametrize("page", list(PAGES.values()), ids=list(PAGES))
def test_each_link_leads_somewhere(page):
    assert len(set(page.anchors)) == len(page.anchors)
    for target in page.links:
        path, _, anchor = target.partition("#")
        found = (page.path.parent / path).resolve() if path else page.path
        assert found.is_file(), target
        if anchor:
            assert anchor in PAGES[found.relative_to(ROOT).as_posix()].anchors, target


def test_each_page_is_in_the_contents_of_the_site():
    contents = (
        (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    )
    listed = re.findall(r"(\S+\.md)$", contents, re.MULTILINE)
    pages = [name.removeprefix("docs/") for name in PAGES if name.startswith("docs/")]
    assert sorted(listed) == sorted(pages)


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
    assert name in HOMES[module].__all__


def named_classes():
    """The names in backticks that look like a class, with the part after a dot."""
    prose = "".join(page.prose for name, page in PAGES.items() if name not in PRIVATE)
    names = re.findall(r"`([A-Z][a-z]+[A-Za-z]*(?:\.\w+)*)\b[^`]*`", prose)
    no_classes = {"None", "False", "True", "Args", "Raises", "Returns"}
    headers = {"Date", "RateLimit", "Retry"}
    return sorted(set(names) - no_classes - headers)


@pytest.mark.parametrize("name", named_classes())
def test_a_class_that_is_named_exists(name):
    first, *rest = name.split(".")
    homes = [home for home in HOMES.values() if first in home.__all__]
    found = getattr(homes[0] if homes else builtins, first)
    for attribute in rest:
        fields = {field.name for field in getattr(found, "__attrs_attrs__", ())}
        assert attribute in fields or hasattr(found, attribute)


def test_the_reference_has_each_public_name_once():
    pages = [page for name, page in PAGES.items() if "/reference/" in name]
    shown = [
        name
        for page in pages
        for name in re.findall(r"^::: (\S+)$", page.text, re.MULTILINE)
    ]
    public = {
        f"{home}.{name}" for home, module in HOMES.items() for name in module.__all__
    }
    assert sorted(shown) == sorted(public)


def public_records():
    """The public classes that hold fields."""
    for home, module in HOMES.items():
        for name in module.__all__:
            found = getattr(module, name)
            if isinstance(found, type) and attrs.has(found):
                yield pytest.param(found, id=f"{home}.{name}")


@pytest.mark.parametrize("record", list(public_records()))
def test_each_field_of_a_public_class_is_documented(record):
    documented = "\n".join(inspect.getdoc(cls) or "" for cls in record.__mro__[:-1])
    for field in attrs.fields(record):
        if not field.name.startswith("_"):
            assert re.search(rf"^    {field.name}: ", documented, re.MULTILINE), field


def test_the_table_of_the_report_has_each_field():
    fields = [f"`{field.name}`" for field in attrs.fields(ReadReport)]
    rows = PAGES["docs/guide/proof.md"].table_after("## The report")
    assert [row[0] for row in rows] == fields


def test_the_table_of_proofs_has_each_proof():
    proofs = [f"`{proof}`" for proof in canopy_async.Proof]
    rows = PAGES["docs/guide/proof.md"].table_after("`proof` is a `Proof`")
    assert [row[0] for row in rows] == proofs


def test_the_table_of_records_has_each_field():
    rows = PAGES["docs/guide/observability.md"].table_after("A hook is a function")
    assert len(rows) == len(hooks.HookRecord.__args__)
    for name, _, listed in rows:
        record = getattr(canopy_async, name.strip("`"))
        fields = [f"`{field.name}`" for field in attrs.fields(record)]
        assert listed == ", ".join(fields)


def test_the_numbers_without_a_hook_are_all_named():
    prose = PAGES["docs/guide/observability.md"].prose
    listed = prose.partition("counts without a hook: ")[2].partition(".")[0]
    fields = [field.name for field in attrs.fields(SessionStats)]
    assert re.findall(r"`(\w+)`", listed) == fields


def test_the_fields_said_to_be_always_there_are_required():
    prose = PAGES["docs/guide/reading.md"].prose
    said = re.search(r"19 fields of the API\. (.+?) are always", prose, re.DOTALL)[1]
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


def test_no_group_of_dependencies_is_an_extra_of_the_wheel():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"].keys()
    assert not extras & project["dependency-groups"].keys()


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


def test_an_anchor_is_the_title_in_small_letters_with_dashes():
    assert slug("Errors, retries and `outages`") == "errors-retries-and-outages"


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/css">',
        '<link rel="preconnect" href="https://fonts.example">',
        '<img src="http://pictures.example/a.png">',
        '<p style="background: url(https://pictures.example/a.png)">',
        "<style>@import 'https://fonts.example/css';</style>",
        '<pre class="mermaid"><code>graph</code></pre>',
        '<a data-md-component="source" href="https://code.example/x">code</a>',
    ],
)
def test_a_page_that_loads_from_another_host_is_found(html):
    assert len(check_site.loaded_by(html)) == 1


def test_a_page_may_link_to_another_host_and_load_from_its_own():
    html = (
        '<a href="https://other.example">there</a><img src="../a.png">'
        '<link rel="canonical" href="https://own.example/">'
        "<style>body { background: url(a.png) }</style>"
    )
    assert check_site.loaded_by(html) == []


def test_the_site_is_searched_for_pages_and_styles(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "index.html").write_text('<img src="//a.example/x">')
    (tmp_path / "own.css").write_text("a { src: url('https://b.example/font') }")
    (tmp_path / "good.html").write_text("<p>https://c.example</p>")
    found = [address for _, address in check_site.findings(tmp_path)]
    assert sorted(found) == ["//a.example/x", "https://b.example/font"]
