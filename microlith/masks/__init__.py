"""Masks: modules as the data that makes them of their base, and the base made a module again, bit for bit.

__init__.py   apply_mask, and a whole folder of it
file.py       a mask on disk: opened, checked and read
document.py   mask.json
tensors.py    digests, and what a mask makes of tensors
models.py     a base, and the model with other tensors in it

Needs torch, safetensors and, to open a folder, transformers: `pip install "microlith[masks]"`. Nothing here runs code
that a mask or a base brings along.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from microlith.masks.file import MaskFile, read_mask
from microlith.masks.models import Base, rebuild
from microlith.masks.tensors import masked

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Base", "MaskFile", "apply_mask", "read_mask"]


def apply_mask(base: nn.Module | Base | str | Path, mask: MaskFile | str | Path) -> Any:
    """Apply `mask`, a zip or its unpacked folder, to its base. Returns the module as a new model in evaluation mode.
    `base` is a model of transformers in float32, or its folder. It is only read, and the module shares its unchanged
    tensors. Raises WrongBase unless the base's tensors are those that the mask was made for, and InvalidMask for a file
    that is not a valid mask. The returned model has every bit of the module that was exported.
    """
    read = mask if isinstance(mask, MaskFile) else read_mask(mask)
    opened = Base.of(base)
    opened.check(read)
    tensors = masked(opened.tensors, read)
    opened.check_result(tensors, read)
    return rebuild(opened, tensors, read)
