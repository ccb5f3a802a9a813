"""Importance of attention heads: gradient × context, per concern, from one backward pass."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import KINDS, examples_for, tiny_bert, tiny_examples, tiny_model
from worker.compute.batches import pad
from worker.families.anatomy import anatomy
from worker.families.layers import linear
from worker.pruning.heads import HeadPass
from worker.sampling.concern import ConcernSamples

SAMPLES = {0: ConcernSamples((0, 4, 8), (1, 2, 3)), 2: ConcernSamples((2, 6, 10), (0, 1, 3))}


def importance(model, examples, samples=SAMPLES, **options):
    return HeadPass(model, anatomy(model), examples, samples).run(**options)


def by_definition(model, examples, rows):
    """One row at a time, no padding: Σ over tokens of |∂loss/∂gate_h per token| by finite calculus of a gate per head

    and token that multiplies the context, as Michel et al. define the importance of a head.
    """
    parts = anatomy(model)
    total, tokens = torch.zeros(len(parts.attentions), 4, dtype=torch.float64), 0
    for row in rows:
        batch = pad(examples, np.array([row]), int(examples.lengths(np.array([row]))[0]), "cpu")
        gates, hooks = [[] for _ in parts.attentions], []
        for part, uses in zip(parts.attentions, gates, strict=True):
            hooks.append(linear(model, part.output).register_forward_pre_hook(lambda _m, i, u=uses: gated(i[0], u)))
        loss = F.cross_entropy(model(**batch.inputs).logits, batch.labels)
        loss.backward()
        for hook in hooks:
            hook.remove()
        total += torch.stack([sum(gate.grad.abs().sum((0, 1)).double() for gate in uses) for uses in gates])
        tokens += gates[0][0].shape[1]
    return F.normalize(total / tokens, dim=1)


def gated(context, uses):
    gate = torch.ones(*context.shape[:2], 4, requires_grad=True)
    uses.append(gate)
    return ((context.unflatten(-1, (4, -1)) * gate.unsqueeze(-1)).flatten(-2),)


@pytest.mark.parametrize("kind", KINDS)
def test_importance_is_the_gradient_of_a_gate_on_each_head_and_token(kind):
    model, examples = tiny_model(kind), examples_for(kind)
    found = importance(model.requires_grad_(False), examples)
    for concern, drawn in SAMPLES.items():
        expected = by_definition(tiny_model(kind), examples, drawn.positive)
        assert found[concern].shape == expected.shape
        np.testing.assert_allclose(found[concern], expected, rtol=1e-3, atol=1e-5)
    assert not torch.allclose(found[0], found[2], rtol=0.01)


def test_every_block_counts_on_one_scale():
    """Defect 9: in the seed only some layers are divided by the tokens, so that those lose their heads first."""
    model = tiny_bert()
    for scale in (1.0, 1000.0):
        found = importance(model, tiny_examples())
        np.testing.assert_allclose(found[0].norm(dim=1), [1.0, 1.0])
        linear(model, anatomy(model).attentions[0].output).weight.data *= scale


@settings(max_examples=10)
@given(order=st.permutations(range(6)))
def test_order_and_company_of_the_samples_do_not_matter(order):
    model, examples = tiny_bert(), tiny_examples()
    rows = (0, 4, 8, 12, 16, 20)
    alone = importance(model, examples, {0: ConcernSamples(rows, ())})[0]
    shuffled = ConcernSamples(tuple(rows[place] for place in order), ())
    together = importance(model, examples, {3: ConcernSamples((3, 7), ()), 0: shuffled})[0]
    np.testing.assert_allclose(together, alone, rtol=1e-4)


def test_padding_does_not_matter():
    model, examples = tiny_bert(), tiny_examples()
    longest = examples.take(range(12))
    stretched = replace(longest, token_ids=[*longest.token_ids, [1] * 12], labels=np.append(longest.labels, 0))
    both = {0: SAMPLES[0], 1: ConcernSamples((12,), ())}
    np.testing.assert_allclose(importance(model, stretched, both)[0], importance(model, longest)[0], rtol=1e-4)


def test_a_head_that_writes_nothing_has_no_importance_and_dead_blocks_are_finite():
    model = tiny_model("bert")
    parts = anatomy(model)
    with torch.no_grad():
        linear(model, parts.attentions[0].output).weight[:, parts.head_columns(parts.attentions[0], 2)] = 0.0
        linear(model, parts.attentions[1].output).weight.zero_()
    found = importance(model, tiny_examples())[0]
    assert found[0, 2] == 0
    assert (found[0, [0, 1, 3]] > 0).all()
    assert found[1].tolist() == [0.0] * 4


def test_each_sample_passes_once_and_the_model_is_left_without_gradients():
    model, heard = tiny_bert(), []
    heads = HeadPass(model, anatomy(model), tiny_examples(), SAMPLES)
    heads.run(heard.append)
    assert heard[-1] == heads.rows == 6
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_checkpoint_may_stop_it_and_leaves_no_hooks():
    model = tiny_bert()

    def stop(_rows):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        importance(model, tiny_examples(), checkpoint=stop)
    assert not any(module._forward_pre_hooks for module in model.modules())
