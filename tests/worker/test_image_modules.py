"""Modules of a real image classifier: everything that can be removed of it, removed, measured and opened again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from torch import nn

from microlith.contract import JobSpec
from tests import assets
from tests.folders import portable_folder
from worker.compute.examples import Examples
from worker.evaluation.runner import predict
from worker.families.anatomy import anatomy
from worker.packaging.archive import archive
from worker.packaging.verify import Verifier
from worker.pruning.evidence import EvidencePass
from worker.pruning.masks import Mask
from worker.pruning.prune import prune
from worker.pruning.repair import Repair
from worker.pruning.surgery import realised
from worker.sampling.concern import draw_samples, rows_of
from worker.sources.open_sources import Sources, open_sources

pytestmark = assets.present

WAYS = [
    ("weights", "ci", "none"),
    ("weights", "wanda", "bias"),
    ("weights", "ci", "ti"),
    ("neurons", "ci", "none"),
    ("neurons", "taylor", "bias"),
    ("heads", "heads", "none"),
    ("heads+neurons", "taylor", "none"),
    ("heads+weights", "ci", "none"),
]
CONCERN = 8


@pytest.fixture(scope="module")
def sources() -> Sources:
    torch.set_num_threads(1)
    return open_sources(JobSpec.model_validate(assets.JOB), allow_paths=True, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def test_split(sources: Sources) -> Examples:
    return sources.encode("test", range(180))


def masked(sources: Sources, **changes: object) -> Mask:
    """The mask of the one concern at the one ratio asked for."""
    spec = JobSpec.model_validate(assets.JOB | {"concerns": [CONCERN], "ratio": 0.25} | changes)
    model, parts = sources.model.model, anatomy(sources.model.model)
    samples = {CONCERN: draw_samples(sources.labels("train"), CONCERN, 10, spec.sampling)}
    evidence = EvidencePass(
        model, spec, sources.layers, sources.encode("train", rows_of(samples)), samples, parts
    ).run()
    repair = Repair(spec, model, parts, sources.layers, lambda: sources.encode("train", range(180)))
    repair.learn(evidence.statistics)
    ((_, _, mask),) = prune(model, parts, evidence, spec, sources.layers, [CONCERN])
    return repair.mend(mask, CONCERN)


def macro_f1(model: nn.Module, examples: Examples) -> float:
    return float(f1_score(examples.labels, predict(model, examples).argmax(1), average="macro"))


@pytest.mark.parametrize(("structure", "method", "recovery"), WAYS)
def test_a_quarter_of_anything_can_go_and_the_module_opens_again(
    sources: Sources,
    test_split: Examples,
    warm_verifier: Verifier,
    tmp_path: Path,
    structure: str,
    method: str,
    recovery: str,
) -> None:
    mask = masked(sources, structure=structure, method={"name": method}, recovery=recovery)
    assert mask.achieved == pytest.approx(0.25, abs=0.01)
    probe = test_split.take(range(8))
    with realised(sources.model.model, mask, anatomy(sources.model.model)) as module:
        assert macro_f1(module, test_split) > 0.95
        portable_folder(tmp_path / "module", module, sources.model)
        packed = archive(tmp_path / "module", tmp_path / "module.zip")
        assert warm_verifier.check(packed.path, probe.collate(np.arange(8), 17), predict(module, probe)) < 1e-5


def test_fewer_neurons_are_a_smaller_model(sources: Sources) -> None:
    mask = masked(sources, structure="neurons", ratio=0.5)
    with realised(sources.model.model, mask, anatomy(sources.model.model)) as module:
        saved = sum(p.numel() for p in sources.model.model.parameters()) - sum(p.numel() for p in module.parameters())
    assert saved == 3 * 128 * (64 + 64 + 1)  # blocks, neurons, their row, column and bias


def test_images_have_no_pads_so_exact_mode_draws_the_same_mask(sources: Sources) -> None:
    modes = [{"pads": pads, "pairing": "position"} for pads in ("exclude", "include")]
    masks = [masked(sources, calibration=mode) for mode in modes]
    assert masks[0].digest() == masks[1].digest()
    assert masks[0].digest() != masked(sources).digest()
