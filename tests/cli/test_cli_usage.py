"""The command line's flags, help and imports, mostly without a server."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import canopy_async
from canopy_async import cli
from canopy_async.cli.app import app

SECRET = "tok-do-not-show"
ENV = {
    "CANOPY_ACCOUNT": "acme",
    "CANOPY_TOKEN": SECRET,
    "CANOPY_BASE_URL": "http://127.0.0.1:9",
    "COLUMNS": "200",
    "TERMINAL_WIDTH": "200",
}


def invoke(*arguments, **variables):
    result = CliRunner().invoke(app, arguments, env=ENV | variables)
    assert SECRET not in result.output
    return result


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["events", "idn_1", "--take", "101"], "--take: must be from 1 to 100"),
        (["events", "idn_1", "--limit", "-1"], "--limit: must be 0 or more"),
        (["events", "idn_1", "--concurrency", "0"], "--concurrency: must be 1"),
        (["events", "idn_1", "--order", "up"], "--order: must be one of"),
        (["events", ".."], "IDENTITY: must not be empty"),
        (["identities", "--status", "odd"], "--status: must be one of"),
        (["identities", "--account", ".."], "--account: must not be empty"),
        (["identities", "--token", "a b"], "--token: must be a str of visible ASCII"),
        (["identities", "--base-url", "ftp://x"], "--base-url: must be an absolute"),
        (["identities", "--base-url", "http://x.example"], "--base-url: must be https"),
        (["demo", "--concurrency", "0"], "--concurrency: must be 1 or more"),
        (["demo", "--events", "-1"], "--events"),
        (["serve", "--port", "65536"], "--port"),
        (["no-such-command"], "no-such-command"),
    ],
)
def test_a_bad_argument_is_wrong_usage_of_its_flag(arguments, said):
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("variable", ["CANOPY_ACCOUNT", "CANOPY_TOKEN"])
def test_missing_configuration_is_wrong_usage_and_names_the_variable(variable):
    result = invoke("events", "idn_1", **{variable: ""})
    assert result.exit_code == 2
    assert variable in result.output


@pytest.mark.parametrize("command", ["events", "identities"])
def test_help_names_the_variables_but_not_their_values(command):
    result = invoke(command, "--help")
    assert result.exit_code == 0
    for variable in ("CANOPY_ACCOUNT", "CANOPY_TOKEN", "CANOPY_BASE_URL"):
        assert variable in result.output
    assert ENV["CANOPY_BASE_URL"] not in result.output


def test_version():
    result = invoke("--version")
    assert result.output == f"canopy-async {canopy_async.__version__}\n"


@pytest.mark.parametrize("missing", ["rich", "typer"])
def test_without_the_extra_main_says_what_to_install(missing, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(SystemExit, match="install this library with its extra 'cli'"):
        cli.main()


def test_help_loads_neither_the_server_nor_what_only_reads_need():
    program = (
        "import sys, canopy_async.cli.app;"
        "print([n for n in ('cattrs', 'rich.table', 'rich.progress',"
        " 'canopy_async.testing.server') if n in sys.modules])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "[]"


def test_the_command_line_stands_on_the_public_api_only():
    allowed = {
        "canopy_async",
        "canopy_async.distributed",
        "canopy_async.export",
        "canopy_async.testing",
        # What any part of the package may use, and is of no use to others.
        "canopy_async._util.interrupts",
        "canopy_async._util.redaction",
    }
    for path in Path(cli.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom) or node.module is None:
                continue
            if not node.module.startswith("canopy_async"):
                continue
            assert node.module in allowed or node.module.startswith("canopy_async.cli")
            public = getattr(sys.modules.get(node.module), "__all__", None)
            if node.module in allowed and public is not None:
                assert {name.name for name in node.names} <= set(public)
