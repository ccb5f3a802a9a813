from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from app.domain.errors import UnsupportedModel
from app.domain.layers import select_layers
from microlith.contract import JobSpec
from tests.builders import examples_for, tiny_bert, tiny_examples, tiny_model
from worker.compute.batches import forward, run_batches
from worker.compute.examples import encode
from worker.evaluation.meaning import cross_entropy
from worker.evaluation.runner import predict
from worker.families.anatomy import anatomy
from worker.families.layers import linear
from worker.pruning import prune as pruning
from worker.pruning.evidence import EvidencePass
from worker.pruning.masks import applied, keeping, kept_rows
from worker.pruning.prune import prune
from worker.pruning.recovery import mean_inputs, weight_restorer
from worker.pruning.repair import Repair
from worker.pruning.scores.ci import contrast, tangled_coefficient
from worker.pruning.scores.plain import lots
from worker.pruning.surgery import realised
from worker.sampling.concern import draw_samples, rows_of

DEMO = Path(__file__).parents[2] / "app/demo"


def spec_of(**given):
    return JobSpec(model="demo:m", dataset="demo:d", **{"sampling": {"per_concern": 6}, **given})


def pruned(spec, model=None, examples=None, concerns=(0, 2)):
    """The evidence and the mended masks of some concerns."""
    model, examples = model or tiny_bert(), examples or tiny_examples()
    parts = anatomy(model)
    layers = select_layers(list(parts.shapes), spec.layers, parts.family)
    classes = int(examples.labels.max()) + 1
    samples = {c: draw_samples(examples.labels, c, classes, spec.sampling) for c in concerns}
    repair = Repair(spec, model, parts, layers, lambda: examples)
    evidence = EvidencePass(model, spec, layers, examples, samples, parts).run()
    repair.learn(evidence.statistics)
    masks = prune(model, parts, evidence, spec, layers, concerns)
    return evidence, {(concern, ratio): repair.mend(mask, concern) for concern, ratio, mask in masks}


def changed_by_ti(given, *tools):
    """For every mask: whether `ti` made another of it. Never another ratio."""
    _, plain = pruned(spec_of(**given), *tools)
    _, restored = pruned(spec_of(**given, recovery="ti"), *tools)
    assert [mask.achieved for mask in restored.values()] == [mask.achieved for mask in plain.values()]
    return [mask.digest() != plain[key].digest() for key, mask in restored.items()]


@pytest.mark.parametrize("scope", [None, "layer", "global"])
@pytest.mark.parametrize("method", ["ci", "wanda", "taylor", "magnitude"])
def test_ti_changes_the_mask_and_not_the_ratio(scope, method):
    """Defect 8: in the seed it never ran, and restored at the ratio of the pruning it would undo it."""
    assert all(changed_by_ti({"scope": scope, "method": {"name": method}, "ratio": [0.5, 0.7]}))


def test_the_weights_that_ti_restores_score_no_lower_than_those_that_go_for_them():
    model = tiny_bert()
    spec = spec_of(recovery="ti")
    evidence, restored = pruned(spec, model)
    _, plain = pruned(spec_of(), model)
    exchanged = 0
    for name, bits in restored[2, 0.5].weights.items():
        scores = weight_restorer(model, evidence.statistics, spec, 2)(name).numpy()
        before, after = plain[2, 0.5].weights[name].unpack(), bits.unpack()
        for row in range(len(scores)):
            back, gone = scores[row][after[row] & ~before[row]], scores[row][before[row] & ~after[row]]
            assert len(back) == len(gone)
            assert not len(back) or back.min() >= gone.max()
            exchanged += len(back)
    assert exchanged


def test_the_restoring_score_is_the_weight_times_the_tangled_coefficient():
    model = tiny_bert()
    spec = spec_of(recovery="ti", method={"name": "ci", "form": "alpha"})
    evidence, _ = pruned(spec, model)
    name = "bert.encoder.layer.1.output.dense"
    coefficients = tangled_coefficient(contrast(evidence.statistics.layers[name], 1), "alpha")
    expected = linear(model, name).weight.detach().double().abs() * coefficients.abs()
    torch.testing.assert_close(weight_restorer(model, evidence.statistics, spec, 2)(name), expected)


@pytest.fixture(scope="module")
def trained():
    """The demo's model with texts to calibrate and to test on."""
    model = AutoModelForSequenceClassification.from_pretrained(DEMO / "bert-tiny-wordnet").eval()
    tokenizer = AutoTokenizer.from_pretrained(DEMO / "bert-tiny-wordnet")

    def texts(split, rows):
        table = pq.read_table(DEMO / f"wordnet-supersense/{split}.parquet").slice(0, rows).to_pydict()
        labels = [model.config.label2id[label] if isinstance(label, str) else label for label in table["label"]]
        return encode(table["text"], labels, tokenizer, 64)

    return model, texts("train", 1500), texts("test", 200)


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_ti_chooses_among_neurons_too(trained, scope):
    """Of a trained model: the blocks of the tiny ones have too few neurons for a choice."""
    model, train, _ = trained
    assert all(changed_by_ti({"structure": "neurons", "scope": scope}, model, train))


def mean_loss(trained, spec, concerns=(0, 3, 7)):
    """The mean over some concerns of their module's cross-entropy on all test texts."""
    model, train, test = trained
    _, masks = pruned(spec, model, train, concerns)
    losses = []
    for mask in masks.values():
        with applied(model, mask, anatomy(model)):
            losses.append(cross_entropy(predict(model, test), test.labels))
    return float(np.mean(losses))


def test_on_a_trained_model_what_ti_restores_is_worth_more_than_what_lots_restore(trained, monkeypatch):
    """The ablation: the same candidates and the same number go either way; only who chooses among them differs."""
    given = {"ratio": 0.95, "layers": {"exclude": ["pooler", "classifier"]}, "sampling": {"per_concern": 16}}
    by_ti = mean_loss(trained, spec_of(**given, recovery="ti"))

    def by_lot(model, statistics, spec, concern):
        return lambda name: lots(linear(model, name).weight.shape, 0, concern, name)

    monkeypatch.setattr(pruning, "weight_restorer", by_lot)
    assert by_ti < mean_loss(trained, spec_of(**given, recovery="ti")) - 0.03


@pytest.mark.parametrize("structure", ["weights", "neurons", "heads+neurons", "heads+weights"])
def test_mended_biases_keep_the_mean_of_what_the_next_layer_reads(structure):
    model = tiny_bert()
    evidence, masks = pruned(spec_of(structure=structure, recovery="bias"), model)
    parts = anatomy(model)
    for (concern, _), mask in masks.items():
        assert mask.tensors
        written = kept_rows(model, mask, parts)
        kept = keeping(model, mask, parts)
        for name, mended in ((name.removesuffix(".bias"), values) for name, values in mask.tensors.items()):
            layer = linear(model, name)
            mean = mean_inputs(evidence.statistics, concern)[name]
            own = layer.weight.detach().double() @ mean + layer.bias.detach()
            left = layer.weight.detach().double().masked_fill(~kept[name], 0.0) @ mean + torch.from_numpy(mended)
            rows = written.get(name, torch.ones(layer.out_features, dtype=torch.bool))
            torch.testing.assert_close(left[rows], own[rows], rtol=1e-5, atol=1e-5)


def test_the_mean_is_over_the_tokens_of_both_sides():
    evidence, _ = pruned(spec_of(recovery="bias"))
    layer = evidence.statistics.layers["bert.encoder.layer.0.output.dense"]
    expected = (layer.total[1, 0] + layer.total[1, 1]) / (layer.count[1, 0] + layer.count[1, 1])
    torch.testing.assert_close(mean_inputs(evidence.statistics, 2)["bert.encoder.layer.0.output.dense"], expected)


def test_mending_neurons_brings_a_pruned_layer_closer_to_what_it_was(trained):
    """Defect 6: taking neurons out shifts what the next layer reads by their mean, unless a bias makes up for it."""
    model, train, test = trained
    base = predict(model, test).astype(np.float64)

    def distance(recovery):
        spec = spec_of(structure="neurons", ratio=0.7, recovery=recovery, sampling={"per_concern": 16})
        _, masks = pruned(spec, model, train)
        parts, found = anatomy(model), []
        for mask in masks.values():
            with applied(model, mask, parts):
                found.append(np.abs(predict(model, test) - base).mean())
        return np.mean(found)

    assert distance("bias") < distance("none")


@pytest.mark.parametrize("structure", ["weights", "heads", "heads+neurons"])
def test_surgery_carries_the_mended_biases(structure):
    model, examples = tiny_bert(), tiny_examples()
    method = {"name": "heads" if structure == "heads" else "ci"}
    _, masks = pruned(spec_of(structure=structure, recovery="bias", method=method), model)
    parts = anatomy(model)
    with applied(model, masks[2, 0.5], parts):
        expected = predict(model, examples)
    with realised(model, masks[2, 0.5], parts) as module:
        np.testing.assert_allclose(predict(module, examples), expected, atol=1e-5)


def test_bias_is_refused_where_no_pruned_layer_has_one():
    with pytest.raises(UnsupportedModel, match="has a bias"):
        pruned(spec_of(structure="neurons", recovery="bias"), tiny_model("llama"))


def written(model, name, examples, rows):
    """What a layer writes on some rows [tokens, out]."""
    seen = []
    hook = linear(model, name).register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    for batch, _ in run_batches(lambda batch: forward(model, batch), examples.take(sorted(rows))):
        seen[-1] = seen[-1][batch.attention_mask.bool()]
    hook.remove()
    return torch.cat(seen).detach()


@pytest.mark.parametrize("kind", ["bert", "modernbert", "llama"])
def test_a_refitted_layer_writes_nearer_to_what_it_wrote_than_a_mended_or_a_plain_one(kind):
    """On the samples, of the first block, which reads the same in every module. Defect 6, GLU families too."""
    model, examples = tiny_model(kind), tiny_examples()
    name = anatomy(model).feed_forwards[0].output
    errors = {}
    for recovery in ("none", "bias", "refit"):
        if recovery == "bias" and linear(model, name).bias is None:
            continue
        evidence, masks = pruned(spec_of(structure="neurons", recovery=recovery), model, concerns=(2,))
        rows = rows_of(evidence.samples)
        own = written(model, name, examples, rows)
        with applied(model, masks[2, 0.5], anatomy(model)):
            errors[recovery] = float((written(model, name, examples, rows) - own).norm())
    assert errors["refit"] < min(value for recovery, value in errors.items() if recovery != "refit")


@pytest.mark.parametrize("structure", ["neurons", "heads+neurons"])
@pytest.mark.parametrize("kind", ["bert", "albert", "llama", "modernbert", "vit"])
def test_surgery_carries_refitted_weights_and_the_base_is_as_it_was(kind, structure):
    model, examples = tiny_model(kind), examples_for(kind, 48)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    _, masks = pruned(spec_of(structure=structure, recovery="refit"), model, examples)
    _, plain = pruned(spec_of(structure=structure), model, examples)
    mask, parts = masks[2, 0.5], anatomy(model)
    assert (mask.neurons, mask.heads) == (plain[2, 0.5].neurons, plain[2, 0.5].heads)
    assert mask.digest() != plain[2, 0.5].digest()
    with applied(model, mask, parts):
        expected = predict(model, examples)
    with realised(model, mask, parts) as module:
        np.testing.assert_allclose(predict(module, examples), expected, atol=1e-5)
        assert linear(module, parts.feed_forwards[0].output).in_features == 12
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    for name, values in mask.tensors.items():
        assert (values.dtype, values.shape) == (np.float32, tuple(before[name].shape))


def test_on_a_trained_model_refitting_keeps_answers_closer_than_a_bias_does(trained):
    model, train, test = trained
    base = predict(model, test).astype(np.float64)
    errors = {}
    for recovery in ("bias", "refit"):
        spec = spec_of(structure="neurons", ratio=0.7, recovery=recovery, sampling={"per_concern": 16})
        _, masks = pruned(spec, model, train, concerns=(0, 3))
        found = []
        for mask in masks.values():
            with applied(model, mask, anatomy(model)):
                found.append(np.abs(predict(model, test) - base).mean())
        errors[recovery] = np.mean(found)
    assert errors["refit"] < 0.8 * errors["bias"]
