"""Each example runs as it is told to be run, against the service as it comes; only less of it is evaluated."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from microlith.contract import Event
from tests.serving import Service

FOLDER = Path(__file__).resolve().parents[2] / "examples"
TWO = ("--concern", "animal", "--concern", "food")


def printed(service: Service, name: str, *words: str) -> list[str]:
    """What the example prints."""
    command = [sys.executable, str(FOLDER / f"{name}.py"), *words]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"MICROLITH_URL": service.url}, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def loaded(name: str) -> dict[str, Any]:
    return runpy.run_path(str(FOLDER / f"{name}.py"))


def test_the_notebooks_table_has_each_module_on_its_own_class(service: Service) -> None:
    lines = printed(service, "notebook_table", "--concern", "food", "--limit", "20")
    assert lines[0] == "class,precision,recall,f1-score,support"
    assert lines[1].split(",")[0] == "food"
    feed_forward = 2 * 2 * 128 * 512
    linear = 2 * (4 * 128 * 129 + 512 * 129 + 128 * 513) + 128 * 129 + 12 * 129
    assert f" {feed_forward / 2 / linear:.4f} " in lines[-1]
    assert len(re.findall(r"\d\.\d{3} / \d\.\d{3}", lines[-1])) == 3


def test_a_classifier_is_put_together_again_and_answers(service: Service) -> None:
    lines = printed(service, "recompose", *TWO, "--limit", "60")
    assert re.fullmatch(r"macro-F1: 0\.\d{3}, the original's 0\.\d{3}, difference [+-]0\.\d{3} \[.*\]", lines[0])
    assert lines[-1].endswith(": animal")


def test_a_sweep_ends_with_a_choice_for_every_class(service: Service, tmp_path: Path) -> None:
    lines = printed(service, "sweep", "--concern", "animal", "--limit", "100", "--folder", str(tmp_path))
    assert lines[0].startswith("animal")
    found = re.search(r"ratio (0\.\d): F1 (0\.\d{3}), the base's (0\.\d{3}), (\d+)% of its parameters", lines[0])
    assert found, lines
    assert float(found[2]) >= float(found[3]) - 0.01
    assert int(found[4]) < 100
    assert (tmp_path / f"animal-{found[1]}" / "model.safetensors").is_file()


def test_a_csv_and_a_model_of_ones_own_become_modules(service: Service) -> None:
    lines = printed(service, "own_data")
    assert [line.split()[0] for line in lines[:3]] == ["animal", "food", "plant"]
    assert all(re.search(r" F1 0\.[5-9]\d\d, the base's 0\.[5-9]\d\d, 120 examples$", line) for line in lines[:3])
    assert "opened as BertForSequenceClassification" in lines[-1]


def test_events_are_delivered_signed_in_order(service: Service) -> None:
    lines = printed(service, "webhook", "--limit", "60")
    assert [line.split()[0] for line in lines] == ["job.running", "module.ready", "module.ready", "job.succeeded"]


def event() -> Event:
    facts = {"id": "evt_1", "job_id": "job_1", "seq": 1, "type": "module.ready", "data": {"module_id": "mod_1"}}
    return Event.model_validate(facts | {"created_at": "2026-11-01T12:00:00Z"})


def test_a_delivery_that_comes_twice_is_taken_once(capsys: pytest.CaptureFixture[str]) -> None:
    webhook = loaded("webhook")
    with webhook["receiving"]("secret") as url:
        webhook["deliver"](event(), url, "secret")
        webhook["deliver"](event(), url, "secret")
    assert capsys.readouterr().out == 'module.ready    {"module_id": "mod_1"}\n'


def test_a_delivery_with_a_wrong_signature_is_not_taken(capsys: pytest.CaptureFixture[str]) -> None:
    webhook = loaded("webhook")
    with webhook["receiving"]("secret") as url:
        body = json.dumps({"type": "job.succeeded", "data": {}}).encode()
        forged = {"X-Hub-Signature-256": webhook["signature"]("another secret", body)}
        assert httpx.post(url, content=body, headers=forged, trust_env=False).status_code == 401
    assert capsys.readouterr().out == ""


def test_the_signature_is_githubs() -> None:
    """The example of GitHub's own documentation, Validating webhook deliveries."""
    signed = loaded("webhook")["signature"]("It's a Secret to Everybody", b"Hello, World!")
    assert signed == "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"


def test_every_example_is_run_here() -> None:
    named = re.findall(r'printed\(service, "(\w+)"', Path(__file__).read_text())
    assert sorted(named) == sorted(path.stem for path in FOLDER.glob("*.py"))
