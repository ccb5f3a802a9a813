"""The verdict: one sentence made of numbers, which never promises what a module does not hold."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.verdicts import best_of_sweep, job_verdict, mean_change, module_verdict
from microlith.contract import (
    BagOfWords,
    Baselines,
    BinaryScore,
    Cost,
    Interval,
    Latency,
    Module,
    SimpleScore,
)
from tests.web import samples

SMALL, WHOLE = Cost(flops_ratio=0.25, parameters_ratio=0.3125), Cost(flops_ratio=1.0, parameters_ratio=1.0)
LOSS = Interval(value=-0.012, low=-0.019, high=-0.005)
OWN = {"act": 0.9, "animal": 0.8, "artifact": 0.7}
WORDS = Baselines(
    majority=SimpleScore(macro_f1=0.03, own_f1=OWN),
    bag_of_words=BagOfWords(macro_f1=0.855, own_f1=OWN, size_bytes=10, rows=100),
)


def pace(milliseconds: float, layout: str = "compact", batch: int = 1) -> Latency:
    return Latency(layout=layout, device="CPU", batch=batch, milliseconds=milliseconds, base_milliseconds=4.1)


def module(cost: Cost | None = SMALL, times: float = 1.0, concern: int = 0, **more: Any) -> Module:
    given: dict[str, Any] = {"cost": cost, "macro_change": LOSS, "latencies": [pace(times)]} | more
    return samples.module(concern, 0.8, 0.81, **given)


def test_a_module_that_is_faster_and_smaller_is_told_so_with_its_loss() -> None:
    assert module_verdict(module(), WORDS) == (
        "4.1 times faster (compact, 1 input, CPU) and 3.2 times smaller at −0.012 macro-F1 [−0.019, −0.005]; "
        "a bag of words gets 0.855."
    )


def test_a_module_that_saves_nothing_is_told_so() -> None:
    assert module_verdict(module(WHOLE, times=4.0), WORDS) == (
        "Not smaller, not faster: zeros are stored, at −0.012 macro-F1 [−0.019, −0.005]; a bag of words gets 0.855."
    )


@pytest.mark.parametrize(
    ("cost", "times", "begins"),
    [
        (SMALL, 4.0, "3.2 times smaller, not faster, at"),
        (WHOLE, 2.0, "2.0 times faster (compact, 1 input, CPU), not smaller, at"),
    ],
)
def test_half_of_a_promise_is_not_taken_for_the_whole(cost: Cost, times: float, begins: str) -> None:
    said = module_verdict(module(cost, times), None)
    assert said is not None
    assert said.startswith(begins)


def test_without_a_clock_the_arithmetic_is_told() -> None:
    said = module_verdict(module(latencies=[]), None)
    assert said == "4.0 times less arithmetic and 3.2 times smaller at −0.012 macro-F1 [−0.019, −0.005]."


def test_the_fastest_layout_for_one_input_speaks() -> None:
    timed = [pace(4.0, "portable"), pace(2.0, "onnx"), pace(0.1, "portable", batch=32)]
    said = module_verdict(module(latencies=timed), None)
    assert said is not None
    assert said.startswith("2.0 times faster (onnx, 1 input, CPU)")


def test_a_binary_module_is_judged_by_its_own_question() -> None:
    binary = BinaryScore(threshold=0.1, precision=0.9, recall=0.9, f1=0.905, auroc=0.99)
    said = module_verdict(module(binary=binary), WORDS)
    assert said is not None
    assert said.endswith("at an F1 of 0.905 against the rest (base 0.810); a bag of words gets 0.900.")


def test_without_words_the_most_frequent_class_is_the_floor() -> None:
    said = module_verdict(module(), WORDS.model_copy(update={"bag_of_words": None}))
    assert said is not None
    assert said.endswith("; the most frequent class alone gets 0.030.")


def test_a_module_of_an_earlier_version_has_no_verdict() -> None:
    assert module_verdict(module(None), WORDS) is None
    assert job_verdict([module(), module(None, concern=1)], WORDS) is None
    assert job_verdict([], WORDS) is None


def test_a_job_is_judged_by_the_mean_of_its_modules() -> None:
    said = job_verdict([module(times=1.0), module(times=3.1, concern=1)], WORDS)
    assert said is not None
    assert said.startswith("Mean of 2 modules at ratio 0.5: 2.0 times faster")


def test_a_sweep_is_judged_at_the_highest_ratio_whose_loss_is_bearable() -> None:
    lost = {0.3: -0.001, 0.6: -0.009, 0.9: -0.2}
    sweep = [module(ratio=r, macro_change=Interval(value=v, low=v, high=v)) for r, v in lost.items()]
    assert [one.ratio.requested for one in best_of_sweep(sweep)] == [0.6]
    assert [one.ratio.requested for one in best_of_sweep(sweep[2:])] == [0.9]


def test_the_mean_of_changes_is_none_where_one_is_not_known() -> None:
    assert mean_change([module(), module(macro_change=None)]) is None
    assert mean_change([module(), module()]) == LOSS


def test_times_that_varied_too_much_are_not_told() -> None:
    shaky = pace(1.0).model_copy(update={"spread": 5.0})
    said = module_verdict(module(latencies=[shaky]), None)
    assert said == "4.0 times less arithmetic and 3.2 times smaller at −0.012 macro-F1 [−0.019, −0.005]."
