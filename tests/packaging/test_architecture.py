"""The layers: imports point downwards, and no two files share a name."""

import ast
import re
from collections import Counter
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

import canopy_async

ROOT = Path(canopy_async.__file__).parent
LAYERS = (
    ("_version", "_util"),
    ("models", "report", "errors", "checkpoint"),
    ("hooks", "auth", "retry"),
    ("_api",),
    ("_walk",),
    ("_tables",),
    ("_transport",),
    ("_read",),
    ("_account", "_fanout", "_follow"),
    ("_session", "session"),
    ("export",),
    ("distributed", "testing"),
    ("cli", "__init__", "__main__"),
)
"""Modules and packages of the root, from the lowest layer to the highest."""

LAYER_OF = {name: n for n, layer in enumerate(LAYERS) for name in layer}
LAZY = {
    ("_api.log_responses", "canopy_async._api.conversion"),
    ("_api.responses", "canopy_async._api.conversion"),
    ("_session.account_reads", "canopy_async._follow"),
    ("_session.identity_reads", "canopy_async._fanout.fanout"),
    ("_session.identity_reads", "canopy_async._follow"),
    ("retry", "backoff"),
}
"""Imports in a function, made so that importing the package stays cheap."""

ONLY = {
    "backoff": {"retry"},
    "aiohttp": {"_transport", "_session", "session", "testing"},
    "yarl": {"_api", "_transport", "testing"},
    "typer": {"cli"},
    "rich": {"cli"},
    "pyarrow": {"_tables", "export", "distributed"},
    "jinja2": {"export"},
    "vl_convert": {"export"},
    "dask": {"distributed"},
    "distributed": {"distributed"},
    "pytest": {"testing"},
}
SANS_IO = {
    "models",
    "report",
    "errors",
    "checkpoint",
    "_api",
    "_walk",
    "_account",
    "_tables",
}
IO = {"asyncio", "aiohttp", "socket", "ssl", "threading", "time", "random", "sqlite3"}
OPTIONAL = {"export", "distributed", "testing", "cli"}
"""Packages that import what they need when they need it: not all of it is installed."""

FILES = sorted(ROOT.rglob("*.py"))
PAGE = (Path(__file__).parents[2] / "docs/architecture.md").read_text("utf-8")


def module_of(path):
    """The dotted name of a file, below the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and parts[1:] else parts)


def top_of(module):
    """The name in the root that a module is, or is in."""
    return module.partition(".")[0]


@cache
def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


class Imports(ast.NodeVisitor):
    """The modules that a file imports, and whether for types only."""

    def __init__(self, path):
        self.found = []
        self._package = ("canopy_async", *path.relative_to(ROOT).parts[:-1])
        self._typing = False
        self.visit(tree_of(path))

    def visit_If(self, node):
        # A condition with TYPE_CHECKING and something else also runs elsewhere.
        before = self._typing
        self._typing = before or ast.unparse(node.test) == "TYPE_CHECKING"
        for child in node.body:
            self.visit(child)
        self._typing = before
        for child in node.orelse:
            self.visit(child)

    def visit_Import(self, node):
        self.found += [(alias.name, self._typing) for alias in node.names]

    def visit_ImportFrom(self, node):
        base = node.module or ""
        if node.level:
            up = self._package[: len(self._package) - node.level + 1]
            base = ".".join((*up, base)).rstrip(".")
        # A name imported from a package may be a module of it.
        names = [f"{base}.{alias.name}" for alias in node.names]
        own = base == "canopy_async"
        self.found += [(name, self._typing) for name in (names if own else [base])]


@cache
def imports_of(path):
    return Imports(path).found


def inner_imports(path):
    """The modules of this package that a file imports, and whether for types only."""
    for name, typing in imports_of(path):
        first, _, module = name.partition(".")
        if first != "canopy_async":
            continue
        # What is no module is a name in one.
        while module and not is_module(module):
            module = module.rpartition(".")[0]
        yield module or "__init__", typing


@cache
def is_module(dotted):
    place = ROOT.joinpath(*dotted.split("."))
    return place.with_suffix(".py").exists() or (place / "__init__.py").exists()


def outer_imports(path):
    return {name.split(".")[0] for name, typing in imports_of(path) if not typing}


def in_files(found, files=FILES):
    """What is found in each file, after the file's name; where nothing is, no line."""
    return [
        f"{path.relative_to(ROOT)}: {fault}" for path in files for fault in found(path)
    ]


def test_the_table_names_each_module_and_package_of_the_root_once():
    named = [name for layer in LAYERS for name in layer]
    there = {top_of(module_of(path)) for path in FILES}
    assert sorted(named) == sorted(there)


def test_imports_point_downwards():
    assert in_files(imports_upwards) == []


def imports_upwards(path):
    own = top_of(module_of(path))
    for target, typing in inner_imports(path):
        to = top_of(target)
        if to == own:
            continue
        if to == "__init__":
            if own not in ("testing", "cli"):
                yield "imports the public names"
        elif typing:
            if LAYER_OF[to] > LAYER_OF[own]:
                yield f"names {to} above it"
        elif LAYER_OF[to] >= LAYER_OF[own] and to not in before(own):
            yield f"imports {to}, which is not below it"


def before(name):
    """The names of a layer that come before one of it."""
    layer = LAYERS[LAYER_OF[name]]
    return layer[: layer.index(name)]


def test_no_modules_import_each_other_in_a_circle():
    graph = {
        module_of(path): {
            target
            for target, typing in inner_imports(path)
            if not typing and target not in ("__init__", module_of(path))
        }
        for path in FILES
        if module_of(path) != "__init__"
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {error.args[1]}")


def test_the_command_line_and_the_test_server_use_what_is_public():
    files = [path for path in FILES if top_of(module_of(path)) in ("cli", "testing")]
    assert len(files) > 2
    assert in_files(private_imports, files) == []


def private_imports(path):
    for target, _ in inner_imports(path):
        to = top_of(target)
        if to.startswith("_") and to not in ("__init__", "_util", "_version"):
            yield f"imports {target}"


def test_no_two_files_share_a_name():
    # A command's modules are named as the command is.
    names = Counter(
        path.name
        for path in FILES
        if path.name != "__init__.py" and path.parent.name not in ("commands", "usage")
    )
    assert not [name for name, count in names.items() if count > 1]


def test_a_dependency_is_touched_only_where_it_may_be():
    assert in_files(dependencies_elsewhere) == []


def dependencies_elsewhere(path):
    for name in outer_imports(path) & ONLY.keys():
        if top_of(module_of(path)) not in ONLY[name]:
            yield f"imports {name}"


def test_what_decides_has_no_network_no_clock_no_tasks_and_no_luck():
    files = [path for path in FILES if top_of(module_of(path)) in SANS_IO]
    assert {top_of(module_of(path)) for path in files} == SANS_IO
    assert in_files(lambda path: outer_imports(path) & IO, files) == []


def test_only_listed_imports_are_late():
    late = {
        (module_of(path), target)
        for path in FILES
        if top_of(module_of(path)) not in OPTIONAL | {"__init__"}
        for function in ast.walk(tree_of(path))
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for node in ast.walk(function)
        for target in targets_of(node)
    }
    assert late == LAZY


def targets_of(node):
    """The modules that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def test_the_layers_of_the_design_are_in_their_order():
    order = ["errors", "_api", "_transport", "_read", "session", "testing", "cli"]
    assert all(LAYER_OF[a] < LAYER_OF[b] for a, b in pairwise(order))


def test_the_map_in_the_documentation_has_each_module_and_package():
    rows = re.findall(r"^\| [^|]+ \| `(\w+)` \|$", PAGE, flags=re.MULTILINE)
    there = {top_of(module_of(path)) for path in FILES}
    assert sorted(rows) == sorted(there - {"__init__", "__main__", "_version"})


def test_the_layers_in_the_documentation_are_those_of_the_table():
    (drawn,) = re.findall(
        r"^```text\n(_version .*?)^```", PAGE, re.DOTALL | re.MULTILINE
    )
    layers = [set(line.split()) for line in drawn.splitlines()]
    hidden = {"__init__", "__main__"}
    assert layers == [set(layer) - hidden for layer in LAYERS if set(layer) - hidden]
