"""Layers solved anew, one after another, over what the module gives them by then."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.builders import KINDS, examples_for, tiny_examples, tiny_model
from worker.compute.batches import run_batches
from worker.compute.passage import Passage
from worker.evaluation.runner import predict
from worker.families.anatomy import anatomy
from worker.pruning.masks import Bits, Mask, applied, keeping, kept_columns
from worker.pruning.reconstruction import reconstruct


def half(parts, structure, seed=0):
    """A mask without half of the units of every block."""
    rng = np.random.default_rng(seed)
    layers = [name for part in (*parts.feed_forwards, *parts.attentions) for name in part.layers]
    weights = {name: Bits.pack(rng.random(parts.shapes[name]) < 0.5) for name in layers}
    neurons = {part.block: Bits.pack(rng.random(parts.neurons(part)) < 0.5) for part in parts.feed_forwards}
    heads = {part.block: Bits.pack(np.array([True, False, False, True])) for part in parts.attentions}
    chosen = structure.split("+")
    return Mask(
        structure,
        weights=weights if "weights" in chosen else {},
        neurons=neurons if "neurons" in chosen else {},
        heads=heads if "heads" in chosen else {},
    )


def distances(model, mask, parts, examples):
    """How far logits are from the base's, with the mask alone and with what was solved."""
    base, found = predict(model, examples), []
    for tensors in ({}, reconstruct(model, mask, parts, examples)):
        with applied(model, replace(mask, tensors=tensors), parts):
            found.append(float(np.abs(predict(model, examples) - base).mean()))
    return found


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "albert"])
def test_a_batch_may_rest_between_the_blocks_of_every_family(kind):
    model = tiny_model(kind, blocks=3)
    ((batch, _),) = run_batches(len, examples_for(kind, 8))
    with torch.inference_mode():
        assert Passage(model, anatomy(model).blocks).holds(batch)


@pytest.mark.parametrize("structure", ["weights", "neurons", "heads", "heads+neurons", "heads+weights"])
@pytest.mark.parametrize("kind", ["bert", "albert", "llama", "modernbert", "vit"])
def test_what_is_solved_answers_nearer_to_the_base_and_keeps_the_mask(kind, structure):
    model, examples = tiny_model(kind), examples_for(kind, 200)
    parts = anatomy(model)
    mask = half(parts, structure)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    plain, solved = distances(model, mask, parts, examples)
    assert solved < plain
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    kept = keeping(model, mask, parts)
    values = reconstruct(model, mask, parts, examples)
    read = {*mask.weights, *kept_columns(model, mask, parts)}
    assert {name.rpartition(".")[0] for name in values} == read
    for name in read:
        weight = values[f"{name}.weight"]
        assert (weight.dtype, weight.shape) == (np.float32, parts.shapes[name])
        assert not weight[~kept[name].expand(weight.shape).numpy()].any()


def test_a_layer_makes_up_for_what_those_before_it_have_lost():
    """Solved of what the mask alone gives it, each layer does worse: they are all solved at once where no block is."""
    model, examples = tiny_model("bert", blocks=4), tiny_examples(300)
    parts = anatomy(model)
    mask = half(parts, "weights")
    _, in_turn = distances(model, mask, parts, examples)
    _, at_once = distances(model, mask, replace(parts, family=None, blocks=()), examples)
    assert in_turn < at_once


def test_batches_that_are_too_large_for_the_memory_are_run_in_parts():
    model, examples = tiny_model("bert"), tiny_examples(60)
    parts, refused = anatomy(model), []
    whole = reconstruct(model, half(parts, "neurons"), parts, examples)

    def refuse(_module, inputs):
        if len(inputs[0]) > 7:
            refused.append(len(inputs[0]))
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    hook = model.get_submodule(parts.feed_forwards[1].intermediate).register_forward_pre_hook(refuse)
    in_parts = reconstruct(model, half(parts, "neurons"), parts, examples)
    hook.remove()
    assert refused
    for name, values in whole.items():
        np.testing.assert_allclose(in_parts[name], values, rtol=1e-3, atol=1e-4)


def test_the_same_examples_give_the_same_bytes():
    model, examples = tiny_model("bert"), tiny_examples(100)
    parts = anatomy(model)
    mask = half(parts, "heads+weights")
    first, second = (replace(mask, tensors=reconstruct(model, mask, parts, examples)).digest() for _ in range(2))
    assert first == second
