"""A mask on disk: a zip as it travels, or the folder it unpacks to. Every file is the one SHA256SUMS names."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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
    source = Path(path)
    if not source.exists():
        raise InvalidMask(source.name, f"there is no file or folder {source}")
    with _open_folder(source) as folder:
        if not all((folder / name).is_file() for name in (DOCUMENT, BITS)):
            names = ", ".join(sorted(file.name for file in folder.iterdir())[:8]) or "nothing"
            raise InvalidMask(source.name, f"a mask holds {DOCUMENT} and {BITS}; this holds {names}")
        document, bits = _read_document(folder, source.name), _read_bits(folder, source.name)
        return MaskFile(source.name, document, bits, _read_others(folder))


@contextmanager
def _open_folder(source: Path) -> Iterator[Path]:
    """The mask's folder with every digest checked: where it is, or unpacked for the time of the block."""
    with ExitStack() as scratch:
        try:
            if source.is_dir():
                check_sums(source)
                folder = source
            else:
                parent = scratch.enter_context(tempfile.TemporaryDirectory(prefix="microlith-mask-"))
                folder = unpack(source, Path(parent) / "mask")
        except MicrolithClientError as error:
            raise InvalidMask(source.name, str(error).rstrip(".")) from error
        yield folder


def _read_document(folder: Path, name: str) -> MaskDocument:
    try:
        return MaskDocument.model_validate(json.loads((folder / DOCUMENT).read_text(encoding="utf-8")))
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(map(str, fault["loc"]))
        raise InvalidMask(name, f"{DOCUMENT} cannot be understood at {field!r}: {fault['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidMask(name, f"{DOCUMENT} is no JSON: {error}") from error


def _read_bits(folder: Path, name: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return dict(load((folder / BITS).read_bytes()))
    except SafetensorError as error:
        raise InvalidMask(name, f"{BITS} cannot be read: {error}") from error


def _read_others(folder: Path) -> dict[str, bytes]:
    names = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in (DOCUMENT, BITS))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in names}
