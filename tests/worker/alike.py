"""The layouts of one model, each opened as its card says: they answer alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from app.sources.demo import FOLDER
from microlith import apply_mask
from microlith.client.archive import check_sums

LAYOUTS = ["portable", "compact", "mask", "onnx"]
TEXTS = ["a small brown bear that sleeps in winter", "a sweet baked dish of flour and sugar"]


def opened_alike(folders: dict[str, Path]) -> dict[str, Any]:
    """The models of every layout of one on the demo base but the graph; fails unless all answer alike."""
    tokens = AutoTokenizer.from_pretrained(folders["onnx"])(TEXTS, padding=True, return_tensors="pt")
    inputs = {name: tokens[name] for name in ("input_ids", "attention_mask")}
    opened = {
        "portable": AutoModelForSequenceClassification.from_pretrained(folders["portable"]),
        "compact": AutoModelForSequenceClassification.from_pretrained(folders["compact"], trust_remote_code=True),
        "mask": apply_mask(FOLDER / "bert-tiny-wordnet", folders["mask"]),
    }
    with torch.inference_mode():
        logits = {layout: model.eval()(**inputs).logits.numpy() for layout, model in opened.items()}
    np.testing.assert_array_equal(logits["mask"], logits["portable"])
    np.testing.assert_allclose(logits["compact"], logits["portable"], atol=1e-5)
    session = onnxruntime.InferenceSession(folders["onnx"] / "model.onnx")
    (found,) = session.run(["logits"], {name: tensor.numpy() for name, tensor in inputs.items()})
    np.testing.assert_allclose(found, logits["portable"], atol=1e-4)
    for folder in folders.values():
        check_sums(folder)
    return opened
