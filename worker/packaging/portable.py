"""The `portable` layout: a folder that plain `from_pretrained` opens, with its card, its history and its checksums."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from app.sources.config import VOCABULARIES
from app.sources.images import PREPROCESSOR
from worker.packaging.archive import files_of
from worker.sources.models import LoadedModel

TOKENIZER_FILES = (*VOCABULARIES, "merges.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
SUMS = "SHA256SUMS"


def write_portable(
    folder: Path, model: Any, loaded: LoadedModel, card: str, decomposition: dict[str, Any]
) -> list[str]:
    """Writes the module into the empty `folder` and returns the names of its files, sorted.

    The files of the tokenizer or image processor are the base's own, byte for byte: a tokenizer in use carries the
    padding of its last call. Where the base has no preprocessor, the one that its images were prepared with is written.
    The notices of the base's licence travel along in `licenses/`. `SHA256SUMS` can be checked with `sha256sum -c`.
    """
    model.save_pretrained(folder, safe_serialization=True)
    for name in (*TOKENIZER_FILES, PREPROCESSOR):
        if (loaded.folder / name).is_file():
            shutil.copyfile(loaded.folder / name, folder / name)
    if loaded.processor is not None and not (folder / PREPROCESSOR).is_file():
        loaded.processor.save_pretrained(folder)
    _write_notices(folder, loaded)
    (folder / "README.md").write_text(card, encoding="utf-8")
    document = json.dumps(decomposition, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    (folder / "decomposition.json").write_text(document + "\n", encoding="utf-8")
    (folder / SUMS).write_text(_sums(folder), encoding="utf-8")
    return files_of(folder)


def _write_notices(folder: Path, loaded: LoadedModel) -> None:
    files = loaded.licence.files if loaded.licence else ()
    for file in files:
        (folder / "licenses").mkdir(exist_ok=True)
        shutil.copyfile(file, folder / "licenses" / file.name)


def _sums(folder: Path) -> str:
    lines = []
    for name in files_of(folder):
        with (folder / name).open("rb") as stream:
            lines.append(f"{hashlib.file_digest(stream, 'sha256').hexdigest()}  {name}\n")
    return "".join(lines)
