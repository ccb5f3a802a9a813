"""Artifacts over HTTP, from a folder and from S3: whole, in part, and not again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from app.main import create_app
from app.services.backend import Backend
from app.settings import Settings
from tests.servers import S3Server
from tests.work import claim, finish, publish, publisher_of, report, submit


@pytest.fixture(params=["folder", "s3"])
def stored(
    request: pytest.FixtureRequest, settings: Settings, backend: Backend
) -> Iterator[tuple[TestClient, Backend]]:
    """The service on either store."""
    if request.param == "s3":
        server: S3Server = request.getfixturevalue("s3")
        settings = settings.model_copy(
            update={
                "object_store_url": server.url,
                "s3_endpoint": server.endpoint,
                "s3_access_key": server.access_key,
                "s3_secret_key": SecretStr(server.secret_key),
            }
        )
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as api:
        yield api, api.app.state.backend  # type: ignore[attr-defined]


def published_artifact(api: TestClient, backend: Backend, folder: Path) -> tuple[dict[str, object], bytes]:
    """A module's artifact as the API shows it, and its bytes."""
    job_id = submit(backend)
    lease = claim(backend, job_id)
    content = publish(publisher_of(backend, lease), folder, 0, report(0.9))
    finish(backend, lease)
    return api.get(f"/v1/jobs/{job_id}/modules").json()["data"][0]["artifacts"][0], content


def fetch(api: TestClient, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    """Follows a redirect to S3 with a plain client, as a browser would: without our headers of authority."""
    answer = api.request(method, path, headers=headers, follow_redirects=False)
    if answer.status_code == 307:
        return httpx.request(method, answer.headers["location"], headers=headers)
    return answer


def test_the_bytes_are_the_ones_that_were_published(stored: tuple[TestClient, Backend], tmp_path: Path) -> None:
    artifact, content = published_artifact(*stored, tmp_path)
    assert artifact["sha256"] == hashlib.sha256(content).hexdigest()
    assert artifact["size_bytes"] == len(content)
    answer = fetch(stored[0], f"/v1/artifacts/{artifact['id']}/content")
    assert answer.status_code == 200
    assert answer.content == content
    assert answer.headers["content-length"] == str(len(content))
    assert "module-0-0.5.zip" in answer.headers["content-disposition"]


def test_a_part_is_sent_when_a_range_is_asked(stored: tuple[TestClient, Backend], tmp_path: Path) -> None:
    artifact, content = published_artifact(*stored, tmp_path)
    answer = fetch(stored[0], f"/v1/artifacts/{artifact['id']}/content", Range="bytes=10-19")
    assert answer.status_code == 206
    assert answer.content == content[10:20]
    assert answer.headers["content-range"] == f"bytes 10-19/{len(content)}"


def test_a_part_beyond_the_end_is_refused(stored: tuple[TestClient, Backend], tmp_path: Path) -> None:
    artifact, _ = published_artifact(*stored, tmp_path)
    assert fetch(stored[0], f"/v1/artifacts/{artifact['id']}/content", Range="bytes=999999-").status_code == 416


def test_head_tells_size_and_digest_without_a_redirect(stored: tuple[TestClient, Backend], tmp_path: Path) -> None:
    artifact, content = published_artifact(*stored, tmp_path)
    answer = stored[0].head(f"/v1/artifacts/{artifact['id']}/content", follow_redirects=False)
    assert answer.status_code == 200
    assert answer.headers["content-length"] == str(len(content))
    assert answer.headers["etag"] == f'"{artifact["sha256"]}"'
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.content == b""


def test_who_has_it_does_not_get_it_again(stored: tuple[TestClient, Backend], tmp_path: Path) -> None:
    artifact, _ = published_artifact(*stored, tmp_path)
    url = f"/v1/artifacts/{artifact['id']}/content"
    assert fetch(stored[0], url, **{"If-None-Match": f'"{artifact["sha256"]}"'}).status_code == 304


def test_the_etag_is_the_digest_whoever_sends_the_bytes(stored: tuple[TestClient, Backend], tmp_path: Path) -> None:
    artifact, _ = published_artifact(*stored, tmp_path)
    answer = stored[0].get(f"/v1/artifacts/{artifact['id']}/content", follow_redirects=False)
    assert answer.headers["etag"] == f'"{artifact["sha256"]}"'


def test_metadata_lists_what_is_inside(api: TestClient, backend: Backend, tmp_path: Path) -> None:
    artifact, _ = published_artifact(api, backend, tmp_path)
    shown = api.get(f"/v1/artifacts/{artifact['id']}").json()
    assert shown == artifact
    assert [file["path"] for file in shown["files"]] == ["config.json"]
    assert (shown["layout"], shown["media_type"]) == ("portable", "application/zip")


def test_a_file_that_is_gone_from_the_store_is_not_found(api: TestClient, backend: Backend, tmp_path: Path) -> None:
    artifact, _ = published_artifact(api, backend, tmp_path)
    for key in list(backend.objects.list()):
        backend.objects.delete(key)
    answer = api.get(f"/v1/artifacts/{artifact['id']}/content")
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


def test_equal_content_is_stored_once(api: TestClient, backend: Backend, tmp_path: Path) -> None:
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        published_artifact(api, backend, tmp_path / place)
    assert len(list(backend.objects.list())) == 1
