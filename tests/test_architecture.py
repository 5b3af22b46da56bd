"""The layers: every import of the package points downwards."""

import ast
from itertools import pairwise
from pathlib import Path

import pytest

import canopy_async

ROOT = Path(canopy_async.__file__).parent
LAYERS = (
    (
        "interrupts",
        "version",
        "printable",
        "redaction",
        "plain_files",
        "errors",
        "structs",
        "models",
        "instants",
        "report",
        "arguments",
        "identity_ids",
        "checkpoint",
    ),
    (
        "compression",
        "heft",
        "careless",
        "conversion",
        "decoding",
        "wire",
        "walk.span",
        "walk.window",
        "walk.takes",
        "walk.chart",
        "walk.planner",
        "walk.protocol",
        "walk.plain",
        "walk.oversize",
        "walk.view",
        "walk.track",
        "walk.cover",
        "walk.key_cover",
        "walk.id_cover",
        "walk.ties",
        "walk.ledger",
        "walk.repair",
        "walk.fence",
        "walk.search",
        "walk.opening",
        "walk.bridge",
        "walk.chain",
        "walk.newest",
        "walk",
        "auth",
        "hooks",
        "tasks",
    ),
    (
        "retry",
        "attempt",
        "_transport.turns",
        "_transport.width",
        "_transport.spacing",
        "_transport.pace",
        "_transport.cooldown",
        "_transport.budget",
        "_transport.outage",
        "_transport.tokens",
        "_transport.lanes",
        "_transport",
        "gate",
        "scopes",
        "server_clock",
        "transport.body",
        "transport.connection",
        "transport.faults",
        "transport.transport",
        "transport",
    ),
    ("readahead", "run", "stream"),
    (
        "identity_events",
        "_fanout.suspects",
        "_fanout",
        "fanout",
        "follow.watermark",
        "follow.store",
        "follow.lateness",
        "follow.tail",
        "follow.poll",
        "follow.polling",
        "follow.rota",
        "follow.beginning",
        "follow.discovery",
        "follow.follower",
        "follow",
    ),
    ("session",),
    ("export", "distributed", "testing"),
    ("cli", "__init__", "__main__"),
)
"""Each layer from the lowest; within one, a module comes after what it imports."""

LAYER_OF = {name: n for n, layer in enumerate(LAYERS) for name in layer}
RANK_OF = {name: n for n, name in enumerate(n for layer in LAYERS for n in layer)}
LAZY = {
    ("wire", "conversion"),
    ("session", "fanout"),
    ("session", "follow"),
}
"""Imports in a function, made so that importing the package stays cheap."""

ONLY = {
    "backoff": {"retry"},
    "aiohttp": {"transport", "session", "testing"},
    "yarl": {"wire", "transport", "testing"},
    "typer": {"cli"},
    "rich": {"cli"},
    "pyarrow": {"export", "distributed"},
    "jinja2": {"export"},
    "vl_convert": {"export"},
    "dask": {"distributed"},
    "distributed": {"distributed"},
    "pytest": {"testing"},
}
SANS_IO = LAYERS[0] + tuple(n for n in LAYERS[1] if n not in ("auth", "hooks", "tasks"))
IO = {"asyncio", "aiohttp", "socket", "ssl", "threading", "time", "random", "sqlite3"}


def unit_of(path):
    """The name in the table of a file: its own, or else its package's."""
    *packages, name = path.relative_to(ROOT).with_suffix("").parts
    if not packages:
        return name
    own = ".".join((*packages, name))
    return own if own in LAYER_OF else packages[0]


FILES = sorted(ROOT.rglob("*.py"))


class Imports(ast.NodeVisitor):
    """The modules that a file imports, and whether for types only."""

    def __init__(self, path):
        self.found = []
        self._package = ("canopy_async", *path.relative_to(ROOT).parts[:-1])
        self._typing = False
        self.visit(ast.parse(path.read_text(encoding="utf-8"), str(path)))

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


def imports_of(path):
    return Imports(path).found


def inner_imports(path):
    """The units of this package that a file imports."""
    for name, typing in imports_of(path):
        parts = name.split(".")
        if parts[0] != "canopy_async":
            continue
        unit = parts[1] if len(parts) > 1 else "__init__"
        is_module = (ROOT / f"{unit}.py").exists() or (ROOT / unit).is_dir()
        own = ".".join(parts[1:])
        yield (own if own in LAYER_OF else unit if is_module else "__init__"), typing


def outer_imports(path):
    return {name.split(".")[0] for name, typing in imports_of(path) if not typing}


def identify(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=identify)
def test_every_module_has_its_place_in_the_table(path):
    assert unit_of(path) in LAYER_OF, (
        f"{identify(path)} has no layer: place {unit_of(path)!r} in LAYERS of"
        f" {Path(__file__).name}, above all that it imports"
    )


@pytest.mark.parametrize("path", FILES, ids=identify)
def test_imports_point_downwards(path):
    unit = unit_of(path)
    if unit not in LAYER_OF:
        pytest.skip("it has no place yet, which fails elsewhere")
    for target, typing in inner_imports(path):
        if target == unit or target not in LAYER_OF:
            continue
        if target == "__init__":
            assert unit in ("testing", "cli"), f"{unit} imports the public names"
            continue
        assert LAYER_OF[target] <= LAYER_OF[unit], f"{unit} imports {target} above it"
        if not typing:
            assert RANK_OF[target] < RANK_OF[unit], (
                f"{unit} imports {target}, which comes after it in its layer"
            )


def test_the_table_names_every_module_once():
    names = [name for layer in LAYERS for name in layer]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("path", FILES, ids=identify)
def test_a_dependency_is_touched_only_where_it_may_be(path):
    unit = unit_of(path)
    package = unit.partition(".")[0]
    for name in outer_imports(path) & ONLY.keys():
        assert package in ONLY[name], f"{unit} imports {name}"


@pytest.mark.parametrize(
    "path", [path for path in FILES if unit_of(path) in SANS_IO], ids=identify
)
def test_what_decides_has_no_network_no_clock_no_tasks_and_no_luck(path):
    assert not outer_imports(path) & IO


@pytest.mark.parametrize("path", FILES, ids=identify)
def test_only_listed_imports_are_late(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    unit = unit_of(path)
    if unit in ("testing", "cli", "export", "distributed"):
        return
    for function in ast.walk(tree):
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.ImportFrom) and node.module:
                parts = node.module.split(".")
                if parts[0] == "canopy_async" and unit != "__init__":
                    assert (unit, parts[1]) in LAZY


def test_the_layers_of_the_design_are_in_their_order():
    order = ["errors", "wire", "transport", "stream", "session", "testing", "cli"]
    assert all(LAYER_OF[a] < LAYER_OF[b] for a, b in pairwise(order))
