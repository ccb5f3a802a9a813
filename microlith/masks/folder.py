"""A module's folder from a mask and its base: what plain `from_pretrained` opens."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from microlith.errors import NotABase, TargetOccupied
from microlith.masks import apply_mask
from microlith.masks.file import MaskFile, read_mask
from microlith.unpacking import SUMS

_MODEL_FILES = ("config.json", "generation_config.json", "README.md", SUMS)
_PREPARING = (".json", ".txt", ".model", ".jinja")
"""Endings of the files that tokenizers and image processors are made of."""
_NOTICES = ("LICENSE*", "LICENCE*", "NOTICE*", "licenses/*")


def apply_to_folder(base: str | Path, mask: str | Path, out: str | Path) -> Path:
    """Write the module into the folder `out`, which appears complete or not at all.

    With it come the base's tokenizer or image processor and its licence's notices, the module's card and history, and
    SHA256SUMS. Raises what `apply_mask` raises, and TargetOccupied where `out` exists.
    """
    target, source, read = Path(out), Path(base), read_mask(mask)
    if target.exists():
        raise TargetOccupied(target)
    if not source.is_dir():
        raise NotABase(
            f"{source} is not a folder. A base is a folder from save_pretrained, or a downloaded repository."
        )
    module = apply_mask(source, read)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".applying-", dir=target.parent) as scratch:
        folder = Path(scratch) / "module"
        folder.mkdir()
        _copy_preparation(source, folder)
        module.save_pretrained(folder, safe_serialization=True)
        _write_companions(read, folder)
        shutil.move(folder, target)
    return target


def _copy_preparation(source: Path, folder: Path) -> None:
    for file in sorted(source.iterdir()):
        prepares_inputs = file.suffix in _PREPARING and file.name not in _MODEL_FILES and "index" not in file.name
        if file.is_file() and prepares_inputs:
            shutil.copyfile(file, folder / file.name)
    for file in (file for pattern in _NOTICES for file in sorted(source.glob(pattern)) if file.is_file()):
        (folder / "licenses").mkdir(exist_ok=True)
        shutil.copyfile(file, folder / "licenses" / file.name)


def _write_companions(mask: MaskFile, folder: Path) -> None:
    for name, content in mask.files.items():
        if name != SUMS:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = (
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(folder).as_posix()}\n" for file in files
    )
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")
