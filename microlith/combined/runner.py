"""Runs a recomposed classifier: `combined.onnx` with its tokenizers, as `combined.json` says they belong together.

This file travels in the folder as `run.py` and needs no more than numpy, onnxruntime and tokenizers:

    python run.py "a small domesticated carnivorous mammal"
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

DOCUMENT, GRAPH, SCORES = "combined.json", "combined.onnx", "scores"
KIND, FORMAT = "microlith-combined", 1
BATCH = 32


@dataclass(frozen=True)
class Reader:
    """One tokenizer and the graph's inputs that its tokens go into."""

    tokenizer: Any
    pad_id: int
    ids_input: str
    mask_input: str

    def read(self, texts: Sequence[str]) -> dict[str, Array]:
        """Tokens [texts, longest] and which of them count."""
        import numpy as np

        tokens = [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts))]
        shape = (len(tokens), max(map(len, tokens)))
        ids, mask = np.full(shape, self.pad_id, np.int64), np.zeros(shape, np.int64)
        for row, found in enumerate(tokens):
            ids[row, : len(found)], mask[row, : len(found)] = found, 1
        return {self.ids_input: ids, self.mask_input: mask}


@dataclass(frozen=True)
class Combined:
    """A classifier put together from modules."""

    labels: list[str]
    decision: str
    thresholds: list[float]
    readers: list[Reader]
    session: Any

    def scores(self, texts: Sequence[str]) -> Array:
        """The calibrated score of every label [texts, labels], float32; they compare with each other."""
        import numpy as np

        found = np.empty((len(texts), len(self.labels)), np.float32)
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))  # like lengths together
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            batch = [texts[row] for row in rows]
            inputs = {name: array for reader in self.readers for name, array in reader.read(batch).items()}
            found[rows] = self.session.run([SCORES], inputs)[0]
        return found

    def predict(self, texts: Sequence[str]) -> list[Any]:
        """The label of each text; under decision `threshold` the list of all that reach theirs, which may be empty."""
        scores = self.scores(texts)
        if self.decision == "threshold":
            return [[self.labels[place] for place in (row >= self.thresholds).nonzero()[0]] for row in scores]
        return [self.labels[place] for place in scores.argmax(axis=1)]


def load(folder: str | Path) -> Combined:
    """The classifier in a folder. Raises ValueError for what is no folder of one, with what is wrong."""
    import onnxruntime

    place = Path(folder)
    document = _document(place)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(place / GRAPH, options, providers=["CPUExecutionProvider"])
        readers = [_reader(place, known) for known in document["tokenizers"]]
        return Combined(document["labels"], document["decision"], document["thresholds"], readers, session)
    except Exception as error:  # those of the two libraries have no common root
        raise ValueError(f"{place} cannot be opened: {type(error).__name__}: {str(error).strip()[:300]}") from error


def _document(place: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads((place / DOCUMENT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{place} holds no {DOCUMENT} of a recomposed classifier: {error}") from error
    if not isinstance(document, dict) or (document.get("kind"), document.get("format")) != (KIND, FORMAT):
        raise ValueError(f"{place / DOCUMENT} is not of kind {KIND!r}, format {FORMAT}; is this runner new enough?")
    return document


def _reader(place: Path, known: dict[str, Any]) -> Reader:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(place / known["file"]))
    tokenizer.no_padding()
    tokenizer.enable_truncation(known["max_length"])
    return Reader(tokenizer, known["pad_id"], known["inputs"]["input_ids"], known["inputs"]["attention_mask"])


def main(texts: Sequence[str]) -> None:
    """Print one line of JSON for each text: what is predicted, and every score."""
    combined = load(Path(__file__).parent)
    for text, answer, scores in zip(texts, combined.predict(texts), combined.scores(texts), strict=True):
        told = {label: float(score) for label, score in zip(combined.labels, scores, strict=True)}
        print(json.dumps({"text": text, "answer": answer, "scores": told}, ensure_ascii=False))


if __name__ == "__main__":
    main(sys.argv[1:] or [line.rstrip("\n") for line in sys.stdin])
