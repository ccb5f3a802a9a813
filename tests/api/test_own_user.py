"""Without a key a server serves who started it; other users of the machine need the token that it printed."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import httpx
import pytest
from pydantic import SecretStr

from app.api import loopback_user
from app.server import serve_in_background
from app.services.backend import Backend
from tests.strangers import NOBODY, as_nobody, needs_another_user

TOKEN = "a-token-of-some-length"


@pytest.fixture
def url(backend: Backend) -> Iterator[str]:
    """A server with a token, on a real socket."""
    with serve_in_background(backend.settings.model_copy(update={"token": SecretStr(TOKEN)})) as url:
        yield url


def test_who_started_the_server_needs_no_token(url: str) -> None:
    assert httpx.get(f"{url}/v1/jobs").status_code == 200
    assert "checks" in httpx.get(f"{url}/readyz").json()


@needs_another_user
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/methods", "/metrics", "/openapi.json", "/v1/models/path:x"])
def test_another_user_of_the_machine_is_refused_and_is_not_with_the_token(url: str, path: str) -> None:
    refused = as_nobody(url, path)
    assert refused.startswith("HTTP/1.1 401")
    assert "UNAUTHENTICATED" in refused
    assert "another user of this machine" in refused
    assert as_nobody(url, path, "Authorization: Bearer wrong").startswith("HTTP/1.1 401")
    assert not as_nobody(url, path, f"Authorization: Bearer {TOKEN}").startswith("HTTP/1.1 401")


@needs_another_user
def test_another_user_sees_that_the_server_lives_and_no_more(url: str) -> None:
    assert as_nobody(url, "/healthz").startswith("HTTP/1.1 200")
    assert as_nobody(url, "/readyz").endswith('\r\n\r\n{"status":"ready"}')


@needs_another_user
def test_another_user_cannot_pretend_to_be_connected_elsewhere(url: str) -> None:
    with httpx.Client() as client:
        client.get(f"{url}/healthz")
        for pretended in ("127.0.0.1", "127.0.0.1:22", "::1"):
            assert as_nobody(url, "/v1/jobs", f"X-Forwarded-For: {pretended}").startswith("HTTP/1.1 401")


@needs_another_user
def test_a_page_of_another_user_leads_to_the_sign_in_where_the_token_opens(url: str) -> None:
    answer = as_nobody(url, "/models", "Accept: text/html")
    assert answer.startswith("HTTP/1.1 303")
    assert "location: /sign-in?next=/models" in answer


@needs_another_user
def test_a_connection_that_is_closed_already_is_nobodys_and_not_roots() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        os.seteuid(NOBODY)
        caller = socket.socket()
        os.seteuid(0)
        caller.connect(server.getsockname())
        accepted, local = server.accept()
        assert loopback_user.owner(local, accepted.getsockname()) == NOBODY
        assert loopback_user.owner_in_proc(local, accepted.getsockname()) == NOBODY
        caller.close()
        assert loopback_user.owner(local, accepted.getsockname()) is None
        assert loopback_user.owner_in_proc(local, accepted.getsockname()) is None
        accepted.close()


@needs_another_user
def test_the_owner_of_a_connection_over_ipv6_is_known_as_well() -> None:
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with server, socket.create_connection(server.getsockname()[:2]) as caller:
        ends = caller.getsockname()[:2], server.getsockname()[:2]
        assert loopback_user.owner_by_netlink(*ends) == loopback_user.owner_in_proc(*ends) == os.geteuid()


def test_where_the_kernel_does_not_tell_the_token_is_needed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loopback_user.sys, "platform", "darwin")
    assert httpx.get(f"{url}/v1/jobs").status_code == 401
    assert httpx.get(f"{url}/v1/jobs", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_the_address_that_was_printed_becomes_a_session_without_the_token(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loopback_user, "is_own", lambda _: False)
    with httpx.Client(base_url=url) as browser:
        answer = browser.get("/v1/jobs", params={"limit": "5", "token": TOKEN})
        assert (answer.status_code, answer.headers["location"]) == (303, "/v1/jobs?limit=5")
        assert TOKEN not in answer.headers["set-cookie"]
        assert browser.get(answer.headers["location"]).status_code == 200
        assert httpx.get(f"{url}/v1/jobs", params={"token": "wrong"}).status_code == 401
        assert httpx.get(f"{url}//evil.example/?token={TOKEN}").headers["location"] == "/evil.example/"


def test_a_server_that_asks_for_no_token_serves_every_user_of_the_machine(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loopback_user, "is_own", lambda _: False)
    with serve_in_background(backend.settings) as url:
        assert httpx.get(f"{url}/v1/jobs").status_code == 200
