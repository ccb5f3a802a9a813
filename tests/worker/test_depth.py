"""Whole layers go: what is left is an ordinary model, and what follows the last layer is solved anew."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageClassification, AutoModelForSequenceClassification

from app.domain.errors import InvalidInput, UnsupportedModel
from microlith.contract import JobSpec
from tests.builders import KINDS, examples_for, tiny_examples, tiny_model
from worker.compute.batches import run_batches
from worker.compute.passage import Passage
from worker.evaluation.runner import predict
from worker.evaluation.sparsity import base_size, sparsity
from worker.families.anatomy import anatomy
from worker.families.layers import linear
from worker.pruning.evidence import EvidencePass
from worker.pruning.layer_order import LayerOrder, unexplained
from worker.pruning.masks import Bits, Mask, applied, kept_blocks, name_in_module
from worker.pruning.narrowing import narrow
from worker.pruning.prune import prune
from worker.pruning.reconstruction import reconstruct
from worker.pruning.removable_parts import targets_of
from worker.pruning.repair import Repair
from worker.pruning.surgery import realised, shrink
from worker.sampling.concern import draw_samples

DEEP = [kind for kind in KINDS if kind != "albert"]
every_deep_family = pytest.mark.parametrize("kind", DEEP)


def spec_of(**given):
    return JobSpec(model="demo:m", dataset="demo:d", **{"sampling": {"per_concern": 6}, **given})


def without(parts, *places, **more):
    """A mask of a model without the blocks of these places."""
    return Mask("layers", layers=kept_blocks(parts, [parts.blocks[place] for place in places]), **more)


def answered_without(model, examples, gone):
    """Logits where a batch passes by the blocks that are gone."""
    passage, logits = Passage(model, anatomy(model).blocks), np.zeros((len(examples), 4), np.float32)
    with torch.inference_mode():
        for batch, _ in run_batches(len, examples):
            hidden, calls = passage.enter(batch)
            for place, call in enumerate(calls):
                hidden = hidden if place == gone else passage.step(place, hidden, call)
            logits[batch.rows] = passage.leave(batch, hidden).logits
    return logits


@every_deep_family
def test_a_module_without_a_layer_is_the_model_that_passes_it_by_and_opens_again_alike(kind, tmp_path):
    model, examples = tiny_model(kind, blocks=3), examples_for(kind)
    parts, config = anatomy(model), model.config.to_dict()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    mask = without(parts, 1)
    expected = answered_without(model, examples, 1)
    assert np.abs(expected - predict(model, examples)).max() > 0.01
    with applied(model, mask, parts):
        np.testing.assert_allclose(predict(model, examples), expected, atol=1e-5)
    with realised(model, mask, parts) as module:
        np.testing.assert_allclose(predict(module, examples), expected, atol=1e-5)
        module.save_pretrained(tmp_path)
    opener = AutoModelForImageClassification if kind == "vit" else AutoModelForSequenceClassification
    opened, loading = opener.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(loading[fault] for fault in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert opened.config.num_hidden_layers == 2
    np.testing.assert_allclose(predict(opened.eval(), examples), expected, atol=1e-5)
    assert model.config.to_dict() == config
    assert {name: tensor.tolist() for name, tensor in model.state_dict().items()} == {
        name: tensor.tolist() for name, tensor in before.items()
    }


@pytest.mark.parametrize("kind", ["bert", "llama", "modernbert"])
def test_what_is_left_of_a_chain_is_named_and_measured_by_its_place(kind):
    model, examples = tiny_model(kind, blocks=3), examples_for(kind)
    parts = anatomy(model)
    kept = [np.arange(24) < count for count in (9, 0, 5)]
    neurons = {part.block: Bits.pack(kept[place]) for place, part in enumerate(parts.feed_forwards) if place != 1}
    mask = without(parts, 1, neurons=neurons)
    with applied(model, mask, parts):
        expected = predict(model, examples)
    module = shrink(model, mask, parts)
    np.testing.assert_allclose(predict(module, examples), expected, atol=1e-5)
    small = narrow(module, mask, parts)
    np.testing.assert_allclose(predict(small.model, examples), expected, atol=1e-5)
    assert [linear(small.model, part.output).in_features for part in anatomy(small.model).feed_forwards] == [9, 5]
    measured = sparsity(module, base_size(model), lambda name: name_in_module(mask, name)).layers
    output = parts.feed_forwards[2].output.removeprefix(f"{parts.blocks[2]}.")
    assert [measured[f"{block}.{output}"] > 0.99 for block in parts.blocks] == [False, True, False]


def test_the_layer_that_does_nothing_goes_first():
    model, examples = tiny_model("bert", blocks=4), tiny_examples(64)
    parts = anatomy(model)
    for name in (parts.attentions[2].output, parts.feed_forwards[2].output):
        linear(model, name).weight.data.zero_()
        linear(model, name).bias.data.zero_()
    order = LayerOrder(model, parts, parts.removable, examples, 2).run()
    assert order[0] == parts.blocks[2]
    assert len(set(order)) == 2
    some = LayerOrder(model, parts, parts.blocks[:2], examples, 1).run()
    assert some[0] in parts.blocks[:2]


def test_what_is_unexplained_is_the_error_of_each_example_that_is_left_out():
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(20, width, dtype=torch.float64, generator=generator) for width in (5, 3))
    x, y = x - x.mean(0), y - y.mean(0)
    ridge = 0.01 * x.square().sum() / 5
    error = 0.0
    for left in range(20):
        rest = torch.arange(20) != left
        weight = torch.linalg.solve(x[rest].T @ x[rest] + ridge * torch.eye(5), x[rest].T @ y[rest])
        error += float((y[left] - x[left] @ weight).square().sum())
    assert unexplained(x, y) == pytest.approx(error)


@pytest.mark.parametrize("kind", ["bert", "roberta", "llama", "vit"])
def test_what_follows_the_last_layer_is_solved_anew(kind):
    model, examples = tiny_model(kind, blocks=3), examples_for(kind, 200)
    parts = anatomy(model)
    mask, base = without(parts, 1), predict(model, examples)
    solved = reconstruct(model, mask, parts, examples, readers=False)
    assert f"{parts.classifier}.weight" in solved
    assert not any(name.startswith(parts.stack) for name in solved)
    off = []
    for tensors in ({}, solved):
        with realised(model, without(parts, 1, tensors=tensors), parts) as module:
            off.append(np.abs(predict(module, examples) - base).mean())
    assert off[1] < 0.95 * off[0]


@pytest.mark.parametrize("structure", ["layers", "layers+heads+neurons", "layers+weights"])
def test_a_job_s_masks_lose_whole_layers_and_the_asked_share_of_what_is_left(structure):
    model, examples = tiny_model("bert", blocks=4), tiny_examples()
    parts, spec = anatomy(model), spec_of(structure=structure, ratio=[0.25, 0.5])
    samples = {c: draw_samples(examples.labels, c, 4, spec.sampling) for c in (0, 2)}
    layers = [name for part in parts.feed_forwards for name in part.layers]
    evidence = EvidencePass(model, spec, layers, examples, samples, parts, pooled=lambda: examples).run()
    masks = list(prune(model, parts, evidence, spec, layers, [0, 2]))
    for _, ratio, mask in masks:
        assert len(mask.blocks_gone) == 4 * ratio
        assert not any(name.startswith(f"{block}.") for block in mask.blocks_gone for name in mask.weights)
        assert not mask.blocks_gone.intersection([*mask.neurons, *mask.heads])
        assert mask.achieved == pytest.approx(ratio)
    small, large = (mask.blocks_gone for _, _, mask in masks[:2])
    assert small < large
    repaired = [Repair(spec, model, parts, layers, lambda: examples).mend(masks[1][2], 0).digest() for _ in range(2)]
    assert repaired[0] == repaired[1] != masks[1][2].digest()


def test_layers_that_cannot_go_are_refused():
    parts = anatomy(tiny_model("modernbert", blocks=3))
    only_first = spec_of(structure="layers", layers={"include": ["layers.0."]})
    with pytest.raises(UnsupportedModel, match="made otherwise"):
        targets_of(parts, only_first, list(parts.shapes))
    with pytest.raises(InvalidInput, match="less than one layer"):
        targets_of(parts, spec_of(structure="layers", ratio=0.4), list(parts.shapes))
