"""The checks of arguments: what passes is unchanged, what fails is named."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canopy_async._util.arguments import (
    check_choice,
    check_integer,
    check_seconds,
    check_segment,
    check_text,
)


@pytest.mark.parametrize("value", [1, 50, 100])
def test_an_int_within_its_bounds_passes(value):
    assert check_integer("take", value, minimum=1, maximum=100) == value


@pytest.mark.parametrize("value", [0, 101, -1, -(10**9)])
def test_an_int_out_of_bounds_is_a_value_error_that_names_bounds_and_value(value):
    with pytest.raises(ValueError, match=rf"^take must be from 1 to 100, not {value}"):
        check_integer("take", value, minimum=1, maximum=100)


@pytest.mark.parametrize("value", [True, False, "5", 5.0, None, [5]])
def test_what_is_no_int_is_a_type_error_and_a_bool_is_none(value):
    name = type(value).__name__
    with pytest.raises(TypeError, match=rf"^take must be an int, not {name}"):
        check_integer("take", value, minimum=1)


def test_an_open_range_is_named_as_one():
    with pytest.raises(ValueError, match=r"^page must be 1 or more, not 0$"):
        check_integer("page", 0, minimum=1)


@pytest.mark.parametrize("value", [1, 0.001, 1e300, 10**22])
def test_seconds_are_a_finite_number_above_zero(value):
    seconds = check_seconds("timeout", value)
    assert type(seconds) is float
    assert seconds == value


@pytest.mark.parametrize("value", [0, -1, 0.0, math.inf, -math.inf, math.nan, 10**400])
def test_other_numbers_are_no_seconds(value):
    with pytest.raises(ValueError, match=r"^timeout must be a finite number above 0"):
        check_seconds("timeout", value)


@pytest.mark.parametrize("value", [True, "1", None, 1j])
def test_what_is_no_number_is_no_seconds(value):
    with pytest.raises(TypeError, match=r"^timeout must be a number"):
        check_seconds("timeout", value)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_text_passes_unchanged(value):
    assert check_text("q", value) == value


@pytest.mark.parametrize("value", ["\ud800", "a\udfffb"])
def test_lone_surrogates_are_refused(value):
    with pytest.raises(ValueError, match=r"^q must be valid Unicode"):
        check_text("q", value)


@pytest.mark.parametrize("value", [None, 5, b"x", ["x"]])
def test_text_is_a_str(value):
    with pytest.raises(TypeError, match=r"^q must be a str"):
        check_text("q", value)


@pytest.mark.parametrize("value", ["idn_1", "...", ".a", "a/b", "%", " ", "å"])
def test_a_segment_may_hold_anything_but_control_characters(value):
    assert check_segment("identity_id", value) == value


@pytest.mark.parametrize(
    "value", ["", ".", "..", "a\n", "\r", "\0", "a\tb", "\x7f", "\x85", "\x1b[0m"]
)
def test_segments_that_would_change_the_path_are_refused(value):
    with pytest.raises(ValueError, match=r"^identity_id must not"):
        check_segment("identity_id", value)


def test_a_choice_is_one_of_the_choices_and_they_are_named():
    assert check_choice("order", "asc", ("desc", "asc")) == "asc"
    with pytest.raises(ValueError, match=r"^order must be one of 'asc', 'desc', not"):
        check_choice("order", "ASC", ("desc", "asc"))
    with pytest.raises(TypeError, match=r"^order must be a str"):
        check_choice("order", 1, ("desc", "asc"))
