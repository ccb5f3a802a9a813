import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from app.domain.errors import DatasetInvalid
from worker.compute.examples import EmbeddedExamples
from worker.sampling.boundary import BoundarySet
from worker.sampling.boundary_file import FORMAT, load, save


def small_set(rows=4):
    rng = np.random.default_rng(0)
    lengths = [2 + row % 3 for row in range(rows)]
    labels = np.arange(rows, dtype=np.int64) % 3
    return BoundarySet(
        examples=EmbeddedExamples(
            embeddings=[rng.standard_normal((length, 5)).astype(np.float32) for length in lengths],
            attention_masks=[np.ones(length, np.int64) for length in lengths],
            labels=labels,
        ),
        positive=labels < 1,
        sources=labels,
        targets=(labels + 1) % 3,
        epsilons=rng.random(rows),
        classes=3,
        mode="seed",
    )


def same(left, right):
    for ours, theirs in zip(left.examples.embeddings, right.examples.embeddings, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(left.examples.attention_masks, right.examples.attention_masks, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(left.examples.labels, right.examples.labels)
    for name in ("positive", "sources", "targets", "epsilons"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))
    assert (left.classes, left.mode) == (right.classes, right.mode)


def test_the_token_types_of_pairs_are_kept_and_others_need_none(tmp_path):
    made = small_set()
    types = [np.arange(len(row)) % 2 for row in made.examples.embeddings]
    save(replace(made, examples=replace(made.examples, segments=types)), tmp_path / "set")
    found = load(tmp_path / "set").examples.segments
    assert [row.tolist() for row in found] == [row.tolist() for row in types]
    save(made, tmp_path / "set")
    assert load(tmp_path / "set").examples.segments is None


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "boundary.safetensors"
    save(small_set(), path)
    return path


def changed(path, **arrays):
    """The same file with other tensors; None leaves one out."""
    tensors = {**load_file(path), **arrays}
    facts = json.dumps({"version": 1, "classes": 3, "mode": "seed"})
    save_file({name: array for name, array in tensors.items() if array is not None}, path, metadata={FORMAT: facts})


@pytest.mark.parametrize("rows", [0, 1, 4])
def test_a_set_comes_back_as_it_was_saved(tmp_path, rows):
    save(small_set(rows), tmp_path / "set")
    same(load(tmp_path / "set"), small_set(rows))


def test_the_same_set_has_the_same_bytes(tmp_path, file):
    save(load(file), tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == file.read_bytes()


@pytest.mark.parametrize("kept", [0, 4, 8, 100, -1])
def test_a_damaged_file_is_refused(file, kept):
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(DatasetInvalid, match="not a whole safetensors file"):
        load(file)


@pytest.mark.parametrize(
    "metadata", [None, {"format": "pt"}, {FORMAT: "{"}, {FORMAT: "[]"}, {FORMAT: '{"version": 9}'}]
)
def test_a_foreign_file_is_refused(tmp_path, metadata):
    save_file({"weight": np.ones((2, 2), np.float32)}, tmp_path / "model", metadata=metadata)
    with pytest.raises(DatasetInvalid, match="metadata does not say"):
        load(tmp_path / "model")


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"labels": None}, "`labels` is missing"),
        ({"embeddings": np.ones(11, np.float32)}, "`embeddings` is missing or not of type float32"),
        ({"epsilons": np.ones(4, np.float32)}, "`epsilons` is missing or not of type float64"),
        ({"labels": np.zeros(3, np.int64)}, "disagree"),
        ({"lengths": np.array([2, 3, 4, 3])}, "do not add up"),
        ({"lengths": np.array([2, 3, 6, 0])}, "do not add up"),
        ({"lengths": np.array([2**62, 2**62, 2**62, 2**62 + 11])}, "do not add up"),
        ({"labels": np.array([0, 1, 2, 3])}, "`labels` has classes"),
        ({"targets": np.array([0, 1, 2, -1])}, "`targets` has classes"),
        ({"embeddings": np.full((11, 5), np.nan, np.float32)}, "not finite"),
        ({"attention_mask": np.full(11, 2, np.uint8)}, "0 or 1"),
        ({"token_type_ids": np.zeros(11, np.int64)}, "`token_type_ids` is missing or not of type uint8"),
        ({"token_type_ids": np.zeros(10, np.uint8)}, "do not add up to its positions"),
        ({"attention_mask": np.array([0, 0, *[1] * 9], np.uint8)}, "no position that counts"),
    ],
)
def test_a_file_that_says_what_cannot_be_is_refused(file, arrays, why):
    changed(file, **arrays)
    with pytest.raises(DatasetInvalid, match=why):
        load(file)


def test_a_type_that_arrays_do_not_have_is_refused(file):
    raw = file.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = raw[8 : 8 + size].replace(b'"dtype":"F32"', b'"dtype":"F16"')
    file.write_bytes(raw[:8] + header + raw[8 + size :])
    with pytest.raises(DatasetInvalid):
        load(file)
