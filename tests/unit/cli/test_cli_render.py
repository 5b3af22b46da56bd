"""Rows on the command line: JSON lines, cells, sentences."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from canopy_async import AuditEvent, Identity, Proof, ReadReport, converter
from canopy_async.cli.terminal.render import (
    event_table,
    identity_table,
    in_words,
    json_lines,
    one_line,
    visible,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def make_event(**fields):
    row = {
        "id": "evt_1",
        "actor_type": "user",
        "action": "auth.logout",
        "metadata": {},
        "created_at": "2026-01-01T12:00:00.120+02:00",
        "outcome": "success",
        "severity": "info",
        "customer_visible": True,
        "identity_visible": False,
    }
    return converter.structure(row | fields, AuditEvent)


def printed(table, width):
    console = Console(width=width, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(table)
    return capture.get().splitlines()


@given(text=TEXT)
@example("\x7f")
@example("\x9b\u202e\u2028\U000e0041")
def test_a_line_of_json_parses_back_and_is_printable(text):
    event = make_event(action=text, outcome=text, metadata={text: [text, None, 1.5]})
    line = json_lines([event]).decode().removesuffix("\n")
    assert line.isprintable()
    assert json.loads(line) == converter.unstructure(event)


def test_json_lines_put_unknown_fields_beside_the_known_ones():
    event = make_event(brand_new={"a": 1})
    identity = converter.structure({"id": "idn_1", "later": True}, Identity)
    lines = json_lines([event, identity]).decode().splitlines()
    assert json.loads(lines[0]) == converter.unstructure(event)
    assert json.loads(lines[0])["brand_new"] == {"a": 1}
    assert json.loads(lines[1]) == converter.unstructure(identity)


@given(text=TEXT)
def test_visible_text_is_printable_but_for_joiners(text):
    shown = visible(text)
    assert shown.replace("\u200c", "").replace("\u200d", "").isprintable()


def test_visible_text_keeps_words_and_spells_out_what_acts():
    assert visible("Émile 👩\u200d💻 a\u00a0b") == "Émile 👩\u200d💻 a b"
    assert visible("\x1b[0m\n\u202e") == r"\x1b[0m\n\u202e"


def test_one_line_is_bounded():
    assert len(one_line("x" * 5_000)) <= 1_001


def test_columns_of_a_table_do_not_depend_on_its_rows():
    short = printed(event_table([make_event()], width=120), 120)
    long = printed(event_table([make_event(action="a" * 300)], width=120), 120)
    assert short[0] == long[0]
    assert len(long) == 2
    assert "…" in long[1]


def test_a_narrow_terminal_gets_fewer_columns():
    assert "resource" in printed(event_table([], width=120), 120)[0]
    assert "resource" not in printed(event_table([], width=80), 80)[0]


def test_a_table_tells_times_in_utc():
    (line,) = printed(event_table([make_event()], width=120, header=False), 120)
    assert line.startswith("2026-01-01 10:00:00Z")


def test_an_identity_of_which_little_is_known_can_be_shown():
    rows = [
        Identity(id="idn_1"),
        Identity(
            id="idn_2",
            first_name="Ada",
            is_active=False,
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
        ),
    ]
    lines = printed(identity_table(rows, width=120), 120)
    assert lines[1].split() == ["idn_1"]
    assert "inactive" in lines[2]
    assert "Ada" in lines[2]


@pytest.mark.parametrize("proof", list(Proof))
def test_every_proof_has_words(proof):
    words = in_words(ReadReport(complete=proof is not Proof.NONE, proof=proof))
    assert words.startswith("complete: " if proof is not Proof.NONE else "not proven")


def test_a_read_that_stopped_early_is_not_called_complete():
    report = ReadReport(complete=False, proof=Proof.STRICT_KEY)
    assert in_words(report).startswith("not complete: ")
