"""The slow side of the benchmarks computes what the seed system computes, so that a ratio to it means something."""

import copy
from functools import cache

import numpy as np
import pytest
import torch

from benchmarks import seedway
from benchmarks.seedway import Asked, Split
from tests.parity.reference import CLASSES, CONCERNS, arrays, examples, model, numbers, present

pytestmark = present
SHORT = 40
"""No text is longer. Pads change no answer, as the last test shows, and a split passes in a tenth of the time."""


def split(name, length=512):
    stored = examples(name)
    return Split.padded(stored.token_ids, stored.labels, length)


@cache
def module(concern, ratio, form):
    made = copy.deepcopy(model())
    seedway.prune(made, split("train"), concern, Asked(CLASSES, ratio, form))
    return made


@pytest.mark.parametrize(("form", "file", "mask"), [("sine", "ci_sine", "/mask"), ("alpha", "ci_unstructed", ".mask")])
@pytest.mark.parametrize("concern", CONCERNS)
def test_its_masks_are_the_seeds_but_for_near_ties(form, file, mask, concern):
    prefix, layers = f"c{concern}/r0.5/", dict(module(concern, 0.5, form).named_modules())
    stored = {key: kept for key, kept in arrays(file).items() if key.startswith(prefix) and key.endswith(mask)}
    assert len(stored) == 4
    for key, kept in stored.items():
        weight = layers[key.removeprefix(prefix).removesuffix(mask)].weight
        assert ((weight != 0).numpy() != kept).sum() <= 4


def test_it_prunes_the_layers_that_the_seed_prunes():
    named = [name for name, layer in model().named_modules() if isinstance(layer, torch.nn.Linear)]
    stored = {key.split("/")[2].removesuffix(".mask") for key in arrays("ci_unstructed") if key.endswith(".mask")}
    assert {name for name in named if seedway.taken(name, Asked(CLASSES))} == stored


@pytest.mark.parametrize("subject", ["model", "module_c3_r0.5"])
def test_its_report_and_exp_loss_are_the_seeds(subject):
    measured = model() if subject == "model" else module(3, 0.5, "alpha")
    expected, test, valid = numbers("evaluate")[subject], split("test", SHORT), split("valid", SHORT)
    logits = seedway.predict(measured, test, Asked(CLASSES))
    np.testing.assert_allclose(logits, arrays("logits")[f"{subject}/test_logits"], atol=5e-6)
    rows = zip(*seedway.scores(logits, test.labels, CLASSES), strict=True)
    names = ("precision", "recall", "f1-score")
    assert [[round(cell, 4) for cell in row] for row in rows] == [
        [stored[name] for name in names] for stored in expected["report_df"]
    ]
    loss = seedway.exp_loss(seedway.predict(measured, valid, Asked(CLASSES)), valid.labels)
    assert loss == pytest.approx(expected["valid_perplexity"], rel=1e-6)


@pytest.mark.parametrize(("concern", "ratio"), [(0, 0.9), (3, 0.5)])
def test_its_similarity_is_the_seeds(concern, ratio):
    expected, valid = numbers("similarity_module_vs_model")[f"c{concern}_r{ratio}"], split("valid")
    sides = seedway.sample(valid.labels, concern, CLASSES)
    for name, rows in zip(("concern", "non_concern"), sides, strict=True):
        found = seedway.similarity(model(), module(concern, ratio, "alpha"), valid.take(rows), Asked(CLASSES))
        assert found["cca"] == pytest.approx(expected[f"cca_{name}"]["mean"][0], rel=1e-4)
        assert found["linear_cka"] == pytest.approx(expected[f"linear_cka_{name}"], rel=1e-6)
        assert found["kernel_cka"] == pytest.approx(expected[f"kernel_cka_{name}"], rel=1e-5)


def test_a_row_is_told_of_every_concern_with_inputs_as_long_as_the_model_takes():
    test, valid = split("test").take(range(16)), split("valid").take(range(48))
    [row] = seedway.decompose(model(), split("train"), valid, test, [3], Asked(CLASSES))
    assert row.concern == 3
    assert row.base_exp_loss != row.exp_loss
    np.testing.assert_allclose(
        seedway.predict(model(), test, Asked(CLASSES)), arrays("logits")["model/test_logits"][:16], atol=5e-6
    )
