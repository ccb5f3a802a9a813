"""A recomposed classifier as a folder: one ONNX graph, what prepares its inputs, and what runs them.

combined.onnx    every module, calibration included; `scores` [batch, labels]
combined.json    labels, decision, thresholds, and which tokenizer, or way of preparing images, feeds which inputs
tokenizers/      one for each that differs
run.py           needs numpy, onnxruntime and tokenizers alone (Pillow for image files)
README.md, SHA256SUMS
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from app.domain.errors import InvalidInput, UnsupportedModel, VerificationFailed
from microlith.combined import runner
from worker.combining.card import card
from worker.combining.combined_classifier import CombinedClassifier
from worker.combining.graph import LARGEST, Merger, add_scores
from worker.combining.graph_inputs import Feeds
from worker.combining.parts import ModulePart
from worker.combining.recomposition import Recomposition
from worker.compute.batches import on_cpu
from worker.packaging.folder import write_json, write_sums
from worker.packaging.onnx_graph import Graphs
from worker.pruning.narrowing import narrow

RUNNER = "run.py"
TOLERANCE = 1e-4
"""What the graph's scores may differ by, relative to the largest where that is above 1: another order of adding."""
_SECONDS = 300


def deliver(combined: CombinedClassifier, folder: Path) -> Path:
    """Write a recomposed classifier into the folder, which must be empty. Returns it.

    Raises UnsupportedModel for what ONNX or one file of it cannot hold.
    """
    recomposition, feeds = combined.recomposition, Feeds()
    if recomposition is None:
        raise InvalidInput("A class set is an ordinary model: it has the layouts of a module.", pointer="/mode")
    graph = merged(recomposition, feeds)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / runner.GRAPH).write_bytes(graph.SerializeToString(deterministic=True))
    write_json(folder / runner.DOCUMENT, _document(combined, recomposition, feeds.write(folder)))
    shutil.copyfile(runner.__file__, folder / RUNNER)
    size = (folder / runner.GRAPH).stat().st_size
    (folder / "README.md").write_text(card(combined.combination, size, feeds.reads), encoding="utf-8")
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
            kept = graphs.setdefault(id(part.origin), Graphs(part.origin.encoder(part.origin.samples)))
            like = _graph(part, kept)
            classes = int(like.graph.output[0].type.tensor_type.shape.dim[-1].dim_value)
            logits[part.voice] = merger.add(like, feed.inputs), classes
    voices = [(*logits[part.voice], part.place) for part in recomposition.parts]
    whole = merger.model(add_scores(merger, voices, recomposition.calibration), len(voices), like)
    if whole.ByteSize() > LARGEST:
        raise UnsupportedModel("The modules together are larger than the 2 GiB that one ONNX file can hold.")
    return whole


def verify(folder: Path, recomposition: Recomposition, inputs: Sequence[Any]) -> float:
    """The largest difference between the folder's scores in a clean process and the Python object's.

    Raises VerificationFailed beyond the tolerance, and for a folder that does not open.
    """
    with tempfile.TemporaryDirectory(prefix="microlith-inputs-") as name:
        lines = [_line(given, Path(name) / f"{number}") for number, given in enumerate(inputs)]
        answers = _told(folder, lines)
    origin = recomposition.parts[0].origin
    asked: Sequence[Any] = lines if origin.task == "text" else inputs
    if origin.pairs:
        asked = [tuple(line.split("\t")) for line in lines]
    expected = recomposition.scores(asked)
    answered = np.array([[scores[label] for label in recomposition.labels] for scores in answers])
    difference = float(np.abs(answered - expected).max())
    if not difference <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise VerificationFailed(f"The recomposed classifier answers otherwise than in memory, by {difference:.2e}.")
    return difference


def _line(given: Any, file: Path) -> str:
    """What the runner is given for an input: a text on one line, two with a tab between, or the place of an image."""
    if isinstance(given, str):
        return " ".join(given.split())
    if isinstance(given, tuple):
        return "\t".join(" ".join(text.split()) for text in given)
    if isinstance(given, Path):
        return str(given)
    if isinstance(given, bytes):
        file.write_bytes(given)
        return str(file)
    np.save(file.with_suffix(".npy"), given)
    return str(file.with_suffix(".npy"))


def _told(folder: Path, lines: Sequence[str]) -> list[dict[str, float]]:
    """What the folder's own runner answers in a clean process, line by line."""
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
    return [json.loads(line)["scores"] for line in done.stdout.splitlines()]


def _graph(part: ModulePart, graphs: Graphs) -> Any:
    """The graph of a part, without what its mask has removed."""
    with part.opened() as module:
        if part.mask is None or part.module is not None:
            return graphs.of(on_cpu(module))
        return graphs.of(narrow(on_cpu(module), part.mask, part.origin.anatomy).model)


def _document(combined: CombinedClassifier, recomposition: Recomposition, readers: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": runner.KIND,
        "format": runner.FORMAT,
        "labels": recomposition.labels,
        "decision": recomposition.decision,
        "thresholds": recomposition.thresholds.tolist(),
        **readers,
        "combination": combined.combination.model_dump(mode="json"),
    }
