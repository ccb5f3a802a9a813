"""What is measured on: the demo's texts, its tiny model with ten classes and 512 positions, and seeded models."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

from microlith.contract import JobSpec

DEMO = Path(__file__).parents[2] / "app" / "demo"
TINY, DATA = DEMO / "bert-tiny-wordnet", DEMO / "wordnet-supersense"
SIX_LAYERS = Path(os.environ.get("MICROLITH_SHARED", Path(__file__).parents[3] / "shared")) / "assets/minilm-l6-wordnet"

POSITIONS = 512
LONGEST_TEXT = 22
"""Tokens; the demo's texts up to here have 13 in the mean."""
TRAIN_ROWS = 4_000
SEED = 44
TEN = 10

EXACT = {"pads": "include", "pairing": "position"}
"""The calibration that reproduces the seed system, similarity included."""


@dataclass(frozen=True)
class Workload:
    """A model and splits on disk."""

    model: Path
    data: Path
    classes: int
    test: int
    validation: int

    def spec(self, *, exact: bool = False, concerns: int | None = None, ratios: Sequence[float] = (0.5,)) -> JobSpec:
        """A job of the first `concerns` classes (None: of all) with defaults, or as the seed system does it."""
        return JobSpec(
            model=f"path:{self.model}",
            dataset=f"path:{self.data}",
            concerns="all" if concerns is None else list(range(concerns)),
            ratio=list(ratios),
            calibration=EXACT if exact else {},
        )


@dataclass(frozen=True)
class Pool:
    """Short texts of the demo, by split, with their labels."""

    texts: dict[str, list[str]]
    labels: dict[str, list[str]]

    @classmethod
    def of(cls, labels: Sequence[str] | None) -> Pool:
        """The texts of some classes (None: of all) that are short enough."""
        tokenizer = AutoTokenizer.from_pretrained(TINY, model_max_length=POSITIONS)
        texts: dict[str, list[str]] = {}
        classes: dict[str, list[str]] = {}
        for split in ("train", "validation", "test"):
            table = pq.read_table(DATA / f"{split}.parquet")
            rows = zip(table["text"].to_pylist(), table["label"].to_pylist(), strict=True)
            rows = [(text, label) for text, label in rows if labels is None or label in labels]
            lengths = [len(ids) for ids in tokenizer([text for text, _ in rows])["input_ids"]]
            kept = [row for row, length in zip(rows, lengths, strict=True) if length <= LONGEST_TEXT]
            texts[split], classes[split] = ([row[side] for row in kept] for side in (0, 1))
        return cls(texts, classes)

    def write(self, folder: Path, sizes: dict[str, int], labels: Sequence[str] | None = None) -> None:
        """Splits of those sizes; texts come round again where there are too few. `labels` are drawn by lot if given."""
        folder.mkdir(parents=True)
        rng = np.random.default_rng(SEED)
        for split, rows in sizes.items():
            texts = self._around(self.texts[split] + self.texts["train"], rows)
            if labels is None:
                named = self._around(self.labels[split] + self.labels["train"], rows)
            else:
                named = [labels[place] for place in rng.integers(len(labels), size=rows)]
            pq.write_table(pa.table({"text": texts, "label": named}), folder / f"{split}.parquet")

    def joined(self, count: int) -> Pool:
        """The same texts, so many at a time as one; their labels mean nothing then."""
        texts = {
            split: [" ".join(texts[start : start + count]) for start in range(0, len(texts), count)]
            for split, texts in self.texts.items()
        }
        return Pool(texts, {})

    @staticmethod
    def _around(values: list[str], rows: int) -> list[str]:
        return [values[row % len(values)] for row in range(rows)]


def tiny(folder: Path, test: int, validation: int) -> Workload:
    """The demo's model cut to its first ten classes, on texts of these classes."""
    names = list(json.loads((TINY / "config.json").read_text())["id2label"].values())[:TEN]
    model = folder / "model"
    if not model.exists():
        save(_cut(names), model)
    data = folder / f"data-{test}-{validation}"
    if not data.exists():
        Pool.of(names).write(data, {"train": TRAIN_ROWS, "validation": validation, "test": test})
    return Workload(model, data, len(names), test, validation)


def seeded(folder: Path, classes: int, test: int, validation: int) -> Workload:
    """A tiny model of many classes with weights and labels by lot: it knows nothing and costs the same."""
    names = [f"c{place:03}" for place in range(classes)]
    torch.manual_seed(SEED)
    config = BertConfig.from_pretrained(TINY, max_position_embeddings=POSITIONS, **_labels(names))
    model, data = folder / "model", folder / f"data-{test}-{validation}"
    if not model.exists():
        save(BertForSequenceClassification(config), model)
    if not data.exists():
        sizes = {"train": max(TRAIN_ROWS, 40 * classes), "validation": validation, "test": test}
        Pool.of(None).write(data, sizes, names)
    return Workload(model, data, classes, test, validation)


def base_shape(folder: Path, classes: int, test: int, validation: int) -> Workload:
    """A model of BERT-base's shape with weights and labels by lot, on texts of about 60 tokens."""
    names = [f"c{place:03}" for place in range(classes)]
    torch.manual_seed(SEED)
    vocabulary = BertConfig.from_pretrained(TINY).vocab_size
    config = BertConfig(vocab_size=vocabulary, **_labels(names))
    model, data = folder / "model", folder / f"data-{test}-{validation}"
    save(BertForSequenceClassification(config), model)
    Pool.of(None).joined(5).write(data, {"train": 40 * classes, "validation": validation, "test": test}, names)
    return Workload(model, data, classes, test, validation)


def six_layers(folder: Path, test: int, validation: int) -> Workload | None:
    """The six-layer model on the demo's texts as they are, the first of each split; None where it is not at hand."""
    if not SIX_LAYERS.is_dir():
        return None
    data = folder / f"data-{test}-{validation}"
    data.mkdir(parents=True, exist_ok=True)
    for split, rows in {"train": TRAIN_ROWS, "validation": validation, "test": test}.items():
        pq.write_table(pq.read_table(DATA / f"{split}.parquet").slice(0, rows), data / f"{split}.parquet")
    return Workload(SIX_LAYERS, data, 12, test, validation)


def save(model: BertForSequenceClassification, folder: Path) -> None:
    """The model with the demo's tokenizer, which no longer stops at 128 tokens."""
    model.save_pretrained(folder)
    for file in ("tokenizer.json", "vocab.txt"):
        shutil.copy(TINY / file, folder)
    settings = json.loads((TINY / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"model_max_length": POSITIONS}))


def _cut(names: list[str]) -> BertForSequenceClassification:
    """The first classes of the demo's model; the positions it has not learnt, which only pads take, by lot."""
    torch.manual_seed(SEED)
    known = BertForSequenceClassification.from_pretrained(TINY).state_dict()
    config = BertConfig.from_pretrained(TINY, max_position_embeddings=POSITIONS, **_labels(names))
    model = BertForSequenceClassification(config)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            learnt = known[name][: len(tensor)]
            tensor[: len(learnt)] = learnt
    return model


def _labels(names: Sequence[str]) -> dict[str, dict[Any, Any]]:
    """Classes as a configuration names them."""
    return {"id2label": dict(enumerate(names)), "label2id": {name: place for place, name in enumerate(names)}}
