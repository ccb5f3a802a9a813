"""Every method, structure, scope, recovery, head and source of samples: asked over HTTP, run, downloaded, opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from safetensors.numpy import load_file

from app.services.sweeping import BOUNDARY
from microlith.contract import Job, JobSpec, Methods, Module
from tests.work import run
from tests.worker.conftest import Product
from worker.compute.batches import Checkpoint
from worker.kinds import draw_samples
from worker.kinds.measure import Bench
from worker.sampling.boundary import BoundarySet, generate

DEMO = {"model": "demo:bert-tiny-wordnet", "dataset": "demo:wordnet-supersense"}
QUICK = {"concerns": ["animal", "food"], "evaluation": {"limit": 120}}

CASES: dict[str, dict[str, Any]] = {
    "wanda": {"method": {"name": "wanda"}},
    "wanda-all": {"method": {"name": "wanda", "samples": "all"}},
    "magnitude": {"method": {"name": "magnitude"}, "ratio": [0.3, 0.6]},
    "zscore": {"method": {"name": "zscore"}},
    "random": {"method": {"name": "random"}},
    "taylor": {"method": {"name": "taylor"}},
    "taylor-neurons": {"method": {"name": "taylor"}, "structure": "neurons"},
    "heads": {"structure": "heads"},
    "heads+neurons": {"structure": "heads+neurons"},
    "heads+weights": {
        "structure": "heads+weights",
        "ratio_rules": [{"structure": "heads", "ratio": 0.25}, {"layers": "layer.0.", "ratio": 0.4}],
    },
    "layer": {"scope": "layer"},
    "global": {"scope": "global", "method": {"name": "wanda"}},
    "2:4": {"scope": "2:4"},
    "ti": {"recovery": "ti"},
    "bias": {"recovery": "bias", "structure": "neurons"},
    "refit": {"recovery": "refit", "structure": "neurons"},
    "distil": {
        "recovery": "distil",
        "structure": "layers+heads+neurons",
        "distil": {"epochs": 1, "texts": "validation"},
        "evaluation": {"limit": 120, "validation_split": "test"},
    },
    "refit-weights": {"recovery": "refit", "ratio": 0.6},
    "layers": {"structure": "layers"},
    "layers+heads": {"structure": "layers+heads"},
    "layers+neurons": {"structure": "layers+neurons", "recovery": "refit"},
    "layers+weights": {"structure": "layers+weights", "method": {"name": "taylor"}},
    "layers+heads+neurons": {"structure": "layers+heads+neurons", "recovery": "bias"},
    "layers+heads+weights": {"structure": "layers+heads+weights", "method": {"name": "random"}, "recovery": "refit"},
    "binary": {"head": "binary"},
    "confusers": {"sampling": {"negatives": "confusers", "order": "random"}},
    "boundary": {"sampling": {"source": "boundary", "per_concern": 4}},
    "every-layer": {"evaluation": {"limit": 120, "similarity_layers": "all"}},
}


@pytest.fixture(scope="module")
def product(kept_product: Product) -> Product:
    return kept_product


def decompose(product: Product, **spec: Any) -> tuple[Job, list[Module]]:
    return product.decompose(DEMO | QUICK | spec)


@pytest.mark.parametrize("name", CASES)
def test_a_job_of_every_kind_makes_modules_at_the_asked_ratio(product: Product, name: str) -> None:
    spec = JobSpec.model_validate(DEMO | CASES[name])
    _, modules = decompose(product, **CASES[name])
    assert len(modules) == 2 * len(spec.ratios)
    for module in modules:
        assert module.artifacts[0].sha256
        assert (module.method, module.structure) == (spec.method.name, spec.structure)
        if not spec.ratio_rules and "heads" not in spec.structure:
            assert module.ratio.achieved == pytest.approx(module.ratio.requested, abs=0.06)
        assert 0 < module.sparsity.overall < 0.8


def test_the_cases_above_use_every_method_and_structure_there_is(product: Product) -> None:
    told = Methods.model_validate(product.api.get("/v1/methods").json())
    specs = [JobSpec.model_validate(DEMO | case) for case in CASES.values()]
    assert {method.name for method in told.methods} - {"ci"} <= {spec.method.name for spec in specs}
    assert {structure.name for structure in told.structures} == {spec.structure for spec in specs} | {"neurons"}
    for field, left in (("recovery", {"none"}), ("head", {"multiclass"})):
        choices = set(get_args(JobSpec.model_fields[field].annotation))
        assert choices == {getattr(spec, field) for spec in specs} | left


def test_n_of_every_m_inputs_are_gone(product: Product) -> None:
    job, (module, _) = decompose(product, **CASES["2:4"])
    weights = load_file(product.unpack(module) / "model.safetensors")
    for layer in job.resolved.layers:
        zeros = (weights[f"{layer}.weight"] == 0).reshape(-1, 4).sum(axis=1)
        assert (zeros == 2).all()


def test_a_ratio_may_differ_by_layer(product: Product) -> None:
    rules = [{"layers": "layer.0.", "ratio": 0.25}]
    job, (module, _) = decompose(product, ratio=0.5, ratio_rules=rules)
    weights = load_file(product.unpack(module) / "model.safetensors")
    for layer in job.resolved.layers:
        share = float((weights[f"{layer}.weight"] == 0).mean())
        assert share == pytest.approx(0.25 if "layer.0." in layer else 0.5, abs=0.01), layer


def test_a_module_with_a_binary_head_answers_for_its_concern(product: Product) -> None:
    from transformers import AutoModelForSequenceClassification

    _, (module, _) = decompose(product, **CASES["binary"])
    assert module.binary is not None
    assert module.binary.auroc > 0.9
    assert module.binary.f1 > 0.6
    opened = AutoModelForSequenceClassification.from_pretrained(product.unpack(module))
    assert opened.config.id2label == {0: "rest", 1: "animal"}


def test_overlap_and_specialisation_are_told(product: Product) -> None:
    job, modules = decompose(product, method={"name": "wanda"})
    (overlap,) = product.results(job).overlap
    assert overlap.concerns == [1, 6]
    jaccard = np.array(overlap.jaccard)
    assert np.allclose(np.diagonal(jaccard), 1.0)
    assert 1 / 3 < jaccard[0, 1] < 1.0
    assert 0.25 < overlap.core < 0.5
    assert all(module.others_own.f1 is not None for module in modules)


def test_a_mask_without_data_is_the_same_for_every_concern(product: Product) -> None:
    job, _ = decompose(product, method={"name": "magnitude"}, ratio=[0.3, 0.6])
    assert [overlap.jaccard[0][1] for overlap in product.results(job).overlap] == [1.0, 1.0]


def test_a_base_is_measured_once_for_all_jobs_that_measure_it_alike(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = decompose(product, method={"name": "magnitude"}, concerns=["animal"])
    monkeypatch.setattr(Bench, "measure_base", None)
    again, _ = decompose(product, method={"name": "random"}, concerns=["food"])
    assert product.results(again).base == product.results(first).base


def test_every_layers_similarity_is_told_where_asked(product: Product) -> None:
    _, (module, _) = decompose(product, **CASES["every-layer"])
    assert module.similarity is not None
    assert module.similarity.concern.layers is not None
    assert len(module.similarity.concern.layers) == 2
    assert module.similarity.concern.agreement is not None
    assert module.similarity.concern.kl is not None


def test_a_boundary_set_is_made_once_and_found_again(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    scans: list[int] = []

    def counted(*given: Any, checkpoint: Checkpoint, **options: Any) -> BoundarySet:
        def hear(done: int) -> None:
            scans.append(done)
            checkpoint(done)

        return generate(*given, checkpoint=hear, **options)

    for key in product.backend.objects.list():
        if key.startswith(f"{BOUNDARY}/"):
            product.backend.objects.delete(key)
    monkeypatch.setattr(draw_samples, "generate", counted)
    first, _ = decompose(product, **CASES["boundary"], reuse=False)
    made = len(scans)
    assert made > 0
    again, _ = decompose(product, **CASES["boundary"], ratio=0.7)
    assert again.id != first.id
    assert len(scans) == made
    with product.backend.database.unit() as unit:
        kept = [unit.artifacts.of_job(job.id) for job in (first, again)]
    assert [[artifact.key.partition("/")[0] for artifact in own] for own in kept] == [[BOUNDARY], [BOUNDARY]]


def test_a_boundary_set_can_be_brought_along(product: Product, tmp_path: Path) -> None:
    made, modules = decompose(product, **CASES["boundary"])
    (key,) = [key for key in product.backend.objects.list() if key.startswith("boundary/")]
    file = tmp_path / "mine.safetensors"
    product.backend.objects.download(key, file)
    product.backend.objects.delete(key)
    brought = {"source": "boundary", "per_concern": 4, "boundary": {"ref": f"path:{file}"}}
    again, same = decompose(product, sampling=brought)
    assert again.id != made.id
    assert [module.report for module in same] == [module.report for module in modules]

    file.write_bytes(b"not a set")
    answer = product.api.post("/v1/jobs", json=DEMO | QUICK | {"sampling": brought})
    run(product.backend, answer.json()["id"])
    assert product.api.get(answer.json()["urls"]["self"]).json()["error"]["code"] == "DATASET_INVALID"


@pytest.mark.parametrize(
    ("spec", "code", "told"),
    [
        ({"method": {"name": "ci"}, "structure": "heads"}, "VALIDATION_ERROR", "/structure"),
        ({"method": {"name": "heads"}, "structure": "weights"}, "VALIDATION_ERROR", "heads"),
        ({"scope": "3:2"}, "VALIDATION_ERROR", "/scope"),
        ({"scope": "2:4", "ratio": 0.3}, "VALIDATION_ERROR", "0.5"),
        ({"sampling": {"source": "boundary", "boundary": {"ref": "path:/no"}}}, "VALIDATION_ERROR", "boundary/ref"),
        ({"scope": "diagonal"}, "VALIDATION_ERROR", "scope"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_queued(
    product: Product, spec: dict[str, Any], code: str, told: str
) -> None:
    refused = product.api.post("/v1/jobs", json=DEMO | spec)
    assert (refused.status_code, refused.json()["code"]) == (422, code)
    assert told in refused.text
