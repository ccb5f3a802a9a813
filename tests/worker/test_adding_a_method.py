"""A method is its model in the contract and its object in the registry, and nothing else knows its name."""

from typing import ClassVar, Literal

import pytest
import torch

from app.domain.errors import InvalidInput
from app.domain.layers import select_layers
from app.domain.methods import check_method
from microlith.contract import JobSpec
from microlith.contract.methods import METHODS, ScoringMethod
from tests.builders import tiny_bert, tiny_examples
from worker.families.anatomy import anatomy
from worker.families.layers import linear
from worker.pruning.evidence import EvidencePass
from worker.pruning.prune import prune
from worker.pruning.scores.method import Needs, Scoring
from worker.pruning.scores.registry import SCORINGS
from worker.pruning.scores.wanda import concern_norms
from worker.sampling.concern import draw_samples


class EnergyMethod(ScoringMethod):
    """Weights whose inputs hardly ever fire go."""

    title: ClassVar[str] = "Energy"
    source: ClassVar[str] = "A test."
    structures = ("weights", "neurons", "heads+neurons")
    name: Literal["energy"] = "energy"


class Energy(Scoring):
    needs = Needs(inputs=True)

    def weights(self, evidence, layer):
        return concern_norms(evidence.statistics, evidence.samples, layer, evidence.concern).expand(
            evidence.weight(layer).shape
        )


@pytest.fixture
def energy(monkeypatch):
    monkeypatch.setitem(SCORINGS, "energy", Energy())


def spec_of(structure, **given):
    spec = JobSpec(model="demo:m", dataset="demo:d", structure=structure, sampling={"per_concern": 6}, **given)
    return spec.model_copy(update={"method": EnergyMethod()})


def pruned(model, spec):
    examples, parts = tiny_examples(), anatomy(model)
    layers = select_layers(list(parts.shapes), spec.layers, parts.family)
    samples = {concern: draw_samples(examples.labels, concern, 4, spec.sampling) for concern in (0, 1)}
    evidence = EvidencePass(model, spec, layers, examples, samples, parts)
    return [mask for _, _, mask in prune(model, parts, evidence.run(), spec, layers, [0, 1])]


def test_both_sides_name_the_same_methods():
    assert list(SCORINGS) == list(METHODS)


@pytest.mark.usefixtures("energy")
@pytest.mark.parametrize("structure", EnergyMethod.structures)
def test_a_method_that_is_registered_prunes_what_it_says_it_can(structure):
    model, spec = tiny_bert(), spec_of(structure, ratio=0.25)
    check_method(spec)
    for mask in pruned(model, spec):
        assert mask.achieved == pytest.approx(0.25)


@pytest.mark.usefixtures("energy")
def test_its_scores_decide():
    model, layer = tiny_bert(), "bert.encoder.layer.0.output.dense"
    mask, _ = pruned(model, spec_of("weights", layers={"include": [layer]}))
    gone = ~torch.from_numpy(mask.weights[layer].unpack())
    assert (gone == gone[0]).all(), "the same inputs go from every row"
    assert gone[0].sum() == linear(model, layer).in_features // 2


@pytest.mark.usefixtures("energy")
def test_what_it_does_not_score_is_refused():
    with pytest.raises(InvalidInput, match="energy"):
        check_method(spec_of("heads+weights"))
