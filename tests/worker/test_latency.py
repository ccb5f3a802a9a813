"""Latency: medians of real passes, base and module on the same inputs and in turn, equal shapes timed once."""

from __future__ import annotations

import pytest

from microlith.contract import Latency
from microlith.contract.footprint import UNSTABLE
from tests.builders import examples_for, tiny_bert, tiny_examples, tiny_model
from worker.evaluation import latency
from worker.evaluation.latency import BATCHES, LEAST_RUNS, RUNS, Stopwatch, Timed, Timing


class Clock:
    """Tells the time that passes of models have taken; each has its own pace, by turns."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ran: list[str] = []

    def perf_counter(self):
        return self.now

    def model(self, name, *seconds):
        paces = iter(seconds)

        def run(_batch):
            self.ran.append(name)
            self.now += next(paces)

        return Timed(name, run)


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(latency, "time", made)
    return made


@pytest.mark.parametrize("kind", ["bert", "vit"])
def test_one_input_and_a_batch_are_timed(kind):
    model = Timed.of(tiny_model(kind))
    found = Stopwatch(examples_for(kind), "here").timed(model, Timed("same", model.run))
    assert set(found) == set(BATCHES)
    for pair in found.values():
        assert all(timing.milliseconds > 0 and LEAST_RUNS <= timing.runs <= RUNS for timing in pair)


def test_a_batch_larger_than_the_examples_goes_round():
    seen = []
    model = Timed("a", lambda batch: seen.append(batch.rows.tolist()))
    Stopwatch(tiny_examples(5), "here").timed(model, model)
    assert [0, 1, 2, 3, 4] * 6 + [0, 1] in seen


def test_base_and_module_take_turns_and_neither_is_always_first(clock):
    base, module = (clock.model(name, *[0.001] * 50) for name in ("base", "module"))
    Stopwatch(tiny_examples(4), "here").timed(base, module)
    turns = [tuple(clock.ran[at : at + 2]) for at in range(2, 2 + 2 * RUNS, 2)]
    assert turns[:4] == [("base", "module"), ("module", "base"), ("base", "module"), ("module", "base")]
    assert all(set(turn) == {"base", "module"} for turn in turns)


def test_it_is_the_median_without_the_first_pass_and_the_reach_of_the_middle_half(clock):
    base = clock.model("base", *[9.0, *[0.004] * RUNS] * 2)
    module = clock.model("module", *[9.0, *[0.001] * 5, *[0.002] * 10, *[0.003] * 5] * 2)
    for of_base, of_module in Stopwatch(tiny_examples(4), "here").timed(base, module).values():
        assert (of_base.milliseconds, of_base.runs, of_base.spread) == (pytest.approx(4.0), RUNS, pytest.approx(0.0))
        assert of_module.milliseconds == pytest.approx(2.0)
        assert of_module.spread == pytest.approx((0.00225 - 0.00175) / 0.002)


def test_slow_models_are_timed_three_times():
    watch = Stopwatch(tiny_examples(4), "here", budget_seconds=0.0)
    found = watch.timed(Timed("a", lambda _batch: None), Timed("b", lambda _batch: None))
    assert {timing.runs for pair in found.values() for timing in pair} == {LEAST_RUNS}


def test_equal_shapes_are_timed_once_and_others_again():
    watch, base = Stopwatch(tiny_examples(4), "here", budget_seconds=0.0), Timed.of(tiny_bert(seed=2))
    assert watch.timed(base, Timed.of(tiny_bert(seed=0))) is watch.timed(base, Timed.of(tiny_bert(seed=1)))
    assert watch.timed(base, base) is not watch.timed(base, Timed.of(tiny_bert(classes=7)))


def test_what_has_the_base_s_shapes_is_as_fast_as_the_base():
    base = Timed.of(tiny_bert(seed=0))
    for of_base, of_module in Stopwatch(tiny_examples(4), "here").timed(base, Timed.of(tiny_bert(seed=1))).values():
        assert of_base == of_module


def test_module_and_base_stand_side_by_side(monkeypatch):
    watch = Stopwatch(tiny_examples(4), "a processor, 1 thread")
    pairs = {1: (Timing(4.0, 20, 0.1), Timing(2.0004, 20, 0.7)), 32: (Timing(50.0, 9, 0.3), Timing(25.0, 9))}
    monkeypatch.setattr(watch, "timed", lambda _base, _module: pairs)
    nothing = Timed("a", lambda _batch: None)
    one, batch = watch.compare("compact", nothing, nothing, flops_ratio=0.25)
    assert (one.layout, one.device, one.batch, one.runs) == ("compact", "a processor, 1 thread", 1, 20)
    assert (one.milliseconds, one.base_milliseconds, one.spread) == (2.0, 4.0, 0.7)
    assert (batch.batch, batch.runs, batch.milliseconds, batch.base_milliseconds) == (32, 9, 25.0, 50.0)
    assert one.interleaved
    assert (one.flops_ratio, one.stable, batch.stable) == (0.25, False, True)


def test_times_of_earlier_versions_are_printed_as_they_were():
    told = Latency(device="a core", batch=1, milliseconds=2.0, base_milliseconds=4.0)
    assert told.stable
    assert not told.interleaved
    assert not told.model_copy(update={"spread": UNSTABLE + 0.01}).stable
