"""`make style`: how the code reads, in figures, beside two code bases that are known for reading well.

Everything is counted in the syntax trees of the files; import circles are of grimp, without imports for types alone. A
figure is a place to look, not a limit.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
REPORT = ROOT / "benchmarks/reports/style.md"
OURS = ("microlith", "app", "worker")
MODELS = ("starlette", "httpx")
LONG_FILE = 300
"""Lines."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class File:
    """A file of a package; `name` is its path, from the folder of the package on."""

    name: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def lines(self) -> int:
        return self.text.count("\n")

    @cached_property
    def functions(self) -> list[Function]:
        """Functions and methods, those inside others too."""
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]

    @cached_property
    def references(self) -> Counter[str]:
        """How often each name is used here: called, passed on, reached through a dot, or imported."""
        return Counter(_names_used(self.tree))

    @property
    def types(self) -> set[str]:
        """Names of classes and of aliases of types that the file defines for others to see."""
        return {name for node in self.tree.body for name in _types_defined(node) if not name.startswith("_")}


@dataclass(frozen=True)
class Code:
    """What one or several packages hold."""

    title: str
    files: Sequence[File]
    circles: Sequence[Sequence[str]]

    @property
    def sizes(self) -> list[tuple[int, str]]:
        """Lines of every function, and where it is, longest first."""
        sized = [
            (node.end_lineno - node.lineno + 1, f"{file.name}: `{node.name}`")
            for file in self.files
            for node in file.functions
            if node.end_lineno
        ]
        return sorted(sized, reverse=True)

    @property
    def used_once(self) -> float:
        """The share of functions that are private and named once beside their definition."""
        homes: defaultdict[str, list[File]] = defaultdict(list)
        for file in self.files:
            for function in file.functions:
                homes[function.name].append(file)
        private = [name for name in homes if name.startswith("_") and not name.startswith("__")]
        once = 0
        for name in private:
            places = homes[name]
            # A name that several files define is looked for in each of them alone.
            looked_in = self.files if len(places) == 1 else None
            once += sum(sum(file.references[name] for file in looked_in or [place]) == 1 for place in places)
        return once / max(1, sum(len(file.functions) for file in self.files))

    @property
    def long_files(self) -> list[tuple[int, str]]:
        """Those of more lines than LONG_FILE, longest first."""
        return sorted(((file.lines, file.name) for file in self.files if file.lines > LONG_FILE), reverse=True)

    @property
    def same_types(self) -> dict[str, list[str]]:
        """The files of every type name that more than one of them defines."""
        homes: defaultdict[str, list[str]] = defaultdict(list)
        for file in self.files:
            for name in file.types:
                homes[name].append(file.name)
        return {name: places for name, places in sorted(homes.items()) if len(places) > 1}


def read(title: str, packages: Sequence[str]) -> Code:
    """The code of packages that can be imported from here."""
    files = [file for package in packages for file in _files(package)]
    return Code(title, files, circles(packages))


def circles(packages: Sequence[str]) -> list[list[str]]:
    """The largest sets of modules each of which imports all others, by whatever way: strongly connected components."""
    graph = grimp.build_graph(*packages, exclude_type_checking_imports=True, cache_dir=None)
    reached = {module: graph.find_upstream_modules(module) for module in graph.modules}
    found: list[list[str]] = []
    left = {module for module, others in reached.items() if any(module in reached[other] for other in others)}
    while left:
        first = min(left)
        circle = {first} | {other for other in reached[first] if first in reached[other]}
        found.append(sorted(circle))
        left -= circle
    return found


def _files(package: str) -> Iterator[File]:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"The package {package} is not installed here.")
    folder = Path(spec.submodule_search_locations[0])
    for path in sorted(folder.rglob("*.py")):
        yield File(f"{package}/{path.relative_to(folder)}", path.read_text(encoding="utf-8"))


def _names_used(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)


def _types_defined(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign) and _is_type(node.value):
        names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        yield from (name for name in names if name[0].isupper() and not name.isupper())  # constants shout


def _is_type(value: ast.expr) -> bool:
    """Whether an expression writes a type: a name, one with parameters, or several joined by `|`; `NewType` too."""
    if isinstance(value, ast.Call):
        return isinstance(value.func, ast.Name) and value.func.id == "NewType"
    if isinstance(value, ast.BinOp):
        return isinstance(value.op, ast.BitOr)
    return isinstance(value, ast.Name | ast.Attribute | ast.Subscript)


def report(ours: Sequence[Code], together: Code, models: Sequence[Code]) -> str:
    """The figures in Markdown."""
    columns = [*ours, together, *models]
    rows = {
        "files": [str(len(code.files)) for code in columns],
        "lines": [f"{sum(file.lines for file in code.files):,}" for code in columns],
        "functions": [f"{len(code.sizes):,}" for code in columns],
        "lines of a function, median": [f"{_median(code):g}" for code in columns],
        "90th percentile": [str(_percentile(code, 90)) for code in columns],
        "longest": [str(code.sizes[0][0]) for code in columns],
        "private functions used once": [f"{code.used_once:.0%}" for code in columns],
        f"files over {LONG_FILE} lines": [str(len(code.long_files)) for code in columns],
        "import circles (files in them)": [_circles(code) for code in columns],
        "type names defined more than once": [str(len(code.same_types)) for code in columns],
    }
    head = ["|  | " + " | ".join(code.title for code in columns) + " |", "|---|" + "--:|" * len(columns)]
    table = head + [f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows.items()]
    longest = [f"- {lines} lines, {place}" for lines, place in together.sizes[:5]]
    long_files = [f"- {lines} lines, {name}" for lines, name in together.long_files] or ["None."]
    same = [f"- `{name}`: {', '.join(places)}" for name, places in together.same_types.items()] or ["None."]
    found = [f"- {', '.join(circle)}" for circle in together.circles] or ["None."]
    return "\n".join(
        [
            "# Style",
            "",
            f"{' '.join(str(__doc__).split())} The lines of a function run from `def` to its end, its docstring "
            "included. Private functions used once are a share of all functions.",
            "",
            *table,
            "",
            "## The longest functions\n\n" + "\n".join(longest),
            "",
            f"## Files over {LONG_FILE} lines\n\n" + "\n".join(long_files),
            "",
            "## Import circles\n\n" + "\n".join(found),
            "",
            "## Type names defined more than once\n\n" + "\n".join(same),
            "",
        ]
    )


def _median(code: Code) -> float:
    return statistics.median(lines for lines, _ in code.sizes)


def _percentile(code: Code, percent: int) -> int:
    """By nearest rank."""
    ascending = sorted(lines for lines, _ in code.sizes)
    return ascending[math.ceil(percent / 100 * len(ascending)) - 1]


def _circles(code: Code) -> str:
    inside = sum(len(circle) for circle in code.circles)
    return f"{len(code.circles)} ({inside})" if inside else "0"


def main() -> None:
    """Measure, print and keep the report."""
    ours = [read(f"`{package}`", [package]) for package in OURS]
    models = [read(f"{name} {importlib.metadata.version(name)}", [name]) for name in MODELS]
    text = report(ours, read("together", OURS), models)
    REPORT.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
