"""No answer holds the event loop for long; no text of a server is kept at length."""

import asyncio
import gzip
import json
import time
from contextlib import asynccontextmanager

import pytest
from support.samples import event_row, meta, page_body
from support.scripted import answer, simulated

from canopy_async import ApiError, CanopySession, Outcome, Page, ProtocolError
from canopy_async._api.json_cost import MAX_STRUCTURE, weighing
from canopy_async._api.requests import audit_endpoint
from canopy_async._api.responses import decode_page
from canopy_async._transport.body import MAX_BODY
from canopy_async._util.tasks import in_steps
from canopy_async.errors import BadRequestError

MOST_HELD = 0.3
"""Seconds of the processor between two turns of the loop: three times the goal."""

WHOLE = MAX_BODY - 4_096
HEAVY = MAX_STRUCTURE - 4_096


def page(items, more=b""):
    pagination = json.dumps(meta()).encode()
    return b'{"items":' + items + b',"pagination":' + pagination + more + b"}"


def row(value, more=b""):
    text = json.dumps(event_row(metadata={"x": "?"})).encode()
    return text.replace(b'"?"', value)[:-1] + more + b"}"


def array(piece, size):
    return b"[" + b",".join([piece] * (size // (len(piece) + 1))) + b"]"


def text(piece, size):
    return b'"' + piece * (size // len(piece)) + b'"'


USUAL = json.dumps(event_row()).encode()
ANSWERS = {
    "empty rows": lambda size: page(array(b"{}", size)),
    "rows that are numbers": lambda size: page(array(b"0", size)),
    "rows": lambda size: page(array(USUAL, size)),
    "rows with an unknown field": lambda size: page(
        array(USUAL[:-1] + b',"z":1}', size)
    ),
    "lists in metadata": lambda size: page(b"[%b]" % row(array(b"[]", size))),
    "objects in metadata": lambda size: page(b"[%b]" % row(array(b"{}", size))),
    "texts in metadata": lambda size: page(b"[%b]" % row(array(b'"a"', size))),
    "lists beside an unknown field": lambda size: page(
        b"[%b]" % row(array(b"[]", size), b',"z":1')
    ),
    "lists beside half a character": lambda size: page(
        b"[%b]" % row(array(b"[]", size), b',"z":"\\ud800"')
    ),
    "numbers of 4 000 digits": lambda size: page(
        b"[%b]" % row(array(b"9" * 4000, size))
    ),
    "lists for pagination": lambda size: (
        b'{"items":[],"pagination":' + array(b"[]", size) + b"}"
    ),
    "lists for a page": lambda size: array(b"[]", size),
    "an unknown field of the page": lambda size: page(
        b"[]", b',"z":' + array(b"[]", size)
    ),
    "escaped quotes": lambda size: page(b"[%b]" % row(text(b'\\"', size))),
    "escapes": lambda size: page(b"[%b]" % row(text(b"\\n", size))),
    "escaped characters": lambda size: page(b"[%b]" % row(text(b"\\u00e9", size))),
    "halves of characters": lambda size: page(b"[%b]" % row(text(b"a\\ud800", size))),
    "bytes that are no UTF-8": lambda size: page(b"[%b]" % row(text(b"a\xff", size))),
    "one text": lambda size: page(b"[%b]" % row(text(b"a", size))),
    "spaces": lambda size: page(b"[]") + b" " * size,
    "deep nesting": lambda size: b"[" * size,
    "many names": lambda size: page(
        b"[%b]" % row(b"0", b"".join(b',"k%06d":0' % n for n in range(size // 12)))
    ),
}

WHOLE_SAMPLE = {
    "rows",
    "lists beside an unknown field",
    "escapes",
    "bytes that are no UTF-8",
    "spaces",
    "deep nesting",
}
"""The answers of 32 MiB that are no slow tests: one for each way to be refused."""


class Watch:
    """How long one turn of the loop took at most, in seconds of the processor."""

    longest = 0.0

    async def run(self):
        before = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.longest = max(self.longest, now - before)
            before = now


@asynccontextmanager
async def watched():
    watch = Watch()
    watching = asyncio.create_task(watch.run())
    await asyncio.sleep(0)
    try:
        yield watch
    finally:
        watching.cancel()


def answers():
    """Each answer in two sizes; most of the larger ones take half a second to make."""
    for name, make in ANSWERS.items():
        yield pytest.param(make, HEAVY, id=f"{name}-just light enough")
        marks = () if name in WHOLE_SAMPLE else pytest.mark.slow
        yield pytest.param(make, WHOLE, id=f"{name}-32 MiB", marks=marks)


@pytest.mark.parametrize(("make", "size"), list(answers()))
async def test_no_answer_holds_the_loop(make, size):
    body = make(size)
    with simulated(lambda _: answer(200, body)):
        async with CanopySession("acme", "token") as canopy, watched() as watch:
            (ended,) = await asyncio.gather(
                canopy.page("idn_1"), return_exceptions=True
            )
            assert isinstance(ended, (Page, ProtocolError))
            assert isinstance(ended, Page) or len(str(ended)) < 1_000
    assert watch.longest < MOST_HELD


PACKED = {
    "one bomb": lambda: gzip.compress(b" " * WHOLE, 1),
    "sixty members": lambda: gzip.compress(b" " * 400_000, 1) * 60,
    "sixty members of noise": lambda: (
        gzip.compress(b"", 1) * 60 + b"\x1f\x8b" + bytes(WHOLE)
    ),
    "padding": lambda: gzip.compress(page_body()) + bytes(WHOLE),
}


@pytest.mark.parametrize("make", PACKED.values(), ids=PACKED)
async def test_no_compressed_answer_holds_the_loop(make):
    packed = make()
    headers = {"Content-Encoding": "gzip"}
    with simulated(lambda _: answer(200, packed, headers)):
        async with (
            CanopySession("acme", "token", timeout=60) as canopy,
            watched() as watch,
        ):
            reading = asyncio.create_task(canopy.page("idn_1"))
            await asyncio.wait([reading], timeout=5)
            reading.cancel()
            await asyncio.wait([reading])
    assert watch.longest < MOST_HELD


async def test_work_in_steps_lets_others_run_in_between():
    body = page(b"[%b]" % row(text(b"a\\n", WHOLE // 16)))
    turns = 0

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    many_texts = b"[" + b",".join([b'"%b"' % (b"a" * 90)] * 100_000) + b"]"
    assert await in_steps(weighing(many_texts)) is None
    assert await in_steps(weighing(body)) is None
    counting.cancel()
    assert turns > 40


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"[" + b"0," * MAX_STRUCTURE, "outside of texts"),
        (b'"' + b'\\"' * MAX_STRUCTURE + b'"', "outside of texts"),
        (b'"' + b"\\n" * 3_000_000 + b'"', "escapes"),
        (b'"' + b"\xff" * 3_000_000 + b'"', "not UTF-8"),
        (b'"' + b"a" * 3_000_000 + b'\xe9"', "not UTF-8"),
        (b'"' + b"a," * 3_000_000 + b'"', None),
        (b'"' + "é".encode() * 1_500_000 + b'"', None),
        (b'"' + b"a" * 3_000_000, None),
        (b'"' + b"\\\\" * 1_000_000 + b'", 1', None),
        (b'"' + b"\\\\" * 1_000_000 + b'"' + b" " * MAX_STRUCTURE, "outside"),
        (b"0," * (MAX_STRUCTURE // 2), None),
    ],
)
async def test_only_what_takes_long_to_decode_is_heavy(body, said):
    excess = await in_steps(weighing(body))
    assert (said in excess) if said else excess is None


async def test_rows_that_are_heavy_together_are_read_in_smaller_pages(server, connect):
    ids = [f"i{n}" for n in range(4_000)]
    for _ in range(100):
        server.add_event("idn_1", metadata={"ids": ids})
    async with connect() as canopy, canopy.events("idn_1").open() as run:
        events = [event async for event in run]
    assert len(events) == 100
    assert all(len(event.metadata["ids"]) == 4_000 for event in events)
    assert run.report.complete
    assert "larger than can be read" in " ".join(run.report.warnings)


@pytest.mark.parametrize("size", [0, 1_000])
def test_rows_are_counted_before_anything_is_built_of_them(size):
    rows = [event_row(n, metadata={"x": "y" * size}) for n in range(2_000)]
    endpoint = audit_endpoint("acme", "idn_1")
    with pytest.raises(ProtocolError, match="page 3: items: more rows than were asked"):
        decode_page(endpoint, page_body(rows, take=10**6), page=3)
    decoded = decode_page(endpoint, page_body(rows[:900], take=900), page=1)
    assert len(decoded.items) == 900


LONG = "x" * 10_000_000


@pytest.mark.parametrize(
    "fields",
    [
        {"code": LONG, "message": "m"},
        {"message": LONG},
        {"details": [LONG] * 5, "message": "m"},
        {"details": [{"a": [LONG]}], "message": "m"},
    ],
)
async def test_no_text_of_an_error_is_kept_at_length(fields):
    body = json.dumps(fields).encode()
    with simulated(lambda _: answer(400, body)):
        async with CanopySession("acme", "token") as canopy:
            with pytest.raises(BadRequestError) as caught:
                await canopy.page("idn_1")
    assert len(str(caught.value)) < 1_000
    assert len(repr(vars(caught.value))) < 1_000


async def test_a_code_within_a_short_answer_has_a_limit_too():
    body = json.dumps({"error": {"code": "c" * 50_000, "message": "m"}}).encode()
    headers = {"X-Request-Id": "r" * 8_000}
    with simulated(lambda _: answer(400, body, headers)):
        async with CanopySession("acme", "token") as canopy:
            with pytest.raises(BadRequestError) as caught:
                await canopy.page("idn_1")
    assert caught.value.code == "c" * 100
    assert caught.value.request_id == "r" * 100


@pytest.mark.parametrize("depth", [10, 900, 30_000])
async def test_details_may_be_nested_however_deeply(depth):
    nested = b"[" * depth + b"]" * depth
    body = b'{"error": {"message": "no", "details": [%b]}}' % nested
    with simulated(lambda _: answer(400, body)):
        async with CanopySession("acme", "token") as canopy:
            with pytest.raises(ApiError) as caught:
                await canopy.page("idn_1")
    assert all(len(detail) <= 500 for detail in caught.value.details)


async def test_long_names_of_fields_are_not_kept_in_warnings():
    rows = '[{"%s": "\\ud800", ' % ("n" * 1_000_000) + json.dumps(event_row())[1:] + "]"
    body = page(rows.encode())
    with simulated(lambda _: answer(200, body)):
        async with (
            CanopySession("acme", "token") as canopy,
            canopy.events("idn_1").open() as run,
        ):
            assert len([event async for event in run]) == 1
    assert sum(map(len, run.report.warnings)) < 1_000


def test_long_values_of_enums_are_not_remembered():
    long = "v" * 1_000_000
    assert Outcome(long) == Outcome(long) == long
    assert long not in Outcome._value2member_map_


async def test_sixty_failures_of_a_fan_out_stay_small():
    ids = [f"idn_{n}" for n in range(60)]
    body = json.dumps({"error": {"code": LONG[:60_000], "message": LONG[:1_000]}})
    with simulated(lambda _: answer(404, body.encode())):
        async with CanopySession("acme", "token") as canopy:
            fan_out = canopy.fan_out(ids, on_error="collect")
            assert [pair async for pair in fan_out] == []
    assert len(fan_out.failures) == 60
    assert sum(len(str(error)) for error in fan_out.failures.values()) < 60 * 1_000
