"""No cell of an exported CSV is a formula to a spreadsheet, and each is read back."""

import csv
import io
import json
import re
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.sampled import sampled
from support.samples import event_row, page_body

from canopy_async._api.requests import audit_endpoint
from canopy_async._api.responses import decode_page
from canopy_async._fanout.results import IdentityBatch
from canopy_async._tables.columns import COLUMNS
from canopy_async.export.writers import csv_
from canopy_async.export.writers.csv_ import guarded, unguarded

SIGNS = "=+-@\uff1d\uff0b\uff0d\uff20"
TRIMMED = ("", " ", "   ", "\u00a0", "\ufeff", "\0", "\u3000", "\u200b", " \ufeff\0 ")
OFFICE = shutil.which("soffice") or shutil.which("libreoffice")

parts = st.sampled_from(
    [*SIGNS, *TRIMMED, "'", "\t", "\r", "\n", "a", "1", ";", ",", '"']
)
cells = st.lists(parts, max_size=6).map("".join)


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("before", TRIMMED)
def test_what_a_spreadsheet_would_take_for_a_formula_gets_an_apostrophe(before, sign):
    cell = f"{before}{sign}cmd|' /C calc'!A0"
    assert guarded(cell) == f"'{cell}"
    assert unguarded(guarded(cell)) == cell


@pytest.mark.parametrize("cell", ["a=1", "1-2", "", "it's", "'quoted'", "  a", "a@b"])
def test_what_is_no_formula_stays_as_it_is(cell):
    assert guarded(cell) == cell == unguarded(cell)


@given(cells)
def test_what_was_guarded_is_read_back_exactly(cell):
    assert unguarded(guarded(cell)) == cell


def csv_of(text):
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))[1:]


def lines_of(cells):
    rows = [
        event_row(n, action=cell, actor_label=cell, metadata={"x": cell})
        for n, cell in enumerate(cells)
    ]
    page = decode_page(audit_endpoint("acme", "idn_1"), page_body(rows), page=1)
    return csv_.HEADER + csv_.encode(IdentityBatch("idn_1", page.items))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_no_separator_within_a_cell_begins_another_one(separator):
    cells = [f"a{separator}=1+1", f'"{separator}=1+1', f"x{separator}@SUM(A1)"]
    text = lines_of(cells).decode()
    read = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    for line in read:
        assert not [cell for cell in line if cell[:1] in set(SIGNS)]
    metadata = [json.loads(line[COLUMNS.index("metadata")]) for line in csv_of(text)]
    assert metadata == [{"x": cell} for cell in cells]
    if separator == ",":
        actions = [line[COLUMNS.index("action")] for line in read[1:]]
        assert [unguarded(action) for action in actions] == cells


@given(st.lists(cells, min_size=1, max_size=4))
def test_every_cell_is_read_back_from_a_file(cells):
    text = lines_of(cells).decode()
    read = csv_of(text)
    at = COLUMNS.index("action")
    assert [unguarded(line[at]) for line in read] == cells


@pytest.mark.skipif(OFFICE is None, reason="LibreOffice is not installed")
@pytest.mark.parametrize(
    "separator",
    sampled(["44", "59", "9"], "59"),
    ids=["comma", "semicolon", "tab"],
)
def test_libreoffice_finds_no_formula(tmp_path, separator):
    cells = [
        f"{before}{sign}1+1" for before in TRIMMED if before != "\0" for sign in SIGNS
    ]
    cells += [f"a;{cell}" for cell in cells] + [f"a\t{cell}" for cell in cells]
    # The last line is a formula, which shows that it would find others.
    (tmp_path / "events.csv").write_bytes(lines_of(cells) + b"=6*7\r\n")
    # Separator, quote, UTF-8, first line, no formats, any language, texts in quotes may
    # be numbers, dates are found, (two for writing), spaces are trimmed, the first
    # sheet, formulas are evaluated.
    options = f"{separator},34,76,1,,0,false,true,false,false,true,0,true"
    subprocess.run(  # what was found
        [
            OFFICE,
            "--headless",
            f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}",
            f"--infilter=Text - txt - csv (StarCalc):{options}",
            "--convert-to",
            "fods",
            "--outdir",
            tmp_path,
            tmp_path / "events.csv",
        ],
        check=True,
        timeout=120,
        capture_output=True,
    )
    found = re.findall(r'table:formula="[^"]*"', (tmp_path / "events.fods").read_text())
    assert found == ['table:formula="of:=6*7"']
