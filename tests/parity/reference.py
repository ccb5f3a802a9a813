"""The seed system's own outputs, which the engine must match: where they are and how they are read.

The whole set where it is there; else the small one of the repository, which has no model (see `cut.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import AutoModelForSequenceClassification

from app.domain.layers import select_layers
from microlith.contract import JobSpec
from tests import shared
from tests.parity.cut import SMALL, WHOLE
from worker.compute.examples import Examples, TokenExamples
from worker.families.anatomy import anatomy
from worker.pruning.evidence import EvidencePass
from worker.pruning.masks import Mask
from worker.pruning.prune import prune
from worker.pruning.statistics import Statistics
from worker.sampling.concern import ConcernSamples, draw_samples

torch.set_num_threads(1)

FOLDER = WHOLE if WHOLE.is_dir() else SMALL
CLASSES = 10
CONCERNS = (0, 3)

present = shared.needs("parity")
"""For tests that need the whole set."""


@cache
def numbers(name: str) -> Any:
    """A JSON file."""
    return json.loads((FOLDER / f"{name}.json").read_text())


@cache
def arrays(name: str) -> dict[str, np.ndarray]:
    """An array file."""
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as stored:
        return dict(stored)


@cache
def model() -> nn.Module:
    """The small trained classifier."""
    return AutoModelForSequenceClassification.from_pretrained(FOLDER / "model")


@cache
def examples(split: str) -> TokenExamples:
    """A split as the seed system tokenised it."""
    stored = arrays("dataset")
    ends = np.cumsum(stored[f"{split}_len"].astype(np.int64))[:-1]
    token_ids = [ids.tolist() for ids in np.split(stored[f"{split}_ids"].astype(np.int64), ends)]
    return TokenExamples(token_ids, stored[f"{split}_labels"].astype(np.int64), pad_id=0, max_length=512)


def spec(form: str, structure: str, ratios: list[float]) -> JobSpec:
    """The options that reproduce the seed system."""
    return JobSpec(
        model="demo:m",
        dataset="demo:d",
        method={"name": "ci", "form": form},
        structure=structure,
        ratio=ratios,
        layers={"include": ["intermediate", "output"], "exclude": ["attention"]},
        calibration={"pads": "include", "pairing": "position"},
    )


@cache
def masks(form: str, structure: str) -> tuple[Statistics, dict[tuple[int, float], Mask]]:
    """Our statistics and masks of the concerns in the files, by concern and ratio."""
    train = examples("train")
    asked = spec(form, structure, [0.3, 0.5, 0.9])
    samples = {concern: draw_samples(train.labels, concern, CLASSES, asked.sampling) for concern in CONCERNS}
    return masks_of(asked, train, samples)


def masks_of(
    asked: JobSpec, shown: Examples, samples: Mapping[int, ConcernSamples]
) -> tuple[Statistics, dict[tuple[int, float], Mask]]:
    """Statistics and masks of any spec on any samples."""
    parts = anatomy(model())
    layers = select_layers(list(parts.shapes), asked.layers, parts.family)
    evidence = EvidencePass(model(), asked, layers, shown, samples, parts).run()
    made = prune(model(), parts, evidence, asked, layers, list(samples))
    return evidence.statistics, {(concern, ratio): mask for concern, ratio, mask in made}
