"""Model folders that were written to do harm: described in little time, or refused with a sentence."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import InvalidInput, MicrolithError, ResourceLimit, UnsafeModel, UnsupportedModel
from app.sources.classes import MAX_LABEL, MAX_LABELS
from app.sources.models import MAX_LAYERS, describe_folder
from app.sources.references import Reference
from app.sources.safetensors_header import MAX_TENSORS
from microlith.contract import ModelInfo
from tests.model_folders import CONFIG, IMAGES, INDEX, SHAPES, folder_at, header_of, safetensors, weights, written

FIRST = next(iter(SHAPES))
DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
BIG = b"9" * 5_000
Files = Mapping[str, bytes | Mapping[str, Any]]


def described(place: Path, files: Files) -> ModelInfo:
    folder = folder_at(place, files)
    return describe_folder(Reference("path", str(folder), place=folder), folder)


def config(**changes: Any) -> Files:
    return {"config.json": CONFIG | changes}


def first(**changes: Any) -> Files:
    def change(header: dict[str, Any]) -> None:
        header[FIRST].update(changes)

    return {"model.safetensors": weights(change)}


def changed(change: Callable[[dict[str, Any]], object]) -> Files:
    return {"model.safetensors": weights(change)}


def raw(header: bytes, length: int | None = None) -> Files:
    return {"model.safetensors": safetensors(header, 0, length)}


def sharded(weight_map: object) -> Files:
    return {INDEX: {"weight_map": weight_map}}


def inserted(text: bytes) -> bytes:
    """The config with one more value, as it is written."""
    return json.dumps(CONFIG).encode()[:-1] + b', "x": ' + text + b"}"


REFUSED: dict[str, Files] = {
    "a header longer than any file": raw(b"", 2**63),
    "no header": raw(b"", 0),
    "an empty file": {"model.safetensors": b""},
    "a deep header": raw(b"[" * 200_000),
    "a header that is a list": raw(b"[]"),
    "a header that is nothing": raw(b"null"),
    "a header that is no text": raw(b'{"\xff":1}'),
    "no offsets": first(data_offsets=[]),
    "one offset": first(data_offsets=[0]),
    "offsets of texts": first(data_offsets=["a", "b"]),
    "offsets before the beginning": first(data_offsets=[-5, -1]),
    "an offset that is true": first(data_offsets=[False, True]),
    "an offset without end": {"model.safetensors": written("[0, Infinity]", data_offsets="HERE")},
    "an offset that is no number": {"model.safetensors": written("[0, NaN]", data_offsets="HERE")},
    "an offset beyond all numbers": {"model.safetensors": written("[0, 1e400]", data_offsets="HERE")},
    "an offset of 5,000 digits": {"model.safetensors": written(f"[0, {BIG.decode()}]", data_offsets="HERE")},
    "tensors that overlap": changed(lambda h: [one.update(data_offsets=[0, 32], shape=[8]) for one in h.values()]),
    "a side of 4,000 digits": {"model.safetensors": written(f"[{'9' * 4_000}]", shape="HERE")},
    "a side without end": {"model.safetensors": written("[Infinity]", shape="HERE")},
    "a side below nothing": first(shape=[-1, -1]),
    "sides beyond 64 bits": first(shape=[10**18, 10**18]),
    "sides whose product is 2^64 times nothing": first(shape=[2**64, 0], data_offsets=[0, 0]),
    "100,000 sides": first(shape=[1] * 100_000),
    "sides of text": first(shape="ab"),
    "sides of an object": first(shape={}),
    "a side with a fraction": first(shape=[1.5, 2]),
    "no shape": changed(lambda header: header[FIRST].pop("shape")),
    "a tensor that is a number": changed(lambda header: header.update({FIRST: 5})),
    "a type nobody knows": first(dtype="F128"),
    "a type that is a list": first(dtype=["F32"]),
    "metadata that are a number": changed(lambda header: header.update(__metadata__=5)),
    "a name with a NUL": {"model.safetensors": weights(**{"a\0b.weight": [2, 2]})},
    "a name with half a pair": {"model.safetensors": weights(**{"\ud800.weight": [2, 2]})},
    "a name of 10,000 letters": {"model.safetensors": weights(**{"x" * 10_000: [2, 2]})},
    "architectures of text": config(architectures="X"),
    "architectures of numbers": config(architectures=[5]),
    "an architecture of 10,000 letters": config(architectures=["X" * 10_000 + "ForSequenceClassification"]),
    "a billion labels": config(id2label=None, num_labels=10**9),
    "labels below nothing": config(id2label=None, num_labels=-5),
    "labels of a fraction": config(id2label=None, num_labels=1e9),
    "labels that are true": config(id2label=None, num_labels=True),
    "label names in a list": config(id2label=["a", "b", "c"]),
    "label names in a text": config(id2label="abc"),
    "label names that are objects": config(id2label={"0": {"a": 1}, "1": ["x"], "2": None}),
    "label names with gaps": config(id2label={"0": "a", "5": "b", "6": "c"}),
    "more labels than outputs": config(id2label={str(n): f"label {n}" for n in range(MAX_LABELS)}),
    "a label of 5,000 letters": config(id2label={"0": "x" * (MAX_LABEL + 1), "1": "b", "2": "c"}),
    "a label with a NUL": config(id2label={"0": "a\0b", "1": "b", "2": "c"}),
    "a label with half a pair": config(id2label={"0": "\ud800", "1": "b", "2": "c"}),
    "positions that are no number": {"config.json": inserted(b"NaN")},
    "positions without end": {"config.json": inserted(b"-Infinity")},
    "a number of 5,000 digits": {"config.json": inserted(BIG)},
    "a number beyond all numbers": {"config.json": inserted(b"1e999")},
    "a deep config": {"config.json": DEEP},
    "a config of a million lists": {"config.json": inserted(b"[" + b"[]," * 1_000_000 + b"[]]")},
    "a config of 9 MB": {"config.json": inserted(b'"' + b"x" * 9_000_000 + b'"')},
    "a config in UTF-16": {"config.json": json.dumps(CONFIG).encode("utf-16")},
    "a deep tokenizer": {"tokenizer_config.json": DEEP},
    "a tokenizer without end": {"tokenizer_config.json": b'{"model_max_length": Infinity}'},
    "a tokenizer that is a list": {"tokenizer_config.json": b"[]"},
    "a task that is a list": config(problem_type=[]),
    "images of a billion channels": config(**IMAGES | {"num_channels": 10**9}),
    "images of a billion rows": config(**IMAGES | {"image_size": 10**9}),
    "images of lists": config(**IMAGES | {"image_size": {"height": [], "width": {}}}),
    "images that are true": config(**IMAGES | {"image_size": True}),
    "a deep preprocessor": config(**IMAGES) | {"preprocessor_config.json": DEEP},
    "shards elsewhere": sharded({"a": "../../../x.safetensors"}),
    "shards that are numbers": sharded({"a": 5, "b": "x.safetensors"}),
    "shards in a list": sharded([1]),
    "shards in lists": sharded({"a": ["x"]}),
    "a shard with a NUL": sharded({"a": "x\0.safetensors"}),
    "a shard of 3,000 letters": sharded({"a": "x" * 3_000 + ".safetensors"}),
    "a shard with half a pair": sharded({"a": "\ud800.safetensors"}),
    "5,000 shards": sharded({str(n): f"{n}.safetensors" for n in range(5_000)}),
    "a deep index": {INDEX: b'{"weight_map":' * 50_000},
    "a notice of 2 MB": {"LICENSE": b"x" * 2_000_000},
    "a pad that is a text": config(model_type="roberta", pad_token_id="x"),
    "a pad that is nothing": config(model_type="roberta", pad_token_id=None),
    "more positions than the table has rows": config(max_position_embeddings=10**9),
    "100 notices": {f"NOTICE-{n}": b"x" for n in range(100)},
}

TAKEN: dict[str, Files] = {
    "a kind that is a list": config(model_type=[]),
    "a kind that is an object": config(model_type={}),
    "a pad beyond all positions": config(model_type="roberta", pad_token_id=10**15),
    "positions of text": config(max_position_embeddings="512"),
    "positions of lists": config(model_type="roberta", max_position_embeddings=[5]),
    "positions below nothing": config(max_position_embeddings=-4),
    "a byte order mark": {"config.json": b"\xef\xbb\xbf" + json.dumps(CONFIG).encode()},
    "a longest input of 10^30": {"tokenizer_config.json": {"model_max_length": 10**30}},
    "a licence of 100,000 letters": {"README.md": b"---\nlicense: " + b"a" * 100_000 + b"\n---\n"},
    "a README of blanks": {"README.md": b"---" + b" " * 1_000_000},
    "a README of empty lines": {"README.md": b"---" + b"\n" * 1_000_000},
    "a README of half ends": {"README.md": b"---\n" + b"\n---x" * 200_000},
    "a licence with a NUL": {"README.md": b"---\nlicense: mit\x00\n---\n"},
}


def in_time(place: Path, files: Files) -> ModelInfo:
    began = time.process_time()
    try:
        return described(place, files)
    finally:
        assert time.process_time() - began < 2.0


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_beyond_its_bounds_is_refused_at_once_with_a_sentence(tmp_path: Path, case: str) -> None:
    with pytest.raises((UnsupportedModel, ResourceLimit)) as refusal:
        in_time(tmp_path / "secret-place", REFUSED[case])
    assert refusal.value.detail.endswith(".")
    assert len(refusal.value.detail) < 1_000
    assert refusal.value.detail.isprintable()
    assert "secret-place" not in refusal.value.detail


@pytest.mark.parametrize("case", TAKEN)
def test_what_is_odd_alone_is_left_out(tmp_path: Path, case: str) -> None:
    info = in_time(tmp_path, TAKEN[case])
    assert info.labels == ["no", "yes", "maybe"]
    assert info.max_length is None or info.max_length <= 64
    assert info.licence is None or len(info.licence) <= 100


@pytest.mark.parametrize("kind", [UnsafeModel, UnsupportedModel, ResourceLimit])
def test_every_refusal_is_bad_input(kind: type[MicrolithError]) -> None:
    assert issubclass(kind, InvalidInput)


def test_labels_are_counted_before_they_are_made(tmp_path: Path) -> None:
    """Without a classifier in the weights there is nothing to hold them against but the bound."""
    header, size = header_of({name: shape for name, shape in SHAPES.items() if name != "classifier.weight"})
    files = config(id2label=None, num_labels=10**9) | {"model.safetensors": safetensors(header, size)}
    with pytest.raises(ResourceLimit, match=r"1,000,000,000 labels\. The limit is 10,000"):
        in_time(tmp_path, files)


def test_labels_together_are_bounded(tmp_path: Path) -> None:
    labels = {str(n): f"{n:0{MAX_LABEL}}" for n in range(2_000)}
    files = config(id2label=labels) | {"model.safetensors": weights(**{"classifier.weight": [2_000, 8]})}
    with pytest.raises(ResourceLimit, match="1,000,000 characters"):
        in_time(tmp_path, files)


@pytest.mark.parametrize(("count", "told"), [(MAX_LAYERS + 1, "linear layers"), (MAX_TENSORS, "tensors")])
def test_layers_and_tensors_are_counted(tmp_path: Path, count: int, told: str) -> None:
    empty = {f"layer.{n}.weight": {"dtype": "F32", "shape": [0, 1], "data_offsets": [0, 0]} for n in range(count)}
    header, size = header_of(SHAPES)
    with pytest.raises((ResourceLimit, UnsupportedModel), match=told):
        described(tmp_path, {"model.safetensors": safetensors(empty | header, size)})


def test_headers_of_all_shards_together_are_bounded(tmp_path: Path) -> None:
    padded = safetensors(b"{}" + b" " * 2_000_000, 0)
    shards = {f"{n}.safetensors": padded for n in range(9)}
    with pytest.raises(ResourceLimit, match="headers of the weights"):
        described(tmp_path, sharded({name: name for name in shards}) | shards)


def test_a_folder_that_may_not_be_read_is_refused_without_its_place(tmp_path: Path) -> None:
    def broken(_ref: Reference, _folder: Path) -> ModelInfo:
        raise PermissionError(13, "Permission denied", str(tmp_path))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.sources.models.read_folder", broken)
        with pytest.raises(UnsupportedModel, match="cannot be read: Permission denied") as refusal:
            described(tmp_path, {})
    assert str(tmp_path) not in refusal.value.detail
