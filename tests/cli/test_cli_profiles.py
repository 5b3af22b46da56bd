"""Accounts by name: the file of profiles, and what beats what."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
import typer
from support.programs import command
from typer.testing import CliRunner

from canopy_async.cli.app import app
from canopy_async.cli.profiles import profiles_path, read_profile

SECRET = "tok-of-the-profile"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes the file of profiles into a home of its own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("CANOPY_ACCOUNT", "CANOPY_TOKEN", "CANOPY_BASE_URL"):
        monkeypatch.delenv(name, raising=False)

    def to_file(text, mode=0o600):
        path = profiles_path()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        return path

    return to_file


def invoke(*arguments, **variables):
    result = CliRunner().invoke(app, arguments, env=variables)
    assert SECRET not in result.output
    assert "Traceback" not in result.output
    return result


def of(server, source):
    account, url = server.account, server.base_url
    return f'[work]\naccount = "{account}"\nbase-url = "{url}"\n{source}\n'


async def ids(*arguments, **variables):
    async with (
        asyncio.timeout(30),
        command("identities", *arguments, env=os.environ | variables) as process,
    ):
        out, err = await process.communicate()
        assert (process.returncode, err) == (0, b"")
        return [json.loads(line)["id"] for line in out.splitlines()]


@pytest.mark.parametrize("source", ["token-env", "token-file", "command", "token"])
async def test_the_token_comes_from_where_the_profile_says(
    server, write, tmp_path, monkeypatch, source
):
    server.add_identity(id="idn_1")
    monkeypatch.setenv("ACME_TOKEN", server.token)
    (tmp_path / "token").write_text(f"{server.token}\n")
    printing = [sys.executable, "-c", f"print({server.token!r})"]
    lines = {
        "token-env": 'token-env = "ACME_TOKEN"',
        "token-file": 'token-file = "~/token"',
        "command": f"token-command = {json.dumps(printing)}",
        "token": f'token = "{server.token}"',
    }
    write(of(server, lines[source]))
    assert await ids("--profile", "work") == ["idn_1"]
    assert await ids(CANOPY_PROFILE="work") == ["idn_1"]


async def test_a_profile_beats_variables_and_an_option_beats_a_profile(
    server, write, tmp_path
):
    server.add_identity(id="idn_1")
    (tmp_path / "token").write_text(server.token)
    others = {
        "CANOPY_ACCOUNT": "other",
        "CANOPY_TOKEN": "other",
        "CANOPY_BASE_URL": "http://127.0.0.1:9",
    }
    write(of(server, 'token-file = "~/token"'))
    assert await ids("-p", "work", **others) == ["idn_1"]
    write(of(server, 'token = "wrong"').replace(server.account, "wrong"))
    token_file = str(tmp_path / "token")
    assert await ids(
        *("-p", "work", "--account", server.account, "--token-file", token_file),
        **others,
    ) == ["idn_1"]


async def test_a_token_file_beats_the_variable(server, tmp_path):
    server.add_identity(id="idn_1")
    path = tmp_path / "token"
    path.write_text(f"{server.token}\n")
    variables = {
        "CANOPY_ACCOUNT": server.account,
        "CANOPY_BASE_URL": server.base_url,
        "CANOPY_TOKEN": "another",
    }
    assert await ids("--token-file", str(path), **variables) == ["idn_1"]


def test_a_profile_without_a_token_does_not_send_that_of_the_variable(write):
    write('[work]\naccount = "acme"\n')
    result = invoke("identities", "-p", "work", CANOPY_TOKEN="of another account")
    assert result.exit_code == 2
    assert "--token: is missing" in result.output


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_token_in_a_file_that_others_may_read_is_refused(write, mode):
    write(f'[work]\naccount = "acme"\ntoken = "{SECRET}"\n', mode)
    result = invoke("identities", "--profile", "work")
    assert result.exit_code == 2
    assert "chmod 600" in result.output.replace("\n", " ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[home]\naccount = "a"\n', "no such profile; it has: home"),
        ('[work]\nacount = "a"\n', "acount is not one of account"),
        ('[work]\ntoken-env = "A"\ntoken-file = "b"\n', "exclude each other"),
        ("[work]\naccount = 7\n", "account must be a text"),
        ("[work]\ntoken-command = []\n", "token-command must be a text"),
        (f'[work]\ntoken = "{SECRET}" x\n', "is not TOML"),
        ('work = "acme"\n', "no such profile"),
    ],
)
def test_what_is_wrong_with_a_profile_is_said_of_it(write, text, said):
    path = write(text)
    with pytest.raises(typer.BadParameter) as caught:
        read_profile("work")
    assert caught.value.param_hint == "--profile work"
    assert said in caught.value.message
    assert str(path) in caught.value.message
    assert SECRET not in caught.value.message


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('token-env = "NOT_SET"', "token-env: the variable NOT_SET is not set"),
        ('token-file = "/nowhere"', "can't be read"),
        ('token-command = "false"', "token-command: it ended with status 1"),
        ('token-command = "no-such-program"', "token-command: can't be run"),
        ('token-command = "true"', "token-command: it printed nothing"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX programs")
def test_a_token_that_cannot_be_had_is_wrong_usage(write, source, said):
    write(f'[work]\naccount = "acme"\n{source}\n')
    result = invoke("identities", "-p", "work")
    assert result.exit_code == 2
    assert said in result.output


def test_without_the_file_the_error_names_its_place(write):
    path = write("")
    path.unlink()
    result = invoke("identities", "-p", "work", COLUMNS="400")
    assert result.exit_code == 2
    assert "profiles.toml can't be read" in result.output
    assert Path(path).name == "profiles.toml"
