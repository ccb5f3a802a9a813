"""The demo's last act: modules that answer, and a story that does not end well when they do not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from app.sources import demo
from worker.demo import SENTENCES, WrongAnswer, answer, classify

MODEL = demo.FOLDER / "bert-tiny-wordnet"


@pytest.mark.parametrize("concern", SENTENCES)
def test_the_base_knows_the_sentences(concern: str) -> None:
    label, probability = answer(MODEL, SENTENCES[concern])
    assert label == concern
    assert probability > 0.9


def test_a_module_that_misses_its_own_concern_ends_the_story() -> None:
    with pytest.raises(WrongAnswer, match="took a plant for: animal"):
        classify(MODEL, "plant", SENTENCES["animal"])


def test_without_a_server_the_story_ends_with_the_exit_code_for_it() -> None:
    words = [sys.executable, "-m", "worker.demo", "--url", "http://127.0.0.1:1"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert "No answer from http://127.0.0.1:1" in done.stderr
