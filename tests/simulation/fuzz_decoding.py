"""Bodies that no server should send, decoded: a page or a `ProtocolError`, and soon.

    PYTHONPATH=tests python tests/simulation/fuzz_decoding.py [--seconds N] [--seed N]

Each body also goes through the slow decoder, row by row: the fast one has to return
equal rows, or refuse what the slow one refuses.
"""

import argparse
import gc
import json
import random
import sys
import time
import traceback
from collections import Counter

import attrs
from support.samples import event_row, full_row, meta

from canopy_async import ProtocolError
from canopy_async._api.conversion import structure_page
from canopy_async._api.decoding import codec_of
from canopy_async._api.json_cost import weighing
from canopy_async._api.log_requests import account_log_endpoint
from canopy_async._api.requests import audit_endpoint, identities_endpoint
from canopy_async._api.responses import decode_page

LONGEST = 0.1
"""Seconds of processor time that a body may take."""

ENDPOINTS = {
    "events": audit_endpoint("acme", "idn_1"),
    "account": account_log_endpoint("acme"),
    "identities": identities_endpoint("acme"),
}
CURSOR_META = {"has_more": True, "next_cursor": "c", "count": 1}

ODD_VALUES = (
    *("null", "true", "false", "0", "-0", "-0.0", "1", "1.0", "1e3", "-1", "1.5"),
    *("9223372036854775807", "9223372036854775808", "18446744073709551616"),
    *("1e400", "-1e400", "1e-400", "5e-324", "NaN", "Infinity", "-Infinity"),
    *("9" * 400, "9" * 5_000, "-" + "9" * 5_000, "0." + "3" * 900, "1e99999999999"),
    *("01", "+1", ".5", "1.", "0x1", "1_000", "'a'", "undefined", "nul", "tru"),
    *('""', '"a"', '"\\u0000"', '"\\ud83d"', '"\\udc00\\ud800"', '"\\ud83d\\ude00"'),
    *(
        '"\\u2028"',
        '"\u2028"',
        '"\\x41"',
        '"\t"',
        '"\x7f"',
        '"\\"',
        '"é"',
        '"' + "x" * 9_000 + '"',
    ),
    *(
        "[]",
        "{}",
        "[[]]",
        '[{"id":"a"}]',
        '{"a":{"a":{}}}',
        '{"":0}',
        '{"id":1,"id":2}',
    ),
    *(
        "[" * 50 + "]" * 50,
        "[" * 3_000 + "]" * 3_000,
        '{"a":' * 3_000 + "1" + "}" * 3_000,
    ),
    *('"success"', '"partial"', '"SUCCESS"', '"auth"', '"user"', '"critical"'),
)
ODD_INSTANTS = (
    *("2026-04-20T12:00:00Z", "2026-04-20T12:00:00.1234567Z", "2026-04-20t12:00:00z"),
    *("2026-04-20 12:00:00Z", "2016-12-31T23:59:60Z", "2026-04-20T24:00:00Z"),
    *(
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59.9999999-23:59",
        "0000-01-01T00:00:00Z",
    ),
    *("2026-02-29T00:00:00Z", "2024-02-29T00:00:00.999999999Z", "2026-04-20T12:00:00"),
    *("2026-04-20T12:00:00+25:00", "2026-04-20T12:00:00-00:00", "20260420T120000Z"),
    *(
        "2026-04-20",
        "",
        " 2026-04-20T12:00:00Z",
        "2026-04-20T12:00Z",
        "2026-04-20T12:00:00,5Z",
    ),
    *(
        "\uff12\uff10\uff12\uff16-04-20T12:00:00Z",
        "2026-04-20T12:00:00.Z",
        "2026-04-20T12:00:00.5",
        "1e9",
    ),
    *(
        "2026-04-20T12:00:00.1234567+02:00",
        "-2026-04-20T12:00:00Z",
        "+12026-04-20T12:00:00Z",
    ),
)
PIECES = (
    *(
        b'"',
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\xef\xbb\xbf",
        b"\xff",
        b"\xc3",
    ),
    *(b"\xed\xa0\x80", b"\x00", b"\n", b"//", b"/**/", b"\\u", b"\\ud83d", b"1e999"),
    *(b'"items":', b'"pagination":', b'"created_at":', b'"extra":', b'"id":', b"null"),
)


class Bodies:
    """Draws bodies; equal seeds give equal ones."""

    def __init__(self, seed):
        self._rng = random.Random(seed)
        self._kinds = (
            self._noise,
            self._odd_page,
            self._odd_page,
            self._odd_page,
            self._mutated,
            self._mutated,
            self._odd_whole,
            self._many_rows,
        )

    def draw(self):
        """Return the kind of a body, the name of an endpoint, and the body."""
        make = self._rng.choice(self._kinds)
        name = self._rng.choice(list(ENDPOINTS))
        return make.__name__.strip("_"), name, make(name)

    def _noise(self, _name):
        return self._rng.randbytes(self._rng.choice([0, 1, 3, 40, 2_000]))

    def _odd_whole(self, _name):
        """A value that is no page, or has its parts in odd shapes."""
        rng = self._rng
        whole = rng.choice(
            (
                "%s",
                '{"items":%s}',
                '{"items":[],"pagination":%s}',
                '{"items":%s,"items":[]}',
            )
        )
        return self._encoded(whole % self._value())

    def _odd_page(self, name):
        """A page with odd values in some fields, fields that are doubled or unknown."""
        rng = self._rng
        rows = [self._row(name) for _ in range(rng.choice([0, 1, 1, 2, 5, 100]))]
        for _ in range(rng.choice([0, 1, 1, 2, 6]) if rows else 0):
            self._spoil(rng.choice(rows))
        pagination = self._fields(CURSOR_META if name == "account" else meta())
        if rng.random() < 0.3:
            self._spoil(pagination)
        parts = [
            '"items":[' + ",".join(map(self._object, rows)) + "]",
            '"pagination":' + self._object(pagination),
        ]
        if rng.random() < 0.1:
            parts.append(f'"later":{self._value()}')
        if rng.random() < 0.05:
            parts.append(rng.choice(parts))
        if rng.random() < 0.3:
            rng.shuffle(parts)
        return self._encoded("{" + ",".join(parts) + "}")

    def _mutated(self, name):
        """A page some bytes of which are changed, cut out, doubled or put in."""
        rng = self._rng
        body = bytearray(self._odd_page(name))
        for _ in range(rng.choice([1, 1, 2, 5, 30])):
            at = rng.randrange(len(body) + 1)
            end = min(len(body), at + rng.choice([1, 1, 4, 60]))
            match rng.randrange(4):
                case 0:
                    del body[at:end]
                case 1:
                    body[at:at] = rng.choice(PIECES)
                case 2:
                    body[at:at] = body[at:end]
                case _:
                    body[at:end] = rng.randbytes(end - at)
        return bytes(body)

    def _many_rows(self, name):
        """A body that is large, by the number of its rows or by what is in one."""
        rng = self._rng
        if rng.random() < 0.5:
            rows = [self._object(self._row(name))] * rng.choice([101, 900, 1_200])
        else:
            row = self._row(name)
            row.append(("metadata", '{"a":[' + ",".join(["{}"] * 20_000) + "]}"))
            rows = [self._object(row)]
        pagination = self._fields(
            CURSOR_META if name == "account" else meta(take=1_000)
        )
        return self._encoded(
            f'{{"items":[{",".join(rows)}],"pagination":{self._object(pagination)}}}'
        )

    def _row(self, name):
        if name == "identities":
            return self._fields({"id": "idn_1", "email": None, "is_active": True})
        number = self._rng.randrange(1_000)
        return self._fields(self._rng.choice((event_row, full_row))(number))

    @staticmethod
    def _fields(row):
        return [(key, json.dumps(value)) for key, value in row.items()]

    def _spoil(self, fields):
        """Change, drop, double or add a field."""
        rng = self._rng
        at = rng.randrange(len(fields))
        name = fields[at][0]
        match rng.randrange(6):
            case 0 | 1:
                fields[at] = (name, self._value())
            case 2:
                del fields[at]
                fields.append(
                    (rng.choice(["extra", "later", "é", "\\ud83d"]), self._value())
                )
            case 3:
                fields.append((name, self._value()))
            case _:
                instant = json.dumps(rng.choice(ODD_INSTANTS), ensure_ascii=False)
                fields.append(("created_at", instant))

    def _value(self):
        if self._rng.random() < 0.1:
            return f"[{self._value()},{self._value()}]"
        if self._rng.random() < 0.1:
            return f'{{"a":{self._value()},"b.c":{self._value()}}}'
        return self._rng.choice(ODD_VALUES)

    @staticmethod
    def _object(fields):
        return "{" + ",".join(f'"{key}":{value}' for key, value in fields) + "}"

    def _encoded(self, text):
        encoding = self._rng.choice(["utf-8"] * 20 + ["utf-8-sig", "latin-1", "utf-16"])
        return text.encode(encoding, "replace")


@attrs.define
class Found:
    """What the bodies came to."""

    bodies: Counter = attrs.field(factory=Counter)
    pages: int = 0
    rows: int = 0
    noted: int = 0
    refused: int = 0
    too_costly: int = 0
    longest: float = 0.0
    faults: list = attrs.field(factory=list)

    def fault(self, what, body):
        self.faults.append(f"{what}: {len(body)} bytes, {body[:300]!r}")


def judge(found, kind, name, body):
    """Decode one body in both ways, and keep what is wrong with that."""
    endpoint = ENDPOINTS[name]
    found.bodies[f"{kind} of {name}"] += 1
    if _is_too_costly(body):
        found.too_costly += 1
        return
    notes = []
    began = time.thread_time()
    try:
        page = decode_page(endpoint, body, page=1, note=notes.append)
    except ProtocolError:
        page = None
    except Exception:  # noqa: BLE001 - which is what is looked for
        found.fault(f"{name}: {traceback.format_exc(limit=-3)}", body)
        return
    took = time.thread_time() - began
    found.longest = max(found.longest, took)
    if took > LONGEST:
        found.fault(f"{name} took {took:.3f} s", body)
    found.noted += bool(notes)
    if page is None:
        found.refused += 1
    elif type(page) is not endpoint.envelope:
        found.fault(f"{name} is a {type(page)}", body)
    else:
        found.pages += 1
        found.rows += len(page.items)
    _compare(found, endpoint, body)


def _is_too_costly(body):
    """Tell whether a read refuses this body before it is decoded."""
    weighed = weighing(body)
    try:
        while True:
            next(weighed)
    except StopIteration as end:
        return end.value is not None


def _compare(found, endpoint, body):
    fast = codec_of(endpoint.row, endpoint.envelope).decode(body)
    try:
        slow = structure_page(endpoint.row, body, page=1, envelope=endpoint.envelope)
    except ProtocolError:
        slow = None
    if (fast is None) is not (slow is None):
        which = "slow" if fast is None else "fast"
        found.fault(f"only the {which} decoder takes it", body)
        return
    if fast is None:
        return
    # By their texts: 1 is no 1.0 and no True there, and a NaN is one.
    for one, other in zip(fast.items, slow.items, strict=True):
        if repr(one) != repr(other):
            found.fault(f"the decoders differ: {one!r} and {other!r}", body)
    if repr(fast.pagination) != repr(slow.pagination):
        found.fault(f"they differ: {fast.pagination} and {slow.pagination}", body)


def show(found, seconds, seed):
    print("| | |\n|---|---|")
    for kind, count in sorted(found.bodies.items()):
        print(f"| {kind} | {count} |")
    print(f"| all bodies, of seed {seed} | {found.bodies.total()} in {seconds:.0f} s |")
    print(f"| pages | {found.pages} |")
    print(f"| rows, compared one by one | {found.rows} |")
    print(f"| of them read with care, and noted | {found.noted} |")
    print(f"| refused with a ProtocolError | {found.refused} |")
    print(f"| refused before they are decoded | {found.too_costly} |")
    print(f"| longest, of processor time | {found.longest * 1000:.1f} ms |")
    print(f"| faults | {len(found.faults)} |")
    for fault in found.faults[:20]:
        print(fault)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    bodies, found = Bodies(chosen.seed), Found()
    gc.freeze()
    began = time.monotonic()
    while time.monotonic() - began < chosen.seconds:
        judge(found, *bodies.draw())
    show(found, time.monotonic() - began, chosen.seed)
    sys.exit(1 if found.faults else 0)


if __name__ == "__main__":
    main()
