"""Checkpoints in half precision come out as they came in, and what is told is told of the rounded weights."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModelForSequenceClassification

from app.domain.errors import InvalidInput, UnsupportedModel
from app.domain.layouts import check_number_type, number_type_of, share_of_base
from microlith import apply_mask
from microlith.contract import Export, JobSpec, Module
from tests.archives import MODEL
from tests.builders import tiny_bert
from tests.work import DEMO, run
from tests.worker.conftest import Product
from tests.worker.plain_reading import read_alone
from worker.packaging.rounding import rounded, stored_as

ROWS = 60
SMALL: dict[str, Any] = {
    "dataset": DEMO["dataset"],
    "concerns": ["animal"],
    "structure": "neurons",
    "ratio": 0.5,
    "recovery": "refit",
    "evaluation": {"limit": ROWS, "similarity": False, "latency": False},
}
FILE = "model.safetensors"


@pytest.fixture(scope="module")
def product(kept_product: Product) -> Product:
    return kept_product


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's model as a checkpoint in bfloat16."""
    folder = tmp_path_factory.mktemp("base") / "halved"
    shutil.copytree(MODEL, folder)
    AutoModelForSequenceClassification.from_pretrained(MODEL, dtype=torch.bfloat16).save_pretrained(folder)
    return folder


def types_of(folder: Path) -> set[torch.dtype]:
    return {tensor.dtype for tensor in load_file(folder / FILE).values() if tensor.is_floating_point()}


def right_answers(folder: Path) -> float:
    """The fraction of the report's rows that a stranger gets right."""
    given, truth = read_alone(folder, ROWS)
    return sum(map(str.__eq__, given, truth)) / ROWS


def test_a_checkpoint_in_bfloat16_comes_out_in_bfloat16_as_it_was_measured(product: Product, base: Path) -> None:
    spec = SMALL | {"model": f"path:{base}", "export": {"layouts": ["portable", "compact", "mask", "onnx"]}}
    plan = product.api.post("/v1/jobs?validate_only=true", json=spec).json()
    assert plan["resolved"]["model"]["dtype"] == "bfloat16"
    _, (module,) = product.decompose(spec)
    assert module.delivered is not None, "a refit gives numbers that bfloat16 does not have"
    folders = {layout: product.unpack(module, layout) for layout in ("portable", "compact", "mask")}
    for layout in ("portable", "compact"):
        assert types_of(folders[layout]) == {torch.bfloat16}
        assert (folders[layout] / FILE).stat().st_size < (base / FILE).stat().st_size
        assert 'dtype="float32"' in (folders[layout] / "README.md").read_text()
    assert right_answers(folders["portable"]) == pytest.approx(module.delivered.accuracy)
    made = apply_mask(str(base), folders["mask"]).state_dict()
    stored = load_file(folders["portable"] / FILE)
    assert all(torch.equal(made[name], tensor.float()) for name, tensor in stored.items())


def test_nothing_is_measured_again_where_pruning_alone_rounds_nothing(product: Product, base: Path) -> None:
    _, (module,) = product.decompose(SMALL | {"model": f"path:{base}", "recovery": "none"})
    assert module.delivered is None
    assert types_of(product.unpack(module)) == {torch.bfloat16}
    assert right_answers(product.unpack(module)) == pytest.approx(module.report.accuracy)


def test_float32_is_had_of_it_on_request(product: Product, base: Path) -> None:
    _, (module,) = product.decompose(SMALL | {"model": f"path:{base}", "export": {"dtype": "float32"}})
    assert module.delivered is None
    assert types_of(product.unpack(module)) == {torch.float32}


def test_a_checkpoint_in_float32_is_rounded_on_request_and_told_of(product: Product) -> None:
    spec = SMALL | {"model": DEMO["model"], "recovery": "none", "export": {"dtype": "float16"}}
    _, (module,) = product.decompose(spec)
    assert module.delivered is not None
    folder = product.unpack(module)
    assert types_of(folder) == {torch.float16}
    assert right_answers(folder) == pytest.approx(module.delivered.accuracy)
    refused = product.api.post(f"/v1/modules/{module.id}/artifacts", json={"layout": "mask"}).json()
    assert (refused["code"], refused["errors"][0]["pointer"]) == ("VALIDATION_ERROR", "/export/dtype")


def test_a_layout_ordered_later_has_the_same_numbers(product: Product) -> None:
    spec = SMALL | {"model": DEMO["model"], "recovery": "none", "export": {"dtype": "float16"}}
    _, (module,) = product.decompose(spec)
    job = product.api.post(f"/v1/modules/{module.id}/artifacts", json={"layout": "compact"}).json()
    run(product.backend, job["id"])
    assert product.api.get(job["urls"]["self"]).json()["state"] == "succeeded"
    later = Module.model_validate(product.api.get(f"/v1/modules/{module.id}").json())
    one, other = (load_file(folder / FILE) for folder in (product.unpack(module), product.unpack(later, "compact")))
    assert all(torch.equal(other[name], tensor) for name, tensor in one.items())


@pytest.mark.parametrize(
    ("dtype", "checkpoint", "chosen"),
    [
        ("auto", "bfloat16", "bfloat16"),
        ("auto", "float32", "float32"),
        ("auto", None, "float32"),
        ("float16", "bfloat16", "float16"),
    ],
)
def test_the_type_is_the_checkpoint_s_unless_it_is_named(dtype: str, checkpoint: Any, chosen: str) -> None:
    assert number_type_of(Export(dtype=dtype), checkpoint) == chosen


def test_a_mask_with_rounded_weights_is_refused_before_anything_is_queued(product: Product) -> None:
    spec = SMALL | {"model": DEMO["model"], "export": {"layouts": ["mask"], "dtype": "bfloat16"}}
    problem = product.api.post("/v1/jobs?validate_only=true", json=spec).json()
    assert (problem["code"], problem["errors"][0]["pointer"]) == ("VALIDATION_ERROR", "/export/dtype")
    with pytest.raises(InvalidInput):
        check_number_type(Export(layouts=["mask"], dtype="float16"), "bfloat16")
    check_number_type(Export(layouts=["mask"], dtype="float32"), "bfloat16")


def test_the_forecast_of_bytes_follows_the_type() -> None:
    def share(layout: str, dtype: str, checkpoint: Any) -> float:
        export = {"layouts": [layout], "dtype": dtype}
        return share_of_base(JobSpec.model_validate(DEMO | {"export": export}), checkpoint)

    assert share("portable", "auto", "bfloat16") == 1.0
    assert share("portable", "float32", "bfloat16") == share("onnx", "auto", "bfloat16") == 2.0
    assert share("portable", "float16", "float32") == 0.5
    assert share("mask", "auto", "bfloat16") == pytest.approx(1 / 32)


def test_what_has_no_other_numbers_is_not_copied() -> None:
    model = tiny_bert()
    assert rounded(model, "float32") is model
    halved = rounded(model, "bfloat16")
    assert halved is not model
    assert rounded(halved, "bfloat16") is halved
    for one, stored in zip(halved.parameters(), stored_as(halved, "bfloat16").parameters(), strict=True):
        assert stored.dtype is torch.bfloat16
        assert torch.equal(stored.float(), one)


def test_weights_beyond_the_range_of_float16_are_refused_by_name() -> None:
    model = tiny_bert()
    layer = model.get_submodule("classifier")
    assert isinstance(layer, nn.Linear)
    with torch.no_grad():
        layer.weight[0, 0] = 1e6
    with pytest.raises(UnsupportedModel, match=r"classifier\.weight .* float16") as raised:
        rounded(model, "float16")
    assert raised.value.pointer == "/export/dtype"
    rounded(model, "bfloat16")
