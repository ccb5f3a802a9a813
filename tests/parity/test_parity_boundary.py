"""Samples at the decision boundary, against the seed system's."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from microlith.contract import Boundary
from tests.parity.reference import CLASSES, arrays, examples, model, numbers, present
from worker.evaluation.runner import predict
from worker.sampling.boundary import find_crossings, generate, samples_of
from worker.sampling.boundary_crossings import epsilon
from worker.sampling.boundary_plan import STRIDE, BoundaryPlan
from worker.sampling.embedding_classifier import EmbeddedModel

pytestmark = present

CASES = ("small", "trim", "calib")


@cache
def starts():
    """The first 200 training rows at length 64, with the model's logits."""
    shown = replace(examples("train").take(range(200)), max_length=64)
    return shown, predict(model(), shown)


def plan_of(case, stride=1):
    stored = numbers("perturb")[case]
    asked = stored["params"]
    boundary = Boundary(top=asked["top_emb"], bottom=asked["bottom_emb"], step=asked["step_eps"], max=asked["max_eps"])
    return BoundaryPlan(boundary, asked["example_num"] // 2 // CLASSES, stored["seed"], "seed", stride)


@cache
def crossings(bottom, stride):
    """Of the most confident starts and, with `bottom`, of the least confident: the cases have no others."""
    shown, logits = starts()
    plan = plan_of("small" if bottom else "trim", stride)
    return list(find_crossings(EmbeddedModel(model().eval()), shown, logits, plan))


@cache
def generated(case):
    shown, logits = starts()
    return generate(model(), shown, logits, plan_of(case))


def sides(case):
    """The rows of positives and of negatives."""
    made = generated(case)
    return {"pos": np.flatnonzero(made.positive), "neg": np.flatnonzero(~made.positive)}


def test_the_seeds_starts_are_answered_correctly_as_often_as_in_the_seed():
    shown, logits = starts()
    right = np.bincount(shown.labels[logits.argmax(1) == shown.labels], minlength=CLASSES)
    assert right.tolist() == numbers("perturb")["small"]["correct_per_class"]


@pytest.mark.parametrize("stride", [1, STRIDE], ids=["every step", "coarse to fine"])
@pytest.mark.parametrize("case", CASES)
def test_epsilon_tables_are_the_seeds(case, stride):
    boundary = plan_of(case).boundary
    found = crossings(boundary.bottom, stride)
    for rank, table in enumerate(numbers("perturb")[case]["eps"]):
        ours = [crossing for crossing in found if crossing.start.rank == rank]
        for name, places, least in (
            ("first_changed", [c.left for c in ours], 2),
            ("targeted", [c.reached for c in ours], 0),
        ):
            made = [
                [crossing.start.source, crossing.target, epsilon(place, boundary)]
                for crossing, place in zip(ours, places, strict=True)
                if place is not None and place >= least
            ]
            assert [row[:2] for row in made] == [row[:2] for row in table[name]]
            steps = np.abs(np.array(made)[:, 2] - np.array(table[name])[:, 2]) / boundary.step
            assert steps.max() <= 1.0 + 1e-9


@pytest.mark.parametrize("case", CASES)
def test_counts_labels_and_sums_are_the_seeds(case):
    stored, made = numbers("perturb")[case], generated(case)
    for side, rows in sides(case).items():
        assert len(rows) == stored[f"n_{side}"]
        assert made.examples.labels[rows].tolist() == stored[f"{side}_labels"]
        samples = np.stack([made.examples.embeddings[row] for row in rows]).astype(np.float64)
        np.testing.assert_allclose(samples.sum((1, 2)), stored[f"{side}_sum"], atol=1e-2)
        np.testing.assert_allclose(np.abs(samples).sum((1, 2)), stored[f"{side}_abs_sum"], rtol=1e-5)


def test_the_embeddings_of_the_small_case_are_the_seeds():
    made, stored = generated("small").examples, arrays("perturb_small")
    for side, rows in sides("small").items():
        for place, row in enumerate(rows):
            np.testing.assert_allclose(made.embeddings[row], stored[f"small/{side}/embeddings"][place], atol=1e-5)
            np.testing.assert_array_equal(made.attention_masks[row], stored[f"small/{side}/attention_mask"][place])


def test_a_concerns_samples_are_the_seeds_calibration_samples():
    stored, made = arrays("embeds_calibration_ci"), generated("calib")
    drawn = samples_of(made, 2, 8)
    for side, rows in (("pos", drawn.positive), ("neg", drawn.negative)):
        assert made.examples.labels[list(rows)].tolist() == stored[f"c2/{side}/labels"].tolist()
        for place, row in enumerate(rows):
            np.testing.assert_allclose(made.examples.embeddings[row], stored[f"c2/{side}/embeddings"][place], atol=1e-5)
            np.testing.assert_array_equal(
                made.examples.attention_masks[row], stored[f"c2/{side}/attention_mask"][place]
            )
