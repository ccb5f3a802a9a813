"""Who may call."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr, ValidationError

from app.main import create_app
from app.services.backend import Backend
from app.settings import Settings

KEY = "a-key-of-some-length"
BEARER = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
def guarded(backend: Backend) -> Iterator[TestClient]:
    """A service that asks for a key."""
    settings = backend.settings.model_copy(update={"api_key": SecretStr(KEY)})
    with TestClient(create_app(settings), base_url="http://example.org") as api:
        yield api


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/methods", "/v1/models", "/metrics", "/openapi.json", "/docs", "/no"])
def test_every_call_without_the_key_is_unauthenticated(guarded: TestClient, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": KEY}, {"Authorization": f"Basic {KEY}"}):
        answer = guarded.get(path, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["content-type"] == "application/problem+json"


def test_the_key_opens_the_door(guarded: TestClient) -> None:
    assert guarded.get("/v1/jobs", headers=BEARER).status_code == 200
    assert guarded.get("/v1/jobs", headers={"Authorization": f"bearer  {KEY}"}).status_code == 200


def test_probes_need_no_key(guarded: TestClient) -> None:
    assert guarded.get("/healthz").status_code == 200
    assert guarded.get("/readyz").status_code == 200


def test_without_a_key_only_this_machine_by_its_own_name_may_call(api: TestClient) -> None:
    assert api.get("/v1/jobs", headers={"Host": "localhost:8000"}).status_code == 200
    assert api.get("/v1/jobs", headers={"Host": "[::1]:8000"}).status_code == 200
    rebound = api.get("/v1/jobs", headers={"Host": "evil.example"})
    assert (rebound.status_code, rebound.json()["code"]) == (401, "UNAUTHENTICATED")


def test_a_page_of_another_site_cannot_send_a_job(api: TestClient) -> None:
    answer = api.post("/v1/jobs", content="{}", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 422
    assert (
        "access-control-allow-origin" not in api.options("/v1/jobs", headers={"Origin": "https://evil.example"}).headers
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org"])
def test_the_server_refuses_to_listen_outside_loopback_without_a_key(host: str) -> None:
    with pytest.raises(ValidationError, match="MICROLITH_API_KEY"):
        Settings(host=host)
    assert not Settings(host=host, api_key=SecretStr(KEY)).loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.5", "localhost", "::1"])
def test_loopback_needs_no_key(host: str) -> None:
    assert Settings(host=host).loopback


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="too short"):
        Settings(api_key=SecretStr("short"))
