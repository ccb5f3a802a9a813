"""Too little memory for a batch: it is run again in smaller ones, and nothing of the failed one is counted."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

from microlith.contract import Boundary, Calibration, Sampling
from tests.builders import tiny_bert, tiny_examples
from worker.compute.memory import for_good, in_parts, out_of_memory
from worker.evaluation.runner import predict
from worker.evaluation.similarity import StatesWanted, hidden_states
from worker.families.anatomy import anatomy
from worker.families.layers import linear, linear_layers
from worker.pruning.heads import HeadPass
from worker.pruning.scores.taylor import neuron_effects, weight_gradients
from worker.pruning.statistics import CalibrationPass
from worker.sampling.boundary import generate
from worker.sampling.boundary_plan import BoundaryPlan
from worker.sampling.concern import draw_samples

EXHAUSTED = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes."),
    RuntimeError("CUDA error: out of memory"),
    MemoryError(),
]


@contextmanager
def room_for(model, rows, error=None):
    """The model runs out of memory half way through every batch of more than `rows` rows."""
    refused = []

    def refuse(_module, inputs):
        if len(inputs[0]) > rows:
            refused.append(len(inputs[0]))
            raise error or EXHAUSTED[0]

    hook = linear(model, anatomy(model).feed_forwards[1].intermediate).register_forward_pre_hook(refuse)
    try:
        yield refused
    finally:
        hook.remove()


def samples_of(examples):
    return {c: draw_samples(examples.labels, c, 4, Sampling(per_concern=6)) for c in (0, 2)}


def numbers(found):
    """Every array in whatever was measured, in a fixed order."""
    if isinstance(found, torch.Tensor | np.ndarray):
        return [np.asarray(found, dtype=np.float64)]
    if isinstance(found, dict):
        found = list(found.values())
    if isinstance(found, list | tuple):
        return [array for part in found for array in numbers(part)]
    return numbers(vars(found)) if hasattr(found, "__dict__") else []


def statistics(calibration, **more):
    def measure(model, examples):
        return (
            CalibrationPass(model, list(linear_layers(model)), examples, samples_of(examples), calibration, **more)
            .run()
            .layers
        )

    return measure


def boundary(model, examples):
    """Of examples that are answered rightly, so that each is a start."""
    logits = predict(model, examples)
    right = replace(examples, labels=logits.argmax(axis=1)).take(range(12))
    return generate(model, right, logits[:12], BoundaryPlan(Boundary(max=1.0, step=0.1), per_class=2, seed=0))


LAYERS = [f"bert.encoder.layer.{block}.output.dense" for block in (0, 1)]
PASSES = {
    "predict": predict,
    "statistics": statistics(Calibration()),
    "paired": statistics(Calibration(pads="include", pairing="position")),
    "heads": lambda model, examples: HeadPass(model, anatomy(model), examples, samples_of(examples)).run(),
    "taylor": lambda model, examples: dict(weight_gradients(LAYERS, model, examples, samples_of(examples)).run()),
    "neurons": lambda model, examples: dict(neuron_effects(LAYERS, model, examples, samples_of(examples)).run()),
    "similarity": lambda model, examples: hidden_states(
        model, examples, samples_of(examples)[2], StatesWanted("include", "all")
    ),
    "boundary": boundary,
}


@pytest.mark.parametrize("name", PASSES)
def test_a_batch_that_fails_half_way_leaves_no_trace(name):
    """The hooks below the failing layer have seen its first half already."""
    model, examples = tiny_bert(), tiny_examples()
    undisturbed = numbers(PASSES[name](model, examples))
    with room_for(model, 3) as refused:
        found = numbers(PASSES[name](model, examples))
    assert refused
    assert len(found) == len(undisturbed) > 0
    for array, expected in zip(found, undisturbed, strict=True):
        np.testing.assert_allclose(array, expected, rtol=1e-4, atol=1e-5)


def test_the_budget_stays_halved_so_that_few_batches_fail():
    model, examples = tiny_bert(), tiny_examples(200)
    with room_for(model, 20) as refused:
        predict(model, examples)
    assert refused == sorted(set(refused), reverse=True)  # no size is tried twice
    assert len(refused) <= 6


def test_rows_are_counted_once_however_often_a_batch_is_run():
    model, examples, heard = tiny_bert(), tiny_examples(), []
    with room_for(model, 5):
        predict(model, examples, checkpoint=heard.append)
    assert heard == sorted(set(heard))
    assert heard[-1] == 48


@pytest.mark.parametrize("error", EXHAUSTED, ids=lambda error: type(error).__name__)
def test_one_example_that_does_not_fit_is_an_error(error):
    model = tiny_bert()
    with room_for(model, 0, error) as refused, pytest.raises(type(error)):
        predict(model, tiny_examples())
    assert refused[-1] == 1
    assert refused == sorted(refused, reverse=True)


def test_another_error_is_not_tried_again():
    model = tiny_bert()
    error = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    with room_for(model, 0, error) as refused, pytest.raises(RuntimeError, match="shapes"):
        predict(model, tiny_examples())
    assert len(refused) == 1


@pytest.mark.parametrize("error", EXHAUSTED, ids=str)
def test_every_kind_of_exhaustion_is_known(error):
    assert out_of_memory(error)


@pytest.mark.parametrize("error", [RuntimeError("shapes"), ValueError("out of memory"), KeyError("x")])
def test_other_errors_are_not_exhaustion(error):
    assert not out_of_memory(error)


def test_parts_cover_every_item_once_and_hold_what_they_held_before():
    asked = []

    def work(start, stop):
        asked.append((start, stop))
        if stop - start > 3:
            raise MemoryError
        return list(range(start, stop))

    parts = list(in_parts(work, 20, lambda start, budget: min(20, start + max(1, budget)), 8))
    assert [item for part in parts for item in part] == list(range(20))
    assert asked[:4] == [(0, 8), (0, 4), (0, 2), (2, 4)]


def test_what_a_failed_part_held_is_free_when_the_smaller_one_runs():
    """Kept by nothing: not by the error, nor by the frames of its traceback."""
    held = []

    class Large:
        def __init__(self):
            held.append(1)

        def __del__(self):
            held.pop()

    def work(start, stop):
        assert not held
        _large = Large()
        if stop - start > 1:
            raise MemoryError
        return stop

    assert list(in_parts(work, 2, lambda start, budget: min(2, start + max(1, budget)), 2)) == [1, 2]


def test_what_is_made_for_good_is_not_looked_through_for_garbage():
    try:
        before = gc.get_freeze_count()
        with for_good():
            assert not gc.isenabled()
            kept = [[] for _ in range(1000)]
        assert gc.isenabled()
        assert gc.get_freeze_count() >= before + len(kept)
    finally:
        gc.unfreeze()
