"""The kinds of model that plan time knows by name are those that the installed transformers has, by its own sources."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as CLASSIFIERS

from app.domain.families import LAST_TOKEN, OFFSET_POSITIONS


@pytest.fixture(scope="module")
def sources() -> dict[str, tuple[str, str]]:
    """By model type, the module that defines its classifier, and the classifier's own part of it."""
    spec = find_spec("transformers")
    assert spec
    assert spec.origin
    kinds: dict[str, list[str]] = {}
    for kind, name in CLASSIFIERS.items():
        kinds.setdefault(name, []).append(kind)
    found = {}
    for file in Path(spec.origin).parent.glob("models/*/modeling_*.py"):
        text = file.read_text()
        for part in re.split(r"^(?=class )", text, flags=re.MULTILINE):
            named = re.match(r"class (\w+)", part)
            found.update(dict.fromkeys(kinds.get(named[1] if named else "", []), (text, part)))
    return found


def test_positions_that_start_after_the_padding_id_are_known(sources: dict[str, tuple[str, str]]) -> None:
    marks = ("padding_idx + 1", "create_position_ids_from_input_ids")
    offset = {kind for kind, (text, _) in sources.items() if any(mark in text for mark in marks)}
    assert offset == OFFSET_POSITIONS


def test_what_finds_its_last_token_by_the_pad_id_is_known(sources: dict[str, tuple[str, str]]) -> None:
    marks = ("Cannot handle batch sizes > 1 if no padding", "last_non_pad_token")
    last = {
        kind
        for kind, (_, own) in sources.items()
        if "GenericForSequenceClassification" in own.splitlines()[0] or any(mark in own for mark in marks)
    }
    assert last == LAST_TOKEN
