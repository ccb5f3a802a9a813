"""Every layout of a module, from the request to the file that a stranger opens."""

from __future__ import annotations

import numpy as np
import onnxruntime
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from app.sources.demo import FOLDER
from microlith import apply_mask
from microlith.client.archive import check_sums
from tests.worker.conftest import Product

SPEC = {
    "model": "demo:bert-tiny-wordnet",
    "dataset": "demo:wordnet-supersense",
    "concerns": ["animal"],
    "structure": "heads+neurons",
    "sampling": {"per_concern": 4},
    "evaluation": {"limit": 64, "similarity": False},
    "export": {"layouts": ["portable", "compact", "mask", "onnx"], "onnx": {"int8": True}},
}
TEXTS = ["a small brown bear that sleeps in winter", "an act of bringing something to market"]


def test_every_layout_answers_as_the_module_does(product: Product) -> None:
    _, (module,) = product.decompose(SPEC)
    assert [artifact.layout for artifact in module.artifacts] == SPEC["export"]["layouts"]
    timed = [(pace.layout, pace.batch) for pace in module.latencies]
    assert timed == [(layout, batch) for layout in ("portable", "compact", "onnx") for batch in (1, 32)]
    assert module.latency == module.latencies[0]
    folders = {artifact.layout: product.unpack(module, artifact.layout) for artifact in module.artifacts}
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
