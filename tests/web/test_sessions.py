"""A browser signs in with the key once; other sites change nothing, whether there is a key or not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from app.api import sessions
from app.main import create_app
from app.server import serve_in_background
from app.services import signing_out
from app.services.backend import Backend
from tests import work

KEY = "a-key-of-some-length"
PERSON = {"Accept": "text/html"}
FORM = {"Content-Type": "application/x-www-form-urlencoded", **PERSON}


@pytest.fixture
def guarded(backend: Backend) -> Iterator[TestClient]:
    """A service that asks for a key, and a browser that follows no redirects."""
    settings = backend.settings.model_copy(update={"api_key": SecretStr(KEY)})
    with TestClient(create_app(settings), base_url="https://example.org", follow_redirects=False) as api:
        yield api


def sign_in(api: TestClient, key: str = KEY, place: str = "/sign-in") -> object:
    return api.post(place, content=f"key={key}", headers=FORM)


def test_a_page_without_a_session_leads_to_the_sign_in_and_back(guarded: TestClient) -> None:
    answer = guarded.get("/models", headers=PERSON)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=/models")
    assert guarded.get("/sign-in", headers=PERSON).status_code == 200
    answer = guarded.post("/sign-in?next=/models", content=f"key={KEY}", headers=FORM)
    assert (answer.status_code, answer.headers["location"]) == (303, "/models")
    assert guarded.get("/models", headers=PERSON).status_code == 200


def test_a_part_of_a_page_without_a_session_leads_there_too(guarded: TestClient) -> None:
    answer = guarded.get("/", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["hx-redirect"]) == (204, "/sign-in")


def test_the_cookie_is_for_this_server_alone_and_does_not_hold_the_key(guarded: TestClient) -> None:
    answer = guarded.post("/sign-in", content=f"key={KEY}", headers=FORM)
    cookie = answer.headers["set-cookie"]
    for said in ("HttpOnly", "SameSite=strict", "Secure", "Path=/"):
        assert said in cookie
    assert KEY not in cookie


def test_a_session_opens_the_api_to_the_pages_scripts(guarded: TestClient) -> None:
    sign_in(guarded)
    assert guarded.get("/v1/jobs").status_code == 200


def test_a_wrong_key_is_said_to_be_wrong(guarded: TestClient) -> None:
    answer = guarded.post("/sign-in", content="key=another-key-of-length", headers=FORM)
    assert answer.status_code == 401
    assert "This key is wrong" in answer.text
    assert "set-cookie" not in answer.headers


FORGED = ["", "x", "..", "id.time", f"id.aRyZ1g.{'a' * 43}", f"id.{'z' * 20}.{'a' * 43}", "é.é.é"]


@pytest.mark.parametrize("session", FORGED)
def test_a_forged_session_opens_nothing(guarded: TestClient, session: str) -> None:
    cookie = f"{sessions.COOKIE}={session}".encode()
    assert guarded.get("/v1/jobs", headers=[(b"Cookie", cookie)]).status_code == 401


def test_a_session_ends_with_its_time_and_with_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    session = sessions.new_session(KEY)
    assert sessions.session_in(session, KEY)
    assert not sessions.session_in(session, "another-key-of-length")
    later = time.time() + sessions.SESSION_SECONDS + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert not sessions.session_in(session, KEY)


def test_signing_out_ends_the_session_of_this_browser(guarded: TestClient) -> None:
    sign_in(guarded)
    assert guarded.post("/sign-out", headers=PERSON).headers["location"] == "/sign-in"
    assert guarded.get("/v1/jobs").status_code == 401


def test_a_session_that_was_ended_opens_nothing_to_who_has_kept_its_cookie(
    guarded: TestClient, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither here nor in another process of the service, once it has looked."""
    monkeypatch.setattr(signing_out, "FRESH_SECONDS", 0.0)
    sign_in(guarded)
    kept = {"Cookie": f"{sessions.COOKIE}={guarded.cookies[sessions.COOKIE]}"}
    settings = backend.settings.model_copy(update={"api_key": SecretStr(KEY)})
    with TestClient(create_app(settings), base_url="https://example.org") as elsewhere:
        assert elsewhere.get("/v1/jobs", headers=kept).status_code == 200
        guarded.post("/sign-out", headers=PERSON)
        assert guarded.get("/v1/jobs", headers=kept).status_code == 401
        assert elsewhere.get("/v1/jobs", headers=kept).status_code == 401
        sign_in(guarded)
        assert guarded.get("/v1/jobs").status_code == 200


def test_an_ended_session_is_kept_until_its_time_is_over(backend: Backend) -> None:
    now = datetime.now(UTC)
    with backend.database.unit() as unit:
        unit.sessions.end("old", now - timedelta(seconds=1), "default")
        unit.sessions.end("new", now + timedelta(hours=1), "default")
        unit.sessions.end("new", now + timedelta(hours=1), "default")
    with backend.database.glance() as unit:
        assert unit.sessions.ended() == {"new"}


@pytest.mark.parametrize(("proxy", "secure"), [("127.0.0.1", True), ("10.0.0.0/8", False)])
def test_behind_a_proxy_with_tls_the_cookie_is_for_tls_alone(backend: Backend, proxy: str, secure: bool) -> None:
    update = {"api_key": SecretStr(KEY), "forwarded_allow_ips": proxy}
    with serve_in_background(backend.settings.model_copy(update=update)) as url:
        headers = {**FORM, "X-Forwarded-Proto": "https"}
        answer = httpx.post(f"{url}/sign-in", content=f"key={KEY}", headers=headers)
    assert ("Secure" in answer.headers["set-cookie"]) == secure


@pytest.mark.parametrize("elsewhere", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:x"])
def test_the_sign_in_leads_to_no_other_site(guarded: TestClient, elsewhere: str) -> None:
    answer = guarded.post("/sign-in", params={"next": elsewhere}, content=f"key={KEY}", headers=FORM)
    assert answer.headers["location"] == "/"


FOREIGN = [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}]


@pytest.mark.parametrize("headers", [*FOREIGN, {"Origin": "null"}])
def test_a_page_of_another_site_changes_nothing_on_this_machine(
    api: TestClient, backend: Backend, headers: dict[str, str]
) -> None:
    job_id = work.submit(backend)
    for place in (f"/jobs/{job_id}/cancel", f"/v1/jobs/{job_id}/cancel"):
        answer = api.post(place, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "FOREIGN_PAGE")
    assert api.get(f"/v1/jobs/{job_id}").json()["state"] == "queued"


ASKED = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
FOLLOWED = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
FRAMED = FOLLOWED | {"Sec-Fetch-Dest": "iframe"}


@pytest.mark.parametrize("headers", [ASKED, FRAMED, {"Origin": "https://evil.example"}, {"Origin": "http://["}])
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/methods", "/compare", "/metrics", "/readyz"])
def test_a_page_of_another_site_does_not_have_us_work(api: TestClient, headers: dict[str, str], path: str) -> None:
    answer = api.get(path, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "FOREIGN_PAGE")


def test_a_link_on_another_site_leads_here(api: TestClient) -> None:
    assert api.get("/", headers=FOLLOWED | PERSON).status_code == 200
    assert api.post("/v1/jobs/job_x/cancel", headers=FOLLOWED).status_code == 403


@pytest.mark.parametrize(
    "path", ["/v1/jobs", "/v1/jobs/job_x", "/healthz", "/", "/static/icon.svg", "/v1/no", "/openapi.json"]
)
def test_no_answer_is_taken_for_another_type_than_it_says(api: TestClient, path: str) -> None:
    assert api.get(path).headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("headers", FOREIGN)
def test_nor_does_it_use_somebodys_session(guarded: TestClient, headers: dict[str, str]) -> None:
    sign_in(guarded)
    assert guarded.post("/v1/jobs/job_x/cancel", headers=headers).status_code == 403


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://127.0.0.1"}])
def test_this_servers_own_pages_and_programs_may(api: TestClient, backend: Backend, headers: dict[str, str]) -> None:
    assert api.post(f"/v1/jobs/{work.submit(backend)}/cancel", headers=headers).status_code == 202


def test_with_the_key_in_hand_no_session_is_needed(guarded: TestClient) -> None:
    assert guarded.get("/models", headers={"Authorization": f"Bearer {KEY}", **PERSON}).status_code == 200
