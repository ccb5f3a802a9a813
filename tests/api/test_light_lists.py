"""Lists of models and data sets stay small whatever is in them, and a row that cannot be shown takes none with it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.db.tables import SourceRow
from app.domain.ids import new_id
from app.services.backend import Backend
from app.services.registry import PREFIXES
from tests.archives import register, zipped
from tests.model_folders import CONFIG, SHAPES, header_of, safetensors

CSV = b"text,label\na dog,animal\na chair,artifact\n"
LABELS, LAYERS = 1_200, 2_000


def model(labels: int = 3, layers: int = 0) -> bytes:
    """An archive of a model with so many labels and further layers."""
    shapes = SHAPES | {"classifier.weight": [labels, 8]} | {f"layer.{n}.weight": [1, 1] for n in range(layers)}
    header, size = header_of(shapes)
    config = CONFIG | {"id2label": {str(n): f"label {n}" for n in range(labels)}}
    files = {"config.json": json.dumps(config).encode(), "vocab.txt": b"[UNK]\n"}
    return zipped(files | {"model.safetensors": safetensors(header, size)})


@pytest.fixture(scope="module")
def large() -> bytes:
    return model(LABELS, LAYERS)


def test_a_list_has_counts_in_the_place_of_labels_and_layers(api: TestClient, large: bytes) -> None:
    found = register(api, "model", "large.zip", large)
    assert (len(found["labels"]), len(found["layers"])) == (LABELS, LAYERS + 3)
    answer = api.get("/v1/models")
    assert len(answer.content) < 3_000
    listed = answer.json()["data"][0]
    assert listed == found | {"labels": [], "layers": []}
    assert (listed["label_count"], listed["layer_count"]) == (LABELS, LAYERS + 3)


def test_a_list_has_rows_of_splits_in_the_place_of_labels_and_columns(api: TestClient) -> None:
    found = register(api, "dataset", "data.csv", CSV)
    listed = api.get("/v1/datasets").json()["data"][0]
    rows = {role: {"rows": 2, "labels": {}} for role in ("train", "validation", "test")}
    assert listed == found | {"columns": {}, "splits": rows, "first_rows": []}
    assert (listed["label_count"], listed["column_count"]) == (2, 2)


def test_a_list_reads_nothing_long_of_the_database(api: TestClient, backend: Backend, large: bytes) -> None:
    register(api, "model", "large.zip", large)
    with backend.database.unit() as unit:
        (row,) = unit.sources.page("default", "model", None, 10)
    assert row.facts is not None
    assert not {"labels", "layers"} & set(row.facts)


def test_facts_of_before_there_were_counts_are_counted(api: TestClient, backend: Backend) -> None:
    found = register(api, "model", "model.zip", model())
    with backend.database.unit() as unit:
        unit.session.execute(text("UPDATE sources SET facts = facts - '{label_count,layer_count}'::text[]"))
    listed = api.get("/v1/models").json()["data"][0]
    assert (listed["label_count"], listed["layer_count"]) == (3, len(found["layers"]))


def test_pages_show_the_first_so_many_and_how_many_more_there_are(api: TestClient, large: bytes) -> None:
    found = register(api, "model", "large.zip", large)
    page = api.get(f"/models/{found['id']}").text
    assert ("99 label 99<" in page, "100 label 100<" in page) == (True, False)
    assert f"and {LABELS - 100:,} more labels" in page
    assert f"and {LAYERS + 3 - 200:,} more layers" in page
    assert "1,200 labels" in api.get("/models").text
    rows = b"text,label\n" + b"".join(b"text %d,label %d\n" % (n, n) for n in range(150))
    data = register(api, "dataset", "data.csv", rows)
    assert "and 50 more labels" in api.get(f"/datasets/{data['id']}").text


def test_the_form_of_a_job_names_the_labels_of_the_chosen_model_alone(api: TestClient, large: bytes) -> None:
    small, huge = register(api, "model", "small.zip", model()), register(api, "model", "large.zip", large)
    assert "label 2" in api.get(f"/jobs/new?model={small['id']}").text
    page = api.get(f"/jobs/new?model={huge['id']}")
    assert (page.status_code, "label 2" in page.text) == (200, False)
    assert len(page.content) < 200_000


BROKEN = {
    "a number beyond all bounds": """jsonb_set(facts, '{parameters}', ('1' || repeat('0', 4000))::jsonb)""",
    "a number of more digits than are read": """jsonb_set(facts, '{parameters}', ('1' || repeat('0', 5000))::jsonb)""",
    "an older shape": """facts - 'structures' - 'label_column'""",
    "a list": """'[1, 2]'::jsonb""",
    "a text": """'"facts"'::jsonb""",
    "other kinds of values": """'{"labels": 5, "layers": {}, "splits": [1], "parameters": "many"}'::jsonb""",
}


def facts_of(api: TestClient, ref: str) -> dict[str, Any]:
    found: dict[str, Any] = api.get(f"/v1/{ref}").json()
    return {name: value for name, value in found.items() if name not in ("id", "origin", "created_at")}


@pytest.fixture(params=BROKEN)
def broken(request: pytest.FixtureRequest, api: TestClient, backend: Backend) -> dict[str, str]:
    """The ids of a model and of a data set whose facts are no longer such, each with a sound one registered later."""
    facts = {
        "model": facts_of(api, "models/demo:bert-tiny-wordnet"),
        "dataset": facts_of(api, "datasets/demo:wordnet-supersense"),
    }
    ids = {}
    with backend.database.unit() as unit:
        for kind, known in facts.items():
            for number, hub in enumerate(("org/first", "org/second")):
                at = unit.jobs.now() + timedelta(milliseconds=number)  # ids of one millisecond are in no order
                row_id = new_id(PREFIXES[kind], at)
                row = SourceRow(id=row_id, owner="default", kind=kind, hub=hub, columns={}, facts=known)
                row.created_at = at
                unit.sources.add(row)
                ids.setdefault(kind, row.id)
        change = BROKEN[request.param].replace("parameters", "size_bytes")
        for source_id in ids.values():
            unit.session.execute(text(f"UPDATE sources SET facts = {change} WHERE id = :id"), {"id": source_id})
    return ids


def test_a_row_that_cannot_be_shown_does_not_take_the_list_with_it(api: TestClient, broken: dict[str, str]) -> None:
    for kind, source_id in broken.items():
        answer = api.get(f"/v1/{kind}s")
        assert answer.status_code == 200, answer.text
        sound, unknown, _demo = answer.json()["data"]
        assert sound["label_count"] == 12
        assert (unknown["id"], unknown["origin"]) == (source_id, "hub:org/first")
        assert unknown["size_bytes"] is None
        assert source_id in api.get(f"/{kind}s").text
        assert api.get("/jobs/new").status_code == 200


def test_a_row_that_cannot_be_shown_says_so_singly_and_can_be_deleted(api: TestClient, broken: dict[str, str]) -> None:
    codes = {"model": "UNSUPPORTED_MODEL", "dataset": "DATASET_INVALID"}
    for kind, source_id in broken.items():
        answer = api.get(f"/v1/{kind}s/{source_id}")
        assert (answer.status_code, answer.json()["code"]) == (422, codes[kind])
        assert source_id in answer.json()["detail"]
        assert api.get(f"/{kind}s/{source_id}", headers={"Accept": "text/html"}).status_code == 422
        assert api.delete(f"/v1/{kind}s/{source_id}").status_code == 204
        assert source_id not in api.get(f"/v1/{kind}s").text
