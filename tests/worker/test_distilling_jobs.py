"""Jobs whose modules learn: asked over HTTP, run, measured, opened again in every layout, and gone on with."""

from __future__ import annotations

from typing import Any

import pytest

from app.services.sweeping import STUDENTS
from microlith.contract import Job
from tests.work import DEMO, run
from tests.worker.conftest import Product
from worker.distilling.training import Study
from worker.kinds import study_store
from worker.kinds.study_store import StudyStore

SMALL: dict[str, Any] = {
    **DEMO,
    "concerns": ["animal", "food"],
    "structure": "heads+neurons",
    "ratio": 0.98,
    "ratio_rules": [{"structure": "heads", "ratio": 0.5}],
    "evaluation": {"limit": 300, "validation_split": "test", "similarity": False, "latency": False},
    "reuse": False,
}
LEARNED = {"recovery": "distil", "distil": {"texts": "validation", "epochs": 2}}


@pytest.fixture(scope="module")
def product(kept_product: Product) -> Product:
    return kept_product


def test_modules_that_have_learned_are_better_small_and_one_model_in_every_layout(product: Product) -> None:
    _, plain = product.decompose(SMALL)
    layouts = ["portable", "compact", "mask"]
    job, modules = product.decompose(SMALL | LEARNED | {"export": {"layouts": layouts}})
    assert {artifact.layout for artifact in modules[0].artifacts} == set(layouts)
    assert modules[0].report.macro.f1 > max(0.8, plain[0].report.macro.f1 + 0.01)
    assert modules[0].report.macro == modules[1].report.macro
    assert modules[0].size.parameters < modules[0].size.base_parameters
    assert job.timings["distilling"] > 0
    overlap = product.results(job).overlap[0]
    assert overlap.jaccard == [[1.0, 1.0], [1.0, 1.0]]
    assert list(product.backend.objects.list(STUDENTS)) == []


def test_a_binary_module_has_a_threshold_of_its_own_on_the_shared_model(product: Product) -> None:
    _, modules = product.decompose(SMALL | LEARNED | {"head": "binary"})
    scores = [module.binary for module in modules]
    assert all(score is not None and score.f1 > 0.6 for score in scores)
    assert len({score.threshold for score in scores if score}) == 2


def test_an_attempt_that_is_stopped_is_gone_on_with_and_the_modules_are_the_same(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, expected = product.decompose(SMALL | LEARNED)
    answer = product.api.post("/v1/jobs", json=SMALL | LEARNED)
    job_id = answer.json()["id"]
    keep = StudyStore.keep

    def keep_and_stop(store: StudyStore, number: int, study: Study) -> None:
        keep(store, number, study)
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(study_store, "KEPT_SECONDS", 0.0)
        patched.setattr(StudyStore, "keep", keep_and_stop)
        with pytest.raises(SystemExit):
            run(product.backend, job_id)
    assert len(list(product.backend.objects.list(f"{STUDENTS}/{job_id}"))) == 1
    run(product.backend, job_id)
    job = Job.model_validate(product.api.get(f"/v1/jobs/{job_id}").json())
    assert (job.state, whole.state) == ("succeeded", "succeeded")
    modules = product.api.get(f"/v1/jobs/{job_id}/modules").json()["data"]
    found = [module["report"] for module in modules]
    assert found == [module.report.model_dump(mode="json") for module in expected]
    assert list(product.backend.objects.list(STUDENTS)) == []
