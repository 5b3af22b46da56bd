"""An id that the server lists and that can't be one fails by itself, by name."""

import sys

import pytest
from support.commands import following, polled
from support.waiting import until

from canopy_async import Identity, ProtocolError
from canopy_async.export import export, read_manifest, verify

ODD = {
    "": "must not be empty",
    "..": "must not be empty, '.' or '..'",
    "a\x1b[2Jb": "must not hold control characters",
    "a\r\nb": "must not hold control characters",
    "x" * 5_000: "id must have at most 1000 characters, not 5000",
}


@pytest.fixture
def logs(server):
    for odd in ODD:
        server.add_identity(id=odd)
    for good in ("idn_1", "idn_2"):
        server.add_identity(id=good)
        server.seed_events(good, 30)
    return server


async def test_the_other_identities_of_a_fan_out_go_on(logs, session):
    fan_out = session.fan_out(session.identities(), on_error="collect")
    pairs = [pair async for pair in fan_out]
    assert {whose for whose, _ in pairs} == {"idn_1", "idn_2"}
    assert len(pairs) == 60
    assert fan_out.failures.keys() == ODD.keys()
    for odd, said in ODD.items():
        error = fan_out.failures[odd]
        assert isinstance(error, ProtocolError)
        assert said in str(error)
        assert "the server lists" in str(error)
        assert all(len(note) < 2_000 for note in error.__notes__)
    assert not [request for request in logs.requests if request.identity in ODD]


@pytest.mark.usefixtures("logs")
async def test_a_fan_out_that_raises_names_the_identity(session):
    with pytest.raises(ProtocolError, match="the server lists") as caught:
        await session.fan_out(session.identities()).collect()
    assert any(
        "while the events of identity" in note for note in caught.value.__notes__
    )


@pytest.mark.parametrize("identity_id", ODD)
async def test_an_id_that_the_caller_names_is_still_a_fault_of_the_caller(
    session, identity_id
):
    with pytest.raises(ValueError, match=r"^identity_id must"):
        await session.fan_out([identity_id], on_error="collect").collect()


async def test_an_identity_that_is_passed_on_is_data_of_the_server(session):
    fan_out = session.fan_out([Identity(id="..")], on_error="collect")
    assert [pair async for pair in fan_out] == []
    assert isinstance(fan_out.failures[".."], ProtocolError)


@pytest.mark.usefixtures("logs")
@pytest.mark.parametrize("again", [False, True])
async def test_an_export_reads_the_others_and_says_who_failed(session, tmp_path, again):
    for _ in range(1 + again):
        result = await export(session, None, tmp_path / "out")
    assert result.failures.keys() == ODD.keys()
    manifest = read_manifest(tmp_path / "out")
    assert manifest.events == 60
    for odd in ODD:
        entry = manifest.identities[odd]
        assert entry.state == "failed"
        assert entry.error.type == "ProtocolError"
    assert manifest.identities["idn_2"].state == "done"
    verdict = verify(tmp_path / "out")
    assert not [problem for problem in verdict.problems if "manifest" in problem]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
async def test_follow_all_says_who_is_not_followed_in_a_line_each(logs):
    async with following(logs, "--all") as running:
        await until(polled(logs, "idn_2"))
        await until(polled(logs, "idn_1"))
        logs.add_event("idn_1")
        assert (await running.line())["identity_id"] == "idn_1"
        _, _, err = await running.end()
    lines = err.splitlines()
    assert len(lines) == len(ODD)
    assert [
        line
        for line in lines
        if "identity is not followed: the server lists '" not in line
    ] == []
    assert "Traceback" not in err
    assert all(character.isprintable() for line in lines for character in line)
