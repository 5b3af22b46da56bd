"""The cost of a body, estimated: where its limits are, and how often it pauses."""

import pytest

from canopy_async._api.json_cost import MAX_STRUCTURE, weighing

MOST_ESCAPES = 2 * 1024 * 1024
LARGEST_CARELESS = 2 * 1024 * 1024


def weigh(body):
    """Return what is said of a body, and how often it was paused."""
    steps = weighing(body)
    pauses = 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value, pauses
        pauses += 1


def said_of(body):
    return weigh(body)[0]


@pytest.mark.parametrize("place", ["before", "after", "between"])
def test_as_much_may_stand_outside_of_texts_as_is_said_and_no_byte_more(place):
    text = b'"' + b"a" * 50_000 + b'"'
    outside = MAX_STRUCTURE - 2 * (2 if place == "between" else 1)

    def body(spaces):
        return {
            "before": b" " * spaces + text,
            "after": text + b" " * spaces,
            "between": text + b" " * spaces + text,
        }[place]

    assert said_of(body(outside)) is None
    assert "bytes outside of texts" in said_of(body(outside + 1))


def test_a_body_of_half_a_mebibyte_is_never_too_heavy():
    assert weigh(b" " * 512 * 1024) == (None, 0)
    assert "outside of texts" in said_of(b" " * (512 * 1024 + 1))


@pytest.mark.parametrize("escaped", [b"", b"\\\\", b"\\\\" * 3, b'\\"', b'\\\\\\"'])
def test_a_text_ends_with_the_first_quote_that_is_not_escaped(escaped):
    text = b'"' + b"a" * 10 + escaped + b'"'
    # Each escaped quote counts as outside, as do the two around the text.
    spaces = MAX_STRUCTURE - 2 - escaped.count(b'"')
    assert said_of(text + b" " * spaces) is None
    assert "outside" in said_of(text + b" " * (spaces + 1))
    # In the text itself, spaces cost nothing.
    assert said_of(b'"' + escaped + b" " * (spaces + 99) + b'"') is None


def test_a_text_without_an_end_has_nothing_outside_after_it():
    assert said_of(b'"' + b"a" * 2 * MAX_STRUCTURE) is None
    open_text = b" " * (MAX_STRUCTURE - 1) + b'"' + b"a" * 9
    assert said_of(open_text) is None
    assert "outside" in said_of(b" " + open_text)


def test_so_many_escapes_may_be_in_a_body_and_not_one_more():
    assert said_of(b'"' + b"\\n" * MOST_ESCAPES + b'"') is None
    assert "escapes" in said_of(b'"' + b"\\n" * (MOST_ESCAPES + 1) + b'"')


def test_a_body_that_is_not_utf_8_may_have_two_mebibytes():
    largest = b'"' + b"\xff" * (LARGEST_CARELESS - 2) + b'"'
    assert len(largest) == LARGEST_CARELESS
    assert said_of(largest) is None
    assert "not UTF-8" in said_of(b" " + largest)


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_character_may_be_split_between_two_steps(at):
    step = 1024 * 1024
    body = b'"' + b"a" * (step - 1 - at) + "日".encode() + b"a" * 2 * step + b'"'
    assert said_of(body) is None


def test_a_character_at_the_very_beginning_counts_as_any_other():
    long = b'"' + b"a" * 3 * 1024 * 1024 + b'"'
    assert "not UTF-8" in said_of(b"\xff" + long)
    assert said_of("é".encode() + long) is None


@pytest.mark.parametrize("tail", [b"\xe6", b"\xe6\x97", b"a\xff"])
def test_half_a_character_at_the_very_end_is_no_utf_8(tail):
    body = b'"' + b"a" * 3 * 1024 * 1024 + b'"' + tail
    assert "not UTF-8" in said_of(body)


def test_it_pauses_often_enough_where_there_are_many_texts_or_long_ones():
    many = b'"",' * 100_000 + b'"' + b"a" * MAX_STRUCTURE + b'"'
    assert weigh(many) == (None, (200_000 + 2) // 4_000)
    long = b'"' + b"a" * (3 * 1024 * 1024 - 2) + b'"'
    assert weigh(long) == (None, 3)
    assert weigh(long + b" ") == (None, 4)
