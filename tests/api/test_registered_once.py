"""What is registered twenty times at once has one id."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.db.tables import SourceRow
from app.domain.ids import new_id
from app.services.backend import Backend
from app.services.registry import Library
from microlith.contract import RegisterDataset, RegisterModel
from tests.archives import MODEL, files_of, register, upload, zipped

CSV = b"text,label\na dog,animal\na chair,artifact\n"
TIMES = 20
WAITING = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")


def ids_of(backend: Backend, wanted: RegisterModel | RegisterDataset) -> set[str]:
    """The ids that TIMES callers get who register the same at once."""
    library = Library(backend, "default")

    def ask(_: int) -> str:
        if isinstance(wanted, RegisterModel):
            return library.register_model(wanted).id
        return library.register_dataset(wanted).id

    with ThreadPoolExecutor(TIMES) as many:
        return set(many.map(ask, range(TIMES)))


def test_an_upload_that_many_register_at_once_is_one_source(api: TestClient, backend: Backend) -> None:
    model, data = upload(api, "model", "m.zip", zipped(files_of(MODEL))), upload(api, "dataset", "d.csv", CSV)
    for wanted in (RegisterModel(upload=model), RegisterDataset(upload=data)):
        (only,) = ids_of(backend, wanted)
        kind = "models" if isinstance(wanted, RegisterModel) else "datasets"
        assert [one["id"] for one in api.get(f"/v1/{kind}").json()["data"]][:-1] == [only]


def test_other_columns_are_another_source(api: TestClient, backend: Backend) -> None:
    data = upload(api, "dataset", "d.csv", CSV)
    first, second = RegisterDataset(upload=data), RegisterDataset(upload=data, text_column="text")
    assert ids_of(backend, first).isdisjoint(ids_of(backend, second))


@pytest.mark.parametrize("wanted", [RegisterModel(hub="org/name@main"), RegisterDataset(hub="org/name")])
def test_a_name_on_the_hub_that_many_register_at_once_is_one_source(backend: Backend, wanted: Any) -> None:
    assert len(ids_of(backend, wanted)) == 1
    library = Library(backend, "somebody")
    kind = library.register_model if isinstance(wanted, RegisterModel) else library.register_dataset
    assert kind(wanted).id not in ids_of(backend, wanted)


def test_who_registers_a_name_waits_for_another_who_does(backend: Backend) -> None:
    row = SourceRow(id=new_id("mdl"), owner="default", kind="model", hub="org/name", columns={})
    with ThreadPoolExecutor(1) as other:
        with backend.database.unit() as unit:
            unit.sources.hold("default", "model", "org/name")
            row.created_at = unit.jobs.now()
            unit.sources.add(row)
            found = other.submit(Library(backend, "default").register_model, RegisterModel(hub="org/name"))
            while not (found.done() or unit.session.scalar(WAITING)):
                pass
        assert found.result().id == row.id


def test_an_upload_is_registered_as_what_it_was_sent_for_alone(api: TestClient) -> None:
    data = register(api, "dataset", "d.csv", CSV)
    answer = api.post("/v1/models", json={"upload": data["origin"]})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/upload")
    assert "kind dataset" in answer.json()["detail"]
