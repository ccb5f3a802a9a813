"""What an order for a layout is answered with: what is there, if it holds all that is wanted of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.services.backend import Backend
from microlith.contract import Concern, Module
from tests.work import claim, finish, publisher_of, report, submit
from worker.packaging.archive import Archive, archive

PLAIN, BOTH = ("model.onnx",), ("model.int8.onnx", "model.onnx")


def packed(folder: Path, layout: str, *names: str) -> Archive:
    place = folder / f"{layout}-{len(names)}"
    place.mkdir()
    for name in names:
        (place / name).write_text(name)
    return archive(place, folder / f"{place.name}.zip", layout)


@pytest.fixture
def made(backend: Backend, api: TestClient, tmp_path: Path) -> tuple[str, str]:
    """A finished job and its module, which has a graph without INT8."""
    lease = claim(backend, submit(backend, export={"layouts": ["onnx"]}))
    measured = report(0.5)
    own = measured.classes[0].model_dump(mode="json")
    facts: dict[str, Any] = {
        "concern": {"id": 0, "label": "act"},
        "ratio": {"requested": 0.5, "achieved": 0.5},
        "sparsity": {"overall": 0.3, "layers": {}},
        "size": {"parameters": 100, "nonzero": 70, "base_parameters": 100},
        "report": measured.model_dump(mode="json"),
        **{"own": own, "base_own": own, "method": "ci", "structure": "weights"},
    }
    archives = [packed(tmp_path, "onnx", *PLAIN), packed(tmp_path, "mask", "mask.json")]
    publisher_of(backend, lease).publish_module(Concern(id=0, label="act"), 0.5, facts, archives)
    finish(backend, lease)
    (module,) = api.get(f"/v1/jobs/{lease.job_id}/modules").json()["data"]
    return lease.job_id, module["id"]


def order(api: TestClient, module: str, *, int8: bool) -> dict[str, Any]:
    answer = api.post(f"/v1/modules/{module}/artifacts", json={"layout": "onnx", "onnx": {"int8": int8}})
    assert answer.status_code == 202, answer.text
    return answer.json()  # type: ignore[no-any-return]


def made_by(backend: Backend, job: str, module: str, found: Archive) -> None:
    """The order's job ends with this archive."""
    lease = claim(backend, job)
    publisher_of(backend, lease).attach_layout(module, found, [])
    finish(backend, lease)


def graphs(api: TestClient, module: str) -> tuple[str, list[str]]:
    (artifact,) = Module.model_validate(api.get(f"/v1/modules/{module}").json()).artifacts
    return artifact.id, [file.path for file in artifact.files]


def test_int8_is_made_where_only_the_full_graph_is_there(
    backend: Backend, api: TestClient, made: tuple[str, str], tmp_path: Path
) -> None:
    origin, module = made
    before, _ = graphs(api, module)
    assert order(api, module, int8=False)["id"] == origin
    job = order(api, module, int8=True)
    assert (job["state"], job["kind"]) == ("queued", "export")
    assert order(api, module, int8=True)["id"] == job["id"], "it is under way"
    made_by(backend, job["id"], module, packed(tmp_path, "onnx", *BOTH))
    assert graphs(api, module) == (before, list(BOTH))
    assert order(api, module, int8=True)["id"] == order(api, module, int8=False)["id"] == origin


def test_a_slower_order_of_less_takes_nothing_away(
    backend: Backend, api: TestClient, made: tuple[str, str], tmp_path: Path
) -> None:
    _, module = made
    slow, quick = packed(tmp_path, "onnx", *PLAIN, "x"), packed(tmp_path, "onnx", *BOTH, "x", "y")
    job = order(api, module, int8=True)
    made_by(backend, job["id"], module, quick)
    late = claim(backend, submit(backend))
    publisher_of(backend, late).attach_layout(module, slow, [])
    assert set(graphs(api, module)[1]) > set(BOTH)
