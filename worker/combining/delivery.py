"""A recomposed classifier as a folder: one ONNX graph, its tokenizers, and what runs them.

combined.onnx    every module, calibration included; `scores` [batch, labels]
combined.json    labels, decision, thresholds, and which tokenizer feeds which inputs
tokenizers/      one for each that differs
run.py           needs numpy, onnxruntime and tokenizers alone
README.md, SHA256SUMS
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from app.domain.errors import InvalidInput, UnsupportedModel, VerificationFailed
from microlith.combined import runner
from worker.combining.card import card
from worker.combining.graph import LARGEST, Merger, add_scores
from worker.combining.parts import Origin, Part
from worker.combining.recomposition import Recomposition
from worker.combining.story import Combined
from worker.inputs import on_cpu
from worker.packaging.folder import write_json, write_sums
from worker.packaging.onnx_graph import Graphs
from worker.pruning.narrowing import narrow

RUNNER = "run.py"
TOLERANCE = 1e-4
"""What the graph's scores may differ by, relative to the largest where that is above 1: another order of adding."""
_SECONDS = 300


@dataclass(frozen=True)
class Feed:
    """One tokenizer, as it is handed out, and the graph's inputs that it fills."""

    content: str
    max_length: int
    pad_id: int
    number: int

    @property
    def file(self) -> str:
        return f"tokenizers/{self.number}.json"

    @property
    def inputs(self) -> dict[str, str]:
        return {name: f"{name}.{self.number}" for name in ("input_ids", "attention_mask")}


@dataclass
class Feeds:
    """The tokenizers of a combination: equal ones are one, whichever models they came with."""

    known: dict[tuple[str, int, int], Feed] = field(default_factory=dict)

    def of(self, origin: Origin) -> Feed:
        """Raises UnsupportedModel for a model without one, or one that the runner's library does not have."""
        backend = getattr(origin.tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise UnsupportedModel(
                f"{origin.ref} has no tokenizer in the form of the tokenizers library, so it cannot go into one file.",
                hint="Save its tokenizer with a `tokenizer.json`; models that read images cannot be recomposed.",
                pointer="/modules",
            )
        key = (_plain(backend), origin.max_length, _pad(origin))
        if key not in self.known:
            self.known[key] = Feed(*key, number=len(self.known))
        return self.known[key]


def deliver(combined: Combined, folder: Path) -> Path:
    """Write a recomposed classifier into the folder, which must be empty. Returns it.

    Raises UnsupportedModel for what ONNX or one file of it cannot hold.
    """
    recomposition, feeds = combined.recomposition, Feeds()
    if recomposition is None:
        raise InvalidInput("A class set is an ordinary model: it has the layouts of a module.", pointer="/mode")
    graph = merged(recomposition, feeds)
    (folder / "tokenizers").mkdir(parents=True)
    (folder / runner.GRAPH).write_bytes(graph.SerializeToString(deterministic=True))
    for feed in feeds.known.values():
        (folder / feed.file).write_text(feed.content, encoding="utf-8")
    write_json(folder / runner.DOCUMENT, _document(combined, list(feeds.known.values())))
    shutil.copyfile(runner.__file__, folder / RUNNER)
    size = (folder / runner.GRAPH).stat().st_size
    (folder / "README.md").write_text(card(combined.combination, size), encoding="utf-8")
    write_sums(folder)
    return folder


def merged(recomposition: Recomposition, feeds: Feeds) -> Any:
    """The one graph (an onnx.ModelProto) of all parts and their calibration."""
    merger, graphs = Merger(), dict[int, Graphs]()
    logits: dict[tuple[int, str], tuple[str, int]] = {}
    like: Any = None
    for part in recomposition.parts:
        if part.voice not in logits:
            feed = feeds.of(part.origin)
            kept = graphs.setdefault(id(part.origin), Graphs(part.origin.encoder(_SAMPLE)))
            like = _graph(part, kept)
            classes = int(like.graph.output[0].type.tensor_type.shape.dim[-1].dim_value)
            logits[part.voice] = merger.add(like, feed.inputs), classes
    voices = [(*logits[part.voice], part.place) for part in recomposition.parts]
    whole = merger.model(add_scores(merger, voices, recomposition.calibration), len(voices), like)
    if whole.ByteSize() > LARGEST:
        raise UnsupportedModel("The modules together are larger than the 2 GiB that one ONNX file can hold.")
    return whole


def verify(folder: Path, recomposition: Recomposition, texts: Sequence[str]) -> float:
    """The largest difference between the folder's scores in a clean process and the Python object's.

    Raises VerificationFailed beyond the tolerance, and for a folder that does not open.
    """
    lines = [" ".join(text.split()) for text in texts]
    expected = recomposition.scores(lines)
    command = [sys.executable, "-I", "-X", "utf8", str(folder / RUNNER)]
    text = "\n".join(lines) + "\n"
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, encoding="utf-8", timeout=_SECONDS, check=False, env={}
        )
    except subprocess.TimeoutExpired as error:
        raise VerificationFailed(f"The recomposed classifier did not answer within {_SECONDS} seconds.") from error
    if done.returncode:
        raise VerificationFailed(f"The recomposed classifier does not run: {done.stderr.strip()[-300:]}")
    told = [json.loads(line)["scores"] for line in done.stdout.splitlines()]
    found = np.array([[scores[label] for label in recomposition.labels] for scores in told])
    difference = float(np.abs(found - expected).max())
    if difference > TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise VerificationFailed(f"The recomposed classifier answers otherwise than in memory, by {difference:.2e}.")
    return difference


_SAMPLE = ("one short example", "another", "a third one")
"""What graphs are exported with: their sizes are free, so any text does."""


def _graph(part: Part, graphs: Graphs) -> Any:
    """The graph of a part, without what its mask has removed."""
    with part.opened() as module:
        if part.mask is None or part.module is not None:
            return graphs.of(on_cpu(module))
        return graphs.of(narrow(on_cpu(module), part.mask, part.origin.anatomy).model)


def _plain(backend: Any) -> str:
    """The tokenizer as data, without the padding and truncation of its last call."""
    from tokenizers import Tokenizer

    plain = Tokenizer.from_str(backend.to_str())
    plain.no_padding()
    plain.no_truncation()
    return str(plain.to_str())


def _pad(origin: Origin) -> int:
    """What the origin's encoder pads with."""
    return int(getattr(origin.encoder(_SAMPLE[:1]), "pad_id", 0))


def _document(combined: Combined, feeds: Sequence[Feed]) -> dict[str, Any]:
    assert combined.recomposition is not None
    return {
        "kind": runner.KIND,
        "format": runner.FORMAT,
        "labels": combined.recomposition.labels,
        "decision": combined.recomposition.decision,
        "thresholds": combined.recomposition.thresholds.tolist(),
        "tokenizers": [
            {"file": feed.file, "max_length": feed.max_length, "pad_id": feed.pad_id, "inputs": feed.inputs}
            for feed in feeds
        ],
        "combination": combined.combination.model_dump(mode="json"),
    }
