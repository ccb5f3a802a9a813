"""Room for tensors that stay while a model runs many others through.

Kept where they were allocated, they would keep what lies about them from use, and the process would grow by a multiple
of them. On a CPU they are written to a file without a name: to read one is a hundredth of the work of computing it, the
system keeps it in whatever memory is free, and the process does not grow. On another device they stay, in one block.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from app.domain.budgets import FILED_BYTES, KEPT_BYTES
from worker.evaluation.shortcuts import Outputs, bytes_of, mapped

FREE_SHARE = 0.25
"""What a file takes at most of the disk that is free: a job's modules need some of it too."""

ALIGNED = 64
"""Bytes; where a tensor in a block may begin."""

StoredOutputs = Callable[[], Outputs]
"""Gives what was taken in, as often as it is asked for."""


class Room(Protocol):
    """Takes tensors in as long as there is room for them."""

    @property
    def used(self) -> int:
        """Bytes taken in."""

    def take(self, outputs: Outputs) -> StoredOutputs | None:
        """The outputs, kept; None where there is no room for all of them."""


def room_on(device: torch.device, size: int | None = None) -> Room:
    """Room of `size` bytes (None: as many as its kind has) for tensors of a device."""
    if device.type == "cpu":
        free = shutil.disk_usage(tempfile.gettempdir()).free
        return FileRoom(min(FILED_BYTES if size is None else size, int(FREE_SHARE * free)))
    return BlockRoom(KEPT_BYTES if size is None else size)


@dataclass(frozen=True)
class _Place:
    """Where a tensor begins in a file, and what it is."""

    start: int
    shape: torch.Size
    dtype: torch.dtype


@dataclass
class FileRoom:
    """Room on the disk. One that is full, or cannot be written, takes nothing more."""

    size: int
    used: int = 0
    _file: int | None = None

    def take(self, outputs: Outputs) -> StoredOutputs | None:
        """See Room."""
        if self.used + bytes_of(outputs) > self.size:
            return None
        try:
            places = {name: mapped(self._write, output) for name, output in outputs.items()}
        except OSError:
            self.size = 0
            return None
        return lambda: {name: mapped(self._read, place, _Place) for name, place in places.items()}

    def _write(self, tensor: Tensor) -> Tensor | _Place:
        if _expanded(tensor):
            return tensor
        if self._file is None:
            self._file = _nameless_file()
            weakref.finalize(self, os.close, self._file)
        place, content = _Place(self.used, tensor.shape, tensor.dtype), _bytes(tensor.contiguous())
        while content:
            content = content[os.pwrite(self._file, content, place.start + tensor.nbytes - len(content)) :]
        self.used += tensor.nbytes
        return place

    def _read(self, place: _Place) -> Tensor:
        assert self._file is not None
        tensor = torch.empty(place.shape, dtype=place.dtype)
        if os.preadv(self._file, [_bytes(tensor)], place.start) != tensor.nbytes:
            raise OSError("the file of what is kept was cut short")
        return tensor


@dataclass
class BlockRoom:
    """Room in the memory of the tensors' device, one block of it."""

    size: int
    used: int = 0
    _block: Tensor | None = None

    def take(self, outputs: Outputs) -> StoredOutputs | None:
        """See Room."""
        if self.used + bytes_of(outputs, ALIGNED) > self.size:
            return None
        return partial(dict, {name: mapped(self._copy, output) for name, output in outputs.items()})

    def _copy(self, tensor: Tensor) -> Tensor:
        if _expanded(tensor):
            return tensor
        if self._block is None:
            self._block = torch.empty(self.size, dtype=torch.uint8, device=tensor.device)
        place = self._block[self.used : self.used + tensor.nbytes].view(tensor.dtype).view(tensor.shape)
        self.used += -(-tensor.nbytes // ALIGNED) * ALIGNED
        return place.copy_(tensor)


def _nameless_file() -> int:
    file, name = tempfile.mkstemp(prefix="microlith-")
    os.unlink(name)  # noqa: PTH108, a string is what it has
    return file


def _expanded(tensor: Tensor) -> bool:
    """Whether it has next to no memory, whatever its shape."""
    return tensor.untyped_storage().nbytes() < tensor.nbytes


def _bytes(tensor: Tensor) -> Any:
    content: Any = tensor.reshape(-1).view(torch.uint8).numpy()
    return memoryview(content)
