"""What a whole job says of its modules' worth: cost, loss, what is had without a transformer, and the verdict."""

from __future__ import annotations

from typing import Any

import pytest

from microlith.contract import Module, Results
from tests.worker.conftest import Product
from worker.kinds import remembered_baselines

SPEC: dict[str, Any] = {
    "model": "demo:bert-tiny-wordnet",
    "dataset": "demo:wordnet-supersense",
    "concerns": ["animal"],
    "evaluation": {"limit": 120, "similarity": False, "latency": False},
}


@pytest.fixture(scope="module")
def product(kept_product: Product) -> Product:
    return kept_product


def made(product: Product, **spec: Any) -> tuple[Results, Module]:
    job, (module, *_) = product.decompose(SPEC | spec)
    return product.results(job), module


def test_a_module_of_zeros_is_told_to_cost_as_much_as_its_base(product: Product) -> None:
    results, module = made(product)
    assert module.cost is not None
    assert (module.cost.flops_ratio, module.cost.parameters_ratio) == (1.0, 1.0)
    assert module.verdict is not None
    assert module.verdict.startswith("Not smaller: zeros are stored, at ")
    assert results.verdict == module.verdict


def test_heads_are_saved_in_the_smallest_layout_that_was_asked_for(product: Product) -> None:
    chain = {"structure": "heads+neurons", "ratio": 0.5}
    _, stored = made(product, **chain)
    _, left_out = made(product, **chain, export={"layouts": ["portable", "compact"]})
    assert stored.cost is not None
    assert left_out.cost is not None
    assert 0.4 < left_out.cost.flops_ratio < stored.cost.flops_ratio < 1.0
    assert left_out.cost.parameters_ratio < stored.cost.parameters_ratio < 1.0


def test_the_loss_is_the_difference_of_both_reports(product: Product) -> None:
    results, module = made(product, ratio=0.8)
    assert results.base is not None
    assert module.macro_change is not None
    lost = module.report.macro.f1 - results.base.report.macro.f1
    assert module.macro_change.value == pytest.approx(lost)
    assert module.macro_change.low <= lost <= module.macro_change.high


def test_results_say_what_is_had_without_a_transformer(product: Product) -> None:
    results, module = made(product)
    known = results.baselines
    assert known is not None
    assert known.majority is not None
    assert known.bag_of_words is not None
    assert known.bag_of_words.macro_f1 > 0.75
    assert known.majority.macro_f1 < 0.1
    assert known.bag_of_words.rows > 20_000
    assert set(known.bag_of_words.own_f1) == {row.label for row in module.report.classes}


def test_baselines_are_measured_once_for_all_models_and_methods(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = made(product)
    monkeypatch.setattr(remembered_baselines, "bag_of_words", None)
    again, _ = made(product, method={"name": "magnitude"})
    assert again.baselines == first.baselines


def test_what_was_not_learned_from_another_split_is_not_told(product: Product) -> None:
    same, _ = made(product, evaluation=SPEC["evaluation"] | {"split": "train"})
    unread, _ = made(product, sampling={"split": "validation"})
    for results in (same, unread):
        assert results.baselines is not None
        assert (results.baselines.majority, results.baselines.bag_of_words) == (None, None)
        assert results.baselines.reason


def test_a_job_that_reproduces_the_notebook_has_no_baselines(product: Product) -> None:
    exact = {"pads": "include", "pairing": "position"}
    results, module = made(product, calibration=exact, evaluation=SPEC["evaluation"] | {"limit": 12})
    assert results.baselines is None
    assert module.verdict is not None
    assert "bag of words" not in module.verdict


def test_the_card_says_the_verdict_without_a_clock(product: Product) -> None:
    results, module = made(product, evaluation=SPEC["evaluation"] | {"latency": True}, structure="neurons", ratio=0.75)
    card = (product.unpack(module) / "README.md").read_text(encoding="utf-8")
    assert results.baselines is not None
    assert results.baselines.bag_of_words is not None
    assert "times less arithmetic" in card
    assert f"a bag of words gets {results.baselines.bag_of_words.macro_f1:.3f}.**" in card
    assert " ms" not in card
