"""A module's folder as a stranger reads it: with plain transformers, in float32, one text of the demo's at a time."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tests.archives import DATA


def read_alone(folder: Path, rows: int) -> tuple[list[str], list[str]]:
    """The labels that the folder's model gives to so many rows of the test split, evenly over it, and the true ones."""
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype="float32").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    table = pq.read_table(DATA / "test.parquet").to_pydict()
    chosen = [at * len(table["text"]) // rows for at in range(rows)]
    given = []
    with torch.inference_mode():
        for row in chosen:
            read = tokenizer(table["text"][row], truncation=True, max_length=128, return_tensors="pt")
            given.append(model.config.id2label[int(model(**read).logits.argmax())])
    return given, [table["label"][row] for row in chosen]
