"""How good modules are for what they cost, beside what must be beaten:

    python -m benchmarks.quality                                    # make bench-quality
    python -m benchmarks.quality --only "neurons ci" heads --seeds 1 --limit 500
    python -m benchmarks.quality --model demo:bert-tiny-wordnet --data demo:wordnet-supersense

Every cell (what is removed, chosen and mended how, how much, with the samples of which seed) is measured once and kept
in a file of JSON lines; a run that was ended goes on where it was. The base, a bag of words, the most frequent class
and the first layers with a head of their own stand beside. Nothing is chosen on the test split.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError

from app.domain.errors import MicrolithError
from app.domain.methods import check_method
from benchmarks.quality_cells import Lot, lots
from benchmarks.quality_floor import measure_first_layers, measure_floor
from benchmarks.quality_report import write_report
from benchmarks.quality_scores import Record, Scored
from microlith.contract import JobSpec
from worker.compute.device import use_threads
from worker.evaluation.cost import base_cost, cost, encoder_products
from worker.evaluation.runner import evenly
from worker.families.anatomy import Anatomy, anatomy
from worker.kinds.distil_students import School
from worker.kinds.draw_samples import draw_to_order, draw_to_repair
from worker.pruning.evidence import EvidencePass
from worker.pruning.masks import Mask
from worker.pruning.narrowing import narrow
from worker.pruning.prune import prune
from worker.pruning.repair import Repair
from worker.pruning.surgery import realised
from worker.sampling.concern import draw_samples, rows_of
from worker.sources.open_sources import Sources, open_sources

SHARED = Path(os.environ.get("MICROLITH_SHARED", Path(__file__).parents[2] / "shared"))
MODEL, DATA = "minilm-l6-wordnet", "wordnet-supersense"


@dataclass(frozen=True)
class Table:
    """The cells that are measured, one JSON line each, by the name of the cell."""

    file: Path

    def rows(self) -> dict[str, Record]:
        """All of them; a line that was cut off is none."""
        if not self.file.is_file():
            return {}
        known = {}
        for line in self.file.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            known[row["cell"]] = row
        return known

    def add(self, row: Record) -> None:
        """One more, told as it is there."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row) + "\n")
        scores = " ".join(f"{name} {row[name]:.4f}" for name in ("macro_f1", "binary_f1", "flops_ratio") if name in row)
        print(f"{row['cell']}: {scores} ({row.get('seconds', 0):.0f} s)", flush=True)


def measure_lot(lot: Lot, spec: JobSpec, sources: Sources, scored: Scored, modules: int) -> Iterator[Record]:
    """Every ratio of a lot: the mean of so many modules, spread over the concerns."""
    began, model, parts = time.monotonic(), sources.model.model, anatomy(sources.model.model)
    labels, concerns = sources.labels(spec.sampling.split), [concern.id for concern in sources.concerns]
    samples = {c: draw_samples(labels, c, len(sources.model.labels), spec.sampling) for c in concerns}
    pool, base = sources.encode(spec.sampling.split, rows_of(samples)), base_cost(model, parts)
    to_order, to_repair = partial(draw_to_order, spec, sources), partial(draw_to_repair, spec, sources)
    evidence = EvidencePass(model, spec, sources.layers, pool, samples, parts, pooled=to_order).run()
    repair = Repair(spec, model, parts, sources.layers, to_repair)
    repair.learn(evidence.statistics)
    taken = [concerns[place] for place in evenly(len(concerns), 1 if lot.pooled else modules)]
    shared = time.monotonic() - began
    found: dict[float, list[Record]] = {ratio: [] for ratio in lot.ratios}
    began = time.monotonic()
    learns = spec.recovery == "distil"  # what all concerns share
    masks, taught = prune(model, parts, evidence, spec, sources.layers, concerns if learns else taken), 0.0
    if learns:
        bare = {ratio: mask for _, ratio, mask in masks}
        learned = School(spec, sources, parts, scored.validation).teach(bare)
        masks = iter([(taken[0], ratio, mask) for ratio, mask in learned.items()])
        taught, began = (time.monotonic() - began) / len(bare), time.monotonic()
    for concern, ratio, chosen in masks:
        mask = repair.mend(chosen, concern)
        with realised(model, mask, parts) as module:
            spent = taught + time.monotonic() - began
            costed = cost(_smallest(module, mask, parts), base, parts)
            found[ratio].append(scored.ask(module) | costed.model_dump() | {"seconds": spent})
        began = time.monotonic()
    for ratio, made in found.items():
        means = {
            name: float(np.mean([one[name] for one in made]))
            for name in ("macro_f1", "binary_f1", "flops_ratio", "parameters_ratio", "seconds")
        }
        yield {
            "cell": cell_of(lot, ratio),
            "structure": lot.structure,
            "method": lot.method,
            "recovery": lot.recovery,
            "ratio": ratio,
            "seed": lot.seed,
            **means,
            "shared_seconds": shared,
            "modules": [one["answers"] for one in made],
        }


def cell_of(lot: Lot, ratio: float) -> str:
    """The name of a cell."""
    return f"{lot.name} {ratio:g} seed {lot.seed}"


def _smallest(module: torch.nn.Module, mask: Mask, parts: Anatomy) -> torch.nn.Module:
    return narrow(module, mask, parts).model if mask.neurons or mask.heads else module


def main() -> None:
    """Measure what is not measured yet, and write the report of what is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=f"path:{SHARED / 'assets' / MODEL}", help="a reference to a classifier")
    parser.add_argument("--data", default=f"path:{SHARED / 'assets' / DATA}", help="a reference to its data")
    parser.add_argument("--only", nargs="*", default=[""], help="parts of names, of which a cell's must have one in it")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--modules", type=int, default=3, help="modules of a cell, spread over the concerns")
    parser.add_argument("--per-concern", type=int, default=64, help="samples of each concern")
    parser.add_argument("--limit", type=int, help="examples of each split, spread evenly over it")
    parser.add_argument("--epochs", type=int, help="of recovery `distil`; as a job chooses them if left out")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--reports", type=Path, default=Path("benchmarks/reports"))
    parser.add_argument("--report-only", action="store_true", help="measure nothing, write the report of what there is")
    asked = parser.parse_args()
    use_threads(asked.threads)
    name = asked.model.rstrip("/").rpartition("/")[2].rpartition(":")[2]
    scale = "" if asked.limit is None else f"-{asked.limit}"
    table = Table(asked.reports / f"quality-{name}{scale}.jsonl")
    if not asked.report_only:
        measure_all(table, asked)
    write_report(table.rows(), name, asked.reports / f"quality{'' if name == MODEL else f'-{name}'}{scale}.md")


def measure_all(table: Table, asked: argparse.Namespace) -> None:
    """Every cell that is asked for and not in the table."""
    plain = JobSpec.model_validate({"model": asked.model, "dataset": asked.data, "evaluation": {"limit": asked.limit}})
    sources = open_sources(plain, allow_paths=True, device=torch.device("cpu"))
    model = sources.model.model
    scored, known = Scored.of(plain, sources), table.rows()
    print(f"{len(scored.test)} test examples, {encoder_products(model, anatomy(model)):,} products a token")
    if "base" not in known:
        for row in (*measure_floor(plain, sources, scored), *measure_first_layers(sources, scored)):
            table.add(row)
    for lot in lots(asked.only, asked.seeds):
        if all(cell_of(lot, ratio) in known for ratio in lot.ratios):
            continue
        try:
            spec = lot.spec(asked.model, asked.data, asked.per_concern, asked.limit, asked.epochs)
            check_method(spec)
            opened = open_sources(spec, allow_paths=True, device=torch.device("cpu"))
            for row in measure_lot(lot, spec, opened, scored, asked.modules):
                table.add(row)
        except (ValidationError, MicrolithError) as error:
            print(f"{lot.name}: passed over, {str(error).splitlines()[0]}", flush=True)


if __name__ == "__main__":
    main()
