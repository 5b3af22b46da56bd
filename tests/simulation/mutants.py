"""Mutants of a module: its source with one small change that a test should notice.

What can't change behaviour is left alone: annotations, decorators, texts, `__repr__`.

A mutant gets into a process in one of two ways. Most are changes inside of a function:
`changed_code` gives the code that the function is to have, and whoever has imported the
module puts it in place. The others change what an import does, such as a constant:
`load_mutant` has the module imported as the mutant, before anything else imports it.
"""

import ast
import importlib.util
import inspect
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import PathFinder
from pathlib import Path
from types import CodeType

import attrs

COMPARED = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
COMPUTED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult}
CALLED = {"min": "max", "max": "min", "any": "all", "all": "any"}
OF_CLASSES = {"eq", "frozen", "gc", "kw_only", "repr", "slots"}
"""Arguments of attrs and msgspec: what a class is like, not what it does."""


@attrs.frozen
class Mutant:
    """One change of a module.

    Attributes:
        module: The module's dotted name.
        number: Which of the module's mutants it is.
        lines: The lines that are changed.
        source: What the first of them says.
        change: The change in words: what was there, and what is there now.
        is_inside: Whether a function is changed, and not what an import does.
    """

    module: str
    number: int
    lines: range
    source: str
    change: str
    is_inside: bool = False

    def __str__(self):
        return f"{self.module}:{self.lines.start}: {self.change}"


@attrs.define
class _Site:
    """A node of a tree, and what may stand in its place."""

    parent: ast.AST
    field: str
    index: int | None
    old: ast.AST
    new: ast.AST
    is_inside: bool

    def apply(self):
        ast.copy_location(self.new, self.old)
        if self.index is None:
            setattr(self.parent, self.field, self.new)
        else:
            getattr(self.parent, self.field)[self.index] = self.new

    @property
    def lines(self):
        return range(self.old.lineno, self.old.end_lineno + 1)

    @property
    def change(self):
        return f"{_text(self.old)}  →  {_text(self.new)}"


def mutants_of(module):
    """Return all mutants of a module, given by its dotted name."""
    text = path_of(module).read_text(encoding="utf-8")
    source = text.splitlines()
    return [
        Mutant(
            module=module,
            number=number,
            lines=site.lines,
            source=source[site.lines.start - 1].strip(),
            change=site.change,
            is_inside=site.is_inside,
        )
        for number, site in enumerate(_sites(ast.parse(text)))
    ]


def path_of(module):
    """Return where the source of a module is, without importing it."""
    path = Path(__file__).parents[2].joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def body_around(mutant):
    """Return the lines of the body of the outermost function around a mutant."""
    nodes = [ast.parse(path_of(mutant.module).read_text(encoding="utf-8"))]
    while nodes:
        node = nodes.pop()
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            nodes += ast.iter_child_nodes(node)
        elif node.lineno <= mutant.lines.start <= node.end_lineno:
            return range(node.body[0].lineno, node.end_lineno + 1)
    return range(0)


def changed_code(mutant):
    """Return the code of the functions that a mutant changes, by name and first line.

    Returns:
        Nothing where the change is none, as the interpreter reads it; None where what
        is changed is no function.
    """
    if not mutant.is_inside:
        return None
    path = path_of(mutant.module)
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    _sites(tree)[mutant.number].apply()
    before = _outermost(compile(text, path, "exec"))
    after = _outermost(compile(ast.fix_missing_locations(tree), path, "exec"))
    return {
        place: code
        for place, code in after.items()
        if _plain(code) != _plain(before[place])
    }


def _outermost(code):
    """Return the code of all functions that stand in no other, by name and line."""
    found = {}
    for it in code.co_consts:
        if not isinstance(it, CodeType):
            continue
        if it.co_flags & inspect.CO_OPTIMIZED:
            found[it.co_qualname, it.co_firstlineno] = it
        else:  # the body of a class
            found |= _outermost(it)
    return found


def _plain(code):
    """Return all of a code that tells what it does, and not where it stands."""
    return (
        code.co_code,
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
        code.co_exceptiontable,
        tuple(
            _plain(it) if isinstance(it, CodeType) else (type(it), it)
            for it in code.co_consts
        ),
    )


def load_mutant(module, number):
    """Have a module loaded as one of its mutants; a negative number changes nothing."""
    assert module not in sys.modules, f"{module} was imported before"
    sys.meta_path.insert(0, _Finder(module, number))


class _Finder(MetaPathFinder, Loader):
    def __init__(self, module, number):
        self._module = module
        self._number = number

    def find_spec(self, name, path, target=None):
        if name != self._module:
            return None
        found = PathFinder.find_spec(name, path, target)
        return importlib.util.spec_from_file_location(
            name,
            found.origin,
            loader=self,
            submodule_search_locations=found.submodule_search_locations,
        )

    def exec_module(self, module):
        path = path_of(self._module)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if self._number >= 0:
            _sites(tree)[self._number].apply()
        exec(compile(ast.fix_missing_locations(tree), path, "exec"), vars(module))  # noqa: S102


def _sites(tree):
    return [
        _Site(parent, field, index, node, new, is_inside)
        for parent, field, index, node, is_inside in _nodes(tree, is_inside=False)
        for new in _changed(node, parent, field)
    ]


def _nodes(parent, *, is_inside):
    """Yield each node that does something, and where in the tree it stands."""
    is_function = isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef)
    for field, value in ast.iter_fields(parent):
        if field in {"annotation", "returns", "decorator_list", "bases"}:
            continue
        for index, node in (
            enumerate(value) if isinstance(value, list) else ((None, value),)
        ):
            if not isinstance(node, ast.AST) or _is_idle(node):
                continue
            inside = is_inside or (is_function and field == "body")
            yield parent, field, index, node, inside
            yield from _nodes(node, is_inside=inside)


def _is_idle(node):
    """Tell whether a node is of no account to what the module does."""
    match node:
        case (
            ast.JoinedStr()
            | ast.FunctionDef(name="__repr__" | "__str__")
            | ast.If(test=ast.Name(id="TYPE_CHECKING"))
            | ast.AnnAssign(annotation=ast.Name(id="TypeAlias"))
            | ast.Assign(targets=[ast.Name(id="__all__")])
            | ast.Call(func=ast.Name(id="TypeVar" | "publish"))
        ):
            return True
        case ast.keyword(arg=name):
            return name in OF_CLASSES
    return False


def _changed(node, parent, field):
    """Yield what may stand in the place of a node."""
    if isinstance(node, ast.stmt):
        yield from _changed_statement(node, parent)
    elif field == "test" and isinstance(node, ast.Name | ast.Attribute | ast.Call):
        yield ast.UnaryOp(ast.Not(), node)
    elif field == "func" and isinstance(node, ast.Name) and node.id in CALLED:
        yield ast.Name(CALLED[node.id], ast.Load())
    else:
        yield from _changed_expression(node)


def _changed_expression(node):
    match node:
        case ast.Compare(left=left, ops=[op, *ops], comparators=right):
            yield ast.Compare(left, [COMPARED[type(op)](), *ops], right)
        case ast.BoolOp(op=op, values=values):
            other = ast.Or() if isinstance(op, ast.And) else ast.And()
            yield ast.BoolOp(other, values)
            yield from _without_one(op, values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.BinOp(left=left, op=op, right=right) if type(op) in COMPUTED:
            if not _is_text(left) and not _is_text(right):
                yield ast.BinOp(left, COMPUTED[type(op)](), right)
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() as value):
            yield ast.Constant(value + 1)


def _changed_statement(node, parent):
    match node:
        case ast.Return(value=None | ast.Constant(value=None | bool())):
            pass  # a bool is changed where it stands
        case ast.Return():
            yield ast.Return(ast.Constant(None))
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()
        case ast.AugAssign(target=target, op=op, value=value):
            yield ast.Pass()
            if type(op) in COMPUTED and not _is_text(value):
                yield ast.AugAssign(target, COMPUTED[type(op)](), value)
        case ast.Expr(value=ast.Call() | ast.Await()) | ast.Raise():
            yield ast.Pass()
        case (
            ast.Delete(targets=[ast.Attribute() | ast.Subscript()])
            | ast.Assign(targets=[ast.Attribute() | ast.Subscript()])
        ):
            # Without a field that `__init__` makes, nothing works at all.
            if not isinstance(parent, ast.FunctionDef) or parent.name != "__init__":
                yield ast.Pass()


def _without_one(op, values):
    for dropped in range(len(values)):
        rest = values[:dropped] + values[dropped + 1 :]
        yield rest[0] if len(rest) == 1 else ast.BoolOp(op, rest)


def _is_text(node):
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    )


def _text(node):
    text = " ".join(ast.unparse(ast.fix_missing_locations(node)).split())
    return text if len(text) <= 90 else f"{text[:87]}..."
