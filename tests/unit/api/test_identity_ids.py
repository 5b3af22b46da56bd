"""Identity ids: what is taken for one, where they come from, and how they are shown."""

from types import SimpleNamespace

import pytest

from canopy_async import Identity, ProtocolError
from canopy_async._api.identity_ids import (
    ListedId,
    check_ids,
    check_listed_id,
    each_id,
    id_of,
    shown_id,
)


class Closing:
    """An async iterable that notes whether the iterators it makes are closed."""

    def __init__(self, *found):
        self.found, self.closed = found, 0

    async def __aiter__(self):
        try:
            for it in self.found:
                yield it
        finally:
            self.closed += 1


class Plain:
    """An async iterator that can't be closed."""

    def __init__(self, *found):
        self._left = list(found)

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop(0)


# Sources


@pytest.mark.parametrize(
    "source",
    [["idn_1"], (), {"idn_1": 1}, iter("ab"), Closing(), Plain()],
    ids=["list", "tuple", "dict", "iterator", "async iterable", "async iterator"],
)
def test_ids_come_from_anything_that_can_be_iterated_over(source):
    check_ids(source)


@pytest.mark.parametrize("source", ["idn_1", b"idn_1", 5, None, Identity(id="a")])
def test_a_single_id_or_another_value_is_no_source_of_ids(source):
    said = f"an async iterable of ids, not {type(source).__name__}"
    with pytest.raises(TypeError, match=said):
        check_ids(source)


@pytest.mark.parametrize(
    "source", [list, Closing, Plain], ids=["list", "async iterable", "async iterator"]
)
async def test_each_id_is_yielded_in_order(source):
    found = "idn_1", Identity(id="idn_2"), SimpleNamespace(id="idn_3")
    given = source(found) if source is list else source(*found)
    assert [it async for it in each_id(given)] == ["idn_1", "idn_2", "idn_3"]


async def test_what_can_be_iterated_over_either_way_is_asked_asynchronously():
    class Both(Plain):
        def __iter__(self):
            raise TypeError("only async")

    assert [it async for it in each_id(Both("idn_1"))] == ["idn_1"]


async def test_an_iterator_that_was_made_here_is_closed_here():
    source = Closing("a", "b", "c")
    ids = each_id(source)
    assert await anext(ids) == "a"
    await ids.aclose()
    assert source.closed == 1


async def test_an_iterator_of_the_caller_stays_open_for_the_caller():
    source = Closing("a", "b", "c")
    mine = aiter(source)
    ids = each_id(mine)
    assert await anext(ids) == "a"
    await ids.aclose()
    assert source.closed == 0
    assert await anext(mine) == "b"
    await mine.aclose()


class OfPlain:
    """An async iterable whose iterators can't be closed."""

    def __aiter__(self):
        return Plain("a", "b")


@pytest.mark.parametrize("source", [Plain("a", "b"), OfPlain()])
async def test_an_iterator_that_can_t_be_closed_is_left_as_it_is(source):
    ids = each_id(source)
    assert await anext(ids) == "a"
    await ids.aclose()


async def test_an_element_without_an_id_is_an_error_when_it_is_reached():
    ids = each_id(["a", 5])
    assert await anext(ids) == "a"
    with pytest.raises(TypeError, match="must be a str or have an id, not int"):
        await anext(ids)


# Ids


def test_only_the_id_of_an_identity_counts_as_listed_by_the_server():
    listed = id_of(Identity(id="idn_1"))
    assert (listed, type(listed)) == ("idn_1", ListedId)
    for found in ("idn_1", SimpleNamespace(id="idn_1")):
        assert (id_of(found), type(id_of(found))) == ("idn_1", str)
    assert type(id_of(listed)) is ListedId


@pytest.mark.parametrize("found", [5, None, b"idn_1", SimpleNamespace(id=5), object()])
def test_what_has_no_id_is_named_by_its_type(found):
    with pytest.raises(TypeError, match=f"not {type(found).__name__}$"):
        id_of(found)


@pytest.mark.parametrize("identity_id", ["idn_1", "a/b", "x" * 1_000])
def test_an_id_that_the_server_lists_may_be_any_segment_of_a_path(identity_id):
    check_listed_id(identity_id)


@pytest.mark.parametrize("identity_id", ["", ".", "..", "a\n", "x" * 1_001])
def test_an_id_that_the_server_lists_and_is_none_is_the_servers_fault(identity_id):
    with pytest.raises(ProtocolError, match=r"the server lists '.*can't be an id: id"):
        check_listed_id(identity_id)


def test_an_id_is_shown_in_two_hundred_characters_at_most():
    assert shown_id("a'b") == '"a\'b"'
    assert shown_id("x" * 198) == f"'{'x' * 198}'"
    for length in (199, 200, 201, 100_000):
        assert shown_id("x" * length) == f"'{'x' * 198}…"
