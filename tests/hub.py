"""A stand-in for the hub's endpoints, so that huggingface_hub runs whole: downloads, and commits with large files."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from huggingface_hub import constants

COMMIT = "89abcdef0123456789abcdef0123456789abcdef"
LARGE = 1000
"""Bytes from which on the stand-in wants a file beside the commit, as the hub does with weights."""

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Repository:
    """What a push has made."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)


class Hub(BaseHTTPRequestHandler):
    """Serves `files` as the repository some/model at COMMIT and `data` as the dataset some/data, whatever revision is
    asked for; remembers every path. `sizes` are told in the place of true ones.

    Who brings `token` may write: repositories, and large files by their digest, are kept too.
    """

    files: dict[str, bytes] = {}
    data: dict[str, bytes] = {}
    sizes: dict[str, int] = {}
    refusal: tuple[int, str] | None = None
    asked: list[str] = []
    token: str | None = None
    repositories: dict[str, Repository] = {}
    objects: dict[str, bytes] = {}
    tokens_seen: list[str] = []

    def do_GET(self) -> None:
        self._serve(self._read)

    def do_HEAD(self) -> None:
        self._serve(self._read, with_body=False)

    def do_POST(self) -> None:
        self._serve(self._write)

    def do_PUT(self) -> None:
        self._serve(self._store)

    def log_message(self, *args: object) -> None:
        """Nothing: the test asks `asked`."""

    def _serve(self, answer: Any, *, with_body: bool = True) -> None:
        self.asked.append(self.path)
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, headers, body = answer(self.path.partition("?")[0], sent)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def _read(self, path: str, _sent: bytes) -> Answer:
        if self.refusal:
            return _refused(*self.refusal)
        for kind, name, there, files in (
            ("models", "some/model", "", self.files),
            ("datasets", "some/data", "/datasets", self.data),
        ):
            if path.startswith(f"/api/{kind}/{name}/tree/"):
                return _json([self._entry(*file) for file in files.items()])
            if path.startswith(f"/api/{kind}/{name}"):
                siblings = [{"rfilename": file} for file in files]
                return _json({"id": name, "sha": COMMIT, "siblings": siblings})
            content = files.get(unquote(path).removeprefix(f"{there}/{name}/resolve/{COMMIT}/"))
            if content is not None:
                etag = hashlib.sha1(content).hexdigest()
                return 200, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}, content
        known = self.repositories.get(path.removeprefix("/api/models/"))
        if known:
            return _json({"id": path.removeprefix("/api/models/"), "private": known.private, "siblings": []})
        return 404, {"X-Error-Code": "EntryNotFound"}, b""

    def _write(self, path: str, sent: bytes) -> Answer:
        self.tokens_seen.append(self.headers.get("Authorization", ""))
        if self.headers.get("Authorization") != f"Bearer {self.token}":
            return _refused(401, "Unauthorized")
        name = path.removeprefix("/api/models/").removesuffix("/commit/main")
        answers = {
            "/api/validate-yaml": lambda: _json({"warnings": [], "errors": []}),
            "/api/repos/create": lambda: self._create(json.loads(sent)),
            ".git/info/lfs/objects/batch": lambda: self._large(json.loads(sent)["objects"]),
            "/preupload/main": lambda: self._modes(json.loads(sent)["files"]),
            "/commit/main": lambda: self._commit(name, sent),
        }
        known = next((answer for ending, answer in answers.items() if path.endswith(ending)), None)
        if known:
            return known()
        return _json({}) if path.removeprefix("/verify/") in self.objects else _refused(404, "Missing")

    def _create(self, wanted: dict[str, Any]) -> Answer:
        name = f"{wanted.get('organization') or 'me'}/{wanted['name']}"
        url = {"url": f"{self._home}/{name}"}
        if name in self.repositories:
            return _json({**url, "error": "You already created this model repo"}, 409)
        self.repositories[name] = Repository(wanted.get("visibility") == "private" or bool(wanted.get("private")))
        return _json(url)

    def _modes(self, files: list[dict[str, Any]]) -> Answer:
        """Which files go beside the commit."""
        modes = [(file["path"], "lfs" if file["size"] >= LARGE else "regular") for file in files]
        return _json({"files": [{"path": path, "uploadMode": mode, "shouldIgnore": False} for path, mode in modes]})

    def _large(self, objects: list[dict[str, Any]]) -> Answer:
        def action(oid: str) -> dict[str, Any]:
            if oid in self.objects:
                return {}
            places = {"upload": f"/objects/{oid}", "verify": f"/verify/{oid}"}
            return {"actions": {name: {"href": self._home + place} for name, place in places.items()}}

        return _json({"transfer": "basic", "objects": [wanted | action(wanted["oid"]) for wanted in objects]})

    def _store(self, path: str, sent: bytes) -> Answer:
        """The store of large files is another service: a token would be too much said to it."""
        self.tokens_seen += [f"store {value}" for value in self.headers.get_all("Authorization", [])]
        oid = path.removeprefix("/objects/")
        if hashlib.sha256(sent).hexdigest() != oid:
            return _refused(400, "BadDigest")
        self.objects[oid] = sent
        return 200, {}, b""

    def _commit(self, name: str, sent: bytes) -> Answer:
        repository = self.repositories[name]
        for line in map(json.loads, sent.splitlines()):
            value = line["value"]
            if line["key"] == "header":
                repository.messages.append(value["summary"])
            elif line["key"] == "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
            else:
                assert line["key"] == "lfsFile", line
                repository.files[value["path"]] = self.objects[value["oid"]]
        return _json({"commitUrl": f"{self._home}/{name}/commit/{COMMIT}", "commitOid": COMMIT})

    def _entry(self, name: str, content: bytes) -> dict[str, Any]:
        size = self.sizes.get(name, len(content))
        return {"type": "file", "path": name, "size": size, "oid": hashlib.sha1(content).hexdigest()}

    @property
    def _home(self) -> str:
        return f"http://{self.headers['Host']}"


@contextmanager
def running_hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    """The handler class to fill, with the client pointed at its server and at an empty cache."""
    fresh: dict[str, Any] = {name: {} for name in ("files", "data", "sizes", "repositories", "objects")}
    fresh |= {"asked": [], "tokens_seen": []}
    handler = type("FilledHub", (Hub,), fresh)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache / "token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    yield handler
    server.shutdown()
    server.server_close()


def _refused(status: int, code: str) -> Answer:
    return status, {"X-Error-Code": code, "X-Error-Message": "refused"}, b""


def _json(content: Any, status: int = 200) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(content).encode()
