from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from app.domain.errors import DatasetInvalid, NotEnoughSamples, UnsupportedModel
from microlith.contract import Boundary, Calibration
from tests.builders import KINDS, tiny_bert, tiny_examples, tiny_model, tiny_pixels
from worker.compute.batches import unwatched
from worker.evaluation.runner import predict
from worker.pruning.statistics import CalibrationPass
from worker.sampling.boundary import check_fits, choose_starts, find_crossings, generate, samples_of
from worker.sampling.boundary_plan import BoundaryPlan, identity
from worker.sampling.embedding_classifier import EmbeddedModel

TEXT_KINDS = sorted(set(KINDS) - {"vit"})
PLAN = BoundaryPlan(Boundary(top=2, bottom=1, step=0.05, max=5.0), per_class=6, seed=44)
SEED_WAY = replace(PLAN, mode="seed", stride=1)


def answered(model, rows=48):
    """Examples that the model answers correctly, because its answers are their labels, with its logits.

    Token 1 is left out: MPNet takes it for a pad whatever its config says, and gives it no position.
    """
    examples = tiny_examples(rows)
    examples = replace(examples, token_ids=[[max(2, token) for token in ids] for ids in examples.token_ids])
    logits = predict(model, examples)
    return replace(examples, labels=logits.argmax(1).astype(np.int64)), logits


def generated(model=None, plan=PLAN, **options):
    model = model or tiny_bert()
    return generate(model, *answered(model), plan, **options)


def same(left, right, tolerance=1e-5):
    assert left.sources.tolist() == right.sources.tolist()
    assert left.targets.tolist() == right.targets.tolist()
    np.testing.assert_allclose(left.epsilons, right.epsilons, atol=1e-12)
    for ours, theirs in zip(left.examples.embeddings, right.examples.embeddings, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=tolerance)


@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_positives_are_still_the_source_and_negatives_are_the_target_in_every_family(kind):
    model = tiny_model(kind)
    made = generated(model, replace(PLAN, boundary=Boundary(top=2, bottom=1, step=0.01, max=3.0)))
    assert made.positive.any()
    assert (~made.positive).any()
    assert predict(model, made.examples).argmax(1).tolist() == made.examples.labels.tolist()
    assert made.examples.labels.tolist() == np.where(made.positive, made.sources, made.targets).tolist()


def test_every_class_that_a_way_leads_to_gets_the_asked_number():
    model = tiny_bert()
    made, found = generated(model), list(find_crossings(EmbeddedModel(model), *answered(model), PLAN))
    sources = {crossing.start.source for crossing in found if crossing.left is not None and crossing.left >= 2}
    targets = {crossing.target for crossing in found if crossing.reached is not None}
    for expected, side, able in ((made.sources, made.positive, sources), (made.targets, ~made.positive, targets)):
        assert np.bincount(expected[side], minlength=4).tolist() == [6 if label in able else 0 for label in range(4)]


def test_samples_lie_within_a_step_of_what_the_scan_found():
    model = tiny_bert()
    made = generated(model)
    ways = {}
    for crossing in find_crossings(EmbeddedModel(model), *answered(model), PLAN):
        ways.setdefault((crossing.start.source, crossing.target), []).append(crossing)
    for positive, source, target, spot in zip(made.positive, made.sources, made.targets, made.epsilons, strict=True):
        found = [way.left if positive else way.reached for way in ways[source, target]]
        begins = [0.05 * (step - 2 * positive) for step in found if step is not None]
        assert any(-1e-9 <= spot - begin <= 0.05 + 1e-9 for begin in begins)


def test_a_sample_is_its_start_moved_by_epsilon_in_every_number_that_has_a_gradient():
    model = tiny_bert()
    made, (examples, _) = generated(model), answered(model)
    starts = [EmbeddedModel(model).embed(examples, row, "inputs").embeddings.numpy() for row in range(len(examples))]
    for sample, spot in zip(made.examples.embeddings, made.epsilons, strict=True):
        moves = [np.abs(sample - start) for start in starts if start.shape == sample.shape]
        assert any(np.all((move < 1e-5) | (np.abs(move - spot) < 1e-5)) for move in moves)


def test_the_embedding_layer_runs_once_where_the_seed_runs_it_twice():
    model = tiny_bert()
    examples, logits = answered(model)
    errors = {}
    for mode in ("inputs", "seed"):
        text = EmbeddedModel(model).embed(examples, 3, mode)
        found = EmbeddedModel(model).answers(text.embeddings.unsqueeze(0), text)[0]
        errors[mode] = np.abs(found - logits[3]).max()
    assert errors["inputs"] < 1e-5
    assert errors["seed"] > 0.1


def test_no_sample_has_pads_but_in_the_seeds_way():
    made = generated()
    assert all(mask.all() for mask in made.examples.attention_masks)
    assert {len(row) for row in generated(plan=SEED_WAY).examples.embeddings} == {12}


@pytest.mark.parametrize("plan", [PLAN, SEED_WAY], ids=["inputs", "seed"])
def test_batches_change_nothing_but_rounding(plan):
    same(generated(plan=plan), generated(plan=plan, token_budget=1), tolerance=1e-4)


def test_the_seed_decides_and_nothing_else():
    model = tiny_bert()
    first, again, other = (generated(model, replace(PLAN, seed=seed)) for seed in (44, 44, 45))
    assert all(np.array_equal(a, b) for a, b in zip(first.examples.embeddings, again.examples.embeddings, strict=True))
    assert first.epsilons.tolist() != other.epsilons.tolist()


def test_a_coarse_scan_makes_the_same_samples_as_one_of_every_step():
    model = tiny_bert()
    same(generated(model), generated(model, replace(PLAN, stride=1)))


def test_starts_are_the_most_and_the_least_confident_of_the_correct():
    logits = np.array([[3, 0], [9, 8], [1, 0.5], [2, 0], [0, 5], [4, 0]], np.float32)
    labels = np.array([0, 0, 0, 0, 0, 1])
    plan = replace(PLAN, boundary=Boundary(top=1, bottom=2))
    assert choose_starts(labels, logits, plan) == [(0, 0, 0), (1, 0, 2), (2, 0, 1)]
    assert choose_starts(labels, logits, replace(plan, mode="seed")) == [(0, 0, 1), (1, 0, 2), (2, 0, 3)]


def test_no_example_is_a_start_twice_where_there_are_few():
    logits, labels = np.array([[3, 0], [2, 0]], np.float32), np.array([0, 0])
    plan = replace(PLAN, boundary=Boundary(top=9, bottom=9))
    assert [row for _, _, row in choose_starts(labels, logits, plan)] == [0, 1]


def test_the_checkpoint_hears_every_scan_and_may_stop():
    model, heard = tiny_bert(), []
    examples, logits = answered(model)
    generate(model, examples, logits, PLAN, checkpoint=heard.append)
    starts, other_classes = choose_starts(examples.labels, logits, PLAN), logits.shape[1] - 1
    assert heard == list(range(1, len(starts) * other_classes + 1))

    def cancelled(_done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(model, examples, logits, PLAN, checkpoint=cancelled)


def test_images_are_refused():
    model, images = tiny_model("vit"), tiny_pixels()
    with pytest.raises(UnsupportedModel, match="images have none"):
        generate(model, images, predict(model, images), PLAN)


def test_a_model_that_takes_no_embeddings_is_refused():
    class Blind(nn.Module):
        def forward(self, input_ids, attention_mask):
            raise AssertionError

    with pytest.raises(UnsupportedModel, match="inputs_embeds"):
        generate(Blind(), *answered(tiny_bert()), PLAN)


def test_a_model_that_scales_what_its_embedding_layer_gives_is_refused():
    model = tiny_bert()
    examples, logits = answered(model)
    model.get_input_embeddings().register_forward_hook(lambda _layer, _ids, given: given / 4)
    with pytest.raises(UnsupportedModel, match="does not answer embeddings as"):
        generate(model, examples, logits, PLAN)


def test_a_class_that_is_never_answered_correctly_has_no_samples_and_says_so():
    model = tiny_bert()
    examples, logits = answered(model)
    wrong = replace(examples, labels=np.where(examples.labels == 1, 0, examples.labels))
    made = generate(model, wrong, logits, PLAN)
    with pytest.raises(NotEnoughSamples, match="0 of class 1, 6 are needed"):
        samples_of(made, 1, 6)


def test_a_concerns_samples_are_before_its_boundary_and_the_rest_has_crossed_to_other_classes():
    made = generated()
    for concern in set(made.sources[made.positive].tolist()):
        drawn = samples_of(made, concern, 6)
        positive, negative = list(drawn.positive), list(drawn.negative)
        assert made.positive[positive].all()
        assert not made.positive[negative].any()
        assert set(made.examples.labels[positive]) == {concern}
        counts = np.bincount(made.examples.labels[negative], minlength=4)
        assert counts[concern] == 0
        assert counts.sum() == len(positive) == 6


def test_generated_samples_calibrate():
    model = tiny_bert()
    made = generated(model)
    samples = {0: samples_of(made, int(made.sources[0]), 6)}
    layer = "bert.encoder.layer.0.output.dense"
    for calibration in (Calibration(), Calibration(pads="include", pairing="position")):
        found = CalibrationPass(model, [layer], made.examples, samples, calibration).run(unwatched).layers[layer]
        assert torch.isfinite(found.square).all()
        assert (found.square > 0).any()


def test_a_set_fits_models_of_its_classes_and_width_alone():
    made = generated()
    check_fits(made, 16, 4)
    for width, classes in ((17, 4), (16, 5)):
        with pytest.raises(DatasetInvalid, match="the model has"):
            check_fits(made, width, classes)


def test_a_set_of_pairs_fits_pairs_alone_and_models_of_its_token_types():
    single = generated()
    types = [np.arange(len(row)) % 2 for row in single.examples.embeddings]
    pairs = replace(single, examples=replace(single.examples, segments=types))
    check_fits(pairs, 16, 4, token_types=2)
    for made, known, says in (
        (pairs, 0, "are of pairs, and the job reads single texts"),
        (single, 2, "are of single texts, and the job reads pairs"),
        (pairs, 1, "token types that the model, with 1, does not"),
    ):
        with pytest.raises(DatasetInvalid, match=says):
            check_fits(made, 16, 4, token_types=known)


def test_an_identity_changes_with_everything_that_decides_the_samples():
    plans = [PLAN, SEED_WAY, replace(PLAN, seed=45), replace(PLAN, per_class=7), replace(PLAN, stride=1)]
    plans += [replace(PLAN, boundary=PLAN.boundary.model_copy(update={"step": 0.1}))]
    made = {identity("a", "b", 4, plan) for plan in plans}
    made |= {identity("c", "b", 4, PLAN), identity("a", "c", 4, PLAN), identity("a", "b", 5, PLAN)}
    assert len(made) == 9
    assert identity("a", "b", 4, replace(PLAN)) == identity("a", "b", 4, PLAN)
