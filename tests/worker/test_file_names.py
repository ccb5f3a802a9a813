"""Labels and names of models become parts of file names, and never more than that."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microlith.client.download import module_name
from microlith.contract import Module
from microlith.file_names import MOST_BYTES, WORDS, safe_name
from worker.kinds.pack_modules import name_of

LABELS = ["x" * 600, "../../etc/passwd", "a\r\nSet-Cookie: x=y", "\u202eevil", "", ".", "--", "模型" * 300, "a\0b", "/"]


def facts(label: str, model: str = "demo:bert-tiny-wordnet", number: int = 3) -> Any:
    return SimpleNamespace(
        spec=SimpleNamespace(model=model),
        concern=SimpleNamespace(id=number, label=label),
        ratio=SimpleNamespace(requested=0.5),
    )


def is_safe(name: str) -> bool:
    """Whether any file system takes the name, with an ending, as one in its folder."""
    return bool(re.fullmatch(r"[\w][\w.-]*", name)) and len(f"{name}.zip.part".encode()) <= 255 and ".." not in name


def test_a_plain_label_is_in_the_name_as_it_is() -> None:
    assert name_of(facts("animal"), "portable") == "bert-tiny-wordnet-animal-0.5"
    assert name_of(facts("a/b c"), "mask") == "bert-tiny-wordnet-a-b-c-0.5-mask"
    assert name_of(facts("x" * 600), "portable") == f"bert-tiny-wordnet-{'x' * MOST_BYTES}-3-0.5"


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("model", ["demo:bert-tiny-wordnet", "path:/" + "m" * 900, "path:/tmp/..", "hub:a/b@main"])
def test_any_label_makes_a_safe_name(label: str, model: str) -> None:
    for layout in ("portable", "mask", "compact", "onnx"):
        assert is_safe(name_of(facts(label, model), layout))


def test_labels_that_are_cut_alike_have_names_of_their_own() -> None:
    assert len({name_of(facts("x" * 600, number=n), "portable") for n in range(3)}) == 3
    assert len({name_of(facts("模型", number=n), "portable") for n in range(3)}) == 3


@given(st.text())
def test_a_safe_name_is_short_and_stays_in_its_folder(text: str) -> None:
    for made in (safe_name(text), safe_name(text, WORDS, "_")):
        assert len(made.encode()) <= MOST_BYTES
        assert not made.startswith((".", "-", "_", "/"))
        assert "/" not in made
        assert "\\" not in made
        assert made.isprintable()


@pytest.mark.parametrize("label", LABELS)
def test_a_download_has_a_safe_name_too(label: str) -> None:
    module = Module.model_construct(
        concern=SimpleNamespace(id=3, label=label), ratio=SimpleNamespace(requested=0.5), id="mod_1"
    )
    assert is_safe(module_name(module, "mask"))
