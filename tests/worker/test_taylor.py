import pytest
import torch
import torch.nn.functional as F

from app.domain.errors import UnsupportedModel
from microlith.contract import Sampling
from tests.builders import examples_for, tiny_bert, tiny_examples, tiny_model
from worker import inputs
from worker.families.anatomy import anatomy
from worker.families.layers import linear, linear_layers
from worker.inputs import batches, forward
from worker.pruning.scores import taylor
from worker.pruning.scores.taylor import neuron_effects, taylor_rows, weight_gradients
from worker.sampling.concern import draw_samples


def drawn(examples, concerns=(0, 1, 2)):
    return {c: draw_samples(examples.labels, c, 4, Sampling(per_concern=3)) for c in concerns}


def backward(model, examples, rows):
    """Plain backpropagation of the mean loss over some rows, example by example."""
    model.zero_grad()
    for batch in batches(examples, rows, token_budget=1):
        (F.cross_entropy(forward(model, batch).logits, batch.labels) / len(rows)).backward()


@pytest.mark.parametrize("family", ["bert", "albert", "modernbert", "llama", "vit"])
def test_gradients_are_those_of_backpropagation_on_the_concern_alone(family):
    model, examples = tiny_model(family), examples_for(family)
    layers, samples = list(linear_layers(model)), drawn(examples)
    for concern, gradients in weight_gradients(layers, model, examples, samples):
        backward(model, examples, samples[concern].positive)
        for name in layers:
            expected = linear(model, name).weight.grad
            scale = float(expected.abs().max())
            torch.testing.assert_close(gradients[name], expected, rtol=1e-3, atol=1e-4 * scale + 1e-9)


def test_effects_of_neurons_are_the_sums_of_activation_times_gradient():
    model, examples = tiny_bert(), tiny_examples()
    output = anatomy(model).feed_forwards[1].output
    samples = drawn(examples)
    found = dict(neuron_effects([output], model, examples, samples))
    expected = torch.zeros(24)
    for batch in batches(examples, samples[1].positive, token_budget=1):
        seen = []
        hook = linear(model, output).register_forward_pre_hook(lambda _, x: seen.append(x[0]))  # noqa: B023
        loss = F.cross_entropy(forward(model, batch).logits, batch.labels) / 3
        hook.remove()
        (gradient,) = torch.autograd.grad(loss, seen)
        expected += (gradient * seen[0]).abs().sum((0, 1)).detach()
    torch.testing.assert_close(found[1][output], expected, rtol=1e-4, atol=1e-7)


def test_every_positive_sample_passes_once_whatever_the_budget(monkeypatch):
    model, examples = tiny_bert(), tiny_examples()
    layers, samples = list(linear_layers(model)), drawn(examples)
    whole = dict(weight_gradients(layers, model, examples, samples))
    for budget in (1, 1 << 30):
        seen = []
        monkeypatch.setattr(taylor, "GRADIENT_BUDGET", budget)
        made = dict(weight_gradients(layers, model, examples, samples, checkpoint=seen.append))
        assert seen[-1] == taylor_rows(samples) == 9
        for concern, gradients in made.items():
            for name in layers:
                torch.testing.assert_close(gradients[name], whole[concern][name], rtol=1e-4, atol=1e-6)


def test_batch_size_changes_nothing_but_rounding(monkeypatch):
    model, examples = tiny_bert(), tiny_examples()
    layers, samples = list(linear_layers(model)), drawn(examples)
    whole = dict(weight_gradients(layers, model, examples, samples))
    monkeypatch.setattr(taylor, "batches", lambda *given, **named: inputs.batches(*given, **named, token_budget=1))
    for concern, gradients in weight_gradients(layers, model, examples, samples):
        for name in layers:
            torch.testing.assert_close(gradients[name], whole[concern][name], rtol=1e-4, atol=1e-6)


def test_parameters_want_no_gradients_and_get_none_and_no_hook_stays():
    model, examples = tiny_bert(), tiny_examples()
    model.requires_grad_(False)
    layers = list(linear_layers(model))
    gradients = dict(weight_gradients(layers, model, examples, drawn(examples)))
    assert any(found.any() for found in gradients[0].values())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(layer._forward_hooks for layer in linear_layers(model).values())


def test_gradients_that_are_not_finite_are_refused():
    model, examples = tiny_bert(), tiny_examples()
    linear(model, "classifier").weight.data[0, 0] = float("nan")
    with pytest.raises(UnsupportedModel, match="not finite"):
        list(weight_gradients(["classifier"], model, examples, drawn(examples)))
