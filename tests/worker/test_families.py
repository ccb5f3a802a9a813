import pytest
from torch import nn

from tests.builders import tiny_bert, tiny_distilbert
from worker.families.layers import WIDTH_SETTINGS, family_of_model, feed_forwards, linear, linear_layers


def test_linear_layers_stand_in_the_order_of_the_module_tree_with_the_head_last():
    names = list(linear_layers(tiny_bert()))
    assert names[:2] == ["bert.encoder.layer.0.attention.self.query", "bert.encoder.layer.0.attention.self.key"]
    assert names[-1] == "classifier"
    assert len(names) == 2 * 6 + 2


@pytest.mark.parametrize("model", [tiny_bert(), tiny_distilbert()], ids=["bert", "distilbert"])
def test_every_block_has_a_pair_whose_widths_meet_in_the_configured_one(model):
    family = family_of_model(model)
    pairs = feed_forwards(model, family)
    assert len(pairs) == 2
    for pair in pairs:
        width = getattr(model.config, WIDTH_SETTINGS[family.name])
        assert linear(model, pair.intermediate).out_features == linear(model, pair.output).in_features == width


def test_a_plain_module_has_no_family_and_a_name_that_is_not_linear_is_refused():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    assert family_of_model(model) is None
    with pytest.raises(TypeError, match="1 is a ReLU"):
        linear(model, "1")
