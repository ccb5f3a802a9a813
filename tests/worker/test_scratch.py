"""Where a job keeps its work in progress."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from worker.attempt.scratch import scratch


def test_a_folder_is_gone_with_its_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with scratch() as folder:
        (folder / "half a module").write_text("…")
        assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_a_live_one_uses_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    program = "import os, worker.attempt.scratch as s; c = s.scratch(); (c.__enter__() / 'x').touch(); os._exit(9)"
    environment = {"TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", program], env=environment, check=False)
    (left,) = tmp_path.iterdir()
    with scratch() as mine:
        assert not left.exists()
        with scratch():
            assert mine.exists()
