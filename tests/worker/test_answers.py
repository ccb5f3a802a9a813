"""Answers in bfloat16, and the rule under which they count."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import worker.evaluation.numerics
import worker.kinds.measure
from microlith.contract import JobSpec
from tests.builders import tiny_bert, tiny_examples
from tests.work import DEMO
from tests.worker.conftest import Product
from worker.evaluation.numerics import Questions
from worker.evaluation.runner import predict
from worker.evaluation.shortcuts import Shortcuts
from worker.sources.open_sources import open_sources


def questions(*, reduced: bool) -> Questions:
    return Questions(tiny_examples(300), tiny_examples(40), Shortcuts(), reduced)


def test_float32_is_what_is_not_asked_otherwise() -> None:
    model = tiny_bert()
    answers = questions(reduced=False).ask(model)
    np.testing.assert_array_equal(answers.test, predict(model, tiny_examples(300)))
    assert answers.numerics is None


def test_bfloat16_counts_where_it_predicts_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker.evaluation.numerics, "AGREEMENT", 0.9)
    model, rows = tiny_bert(), []
    plain = predict(model, tiny_examples(300))
    answers = questions(reduced=True).ask(model, rows.append)
    assert answers.numerics is not None
    same = float((answers.test.argmax(1) == plain.argmax(1)).mean())
    assert (answers.numerics.dtype, answers.numerics.agreement, answers.numerics.examples) == ("bfloat16", same, 300)
    assert 0 < np.abs(answers.test - plain).max() < 0.2
    assert answers.test.dtype == np.float32
    assert rows == sorted(rows), "progress never goes back"
    assert rows[-1] == 340


def test_where_it_does_not_everything_is_answered_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker.evaluation.numerics, "AGREEMENT", 1.1)
    model, rows = tiny_bert(), []
    answers = questions(reduced=True).ask(model, rows.append)
    np.testing.assert_array_equal(answers.test, predict(model, tiny_examples(300)))
    np.testing.assert_array_equal(answers.validation, predict(model, tiny_examples(40)))
    assert answers.numerics is not None
    assert answers.numerics.dtype == "float32"
    assert answers.numerics.agreement <= 1
    assert rows == sorted(rows)


@pytest.mark.parametrize(
    ("dtype", "device", "reduced"),
    [("auto", "cpu", False), ("auto", "cuda", True), ("bfloat16", "cpu", True), ("float32", "cuda", False)],
)
def test_it_is_tried_on_cuda_and_where_somebody_asks(
    monkeypatch: pytest.MonkeyPatch, dtype: str, device: str, reduced: bool
) -> None:
    spec = JobSpec.model_validate(DEMO | {"evaluation": {"dtype": dtype}})
    sources = open_sources(spec, allow_paths=False, device=torch.device("cpu"))
    monkeypatch.setattr(worker.kinds.measure, "device_of", lambda _model: torch.device(device))
    assert worker.kinds.measure._reduced(spec, sources) is reduced


def test_a_job_in_bfloat16_says_so_of_every_model_and_measures_the_same(product: Product) -> None:
    spec = DEMO | {"concerns": ["animal"], "evaluation": {"limit": 300, "similarity": False, "latency": False}}
    _, (plain,) = product.decompose(spec)
    job, (module,) = product.decompose(spec | {"evaluation": spec["evaluation"] | {"dtype": "bfloat16"}})
    base = product.results(job).base
    assert plain.numerics is None
    for told in (module.numerics, base and base.numerics):
        assert told is not None
        assert told.examples == 300
        assert (told.dtype == "bfloat16") is (told.agreement >= 0.999)
    assert module.own.f1 == plain.own.f1, "of so few examples all agree, or all are answered in float32"
