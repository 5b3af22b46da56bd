"""The lines of a manifest are linked: what is changed among them shows."""

import hashlib
from datetime import UTC, datetime, timedelta
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.manifests import linked, read_linked

from canopy_async import ExportError
from canopy_async.export import (
    Asked,
    Begin,
    Commit,
    End,
    Header,
    IdentityEntry,
    Listed,
    read_manifest,
)
from canopy_async.export.manifest_chain import Chain, ManifestReader

NOON = datetime(2026, 4, 20, 12, tzinfo=UTC)
HEADER = Header(
    account="acme",
    base_url="https://api.example",
    format="jsonl",
    scope="s",
    created_at=NOON,
    library="hand",
)


def records(runs):
    """The records of some runs, of which each commits two identities."""
    yield HEADER
    for run in range(1, runs + 1):
        at = NOON + timedelta(days=run)
        asked = Asked(kind="all")
        yield Begin(run=run, at=at, asked=asked, look_back=60.0, library="hand")
        for name in ("a", "b"):
            entry = IdentityEntry(id=name, events=0, state="done", complete=True)
            yield Commit(at=at, identities=(entry,))
        yield Listed(at=at, identities=2, sha256="0" * 64, complete=True)
        yield End(run=run, at=at, outcome="finished")


LINES = linked(records(3)).splitlines(keepends=True)
DIGEST = hashlib.sha256(b"".join(LINES)).hexdigest()


def read(lines):
    """Read lines as a manifest; return the reader, which is through."""
    reader = ManifestReader(BytesIO(b"".join(lines)), "it")
    for _ in reader:
        pass
    return reader


def shows(lines):
    """Whether a change is found: by the links, or by the digest of the whole."""
    try:
        reader = read(lines)
    except ExportError:
        return True
    return reader.chain.digest != DIGEST or reader.is_cut_short


def test_a_manifest_that_nobody_touched_is_read_whole(tmp_path):
    reader = read(LINES)
    assert (reader.chain.lines, reader.chain.digest) == (len(LINES), DIGEST)
    assert reader.is_through
    assert not reader.is_cut_short
    (tmp_path / "_manifest.ndjson").write_bytes(b"".join(LINES))
    assert read_manifest(tmp_path).digest == DIGEST
    found = read_linked(tmp_path / "_manifest.ndjson")
    assert [record.n for record in found] == list(range(1, len(LINES) + 1))


PLACES = st.integers(0, len(LINES) - 2)
"""Any line but the last one, which nothing comes after."""


@given(place=PLACES, data=st.data())
def test_any_byte_that_is_changed_before_the_last_line_is_found(place, data):
    line = bytearray(LINES[place])
    at = data.draw(st.integers(0, len(line) - 1))
    line[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ExportError):
        read([*LINES[:place], bytes(line), *LINES[place + 1 :]])


@given(place=PLACES, count=st.integers(1, 4))
def test_lines_that_are_taken_out_before_the_end_are_found(place, count):
    left = [*LINES[:place], *LINES[place + count :]]
    if place + count < len(LINES):
        with pytest.raises(ExportError):
            read(left)
    assert shows(left)


@given(place=st.integers(0, len(LINES) - 1), to=st.integers(0, len(LINES)))
def test_a_line_that_is_there_twice_is_found(place, to):
    with pytest.raises(ExportError):
        read([*LINES[:to], LINES[place], *LINES[to:]])


@given(one=st.integers(0, len(LINES) - 1), other=st.integers(0, len(LINES) - 1))
def test_lines_that_changed_places_are_found(one, other):
    if one == other:
        return
    lines = list(LINES)
    lines[one], lines[other] = lines[other], lines[one]
    with pytest.raises(ExportError):
        read(lines)


@given(data=st.data())
def test_a_last_line_that_is_changed_has_another_digest(data):
    line = bytearray(LINES[-1])
    at = data.draw(st.integers(0, len(line) - 1))
    line[at] ^= data.draw(st.integers(1, 255))
    assert shows([*LINES[:-1], bytes(line)])


@given(cut=st.integers(1, len(b"".join(LINES)) - 1))
def test_a_manifest_that_is_cut_anywhere_has_another_digest(cut):
    assert shows([b"".join(LINES)[:cut]])


@given(place=st.integers(1, len(LINES)))
def test_lines_of_another_manifest_do_not_fit(place):
    other = linked(
        [Header(**{**as_arguments(HEADER), "account": "beta"}), *list(records(3))[1:]]
    ).splitlines(keepends=True)
    mixed = [*LINES[:place], *other[place:]]
    assert shows(mixed) == (place < len(LINES))


def as_arguments(header):
    names = ("account", "base_url", "format", "scope", "created_at", "library")
    return {name: getattr(header, name) for name in names}


def test_an_empty_chain_links_the_first_line_to_nothing():
    chain = Chain()
    record = chain.link(HEADER)
    assert (record.n, record.prev) == (1, "")
    assert chain.digest == hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ([HEADER, End(run=1, at=NOON, outcome="finished")], "no run is open"),
        (
            [*list(records(1)), End(run=1, at=NOON, outcome="finished")],
            "no run is open",
        ),
        ([HEADER, list(records(2))[6]], "run 2 begins, but run 1 is the next"),
        ([HEADER, Commit(unchanged=("a",))], "'a' was not done before"),
    ],
)
def test_records_that_can_not_follow_each_other_are_damage(tmp_path, made, words):
    (tmp_path / "_manifest.ndjson").write_bytes(linked(made))
    with pytest.raises(ExportError, match=words):
        read_manifest(tmp_path)
