"""Data files are looked at by a confined process that ends, whatever they do to it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from app.sources.datasets import describe_dataset
from microlith.contract import DatasetSpec

STORY = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from app import confined
from app.domain.errors import MicrolithError
from app.sources import aside
from microlith.contract import DatasetSpec

started, run = [], confined.run
def counted(reading):
    started.append(reading)
    return run(reading)
confined.run = counted

def ask(ref):
    try:
        return aside.describe_dataset(DatasetSpec(ref=ref), ["train"], allow_paths=True).model_dump(mode="json")
    except MicrolithError as error:
        return [type(error).__name__, error.detail, error.pointer]

with ThreadPoolExecutor(8) as many:
    answers = list(many.map(ask, [sys.argv[1]] * 8))
assert all(answer == answers[0] for answer in answers)
first = len(started)
open(sys.argv[1].removeprefix("path:"), "a").write("one more,animal\\n")
later = ask(sys.argv[1])
print(json.dumps([answers[0], first, later, ask(sys.argv[2]), len(started), "pyarrow" in sys.modules]))
"""


def test_each_content_is_looked_at_once_by_a_process_that_ends_and_errors_come_back_whole(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("text,label\na cat,animal\nan oak,plant\n")
    bad.write_text("text,colour\na cat,red\n")
    here = describe_dataset(DatasetSpec(ref=f"path:{good}"), ["train"], allow_paths=True)
    command = [sys.executable, "-c", STORY, f"path:{good}", f"path:{bad}"]
    done = subprocess.run(command, capture_output=True, check=True)
    answers: list[Any] = json.loads(done.stdout)
    there, first, later, error, looks, grown = answers
    assert here is not None
    assert there == here.model_dump(mode="json")
    assert later["splits"]["train"]["rows"] == 3
    assert (error[0], error[2]) == ("DatasetInvalid", "/dataset/label_column")
    assert "colour" in error[1]
    assert (first, looks, grown) == (1, 3, False)
