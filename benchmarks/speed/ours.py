"""The engine's side: a decomposition from opened sources to measured modules, phase by phase; nothing is exported."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from app.sources.labels import find_concerns
from app.storage.folder import FolderStore
from microlith.contract import BaseResult, JobSpec
from worker.compute.batches import budget_on, run_batches, unwatched
from worker.families.anatomy import anatomy
from worker.kinds.draw_samples import draw
from worker.kinds.measure import Bench, Measures
from worker.pruning.evidence import EvidencePass
from worker.pruning.masks import Mask
from worker.pruning.prune import prune
from worker.pruning.surgery import realised
from worker.sources.open_sources import Sources, open_sources


@dataclass
class Outcome:
    """What came out and what it took, in seconds by phase; modules by concern and ratio."""

    seconds: dict[str, float] = field(default_factory=dict)
    base: BaseResult | None = None
    modules: dict[tuple[int, float], Measures] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """Seconds of all phases."""
        return sum(self.seconds.values())

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Counts the time of the block."""
        began = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began


def sources_of(spec: JobSpec, device: str = "cpu") -> Sources:
    """The model and the texts, in memory; nothing is tokenised yet."""
    return open_sources(spec, allow_paths=True, device=torch.device(device))


def narrowed(sources: Sources, spec: JobSpec) -> Sources:
    """The same sources for the concerns of a spec."""
    return replace(sources, concerns=find_concerns(spec.concerns, sources.model.labels))


def decided(spec: JobSpec, sources: Sources, outcome: Outcome) -> list[tuple[int, float, Mask]]:
    """All masks of a spec: samples drawn, scored and pruned."""
    sources = narrowed(sources, spec)
    model, parts = sources.model.model, anatomy(sources.model.model)
    with tempfile.TemporaryDirectory() as scratch, outcome.phase("sampling"):
        drawn = draw(spec, sources, FolderStore(Path(scratch)), Path(scratch), unwatched)
    with outcome.phase("scoring"):
        evidence = EvidencePass(model, spec, sources.layers, drawn.pool, drawn.samples, parts).run()
    with outcome.phase("pruning"):
        return list(prune(model, parts, evidence, spec, sources.layers, [c.id for c in sources.concerns]))


def measured(spec: JobSpec, sources: Sources) -> Outcome:
    """All modules of a spec, measured."""
    outcome, sources = Outcome(), narrowed(sources, spec)
    model, parts = sources.model.model, anatomy(sources.model.model)
    concerns = {concern.id: concern for concern in sources.concerns}
    masks = decided(spec, sources, outcome)
    with outcome.phase("encoding"):
        bench = Bench.of(spec, sources, parts)
    with outcome.phase("evaluating"):
        outcome.base = bench.measure_base(model, unwatched).result
        for concern, _, mask in masks:
            if bench.estimator:
                with realised(model, mask, parts) as module:
                    bench.estimator.estimate(module, concern)
        for concern, ratio, mask in masks:
            base_states = bench.base_states(model, concerns[concern])
            with realised(model, mask, parts) as module:
                measures = bench.measure(module, concerns[concern], base_states, unwatched)
            outcome.modules[concern, ratio] = measures
    return outcome


def peak_mb() -> float:
    """The most memory this process has held. Not `ru_maxrss`, which begins at what the parent held."""
    [kilobytes] = re.findall(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(kilobytes) / 1024


def tokens_of(sources: Sources, role: str) -> npt.NDArray[np.int64]:
    """Tokens of every text of a split [rows]."""
    rows = range(len(sources.labels(role)))
    return sources.encode(role, rows).lengths(np.array(rows))


def pads_of(sources: Sources, role: str, device: str) -> float:
    """The share of positions that are pads, in the batches that a split is run in on a device."""
    examples = sources.encode(role, range(len(sources.labels(role))))
    batches = (batch for batch, _ in run_batches(len, examples, token_budget=budget_on(device)))
    return 1 - int(tokens_of(sources, role).sum()) / sum(batch.inputs["input_ids"].numel() for batch in batches)


def repeated(spec: JobSpec, sources: Sources, times: int) -> Outcome:
    """The run in the middle of several."""
    runs = [measured(spec, sources) for _ in range(times)]
    return sorted(runs, key=lambda run: run.total)[times // 2]
