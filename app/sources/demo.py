"""The model and the data that ship with the project, and the licences that travel with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "demo"


@dataclass(frozen=True)
class Licence:
    """A licence by its SPDX expression, what it covers in a sentence, and the notices that must travel along."""

    name: str
    notice: str
    files: tuple[Path, ...] = ()


WORDNET = Licence(
    name="LicenseRef-WordNet",
    notice="Texts and labels come from WordNet 3.1, Copyright Princeton University, used under the WordNet licence.",
    files=(FOLDER / "licenses" / "wordnet-LICENSE.txt",),
)
BERT_TINY = Licence(
    name="Apache-2.0 AND LicenseRef-WordNet",
    notice="Weights derived from Apache-2.0 weights (all-MiniLM-L6-v2), modified; trained on WordNet 3.1, Copyright "
    "Princeton University, used under the WordNet licence.",
    files=(FOLDER / "licenses" / "Apache-2.0.txt", *WORDNET.files),
)

MODELS: dict[str, Licence] = {"bert-tiny-wordnet": BERT_TINY}
DATASETS: dict[str, Licence] = {"wordnet-supersense": WORDNET}
