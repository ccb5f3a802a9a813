"""A mask on disk: a zip as it travels, or the folder it unpacks to. Every file is the one SHA256SUMS names."""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from microlith.errors import InvalidMask, MicrolithClientError
from microlith.masks.document import MaskDocument
from microlith.unpacking import check_sums, unpack

if TYPE_CHECKING:
    from torch import Tensor

DOCUMENT, BITS = "mask.json", "mask.safetensors"


@dataclass(frozen=True)
class MaskFile:
    """A mask that was read whole: `files` are the others that came with it (card, history, licences), by name."""

    name: str
    document: MaskDocument
    stored: dict[str, Tensor]
    files: dict[str, bytes]

    @property
    def decomposition(self) -> dict[str, Any]:
        """How the module was made, and what it measured."""
        document: dict[str, Any] = json.loads(self.files["decomposition.json"])
        return document


def read_mask(path: str | Path) -> MaskFile:
    """Read a mask. Raises InvalidMask, saying what is wrong, for what is truncated, damaged or something else."""
    place = Path(path)
    if not place.exists():
        raise InvalidMask(place.name, f"there is no file or folder {place}")
    with ExitStack() as scratch:
        try:
            folder = _checked(place) if place.is_dir() else _unpacked(place, scratch)
        except MicrolithClientError as error:
            raise InvalidMask(place.name, str(error).rstrip(".")) from error
        _check_kind(folder, place.name)
        return MaskFile(place.name, _document(folder, place.name), _bits(folder, place.name), _others(folder))


def _unpacked(archive: Path, scratch: ExitStack) -> Path:
    parent = Path(scratch.enter_context(tempfile.TemporaryDirectory(prefix="microlith-mask-")))
    return unpack(archive, parent / "mask")


def _checked(folder: Path) -> Path:
    check_sums(folder)
    return folder


def _check_kind(folder: Path, name: str) -> None:
    if not all((folder / name).is_file() for name in (DOCUMENT, BITS)):
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        raise InvalidMask(name, f"a mask holds {DOCUMENT} and {BITS}; this holds {found}")


def _document(folder: Path, name: str) -> MaskDocument:
    try:
        return MaskDocument.model_validate(json.loads((folder / DOCUMENT).read_text(encoding="utf-8")))
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"]))
        raise InvalidMask(name, f"{DOCUMENT} cannot be understood at {place!r}: {fault['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidMask(name, f"{DOCUMENT} is no JSON: {error}") from error


def _bits(folder: Path, name: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return dict(load((folder / BITS).read_bytes()))
    except SafetensorError as error:
        raise InvalidMask(name, f"{BITS} cannot be read: {error}") from error


def _others(folder: Path) -> dict[str, bytes]:
    names = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in (DOCUMENT, BITS))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in names}
