from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from app.domain.errors import UnsupportedModel
from microlith.contract import Calibration, Sampling
from tests.builders import MAX_LENGTH, examples_for, tiny_bert, tiny_examples, tiny_model
from worker.compute import batches as inputs
from worker.compute.batches import pad
from worker.families.anatomy import anatomy
from worker.families.layers import linear, linear_layers
from worker.pruning import calibration_batches, paired_statistics
from worker.pruning.scores.ci import contrast
from worker.pruning.statistics import CalibrationPass
from worker.sampling.concern import ConcernSamples, draw_samples

FREE = Calibration()
SEED = Calibration(pads="include", pairing="position")
LAYER = "bert.encoder.layer.1.output.dense"


def drawn(examples, concerns=(0, 2), per_concern=6):
    return {c: draw_samples(examples.labels, c, 4, Sampling(per_concern=per_concern)) for c in concerns}


def layer_inputs(model, name, batch):
    """What a layer sees, recorded plainly: [b, t, in]."""
    seen = []
    hook = linear(model, name).register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.inference_mode():
        inputs.forward(model, batch)
    hook.remove()
    return seen[0].double()


def same_contrast(left, right, tolerance=1e-4):
    for name in ("concern_norm", "rest_norm", "cosine"):
        torch.testing.assert_close(getattr(left, name), getattr(right, name), rtol=tolerance, atol=tolerance)


def test_free_statistics_are_the_sums_over_real_tokens():
    model, examples = tiny_bert(), tiny_examples()
    samples = drawn(examples)
    found = CalibrationPass(model, [LAYER], examples, samples, FREE).run().layers[LAYER]
    rows = np.array(samples[2].negative)
    batch = pad(examples, rows, MAX_LENGTH, "cpu")
    tokens = layer_inputs(model, LAYER, batch)[batch.attention_mask.bool()]  # [tokens, in]
    assert found.count[1, 1] == len(tokens)
    torch.testing.assert_close(found.total[1, 1], tokens.sum(0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.square[1, 1], tokens.square().sum(0), rtol=1e-4, atol=1e-4)


def test_paired_statistics_are_the_norms_and_cosine_of_the_stacked_samples():
    model, examples = tiny_bert(), tiny_examples()
    samples = drawn(examples)
    found = contrast(CalibrationPass(model, [LAYER], examples, samples, SEED).run().layers[LAYER], 1)
    both = np.array([*samples[2].positive, *samples[2].negative])
    x = layer_inputs(model, LAYER, pad(examples, both, MAX_LENGTH, "cpu"))
    positive, negative = (side.flatten(0, 1) for side in x.chunk(2))
    torch.testing.assert_close(found.concern_norm.double(), positive.norm(dim=0), rtol=1e-5, atol=0)
    cosine = nn.functional.cosine_similarity(positive, negative, dim=0)
    torch.testing.assert_close(found.cosine.double(), cosine, rtol=1e-4, atol=1e-6)


def test_layers_that_see_one_vector_per_example_count_examples():
    model, examples = tiny_bert(), tiny_examples()
    for calibration in (FREE, SEED):
        found = (
            CalibrationPass(model, ["classifier"], examples, drawn(examples), calibration).run().layers["classifier"]
        )
        assert found.count.tolist() == [[6, 6], [6, 6]]


def test_pads_never_count_by_default():
    """Defect 1: the seed pads to the maximum length and every pad enters the norms."""
    model, examples = tiny_bert(), tiny_examples()
    samples = drawn(examples)
    roomier = replace(examples, max_length=2 * MAX_LENGTH)
    plain, roomy = (
        CalibrationPass(model, [LAYER], given, samples, FREE).run().layers[LAYER] for given in (examples, roomier)
    )
    assert torch.equal(plain.square, roomy.square)
    counted = CalibrationPass(model, [LAYER], examples, samples, Calibration(pads="include")).run().layers[LAYER]
    assert counted.count[0].tolist() == [6 * MAX_LENGTH] * 2
    assert (counted.square > plain.square).any()


def test_the_order_of_samples_changes_nothing_by_default():
    """Defect 2: the seed pairs token t of positive k with token t of negative k, so order decides."""
    model, examples = tiny_bert(), tiny_examples()
    samples = drawn(examples)
    turned = {c: ConcernSamples(s.positive, s.negative[::-1]) for c, s in samples.items()}

    def contrasts(given, calibration):
        return contrast(CalibrationPass(model, [LAYER], examples, given, calibration).run().layers[LAYER], 0)

    assert torch.equal(contrasts(samples, FREE).cosine, contrasts(turned, FREE).cosine)
    assert not torch.allclose(contrasts(samples, SEED).cosine, contrasts(turned, SEED).cosine, atol=1e-3)


@pytest.mark.parametrize("calibration", [FREE, SEED, Calibration(pairing="position")], ids=["free", "seed", "real"])
def test_batch_size_changes_nothing_but_rounding(monkeypatch, calibration):
    model, examples = tiny_bert(), tiny_examples()
    samples = drawn(examples)
    whole = CalibrationPass(model, [LAYER], examples, samples, calibration).run().layers[LAYER]
    monkeypatch.setattr(paired_statistics, "PAIRED_TOKENS", 1)
    one = {"token_budget": 1}
    monkeypatch.setattr(
        calibration_batches, "run_batches", lambda *given, **named: inputs.run_batches(*given, **named, **one)
    )
    single = CalibrationPass(model, [LAYER], examples, samples, calibration).run().layers[LAYER]
    same_contrast(contrast(whole, 0), contrast(single, 0))


def test_longer_texts_do_not_weigh_more():
    model, examples = tiny_bert(), tiny_examples()
    samples = ConcernSamples((0, 4), (1, 2))
    doubled = ConcernSamples((0, 4), (1, 2, 1, 2))
    once, twice = (
        CalibrationPass(model, [LAYER], examples, {0: given}, FREE).run().layers[LAYER] for given in (samples, doubled)
    )
    ratio = contrast(once, 0).concern_norm / contrast(once, 0).rest_norm
    torch.testing.assert_close(contrast(twice, 0).concern_norm / contrast(twice, 0).rest_norm, ratio)


def test_every_row_runs_once_however_many_concerns_share_it():
    """Defect 12: the seed runs the model anew for every concern."""
    model, examples = tiny_bert(), tiny_examples()
    samples = drawn(examples, concerns=range(4))
    seen = []
    free, paired = (CalibrationPass(model, [LAYER], examples, samples, how) for how in (FREE, SEED))
    free.run(seen.append)
    assert seen[-1] == free.rows < sum(12 for _ in samples)
    paired.run(seen.append)
    assert seen[-1] == paired.rows == 48


def test_memory_does_not_grow_with_tokens():
    model, examples = tiny_bert(), tiny_examples(400)
    for calibration in (FREE, SEED):
        few, many = (
            CalibrationPass(model, [LAYER], examples, drawn(examples, per_concern=n), calibration).run().layers[LAYER]
            for n in (2, 80)
        )
        assert few.total.shape == many.total.shape == (2, 2, 24)
        assert few.square.shape == many.square.shape == (2, 2, 24)


def test_a_checkpoint_that_raises_stops_the_pass_and_leaves_no_hook():
    model, examples = tiny_bert(), tiny_examples()

    def cancelled(_rows_done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CalibrationPass(model, list(linear_layers(model)), examples, drawn(examples), FREE).run(cancelled)
    assert not any(layer._forward_pre_hooks for layer in linear_layers(model).values())


def test_activations_that_are_not_finite_are_refused():
    model, examples = tiny_bert(), tiny_examples()
    linear(model, "bert.encoder.layer.0.output.dense").weight.data[0, 0] = float("inf")
    with pytest.raises(UnsupportedModel, match="not finite"):
        CalibrationPass(model, [LAYER], examples, drawn(examples), FREE).run()


def test_a_layer_that_sees_neither_tokens_nor_examples_is_refused():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.odd = nn.Linear(3, 2)

        def forward(self, input_ids, attention_mask):
            return SimpleNamespace(logits=self.odd(torch.ones(7, 3)))

    examples = tiny_examples()
    with pytest.raises(UnsupportedModel, match="neither tokens nor examples"):
        CalibrationPass(Odd(), ["odd"], examples, drawn(examples), FREE).run()


def test_images_have_no_pads_so_every_position_counts():
    model, examples = tiny_model("vit"), examples_for("vit", 16)
    name = anatomy(model).feed_forwards[0].output
    for calibration in (FREE, SEED):
        found = CalibrationPass(model, [name], examples, drawn(examples, per_concern=3), calibration).run().layers[name]
        positions = int(examples.lengths(np.arange(1))[0])
        assert found.count.tolist() == [[3 * positions] * 2] * 2


def test_what_all_examples_share_counts_for_each_of_them():
    """DeBERTa projects relative positions by the layers that project tokens, once for a whole batch."""
    model, examples = tiny_model("deberta-v2"), examples_for("deberta-v2", 32)
    part = anatomy(model).attentions[0]
    samples = drawn(examples, per_concern=3)
    alone, shared = (name for name in (part.value, part.key))
    found = CalibrationPass(model, [alone, shared], examples, samples, FREE).run().layers
    extra = found[shared].count - found[alone].count
    assert extra.unique().numel() == 1
    assert not extra.remainder(3).any()


def test_a_row_of_several_pairs_runs_once_while_there_is_room_to_keep_it(monkeypatch):
    model, examples = tiny_bert(), tiny_examples()
    samples, ran = drawn(examples, concerns=range(4)), []
    run = paired_statistics.pad
    monkeypatch.setattr(paired_statistics, "PAIRED_TOKENS", 1)
    monkeypatch.setattr(
        paired_statistics, "pad", lambda examples, rows, *given: ran.extend(rows) or run(examples, rows, *given)
    )
    kept = CalibrationPass(model, [LAYER], examples, samples, SEED).run().layers[LAYER]
    assert sorted(ran) == sorted({row for s in samples.values() for row in (*s.positive, *s.negative)})
    monkeypatch.setattr(paired_statistics, "KEPT_BYTES", 0)
    again = CalibrationPass(model, [LAYER], examples, samples, SEED).run().layers[LAYER]
    assert len(ran) > 2 * len(set(ran))
    for place in range(4):
        same_contrast(contrast(kept, place), contrast(again, place), tolerance=1e-6)


def test_what_follows_the_last_layer_watched_is_computed_once_only():
    model, examples = tiny_bert(), tiny_examples()
    asked = []
    hook = linear(model, "classifier").register_forward_pre_hook(lambda *_: asked.append(1))
    for calibration in (FREE, SEED):
        CalibrationPass(model, [LAYER], examples, drawn(examples, per_concern=2), calibration).run()
    CalibrationPass(model, [LAYER, "classifier"], examples, drawn(examples, per_concern=2), FREE).run()
    hook.remove()
    assert len(asked) == 3
