"""Room for tensors between two models: what is taken in comes back as it was, from a file or from a block."""

from __future__ import annotations

import errno
import gc
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from worker.evaluation import tensor_storage
from worker.evaluation.tensor_storage import BlockRoom, FileRoom, Room, room_on


def outputs() -> dict[str, object]:
    torch.manual_seed(0)
    return {
        "state": torch.randn(3, 5, 7),
        "pair": (torch.randn(2, 3).to(torch.bfloat16), None, [torch.arange(4)]),
        "turned": torch.randn(4, 6).T,
        "mask": torch.tensor([True, False]),
        "hollow": torch.full((), torch.nan).expand(1000, 1000),
        "none": None,
    }


def same(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one.nan_to_num(), other.nan_to_num())
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        return type(one) is type(other) and all(map(same, one, other))
    return one is other


@pytest.mark.parametrize("found", [FileRoom(10_000), BlockRoom(10_000)], ids=["file", "block"])
def test_what_is_taken_in_comes_back_as_it_was_and_as_often_as_it_is_asked_for(found: Room) -> None:
    kept = [found.take(outputs()) for _ in range(3)]
    assert 0 < found.used < 10_000, "what is expanded takes nothing"
    for give in (*kept, kept[0]):
        assert give is not None
        back = give()
        assert back.keys() == outputs().keys()
        assert all(same(back[name], output) for name, output in outputs().items())


@pytest.mark.parametrize("found", [FileRoom(1000), BlockRoom(1000)], ids=["file", "block"])
def test_no_more_is_taken_in_than_there_is_room_for(found: Room) -> None:
    assert found.take({"large": torch.zeros(300)}) is None
    assert found.take({"small": torch.zeros(200)}) is not None
    assert found.take({"small": torch.zeros(200)}) is None


def test_a_full_disk_ends_what_is_taken_in_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    found = FileRoom(10_000)
    before = found.take({"state": torch.ones(8)})

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        assert found.take({"state": torch.zeros(8)}) is None
    assert found.take({"state": torch.zeros(8)}) is None
    assert before is not None
    assert torch.equal(before()["state"], torch.ones(8))


def test_the_file_has_no_name_and_is_gone_with_its_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_storage.tempfile, "tempdir", str(tmp_path))
    found = FileRoom(10_000)
    found.take({"state": torch.zeros(8)})
    file = found._file
    assert file is not None
    assert list(tmp_path.iterdir()) == []
    del found
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file)


def test_most_of_a_disk_stays_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_storage.shutil, "disk_usage", lambda _: SimpleNamespace(free=4000))
    found = room_on(torch.device("cpu"))
    assert found.take({"large": torch.zeros(251)}) is None
    assert found.take({"small": torch.zeros(250)}) is not None


def test_a_device_keeps_its_own() -> None:
    assert isinstance(room_on(torch.device("cpu")), FileRoom)
    assert isinstance(room_on(torch.device("cuda")), BlockRoom)
