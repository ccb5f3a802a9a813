import pytest
import torch
import torch.nn.functional as F

from app.domain.errors import UnsupportedModel
from app.domain.layers import select_layers
from microlith.contract import JobSpec, Sampling
from tests.builders import examples_for, tiny_bert, tiny_examples, tiny_model
from worker.compute import batches as inputs
from worker.compute.batches import forward, run_batches
from worker.families.anatomy import anatomy
from worker.families.layers import linear, linear_layers
from worker.pruning.evidence import EvidencePass
from worker.pruning.heads import HeadPass, HeadTally
from worker.pruning.scores import taylor
from worker.pruning.scores.taylor import neuron_effects, weight_gradients
from worker.sampling.concern import draw_samples


def drawn(examples, concerns=(0, 1, 2)):
    return {c: draw_samples(examples.labels, c, 4, Sampling(per_concern=3)) for c in concerns}


def one_by_one(examples, rows):
    """A batch of its own for every row."""
    return [batch for batch, _ in run_batches(len, examples, rows, token_budget=1)]


def backward(model, examples, rows):
    """Plain backpropagation of the mean loss over some rows, example by example."""
    model.zero_grad()
    for batch in one_by_one(examples, rows):
        (F.cross_entropy(forward(model, batch).logits, batch.labels) / len(rows)).backward()


@pytest.mark.parametrize("family", ["bert", "albert", "modernbert", "llama", "vit"])
def test_gradients_are_those_of_backpropagation_on_the_concern_alone(family):
    model, examples = tiny_model(family), examples_for(family)
    layers, samples = list(linear_layers(model)), drawn(examples)
    for concern, gradients in weight_gradients(layers, model, examples, samples).run():
        backward(model, examples, samples[concern].positive)
        for name in layers:
            expected = linear(model, name).weight.grad
            scale = float(expected.abs().max())
            torch.testing.assert_close(gradients[name], expected, rtol=1e-3, atol=1e-4 * scale + 1e-9)


def test_effects_of_neurons_are_the_sums_of_activation_times_gradient():
    model, examples = tiny_bert(), tiny_examples()
    output = anatomy(model).feed_forwards[1].output
    samples = drawn(examples)
    found = dict(neuron_effects([output], model, examples, samples).run())
    expected = torch.zeros(24)
    for batch in one_by_one(examples, samples[1].positive):
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
    whole = dict(weight_gradients(layers, model, examples, samples).run())
    for budget in (1, 1 << 30):
        seen = []
        monkeypatch.setattr(taylor, "GRADIENT_BUDGET", budget)
        gradient_pass = weight_gradients(layers, model, examples, samples)
        made = dict(gradient_pass.run(seen.append))
        assert seen[-1] == gradient_pass.rows == 9
        for concern, gradients in made.items():
            for name in layers:
                torch.testing.assert_close(gradients[name], whole[concern][name], rtol=1e-4, atol=1e-6)


def test_batch_size_changes_nothing_but_rounding(monkeypatch):
    model, examples = tiny_bert(), tiny_examples()
    layers, samples = list(linear_layers(model)), drawn(examples)
    whole = dict(weight_gradients(layers, model, examples, samples).run())
    one = {"token_budget": 1}
    monkeypatch.setattr(taylor, "run_batches", lambda *given, **named: inputs.run_batches(*given, **named, **one))
    for concern, gradients in weight_gradients(layers, model, examples, samples).run():
        for name in layers:
            torch.testing.assert_close(gradients[name], whole[concern][name], rtol=1e-4, atol=1e-6)


def test_parameters_want_no_gradients_and_get_none_and_no_hook_stays():
    model, examples = tiny_bert(), tiny_examples()
    model.requires_grad_(False)
    layers = list(linear_layers(model))
    gradients = dict(weight_gradients(layers, model, examples, drawn(examples)).run())
    assert any(found.any() for found in gradients[0].values())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(layer._forward_hooks for layer in linear_layers(model).values())


def test_gradients_that_are_not_finite_are_refused():
    model, examples = tiny_bert(), tiny_examples()
    linear(model, "classifier").weight.data[0, 0] = float("nan")
    with pytest.raises(UnsupportedModel, match="not finite"):
        list(weight_gradients(["classifier"], model, examples, drawn(examples)).run())


CHAINS = ("heads+neurons", "heads+weights")


def evidence_of(structure, samples, **options):
    model, examples = tiny_bert(), tiny_examples()
    parts = anatomy(model)
    spec = JobSpec(model="demo:m", dataset="demo:d", method={"name": "taylor"}, structure=structure, ratio=[0.3, 0.5])
    layers = select_layers(list(parts.shapes), spec.layers, parts.family)
    evidence = EvidencePass(model, spec, layers, examples, samples, parts)
    return evidence.rows, evidence.run(**options)


@pytest.mark.parametrize("structure", CHAINS)
@pytest.mark.parametrize("budget", [1, 1 << 30])
def test_a_chain_reads_heads_and_others_from_one_backward_pass(monkeypatch, structure, budget):
    """The same as two passes would say, for half the rows."""
    monkeypatch.setattr(taylor, "GRADIENT_BUDGET", budget)
    samples, ran, heard = drawn(tiny_examples()), [], []
    alone = HeadPass(tiny_bert(), anatomy(tiny_bert()), tiny_examples(), samples).run()
    rows_alone, others = evidence_of(structure.removeprefix("heads+"), samples)
    grad = torch.autograd.grad

    def counting(loss, tensors, **options):
        ran.append(len(tensors))
        return grad(loss, tensors, **options)

    monkeypatch.setattr(torch.autograd, "grad", counting)
    rows, chain = evidence_of(structure, samples, checkpoint=heard.append)
    assert len(ran) == len(heard) == (3 if budget == 1 and structure == "heads+weights" else 1)
    assert heard[-1] == rows == rows_alone == 9
    assert chain.weights == others.weights
    for concern in samples:
        torch.testing.assert_close(chain.heads[concern], alone[concern], rtol=1e-5, atol=1e-7)
        for name, effects in chain.neurons.get(concern, {}).items():
            torch.testing.assert_close(effects, others.neurons[concern][name], rtol=1e-5, atol=1e-9)
    assert bool(chain.weights) != bool(chain.neurons)


@pytest.mark.parametrize("structure", CHAINS)
@pytest.mark.parametrize("family", ["albert", "llama", "deberta-v2", "vit"])
def test_watching_heads_and_layers_together_changes_neither(family, structure):
    model, examples = tiny_model(family), examples_for(family, 24)
    layers, samples, tally = list(linear_layers(model)), drawn(examples), HeadTally(anatomy(model))
    read = weight_gradients if structure == "heads+weights" else neuron_effects
    together = dict(read(layers, model, examples, samples, tally=tally).run())
    apart = dict(read(layers, model, examples, samples).run())
    heads = HeadPass(model, anatomy(model), examples, samples).run()
    for concern in samples:
        torch.testing.assert_close(tally.importance(samples)[concern], heads[concern], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(together[concern], apart[concern], rtol=1e-4, atol=1e-6)
