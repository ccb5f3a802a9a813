"""The figures of `benchmarks.sizes` for people."""

from __future__ import annotations

from typing import Any

_HEAD = (
    "`make bench-sizes`. Bytes of whole archives: weights, card, history, tokenizer, checksums. `base` is the model's "
    "safetensors. Times are medians of 20 passes (fewer, at least 3, where they take more than 15 s) over real texts "
    "or images, padded to the longest of the batch, module beside base, in float32."
)


def told(cases: dict[str, dict[str, Any]], recomposed: dict[str, bool]) -> str:
    """The report in Markdown; `recomposed` are the verdicts of the benchmark of recomposition."""
    found = {f"{name}: {said}": met for name, case in cases.items() for said, met in case["verdicts"].items()}
    targets = [f"- {'met' if met else '**MISSED**'}: {what}" for what, met in (found | recomposed).items()]
    targets.append("\nThe last ones are of `make bench-recompose`, [its report](recompose.md).")
    sections = [_section(name, case) for name, case in cases.items()]
    return "\n\n".join(["# Sizes and latency", _HEAD, "## Targets", "\n".join(targets), *sections]) + "\n"


def _section(name: str, case: dict[str, Any]) -> str:
    versions = ", ".join(f"{library} {number}" for library, number in case["versions"].items())
    return "\n\n".join(
        [
            f"## {name}: base {_size(case['base']['bytes'])}",
            _sizes(case["rows"]),
            f"On {case['device']}; {versions}:",
            _times(case["rows"]),
        ]
    )


def _sizes(rows: list[dict[str, Any]]) -> str:
    layouts = ("portable", "compact", "onnx", "mask")
    lines = [
        f"| removed | ratio | {' | '.join(layouts)} | of it INT8 graph | `compact` differs by |",
        "|---|--:" + "|--:" * 6 + "|",
    ]
    for structure, ratio in dict.fromkeys((row["structure"], row["ratio"]) for row in rows):
        found = {row["layout"]: row for row in rows if (row["structure"], row["ratio"]) == (structure, ratio)}
        sizes = [_size(found[layout]["bytes"]) if layout in found else "" for layout in layouts]
        int8 = _size(found["onnx"]["int8_bytes"]) if "onnx" in found else ""
        differs = f"{found['compact']['differs']:.0e}" if "compact" in found else ""
        lines.append(f"| {structure} | {ratio:g} | {' | '.join(sizes)} | {int8} | {differs} |")
    return "\n".join(lines)


def _times(rows: list[dict[str, Any]]) -> str:
    lines = ["| removed | layout | ms, batch 1 | base | ms, batch 32 | base |", "|---|---|--:|--:|--:|--:|"]
    for row in (row for row in rows if row["latency"]):
        cells = [f"{one['milliseconds']:.2f} | {one['base_milliseconds']:.2f}" for one in row["latency"]]
        lines.append(f"| {row['structure']} at {row['ratio']:g} | {row['layout']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:,.1f} KB"
