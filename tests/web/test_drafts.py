"""The form of a new job: built from the schemas, read back into a spec, faults at their fields."""

from __future__ import annotations

import html
import json
import re
from typing import Any
from urllib.parse import urlencode

import pytest
from fastapi.testclient import TestClient

from app.services import catalog
from app.web.views.form import FIRST, GROUPS, SourcesOffered, form_page
from app.web.views.form_to_spec import spec_of
from microlith.contract import JobSpec
from tests import work

Pairs = list[tuple[str, str]]
DEMO: Pairs = [("/model", work.DEMO["model"]), ("/dataset/ref", work.DEMO["dataset"])]
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"}


def send(api: TestClient, place: str, pairs: Pairs) -> Any:
    return api.post(place, content=urlencode(pairs), headers=FORM, follow_redirects=False)


def fault_of(text: str, field: str) -> str:
    found = re.search(rf'id="field-{field}-fault">([^<]*)<', text)
    assert found is not None, field
    return html.unescape(found[1])


def test_every_option_of_a_spec_has_a_field() -> None:
    placed = {*FIRST, "layers", "concerns", *(name for names in GROUPS.values() for name in names)}
    assert placed == set(catalog.OPTIONS)


def test_the_form_offers_the_models_own_labels_and_layers(api: TestClient) -> None:
    text = api.get("/jobs/new").text
    model = api.get(f"/v1/models/{work.DEMO['model']}").json()
    for label in model["labels"]:
        assert f'name="/concerns" value="{label}"' in text
    for layer in model["layers"]:
        assert f'name="/layers/include" value="{layer["name"]}"' in text


def test_a_model_that_is_not_known_yet_takes_names_of_concerns(api: TestClient) -> None:
    text = api.get("/jobs/new?model=hub:someone/something").text
    assert 'name="/concerns" value=""' in text
    assert 'type="checkbox" name="/concerns"' not in text


def test_an_untouched_form_says_only_what_must_be_said(api: TestClient) -> None:
    """What browsers send of it: every select, every text, the boxes that are ticked."""
    text = api.get("/jobs/new").text
    pairs = [(name, value) for name, value in re.findall(r'<input id="[^"]+" name="(/[^"]+)" value="([^"]*)"', text)]
    pairs += re.findall(r'type="checkbox" (?:id="[^"]+" )?name="(/[^"]+)" value="([^"]*)"[^>]* checked', text)
    chosen = re.findall(r'<select id="[^"]+" name="(/[^"]+)".*?<option value="([^"]*)" selected', text, re.DOTALL)
    methods, form = catalog.methods(), None
    form = form_page(methods, SourcesOffered([], [], None), {})
    assert spec_of([*pairs, *chosen], form.fields) == work.DEMO


def test_fields_become_the_spec_they_say() -> None:
    form = form_page(catalog.methods(), SourcesOffered([], [], None), {"method": {"name": "ci"}})
    pairs = [
        *DEMO,
        ("/dataset/label_column", "stars"),
        ("/dataset/delimiter", "tab"),
        ("/dataset/encoding", ""),
        ("/dataset/labels", "0=animal, 1=food"),
        ("/dataset/splits/train", "train[:80%]"),
        ("/dataset/splits/test", "test"),
        ("/dataset/carve/validation", "0.1"),
        ("/concerns", "animal"),
        ("/concerns", "food"),
        ("/ratio", "0.25, 0.5"),
        ("/method/name", "ci"),
        ("/method/form", "alpha"),
        ("/layers/include", "layer.0.output"),
        ("/layers/include", "intermediate; pooler"),
        ("/sampling/per_concern", "32"),
        ("/evaluation/similarity", ""),
        ("/evaluation/latency", "true"),
        ("/reuse", "true"),
        ("/export/layouts", "portable"),
        ("/export/layouts", "mask"),
        ("/labels", "team=lexicon, run=7"),
        ("/ratio_rules", '[{"layers": "layer.1", "ratio": 0.3}]'),
    ]
    spec = spec_of(pairs, form.fields)
    assert spec == {
        "model": work.DEMO["model"],
        "dataset": {
            "ref": work.DEMO["dataset"],
            "label_column": "stars",
            "delimiter": "tab",
            "labels": {"0": "animal", "1": "food"},
            "splits": {"train": "train[:80%]"},
            "carve": {"validation": 0.1},
        },
        "concerns": ["animal", "food"],
        "ratio": [0.25, 0.5],
        "method": {"form": "alpha"},
        "layers": {"include": ["layer.0.output", "intermediate", "pooler"]},
        "sampling": {"per_concern": 32},
        "evaluation": {"similarity": False},
        "export": {"layouts": ["portable", "mask"]},
        "labels": {"team": "lexicon", "run": "7"},
        "ratio_rules": [{"layers": "layer.1", "ratio": 0.3}],
    }
    assert JobSpec.model_validate(spec).ratios == [0.25, 0.5]


def test_the_plan_is_shown_before_anything_is_queued(api: TestClient) -> None:
    text = send(api, "/jobs/plan", [*DEMO, ("/concerns", "food"), ("/ratio", "0.2, 0.4"), ("/reuse", "true")]).text
    assert "2 modules: 1 concern at 2 ratios" in text
    assert "curl http://127.0.0.1/v1/jobs" in html.unescape(text)
    assert api.get("/v1/jobs").json()["data"] == []


@pytest.mark.parametrize(
    ("field", "pair", "said"),
    [
        ("ratio", ("/ratio", "1.5"), "less than 1"),
        ("ratio", ("/ratio", "half"), "valid number"),
        ("sampling-per_concern", ("/sampling/per_concern", "x"), "valid integer"),
        ("concerns", ("/concerns", "unicorn"), "unicorn"),
        ("model", ("/model", "demo:none"), "none"),
        ("layers-include", ("/layers/include", "nowhere"), "No linear layer matches"),
        ("labels", ("/labels", "{"), "valid dictionary"),
        ("dataset-splits-test", ("/dataset/splits/test", "test[5]"), "slice"),
        ("dataset-carve-test", ("/dataset/carve/test", "0.2"), "there is one"),
    ],
)
def test_a_fault_stands_at_its_field(api: TestClient, field: str, pair: tuple[str, str], said: str) -> None:
    pairs = [one for one in DEMO if one[0] != pair[0]] + [pair]
    answer = send(api, "/jobs", pairs)
    assert answer.status_code == 422
    assert said in fault_of(answer.text, field)
    assert "Fix these first" in answer.text


def test_a_form_that_makes_sense_becomes_a_job(api: TestClient) -> None:
    answer = send(api, "/jobs", [*DEMO, ("/concerns", "food"), ("/structure", "neurons"), ("/reuse", "true")])
    assert answer.status_code == 303
    job = api.get(f"/v1{answer.headers['location']}").json()
    assert (job["state"], job["spec"]["concerns"], job["spec"]["structure"]) == ("queued", ["food"], "neurons")


def test_a_job_is_sent_again_with_changes_from_what_it_said(api: TestClient) -> None:
    spec = work.DEMO | {"concerns": ["food"], "ratio": [0.2, 0.4], "method": {"name": "wanda", "samples": "all"}}
    job_id = api.post("/v1/jobs", json=spec).json()["id"]
    text = api.get(f"/jobs/new?again={job_id}").text
    assert 'value="0.2, 0.4"' in text
    assert re.search(r'value="food" id="[^"]+" checked', text)
    assert '<option value="wanda" selected' in text
    assert '<option value="all" selected' in text


def test_the_request_that_is_shown_is_the_spec_that_is_sent(api: TestClient) -> None:
    text = send(api, "/jobs/plan", [*DEMO, ("/ratio", "0.3"), ("/reuse", "true"), ("/evaluation/latency", "true")]).text
    shown = json.loads(html.unescape(re.search(r"<pre tabindex=\"0\"><code>(.*?)</code>", text, re.DOTALL)[1]))  # type: ignore[index]
    assert shown == work.DEMO | {"ratio": 0.3, "evaluation": {"similarity": False}}
