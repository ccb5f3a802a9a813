"""How large modules are in every layout and structure, and how fast:

    python -m benchmarks.sizes [--only CASE]

Cases are a BERT-base shape with seeded random weights, whose units go by lot, and the models of the assets, pruned by
`ci`. Targets, of the BERT-base shape: a mask, as it is downloaded, takes at most 11 MB for single weights at any ratio
and 10 KB for neurons and heads; of every case: layout `compact` answers as the masked model to 1e-5, and the modules of
one job take at most the base and a mask each. What recomposition must keep is taken over from `benchmarks.recompose`.
The exit code is 1 if a target is missed; the report is written in any case, and keeps what is not measured anew.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification

from app.domain.layers import select_layers
from app.sources.demo import FOLDER
from benchmarks.sizes_report import told
from microlith.contract import Concern, JobSpec, Ratio, Report
from microlith.masks import Base
from worker.compute import device
from worker.compute.examples import Examples
from worker.evaluation.latency import Stopwatch
from worker.evaluation.report import exp_loss, report, score
from worker.evaluation.runner import predict
from worker.evaluation.sparsity import base_size, size, sparsity
from worker.families.anatomy import Anatomy, anatomy
from worker.kinds.pack_modules import own_score
from worker.packaging.layouts import Handout, Package, Packer
from worker.packaging.module_facts import ModuleFacts, SampleRows
from worker.packaging.verify import ArchiveOpening, Verifier
from worker.pruning.evidence import EvidencePass
from worker.pruning.masks import Mask
from worker.pruning.prune import prune
from worker.pruning.surgery import realised
from worker.sampling.concern import draw_samples, rows_of
from worker.sources.open_sources import Sources, open_sources

SHARED = Path(os.environ.get("MICROLITH_SHARED", Path(__file__).parents[2] / "shared"))
WORDNET = f"path:{SHARED / 'assets' / 'wordnet-supersense'}"
CASES = {
    "bert-base": (None, WORDNET),
    "minilm-l6-wordnet": (f"path:{SHARED / 'assets' / 'minilm-l6-wordnet'}", WORDNET),
    "bert-tiny-wordnet": ("demo:bert-tiny-wordnet", "demo:wordnet-supersense"),
    "vit-tiny-digits": (f"path:{SHARED / 'assets' / 'vit-tiny-digits'}", f"path:{SHARED / 'assets' / 'digits'}"),
}
"""Model and data of each case; the first model is made here."""
RATIOS = [0.3, 0.5, 0.7, 0.9]
WHOLE = {"include": [], "exclude": []}
PLANS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("feed-forward weights", {"structure": "weights", "ratio": RATIOS}),
    ("weights of all linear layers", {"structure": "weights", "ratio": RATIOS, "layers": WHOLE}),
    ("neurons", {"structure": "neurons", "ratio": 0.5}),
    ("heads", {"structure": "heads", "ratio": 0.5}),
    ("heads+neurons", {"structure": "heads+neurons", "ratio": 0.5}),
)
EVERY_LAYOUT = ("feed-forward weights", "neurons", "heads+neurons")
"""What is packed, and timed, in every layout at ratio 0.5; the rest as masks alone."""
MEASURED_ROWS = 32
"""Examples that a card's figures are taken of: they are not what is measured here."""
MASK_BYTES, UNIT_BYTES, COMPACT_LOGITS = 11_000_000, 10_000, 1e-5
TIMED_SECONDS = 15
"""For the 20 passes of one batch; where they take longer there are fewer, and never fewer than 3."""


@dataclass
class Bench:
    """One model, open, and what packs its modules."""

    sources: Sources
    parts: Anatomy
    packer: Packer
    verifier: Verifier
    examples: Examples
    base: Report

    @classmethod
    def of(cls, spec: JobSpec, scratch: Path, verifier: Verifier) -> Bench:
        """Opens what the spec names."""
        sources = open_sources(spec, allow_paths=True, device=torch.device("cpu"))
        model, examples = sources.model.model, sources.encode("validation", range(MEASURED_ROWS))
        examples = examples.take(range(MEASURED_ROWS))
        watch = Stopwatch(examples, device.title(torch.device("cpu")), budget_seconds=TIMED_SECONDS)
        packer = Packer(sources.model, Base.of(model), examples, scratch, watch, int8=True)
        base = measured(model, examples, sources.model.labels)
        return cls(sources, anatomy(model), packer, verifier, examples, base)

    def masks(self, spec: JobSpec) -> Iterator[tuple[int, float, Mask]]:
        """By concern and ratio, as a job makes them."""
        model, labels = self.sources.model, self.sources.labels(spec.sampling.split)
        samples = {c.id: draw_samples(labels, c.id, len(model.labels), spec.sampling) for c in self.sources.concerns}
        pool = self.sources.encode(spec.sampling.split, rows_of(samples))
        layers = select_layers(list(self.parts.shapes), spec.layers, model.family)
        evidence = EvidencePass(model.model, spec, layers, pool, samples, self.parts).run()
        concerns = range(len(model.labels)) if spec.concerns == "all" else [0]
        return prune(model.model, self.parts, evidence, spec, layers, list(concerns))

    def pack(
        self, spec: JobSpec, concern: int, ratio: float, mask: Mask, layouts: Sequence[str]
    ) -> list[tuple[Package, float]]:
        """The module in these layouts, each with the most that its logits differ by in a clean process."""
        with realised(self.sources.model.model, mask, self.parts) as module:
            facts = self._facts(spec, concern, ratio, mask, module)
            handout = Handout(module, mask, self.parts, facts)
            logits, few = predict(module, self.examples), self.examples
            rows = np.arange(len(few))
            inputs = few.collate(rows, int(few.lengths(rows).max()))
            packages = [self.packer.pack(handout, layout, layout) for layout in layouts]
            base = self.sources.model.folder
            return [
                (one, self.verifier.check(one.archive.path, inputs, logits, ArchiveOpening(one.archive.layout, base)))
                for one in packages
            ]

    def _facts(self, spec: JobSpec, concern: int, ratio: float, mask: Mask, module: Any) -> ModuleFacts:
        loaded, data = self.sources.model, self.sources.data
        whole, found = base_size(loaded.model), measured(module, self.examples, loaded.labels)
        named = Concern(id=concern, label=loaded.labels[concern])
        return ModuleFacts(
            concern=named,
            spec=spec,
            resolved=self.sources.resolved,
            ratio=Ratio(requested=ratio, achieved=mask.achieved),
            sparsity=sparsity(module, whole),
            size=size(module, whole),
            own=own_score(found, named),
            base_own=own_score(self.base, named),
            report=found,
            base_report=self.base,
            similarity=None,
            binary=None,
            samples=SampleRows([], []),
            mask_sha256=mask.digest(),
            model_licence=loaded.licence,
            dataset_licence=data.licence,
        )


def measured(model: Any, examples: Examples, labels: Sequence[str]) -> Report:
    """The report of a model on these examples."""
    logits = predict(model, examples)
    return report(score(logits, examples.labels, labels), exp_loss(logits, examples.labels))


def measure(name: str, scratch: Path, verifier: Verifier) -> dict[str, Any]:
    """A case's figures: the base, every plan, and what the modules of one job take."""
    model, data = CASES[name]
    by_lot = {"method": {"name": "random"}} if model is None else {}
    common = {"model": model or f"path:{bert_base(scratch / 'bert-base')}", "dataset": data, **by_lot}
    bench, rows = Bench.of(JobSpec.model_validate(common), scratch, verifier), list[dict[str, Any]]()
    base = {"bytes": sum(file.stat().st_size for file in bench.sources.model.folder.glob("*.safetensors"))}
    for title, plan in PLANS:
        spec = JobSpec.model_validate({**common, **plan, "concerns": [0]})
        for concern, ratio, mask in bench.masks(spec):
            every = ratio == 0.5 and title in EVERY_LAYOUT
            layouts = ("mask", "portable", "compact", "onnx") if every else ("mask",)
            packages = bench.pack(spec, concern, ratio, mask, layouts)
            rows += [{"structure": title, "ratio": ratio, **figures(*package)} for package in packages]
            print(f"{name}: {title} at {ratio:g}", file=sys.stderr, flush=True)
    return {
        "base": base,
        "rows": rows,
        "job": one_job(bench, JobSpec.model_validate(common)),
        "device": device.title(torch.device("cpu")),
    }


def figures(package: Package, differs: float) -> dict[str, Any]:
    """Bytes of one layout's archive, times, and by how much its logits differ."""
    archive = package.archive
    with zipfile.ZipFile(archive.path) as zipped:
        inside = {entry.filename: entry.compress_size for entry in zipped.infolist()}
    found: dict[str, Any] = {"layout": archive.layout, "bytes": archive.size_bytes, "differs": differs}
    if "model.int8.onnx" in inside:
        found["int8_bytes"], found["onnx_bytes"] = inside["model.int8.onnx"], inside["model.onnx"]
    found["latency"] = [latency.model_dump(mode="json", exclude={"layout", "device"}) for latency in package.latencies]
    archive.path.unlink()
    return found


def one_job(bench: Bench, spec: JobSpec) -> dict[str, int]:
    """What the store holds of a job of all concerns at ratio 0.5 in layout `mask`: equal files once."""
    stored, modules = dict[str, int](), 0
    for concern, ratio, mask in bench.masks(spec):
        ((package, _),) = bench.pack(spec, concern, ratio, mask, ["mask"])
        stored[package.archive.sha256] = package.archive.size_bytes
        package.archive.path.unlink()
        modules += 1
    return {"modules": modules, "stored_bytes": sum(stored.values()), "largest_mask_bytes": max(stored.values())}


def bert_base(folder: Path) -> Path:
    """A BERT-base with seeded random weights and the demo's tokenizer and labels."""
    if not folder.exists():
        torch.manual_seed(0)
        demo = FOLDER / "bert-tiny-wordnet"
        labels = json.loads((demo / "config.json").read_text(encoding="utf-8"))["id2label"]
        config = BertConfig(id2label={int(place): label for place, label in labels.items()})
        config.label2id = {label: place for place, label in config.id2label.items()}
        BertForSequenceClassification(config).save_pretrained(folder)
        for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
            shutil.copyfile(demo / name, folder / name)
    return folder


def verdicts(name: str, case: dict[str, Any]) -> dict[str, bool]:
    """The targets, in words, and whether they are met."""
    masks = [row for row in case["rows"] if row["layout"] == "mask"]
    weights = max(row["bytes"] for row in masks if "weights" in row["structure"])
    units = max(row["bytes"] for row in masks if "weights" not in row["structure"])
    differs = max(row["differs"] for row in case["rows"] if row["layout"] == "compact")
    job, base = case["job"], case["base"]["bytes"]
    bound = base + job["modules"] * job["largest_mask_bytes"]
    told = {
        f"{job['modules']} modules of one job are {job['stored_bytes'] / 1e6:.1f} MB in the store (at most the base "
        f"and a mask each: {bound / 1e6:.1f} MB)": job["stored_bytes"] <= bound,
        f"logits of `compact` differ by {differs:.1e} at most (at most 1e-05)": differs <= COMPACT_LOGITS,
    }
    if name == "bert-base":
        told[f"a mask of weights is {weights / 1e6:.2f} MB at most (at most 11 MB)"] = weights <= MASK_BYTES
        told[f"a mask of neurons or heads is {units / 1e3:.1f} KB at most (at most 10 KB)"] = units <= UNIT_BYTES
    return told


def recomposed(reports: Path) -> dict[str, bool]:
    """What `benchmarks.recompose` has found, where its report is there."""
    kept = reports / "recompose.json"
    findings = json.loads(kept.read_text(encoding="utf-8"))["findings"] if kept.is_file() else []
    return {f"{one['title']}: {said}": met for one in findings for said, met in one["verdicts"].items()}


def main() -> int:
    """Measure, write, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--reports", type=Path, default=Path("benchmarks/reports"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=CASES, help="one case; the others stay in the report as they are")
    asked = parser.parse_args()
    if not (SHARED / "assets").is_dir():
        print(f"There are no assets at {SHARED}; name the folder in MICROLITH_SHARED.", file=sys.stderr)
        return 2
    torch.set_num_threads(asked.threads)
    kept = asked.reports / "sizes.json"
    known = json.loads(kept.read_text(encoding="utf-8")) if asked.only and kept.is_file() else {"cases": {}}
    libraries = {library: version(library) for library in ("torch", "transformers", "onnxruntime")}
    for name in [asked.only] if asked.only else CASES:
        with tempfile.TemporaryDirectory(prefix="microlith-sizes-") as scratch, Verifier() as verifier:
            case = measure(name, Path(scratch), verifier)
        known["cases"][name] = case | {"verdicts": verdicts(name, case), "versions": libraries}
        asked.reports.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
        (asked.reports / "sizes.md").write_text(told(known["cases"], recomposed(asked.reports)), encoding="utf-8")
    print(told(known["cases"], recomposed(asked.reports)))
    return 0 if all(all(case["verdicts"].values()) for case in known["cases"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
