"""Model folders of chance: whatever their files hold, a model is described, or refused with a code, in little time.

`MICROLITH_FUZZ` says how many of each are tried.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.errors import InvalidInput
from app.sources.models import describe_folder
from app.sources.references import Reference
from microlith.contract import ModelInfo
from tests.model_folders import CONFIG, IMAGES, INDEX, SHAPES, folder_at, header_of, safetensors

EXAMPLES = int(os.environ.get("MICROLITH_FUZZ", "50"))
SECONDS = 1.0

tried = settings(max_examples=EXAMPLES, deadline=None)

texts = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
numbers = st.integers(-(2**70), 2**70) | st.floats() | st.sampled_from([2**63, 2**64, 10**400, 10**4_200, -1])
leaves = st.none() | st.booleans() | numbers | texts
values = st.recursive(leaves, lambda inside: st.lists(inside, max_size=4) | st.dictionaries(texts, inside, max_size=4))
names = st.sampled_from(
    [*CONFIG, *IMAGES, "num_labels", "pad_token_id", "problem_type", "auto_map", "attn_implementation", "label2id"]
)
preprocessors = st.fixed_dictionaries({}, optional={"size": values, "crop_size": values, "auto_map": values})
tokenizers = st.fixed_dictionaries({}, optional={"model_max_length": values, "auto_map": values})
tensors = st.fixed_dictionaries({}, optional={"dtype": values, "shape": values, "data_offsets": values})


def look(files: Mapping[str, bytes | Mapping[str, Any]]) -> ModelInfo | None:
    """The model, or None where it is refused; anything else that comes of it is a fault."""
    with TemporaryDirectory() as place:
        folder = folder_at(Path(place), files)
        began = time.process_time()
        try:
            info = describe_folder(Reference("path", place, place=folder), folder)
        except InvalidInput as refusal:
            told, info = refusal.detail, None
        assert time.process_time() - began < SECONDS
    if info is None:
        assert told.encode()
        assert place not in told
        return None
    json.dumps(info.model_dump(mode="json"), allow_nan=False).encode()
    assert len(info.labels) == info.label_count
    assert not any(c == "\0" or "\ud800" <= c <= "\udfff" for label in info.labels for c in label)
    return info


def typed(value: Any) -> bytes:
    """JSON as anybody may write it: with numbers that are none, and integers of any length."""
    return json.dumps(value).encode()


@tried
@given(changes=st.dictionaries(names | texts, values, max_size=5), base=st.sampled_from([{}, IMAGES]))
def test_any_values_in_a_config(changes: dict[str, Any], base: dict[str, Any]) -> None:
    look({"config.json": typed(CONFIG | base | changes)})


@tried
@given(content=st.binary(max_size=300) | values.map(typed), name=st.sampled_from(["config.json", "README.md"]))
def test_any_bytes_in_a_file(content: bytes, name: str) -> None:
    look({name: content, "LICENSE": content})


@tried
@given(tokenizer=tokenizers | values, preprocessor=preprocessors | values)
def test_any_tokenizer_and_preprocessor(tokenizer: Any, preprocessor: Any) -> None:
    look({"tokenizer_config.json": typed(tokenizer)})
    look({"config.json": typed(CONFIG | IMAGES), "preprocessor_config.json": typed(preprocessor)})


@tried
@given(changes=st.dictionaries(st.sampled_from([*SHAPES, "__metadata__"]) | texts, tensors | values, max_size=4))
def test_any_tensors_in_a_header(changes: dict[str, Any]) -> None:
    header, size = header_of(SHAPES)
    look({"model.safetensors": safetensors(typed(header | changes), size)})


@tried
@given(name=st.sampled_from([*SHAPES]), part=st.sampled_from(["dtype", "shape", "data_offsets"]), value=values)
def test_any_value_of_a_tensor(name: str, part: str, value: Any) -> None:
    header, size = header_of(SHAPES)
    header[name][part] = value
    look({"model.safetensors": safetensors(typed(header), size)})


@tried
@given(header=st.binary(max_size=200), length=st.none() | st.integers(0, 2**64 - 1), rest=st.integers(0, 50))
def test_any_bytes_of_weights(header: bytes, length: int | None, rest: int) -> None:
    assert look({"model.safetensors": safetensors(header, rest, length)}) is None


@tried
@given(index=values | st.fixed_dictionaries({"weight_map": st.dictionaries(texts, values, max_size=4) | values}))
def test_any_index_of_shards(index: Any) -> None:
    assert look({INDEX: typed(index)}) is None


@tried
@given(labels=st.lists(values, min_size=3, max_size=3))
def test_any_labels(labels: list[Any]) -> None:
    look({"config.json": typed(CONFIG | {"id2label": {str(n): label for n, label in enumerate(labels)}})})
