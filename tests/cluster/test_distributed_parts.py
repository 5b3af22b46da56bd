"""The parts of an export on a cluster, without a cluster."""

import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import dask
import pytest
from support.clusters import (
    NOON,
    TOKEN_VARIABLE,
    broken_token,
    token_of_environment,
    token_that_expires,
)
from support.exports import truth

from canopy_async import CanopySession, CheckpointError, ExportError
from canopy_async._follow.follow_checkpoint import FollowCheckpoint
from canopy_async._read.events_query import EventsQuery
from canopy_async.checkpoint import Checkpoint
from canopy_async.distributed.destination import LocalDestination, open_destination
from canopy_async.distributed.log_parts import LogParts
from canopy_async.distributed.network import Network
from canopy_async.distributed.part_reader import Reading
from canopy_async.distributed.primitives import lease_patience
from canopy_async.distributed.recovery import delete_leftovers, recover
from canopy_async.distributed.splitting import MAX_PARTS, split_of
from canopy_async.distributed.storage import LocalStorage, check_url, open_storage
from canopy_async.distributed.task_records import Record, fingerprints
from canopy_async.distributed.token_names import TokenError, TokenSource
from canopy_async.distributed.work import Job, Outcome, Rest, Work
from canopy_async.export import Commit, FileEntry, IdentityEntry, read_manifest
from canopy_async.export.exporter import new_header
from canopy_async.export.journal import Journal
from canopy_async.export.manifest_records import Asked
from canopy_async.export.names import is_of_task, is_record, under_way
from canopy_async.export.standing import Standing
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
        ("_events-s00001-0123abcd-00001.parquet.partial", True, False),
        ("_shard-s00001-0123abcd.json", True, True),
        ("_shard-s00001-0123abcd.json.partial", True, False),
        # As version 1 has called them.
        ("events-s00001-0123abcd-00001.jsonl", True, False),
        ("events-s00001-0123abcd-00001.parquet.partial", True, False),
        ("shard-s00001-0123abcd.json", True, False),
        ("shard-s00001-0123abcd.json.partial", True, False),
        ("events-00001.jsonl", False, False),
        ("_events-00001.jsonl.partial", False, False),
        ("events-s1-0123abcd-00001.jsonl", False, False),
        ("_manifest.ndjson", False, False),
        ("notes-shard-s00001-0123abcd.json", False, False),
    ],
)
def test_only_names_of_its_own_are_touched(name, is_ours, is_one):
    assert (is_of_task(name), is_record(name)) == (is_ours, is_one)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b"\xff", b'{"version":1}'])
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
    with pytest.raises(ValueError, match="directory must not be empty"):
        check_url("")
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
    storage.rename("copied", "final")
    assert set(storage.sizes()) == {"final", "record"}


def other_disk(_, __):
    raise OSError(18, "Invalid cross-device link")


# --- what counts


@pytest.fixture
def target(tmp_path):
    """An export's directory, empty but open."""
    session = CanopySession("acme", "unused", base_url="http://127.0.0.1")
    header = new_header(session, "jsonl", EventsQuery())
    made = open_destination(LocalStorage(tmp_path / "out"), header)
    assert isinstance(made, LocalDestination)
    made.open(ignored)
    yield made
    made.close()


def ignored(_):
    """What is there already."""


@pytest.fixture
def scope(target):
    return read_manifest(target.storage.path).header.scope


def at(seconds):
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def known(*seconds, floor=None):
    """What a look-back knows of a log: an event each at so many seconds."""
    return FollowCheckpoint(
        scope="s",
        newest=at(max(seconds)),
        floor=None if floor is None else at(floor),
        ids={f"evt_{second}": at(second) for second in seconds},
    )


def record(
    scope, target, *entries, task=1, attempt="0000000a", begins=None, unchanged=(), **x
):
    """A record whose one file is there."""
    name = f"events-s{task:05d}-{attempt}-00001.jsonl"
    target.storage.put(under_way(name), b"row\n")
    made = Record(
        scope=scope,
        task=f"s{task:05d}",
        attempt=attempt,
        begins=begins or {},
        follows=False,
        commits=(
            Commit(
                file=FileEntry(name=name, rows=1, bytes=4, sha256="0" * 64),
                identities=entries,
                unchanged=unchanged,
                unchanged_as_of=at(50) if unchanged else None,
            ),
        ),
    )
    made = attrs.evolve(made, **x)
    target.storage.put(made.name, made.dumps())
    return made


def done(name, second=1, *, as_of=10):
    return IdentityEntry(
        id=name,
        events=1,
        state="done",
        complete=True,
        proof=Proof.STRICT_KEY,
        known=known(second).dumps(),
        as_of=at(as_of),
    )


def begun(name, *seconds, floor=None):
    return IdentityEntry(
        id=name,
        events=1,
        state="open",
        known=known(*seconds, floor=floor).dumps(),
        proof=Proof.STRICT_KEY,
    )


def after(*entries):
    """The fingerprints of where identities stand after these entries."""
    standings = {}
    for entry in entries:
        standings[entry.id] = standings.get(entry.id, Standing()).after(entry)
    return fingerprints(standings, standings)


def recovered(target, scope):
    journal = Journal(Asked(kind="all"), timedelta(hours=1))
    recover(target, journal, scope)
    return {name: found.state for name, found in journal.standings.items()}


def test_of_two_attempts_one_is_adopted(target, scope):
    record(scope, target, done("a"), done("b"), attempt="0000000a")
    record(scope, target, done("a"), done("b"), attempt="0000000b")
    assert recovered(target, scope) == {"a": "done", "b": "done"}
    assert read_manifest(target.storage.path).events == 1
    delete_leftovers(target)
    assert set(target.storage.sizes()) == {
        "_manifest.ndjson",
        "events-s00001-0000000a-00001.jsonl",
    }


def test_a_record_goes_on_where_the_manifest_stands_or_is_dropped(target, scope):
    once, twice = begun("a", 1), begun("a", 2)
    record(scope, target, once, task=1)
    record(scope, target, twice, task=2, begins=after(once))
    record(scope, target, begun("a", 9), task=3, begins=after(once))
    record(scope, target, done("a"), task=4, begins=after(once, twice))
    record(scope, target, done("a"), done("b"), task=5)
    assert recovered(target, scope) == {"a": "done"}
    assert [file.name[7:13] for file in read_manifest(target.storage.path).files] == [
        "s00001",
        "s00002",
        "s00004",
    ]
    assert not any(map(is_record, target.storage.sizes()))


def test_a_record_of_a_log_that_another_run_has_covered_since_is_dropped(target, scope):
    """Both found nothing new; the record is the older one."""
    night = done("a", as_of=10)
    record(scope, target, night, task=1)
    record(scope, target, task=2, begins=after(night), unchanged=("a",))
    record(scope, target, task=3, begins=after(night), unchanged=("a",))
    assert recovered(target, scope) == {"a": "done"}
    names = [file.name[7:13] for file in read_manifest(target.storage.path).files]
    assert names == ["s00001", "s00002"]
    assert read_manifest(target.storage.path).identities["a"].as_of == at(50)


def test_what_can_not_be_trusted_is_dropped(target, scope):
    storage = target.storage
    record("other", target, done("a"), task=1)
    record(scope, target, done("b"), task=2, follows=True)
    lost = record(scope, target, done("c"), task=3)
    storage.delete([under_way(lost.commits[0].file.name)])
    short = record(scope, target, done("d"), task=4)
    storage.put(under_way(short.commits[0].file.name), b"r")
    storage.put("_shard-s00005-0000000a.json", b'{"version":2,"sc')
    assert recovered(target, scope) == {}
    assert read_manifest(storage.path).events == 0
    delete_leftovers(target)
    assert set(storage.sizes()) == {"_manifest.ndjson"}


def test_what_version_1_has_left_is_deleted(target):
    for name in (
        "events-s00001-0000000a-00001.jsonl",
        "events-s00001-0000000a-00002.jsonl.partial",
        "shard-s00001-0000000a.json",
    ):
        target.storage.put(name, b"{}")
    delete_leftovers(target)
    assert set(target.storage.sizes()) == {"_manifest.ndjson"}


# --- the parts of one log


def part(number, *, follows=True):
    return Work(number=number, ids=("a",), follows=follows)


def outcome(*entries, proof=Proof.STRICT_KEY, **fields):
    commits = (Commit(identities=entries),)
    made = Record(
        scope="s",
        task="s00001",
        attempt="0000000a",
        begins={},
        follows=True,
        commits=commits,
    )
    return Outcome(record=made, proof=proof, **fields)


def said(outcomes):
    return [found.record.commits[0].identities[0] for found in outcomes]


def ids_known(entry):
    return set(FollowCheckpoint.loads(entry.known).ids)


def no_rows(state):
    """What a part says that has none."""
    return IdentityEntry(id="a", events=0, state=state, proof=Proof.NONE)


def test_parts_are_adopted_in_the_order_of_time():
    parts = [part(n) for n in (1, 2, 3)]
    log = LogParts(parts, begun("a", 1))
    log.end(parts[2], outcome(done("a", 30)))
    assert said(log.ready()) == []
    log.end(parts[0], outcome(begun("a", 2)))
    assert [ids_known(entry) for entry in said(log.ready())] == [{"evt_1", "evt_2"}]
    # A part without events knows nothing of its own.
    log.end(parts[1], outcome(no_rows("open")))
    middle, last = said(log.ready())
    assert (middle.known, middle.proof) == (None, "strict-key")
    assert (last.state, last.complete, last.proof) == ("done", True, "strict-key")
    assert ids_known(last) == {"evt_1", "evt_2", "evt_30"}
    assert last.as_of == at(10)


def test_the_look_back_of_a_log_begins_where_that_of_its_last_part_does():
    parts = [part(n) for n in (1, 2)]
    log = LogParts(parts, begun("a", 1, 5, floor=0))
    log.end(parts[0], outcome(begun("a", 6, 9, floor=3)))
    (middle,) = said(log.ready())
    assert FollowCheckpoint.loads(middle.known) == attrs.evolve(
        known(5, 6, 9, floor=3), scope="s"
    )
    log.end(parts[1], outcome(done("a", 10)))
    (last,) = said(log.ready())
    assert ids_known(last) == {"evt_5", "evt_6", "evt_9", "evt_10"}


def test_a_log_whose_last_part_is_empty_is_known_as_before():
    parts = [part(1)]
    log = LogParts(parts, begun("a", 1, 5))
    empty = attrs.evolve(done("a"), events=0, known=None)
    log.end(parts[0], outcome(empty))
    (last,) = said(log.ready())
    standing = Standing().after(begun("a", 1, 5)).after(last)
    assert (standing.state, standing.known) == ("done", known(1, 5).dumps())


def test_a_part_is_no_place_to_go_on_from():
    """Behind the place where a part stopped, events may be committed late."""
    parts = [part(1)]
    log = LogParts(parts, begun("a", 1))
    stopped = attrs.evolve(
        no_rows("failed"), checkpoint="{}", since=at(5), began=at(10)
    )
    log.end(parts[0], outcome(stopped, failures={"a": ExportError("lost")}))
    (entry,) = said(log.ready())
    assert (entry.checkpoint, entry.since, entry.began) == (None, None, None)


def test_what_is_left_of_a_part_comes_right_after_it():
    parts = [part(n) for n in (1, 2)]
    log = LogParts(parts, begun("a", 0))
    log.split(parts[0], [part(3)])
    log.end(parts[0], outcome(begun("a", 1)))
    log.end(parts[1], outcome(done("a", 9)))
    assert len(said(log.ready())) == 1
    log.end(part(3), outcome(begun("a", 2)))
    assert [entry.state for entry in said(log.ready())] == ["open", "done"]


def test_a_log_is_proven_by_its_weakest_part():
    parts = [part(n) for n in (1, 2, 3)]
    log = LogParts(parts, begun("a", 0))
    log.end(parts[0], outcome(begun("a", 1), proof=Proof.COUNT))
    log.end(parts[1], outcome(begun("a", 2), proof=Proof.NONE))
    log.end(parts[2], outcome(done("a", 9)))
    _, middle, last = said(log.ready())
    assert middle.proof is Proof.COUNT
    assert (last.proof, last.complete) == (Proof.NONE, False)


def test_what_comes_after_a_failed_part_is_dropped():
    parts = [part(n) for n in (1, 2, 3)]
    log = LogParts(parts, begun("a", 0))
    failure = {"a": ExportError("lost")}
    log.end(parts[0], outcome(no_rows("failed"), failures=failure))
    log.end(parts[1], outcome(begun("a", 2)))
    (entry,) = said(log.ready())
    assert (entry.state, entry.known, entry.proof) == ("failed", None, "strict-key")
    assert log.has_failed
    assert log.drop() == (parts[1], parts[2])


def test_a_log_is_not_left_among_more_events_of_one_instant_than_can_be_named(
    monkeypatch,
):
    monkeypatch.setattr("canopy_async.export.look_back.MOST_KEPT", 3)
    parts = [part(1)]
    log = LogParts(parts, attrs.evolve(begun("a", 0), known=tied("x", 3).dumps()))
    half_read = attrs.evolve(begun("a", 0), known=tied("y", 3).dumps())
    log.end(parts[0], outcome(half_read, rests={"a": Rest()}))
    with pytest.raises(CheckpointError, match="too many events share one instant"):
        list(log.ready())
    assert log.has_failed


def test_after_more_events_of_one_instant_than_can_be_named_comes_the_next(monkeypatch):
    monkeypatch.setattr("canopy_async.export.look_back.MOST_KEPT", 3)
    parts = [part(1)]
    log = LogParts(parts, attrs.evolve(begun("a", 0), known=tied("x", 3).dumps()))
    log.end(parts[0], outcome(attrs.evolve(begun("a", 0), known=tied("y", 3).dumps())))
    (entry,) = said(log.ready())
    found = FollowCheckpoint.loads(entry.known)
    assert (found.floor, found.ids) == (at(5) + timedelta.resolution, {})


def tied(name, number):
    """So many known events of one instant."""
    ids = {f"{name}_{n}": at(5) for n in range(number)}
    return FollowCheckpoint(scope="s", newest=at(5), ids=ids)


# --- where a log is split


@pytest.fixture
def job(server):
    return Job(
        run="0123abcd",
        header=new_header(
            CanopySession(server.account, "unused", base_url=server.base_url),
            "jsonl",
            EventsQuery(),
        ),
        token=TokenSource("env:X"),
        url="/nowhere",
        look_back=timedelta(hours=1),
        concurrency=4,
        max_rate=None,
        retry=RetryPolicy(),
        timeout=5.0,
        width=4,
        split_over=100,
        max_file_bytes=1 << 20,
        beat=1.0,
        network=Network(),
        umask=0o077,
    )


async def read_some(session, limit=100):
    async with session.events("idn_1", order="asc", limit=limit).open() as run:
        async for _ in run:
            pass
        return run.checkpoint


async def test_parts_have_the_same_number_of_events(server, session, job):
    server.seed_events("idn_1", 1_000, tie_probability=0)
    rest = await split_of(session, job, "idn_1", await read_some(session), until=None)
    rows = truth(server, "idn_1")["idn_1"]
    assert rest.bounds == tuple(row["created_at"] for row in rows[200::100])
    assert rest.limit == 200


async def test_a_bound_is_never_outside_of_what_is_left(server, session, job):
    server.seed_events("idn_1", 50, tie_probability=0)
    server.seed_events("idn_1", 500, tie_probability=1)
    checkpoint = await read_some(session)
    rest = await split_of(session, job, "idn_1", checkpoint, until=None)
    assert rest.bounds == ()  # what is left is one instant
    server.delete_oldest("idn_1", 550)
    rest = await split_of(session, job, "idn_1", checkpoint, until=None)
    assert rest.bounds == ()
    server.seed_events("idn_1", 800, tie_probability=0)
    rows = truth(server, "idn_1")["idn_1"]
    rest = await split_of(
        session, job, "idn_1", checkpoint, until=rows[400]["created_at"]
    )
    assert rest.bounds
    assert rest.bounds[-1] < rows[400]["created_at"]


async def test_there_are_not_too_many_parts(server, session, job):
    server.seed_events("idn_1", 3_000, tie_probability=0)
    checkpoint = await read_some(session, limit=10)
    small = attrs.evolve(job, split_over=10)
    rest = await split_of(session, small, "idn_1", checkpoint, until=None)
    assert len(rest.bounds) == MAX_PARTS - 1
    assert rest.limit == 2 * (2_990 // MAX_PARTS)


@pytest.mark.parametrize("change", [{"order": "desc"}, {"proof": Proof.SHARED_ID}])
async def test_what_can_not_be_split_is_read_in_one_go(server, session, job, change):
    server.seed_events("idn_1", 500)
    checkpoint = attrs.evolve(await read_some(session), **change)
    server.reset_requests()
    rest = await split_of(session, job, "idn_1", checkpoint, until=None)
    assert (rest.bounds, rest.limit) == ((), None)
    assert server.requests == []


async def test_where_it_can_not_be_asked_a_log_is_not_split(
    server, session, connect, quick, job
):
    server.seed_events("idn_1", 500)
    checkpoint = await read_some(session)
    server.faults = Faults(html_rate=1.0)
    session = connect(retry=quick)
    rest = await split_of(session, job, "idn_1", checkpoint, until=None)
    assert (rest.bounds, rest.limit) == ((), None)


# --- what a part says of itself


async def read_part(session, job, directory, since, until, *, limit=None):
    standing = Standing(since=since, began=NOON)
    work = Work(
        number=2,
        ids=("idn_1",),
        standings={"idn_1": standing},
        until=until,
        follows=True,
        limit=limit,
    )
    reading = Reading(job, work, directory)
    await reading.read(session)
    return reading


async def test_a_part_says_what_it_has_found_and_leaves_the_log_open(
    server, session, job, tmp_path
):
    server.seed_events("idn_1", 300, tie_probability=0)
    rows = truth(server, "idn_1")["idn_1"]
    since, until = rows[50]["created_at"], rows[130]["created_at"]
    reading = await read_part(session, job, tmp_path / "part", since, until)
    (commit,) = reading.commits()
    (entry,) = commit.identities
    assert (entry.state, entry.events, entry.proof) == ("open", 80, "strict-key")
    assert (entry.first.id, entry.last.id) == (rows[50]["id"], rows[129]["id"])
    assert entry.checkpoint is entry.as_of is None
    found = FollowCheckpoint.loads(entry.known)
    floor = rows[129]["created_at"] - job.look_back
    kept = [row["id"] for row in rows[50:130] if row["created_at"] >= floor]
    assert (found.floor, set(found.ids)) == (floor, set(kept))


async def test_a_part_may_end_with_more_events_of_an_instant_than_can_be_named(
    server, session, job, tmp_path, monkeypatch
):
    monkeypatch.setattr("canopy_async._follow.follow_checkpoint.MAX_IDS", 20)
    monkeypatch.setattr("canopy_async.export.look_back.MOST_KEPT", 10)
    server.seed_events("idn_1", 100, tie_probability=0)
    server.seed_events("idn_1", 30, tie_probability=1)
    server.seed_events("idn_1", 100, tie_probability=0)
    rows = truth(server, "idn_1")["idn_1"]
    since, until = rows[50]["created_at"], rows[130]["created_at"]
    reading = await read_part(session, job, tmp_path / "part", since, until)
    (commit,) = reading.commits()
    (entry,) = commit.identities
    assert (entry.state, entry.events) == ("open", 80)
    floor = FollowCheckpoint.loads(entry.known).floor
    rest = session.events("idn_1", order="asc", since=floor)
    assert [event.id async for event in rest] == [row["id"] for row in rows[130:]]


async def test_the_last_part_is_as_of_the_begin_of_the_whole_read(
    server, session, job, tmp_path
):
    server.seed_events("idn_1", 300, tie_probability=0)
    rows = truth(server, "idn_1")["idn_1"]
    since = rows[50]["created_at"]
    reading = await read_part(session, job, tmp_path / "part", since, None)
    (commit,) = reading.commits()
    (entry,) = commit.identities
    assert (entry.state, entry.events, entry.as_of) == ("done", 250, NOON)


async def test_what_is_left_of_a_part_begins_at_its_last_event(
    server, session, job, tmp_path
):
    server.seed_events("idn_1", 100, tie_probability=0)
    server.seed_events("idn_1", 200, tie_probability=1)
    server.seed_events("idn_1", 100, tie_probability=0)
    rows = truth(server, "idn_1")["idn_1"]
    since, until = rows[50]["created_at"], rows[-20]["created_at"]
    reading = await read_part(session, job, tmp_path / "part", since, until, limit=100)
    (rest,) = reading.outcome().rests.values()
    place = rows[149]["created_at"]
    assert (rest.standing.since, rest.standing.began) == (place, NOON)
    # Those of that instant that were read are known, or they would be doubled.
    tied_and_read = {row["id"] for row in rows[:150] if row["created_at"] == place}
    assert set(FollowCheckpoint.loads(rest.standing.known).ids) == tied_and_read
    assert len(tied_and_read) > 10


async def test_what_is_left_of_a_log_that_can_not_be_split_begins_at_that_very_place(
    server, connect, job, tmp_path
):
    """Where the instants to split it at can't be asked for."""
    session = connect(retry=RetryPolicy(attempts=1))
    server.seed_events("idn_1", 300, tie_probability=0)
    server.faults = Faults(html_rate=1.0, only=lambda request: request.take == 1)
    since = truth(server, "idn_1")["idn_1"][50]["created_at"]
    reading = await read_part(session, job, tmp_path / "part", since, None, limit=100)
    (rest,) = reading.outcome().rests.values()
    assert (rest.bounds, rest.limit) == ((), None)
    place = Checkpoint.loads(rest.standing.checkpoint)
    assert (rest.standing.since, rest.standing.began) == (since, NOON)
    going_on = session.events("idn_1", order="asc", since=since, resume=place)
    rows = truth(server, "idn_1")["idn_1"]
    assert [event.id async for event in going_on] == [row["id"] for row in rows[150:]]


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
