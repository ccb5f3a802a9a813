import numpy as np
import pytest
import torch

from app.domain.errors import NoMatchingLayers, UnsupportedModel
from app.domain.layers import select_layers
from microlith.contract import JobSpec
from tests.builders import tiny_bert, tiny_examples
from worker.families.layers import family_of_model, linear, linear_layers
from worker.pruning.prune import prune, scored_layers
from worker.pruning.scores.ci import coefficient, contrast
from worker.pruning.statistics import calibrate
from worker.sampling.concern import draw_samples


def spec_of(**given):
    return JobSpec(model="demo:m", dataset="demo:d", **{"sampling": {"per_concern": 6}, **given})


def pruned(spec, model=None, concerns=(0, 2), examples=None):
    """Statistics of concerns 0, 1 and 2, and the masks of `concerns`."""
    model, examples = model or tiny_bert(), examples or tiny_examples()
    family = family_of_model(model)
    layers = select_layers(list(linear_layers(model)), spec.layers, family)
    samples = {c: draw_samples(examples.labels, c, 4, spec.sampling) for c in (0, 1, 2)}
    statistics = calibrate(model, scored_layers(model, family, spec, layers), examples, samples, spec.calibration)
    return statistics, list(prune(model, family, statistics, spec, layers, concerns))


def test_all_ratios_of_a_concern_come_before_the_next_concern():
    _, masks = pruned(spec_of(ratio=[0.5, 0.25]))
    assert [(concern, ratio) for concern, ratio, _ in masks] == [(0, 0.5), (0, 0.25), (2, 0.5), (2, 0.25)]


@pytest.mark.parametrize("form", ["sine", "alpha"])
@pytest.mark.parametrize("pairing", ["free", "position"])
def test_every_row_of_every_layer_loses_exactly_the_asked_number(form, pairing):
    ratios = [0.01, 0.3, 0.5, 0.99]
    spec = spec_of(method={"form": form}, ratio=ratios, layers={}, calibration={"pairing": pairing})
    _, masks = pruned(spec)
    for _, ratio, mask in masks:
        assert list(mask.layers) == list(linear_layers(tiny_bert()))
        for bits in mask.layers.values():
            rows, width = bits.shape
            assert (~bits.unpack()).sum(axis=1).tolist() == [int(width * ratio)] * rows


def test_removed_weights_score_no_higher_than_kept_ones():
    model = tiny_bert()
    statistics, masks = pruned(spec_of(), model)
    for name, bits in masks[1][2].layers.items():
        scores = linear(model, name).weight.abs() * coefficient(contrast(statistics.layers[name], 2), "sine").abs()
        kept = torch.from_numpy(bits.unpack())
        lowest_kept = scores.masked_fill(~kept, torch.inf).amin(1)
        assert (scores.masked_fill(kept, -torch.inf).amax(1) <= lowest_kept).all()


@pytest.mark.parametrize(
    ("calibration", "neurons_by", "scored"),
    [
        ({}, "auto", "output"),
        ({"pairing": "position"}, "auto", "intermediate"),
        ({}, "input", "intermediate"),
        ({"pairing": "position"}, "output", "output"),
    ],
)
def test_neurons_are_judged_by_output_except_where_the_seed_is_reproduced(calibration, neurons_by, scored):
    model = tiny_bert()
    spec = spec_of(structure="neurons", calibration=calibration, method={"neurons_by": neurons_by})
    family = family_of_model(model)
    layers = select_layers(list(linear_layers(model)), None, family)
    assert scored_layers(model, family, spec, layers) == [f"bert.encoder.layer.{i}.{scored}.dense" for i in (0, 1)]
    _, masks = pruned(spec, model)
    for _, _, mask in masks:
        assert [bits.kept for bits in mask.layers.values()] == [12, 12]
        assert mask.achieved == 0.5


def test_a_neuron_whose_activation_is_large_but_is_hardly_read_goes_first():
    """Defect 6: the seed looks at a neuron's input side only."""
    model = tiny_bert()
    reader = linear(model, "bert.encoder.layer.0.output.dense")
    reader.weight.data[:, 5] *= 1e-6
    for neurons_by, kept in (("output", False), ("input", True)):
        linear(model, "bert.encoder.layer.0.intermediate.dense").weight.data[5] = 2.0
        spec = spec_of(structure="neurons", ratio=0.1, method={"neurons_by": neurons_by})
        _, masks = pruned(spec, model)
        assert masks[0][2].layers["bert.encoder.layer.0.intermediate.dense"].unpack()[5] == kept


def test_a_concern_has_the_same_masks_whichever_others_are_asked_for():
    _, both = pruned(spec_of())
    _, alone = pruned(spec_of(), concerns=(2,))
    assert alone[0][2].digest() == both[1][2].digest()


def test_the_same_spec_gives_the_same_bytes():
    assert pruned(spec_of())[1][0][2].digest() == pruned(spec_of())[1][0][2].digest()


def test_concerns_differ():
    _, masks = pruned(spec_of())
    left, right = (mask.layers["bert.encoder.layer.1.output.dense"].unpack() for _, _, mask in masks)
    assert not np.array_equal(left, right)


def test_neurons_need_a_known_family_and_an_intermediate_layer():
    model = tiny_bert()
    spec = spec_of(structure="neurons")
    with pytest.raises(UnsupportedModel):
        scored_layers(model, None, spec, list(linear_layers(model)))
    with pytest.raises(NoMatchingLayers):
        scored_layers(model, family_of_model(model), spec, ["classifier"])
