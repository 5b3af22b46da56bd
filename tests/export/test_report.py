"""The report of an export: one page, which says what it knows and hides nothing."""

import base64
import hashlib
import json
import re
import sys
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from support.exports import FORMATS

from canopy_async import ExportError
from canopy_async.export import Status, export, read_manifest, write_report

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
HOSTILE = (
    "</script><script>window.stolen = 1</script>",
    "<img src=x onerror='window.stolen = 1'>",
    "--><!-- \u2028\u2029 &lt;b&gt; \"'",
    "\u202etxt.exe\x00\x1b[31m\x85",
    "{{ 7 * 7 }}{% raw %}",
)


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Page(HTMLParser):
    """A page, taken apart."""

    def __init__(self, path):
        super().__init__()
        self.raw = path.read_bytes()
        self.tags, self.texts, self._open = [], [], []
        self._goes_on = False
        self.contents = {"script": [], "style": []}
        self.feed(self.raw.decode())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._goes_on = tag == "wbr"  # where a word may be cut, and is none
        if self._goes_on:
            return
        self._open.append(tag)
        if tag in self.contents:
            self.contents[tag].append("")

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        inside = self._open[-1] if self._open else ""
        if inside in self.contents:
            self.contents[inside][-1] += data
        elif self._goes_on:
            self.texts[-1] += data
            self._goes_on = False
        else:
            self.texts.append(data)

    @property
    def text(self):
        """What is to be read, in one line."""
        return " ".join(" ".join(self.texts).split())

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def events(self):
        """The rows of the table of events, as dicts."""
        data = self._data("event-data")
        store, time, rows = data["store"], 0, []
        for index, step in enumerate(store["time"]):
            time += step
            moment = EPOCH + timedelta(milliseconds=time)
            row = {
                "time": f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03}"
            }
            for name in data["columns"][1:]:
                column = store[name]
                place = column["places"][index] if "places" in column else index
                row[name] = column["values"][place]
            rows.append(row)
        return rows

    @property
    def charts(self):
        return self._data("chart-data")

    def _data(self, name):
        place = [attrs.get("id") for attrs in self.all("script")].index(name)
        return json.loads(self.contents["script"][place])


@pytest.fixture
def out(tmp_path):
    """Where to export to."""
    return tmp_path / "out"


@pytest.fixture
def report(tmp_path, out):
    """Makes a report and takes it apart."""

    def make(**options):
        path = tmp_path / "report.html"
        make.written = write_report(out, path, now=NOW, **options)
        return Page(path)

    return make


async def test_the_headline_is_what_the_export_holds(server, session, out, report):
    server.add_events(
        "idn_1",
        [
            {"created_at": f"2026-02-0{n}T10:00:00Z", "outcome": outcome, **fields}
            for n, outcome, fields in (
                (1, "success", {"severity": "info"}),
                (2, "failure", {"severity": "critical"}),
                (3, "failure", {"severity": "info"}),
                (4, "denied", {"severity": "info"}),
                (5, "success", {"severity": "info"}),
            )
        ],
    )
    server.add_identity(id="idn_2")
    await export(session, None, out)
    page = report()
    assert "Audit log of acme" in page.text
    assert "2026-02-01 10:00:00 to 2026-02-05 10:00:00 UTC" in page.text
    said = "Complete: the logs of all 2 identities of the account are proven complete"
    assert said in page.text
    assert "Events 5 about 1 a day Identities 2 1 with events" in page.text
    assert "Failures 2 40.0% of events Denials 1 20.0% of events" in page.text
    assert "Critical events 1 20.0% of events" in page.text
    assert "2 failed and 1 were denied, which together is 60.0%" in page.text
    assert "Proven complete strict-key" in page.text
    assert "made on 2026-11-01 12:00 UTC by canopy-async" in page.text
    written = report.written
    assert (written.events, written.identities) == (5, 2)
    assert written.status is Status.FINISHED
    assert written.size == len(page.raw) == written.path.stat().st_size


async def test_what_is_not_proven_is_said_first_and_of_whom(
    server, session, out, report
):
    server.seed_events("idn_1", 30)
    await export(session, ["idn_1", "idn_<gone>"], out)
    page = report()
    verdict = "Failed: 1 identity could not be read."
    assert verdict in page.text
    assert page.text.index(verdict) < page.text.index("Events by minute")
    assert "idn_<gone> Failed 0 NotFoundError: 404" in page.text
    assert report.written.status is Status.UNFINISHED


async def test_of_many_that_are_not_proven_it_lists_some(server, session, out, report):
    server.seed_events("idn_1", 3)
    await export(session, ["idn_1", *(f"gone_{n}" for n in range(205))], out)
    page = report()
    assert "Failed: 205 identities could not be read." in page.text
    assert "Of 205, the first 200: those that failed first." in page.text
    assert page.text.count("NotFoundError") == 200


async def test_a_part_of_the_log_is_said_to_be_one(server, session, out, report):
    server.seed_events("idn_1", 50)
    since = datetime(2026, 1, 1, 0, 5, tzinfo=UTC)
    await export(session, ["idn_1"], out, since=since, q="<b>a")
    page = report()
    assert "Range from 2026-01-01 00:05:00 UTC and that match '<b>a'" in page.text


async def test_an_export_without_events_has_a_report(server, session, out, report):
    server.add_identity(id="idn_1")
    await export(session, ["idn_1"], out)
    page = report()
    assert "There are no events." in page.text
    assert "No event failed, and none was denied." in page.text
    assert page.charts["charts"] == {}
    assert "#events" not in [attrs["href"] for attrs in page.all("a")]


@pytest.mark.parametrize("name", FORMATS)
async def test_every_format_makes_the_same_report(server, session, tmp_path, name):
    server.seed_events("idn_1", 150)
    server.add_event("idn_1", category=None, actor_label=HOSTILE[3])
    pages = []
    for number, written_as in enumerate(("jsonl", name)):
        directory = tmp_path / f"export_{number}"
        await export(session, ["idn_1"], directory, format=written_as)
        write_report(directory, tmp_path / "report.html", now=NOW)
        page = (tmp_path / "report.html").read_text()
        # When it was made, and which files there are, is of each its own.
        page = re.sub(r"The export was begun on [-: \d]+ UTC", "", page)
        page = re.sub(r"Covered as of</dt><dd>[-: \dUTC]+", "", page)
        page = re.sub(r"sha256 [0-9a-f]{64}", "", page)
        files = r"(?s)<details( open)?>\s*<summary>Files.*?</details>"
        pages.append(re.sub(files, "", page))
    assert pages[0] == pages[1]
    assert len(pages[0]) < len(page) - 500


@pytest.mark.parametrize("name", FORMATS)
async def test_metadata_is_in_no_report(server, session, out, report, name):
    secret = "person@example.org"
    server.add_events(
        "idn_1", [{"metadata": {"mail": secret, secret: [1]}, "actor_label": "Ada"}]
    )
    server.add_event("idn_1", new_field=secret)
    await export(session, ["idn_1"], out, format=name)
    page = report()
    assert secret.encode() not in page.raw
    assert "Ada" in page.text
    assert "metadata is not" in page.text


async def test_everything_of_the_log_is_text(server, session, out, report):
    server.add_events(
        "idn_1",
        [
            dict.fromkeys(
                (
                    *("actor_id", "actor_label", "actor_type", "action", "category"),
                    *("resource_id", "resource_label", "severity", "outcome"),
                ),
                text,
            )
            | {"id": f"{text}-{n}", "created_at": f"2026-01-01T00:00:0{n}Z"}
            for n, text in enumerate(HOSTILE)
        ],
    )
    await export(session, ["idn_1"], out)
    page = report()
    assert len(page.all("script")) == 4
    assert page.all("img") == []
    assert not [k for _, attrs in page.tags for k in attrs if k.startswith("on")]
    for text in HOSTILE[:2]:
        assert text in page.text
        assert text in [event["action"] for event in page.events]
    outside = page.raw.decode()
    for own in page.contents["script"][2:]:
        outside = outside.replace(own, "")
    assert not re.search(
        "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", outside
    )
    assert "\\u202etxt.exe\\x00\\x1b[31m\\x85" in page.text
    assert "{{ 7 * 7 }}{% raw %}" in page.text


async def test_long_texts_are_cut(server, session, out, report):
    server.add_event("idn_1", actor_label="x" * 100_000, action="y" * 100_000)
    await export(session, ["idn_1"], out)
    page = report()
    assert page.events[0]["action"] == "y" * 299 + "…"
    assert len(page.raw) < 1_200_000


async def test_the_page_refers_to_nothing_and_may_load_nothing(
    server, session, out, report
):
    server.seed_events("idn_1", 300)
    await export(session, ["idn_1"], out)
    page = report()
    for _, attrs in page.tags:
        assert not attrs.keys() & {"src", "srcset", "action", "data", "poster", "style"}
        assert attrs.get("href", "#").startswith("#")
    (style,) = page.contents["style"]
    assert not re.search(r"url\(|@import|https?:", style)
    (policy,) = (
        attrs["content"]
        for attrs in page.all("meta")
        if attrs.get("http-equiv") == "Content-Security-Policy"
    )
    directives = dict(part.split(" ", 1) for part in policy.split("; "))
    assert directives.pop("default-src") == "'none'"
    assert directives.pop("base-uri") == directives.pop("form-action") == "'none'"
    assert directives.pop("style-src") == hash_of(style)
    data, code = page.contents["script"][:2], page.contents["script"][2:]
    assert directives.pop("script-src") == " ".join(map(hash_of, code))
    assert directives == {}
    assert [attrs.get("type") for attrs in page.all("script")] == [
        *["application/json"] * len(data),
        *[None] * len(code),
    ]
    assert len(page.raw) < 2_000_000


def hash_of(text):
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


async def test_the_table_has_the_latest_events(server, session, out, report):
    server.seed_events("idn_1", 60)
    server.seed_events("idn_2", 60)
    await export(session, ["idn_1", "idn_2"], out)
    page = report(latest=25)
    served = [
        (event["created_at"].replace("T", " ").rstrip("Z"), name)
        for name in ("idn_1", "idn_2")
        for event in server.events(name)
    ]
    found = [(event["time"], event["identity"]) for event in page.events]
    assert [time for time, _ in found] == sorted((t for t, _ in served), reverse=True)[
        :25
    ]
    assert set(found) <= set(served)
    oldest, _ = found[-1]
    assert f"The latest 25 of 120 events, none of them before {oldest[:-4]}." in (
        page.text
    )


async def test_each_chart_has_its_numbers_in_a_table(server, session, out, report):
    server.seed_events("idn_1", 400)
    await export(session, ["idn_1"], out)
    page = report()
    charts = page.charts["charts"]
    assert charts.keys() == {"outcome", "severity", "category", "trouble"}
    figures = [attrs for attrs in page.all("div") if attrs.get("role") == "img"]
    ids = {attrs.get("id") for attrs in page.all("div")}
    assert {f"chart-{name}" for name in charts} <= ids
    described = [it for it in figures if "Most in one" in it["aria-label"]]
    assert len(described) == len(charts)
    for attrs in described:
        assert "Most in one quarter-hour" in attrs["aria-label"]
    for name, drawn in charts.items():
        assert sum(map(sum, drawn["counts"])) == (
            sum(e["outcome"] != "success" for e in server.events("idn_1"))
            if name == "trouble"
            else 400
        )
    # And those of the chart of actors, which a script draws from the table of events.
    assert page.text.count("Only what has events is listed; times are UTC.") == 5


async def test_rankings_have_as_many_entries_as_asked(server, session, out, report):
    server.add_events("idn_1", [{"action": f"a.{n}"} for n in range(9)])
    await export(session, ["idn_1"], out)
    assert "The first 4 of 9. The others have 5 events." in report(top=4).text
    assert "All 9." in report(top=9).text


@pytest.fixture
async def exported(server, session, out):
    """An export of some events."""
    server.seed_events("idn_1", 30)
    await export(session, ["idn_1"], out)
    return out


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"latest": 0}, ValueError, "latest must be from 1 to 200000"),
        ({"latest": "all"}, TypeError, "latest must be an int"),
        ({"top": 101}, ValueError, "top must be from 1 to 100"),
        ({"now": datetime(2026, 1, 1)}, ValueError, "now must have a UTC offset"),
    ],
)
def test_wrong_arguments_are_named_at_the_call(tmp_path, options, error, said):
    with pytest.raises(error, match=said):
        write_report(tmp_path / "nowhere", tmp_path / "report.html", **options)


def test_a_directory_without_an_export_has_no_report(tmp_path):
    with pytest.raises(ExportError, match=r"_manifest\.ndjson"):
        write_report(tmp_path, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "manifest.jsonl",
        "_manifest.ndjson",
        "_SHA256SUMS",
        "events-00001.jsonl",
        "events-00002.jsonl",
        "events-00002.jsonl.partial",
        "_events-00002.jsonl.partial",
    ],
)
def test_the_export_is_not_written_over(exported, name):
    before = {path: path.read_bytes() for path in exported.iterdir()}
    with pytest.raises(ValueError, match="path must not be a file of the export"):
        write_report(exported, exported / ".." / exported.name / name)
    assert {path: path.read_bytes() for path in exported.iterdir()} == before


def test_a_report_may_lie_beside_the_files_of_its_export(exported):
    assert write_report(exported, exported / "report.html").events == 30
    assert write_report(exported, exported / "report.html").events == 30
    assert read_manifest(exported).events == 30


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda path: path.unlink(), "can't be read: No such file or directory"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "sha256 differs"),
        (
            lambda path: path.write_bytes(path.read_bytes().partition(b"\n")[2]),
            "sha256 differs",
        ),
    ],
)
def test_a_report_says_first_which_files_are_damaged_and_leaves_them_out(
    exported, report, harm, said
):
    harm(exported / "events-00001.jsonl")
    page = report()
    damaged = "Damaged: what is here is not what was written."
    assert (
        page.text.index(damaged)
        < page.text.index(said)
        < page.text.index("What is proven")
    )
    assert "Complete:" not in page.text
    assert report.written.status is Status.DAMAGED
    assert report.written.events == 0
    assert page.events == []


def test_where_the_manifest_can_not_be_read_there_is_no_report_and_an_old_one_stays(
    exported, tmp_path
):
    path = tmp_path / "report.html"
    path.write_text("the old one")
    (exported / "_manifest.ndjson").write_bytes(b"")
    with pytest.raises(ExportError, match="not the manifest of an export"):
        write_report(exported, path)
    assert path.read_text() == "the old one"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "report.html"]


def test_a_place_that_can_not_be_written_to_is_named(exported, tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"):
        write_report(exported, tmp_path / "missing" / "report.html")
    with pytest.raises(IsADirectoryError):
        write_report(exported, tmp_path)


def test_a_committed_file_that_has_not_got_its_name_yet_is_read(exported, tmp_path):
    path = exported / "events-00001.jsonl"
    path.rename(path.with_name(f"{path.name}.partial"))
    assert write_report(exported, tmp_path / "report.html").events == 30


@pytest.mark.parametrize("name", ["jinja2", "vl_convert"])
def test_a_missing_package_is_named_with_its_extra(
    exported, tmp_path, monkeypatch, name
):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ExportError, match="this library with its extra 'report'"):
        write_report(exported, tmp_path / "report.html")
