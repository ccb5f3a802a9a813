"""A model of no known family, the whole way: planned with a warning, found when it is opened, remembered afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transformers import AutoModelForSequenceClassification

from tests.archives import files_of, register, zipped
from tests.work import run
from tests.worker.conftest import Product
from tests.worker.sources.test_every_classifier import WORDS, end_texts, tiny
from tests.worker.test_discovery import made
from tests.worker.test_other_models import write_tokenizer

ASKED: dict[str, Any] = {"concerns": [0], "ratio": 0.5, "sampling": {"per_concern": 8}}


def folder_of(kind: str, folder: Path) -> Path:
    """A tiny model with a tokenizer, in a folder of its own."""
    tiny(kind).save_pretrained(folder)
    write_tokenizer(folder, WORDS)
    end_texts(folder / "tokenizer.json")
    return folder


def texts_in(file: Path) -> Path:
    rows = "\n".join(f"w{i % 20} w{(3 * i) % 20} w{i % 3},{i % 3}" for i in range(90))
    file.write_text(f"text,label\n{rows}\n")
    return file


def test_its_neurons_and_heads_are_removed_and_every_layout_opens(product: Product, tmp_path: Path) -> None:
    data = texts_in(tmp_path / "data.csv")
    spec = ASKED | {"model": f"path:{folder_of('qwen3', tmp_path / 'qwen3')}", "dataset": f"path:{data}"}
    layouts = {"export": {"layouts": ["portable", "compact", "mask"]}, "structure": "heads+neurons"}
    planned = product.api.post("/v1/jobs?validate_only=true", json=spec | layouts).json()
    assert any("Qwen3ForSequenceClassification is not known by name" in warning for warning in planned["warnings"])
    _, (module,) = product.decompose(spec | layouts)
    opened = AutoModelForSequenceClassification.from_pretrained(product.unpack(module))
    assert opened.config.intermediate_size < 32
    assert sum(tensor.numel() for tensor in opened.parameters()) == module.size.parameters


@pytest.mark.parametrize(
    ("kind", "layer", "recovery", "widths"),
    [
        ("bart", "model.decoder.layers.1.encoder_attn.q_proj", "bias", ("encoder_ffn_dim", "decoder_ffn_dim")),
        ("t5", "transformer.decoder.block.1.layer.1.EncDecAttention.q", "none", ("d_ff",)),
    ],
)
def test_an_encoder_and_a_decoder_lose_heads_and_neurons_alike(
    product: Product, tmp_path: Path, kind: str, layer: str, recovery: str, widths: tuple[str, ...]
) -> None:
    data = texts_in(tmp_path / "data.csv")
    spec = ASKED | {"model": f"path:{folder_of(kind, tmp_path / kind)}", "dataset": f"path:{data}"}
    job, (module,) = product.decompose(spec | {"structure": "heads+neurons", "recovery": recovery})
    assert layer in job.resolved.layers
    opened = AutoModelForSequenceClassification.from_pretrained(product.unpack(module))
    assert {getattr(opened.config, width) for width in widths} == {16}


def test_images_in_windows_of_unlike_widths_are_decomposed(product: Product, tmp_path: Path) -> None:
    model, _, _ = made("swin")
    model.save_pretrained(tmp_path / "swin")
    (tmp_path / "images").mkdir()
    pixels = np.random.default_rng(0).integers(0, 16, size=(90, 16 * 16))
    table = pa.table({"pixels": pixels.tolist(), "label": [i % 3 for i in range(90)]})
    for split in ("train", "validation", "test"):
        pq.write_table(table, tmp_path / "images" / f"{split}.parquet")
    spec = ASKED | {"model": f"path:{tmp_path / 'swin'}", "dataset": f"path:{tmp_path / 'images'}"}
    layouts = {"export": {"layouts": ["portable", "compact"]}, "structure": "heads+neurons"}
    _, (module,) = product.decompose(spec | layouts)
    assert module.size.nonzero < module.size.parameters == module.size.base_parameters
    assert "still there, as zeros" in (product.unpack(module) / "README.md").read_text()
    compact = next(product.unpack(module, "compact").glob("*.safetensors"))
    portable = next(product.unpack(module).glob("*.safetensors"))
    assert compact.stat().st_size < portable.stat().st_size


def test_what_a_registered_model_lacks_is_known_after_the_first_job(product: Product, tmp_path: Path) -> None:
    folder, data = folder_of("mixtral", tmp_path / "mixtral"), texts_in(tmp_path / "data.csv")
    model = register(product.api, "model", "mine.zip", zipped(files_of(folder)))
    assert (model["structures"], model["structures_refused"]) == (["weights"], None)
    spec = ASKED | {"model": model["id"], "dataset": f"path:{data}", "structure": "neurons"}
    queued = product.api.post("/v1/jobs", json=spec).json()
    run(product.backend, queued["id"])
    ended = product.api.get(queued["urls"]["self"]).json()
    assert (ended["state"], ended["error"]["code"]) == ("failed", "UNSUPPORTED_MODEL")
    product.decompose(spec | {"structure": "heads"})
    known = product.api.get(f"/v1/models/{model['id']}").json()
    assert known["structures"] == ["weights", "heads", "heads+weights"]
    assert "experts" in known["structures_refused"]["neurons"]
    assert "known by name" in known["structures_refused"]["layers"]
    refused = product.api.post("/v1/jobs?validate_only=true", json=spec)
    assert (refused.status_code, refused.json()["code"]) == (422, "UNSUPPORTED_MODEL")
    assert "experts" in refused.json()["detail"]
    planned = product.api.post("/v1/jobs?validate_only=true", json=spec | {"structure": "heads"}).json()
    assert not any("known by name" in warning for warning in planned["warnings"])
