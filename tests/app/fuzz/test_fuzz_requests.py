"""No bytes in a request's line or headers are answered by a fault of ours (MICROLITH_FUZZ=5000 for a long run)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from app.main import create_app
from app.services.backend import Backend
from tests import work

KEY = "a-key-of-some-length"
EXAMPLES = int(os.environ.get("MICROLITH_FUZZ", "50"))

JOB = "the id of a job that there is"
DIGITS = st.sampled_from(
    ["0", "-1", "1", "9" * 18, "9" * 19, "9" * 30, "9" * 4401, "9" * 5000, "１", "²", "1e9", "0x1", ""]
)
TEXTS = st.one_of(
    DIGITS,
    st.text(max_size=40),
    st.sampled_from(
        ["\0", "a\0b", "%", "../..", "/" * 30, "x" * 5000, "*", '"', "é" * 300, "http://[", "[", "::1", "null"]
    ),
)
PARTS = st.one_of(
    st.just(JOB),
    st.sampled_from(
        ["%00", "%ED%A0%80", "%FF%FE", "job_01", "job_%00", "..%2f..", "x" * 3000, "%2F", "%", "%zz", "é", ":"]
    ),
    st.text("abc0_%:.-~é\0", min_size=1, max_size=20).map(lambda text: "".join(f"%{b:02X}" for b in text.encode())),
)
NAMES = (
    "accept",
    "accept-encoding",
    "authorization",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "hx-request",
    "idempotency-key",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "last-event-id",
    "origin",
    "prefer",
    "range",
    "sec-fetch-mode",
    "sec-fetch-site",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-request-id",
)
SHAPES = {
    "accept": ["text/html", "text/event-stream", "*/*;q=a"],
    "authorization": ["Bearer", "Bearer ", "bearer é", "Basic Zg==", f"Bearer {'k' * 9000}"],
    "content-length": ["-1", "+5", "1_0", "5, 5", "9" * 4401],
    "cookie": [
        "microlith_session=",
        "microlith_session=9999999999.00",
        "=;=;",
        'microlith_session="\\"',
        "a=" + "b" * 9000,
    ],
    "host": ["[", "http://[", "a b", "127.0.0.1:99999999", "[::1", "[::1]:8000", "", "é"],
    "if-none-match": ["*", 'W/"', ",,,,", '"' * 3000],
    "last-event-id": ["9" * 5000, "9" * 30, "-1", str(2**63), str(2**63 - 1)],
    "origin": ["http://[", "http://[::", "null", "file://", "http://é", "http://a:b:c"],
    "prefer": ["wait=", "wait=999999999999", "wait=-1", 'wait="0', "wait=0" * 500],
    "range": [
        "bytes=",
        "bytes=-",
        "bytes=9-1",
        f"bytes={'9' * 5000}-",
        "bytes=0-0," * 500,
        "pages=1",
        "bytes=a-b",
        "bytes=--1",
    ],
    "x-forwarded-for": ["::::", "1.1.1.1:port", ","],
}
HEADERS = st.lists(
    st.sampled_from(NAMES).flatmap(
        lambda name: st.tuples(st.just(name), st.one_of(st.sampled_from(SHAPES.get(name, ["x"])), TEXTS))
    ),
    max_size=6,
)
ASKED = (
    "after",
    "created_after",
    "created_before",
    "cursor",
    "dataset",
    "kind",
    "label.a",
    "limit",
    "method",
    "model",
    "next",
    "state",
    "token",
)
QUERIES = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "after",
                "cursor",
                "limit",
                "state",
                "kind",
                "model",
                "dataset",
                "method",
                "created_after",
                "created_before",
                "label.a",
                "next",
                "token",
                "x",
            ]
        ),
        st.one_of(
            TEXTS, PARTS, st.sampled_from(["AA", "AAAA", "_" * 400, "//8", "am9iXwA", "0001-01-01T00:00:00+14:00"])
        ),
    ),
    max_size=5,
)


@pytest.fixture
def quiet(backend: Backend) -> Iterator[TestClient]:
    """A service that answers faults as it does in life."""
    with TestClient(
        create_app(backend.settings), base_url="http://127.0.0.1", raise_server_exceptions=False, follow_redirects=False
    ) as api:
        api.job = _over(api, backend)  # type: ignore[attr-defined]
        yield api


@pytest.fixture
def keyed(backend: Backend) -> Iterator[TestClient]:
    """One that asks for a key."""
    settings = backend.settings.model_copy(update={"api_key": SecretStr(KEY)})
    with TestClient(
        create_app(settings), base_url="http://127.0.0.1", raise_server_exceptions=False, follow_redirects=False
    ) as api:
        api.job = "job_01"  # type: ignore[attr-defined]
        yield api


def _over(api: TestClient, backend: Backend) -> str:
    """A job whose stream of events ends."""
    job_id = work.submit(backend)
    assert api.post(f"/v1/jobs/{job_id}/cancel").status_code == 202
    return job_id


def routes(api: TestClient) -> list[str]:
    """Every path that is read, of the API and of the pages."""
    described = [path for path, calls in api.app.openapi()["paths"].items() if "get" in calls]  # type: ignore[attr-defined]
    return [
        *described,
        "/",
        "/jobs/{id}",
        "/modules/{id}",
        "/compare",
        "/models",
        "/sign-in",
        "/static/{id}",
        "/new",
        "/{id}",
    ]


def taken(api: TestClient, template: str, query: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """What of a query a call looks at, and one name that it does not know: the rest is refused before anything is."""
    described = api.app.openapi()["paths"].get(template)  # type: ignore[attr-defined]
    if described is None:
        return query
    names = {one["name"] for one in described["get"].get("parameters", [])} | {"label.a", "x"}
    return [(name, value) for name, value in dict(query).items() if name in names]


def asked(api: TestClient, template: str, part: str, query: Any, headers: Any) -> None:
    """Ask, and look at the answer."""
    part = api.job if part == JOB else part  # type: ignore[attr-defined]
    path = "/".join(part if "{" in piece else piece for piece in template.split("/"))
    sent = [(name.encode(), value.encode("utf-8", "surrogatepass")) for name, value in headers]
    known = taken(api, template, query)
    request = api.build_request("GET", "/", params=known, headers=[pair for pair in sent if b"\n" not in pair[1]])
    request.url = request.url.copy_with(raw_path=quote(path, safe="/%:").encode() + b"?" + request.url.query)
    answer = api.send(request)
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400 and not answer.headers["content-type"].startswith("text/html"):
        assert answer.json()["code"], answer.text


FUZZED = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


@FUZZED
@given(data=st.data(), part=PARTS, query=QUERIES, headers=HEADERS)
def test_nothing_in_a_request_breaks_the_service(
    quiet: TestClient, data: st.DataObject, part: str, query: list[tuple[str, str]], headers: list[tuple[str, str]]
) -> None:
    asked(quiet, data.draw(st.sampled_from(routes(quiet))), part, query, headers)


@FUZZED
@given(data=st.data(), part=PARTS, query=QUERIES, headers=HEADERS)
def test_nor_one_that_asks_for_a_key(
    keyed: TestClient, data: st.DataObject, part: str, query: list[tuple[str, str]], headers: list[tuple[str, str]]
) -> None:
    asked(keyed, data.draw(st.sampled_from(routes(keyed))), part, query, headers)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in SHAPES.items() for value in values])
def test_every_header_that_ever_broke_a_service_is_answered_by_every_route(
    quiet: TestClient, name: str, value: str
) -> None:
    for template in ("/v1/jobs", "/v1/jobs/{id}", "/v1/jobs/{id}/events", "/healthz", "/readyz", "/", "/static/{id}"):
        asked(quiet, template, JOB, [], [(name, value), ("accept", "text/event-stream")])
