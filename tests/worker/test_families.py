"""Every family: where its blocks are, by name before loading and by rows and columns in the live model."""

import numpy as np
import pytest
import torch
from torch import nn

from app.domain.errors import NoMatchingLayers, UnsupportedModel
from app.domain.families import FAMILIES, family_named, family_of
from app.domain.layers import layers_touched, select_attentions, select_blocks, select_feed_forwards, select_layers
from app.sources.models import describe_model
from microlith.contract import LayerPatterns
from tests.builders import KINDS, examples_for, tiny_model
from worker.evaluation.runner import predict
from worker.families.anatomy import anatomy
from worker.families.layers import linear, linear_layers

every_family = pytest.mark.parametrize("kind", KINDS)
BLOCKS = {"albert": 1}
"""Blocks of the tiny models where they are not two: ALBERT's two layers are one block, used twice."""


def described(model, folder):
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("[UNK]\n")
    return describe_model(f"path:{folder}", allow_paths=True)


def test_the_tiny_models_cover_every_family():
    assert {family_of(kind) for kind in KINDS} == set(FAMILIES)
    assert all(family_named(family.name) is family for family in FAMILIES)


@every_family
def test_the_header_of_the_file_tells_names_shapes_and_parts_of_the_live_model(kind, tmp_path):
    model = tiny_model(kind)
    info = described(model, tmp_path)
    live = linear_layers(model)
    assert [(layer.name, tuple(layer.shape)) for layer in info.layers] == [
        (name, tuple(layer.weight.shape)) for name, layer in live.items()
    ]
    together = ["weights", "neurons", "heads", "heads+neurons", "heads+weights"]
    deep = ["layers", *(f"layers+{structure}" for structure in together)]
    assert set(info.structures) == {*together, *(deep if kind != "albert" else ())}
    members = {name for part in anatomy(model).feed_forwards for name in part.layers}
    assert {layer.name for layer in info.layers if layer.feed_forward} == members
    assert info.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert info.task == ("image" if kind == "vit" else "text")


@every_family
def test_every_block_has_both_parts_and_the_classifier_writes_the_logits(kind):
    model = tiny_model(kind, classes=5)
    parts = anatomy(model)
    blocks = [part.block for part in parts.feed_forwards]
    assert blocks == [part.block for part in parts.attentions]
    assert len(blocks) == BLOCKS.get(kind, 2)
    assert linear(model, parts.classifier).out_features == 5
    for part in parts.feed_forwards:
        assert parts.neurons(part) == getattr(model.config, parts.family.width) == 24
    for part in parts.attentions:
        assert parts.heads(part) == 4


@every_family
def test_layers_left_out_take_the_feed_forward_part_of_every_block(kind):
    names = list(linear_layers(tiny_model(kind)))
    family = family_of(kind)
    parts = family.feed_forwards(names)
    expected = [name for name in names if any(name in part.layers for part in parts)]
    assert select_layers(names, None, family) == expected
    assert select_feed_forwards(names, expected, family) == parts
    assert layers_touched(names, None, family, "neurons") == expected


@every_family
def test_each_neuron_has_its_own_rows_and_each_head_its_own_rows_and_columns(kind):
    model = tiny_model(kind)
    parts = anatomy(model)
    for part in parts.feed_forwards:
        covered = [(name, offset + j) for name, offset in parts.neuron_rows(part) for j in range(24)]
        assert sorted(covered) == sorted(rows_of(model, part.writers))
    for part in parts.attentions:
        named = parts.head_rows(part, *range(4))
        covered = [(name, row) for name, rows in named for row in range(rows.start, rows.stop)]
        assert sorted(covered) == sorted(rows_of(model, part.layers[:-1]))
        columns = [column for head in range(4) for column in range(16)[parts.head_columns(part, head)]]
        assert columns == list(range(16))


def rows_of(model, names):
    return [(name, row) for name in names for row in range(linear(model, name).out_features)]


@every_family
def test_what_a_head_writes_depends_on_its_rows_alone(kind):
    """The rows of one head, changed, reach no other column of the context: so rows and columns are the same head."""
    model, examples, head = tiny_model(kind), examples_for(kind), 1
    parts = anatomy(model)
    part = parts.attentions[-1]
    before = context(model, part, examples)
    others = [other for other in range(4) if other != head]
    for name, rows in parts.head_rows(part, head):
        nn.init.normal_(linear(model, name).weight.data[rows], std=1.0)
    after = context(model, part, examples)
    columns = parts.head_columns(part, head)
    assert (after[..., columns] - before[..., columns]).abs().max() > 1e-3
    if BLOCKS.get(kind) != 1:  # a shared block also changes what the next layer sees
        for other in others:
            assert torch.equal(
                after[..., parts.head_columns(part, other)], before[..., parts.head_columns(part, other)]
            )


def context(model, part, examples):
    """What the block's heads wrote the last time it was used."""
    seen = []
    hook = linear(model, part.output).register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].clone()))
    predict(model, examples.take([0, 0]))
    hook.remove()
    return seen[-1]


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_keys_and_values_that_heads_share_go_only_with_the_last_of_them(kind):
    parts = anatomy(tiny_model(kind))
    part = parts.attentions[0]
    assert parts.groups(part) == 2
    assert {name for name, _ in parts.head_rows(part, 2)} == {part.query}
    assert parts.head_rows(part, 2, 3)[2:] == [(part.key, slice(4, 8)), (part.value, slice(4, 8))]
    assert {name for name, _ in parts.head_rows(part, 1, 2)} == {part.query}


def test_the_fused_layer_of_modernbert_holds_gate_and_input_and_all_projections():
    parts = anatomy(tiny_model("modernbert"))
    assert parts.neuron_rows(parts.feed_forwards[0]) == [("model.layers.0.mlp.Wi", 0), ("model.layers.0.mlp.Wi", 24)]
    rows = [rows for _, rows in parts.head_rows(parts.attentions[0], 3)]
    assert rows == [slice(12, 16), slice(28, 32), slice(44, 48)]


def test_the_layers_of_a_shared_group_are_one_block_whose_change_reaches_every_use():
    model = tiny_model("albert")
    part = anatomy(model).feed_forwards[0]
    uses = []
    linear(model, part.output).register_forward_pre_hook(lambda *_: uses.append(1))
    predict(model, examples_for("albert", 1))
    assert len(uses) == model.config.num_hidden_layers == 2


def names_of(kind):
    return list(linear_layers(tiny_model(kind)))


@every_family
def test_without_patterns_heads_of_every_block_may_go(kind):
    names, family = names_of(kind), family_of(kind)
    parts = select_attentions(names, None, family)
    assert parts == family.attentions(names)
    assert layers_touched(names, None, family, "heads") == [n for n in names if any(n in p.layers for p in parts)]


def test_patterns_choose_blocks_of_heads_by_the_names_of_their_layers():
    names, family = names_of("bert"), family_of("bert")
    second = select_attentions(names, LayerPatterns(include=["layer.1."]), family)
    assert [part.block for part in second] == ["bert.encoder.layer.1"]
    with pytest.raises(NoMatchingLayers, match="belongs to attention heads") as refusal:
        select_attentions(names, LayerPatterns(include=["intermediate", "output"], exclude=["attention"]), family)
    assert "every block" in refusal.value.hint


def test_a_chain_touches_what_each_of_its_parts_does():
    names, family = names_of("bert"), family_of("bert")
    touched = layers_touched(names, None, family, "heads+weights")
    assert touched == names[:-2]  # all but pooler and classifier
    second = layers_touched(names, LayerPatterns(include=["layer.1."]), family, "heads+neurons")
    assert second == [name for name in names if "layer.1." in name]


def test_patterns_that_name_no_layer_that_writes_neurons_are_refused_with_those_that_do():
    names = names_of("llama")
    with pytest.raises(NoMatchingLayers, match=r"model\.layers\.1\.mlp\.up_proj"):
        select_feed_forwards(names, ["score"], family_of("llama"))
    either = select_feed_forwards(names, ["model.layers.1.mlp.up_proj"], family_of("llama"))
    assert [part.block for part in either] == ["model.layers.1"]


def test_patterns_choose_whole_layers_by_the_names_of_what_stands_in_them():
    names, family = names_of("bert"), family_of("bert")
    assert select_blocks(names, None, family) == ["bert.encoder.layer.0", "bert.encoder.layer.1"]
    assert select_blocks(names, LayerPatterns(include=["layer.1."]), family) == ["bert.encoder.layer.1"]
    with pytest.raises(NoMatchingLayers, match=r"The blocks are: bert\.encoder\.layer\.0, ") as refusal:
        select_blocks(names, LayerPatterns(include=["classifier"]), family)
    assert refusal.value.pointer == "/layers"


@pytest.mark.parametrize(("kind", "blocks"), [("albert", 2), ("bert", 1)])
def test_a_layer_that_has_no_other_beside_it_cannot_go(kind, blocks):
    names = list(linear_layers(tiny_model(kind, blocks=blocks)))
    with pytest.raises(UnsupportedModel, match="no layer can go") as refusal:
        layers_touched(names, None, family_of(kind), "layers")
    assert (refusal.value.pointer, "`neurons`" in refusal.value.hint) == ("/structure", True)


def test_the_first_layer_stays_where_it_is_made_otherwise_than_the_rest():
    """ModernBERT's has no norm before its attention."""
    assert anatomy(tiny_model("modernbert", blocks=3)).removable == ("model.layers.1", "model.layers.2")
    assert len(anatomy(tiny_model("bert", blocks=3)).removable) == 3


@pytest.mark.parametrize("structure", ["neurons", "heads", "heads+weights", "layers"])
def test_of_an_unknown_family_only_weights_can_go(structure):
    names = ["body.first", "body.second"]
    assert select_layers(names, None, None) == layers_touched(names, None, None, "weights") == names
    with pytest.raises(UnsupportedModel, match="not known where") as refusal:
        layers_touched(names, None, None, structure)
    assert (refusal.value.pointer, "`weights`" in refusal.value.hint) == ("/structure", True)


def test_a_plain_module_has_linear_layers_and_no_blocks():
    parts = anatomy(nn.Sequential(nn.Linear(2, 3), nn.ReLU()))
    assert (parts.family, parts.feed_forwards, parts.attentions, parts.classifier) == (None, (), (), None)
    assert dict(parts.shapes) == {"0": (3, 2)}


def test_a_name_that_is_not_linear_is_refused():
    with pytest.raises(TypeError, match="1 is a ReLU"):
        linear(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), "1")


def test_logits_of_the_tiny_models_differ_between_examples():
    """Else every equality of logits in these tests would prove nothing."""
    for kind in KINDS:
        assert np.ptp(predict(tiny_model(kind), examples_for(kind)), axis=0).min() > 0.1
