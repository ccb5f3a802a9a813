"""A student is what a mask leaves of the base, and what it has learned goes back into the base's own shape."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from distilling_builders import mask_of

from tests.builders import KINDS, examples_for, tiny_model
from worker.compute.batches import forward, run_batches
from worker.distilling.student import Student, learning
from worker.evaluation.runner import predict
from worker.families.anatomy import anatomy
from worker.families.layers import linear
from worker.pruning.masks import applied
from worker.pruning.narrowing import narrow
from worker.pruning.surgery import realised

STRUCTURES = ("neurons", "heads", "layers+heads+neurons")


def learn(student, examples, steps=3):
    """A few steps of an optimiser that moves every value whose gradient is not exactly zero."""
    parameters = list(student.parameters.values())
    optimiser = torch.optim.AdamW(parameters, lr=0.02)
    for _ in range(steps):
        for batch, _ in run_batches(lambda batch: batch, examples):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(forward(student.model, batch).logits, batch.labels).backward()
            optimiser.step()


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_student_answers_as_the_masked_base_and_what_it_learns_is_the_masked_bases_again(kind, structure):
    model, examples = tiny_model(kind), examples_for(kind)
    parts = anatomy(model)
    mask = mask_of(parts, structure)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    student = Student.of(model, mask, parts)
    with applied(model, mask, parts):
        np.testing.assert_allclose(predict(student.model, examples), predict(model, examples), atol=1e-5)
    learn(student, examples)
    learned = replace(mask, tensors=student.scatter())
    with applied(model, learned, parts):
        found = predict(model, examples)
    np.testing.assert_allclose(found, predict(student.model, examples), atol=1e-5)
    with realised(model, learned, parts) as module:
        np.testing.assert_allclose(predict(module, examples), found, atol=1e-5)
        np.testing.assert_allclose(predict(narrow(module, learned, parts).model, examples), found, atol=1e-5)
    assert not np.allclose(found, predict(model, examples), atol=1e-2)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_what_is_gone_is_zero_in_what_was_learned():
    model, examples = tiny_model("bert"), examples_for("bert")
    parts = anatomy(model)
    mask = mask_of(parts, "heads+neurons")
    student = Student.of(model, mask, parts)
    learn(student, examples)
    learned = student.scatter()
    for part in parts.feed_forwards:
        kept = mask.neurons[part.block].unpack()
        written, read = learned[f"{part.intermediate}.weight"], learned[f"{part.output}.weight"]
        assert not written[~kept].any()
        assert not read[:, ~kept].any()
        assert written[kept].any(axis=1).all()
    for part in parts.attentions:
        kept = np.repeat(mask.heads[part.block].unpack(), 4)
        assert not learned[f"{part.query}.weight"][~kept].any()
        assert not learned[f"{part.output}.weight"][:, ~kept].any()


@pytest.mark.parametrize("kind", KINDS)
def test_embeddings_stay_the_bases_own_memory_and_do_not_learn(kind):
    model = tiny_model(kind)
    parts = anatomy(model)
    student = Student.of(model, mask_of(parts, "neurons"), parts)
    own, base = dict(student.model.named_parameters()), dict(model.named_parameters())
    stays = set(own) - set(student.parameters)
    assert any("embed" in name for name in stays)
    for name in stays:
        assert own[name].data_ptr() == base[name].data_ptr()
        assert not own[name].requires_grad
    shared = {base[name].data_ptr() for name, _ in learning(model)}
    assert not shared & {parameter.data_ptr() for parameter in student.parameters.values()}
    assert all(base[name].requires_grad for name in base)


def test_a_student_of_half_the_heads_and_neurons_is_as_narrow_as_its_mask():
    model = tiny_model("bert")
    parts = anatomy(model)
    mask = mask_of(parts, "heads+neurons")
    student = Student.of(model, mask, parts)
    for part in parts.feed_forwards:
        assert linear(student.model, part.intermediate).out_features == mask.neurons[part.block].kept
    for part in parts.attentions:
        assert linear(student.model, part.query).out_features == 4 * mask.heads[part.block].kept
