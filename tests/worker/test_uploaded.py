"""Somebody with a model folder and a CSV file, at a server far away: from their files to modules."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path

import pyarrow.parquet
from fastapi.testclient import TestClient

from app.services.backend import Backend
from tests.archives import DATA, MODEL, files_of, register, upload, zipped
from tests.work import DEMO, run
from tests.worker.conftest import Product

SMALL = {
    "concerns": ["animal"],
    "sampling": {"per_concern": 4},
    "evaluation": {"limit": 40, "similarity": False},
}


def as_csv(file: Path, rows: int = 600) -> bytes:
    """The first rows of a Parquet file as CSV, labels by name."""
    table = pyarrow.parquet.read_table(file).slice(0, rows)
    written = io.StringIO()
    writer = csv.DictWriter(written, ["text", "label"])
    writer.writeheader()
    writer.writerows(table.select(["text", "label"]).to_pylist())
    return written.getvalue().encode()


def test_an_uploaded_model_and_an_uploaded_file_make_the_demos_module(product: Product) -> None:
    model = register(product.api, "model", "mine.zip", zipped({f"mine/{n}": d for n, d in files_of(MODEL).items()}))
    data = register(product.api, "dataset", "texts.csv", as_csv(DATA / "validation.parquet"))
    job, (module,) = product.decompose(SMALL | {"model": model["id"], "dataset": data["id"]})
    assert job.resolved.model is not None
    assert (job.resolved.model.ref, job.resolved.model.sha256) == (model["id"], model["sha256"])
    _, (same,) = product.decompose(SMALL | {"model": f"path:{MODEL}", "dataset": data["id"]})
    assert module.own == same.own
    assert module.report == same.report
    for source in (f"models/{model['id']}", f"datasets/{data['id']}"):
        assert product.api.delete(f"/v1/{source}").status_code == 204
    assert product.api.get(module.artifacts[0].urls.content).status_code == 200
    assert (product.unpack(module) / "model.safetensors").is_file()


def test_one_file_is_carved_so_that_modules_are_measured_on_rows_that_did_not_calibrate_them(product: Product) -> None:
    carve = {"test": 0.2, "validation": 0.2}
    data = register(product.api, "dataset", "texts.csv", as_csv(DATA / "validation.parquet"), carve=carve)
    spec = DEMO | SMALL | {"dataset": data["id"], "evaluation": {"similarity": False, "latency": False}}
    job, (module,) = product.decompose(spec)
    assert job.resolved.dataset is not None
    assert job.resolved.dataset.rows == {"train": 360, "validation": 120, "test": 120}
    assert job.resolved.dataset.splits["test"] == "0.2 of data.csv"
    assert job.resolved.dataset.warnings == []
    supports = {row.label: row.support for row in module.report.classes if row.support}
    assert supports == {label: rows for label, rows in data["splits"]["test"]["labels"].items() if rows}
    again, _ = product.decompose(spec)
    other, _ = product.decompose(spec | {"dataset": {"ref": data["id"], "carve": carve | {"seed": 1}}})
    assert (again.id == job.id, other.id == job.id) == (True, False)


def test_an_uploaded_boundary_set_is_used(product: Product) -> None:
    sampling = {"source": "boundary", "per_concern": 4}
    _, (module,) = product.decompose(DEMO | SMALL | {"sampling": sampling})
    (key,) = [key for key in product.backend.objects.list() if key.startswith("boundary/")]
    content = b"".join(product.backend.objects.open(key))
    product.backend.objects.delete(key)
    brought = sampling | {"boundary": {"ref": upload(product.api, "boundary", "set.safetensors", content)}}
    _, (same,) = product.decompose(DEMO | SMALL | {"sampling": brought})
    assert same.report == module.report
    assert not [key for key in product.backend.objects.list() if key.startswith("boundary/")]


def test_a_queued_job_whose_model_was_deleted_fails_and_says_so(api: TestClient, backend: Backend) -> None:
    model = register(api, "model", "mine.zip", zipped(files_of(MODEL)))
    job = api.post("/v1/jobs", json=DEMO | SMALL | {"model": model["id"], "reuse": False}).json()
    api.delete(f"/v1/models/{model['id']}")
    shutil.rmtree(backend.settings.cache_dir)
    run(backend, job["id"])
    ended = api.get(job["urls"]["self"]).json()
    assert (ended["state"], ended["error"]["code"]) == ("failed", "SOURCE_UNAVAILABLE")
    assert model["id"] in ended["error"]["message"]
    assert api.post(job["urls"]["self"] + "/retry").status_code == 202
