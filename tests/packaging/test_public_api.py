"""The public names: sorted, importable, documented, and cheap to import."""

import inspect
import json
import pickle
import subprocess
import sys
from importlib.metadata import version

import pytest

import canopy_async
from canopy_async import distributed, errors, export, testing

HEAVY = ("cattrs", "typer", "rich", "aiohttp.web", "canopy_async.testing", "pyarrow")


def test_all_is_sorted_and_names_nothing_twice():
    named = canopy_async.__all__
    assert len(named) == len(set(named))
    others = named[: -len(errors.__all__)]
    assert [*others, *errors.__all__] == named
    assert others == sorted(others)
    assert errors.__all__ == sorted(errors.__all__)


@pytest.mark.parametrize("name", canopy_async.__all__)
def test_each_public_name_is_there(name):
    assert getattr(canopy_async, name) is not None


def test_all_is_all_that_is_exported():
    exported = {
        name
        for name, value in vars(canopy_async).items()
        if not name.startswith("_")
        and not inspect.ismodule(value)
        and getattr(value, "__module__", "").startswith("canopy_async")
    }
    assert exported <= set(canopy_async.__all__)


PACKAGES = (canopy_async, distributed, export, testing)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_what_is_public_says_that_it_is_of_the_place_it_is_imported_from(package):
    public = [getattr(package, name) for name in package.__all__]
    named = [it for it in public if inspect.isclass(it) or inspect.isfunction(it)]
    assert named
    assert {thing.__module__ for thing in named} == {package.__name__}


@pytest.mark.parametrize("name", canopy_async.__all__)
def test_what_is_public_can_be_pickled_by_its_place(name):
    thing = getattr(canopy_async, name)
    if inspect.isclass(thing):
        assert pickle.loads(pickle.dumps(thing)) is thing


def test_the_version_is_that_of_the_distribution():
    assert canopy_async.__version__ == version("canopy-async")


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'canopy_async' has no attribute 'nope'"):
        _ = canopy_async.nope


def members_of(cls):
    """What a class has of this package, also from bases that are not public."""
    ours = [base for base in cls.__mro__ if base.__module__.startswith("canopy_async")]
    return {name: it for base in reversed(ours) for name, it in vars(base).items()}


def public_members():
    for name in canopy_async.__all__:
        thing = getattr(canopy_async, name)
        if inspect.isclass(thing):
            yield name, thing
            for member, value in members_of(thing).items():
                plain = getattr(value, "__func__", value)
                ours = str(getattr(plain, "__module__", "")).startswith("canopy_async")
                function = inspect.isfunction(plain) and ours
                public = not member.startswith("_")
                if public and (function or isinstance(plain, property)):
                    yield f"{name}.{member}", plain
        elif inspect.isfunction(thing):
            yield name, thing


@pytest.mark.parametrize(
    ("name", "thing"), [pytest.param(*m, id=m[0]) for m in public_members()]
)
def test_each_public_thing_says_what_it_is(name, thing):
    said = inspect.getdoc(thing)
    assert said, name
    assert said.splitlines()[0].rstrip().endswith((".", ":", "?"))


def imported_by(statement):
    """The modules that a fresh interpreter holds after a statement."""
    code = f"import json, sys; {statement}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", code],
        capture_output=True,
        check=True,
        text=True,
    )
    return json.loads(done.stdout)


def test_importing_the_package_imports_nothing_heavy():
    modules = imported_by("import canopy_async")
    assert "canopy_async.errors" in modules
    assert not {"aiohttp", "msgspec"} & set(modules)
    modules = imported_by("from canopy_async import CanopySession, AuditEvent")
    assert "canopy_async.session" in modules
    assert [name for name in modules if name.startswith(HEAVY)] == []


def test_what_is_loaded_late_is_loaded_when_asked_for():
    modules = imported_by("from canopy_async import converter")
    assert "cattrs" in modules
