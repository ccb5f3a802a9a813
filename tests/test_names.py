"""One word, one meaning: a type's name is defined in one module only, over all three packages."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[1]
PACKAGES = ("microlith", "app", "worker")

CAMEL_CASE = re.compile(r"_{0,2}[A-Z]\w*[a-z]\w*")
TYPE_MAKERS = frozenset({"NewType", "TypedDict", "NamedTuple", "namedtuple"})


def modules_by_type_name() -> dict[str, set[str]]:
    """The modules that define each name, as paths below the root."""
    modules: dict[str, set[str]] = defaultdict(set)
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for name in type_names(ast.parse(path.read_text(encoding="utf-8"))):
                modules[name].add(path.relative_to(ROOT).as_posix())
    return modules


def type_names(module: ast.Module) -> Iterator[str]:
    """The classes of a module, however deep, and its type aliases; type variables are not counted."""
    for node in ast.walk(module):
        if isinstance(node, ast.ClassDef):
            yield node.name
    for statement in outer_statements(module.body):
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and names_a_type(statement.value):
            yield from camel_cased(statement.targets[0])
        elif isinstance(statement, ast.AnnAssign) and "TypeAlias" in ast.unparse(statement.annotation):
            yield from camel_cased(statement.target)
        elif hasattr(ast, "TypeAlias") and isinstance(statement, ast.TypeAlias):
            yield from camel_cased(statement.name)


def outer_statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Those of the module itself, and of its `if TYPE_CHECKING:` and the like."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If):
            yield from outer_statements(statement.body + statement.orelse)


def names_a_type(value: ast.expr) -> bool:
    """Whether an assignment of this makes an alias: `Literal[…]`, `A | B`, another's name, or a type made by a call."""
    if isinstance(value, ast.Call):
        return ast.unparse(value.func).rpartition(".")[2] in TYPE_MAKERS
    return isinstance(value, ast.Subscript | ast.BinOp | ast.Name | ast.Attribute)


def camel_cased(target: ast.expr) -> Iterator[str]:
    if isinstance(target, ast.Name) and CAMEL_CASE.fullmatch(target.id):
        yield target.id


def test_classes_and_aliases_are_type_names_and_nothing_else_is() -> None:
    source = """
        class Row(Protocol): ...
        def make():
            class _Inner: ...
        if TYPE_CHECKING:
            Array = np.ndarray[Any, Any]
        Kind = Literal["a", "b"]
        Source: TypeAlias = str | Path
        Facts = TypedDict("Facts", {})
        T = TypeVar("T")
        Value = TypeVar("Value")
        LIMIT = LIMITS["most"]
        settings = Settings()
    """
    assert {*type_names(ast.parse(dedent(source)))} == {"Row", "_Inner", "Array", "Kind", "Source", "Facts"}


def test_every_type_name_is_defined_in_one_module() -> None:
    assert {name: modules for name, modules in modules_by_type_name().items() if len(modules) > 1} == {}
