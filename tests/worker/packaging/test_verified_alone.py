"""What is asked of an archive where texts of unlike lengths must not share a batch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.builders import tiny_bert, tiny_examples
from worker.kinds.pack_modules import verify
from worker.packaging.verify import ArchiveOpening


class Hearer:
    """Takes the place of a verifier, and keeps what it is asked."""

    def check(self, _path: Path, inputs: Any, expected: Any, opening: ArchiveOpening) -> None:
        self.mask, self.expected, self.texts = inputs["attention_mask"], expected, opening.texts


@pytest.mark.parametrize("padded", [True, False])
def test_only_texts_of_one_length_are_asked_where_answers_depend_on_pads(padded: bool) -> None:
    probe = replace(tiny_examples(8), padded=padded)
    lengths = probe.lengths(np.arange(8))
    assert len(set(lengths.tolist())) > 1
    hearer, packages = Hearer(), [SimpleNamespace(archive=SimpleNamespace(path=Path("a.zip"), layout="portable"))]
    texts = [str(row) for row in range(8)]
    verify(hearer, packages, tiny_bert(), probe, ArchiveOpening(texts=texts))  # type: ignore[arg-type]
    alike = [row for row in range(8) if padded or lengths[row] == lengths[0]]
    assert hearer.texts == [texts[row] for row in alike]
    assert len(hearer.expected) == len(hearer.mask) == len(alike)
    assert bool((hearer.mask == 1).all()) is not padded
