"""The first idea of a module: an estimate of the split's own F1, with an interval that holds it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

import worker.evaluation.first_estimate
from tests.builders import tiny_bert, tiny_examples
from tests.work import DEMO
from tests.worker.conftest import Product
from worker.evaluation.first_estimate import PER_CLASS, Estimator, balanced, weighed
from worker.evaluation.runner import predict
from worker.evaluation.shortcuts import Shortcuts


def test_the_sample_has_as_many_of_each_class_spread_over_the_split() -> None:
    labels = np.repeat([0, 1, 2], [5000, 300, 20])
    rows = balanced(labels, 4)
    assert np.bincount(labels[rows], minlength=4).tolist() == [PER_CLASS, PER_CLASS, 20, 0]
    assert rows[0] == 0
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert rows[PER_CLASS - 1] >= 4900


def test_there_is_none_where_the_split_is_soon_done() -> None:
    assert Estimator.of(tiny_examples(100), 4, Shortcuts()) is None


def test_a_model_is_estimated_as_the_split_measures_it() -> None:
    examples, model = tiny_examples(6000), tiny_bert()
    estimator = Estimator.of(examples, 4, Shortcuts())
    assert estimator is not None
    found = estimator.estimate(model, 2)
    whole = f1_score(examples.labels == 2, predict(model, examples).argmax(1) == 2)
    assert found.examples == 4 * PER_CLASS
    assert found.f1_interval[0] <= whole <= found.f1_interval[1]
    assert found.f1_interval[0] <= found.f1 <= found.f1_interval[1]


@pytest.mark.parametrize(("recall", "mistaken"), [(0.9, 0.01), (0.7, 0.05), (0.98, 0.0), (0.3, 0.002)])
def test_nineteen_of_twenty_intervals_hold_the_truth(recall: float, mistaken: float) -> None:
    rng, sizes, concern = np.random.default_rng(1), np.array([9000, 700, 3000, 100, 5000]), 1
    shares = np.full(5, mistaken)
    shares[concern] = recall
    truth = 2 * recall * sizes[concern] / (shares @ sizes + sizes[concern])
    drawn = np.minimum(sizes, PER_CLASS)
    intervals = [weighed(rng.binomial(drawn, shares), drawn, sizes, concern)[1] for _ in range(400)]
    assert np.mean([low <= truth <= high for low, high in intervals]) > 0.9


def test_a_sample_without_errors_is_no_certainty() -> None:
    sizes, drawn = np.array([1000, 1000]), np.array([50, 50])
    f1, (low, high) = weighed(np.array([0, 50]), drawn, sizes, 1)
    assert (f1, high) == (1.0, 1.0)
    assert 0.9 < low < 1.0


def test_a_job_tells_a_first_idea_of_every_module_before_it_measures_one(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.evaluation.first_estimate, "LARGEST_SHARE", 0.2)
    spec = DEMO | {"concerns": ["act", "animal"], "evaluation": {"latency": False, "similarity": False}}
    job, modules = product.decompose(spec)
    events = product.api.get(f"/v1/jobs/{job.id}/events?limit=100").json()["data"]
    told = [event for event in events if event["type"] in ("module.estimated", "module.ready")]
    assert [event["type"] for event in told] == ["module.estimated"] * 2 + ["module.ready"] * 2
    for event, module in zip(told, modules, strict=False):
        assert event["data"]["concern"]["id"] == module.concern.id
        low, high = event["data"]["f1_interval"]
        assert low <= module.own.f1 <= high
        assert event["data"]["examples"] == 600
    assert "First estimate of animal at ratio 0.5: F1 0." in product.api.get(f"/jobs/{job.id}").text
