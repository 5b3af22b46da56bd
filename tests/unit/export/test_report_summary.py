"""The summary of an export's events: exact, or honestly not."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canopy_async.export.batches import Line, LineBatch
from canopy_async.export.report.ranking import HeavyHitters
from canopy_async.export.report.summary import Actor, summarize
from canopy_async.export.report.timeline import NONE, OTHERS

START = datetime(2026, 1, 7, 13, 30, tzinfo=UTC)  # a Wednesday


def line(moment=START, **fields):
    given = {
        "identity_id": "idn_1",
        "id": f"evt_{moment.isoformat()}",
        "created_at": moment,
        "actor_type": "user",
        "action": "role.created",
        "outcome": "success",
        "severity": "info",
    }
    return Line(**given | fields)


def added_up(*batches, **options):
    return summarize(map(LineBatch, batches), **options)


@pytest.mark.parametrize(
    ("span", "unit", "starts"),
    [
        (timedelta(0), "minute", "2026-01-07T13:30"),
        (timedelta(minutes=119), "minute", "2026-01-07T13:30"),
        (timedelta(minutes=121), "quarter-hour", "2026-01-07T13:30"),
        (timedelta(hours=23), "quarter-hour", "2026-01-07T13:30"),
        (timedelta(hours=25), "hour", "2026-01-07T13"),
        (timedelta(hours=95), "hour", "2026-01-07T13"),
        (timedelta(hours=97), "day", "2026-01-07T00"),
        (timedelta(days=99), "day", "2026-01-07T00"),
        (timedelta(days=101), "week", "2026-01-05T00"),
        (timedelta(days=699), "week", "2026-01-05T00"),
        (timedelta(days=701), "month", "2026-01-01T00"),
        (timedelta(days=3_600), "month", "2026-01-01T00"),
        (timedelta(days=3_700), "year", "2026-01-01T00"),
        (timedelta(days=50_000), "century", "2000-01-01T00"),
    ],
)
def test_how_long_it_was_decides_how_long_a_bucket_is(span, unit, starts):
    # The end comes first, so that it has to change its mind while it counts.
    timeline = added_up([line(START + span)], [line()]).timeline
    assert timeline.unit == unit
    first, *_ = timeline.buckets
    assert first.start.isoformat().startswith(starts)
    assert first.start <= START < first.end
    assert timeline.buckets[-1].start <= START + span < timeline.buckets[-1].end


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3_000_000),
            st.sampled_from(["success", "failure", "denied", "partial"]),
            st.sampled_from(["auth", "mfa", None]),
        ),
        min_size=1,
        max_size=60,
    )
)
def test_no_event_is_lost_by_longer_buckets(events):
    lines = [
        line(START + timedelta(minutes=minutes), outcome=outcome, category=category)
        for minutes, outcome, category in events
    ]
    parts = [lines[n : n + 7] for n in range(0, len(lines), 7)]
    timeline = added_up(*parts).timeline
    outcomes = Counter(outcome for _, outcome, _ in events)
    assert timeline.totals["outcome"] == outcomes
    assert timeline.totals["category"] == Counter(c or NONE for _, _, c in events)
    for bucket in timeline.buckets:
        within = [e for e in lines if bucket.start <= e.created_at < bucket.end]
        assert bucket.counts["outcome"] == Counter(e.outcome for e in within)
    assert sum(sum(b.counts["severity"].values()) for b in timeline.buckets) == len(
        events
    )


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z"])
def test_the_ends_of_time_are_buckets_too(text):
    moment = datetime.fromisoformat(text)
    summary = added_up([line(moment)])
    (bucket,) = summary.timeline.buckets
    assert bucket.counts["outcome"] == {"success": 1}
    for other in (START, datetime.fromisoformat("0001-01-01T00:00:00+14:00")):
        assert len(added_up([line(moment), line(other)]).timeline.buckets) in (1, 2)


def test_of_many_values_the_known_and_the_first_are_told_apart():
    lines = [line(category=f"c{n % 100}", outcome=f"o{n}") for n in range(1_000)]
    late = [line(category="sso", outcome="denied"), line(outcome="failure")]
    totals = added_up(lines[:500], lines[500:], late).timeline.totals
    assert next(iter(totals["category"])) == OTHERS
    assert totals["category"][OTHERS] == 800
    assert totals["category"]["sso"] == totals["category"][NONE] == 1
    assert totals["outcome"]["failure"] == totals["outcome"]["denied"] == 1
    assert sum(totals["outcome"].values()) == 1_002
    assert len(totals["outcome"]) == 23


def test_who_is_most_active_is_told_with_what_failed():
    lines = [
        *(line(actor_id="u1", actor_label="Ada") for _ in range(5)),
        *(line(actor_id="u1", actor_label="Ada", outcome="failure") for _ in range(2)),
        line(actor_id="u1", actor_label="Ada L.", outcome="denied"),
        line(actor_id="u1"),
        *(line(actor_id="u2", actor_label="Bo", outcome="denied") for _ in range(3)),
        *(line(actor_label="Bo") for _ in range(2)),
        line(actor_type="platform"),
    ]
    result = added_up(lines[:6], lines[6:], top=3)
    assert [
        (entry.what, entry.events, entry.failures, entry.denials)
        for entry in result.actors.entries
    ] == [
        (Actor(type="user", id="u1", label="Ada L."), 9, 2, 1),
        (Actor(type="user", id="u2", label="Bo"), 3, 0, 3),
        (Actor(type="user", id=None, label="Bo"), 2, 0, 0),
    ]
    assert (result.actors.different, result.actors.others) == (4, 1)
    assert result.actors.shortfall == 0
    assert [entry.what.id for entry in result.troubled_actors.entries] == ["u1", "u2"]
    assert (result.troubled_actors.different, result.troubled_actors.others) == (2, 0)
    assert result.troubled_actions.entries[0].trouble == 6


def test_equals_are_ranked_by_the_alphabet_and_not_by_chance():
    names = ["d", "a", "c", "b"]
    for order in (names, names[::-1]):
        result = added_up([line(action=name) for name in order], top=3)
        assert [entry.what for entry in result.actions.entries] == ["a", "b", "c"]


@given(
    st.lists(st.lists(st.sampled_from("aaaaabbbccdefghijklmnop"), max_size=30)),
    st.integers(2, 12),
)
def test_a_count_is_never_too_high_and_too_low_by_the_shortfall_at_most(batches, room):
    hitters = HeavyHitters(room=room)
    truth = Counter()
    for batch in batches:
        truth.update(batch)
        hitters.add(Counter(batch).items())
    assert len(hitters.counts) <= room
    for key, n in truth.items():
        assert n - hitters.shortfall <= hitters.counts[key] <= n
    if len(truth) <= room:
        assert (hitters.counts, hitters.shortfall) == (truth, 0)


def test_too_many_actors_are_said_to_be():
    batches = [
        [line(actor_id=f"u{n}-{part}") for n in range(50)]
        + [line(actor_id="busy", outcome="failure") for _ in range(20)]
        for part in range(30)
    ]
    result = added_up(*batches, top=5, room=100)
    busiest = result.actors.entries[0]
    assert busiest.what.id == "busy"
    assert 600 - result.actors.shortfall <= busiest.events <= 600
    assert result.actors.different is None
    assert result.actors.shortfall > 0
    told = sum(entry.events for entry in result.actors.entries)
    assert result.actors.others + told == result.events == 30 * 70


def test_the_latest_events_are_the_latest_of_all_identities():
    lines = [
        line(START + timedelta(seconds=n), identity_id=f"idn_{part}", id=f"{part}-{n}")
        for part in range(4)
        for n in range(part, 400, 4)
    ]
    parts = [lines[n : n + 33] for n in range(0, len(lines), 33)]
    result = added_up(*parts, latest=25)
    assert [row.id for row in result.latest] == [
        f"{n % 4}-{n}" for n in range(399, 374, -1)
    ]
    assert (result.first, result.last) == (
        min(row.created_at for row in added_up(lines, latest=400).latest),
        max(row.created_at for row in added_up(lines, latest=400).latest),
    )


def test_nothing_adds_up_to_nothing():
    result = added_up()
    assert (result.events, result.first, result.last) == (0, None, None)
    assert list(result.latest) == list(result.timeline.buckets) == []
    assert list(result.actors.entries) == []
    assert result.actors.others == 0
