"""Models of other kinds, the whole way of a job: a vision transformer on real images, other families on texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageClassification, AutoModelForSequenceClassification

from tests.assets import DATA, MODEL, present
from tests.builders import tiny_model
from tests.worker.conftest import Product

ALL = {"structure": "heads+neurons", "ratio": 0.34}


def images(split: str) -> tuple[torch.Tensor, list[str]]:
    """Pixels [rows, 1, 8, 8] in −1…1 and labels."""
    import pyarrow.parquet as pq

    table = pq.read_table(DATA / f"{split}.parquet").to_pydict()
    pixels = np.array(table["pixels"], dtype=np.float32).reshape(-1, 1, 8, 8)
    return torch.from_numpy((pixels / 16 - 0.5) / 0.5), table["label"]


@present
@pytest.mark.parametrize("spec", [{}, {"structure": "neurons"}, ALL], ids=["weights", "neurons", "heads+neurons"])
def test_a_vision_transformer_is_decomposed(product: Product, spec: dict[str, Any]) -> None:
    asked = {"model": f"path:{MODEL}", "dataset": f"path:{DATA}", "concerns": ["3", "8"], **spec}
    job, (module, _) = product.decompose(asked)
    base = product.results(job).base
    assert base is not None
    assert base.report.macro.f1 == pytest.approx(0.989, abs=1e-3)
    assert module.own.f1 > 0.8
    opened = AutoModelForImageClassification.from_pretrained(product.unpack(module)).eval()
    pixels, labels = images("test")
    with torch.inference_mode():
        answers = [opened.config.id2label[i] for i in opened(pixel_values=pixels).logits.argmax(1).tolist()]
    correct = sum(answer == label for answer, label in zip(answers, labels, strict=True))
    assert correct / len(labels) == pytest.approx(module.report.accuracy, abs=1e-9)


@pytest.mark.parametrize("kind", ["llama", "modernbert", "distilbert"])
def test_a_seeded_model_of_another_family_is_decomposed(product: Product, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / kind
    model = tiny_model(kind)
    model.save_pretrained(folder)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(20))]
    write_tokenizer(folder, words)
    labels = model.config.num_labels
    rows = "\n".join(f"w{i % 20} w{(3 * i) % 20} w{i % labels},{i % labels}" for i in range(120))
    data = tmp_path / "data.csv"
    data.write_text(f"text,label\n{rows}\n")
    asked = {
        "model": f"path:{folder}",
        "dataset": f"path:{data}",
        "concerns": [0],
        "structure": "heads+neurons",
        "ratio": 0.5,
        "sampling": {"per_concern": 8},
    }
    _, (module,) = product.decompose(asked)
    opened = AutoModelForSequenceClassification.from_pretrained(product.unpack(module))
    assert sum(tensor.numel() for tensor in opened.parameters()) == module.size.parameters
    assert module.size.parameters < module.size.base_parameters


def write_tokenizer(folder: Path, words: list[str]) -> None:
    """A tokenizer of whole words beside a model."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import PreTrainedTokenizerFast

    known = Tokenizer(WordLevel({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))
    known.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=known, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
