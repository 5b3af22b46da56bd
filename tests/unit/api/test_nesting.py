"""Errors whose details are nested as deeply as they can be read, and deeper."""

import sys

import pytest

from canopy_async._api.error_answers import error_from
from canopy_async._api.responses import Response


def error_with_details(depth):
    nested = b"[" * depth + b"]" * depth
    body = b'{"message": [%s]}' % nested  # as the server's framework sends details
    response = Response(status=400, headers={}, body=body)
    return error_from(response, url="https://canopy.test/x")


def test_details_are_shown_or_said_to_be_nested_too_deeply_however_deep_they_are():
    limit = sys.getrecursionlimit()
    shown = {
        error_with_details(depth).details for depth in range(limit - 300, limit + 100)
    }
    if sys.version_info < (3, 12):  # later versions read details of any depth
        assert () in shown  # too deep to be read: nothing is known of the envelope
    others = {detail for details in shown for detail in details}
    assert others
    assert all(set(text) <= set("[]…") or "nested" in text for text in others)


@pytest.mark.parametrize("depth", [1, 10, 100])
def test_details_that_are_nested_a_little_are_shown(depth):
    assert error_with_details(depth).details == ("[" * depth + "]" * depth,)
