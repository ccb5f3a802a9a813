"""One more layout of a module that is there already: made of its base and its mask, by a job of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from safetensors.numpy import load_file

from microlith.contract import Job, Module
from tests.work import DEMO, run
from tests.worker.conftest import Product

SMALL = DEMO | {
    "concerns": ["animal"],
    "structure": "heads+neurons",
    "evaluation": {"limit": 40, "similarity": False, "latency": False},
}


def order(product: Product, module: Module, layout: str, **more: Any) -> Job:
    """The job that the order leads to, run if it waits."""
    answer = product.api.post(f"/v1/modules/{module.id}/artifacts", json={"layout": layout, **more})
    assert answer.status_code == 202, answer.text
    if answer.json()["state"] == "queued":
        run(product.backend, answer.json()["id"])
    return Job.model_validate(product.api.get(answer.headers["Location"]).json())


def layouts(product: Product, module: Module) -> list[str]:
    found = Module.model_validate(product.api.get(f"/v1/modules/{module.id}").json())
    return [artifact.layout for artifact in found.artifacts]


@pytest.fixture(scope="module")
def product(kept_product: Product) -> Product:
    return kept_product


@pytest.fixture
def made(product: Product) -> tuple[Job, Module]:
    job, (module,) = product.decompose(SMALL)
    return job, module


def test_a_layout_is_made_when_it_is_asked_for_and_then_it_is_there(product: Product) -> None:
    origin, (module,) = product.decompose(SMALL | {"reuse": False})
    assert layouts(product, module) == ["portable"]
    job = order(product, module, "compact")
    assert (job.state, job.kind, job.order and job.order.module) == ("succeeded", "export", module.id), job.error
    assert layouts(product, module) == ["portable", "compact"]
    assert order(product, module, "compact").id in (job.id, origin.id), "nothing is made twice"
    events = product.api.get(f"{job.urls.self}/events").json()["data"]
    assert "artifact.ready" in [event["type"] for event in events]


def test_what_is_made_later_has_the_bytes_of_what_is_made_at_once(product: Product, made: tuple[Job, Module]) -> None:
    _, module = made
    order(product, module, "compact")
    later = Module.model_validate(product.api.get(f"/v1/modules/{module.id}").json())
    _, (at_once,) = product.decompose(SMALL | {"export": {"layouts": ["compact"]}})
    one, other = product.unpack(later, "compact"), product.unpack(at_once, "compact")
    weights = [load_file(folder / "model.safetensors") for folder in (one, other)]
    assert weights[0].keys() == weights[1].keys()
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])


def test_the_mask_is_there_from_the_first_and_shown_when_it_is_asked_for(
    product: Product, made: tuple[Job, Module]
) -> None:
    origin, module = made
    assert "mask" not in layouts(product, module)
    assert order(product, module, "mask").id == origin.id
    assert "mask" in layouts(product, module)


def test_an_order_for_what_is_not_there_or_makes_no_sense_is_refused(
    product: Product, made: tuple[Job, Module]
) -> None:
    _, module = made
    post = product.api.post
    assert post("/v1/modules/mod_unknown/artifacts", json={"layout": "onnx"}).status_code == 404
    unknown = post(f"/v1/modules/{module.id}/artifacts", json={"layout": "gguf"}).json()
    assert (unknown["code"], "portable" in unknown["detail"]) == ("VALIDATION_ERROR", True)
    int8 = post(f"/v1/modules/{module.id}/artifacts", json={"layout": "compact", "onnx": {"int8": True}}).json()
    assert int8["errors"][0]["pointer"] == "/export/onnx/int8"


def test_a_module_that_goes_while_its_layout_is_made_fails_the_job_with_what_to_do(product: Product) -> None:
    origin, (module,) = product.decompose(SMALL | {"reuse": False})
    queued = product.api.post(f"/v1/modules/{module.id}/artifacts", json={"layout": "compact"}).json()
    assert product.api.delete(origin.urls.self).status_code == 204
    run(product.backend, queued["id"])
    job = Job.model_validate(product.api.get(queued["urls"]["self"]).json())
    assert (job.state, job.error and job.error.code) == ("failed", "NOT_FOUND")


def test_a_worker_takes_only_what_waits_in_its_queues(product: Product, made: tuple[Job, Module]) -> None:
    _, module = made
    queued = product.api.post(f"/v1/modules/{module.id}/artifacts", json={"layout": "onnx"}).json()
    settings = product.backend.settings.model_copy(update={"queues": "gpu"})
    run(replace(product.backend, settings=settings), "job_unknown")
    assert product.api.get(queued["urls"]["self"]).json()["state"] == "queued"
