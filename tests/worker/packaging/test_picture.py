"""The picture of what is gone, layer by layer."""

from xml.etree import ElementTree

import pytest

from microlith.contract import Sparsity
from worker.packaging.picture import alternative, picture

SVG = "{http://www.w3.org/2000/svg}"
LAYERS = {
    "bert.encoder.layer.0.attention.output.dense": 0.0,
    "bert.encoder.layer.0.output.dense": 0.5,
    "bert.encoder.layer.1.attention.output.dense": 0.25,
    "bert.encoder.layer.1.output.dense": 1.0,
    "class<ifier>": 0.125,
}


def drawn(layers):
    root = ElementTree.fromstring(picture(Sparsity(overall=0.3171, layers=layers)))
    cells = {}
    for group in root.iter(f"{SVG}g"):
        there, gone = group.findall(f"{SVG}rect")
        cells[group.find(f"{SVG}title").text] = (there.attrib, float(gone.get("width")) / float(there.get("width")))
    return root, cells


def test_every_layer_is_a_bar_filled_as_far_as_it_is_gone():
    _, cells = drawn(LAYERS)
    assert {name: share for name, (_, share) in cells.items()} == pytest.approx(LAYERS, abs=1e-3)


def test_a_block_is_a_row_and_equal_layers_of_blocks_a_column():
    _, cells = drawn(LAYERS)
    first, second, third, fourth, alone = [(place["x"], place["y"]) for place, _ in cells.values()]
    assert first[1] == second[1] != third[1] == fourth[1]
    assert first[0] == third[0] != second[0] == fourth[0]
    assert alone[1] not in (first[1], third[1])


def test_columns_have_the_shortest_names_that_tell_them_apart():
    root, _ = drawn(LAYERS)
    texts = {text.text for text in root.iter(f"{SVG}text")}
    assert {"attention.output", "output", "block 0", "block 1", "class<ifier>", "12.5 %"} <= texts


def test_nothing_is_drawn_outside_the_picture():
    for layers in (LAYERS, {"classifier": 0.5}, {}, {f"layer.{block}.dense": 0.5 for block in range(48)}):
        root, _ = drawn(layers)
        for rect in root.iter(f"{SVG}rect"):
            right = float(rect.get("x", 0)) + float(rect.get("width"))
            below = float(rect.get("y", 0)) + float(rect.get("height"))
            assert right <= float(root.get("width"))
            assert below <= float(root.get("height"))


def test_it_is_told_in_words_for_whom_it_is_not_shown():
    assert alternative(Sparsity(overall=0.3171, layers=LAYERS)) == (
        "31.7 % of all linear weights and biases are gone, from 0.0 % to 100.0 % by layer"
    )


def test_equal_numbers_give_equal_text():
    sparsity = Sparsity(overall=0.5, layers=LAYERS)
    assert picture(sparsity) == picture(sparsity.model_copy(deep=True))
