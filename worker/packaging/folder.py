"""What every layout's folder holds beside its weights: what prepares inputs, the card, the history, the checksums."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from app.sources.config import VOCABULARIES
from app.sources.demo import Licence
from app.sources.images import PREPROCESSOR
from worker.packaging.archive import files_of
from worker.sources.models import LoadedModel

SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
TOKENIZER_FILES = (*VOCABULARIES, "merges.txt", "bpe.codes", *SETTINGS)
SUMS = "SHA256SUMS"


def prepare_inputs(folder: Path, loaded: LoadedModel) -> None:
    """The files of the tokenizer or image processor, the base's own, byte for byte.

    A tokenizer in use carries the padding of its last call. Where the base has no preprocessor, the one that its images
    were prepared with is written.
    """
    for name in (*TOKENIZER_FILES, PREPROCESSOR):
        if (loaded.folder / name).is_file():
            shutil.copyfile(loaded.folder / name, folder / name)
    if loaded.processor is not None and not (folder / PREPROCESSOR).is_file():
        loaded.processor.save_pretrained(folder)


HISTORY = "decomposition.json"


def complete(
    folder: Path,
    card: str,
    history: dict[str, Any],
    licences: Iterable[Licence | None],
    name: str = HISTORY,
    *,
    spaced: bool = True,
) -> list[str]:
    """Adds the card, the history, the licences' notices and, last, the checksums of every file.

    Returns the names of the folder's files, sorted. `SHA256SUMS` can be checked with `sha256sum -c`.
    """
    _carry(folder / "licenses", [file for licence in licences if licence for file in licence.files])
    (folder / "README.md").write_text(card, encoding="utf-8")
    write_json(folder / name, history, spaced=spaced)
    write_sums(folder)
    return files_of(folder)


def write_json(file: Path, document: Any, *, spaced: bool = True) -> None:
    """Equal documents have equal bytes; those that are `spaced` are made to be read, the others to be small."""
    form: dict[str, Any] = {"indent": 2} if spaced else {"separators": (",", ":")}
    text = json.dumps(document, sort_keys=True, ensure_ascii=False, allow_nan=False, **form)
    file.write_text(text + "\n", encoding="utf-8")


def write_sums(folder: Path) -> None:
    """The checksums of all other files, as `sha256sum -c` reads them; to be written last."""
    lines = []
    for name in files_of(folder):
        if name == SUMS:
            continue
        with (folder / name).open("rb") as stream:
            lines.append(f"{hashlib.file_digest(stream, 'sha256').hexdigest()}  {name}\n")
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def _carry(folder: Path, notices: Sequence[Path]) -> None:
    """The notices under their names; of two that say different things under one name the later one is numbered."""
    said: dict[str, bytes] = {}
    for file in notices:
        name, text = file.name, file.read_bytes()
        if said.get(name, text) != text:
            name = f"{file.stem}-{len(said)}{file.suffix}"
        said[name] = text
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(text)
