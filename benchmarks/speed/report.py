"""The report, for people and for programs. A part that is measured again takes the place of what it was."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.speed.findings import Figure, Part, Table

ORDER = ("seed", "floor", "sharing", "growth", "device", "profile")

HEAD = """\
# Speed

`make bench` writes this; `make bench BENCH='--only growth'` measures one part anew. Every ratio is of two times taken
in one run. Targets are those of the project; **MISSED** says where one is not reached."""


def write(folder: Path, part: Part, machine: dict[str, Any]) -> None:
    """Both reports: the part as it is now, the others as they stood."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "speed.json"
    known = json.loads(file.read_text())["parts"] if file.exists() else {}
    known[part.name] = stored(part, machine)
    ordered = {name: known[name] for name in ORDER if name in known}
    file.write_text(json.dumps({"parts": ordered}, indent=2) + "\n", encoding="utf-8")
    told = "\n\n".join([HEAD, *(section(part) for part in ordered.values())]) + "\n"
    (folder / "speed.md").write_text(told, encoding="utf-8")


def stored(part: Part, machine: dict[str, Any]) -> dict[str, Any]:
    """A part as the JSON report holds it."""
    return {"machine": machine, "met": all(figure.met for figure in part.figures), **asdict(part)}


def section(part: dict[str, Any]) -> str:
    """One part for people."""
    figures = [Figure(**figure) for figure in part["figures"]]
    tables = [table(Table(**stored)) for stored in part["tables"]]
    return "\n\n".join([f"## {part['title']}", *_verdicts(figures), part["how"], *tables, _place(part["machine"])])


def table(printed: Table) -> str:
    """A Markdown table, its first column to the left."""
    line = "|---|" + "--:|" * (len(printed.heads) - 1)
    rows = ["| " + " | ".join(map(str, row)) + " |" for row in (printed.heads, *printed.rows)]
    return "\n".join([rows[0], line, *rows[1:]])


def _verdicts(figures: Sequence[Figure]) -> list[str]:
    lines = [f"- {_verdict(figure)}{figure.what}: **{_number(figure.value)}**{_target(figure)}" for figure in figures]
    return ["\n".join(lines)] if lines else []


def _verdict(figure: Figure) -> str:
    return "" if figure.target is None else "met: " if figure.met else "**MISSED**: "


def _target(figure: Figure) -> str:
    return "" if figure.target is None else f" (at {'most' if figure.at_most else 'least'} {figure.target:g})"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _place(machine: dict[str, Any]) -> str:
    device = f", {machine['gpu']}" if machine["gpu"] else ""
    return (
        f"*{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads{device}; torch {machine['torch']}, "
        f"transformers {machine['transformers']}, Python {machine['python']}; {machine['day']}.*"
    )
