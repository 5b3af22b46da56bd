"""The tree of errors: its drawing, its texts, and that it travels."""

import copy
import pickle
from datetime import UTC, datetime

import pytest

import canopy_async
from canopy_async import errors
from canopy_async.checkpoint import Checkpoint
from canopy_async.report import Proof, ReadReport

CHECKPOINT = Checkpoint(
    scope="0" * 16,
    order="asc",
    key=datetime(2026, 1, 1, tzinfo=UTC),
    ids=frozenset("a"),
)
REPORT = ReadReport(proof=Proof.COUNT, delivered=3, warnings=("one",))
EXAMPLES = {
    errors.CanopyError: lambda cls: cls("it failed"),
    errors.ApiError: lambda cls: cls(
        "no",
        status=418,
        code="a.b",
        details=("x", "y"),
        request_id="req-1",
        retry_after=1.5,
        method="GET",
        url="https://h/p",
        attempts=3,
    ),
    errors.TransportError: lambda cls: cls("reset", url="https://h/p", attempts=2),
    errors.ProtocolError: lambda cls: cls("bad", page=3, path="items[2].id"),
    errors.IncompleteReadError: lambda cls: cls(
        "lost", report=REPORT, checkpoint=CHECKPOINT
    ),
    errors.CheckpointError: lambda cls: cls("damaged"),
    errors.FanOutError: lambda cls: cls(
        "two", failures={"idn_1": errors.NotFoundError("gone", status=404)}
    ),
    errors.FutureRangeError: lambda cls: cls(
        "not over", until=datetime(2027, 1, 1, tzinfo=UTC), now=CHECKPOINT.key
    ),
    errors.ExportError: lambda cls: cls("locked"),
    errors.SessionClosedError: lambda cls: cls("closed"),
}


def tree(cls):
    """The tree under a class, drawn as the docstring of `errors` does."""
    lines = [cls.__name__]
    children = cls.__subclasses__()
    for child in children:
        first, *rest = tree(child)
        last = child is children[-1]
        lines.append(("└─ " if last else "├─ ") + first)
        lines.extend(("   " if last else "│  ") + line for line in rest)
    return lines


def every_class():
    found = [errors.CanopyError]
    for cls in found:
        found.extend(sub for sub in cls.__subclasses__() if sub not in found)
    return [cls for cls in found if cls.__module__ == "canopy_async"]


def example(cls):
    for base in cls.__mro__:
        if base in EXAMPLES:
            return EXAMPLES[base](cls)
    raise AssertionError(cls)


def state_of(error):
    state = dict(vars(error))
    if "failures" in state:
        state["failures"] = {k: repr(v) for k, v in state["failures"].items()}
    return state


def test_the_tree_drawn_in_the_docstring_is_the_real_one():
    assert "\n".join(tree(errors.CanopyError)) in errors.__doc__


def test_every_error_class_is_exported_and_public():
    names = {cls.__name__ for cls in every_class()}
    assert names == set(errors.__all__)
    assert names <= set(canopy_async.__all__)


@pytest.mark.parametrize("cls", every_class())
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_error_is_the_same_after_pickling(cls, protocol):
    error = example(cls)
    error.add_note("seen by a worker")
    again = pickle.loads(pickle.dumps(error, protocol))
    assert type(again) is cls
    assert again.args == error.args
    assert state_of(again) == state_of(error)
    assert str(again) == str(error)


@pytest.mark.parametrize("cls", every_class())
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_an_error_is_the_same_after_copying(cls, copied):
    error = example(cls)
    again = copied(error)
    assert again is not error
    assert (type(again), str(again)) == (cls, str(error))
    assert state_of(again) == state_of(error)


def test_an_error_of_an_iteration_keeps_its_checkpoint_when_pickled():
    error = errors.ServerError("down", status=503)
    assert error.checkpoint is None
    error.checkpoint = CHECKPOINT
    assert pickle.loads(pickle.dumps(error)).checkpoint == CHECKPOINT


def test_an_api_error_says_status_code_details_wait_place_and_request():
    assert str(example(errors.ApiError)) == (
        "418 [a.b] no (x; y), retry after 1.5 s: GET https://h/p"
        " after 3 attempts, request req-1"
    )


def test_an_api_error_says_no_more_than_it_knows():
    error = errors.NotFoundError("Not Found", status=404, url="https://h/p")
    assert str(error) == "404 Not Found: GET https://h/p"


def test_a_transport_error_says_what_failed_and_where():
    error = errors.RequestTimeoutError("timed out", url="https://h/p")
    assert str(error) == "timed out: GET https://h/p"
    assert str(example(errors.TransportError)) == (
        "reset: GET https://h/p after 2 attempts"
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"page": 3, "path": "items[2].id"}, "page 3: items[2].id: bad"),
        ({"page": 0}, "page 0: bad"),
        ({"path": "items"}, "items: bad"),
        ({}, "bad"),
    ],
)
def test_a_protocol_error_says_page_path_and_fault(given, said):
    assert str(errors.ProtocolError("bad", **given)) == said


def test_the_failures_of_a_fan_out_are_a_copy():
    failures = {"idn_1": errors.CanopyError("x")}
    error = errors.FanOutError("one", failures=failures)
    failures.clear()
    assert list(error.failures) == ["idn_1"]
