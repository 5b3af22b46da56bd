"""What an export on a cluster is made of, without a cluster."""

import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import dask
import pytest
from support.clusters import (
    TOKEN_VARIABLE,
    broken_token,
    token_of_environment,
    token_that_expires,
)
from support.exports import truth

from canopy_async import ExportError
from canopy_async.checkpoint import Checkpoint
from canopy_async.distributed.destination import LocalDestination, open_destination
from canopy_async.distributed.ledger import Ledger, delete_leftovers, recover
from canopy_async.distributed.log_parts import LogParts
from canopy_async.distributed.primitives import lease_patience
from canopy_async.distributed.reading import Reading
from canopy_async.distributed.records import Record, is_record, is_shard_file
from canopy_async.distributed.splitting import MAX_PARTS, rest_of
from canopy_async.distributed.storage import LocalStorage, check_url, open_storage
from canopy_async.distributed.tokens import TokenError, TokenSource
from canopy_async.distributed.work import Job, Outcome, Work
from canopy_async.export import Commit, FileEntry, IdentityEntry, read_manifest
from canopy_async.export.exporter import new_header
from canopy_async.report import Proof
from canopy_async.retry import RetryPolicy
from canopy_async.testing import Faults

SECRET = "eyJhbGciOiJSUzI1NiJ9.s3cr3t.signature"


class Vault:
    """Gives out tokens, but not by a name."""

    def token(self):
        return SECRET


@pytest.mark.parametrize(
    "token",
    [
        SECRET,
        "",
        "env:",
        "env:two words",
        "secret:token",
        "no_such_module:function",
        "support.clusters:no_such_function",
        "support.clusters:TOKEN_VARIABLE",
        lambda: SECRET,
        Vault().token,
        attrs.field,
    ],
)
def test_what_names_no_token_is_refused_without_being_shown(token):
    if token is attrs.field:

        def token():
            return SECRET

    with pytest.raises(ValueError, match="token must be 'env:NAME'") as error:
        TokenSource.of(token)
    assert "s3cr3t" not in str(error.value)


@pytest.mark.parametrize("token", [None, 5, b"env:NAME"])
def test_a_token_of_another_type_is_refused(token):
    with pytest.raises(TypeError, match="token must be"):
        TokenSource.of(token)


def test_a_function_is_known_by_its_name():
    source = TokenSource.of(token_of_environment)
    assert source == TokenSource("support.clusters:token_of_environment")
    assert TokenSource.of(source.name) == source


async def test_a_source_is_asked_again_when_a_token_is_refused(monkeypatch):
    monkeypatch.setenv(TOKEN_VARIABLE, "first")
    for source in (f"env:{TOKEN_VARIABLE}", token_of_environment):
        provider = await TokenSource.of(source).open()
        monkeypatch.setenv(TOKEN_VARIABLE, "second")
        assert await provider.token() == "first"
        assert await provider.refresh("first") == "second"
        monkeypatch.setenv(TOKEN_VARIABLE, "first")


async def test_a_source_that_fails_shows_nothing_of_its_error(monkeypatch):
    with pytest.raises(ExportError, match="RuntimeError") as error:
        await TokenSource.of(broken_token).open()
    assert "s3cr3t" not in str(error.value)
    assert error.value.__cause__ is None
    monkeypatch.setenv(TOKEN_VARIABLE, "there")
    provider = await TokenSource.of(token_that_expires).open()
    with pytest.raises(TokenError, match="RuntimeError") as error:
        await provider.refresh("expired")
    # Dask logs it with what it comes from, and sends it to the driver.
    assert "s3cr3t" not in "".join(traceback.format_exception(error.value))
    assert error.value.__context__ is None


@pytest.mark.parametrize(
    ("name", "is_ours", "is_one"),
    [
        ("events-s00001-0123abcd-00001.jsonl", True, False),
        ("events-s00001-0123abcd-00001.parquet.partial", True, False),
        ("shard-s00001-0123abcd.json", True, True),
        ("shard-s00001-0123abcd.json.partial", True, False),
        ("events-00001.jsonl", False, False),
        ("events-s1-0123abcd-00001.jsonl", False, False),
        ("manifest.jsonl", False, False),
        ("notes-shard-s00001-0123abcd.json", False, False),
    ],
)
def test_only_names_of_its_own_are_touched(name, is_ours, is_one):
    assert (is_shard_file(name), is_record(name)) == (is_ours, is_one)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b"\xff", b'{"version":2}'])
def test_a_damaged_record_is_an_error(data):
    with pytest.raises(ExportError, match="not the record of a shard"):
        Record.loads(data)


def test_a_url_is_checked(tmp_path):
    assert check_url("s3://bucket/out") == "s3://bucket/out"
    assert check_url("s3://bucket/out/") == "s3://bucket/out"  # the same lock
    assert check_url(tmp_path / "out") == str(tmp_path / "out")
    assert check_url(f"file://{tmp_path}/out") == str(tmp_path / "out")
    assert Path(check_url("out")).is_absolute()
    with pytest.raises(ValueError, match="must hold no password") as error:
        check_url("sftp://me:s3cr3t@host/out")
    assert "s3cr3t" not in str(error.value)
    with pytest.raises(TypeError, match="directory must be"):
        check_url(b"out")
    with pytest.raises(ExportError, match="can't be reached"):
        open_storage("nosuch://bucket/out")


def test_a_local_file_is_moved_or_copied(tmp_path, monkeypatch):
    storage = LocalStorage(tmp_path / "out")
    storage.make()
    for name in ("moved", "copied"):
        source = tmp_path / "source"
        source.write_bytes(b"rows")
        storage.put_file(name, source)
        assert storage.read(name) == b"rows"
        monkeypatch.setattr(Path, "rename", other_disk)
    monkeypatch.undo()
    storage.put("record", b"{}")
    assert storage.sizes() == {"moved": 4, "copied": 4, "record": 2}
    storage.delete(["moved", "gone"])
    assert set(storage.sizes()) == {"copied", "record"}


def other_disk(_, __):
    raise OSError(18, "Invalid cross-device link")


# --- what counts


@pytest.fixture
def target(tmp_path):
    """An export's directory, empty but open."""
    header = new_header(
        "acme", "http://127.0.0.1", "jsonl", since=None, until=None, q=None
    )
    made = open_destination(LocalStorage(tmp_path / "out"), header)
    assert isinstance(made, LocalDestination)
    made.open(lambda _: None)
    yield made
    made.close()


@pytest.fixture
def scope(target):
    return read_manifest(target.storage.path).header.scope


def place(key, *, proof=Proof.STRICT_KEY):
    return Checkpoint(
        scope="s",
        order="asc",
        key=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=key),
        ids=frozenset((f"evt_{key}",)),
        proof=proof,
    ).dumps()


def record(scope, target, *entries, task=1, attempt="0000000a", begins=None, **fields):
    """A record whose one file is there."""
    name = f"events-s{task:05d}-{attempt}-00001.jsonl"
    target.storage.put(name, b"row\n")
    made = Record(
        scope=scope,
        task=f"s{task:05d}",
        attempt=attempt,
        begins=begins or {},
        follows=False,
        commits=(
            Commit(
                n=1,
                file=FileEntry(name=name, rows=1, bytes=4, sha256=""),
                identities=entries,
            ),
        ),
    )
    made = attrs.evolve(made, **fields)
    target.storage.put(made.name, made.dumps())
    return made


def done(name):
    return IdentityEntry(
        id=name, events=1, state="done", complete=True, proof=Proof.STRICT_KEY
    )


def begun(name, checkpoint):
    return IdentityEntry(
        id=name,
        events=1,
        state="open",
        checkpoint=checkpoint,
        proof=Proof.STRICT_KEY,
    )


def recovered(target, scope, ledger=None):
    ledger = ledger or Ledger()
    recover(target, ledger, scope)
    return ledger


def test_of_two_attempts_one_is_adopted(target, scope):
    record(scope, target, done("a"), done("b"), attempt="0000000a")
    record(scope, target, done("a"), done("b"), attempt="0000000b")
    assert recovered(target, scope).done == {"a", "b"}
    assert read_manifest(target.storage.path).events == 1
    delete_leftovers(target)
    assert set(target.storage.sizes()) == {
        "manifest.jsonl",
        "events-s00001-0000000a-00001.jsonl",
    }


def test_a_record_goes_on_where_the_manifest_stands_or_is_dropped(target, scope):
    record(scope, target, begun("a", place(1)), task=1)
    record(scope, target, begun("a", place(2)), task=2, begins={"a": place(1)})
    record(scope, target, begun("a", place(9)), task=3, begins={"a": place(1)})
    record(scope, target, done("a"), task=4, begins={"a": place(2)})
    record(scope, target, done("a"), done("b"), task=5)
    ledger = recovered(target, scope)
    assert (ledger.done, ledger.begun) == ({"a"}, {})
    assert [file.name[7:13] for file in read_manifest(target.storage.path).files] == [
        "s00001",
        "s00002",
        "s00004",
    ]
    assert not any(map(is_record, target.storage.sizes()))


def test_what_can_not_be_trusted_is_dropped(target, scope):
    storage = target.storage
    record("other", target, done("a"), task=1)
    record(scope, target, done("b"), task=2, follows=True)
    lost = record(scope, target, done("c"), task=3)
    storage.delete([lost.commits[0].file.name])
    short = record(scope, target, done("d"), task=4)
    storage.put(short.commits[0].file.name, b"r")
    storage.put("shard-s00005-0000000a.json", b'{"version":1,"sc')
    assert recovered(target, scope).done == set()
    assert read_manifest(storage.path).events == 0
    delete_leftovers(target)
    assert set(storage.sizes()) == {"manifest.jsonl"}


def part(number, *, follows=True):
    return Work(number=number, ids=("a",), follows=follows)


def outcome(*entries, proof=Proof.STRICT_KEY, **fields):
    commits = (Commit(n=1, identities=entries),)
    made = Record(
        scope="s",
        task="s00001",
        attempt="0000000a",
        begins={},
        follows=True,
        commits=commits,
    )
    return Outcome(record=made, proof=proof, **fields)


def said(records):
    return [record.commits[0].identities[0] for record in records]


def test_parts_are_adopted_in_the_order_of_time():
    parts = [part(n) for n in (1, 2, 3)]
    log = LogParts(parts, place(0))
    log.end(parts[2], outcome(done("a")))
    assert said(log.ready()) == []
    log.end(parts[0], outcome(begun("a", place(1))))
    assert [entry.checkpoint for entry in said(log.ready())] == [place(1)]
    # A part without events has no place of its own.
    log.end(parts[1], outcome(begun("a", None)))
    middle, last = said(log.ready())
    assert middle.checkpoint == place(1)
    assert (last.state, last.complete, last.proof) == ("done", True, "strict-key")


def test_what_is_left_of_a_part_comes_right_after_it():
    parts = [part(n) for n in (1, 2)]
    log = LogParts(parts, place(0))
    log.split(parts[0], [part(3)])
    log.end(parts[0], outcome(begun("a", place(1))))
    log.end(parts[1], outcome(done("a")))
    assert len(said(log.ready())) == 1
    log.end(part(3), outcome(begun("a", place(2))))
    assert [entry.state for entry in said(log.ready())] == ["open", "done"]


def test_a_log_is_proven_by_its_weakest_part():
    parts = [part(n) for n in (1, 2, 3)]
    log = LogParts(parts, place(0))
    log.end(parts[0], outcome(begun("a", place(1)), proof=Proof.COUNT))
    log.end(parts[1], outcome(begun("a", place(2)), proof=Proof.NONE))
    log.end(parts[2], outcome(done("a")))
    _, middle, last = said(log.ready())
    assert Checkpoint.loads(middle.checkpoint).proof is Proof.COUNT
    assert (last.proof, last.complete) == (Proof.NONE, False)


def test_what_comes_after_a_failed_part_is_dropped():
    parts = [part(n) for n in (1, 2, 3)]
    log = LogParts(parts, place(0))
    failed = IdentityEntry(id="a", events=0, state="failed")
    failure = {"a": ExportError("lost")}
    log.end(parts[0], outcome(failed, failures=failure))
    log.end(parts[1], outcome(begun("a", place(2))))
    (entry,) = said(log.ready())
    assert (entry.state, entry.checkpoint) == ("failed", place(0))
    assert log.has_failed
    assert log.drop() == (parts[1], parts[2])


# --- where a log is split


@pytest.fixture
def job(server):
    return Job(
        run="0123abcd",
        account=server.account,
        base_url=server.base_url,
        token=TokenSource("env:X"),
        url="/nowhere",
        scope="s",
        format="jsonl",
        since=None,
        until=None,
        q=None,
        concurrency=4,
        max_rate=None,
        retry=RetryPolicy(),
        timeout=5.0,
        width=4,
        split_over=100,
        max_file_bytes=1 << 20,
        beat=1.0,
    )


async def read_some(session, limit=100):
    async with session.events("idn_1", order="asc", limit=limit).open() as run:
        async for _ in run:
            pass
        return run.checkpoint


async def test_parts_have_the_same_number_of_events(server, session, job):
    server.seed_events("idn_1", 1_000, tie_probability=0)
    rest = await rest_of(session, job, "idn_1", await read_some(session), until=None)
    rows = truth(server, "idn_1")["idn_1"]
    assert rest.bounds == tuple(row["created_at"] for row in rows[200::100])
    assert rest.limit == 200


async def test_a_bound_is_never_outside_of_what_is_left(server, session, job):
    server.seed_events("idn_1", 50, tie_probability=0)
    server.seed_events("idn_1", 500, tie_probability=1)
    checkpoint = await read_some(session)
    rest = await rest_of(session, job, "idn_1", checkpoint, until=None)
    assert rest.bounds == ()  # what is left is one instant
    server.delete_oldest("idn_1", 550)
    rest = await rest_of(session, job, "idn_1", checkpoint, until=None)
    assert rest.bounds == ()
    server.seed_events("idn_1", 800, tie_probability=0)
    rows = truth(server, "idn_1")["idn_1"]
    rest = await rest_of(
        session, job, "idn_1", checkpoint, until=rows[400]["created_at"]
    )
    assert rest.bounds
    assert rest.bounds[-1] < rows[400]["created_at"]


async def test_there_are_not_too_many_parts(server, session, job):
    server.seed_events("idn_1", 3_000, tie_probability=0)
    checkpoint = await read_some(session, limit=10)
    small = attrs.evolve(job, split_over=10)
    rest = await rest_of(session, small, "idn_1", checkpoint, until=None)
    assert len(rest.bounds) == MAX_PARTS - 1
    assert rest.limit == 2 * (2_990 // MAX_PARTS)


@pytest.mark.parametrize("change", [{"order": "desc"}, {"proof": Proof.SHARED_ID}])
async def test_what_can_not_be_split_is_read_in_one_go(server, session, job, change):
    server.seed_events("idn_1", 500)
    checkpoint = attrs.evolve(await read_some(session), **change)
    server.reset_requests()
    rest = await rest_of(session, job, "idn_1", checkpoint, until=None)
    assert (rest.bounds, rest.limit) == ((), None)
    assert server.requests == []


async def test_where_it_can_not_be_asked_a_log_is_not_split(server, session, job):
    server.seed_events("idn_1", 500)
    checkpoint = await read_some(session)
    server.faults = Faults(html_rate=1.0)
    rest = await rest_of(session, job, "idn_1", checkpoint, until=None)
    assert (rest.bounds, rest.limit) == ((), None)


# --- what a part says of itself


async def read_part(session, job, directory, since, until):
    work = Work(number=2, ids=("idn_1",), since=since, until=until, follows=True)
    reading = Reading(job, work, directory)
    await reading.read(session)
    return reading


async def test_a_part_may_end_with_more_events_of_an_instant_than_can_be_named(
    server, session, job, tmp_path, monkeypatch
):
    monkeypatch.setattr("canopy_async.checkpoint.MAX_IDS", 20)
    server.seed_events("idn_1", 100, tie_probability=0)
    server.seed_events("idn_1", 30, tie_probability=1)
    server.seed_events("idn_1", 100, tie_probability=0)
    rows = truth(server, "idn_1")["idn_1"]
    since, until = rows[50]["created_at"], rows[130]["created_at"]
    reading = await read_part(session, job, tmp_path / "part", since, until)
    (commit,) = reading.commits()
    (entry,) = commit.identities
    assert (entry.state, entry.events) == ("open", 80)
    rest = session.events("idn_1", order="asc", resume=entry.checkpoint)
    assert [event.id async for event in rest] == [row["id"] for row in rows[130:]]


async def test_a_part_in_another_order_is_not_taken(server, session, job, tmp_path):
    """Its last row is the earliest: no place to go on at."""
    server.seed_events("idn_1", 300, tie_probability=0)
    rows = truth(server, "idn_1")["idn_1"]
    server.faults = Faults(ignore_order=True, default_order="desc")
    since, until = rows[20]["created_at"], rows[80]["created_at"]
    with pytest.raises(ExportError, match="in desc order now; it was in asc order"):
        await read_part(session, job, tmp_path / "part", since, until)


@pytest.mark.parametrize(("timeout", "seconds"), [("30s", 41), ("inf", 11)])
def test_leases_may_never_time_out(timeout, seconds):
    locks = "distributed.scheduler.locks"
    config = {
        f"{locks}.lease-timeout": timeout,
        f"{locks}.lease-validation-interval": "10s",
    }
    with dask.config.set(config):
        assert lease_patience() == seconds
