"""Which notices travel where room is short, and where the texts of the others are."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.sources.demo import BERT_TINY, Licence
from app.sources.licences import pointed, texts_of

APACHE, MIT = (f"https://spdx.org/licenses/{name}.html" for name in ("Apache-2.0", "MIT"))


@pytest.mark.parametrize(
    ("name", "files", "left", "texts"),
    [
        ("apache-2.0", ["LICENSE", "NOTICE"], ["NOTICE"], [APACHE]),
        ("MIT", ["LICENSE.txt", "licence.md"], [], [MIT]),
        ("Apache-2.0 AND MIT", ["LICENSE", "MIT.txt"], ["LICENSE"], [APACHE, MIT]),
        ("llama3.2", ["LICENSE"], ["LICENSE"], []),
        ("other", ["LICENSE"], ["LICENSE"], []),
    ],
)
def test_a_text_that_everybody_can_look_up_is_named_and_any_other_travels(
    name: str, files: list[str], left: list[str], texts: list[str]
) -> None:
    licence = Licence(name, "As stated.", tuple(map(Path, files)))
    assert [str(file) for file in pointed(licence).files] == left
    assert texts_of(licence) == texts


def test_the_demo_models_own_notice_travels_and_apaches_text_does_not() -> None:
    assert [file.name for file in pointed(BERT_TINY).files] == ["wordnet-LICENSE.txt"]
