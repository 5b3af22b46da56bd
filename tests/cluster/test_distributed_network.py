"""The workers' way to the server, and the owner of their files."""

import asyncio
import base64
import functools
import os
import stat
import sys

import pytest
from support.clusters import TOKEN_VARIABLE, exported, local_client, local_server
from support.exports import truth
from support.networks import proxy_to, tls_before
from support.programs import installed

from canopy_async import ExportError, RetryPolicy, TransportError
from canopy_async.distributed import driver, export
from canopy_async.distributed.network import Network
from canopy_async.export import verify

IDS = ["idn_1", "idn_2", "idn_3"]
PROXY = "CANOPY_TEST_PROXY"


@pytest.fixture(scope="module")
def client():
    with local_client(processes=False) as made:
        yield made


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(driver, "BEAT", 0.05)


@pytest.fixture
async def server():
    async with local_server() as local:
        for identity_id in IDS:
            local.add_identity(id=identity_id)
            local.seed_events(identity_id, 120)
        yield local


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def run(client, server, out):
    async def start(**options):
        options = {
            "account": server.account,
            "base_url": server.base_url,
            "token": f"env:{TOKEN_VARIABLE}",
            "retry": RetryPolicy(base=0.01, deadline=1),
        } | options
        call = functools.partial(export, client, IDS, out, **options)
        return await asyncio.to_thread(call)

    return start


def basic(user):
    return f"Basic {base64.b64encode(user.encode()).decode()}"


def modes(directory):
    return {stat.S_IMODE(path.lstat().st_mode) for path in directory.iterdir()}


async def test_workers_go_through_a_proxy_to_a_host_without_tls(run, server, out):
    async with proxy_to(server) as proxy:
        result = await run(
            base_url="http://canopy:8080",
            proxy=f"http://{proxy.address}",
            allow_http=True,
        )
    assert result.complete == 3
    assert exported(out) == truth(server, *IDS)
    assert len(proxy.asked) == len(server.requests)
    assert all(line.startswith("GET http://canopy:8080/") for line, _ in proxy.asked)


async def test_a_proxy_with_credentials_is_named_by_a_variable_of_the_workers(
    run, server, monkeypatch
):
    async with proxy_to(server) as proxy:
        monkeypatch.setenv(PROXY, f"http://ada:pa55word@{proxy.address}")
        assert (await run(proxy=f"env:{PROXY}")).complete == 3
    said = {headers["Proxy-Authorization"] for _, headers in proxy.asked}
    assert said == {basic("ada:pa55word")}


@pytest.mark.parametrize(
    ("found", "said"),
    [(None, "is not set on a worker"), ("pa55word", "is not the URL of an HTTP proxy")],
)
async def test_a_worker_without_that_proxy_is_told_of(run, monkeypatch, found, said):
    monkeypatch.delenv(PROXY, raising=False)
    if found is not None:
        monkeypatch.setenv(PROXY, found)
    with pytest.raises(ExportError, match=f"{PROXY} {said}") as caught:
        await run(proxy=f"env:{PROXY}")
    assert "pa55word" not in str(caught.value)


async def test_workers_trust_the_authorities_of_a_file_and_no_others(
    run, server, out, tmp_path
):
    async with tls_before(server, tmp_path) as (base_url, ca_file):
        with pytest.raises(
            TransportError, match=r"certificate of 127\.0\.0\.1 is not trusted"
        ):
            await run(base_url=base_url)
        assert (await run(base_url=base_url, ca_file=ca_file)).complete == 3
    assert exported(out) == truth(server, *IDS)


@pytest.mark.parametrize(
    ("options", "cls", "said"),
    [
        ({"proxy": "http://ada:pa55word@p:1"}, ValueError, "proxy must hold no passwo"),
        ({"proxy": "p:1"}, ValueError, "proxy must be the URL of an HTTP proxy"),
        ({"proxy": 5}, TypeError, "proxy must be"),
        ({"ca_file": "nowhere.pem"}, ValueError, "ca_file can't be used: No such"),
        ({"ca_file": __file__}, ValueError, "ca_file can't be used"),
        ({"allow_http": "yes"}, TypeError, "allow_http must be"),
        ({"umask": 0o1000}, ValueError, "umask must be"),
    ],
)
async def test_what_can_not_be_used_is_refused_at_the_call(
    run, out, options, cls, said
):
    with pytest.raises(cls, match=f"^{said}") as caught:
        await run(**options)
    assert "pa55word" not in str(caught.value)
    assert not out.exists()


def test_a_network_names_no_secret():
    network = Network.of(proxy=f"env:{PROXY}", ca_file=None, allow_http=False)
    assert (network.proxy, network.authorities) == (f"env:{PROXY}", None)
    assert Network().session_options() == {"allow_http": False}


@pytest.mark.skipif(sys.platform == "win32", reason="modes")
async def test_files_are_ones_own_unless_a_umask_says_otherwise(run, server, out):
    before = os.umask(0)
    try:
        await run()
        assert (stat.S_IMODE(out.stat().st_mode), modes(out)) == (0o700, {0o600})
        server.seed_events("idn_1", 150)
        await run(umask=0o027)
    finally:
        os.umask(before)
    # What was there keeps its mode; the manifest is appended to.
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert modes(out) == {0o600, 0o640}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="modes")
async def test_the_commands_options_reach_its_workers(server, out, tmp_path):
    env = {k: v for k, v in os.environ.items() if not k.startswith("CANOPY_")}
    env |= {"CANOPY_ACCOUNT": server.account, "CANOPY_TOKEN": server.token}
    env |= {"CANOPY_BASE_URL": "http://canopy:8080", "TMPDIR": str(tmp_path)}
    async with proxy_to(server) as proxy:
        where = f"http://ada:pa55word@{proxy.address}"
        options = ("--out", out, "--workers", "2", "--umask", "027")
        network = ("--proxy", where, "--allow-http")
        async with installed("export", *IDS, *options, *network, env=env) as process:
            said, err = (text.decode() for text in await process.communicate())
    assert process.returncode == 0, err
    assert "3 read, 3 proven complete" in said
    assert "pa55word" not in said + err
    assert {h["Proxy-Authorization"] for _, h in proxy.asked} == {basic("ada:pa55word")}
    assert exported(out) == truth(server, *IDS)
    assert verify(out).is_finished
    assert (stat.S_IMODE(out.stat().st_mode), modes(out)) == (0o750, {0o640})
