"""The page of a report in a browser: drawn, searched, used by keyboard, printed."""

import re
import shutil
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from support.sampled import sampled

from canopy_async import CanopySession
from canopy_async.export import export, write_report
from canopy_async.testing import LocalCanopy

playwright = pytest.importorskip("playwright.async_api")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
]

DRAWN = "html[data-charts=drawn]"
HOSTILE = "</script><script>stolen = 1</script><img src=x onerror='stolen = 1'>\u202e"
OUTCOMES = ("success", "success", "success", "failure", "denied")
ENDS = ("From", "To")
SEVERITIES = ("info", "critical", "notice", "warning")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(tmp_path_factory):
    """Where a report is, of 200 events, some of which mean harm."""
    directory = tmp_path_factory.mktemp("report")
    async with LocalCanopy() as server:
        server.add_events(
            "idn_1",
            [
                {
                    "created_at": f"2026-03-{1 + n // 24:02}T{n % 24:02}:00:00.000Z",
                    "action": f"role.number{n}",
                    "actor_type": "user",
                    "actor_id": f"usr_{n % 10}",
                    "actor_label": HOSTILE if n == 7 else f"Ada {n % 10}",
                    "category": HOSTILE if n % 50 == 7 else "rbac",
                    "outcome": OUTCOMES[n % 5],
                    "severity": SEVERITIES[n % 4],
                }
                for n in range(200)
            ],
        )
        async with CanopySession(
            server.account, server.token, base_url=server.base_url
        ) as canopy:
            await export(canopy, ["idn_1", "idn_gone"], directory / "out")
    path = directory / "report.html"
    write_report(directory / "out", path)
    return path.as_uri()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cut_url(url, tmp_path_factory):
    """Where a report of these events is that has rows of the latest 50 only."""
    directory = tmp_path_factory.mktemp("cut")
    path = directory / "report.html"
    exported = Path(url.removeprefix("file://")).parent / "out"
    write_report(exported, path, latest=50)
    return path.as_uri()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def attacked_url(tmp_path_factory):
    """Where a report is of a log in which somebody guesses a password."""
    directory = tmp_path_factory.mktemp("attacked")
    async with LocalCanopy() as server:
        server.add_events(
            "idn_1",
            [
                {
                    "created_at": f"2026-03-01T10:{minute:02}:00.000Z",
                    "action": f"auth.login.{'succeeded' if minute == 30 else 'failed'}",
                    "actor_type": "user",
                    "actor_id": "usr_eve",
                    "actor_label": "Eve",
                    "outcome": "success" if minute == 30 else "failure",
                }
                for minute in range(0, 31, 3)
            ],
        )
        for minute in range(3):
            server.add_event(
                "idn_1",
                created_at=f"2026-03-05T10:{minute:02}:00.000Z",
                action="auth.login.failed",
                actor_type="user",
                actor_id="usr_mallory",
                actor_label="Mallory",
                outcome="failure",
            )
        async with CanopySession(
            server.account, server.token, base_url=server.base_url
        ) as canopy:
            await export(canopy, ["idn_1"], directory / "out")
    path = directory / "report.html"
    write_report(directory / "out", path)
    return path.as_uri()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser():
    """A headless browser."""
    async with playwright.async_playwright() as started:
        running = await started.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"]
        )
        yield running
        await running.close()


@asynccontextmanager
async def opened(browser, url, *, ready=DRAWN, **options):
    """The report in a window of its own, which keeps to itself and never complains."""
    context = await browser.new_context(**options)
    page = await context.new_page()
    heard = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda request: heard.append(request.url))
    await page.goto(url)
    if ready:
        await page.wait_for_selector(ready, state="attached")
    yield page
    assert heard == [url]
    await context.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(browser, url):
    """The report in a window for several tests, since opening one takes time."""
    async with opened(browser, url, color_scheme="light") as page:
        yield page


@pytest_asyncio.fixture(loop_scope="module")
async def page(shared):
    """The report as it is after opening it."""
    await shared.get_by_role("button", name="Clear").click()
    if any([await shared.get_by_label(f"{end} (UTC)").input_value() for end in ENDS]):
        # It draws all charts anew, which takes time.
        await shared.get_by_role("button", name="All days").click()
    time = shared.locator("#events").get_by_role("columnheader", name="Time (UTC)")
    while await time.get_attribute("aria-sort") != "descending":
        await time.get_by_role("button").click()
    await matches(shared, "200")
    return shared


def search(page):
    return page.get_by_role("searchbox", name="Search in all columns")


def heads(page, name):
    return page.locator("#events").get_by_role("columnheader", name=name, exact=True)


def status(page):
    return page.locator("#events").get_by_role("status")


def dates_said(page):
    return page.locator("#dates-said")


async def rows(page):
    return await page.locator("#events tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.innerText))"
    )


async def matches(page, text):
    await playwright.expect(status(page)).to_contain_text(f"{text} of 200 events match")


async def test_charts_are_drawn_and_nothing_is_loaded_or_complained_of(page):
    for name in ("outcome", "severity", "category", "trouble"):
        bars = page.locator(f"#chart-{name} svg .mark-rect.role-mark path")
        assert await bars.count() > 8, name
        box = await page.locator(f"#chart-{name} svg").bounding_box()
        assert box["width"] > 300, name
        assert box["height"] > 100, name
    fills = await page.locator("#chart-outcome .mark-rect.role-mark path").evaluate_all(
        "paths => [...new Set(paths.map(path => getComputedStyle(path).fill))]"
    )
    assert len(fills) == 3


async def test_nothing_of_the_log_is_run(page):
    assert await page.evaluate("typeof stolen") == "undefined"
    assert await page.locator("img").count() == 0
    await search(page).fill("onerror role.number7")
    await matches(page, "1")
    ((_, action, *_, actor, _, category, _, _),) = await rows(page)
    shown = HOSTILE.replace("\u202e", "\\u202e")
    assert action == "role.number7"
    assert category == shown
    assert actor.startswith(shown)


async def test_searching_narrows_the_rows_and_says_how_many(page):
    await matches(page, "200")
    assert len(await rows(page)) == 50
    await search(page).fill("NUMBER19 ada")
    await matches(page, "11")
    found = await rows(page)
    assert {row[1] for row in found} == {
        f"role.number{n}" for n in (19, *range(190, 200))
    }
    await search(page).fill("no such thing")
    await matches(page, "0")
    assert await page.get_by_text("No event matches.").is_visible()
    await page.get_by_role("button", name="Clear").click()
    await matches(page, "200")


@pytest.mark.slow
async def test_filters_can_be_combined(page):
    outcome = page.get_by_role("combobox", name="Outcome")
    await outcome.select_option(label="denied (40)")
    await matches(page, "40")
    severity = page.get_by_role("combobox", name="Severity")
    await severity.select_option(label="critical (50)")
    await matches(page, "10")
    found = await rows(page)
    assert {(row[2], row[3]) for row in found} == {("denied", "critical")}
    assert await page.locator("#events tbody tr.denied").count() == 10


@pytest.mark.slow
async def test_heads_sort_by_their_column(page):
    time = page.locator("#events").get_by_role("columnheader", name="Time (UTC)")
    severity = page.locator("#events").get_by_role("columnheader", name="Severity")
    assert await time.get_attribute("aria-sort") == "descending"
    assert (await rows(page))[0][0] == "2026-03-09 07:00:00.000"
    await time.get_by_role("button").click()
    assert await time.get_attribute("aria-sort") == "ascending"
    assert (await rows(page))[0][0] == "2026-03-01 00:00:00.000"
    for button, expected in (("ascending", "info"), ("descending", "critical")):
        await severity.get_by_role("button").click()
        assert await severity.get_attribute("aria-sort") == button
        assert await time.get_attribute("aria-sort") is None
        assert {row[3] for row in await rows(page)} == {expected}


@pytest.mark.slow
async def test_all_rows_can_be_reached(page):
    back = page.get_by_role("button", name="Previous rows")
    on = page.get_by_role("button", name="Next rows")
    seen = {row[1] for row in await rows(page)}
    assert await back.is_disabled()
    for number in range(1, 4):
        await on.click()
        await playwright.expect(status(page)).to_contain_text(
            f"rows {number * 50 + 1} to {number * 50 + 50} shown"
        )
        seen |= {row[1] for row in await rows(page)}
    assert len(seen) == 200
    assert await on.is_disabled()
    assert not await back.is_disabled()


async def test_it_can_be_used_by_keyboard(browser, url):
    async with opened(browser, url, ready=None) as page:
        focused = "document.activeElement"
        await page.keyboard.press("Tab")
        assert await page.evaluate(f"{focused}.textContent") == "Skip to the report"
        assert (
            await page.locator(".skip").evaluate("e => e.getBoundingClientRect().top")
            >= 0
        )
        await page.keyboard.press("Enter")
        assert await page.evaluate(f"{focused}.id") == "main"
        await page.keyboard.press("Tab")
        assert await page.evaluate(f"{focused}.tagName") == "SUMMARY"
        await page.keyboard.press("Enter")
        assert await page.locator("details[open] table").first.is_visible()
        outline = f"getComputedStyle({focused}).outlineStyle"
        assert await page.evaluate(outline) == "solid"
        await search(page).focus()
        await page.keyboard.type("number199")
        await matches(page, "1")
        action = (
            page.locator("#events")
            .get_by_role("columnheader", name="Action", exact=True)
            .last
        )
        await action.get_by_role("button").focus()
        await page.keyboard.press("Space")
        assert await action.get_attribute("aria-sort") == "ascending"


@pytest.mark.slow
async def test_its_colours_are_the_systems_until_switched(browser, url):
    """Colours follow a switch in a later frame, so that each look waits for them."""
    brightness = """getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g)
        .slice(0, 3).reduce((sum, n) => sum + Number(n), 0)"""

    async def looks(dark, *, fill=None, other_than=None):
        await page.wait_for_function(f"({brightness}) {'<' if dark else '>'} 380")
        await playwright.expect(switch).to_have_attribute(
            "aria-pressed", str(dark).lower()
        )
        if fill is not None:
            await playwright.expect(mark).to_have_css("fill", fill)
        if other_than is not None:
            await playwright.expect(mark).not_to_have_css("fill", other_than)
        return await mark.evaluate("e => getComputedStyle(e).fill")

    async with opened(browser, url, color_scheme="dark") as page:
        switch = page.get_by_role("button", name="Dark")
        mark = page.locator("#chart-outcome .mark-rect.role-mark path").first
        dark = await looks(dark=True)
        await page.emulate_media(color_scheme="light")
        light = await looks(dark=False, other_than=dark)
        await switch.click()
        await looks(dark=True, fill=dark)
        await page.emulate_media(media="print")
        await page.wait_for_function(f"({brightness}) === 3 * 255")
        await playwright.expect(page.get_by_role("navigation").first).to_be_hidden()
        await page.emulate_media(media="screen")
        await switch.click()
        await looks(dark=False, fill=light)


# Ratios of the Web Content Accessibility Guidelines, of everything that is text.
CONTRAST = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", {
    willReadFrequently: true,
  });
  const rgb = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => [r, g, b]
    .map((n) => n / 255)
    .map((n) => (n <= 0.04045 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4))
    .reduce((sum, n, place) => sum + n * [0.2126, 0.7152, 0.0722][place], 0);
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = rgb(getComputedStyle(e).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const poor = new Set();
  for (const element of document.body.querySelectorAll("*")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    const style = getComputedStyle(element);
    if (!own || !element.checkVisibility()) continue;
    if (element.matches(":disabled, script")) continue;
    const svg = element instanceof SVGElement;
    const pair = [rgb(svg ? style.fill : style.color), ground(element)].map(luminance);
    const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    if (ratio < 4.5) poor.add(`${element.tagName} ${element.className} ${ratio}`);
  }
  return [...poor];
}"""

FAULTS = """() => {
  const faults = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const say = (fault, e) => faults.push(`${fault}: ${e.outerHTML.slice(0, 90)}`);
  const named = (e) => e.ariaLabel || e.labels?.[0]?.innerText || e.innerText
    || e.getAttribute("aria-labelledby");
  if (!document.documentElement.lang) faults.push("no language");
  if (!document.title) faults.push("no title");
  for (const role of ["main", "header", "footer", "nav"])
    if (!document.querySelector(role)) faults.push(`no ${role}`);
  const toName = "a, button, input, select, summary, [role=img], [role=region], nav";
  for (const e of all(`${toName}, form:not([role=img] *)`))
    if (!named(e)?.trim()) say("no name", e);
  let level = 0;
  for (const e of all("h1, h2, h3, h4")) {
    const here = Number(e.tagName[1]);
    if (here > level + 1) say("a level left out", e);
    level = here;
  }
  if (all("h1").length !== 1) faults.push("not one h1");
  for (const e of all("table")) {
    if (!e.caption?.innerText) say("no caption", e);
    for (const head of e.querySelectorAll("th")) if (!head.scope) say("no scope", head);
    const heads = e.tHead.rows[0].cells.length;
    for (const row of e.tBodies[0].rows)
      if (row.cells.length !== heads) say("not one cell for each head", row);
  }
  for (const e of all("[aria-labelledby], [href^='#']")) {
    const id = e.getAttribute("aria-labelledby") ?? e.getAttribute("href").slice(1);
    if (!document.getElementById(id)) say("refers to nothing", e);
  }
  const ids = all("[id]").map((e) => e.id);
  if (new Set(ids).size !== ids.length) faults.push("an id is there twice");
  for (const e of all(".scroll, .events"))
    if (e.tabIndex !== 0 || !e.role) say("scrolls by mouse alone", e);
  for (const e of all("figure svg"))
    if (!e.closest("[role=img], [aria-hidden]")) say("no text alternative", e);
  return faults;
}"""


async def test_everybody_can_read_it(page):
    await page.locator("details").evaluate_all("all => all.map(e => e.open = true)")
    assert await page.evaluate(FAULTS) == []
    assert await page.evaluate(CONTRAST) == []
    await page.emulate_media(color_scheme="dark")
    assert await page.evaluate(CONTRAST) == []
    await page.emulate_media(color_scheme="light")


@pytest.mark.slow
async def test_it_fits_a_narrow_screen(browser, url):
    async with opened(browser, url, viewport={"width": 360, "height": 700}) as page:
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
        (chart,) = await page.locator("#chart-outcome svg").all()
        assert (await chart.bounding_box())["width"] <= 340
        await page.set_viewport_size({"width": 1400, "height": 700})
        chart = page.locator("#chart-outcome svg")
        await playwright.expect(chart).to_have_attribute("width", re.compile("^1...$"))


async def test_without_scripts_the_numbers_are_there(browser, url):
    async with opened(browser, url, ready=None, java_script_enabled=False) as page:
        assert await page.get_by_text("The charts need JavaScript").is_visible()
        assert not await page.get_by_role(
            "searchbox", name="Search in all columns"
        ).is_visible()
        await page.get_by_text("The numbers: events by day and outcome").click()
        table = page.get_by_role("table", name=re.compile("Events by day and outcome"))
        assert await table.get_by_role("rowheader").count() == 9


@pytest.mark.parametrize(
    ("width", "scheme"), sampled([(390, "light"), (1280, "dark")], (390, "light"))
)
async def test_axe_has_no_findings(browser, url, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.async_playwright")
    size = {"width": width, "height": 900}
    async with opened(browser, url, color_scheme=scheme, viewport=size) as page:
        found = await axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.slow
async def test_an_identity_is_found_by_its_id(browser, url):
    async with opened(browser, url) as page:
        rows = page.locator("#who tbody tr:visible")
        await playwright.expect(rows).to_have_count(2)
        await page.get_by_role("searchbox", name="Search for an identity").fill("GONE")
        await playwright.expect(rows).to_have_count(1)
        await playwright.expect(rows.first).to_contain_text("idn_gone")


async def choose_days(page, first, last):
    await page.get_by_label("From (UTC)").fill(first)
    await page.get_by_label("To (UTC)").fill(last)


def counted(page, name):
    """The sum of all bars of a chart, as the table below it has them."""
    return page.locator(f"figure:has(#chart-{name}) tbody").evaluate(
        "body => [...body.querySelectorAll('td')].reduce("
        "(sum, cell) => sum + Number(cell.textContent.replaceAll(',', '')), 0)"
    )


async def test_the_choice_of_days_reaches_charts_and_tables(page):
    expect = playwright.expect
    title = page.locator("#title-outcome")
    chart = page.locator("[role=img]:has(#chart-outcome)")
    identity = page.locator("#who tbody tr").first
    await expect(title).to_have_text("Events by day and outcome")
    await choose_days(page, "2026-03-02", "2026-03-03")
    await matches(page, "48")
    await expect(dates_said(page)).to_contain_text(
        "From 2026-03-02 to 2026-03-03: 48 of the 200 events"
    )
    await expect(title).to_have_text("Events by hour and outcome")
    await expect(chart).to_have_attribute(
        "aria-label", re.compile(r"from 2026-03-02 00:00 to 2026-03-03 23:00\.")
    )
    await page.wait_for_selector(DRAWN, state="attached")
    bars = page.locator("#chart-outcome svg .mark-rect.role-mark path")
    # One for each hour, and two empty ones at either end.
    assert await bars.count() == 48 + 4
    for name in ("outcome", "severity", "category"):
        assert await counted(page, name) == 48, name
    assert await counted(page, "trouble") == await counted(page, "actors") == 19
    cells = await identity.locator("th, td").all_inner_texts()
    assert cells[:6] == [
        *("idn_1", "48", "9", "10"),
        *("2026-03-02 00:00:00", "2026-03-03 23:00:00"),
    ]
    changes = page.get_by_role("region", name="Latest changes of privileges")
    assert await changes.get_by_role("row").count() == 1 + 48
    await expect(page.locator("#trouble-note")).to_contain_text(
        "In these days, 9 failed and 10 were denied, which together is 39.6%"
    )
    board = page.locator("[data-board=troubled_actors]")
    assert await board.locator("tbody tr").count() == 4
    await page.get_by_role("button", name="All days").click()
    await matches(page, "200")
    await expect(title).to_have_text("Events by day and outcome")
    await expect(identity).to_contain_text("200")
    await expect(dates_said(page)).to_be_empty()
    assert await counted(page, "outcome") == 200


@pytest.mark.slow
async def test_days_without_events_are_said_to_have_none(page):
    await choose_days(page, "2027-01-01", "")
    await playwright.expect(dates_said(page)).to_contain_text(
        "From 2027-01-01 on: 0 of the 200 events"
    )
    chart = page.locator("#chart-outcome")
    await playwright.expect(chart).to_have_text("No events.")


@pytest.mark.slow
async def test_before_the_rows_of_a_cut_page_the_charts_have_whole_steps(
    browser, cut_url
):
    async with opened(browser, cut_url) as page:
        await choose_days(page, "2026-03-02", "2026-03-03")
        await playwright.expect(status(page)).to_contain_text("0 of 50 events match")
        await playwright.expect(dates_said(page)).to_contain_text(
            "Of events before 2026-03-07 06:00:00, this page has only their numbers"
        )
        assert await counted(page, "outcome") == 48
        title = page.locator("#title-outcome")
        await playwright.expect(title).to_have_text("Events by day and outcome")
        await page.get_by_label("From (UTC)").fill("2026-03-08")
        await page.get_by_label("To (UTC)").fill("2026-03-08")
        await playwright.expect(status(page)).to_contain_text("24 of 50 events match")
        await playwright.expect(title).to_have_text(
            "Events by quarter-hour and outcome"
        )


@pytest.mark.slow
async def test_runs_of_failures_are_drawn_over_time_with_the_success_after_them(
    browser, attacked_url
):
    async with opened(browser, attacked_url) as page:
        runs = page.locator("[role=img]:has(#chart-runs)")
        lines = page.locator("#chart-runs .mark-rule.role-mark line")
        diamonds = page.locator("#chart-runs .mark-symbol.role-mark path")
        label = await runs.get_attribute("aria-label")
        assert "2 in all." in label
        assert "Runs that ended with a success: 1." in label
        assert await diamonds.count() == 1
        assert await lines.count() == 3  # one leads from the failures to the success
        assert (
            "Eve · auth.login.failed  10"
            in await page.locator("#chart-runs").locator("text").all_text_contents()
        )
        title = page.locator("#title-outcome")
        await choose_days(page, "2026-03-01", "2026-03-01")
        await playwright.expect(title).to_have_text("Events by minute and outcome")
        rows = page.locator("#runs tbody tr")
        await playwright.expect(rows).to_have_count(1)
        await choose_days(page, "2026-03-02", "")
        await playwright.expect(rows).to_contain_text("Mallory")
        await playwright.expect(diamonds).to_have_count(0)
        await playwright.expect(lines).to_have_count(1)
        await choose_days(page, "2026-03-06", "")
        await playwright.expect(rows).to_have_count(0)
        await playwright.expect(page.locator("#chart-runs")).to_have_text("No events.")


@pytest.mark.slow
async def test_printed_heads_are_text_that_each_page_repeats(page):
    # Chromium paints no button in the head that it repeats on a next page.
    await page.emulate_media(media="print")
    heads = page.locator("#events thead th button")
    shown = await heads.evaluate_all("all => all.map(e => getComputedStyle(e).display)")
    await page.emulate_media(media="screen")
    assert set(shown) == {"contents"}


@pytest.mark.slow
async def test_the_axis_of_time_has_a_clock_of_24_hours(page):
    labels = await page.locator("#chart-outcome svg text").all_text_contents()
    assert any(re.fullmatch(r"\w{3} \d\d|\d\d:\d\d", label) for label in labels), labels
    assert not any(re.search(r"\b[AP]M\b", label) for label in labels), labels


@pytest.mark.slow
async def test_a_printed_report_begins_with_a_cover_to_sign(browser, url):
    async with opened(browser, url) as page:
        cover = page.locator(".cover")
        assert not await cover.is_visible()
        await page.emulate_media(media="print")
        assert await cover.is_visible()
        text = await cover.inner_text()
        sums = page.get_by_role("region", name="Files of the export")
        assert await sums.is_visible()
    for part in ("Source", "Scope", "Range", "Covered as of", "sha256", "Signature"):
        assert part in text
