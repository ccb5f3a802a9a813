"""Latency: the median of real passes, base and module on the same inputs, equal shapes timed once."""

from __future__ import annotations

import pytest

from tests.builders import examples_for, tiny_bert, tiny_examples, tiny_model
from worker.evaluation import latency
from worker.evaluation.latency import BATCHES, LEAST_RUNS, RUNS, Stopwatch, Timing


@pytest.mark.parametrize("kind", ["bert", "vit"])
def test_one_input_and_a_batch_are_timed(kind):
    found = Stopwatch(examples_for(kind), "here").model(tiny_model(kind))
    assert set(found) == set(BATCHES)
    assert all(timing.milliseconds > 0 and LEAST_RUNS <= timing.runs <= RUNS for timing in found.values())


def test_a_batch_larger_than_the_examples_goes_round():
    seen = []
    Stopwatch(tiny_examples(5), "here").timed("a", lambda batch: seen.append(batch.rows.tolist()))
    assert [0, 1, 2, 3, 4] * 6 + [0, 1] in seen


class Clock:
    """Tells the time that passes of a model have taken."""

    now = 0.0

    def perf_counter(self):
        return self.now


def test_it_is_the_median_of_what_passes_take_without_the_first(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(latency, "time", clock)
    seconds = iter([9.0, *[0.001] * 12, *[0.01] * 8] * 2)

    def run(_batch):
        clock.now += next(seconds)

    found = Stopwatch(tiny_examples(4), "here").timed("a", run)
    assert [(round(timing.milliseconds, 6), timing.runs) for timing in found.values()] == [(1.0, RUNS)] * 2


def test_a_slow_model_is_timed_three_times():
    found = Stopwatch(tiny_examples(4), "here", budget_seconds=0.0).timed("a", lambda _batch: None)
    assert {timing.runs for timing in found.values()} == {LEAST_RUNS}


def test_equal_shapes_are_timed_once_and_others_again():
    watch = Stopwatch(tiny_examples(4), "here")
    assert watch.model(tiny_bert(seed=0)) is watch.model(tiny_bert(seed=1))
    assert watch.model(tiny_bert()) is not watch.model(tiny_bert(classes=7))


def test_module_and_base_stand_side_by_side():
    watch = Stopwatch(tiny_examples(4), "a processor, 1 thread")
    base, module = ({1: Timing(a, 20), 32: Timing(b, 9)} for a, b in ((4.0, 50.0), (2.0004, 25.0)))
    one, batch = watch.compare("compact", base, module)
    assert (one.layout, one.device, one.batch, one.runs) == ("compact", "a processor, 1 thread", 1, 20)
    assert (one.milliseconds, one.base_milliseconds) == (2.0, 4.0)
    assert (batch.batch, batch.runs, batch.milliseconds, batch.base_milliseconds) == (32, 9, 25.0, 50.0)
