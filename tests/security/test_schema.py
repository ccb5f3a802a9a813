"""The API keeps what its OpenAPI document promises, whatever is sent: schemathesis with all of its checks.

`MICROLITH_FUZZ` says how many examples of each call are tried (`make fuzz`: the long form).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from app.server import serve_in_background
from app.services.backend import Backend
from tests import work

KEY = "a-key-of-some-length"
EXAMPLES = int(os.environ.get("MICROLITH_FUZZ", "4"))
CONFIG = Path(__file__).with_name("schemathesis.toml")
SHORT = EXAMPLES < 10
MOST_SECONDS = 150 if SHORT else 7200


@pytest.mark.timeout(MOST_SECONDS + 60)
def test_the_api_is_what_its_document_says_for_whatever_is_sent(backend: Backend, tmp_path: Path) -> None:
    keyed = backend.settings.model_copy(update={"api_key": SecretStr(KEY), "allow_paths": False})
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG.read_text(encoding="utf-8") + _there(backend, tmp_path), encoding="utf-8")
    with serve_in_background(keyed) as url:
        done = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", "--config-file", config, "run", f"{url}/openapi.json", *OPTIONS],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=MOST_SECONDS,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    assert "Tested: 35" in done.stdout, "every call is tried"


OPTIONS = (
    f"--header=Authorization: Bearer {KEY}",
    "--checks=all",
    "--phases=examples,coverage,fuzzing,stateful",
    f"--max-examples={EXAMPLES}",
    "--continue-on-failure",
    "--request-timeout=60",
    "--no-color",
    *(["--generation-deterministic"] if SHORT else []),
)


def _there(backend: Backend, folder: Path) -> str:
    """Things to read, so that answers are looked at and not refusals alone: a finished job with two modules."""
    job_id = work.submit(backend, concerns=["act", "animal"], labels={"team": "lexicon"})
    lease = work.claim(backend, job_id)
    publisher = work.publisher_of(backend, lease)
    publisher.publish_base(work.base_result())
    for concern in (0, 1):
        work.publish(publisher, folder, concern, work.report(0.9, 0.8, 0.7))
    work.finish(backend, lease)
    with backend.database.unit() as unit:
        modules = unit.modules.of_job(job_id)
        artifacts = unit.artifacts.of_modules([modules[0].id])
    ids = {"job_id": job_id, "module_id": modules[0].id, "artifact_id": artifacts[0].id}
    told = "\n".join(f"{json.dumps(f'path.{name}')} = {json.dumps(value)}" for name, value in ids.items())
    return f'\n[[operations]]\ninclude-method = ["GET", "HEAD"]\n[operations.parameters]\n{told}\n'


@pytest.mark.parametrize("number", ["0.5", "1700000000", "-1", "1e9", ""])
def test_a_number_is_no_time(api: TestClient, number: str) -> None:
    answer = api.get("/v1/jobs", params={"created_before": number})
    assert (answer.status_code, answer.json()["code"]) == (422, "VALIDATION_ERROR")
    assert api.get("/v1/jobs", params={"created_before": "2026-11-01T12:00:00Z"}).status_code == 200


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/jobs", "GET, POST"),
        ("/v1/jobs/job_1", "DELETE, GET"),
        ("/v1/models/mdl_1", "DELETE, GET"),
        ("/v1/methods", "GET"),
    ],
)
def test_a_wrong_method_is_told_every_right_one(api: TestClient, path: str, allowed: str) -> None:
    answer = api.request("PATCH", path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize("kind", ["models", "datasets"])
def test_a_name_with_a_line_break_is_no_wrong_method(api: TestClient, kind: str) -> None:
    assert api.get(f"/v1/{kind}/a%0Ab").status_code == 404
    assert api.delete(f"/v1/{kind}/a/b").status_code == 404
