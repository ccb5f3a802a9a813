"""The hub over HTTP: a small server answers as the real one does, so that the real client runs whole."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import constants

from app.domain.errors import SourceUnavailable, UnsafeModel
from app.sources.demo import FOLDER
from tests.work import claim, submit
from worker.journal import Journal
from worker.sources.models import load_model

COMMIT = "89abcdef0123456789abcdef0123456789abcdef"
DEMO = FOLDER / "bert-tiny-wordnet"


class Hub(BaseHTTPRequestHandler):
    """Serves `files` as the repository some/model at COMMIT, whatever revision is asked for; remembers every path."""

    files: dict[str, bytes] = {}
    refusal: tuple[int, str] | None = None
    asked: list[str] = []

    def do_GET(self):
        self._serve(with_body=True)

    def do_HEAD(self):
        self._serve(with_body=False)

    def log_message(self, *args):
        pass

    def _serve(self, with_body):
        self.asked.append(self.path)
        status, headers, body = self._answer(self.path.partition("?")[0])
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def _answer(self, path):
        if self.refusal:
            return self.refusal[0], {"X-Error-Code": self.refusal[1], "X-Error-Message": "refused"}, b""
        if path.startswith("/api/models/some/model/tree/"):
            return self._json([self._entry(name) for name in self.files])
        if path.startswith("/api/models/some/model"):
            siblings = [{"rfilename": name} for name in self.files]
            return self._json({"id": "some/model", "sha": COMMIT, "siblings": siblings})
        name = path.removeprefix(f"/some/model/resolve/{COMMIT}/")
        if name in self.files:
            etag = hashlib.sha1(self.files[name]).hexdigest()
            return 200, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}, self.files[name]
        return 404, {"X-Error-Code": "EntryNotFound"}, b""

    def _entry(self, name):
        content = self.files[name]
        return {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}

    def _json(self, content):
        return 200, {"Content-Type": "application/json"}, json.dumps(content).encode()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The handler class to fill, with the client pointed at its server and at an empty cache."""
    handler = type("FilledHub", (Hub,), {"files": {}, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    yield handler
    server.shutdown()
    server.server_close()


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
    journal = Journal(claim(backend, submit(backend, **spec)), backend.objects)
    with journal.shelf(journal.lease.spec) as shelf:
        journal.introduce(known["id"], load_model(known["id"], allow_paths=False, shelf=shelf).info)
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
