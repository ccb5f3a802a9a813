"""How long modules learn, and from how many texts at least: known before a job is queued."""

from __future__ import annotations

import pytest

from app.domain.distilling import FEW_TEXTS, LEAST_TEXTS, check_texts, epochs_for, few_texts
from app.domain.errors import NotEnoughTexts
from app.services.estimating import PlannedWork
from app.sources.data_warnings import one_split_twice
from microlith.contract import DatasetInfo, JobSpec, ModelInfo
from microlith.contract.catalog import LayerInfo, SplitInfo

ROWS = {"train": 27_556, "validation": 3444, "test": 3445}


def spec_of(**given):
    return JobSpec(model="demo:m", dataset="demo:d", structure="neurons", **{"recovery": "distil", **given})


@pytest.mark.parametrize(("texts", "epochs"), [(27_556, 4), (1_000_000, 4), (3_060, 36), (1_437, 76)])
def test_few_texts_are_read_more_often_so_that_there_are_steps_enough(texts, epochs):
    assert epochs_for(spec_of(), texts) == epochs
    assert epochs_for(spec_of(distil={"epochs": 2}), texts) == 2


def test_too_few_texts_are_refused_with_the_split_that_is_meant():
    check_texts(spec_of(), {**ROWS, "train": LEAST_TEXTS})
    check_texts(spec_of(recovery="refit"), {**ROWS, "train": 1})
    with pytest.raises(NotEnoughTexts, match="the train split, which has 199 examples") as refused:
        check_texts(spec_of(), {**ROWS, "train": LEAST_TEXTS - 1})
    assert (refused.value.code, refused.value.pointer) == ("NOT_ENOUGH_TEXTS", "/distil/texts")
    assert "refit" in refused.value.hint


def test_few_texts_are_told_with_a_remedy():
    assert few_texts(spec_of(), {**ROWS, "train": FEW_TEXTS}) == []
    assert few_texts(spec_of(recovery="refit"), {**ROWS, "train": 300}) == []
    (told,) = few_texts(spec_of(), {**ROWS, "train": 300})
    assert "300" in told
    assert "refit" in told


def test_learning_from_what_measures_or_chooses_is_told():
    assert one_split_twice(spec_of()) == []
    (told,) = one_split_twice(spec_of(distil={"texts": "test"}))
    assert "measured on the test split" in told
    (told,) = one_split_twice(spec_of(distil={"texts": "validation"}))
    assert "best epoch" in told


def planned(**given):
    model = ModelInfo.model_construct(
        family=None,
        layers=[LayerInfo(name="a", shape=[1000, 1000], feed_forward=True)],
        parameters=1_000_000,
        size_bytes=4_000_000,
        labels=["x", "y"],
        max_length=64,
    )
    data = DatasetInfo.model_construct(
        splits={role: SplitInfo(rows=rows, labels={}) for role, rows in ROWS.items()}, size_bytes=1000
    )
    return PlannedWork(spec_of(**given), model, data, ["a"], concerns=2)


def test_the_plan_counts_what_learning_takes():
    """A text of 32 tokens takes the base 3.2 ms: 4 epochs over 27,556 texts, thrice for half the weights, and once."""
    seconds, without = planned().seconds, planned(recovery="none").seconds
    a_text = 2 * 1e6 * 32 / 2e10
    assert seconds - without == pytest.approx(a_text * 27_556 * (1 + 3 * 4 * 0.5))
    assert planned(distil={"minutes": 1}).seconds - without == pytest.approx(a_text * 27_556 + 60)
    assert planned(ratio=[0.5, 0.75]).seconds > seconds
    assert planned().memory > planned(recovery="none").memory + 30_000_000
