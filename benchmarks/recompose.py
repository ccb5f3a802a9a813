"""Modules put together again, beside the models they were made of:

    python -m benchmarks.recompose

All modules of the six-layer model, at half of its feed-forward weights, must lose at most 1.0 point of macro-F1. And
the tiny model's weakest class, replaced by the six-layer model's module, must gain 3 points of F1 without costing
macro-F1. The weakest class is chosen on validation data, as is all calibration; figures are of the test split. The
exit code is 1 if a target is missed; the report is written in any case. Ten minutes on two free cores.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from microlith.contract import JobSpec
from microlith.contract.combine import Combination, CombineSpec
from worker.combining.card import table
from worker.combining.combined_classifier import CombinationPass, CombinedClassifier, Data
from worker.combining.parts import LabelledRows, ModulePart, Origin
from worker.combining.recomposed_folder import deliver, verify
from worker.evaluation.report import score
from worker.evaluation.runner import predict
from worker.pruning.evidence import EvidencePass
from worker.pruning.prune import prune
from worker.sampling.concern import draw_samples, rows_of
from worker.sources.open_sources import Sources, open_sources

SHARED = Path(os.environ.get("MICROLITH_SHARED", Path(__file__).parents[2] / "shared"))
LARGE, TINY, DATA = "minilm-l6-wordnet", "bert-tiny-wordnet", "wordnet-supersense"
LOSS, GAIN = 1.0, 3.0
"""Targets, in points of F1: lost at most, gained at least."""
PROBE = 16
SPEC = CombineSpec(
    mode="recompose", modules=[f"mod_{'0' * 25}{place}" for place in "12"], dataset=f"path:{SHARED / 'assets' / DATA}"
)
"""The defaults; the modules are made here, so those it names stand for nothing."""


@dataclass(frozen=True)
class Opened:
    """A model with its modules at half of its feed-forward weights, by label."""

    sources: Sources
    origin: Origin
    modules: dict[str, ModulePart]

    @property
    def data(self) -> Data:
        """The splits that calibrate and measure."""
        return Data(self._rows("validation"), self._rows("test"))

    def _rows(self, role: str) -> LabelledRows:
        inputs, ids = self.sources.data.split(role)
        return LabelledRows(list(inputs), [self.origin.labels[place] for place in ids])


@dataclass(frozen=True)
class Finding:
    """One recomposition, what it was to show and whether it does."""

    title: str
    combination: Combination
    verdicts: dict[str, bool]
    facts: dict[str, Any]


def opened(name: str) -> Opened:
    """A model of the assets, decomposed as a job with every default does it."""
    assets = SHARED / "assets"
    spec = JobSpec(model=f"path:{assets / name}", dataset=f"path:{assets / DATA}")
    sources = open_sources(spec, allow_paths=True, device=torch.device("cpu"))
    origin, labels = replace(Origin.of(sources.model), ref=name), sources.labels(spec.sampling.split)
    samples = {c.id: draw_samples(labels, c.id, len(origin.labels), spec.sampling) for c in sources.concerns}
    pool = sources.encode(spec.sampling.split, rows_of(samples))
    evidence = EvidencePass(origin.model, spec, sources.layers, pool, samples, origin.anatomy).run()
    masks = prune(origin.model, origin.anatomy, evidence, spec, sources.layers, list(samples))
    concerns = {concern.id: concern for concern in sources.concerns}
    return Opened(sources, origin, {concerns[c].label: ModulePart(origin, concerns[c], mask) for c, _, mask in masks})


def all_modules(large: Opened) -> Finding:
    """Every module of the large model, put together again."""
    combined, facts = delivered(list(large.modules.values()), large.data)
    lost = -100 * combined.combination.comparison.macro_f1.difference.value
    verdict = f"loses {lost:.2f} points of macro-F1 (at most {LOSS})"
    title = f"All {len(large.modules)} modules of {LARGE} at half of its feed-forward weights"
    return Finding(title, combined.combination, {verdict: lost <= LOSS}, facts)


def replaced(tiny: Opened, large: Opened, weakest: str, *, pruned: bool) -> Finding:
    """The tiny model's other classes by itself or by its modules, its weakest by the large model's module."""
    own = {label: part if pruned else ModulePart(tiny.origin, part.concern) for label, part in tiny.modules.items()}
    combined, facts = delivered([*(own | {weakest: large.modules[weakest]}).values()], tiny.data, tiny.origin)
    measured = combined.combination.comparison
    by_label = {concern.label: concern.f1 for concern in measured.concerns}
    gained, macro = 100 * by_label[weakest].difference.value, 100 * measured.macro_f1.difference.value
    verdicts = {
        f"`{weakest}` gains {gained:.2f} points of F1 (at least {GAIN})": gained >= GAIN,
        f"macro-F1 changes by {macro:+.2f} points (not lower)": macro >= 0,
    }
    whose = f"the modules of {TINY}" if pruned else f"{TINY} itself"
    return Finding(f"{whose}, `{weakest}` replaced by the module of {LARGE}", combined.combination, verdicts, facts)


def delivered(
    parts: list[ModulePart], data: Data, reference: Origin | None = None
) -> tuple[CombinedClassifier, dict[str, Any]]:
    """The recomposition; its folder, opened in a clean process; sizes, times, and how far both are apart."""
    began = time.monotonic()
    combined = CombinationPass(SPEC, parts, data, reference=reference).run()
    measured = time.monotonic()
    assert combined.recomposition is not None
    with tempfile.TemporaryDirectory() as scratch:
        folder = deliver(combined, Path(scratch) / "combined")
        difference = verify(folder, combined.recomposition, data.test.inputs[:PROBE])
        graph = (folder / "combined.onnx").stat().st_size
    apart = sum(4 * sum(tensor.numel() for tensor in part.origin.model.state_dict().values()) for part in parts)
    return combined, {
        "graph_mb": round(graph / 1e6, 1),
        "modules_apart_mb": round(apart / 1e6, 1),
        "onnx_difference": difference,
        "combine_seconds": round(measured - began, 1),
        "deliver_seconds": round(time.monotonic() - measured, 1),
    }


def weakest_of(tiny: Opened) -> str:
    """The class with the lowest F1 on the validation split."""
    rows, labels = tiny.data.validation, list(tiny.origin.labels)
    measured = score(predict(tiny.origin.model, tiny.origin.encoder(rows.inputs)), rows.ids(labels), labels)
    return min(measured.classes, key=lambda row: row.f1).label


def write(folder: Path, findings: list[Finding]) -> str:
    """Both reports; the Markdown one."""
    folder.mkdir(parents=True, exist_ok=True)
    libraries = {library: version(library) for library in ("torch", "transformers", "onnxruntime", "scikit-learn")}
    document = {
        "versions": libraries,
        "threads": torch.get_num_threads(),
        "findings": [
            {
                "title": finding.title,
                "verdicts": finding.verdicts,
                "facts": finding.facts,
                "combination": finding.combination.model_dump(mode="json"),
            }
            for finding in findings
        ],
    }
    (folder / "recompose.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    told = "\n\n".join(["# Recomposition", _HEAD, *(section(finding) for finding in findings)]) + "\n"
    (folder / "recompose.md").write_text(told, encoding="utf-8")
    return told


def section(finding: Finding) -> str:
    """One recomposition for people."""
    facts, combination = finding.facts, finding.combination
    chosen = ", ".join(f"{scaling} {100 * f1:.2f}" for scaling, f1 in combination.cross_validated.items())
    return "\n\n".join(
        [
            f"## {finding.title}",
            "\n".join(f"- {'met' if met else '**MISSED**'}: {verdict}" for verdict, met in finding.verdicts.items()),
            f"One ONNX file of {facts['graph_mb']} MB (the modules apart: {facts['modules_apart_mb']} MB); its scores "
            f"differ from the Python object's by at most {facts['onnx_difference']:.1e}. "
            f"Macro-F1 on validation data, cross-validated, by calibration: {chosen}; `{combination.calibration}` "
            f"is used. {facts['combine_seconds']} s to combine, {facts['deliver_seconds']} s to deliver and verify.",
            table(combination),
        ]
    )


_HEAD = (
    "`make bench-recompose`. Modules by `ci` with every default, half of the feed-forward weights removed. Points of "
    "the test split, in brackets 95 % intervals of 1,000 paired bootstrap resamples of its examples."
)


def main() -> int:
    """Run, write, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--reports", type=Path, default=Path("benchmarks/reports"))
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    if not (SHARED / "assets" / LARGE).is_dir():
        print(f"There is no {LARGE} at {SHARED / 'assets'}; name the folder in MICROLITH_SHARED.", file=sys.stderr)
        return 2
    torch.set_num_threads(asked.threads)
    large, tiny = opened(LARGE), opened(TINY)
    weakest = weakest_of(tiny)
    findings = [all_modules(large)]
    write(asked.reports, findings)  # the longest of the three is not lost with the others
    findings += [replaced(tiny, large, weakest, pruned=pruned) for pruned in (False, True)]
    print(write(asked.reports, findings))
    return 0 if all(all(finding.verdicts.values()) for finding in findings) else 1


if __name__ == "__main__":
    sys.exit(main())
