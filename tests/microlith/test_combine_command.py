"""`microlith modules combine`: what it sends, and which files it brings home."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import wire
from small_service import Reply, SmallService, answer
from typer.testing import CliRunner

from microlith.cli import app

IDS = [f"mod_{'0' * 25}{place}" for place in "12"]


def test_every_layout_of_a_class_set_comes_home(
    service: SmallService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MICROLITH_URL", service.url)
    files = {"art_1": b"portable", "art_2": b"mask"}
    made = [wire.artifact(content) | {"id": name, "layout": content.decode()} for name, content in files.items()]
    for one, content in zip(made, files.values(), strict=True):
        one["urls"] = {"self": f"/v1/artifacts/{one['id']}", "content": f"/v1/artifacts/{one['id']}/content"}
        service.on(f"GET /v1/artifacts/{one['id']}/content", Reply(content))
    service.on("POST /v1/modules:combine", answer(wire.job(), 202))
    service.on("GET /v1/jobs/job_1", answer(wire.job("succeeded", kind="combine", artifacts=made)))
    service.on("GET /v1/jobs/job_1/results", answer(wire.results()))
    words = ["modules", "combine", *IDS, "--dataset", "demo:d", "--mode", "class_set", "--out", str(tmp_path / "set")]
    done = CliRunner().invoke(app, [*words, "--layout", "portable", "--layout", "mask", "--recovery", "bias"])
    assert done.exit_code == 0, done.output
    service.on("GET /v1/jobs/job_1/modules", answer({"data": [], "next_cursor": None}))
    again = CliRunner().invoke(app, ["download", "job_1", str(tmp_path / "again"), "--layout", "mask", "--json"])
    assert [one["artifact"] for one in json.loads(again.stdout)] == ["art_2"], "what they became is the job's own file"
    other = CliRunner().invoke(app, ["download", "job_1", str(tmp_path / "other"), "--layout", "onnx"])
    assert other.exit_code == 2
    assert "portable, mask" in other.output
    shown = CliRunner().invoke(app, ["jobs", "show", "job_1"])
    assert "art_1" in shown.stdout
    sent = json.loads(service.calls("POST /v1/modules:combine")[-1].body)
    assert (sent["mode"], sent["modules"], sent["export"]["layouts"]) == ("class_set", IDS, ["portable", "mask"])
    assert sent["recovery"] == "bias"
    assert sorted(file.name for file in (tmp_path / "set").iterdir()) == ["art_1.zip", "art_2.zip"]
