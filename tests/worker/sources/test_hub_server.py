"""The hub over HTTP: a stand-in answers as the real one does, so that the real client runs whole."""

import pytest

from app.domain.errors import SourceUnavailable, UnsafeModel
from app.sources.demo import FOLDER
from tests.hub import COMMIT, running_hub
from tests.work import claim, submit
from worker.attempt.attempt import Attempt
from worker.sources.models import load_model

DEMO = FOLDER / "bert-tiny-wordnet"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with running_hub(tmp_path / "cache", monkeypatch) as handler:
        yield handler


def test_a_hub_model_is_one_commit_and_nothing_that_runs_code(hub):
    hub.files |= {file.name: file.read_bytes() for file in DEMO.iterdir()}
    hub.files |= {"pytorch_model.bin": b"pickle", "modeling.py": b"code", "README.md": b"---\nlicense: mit\n---\n"}
    loaded = load_model("hub:some/model@v1.0", allow_paths=False)
    assert loaded.facts.revision == COMMIT
    assert loaded.licence.name == "mit"
    fetched = {path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= fetched
    assert not {"pytorch_model.bin", "modeling.py", "metrics.json"} & fetched
    assert all(COMMIT in path for path in hub.asked if "/resolve/" in path)


def test_a_hub_model_of_pickles_alone_is_refused_before_a_byte_of_it_comes(hub):
    hub.files |= {"config.json": b"{}", "pytorch_model.bin": b"pickle"}
    with pytest.raises(UnsafeModel):
        load_model("hub:some/model", allow_paths=False)
    assert not any("/resolve/" in path for path in hub.asked)


def test_a_model_registered_by_its_name_is_described_once_a_worker_has_fetched_it(hub, api, backend):
    hub.files |= {file.name: file.read_bytes() for file in DEMO.iterdir()}
    known = api.post("/v1/models", json={"hub": "some/model@v1.0"}).json()
    assert known["layers"] == []
    spec = {"model": known["id"], "dataset": "demo:wordnet-supersense"}
    attempt = Attempt.of(claim(backend, submit(backend, **spec)), backend)
    with attempt.hold_sources(attempt.lease.spec) as shelf:
        attempt.publisher.describe_model(known["id"], load_model(known["id"], allow_paths=False, shelf=shelf).info)
    found = api.get(f"/v1/models/{known['id']}").json()
    assert found["architecture"] == "BertForSequenceClassification"
    assert (found["origin"], found["id"]) == ("hub:some/model@v1.0", known["id"])


@pytest.mark.parametrize(
    ("refusal", "message", "hint"),
    [
        ((403, "GatedRepo"), "is gated", "HF_TOKEN"),
        ((404, "RepoNotFound"), "The hub has no hub:some/model", "spelling"),
        ((404, "RevisionNotFound"), "The hub has no hub:some/model", "spelling"),
        ((500, "Broken"), "could not be fetched", "connection"),
    ],
)
def test_what_the_hub_refuses_is_told_with_what_to_do(hub, refusal, message, hint):
    hub.refusal = refusal
    with pytest.raises(SourceUnavailable, match=message) as failure:
        load_model("hub:some/model", allow_paths=False)
    assert hint in failure.value.hint
