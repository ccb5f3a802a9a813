"""Boundary samples as one safetensors file: no pickles, the same bytes for the same samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from app.domain.errors import DatasetInvalid
from app.sources.boundary_files import FORMAT
from worker.compute.examples import SEGMENTS, EmbeddedExamples
from worker.sampling.boundary import BoundarySet
from worker.sampling.embedding_classifier import Mode

VERSION = 1
MEDIA_TYPE = "application/vnd.safetensors"

ROWS = {
    "lengths": np.int64,  # positions of each sample
    "labels": np.int64,
    "positive": np.uint8,
    "sources": np.int64,
    "targets": np.int64,
    "epsilons": np.float64,
}
"""Tensors [samples]. Two more hold the positions of all samples, one sample after the other: `embeddings` [positions,
embedding] float32 and `attention_mask` [positions] uint8. Those of pairs may have a third, `token_type_ids` [positions]
uint8."""
EXPECTED = {**ROWS, "embeddings": np.float32, "attention_mask": np.uint8}
ALLOWED = {**EXPECTED, SEGMENTS: np.uint8}

Arrays = dict[str, npt.NDArray[Any]]


def save(boundary_set: BoundarySet, path: Path) -> None:
    """Write the set to one file; the classes of the model are in its metadata."""
    examples = boundary_set.examples
    arrays = {
        "embeddings": np.concatenate([np.empty((0, _width(examples)), np.float32), *examples.embeddings]),
        "attention_mask": np.concatenate([np.empty(0, np.uint8), *examples.attention_masks]).astype(np.uint8),
        "lengths": examples.lengths(np.arange(len(examples))),
        "labels": examples.labels,
        "positive": boundary_set.positive.astype(np.uint8),
        "sources": boundary_set.sources,
        "targets": boundary_set.targets,
        "epsilons": boundary_set.epsilons,
    }
    if examples.segments is not None:
        arrays[SEGMENTS] = np.concatenate([np.empty(0, np.uint8), *examples.segments]).astype(np.uint8)
    facts = {"version": VERSION, "classes": boundary_set.classes, "mode": boundary_set.mode}
    path.write_bytes(to_bytes(arrays, metadata={FORMAT: json.dumps(facts, sort_keys=True)}))


def load(path: Path) -> BoundarySet:
    """The set of a file. Raises DatasetInvalid for a file that is damaged, foreign, or says what cannot be."""
    try:
        with safe_open(path, framework="numpy") as stored:
            classes, mode = _facts(stored.metadata())
            names = set(stored.keys()) & ALLOWED.keys()
            arrays: Arrays = {name: stored.get_tensor(name) for name in names}
    except (SafetensorError, TypeError) as error:  # TypeError: a type that numpy does not have
        raise _invalid("it is not a whole safetensors file of its types") from error
    _check_shapes(arrays)
    _check_values(arrays, classes)
    ends = np.cumsum(arrays["lengths"])[:-1]

    def by_sample(name: str) -> list[npt.NDArray[Any]]:
        return np.split(arrays[name], ends) if len(arrays["lengths"]) else []

    return BoundarySet(
        examples=EmbeddedExamples(
            embeddings=by_sample("embeddings"),
            attention_masks=by_sample("attention_mask"),
            labels=arrays["labels"],
            segments=by_sample(SEGMENTS) if SEGMENTS in arrays else None,
        ),
        positive=arrays["positive"].astype(bool),
        sources=arrays["sources"],
        targets=arrays["targets"],
        epsilons=arrays["epsilons"],
        classes=classes,
        mode=mode,
    )


def _width(examples: EmbeddedExamples) -> int:
    return examples.embeddings[0].shape[1] if len(examples) else 0


def _facts(metadata: dict[str, str] | None) -> tuple[int, Mode]:
    """The classes of the model and the mode."""
    try:
        facts = json.loads((metadata or {})[FORMAT])
        if facts["version"] == VERSION and facts["mode"] in get_args(Mode):
            return int(facts["classes"]), facts["mode"]
    except (KeyError, TypeError, ValueError, RecursionError):
        pass
    raise _invalid(f"its metadata does not say `{FORMAT}` of version {VERSION}")


def _check_shapes(arrays: Arrays) -> None:
    for name, kind in ALLOWED.items():
        if name not in arrays and name not in EXPECTED:
            continue
        if name not in arrays or arrays[name].dtype != kind or arrays[name].ndim != (2 if name == "embeddings" else 1):
            raise _invalid(f"`{name}` is missing or not of type {np.dtype(kind)} and the right rank")
    if len({len(arrays[name]) for name in ROWS}) != 1:
        raise _invalid("its tensors disagree about how many samples there are")
    lengths, positions = arrays["lengths"], {len(arrays[name]) for name in arrays.keys() - ROWS.keys()}
    if (lengths < 1).any() or (lengths > max(positions)).any() or {int(lengths.sum())} != positions:
        raise _invalid("its lengths do not add up to its positions")


def _check_values(arrays: Arrays, classes: int) -> None:
    if not (np.isfinite(arrays["embeddings"]).all() and np.isfinite(arrays["epsilons"]).all()):
        raise _invalid("it has numbers that are not finite")
    if (arrays["attention_mask"] > 1).any() or (arrays["positive"] > 1).any():
        raise _invalid("`attention_mask` and `positive` are 0 or 1")
    for name in ("labels", "sources", "targets"):
        if ((arrays[name] < 0) | (arrays[name] >= classes)).any():
            raise _invalid(f"`{name}` has classes that a model of {classes} classes does not")
    begins = np.cumsum(arrays["lengths"]) - arrays["lengths"]
    if len(begins) and (np.add.reduceat(arrays["attention_mask"], begins, dtype=np.int64) < 1).any():
        raise _invalid("a sample has no position that counts")


def _invalid(why: str) -> DatasetInvalid:
    return DatasetInvalid(f"This is not a file of boundary samples: {why}.")
