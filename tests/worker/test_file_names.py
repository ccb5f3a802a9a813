"""Labels and names of models become parts of file names, and never more than that."""

from __future__ import annotations

import re
import unicodedata
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microlith.client.download import module_name
from microlith.contract import Module
from microlith.file_names import MOST_BYTES, attachment, names_of, safe_name
from worker.kinds.pack_modules import name_of

LABELS = ["x" * 600, "../../etc/passwd", "a\r\nSet-Cookie: x=y", "\u202eevil", "", ".", "--", "模型" * 300, "a\0b", "/"]


def facts(label: str, model: str = "demo:bert-tiny-wordnet", others: tuple[str, ...] = ()) -> Any:
    labels = [*others, label]
    return SimpleNamespace(
        spec=SimpleNamespace(model=model),
        resolved=SimpleNamespace(model=SimpleNamespace(labels=labels)),
        concern=SimpleNamespace(id=len(others), label=label),
        ratio=SimpleNamespace(requested=0.5),
    )


def is_safe(name: str) -> bool:
    """Whether any file system takes the name, with an ending, as one in its folder."""
    written = "".join("a" if unicodedata.category(letter).startswith("M") else letter for letter in name)
    return bool(re.fullmatch(r"[\w][\w.-]*", written)) and len(f"{name}.zip.part".encode()) <= 255 and ".." not in name


def test_a_plain_label_is_in_the_name_as_it_is() -> None:
    assert name_of(facts("animal"), "portable") == "bert-tiny-wordnet-animal-0.5"
    assert name_of(facts("a/b c"), "mask") == "bert-tiny-wordnet-a-b-c-0.5-mask"
    assert name_of(facts("x" * 600), "portable") == f"bert-tiny-wordnet-{'x' * MOST_BYTES}-0.5"


@pytest.mark.parametrize("label", ["動物", "животное", "حيوان", "हिन्दी", "สัตว์", "Größe", "Ζώο"])
def test_a_label_of_any_script_is_in_the_name_as_it_is(label: str) -> None:
    assert name_of(facts(label), "portable") == f"bert-tiny-wordnet-{label}-0.5"
    assert name_of(facts("animal", model=f"path:/data/{label}"), "portable") == f"{label}-animal-0.5"
    assert safe_name(unicodedata.normalize("NFD", label)) == unicodedata.normalize("NFC", label)


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("model", ["demo:bert-tiny-wordnet", "path:/" + "m" * 900, "path:/tmp/..", "hub:a/b@main"])
def test_any_label_makes_a_safe_name(label: str, model: str) -> None:
    for layout in ("portable", "mask", "compact", "onnx"):
        assert is_safe(name_of(facts(label, model), layout))


@given(st.lists(st.sampled_from(["a", "A", "a-1", "a/b", "a-b", "a b", "", "-", "é", "e\u0301", "x" * 300, "x" * 301])))
def test_no_two_modules_of_a_job_have_one_name(labels: list[str]) -> None:
    names = names_of(tuple(labels))
    assert len({name.casefold() for name in names}) == len(labels)
    assert all(names)


def test_a_download_says_its_exact_name_and_one_for_old_readers() -> None:
    assert attachment('模型 "1".zip') == (
        "attachment; filename=\"__ _1_.zip\"; filename*=UTF-8''%E6%A8%A1%E5%9E%8B%20%221%22.zip"
    )


@given(st.text())
def test_a_safe_name_is_short_and_stays_in_its_folder(text: str) -> None:
    for made in (safe_name(text), safe_name(text, "_", signs="_-")):
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
