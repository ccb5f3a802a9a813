"""Archives from strangers: what is good arrives whole, what is not is refused by name, in bounded time and space."""

from __future__ import annotations

import errno
import io
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from app import confined
from app.confined import Reading
from app.domain.errors import InvalidInput
from app.sources import uploaded
from app.sources.unpacking import MAX_READ_BYTES, Bounds, is_archive, unpack
from tests.archives import tarred, zipped

GOOD = {"config.json": b"{}", "data/train.csv": b"text,label\n"}


def unpacked(content: bytes, folder: Path, bounds: Bounds | None = None) -> dict[str, bytes]:
    """Path to content of what an archive comes to."""
    file, target = folder / "archive", folder / "unpacked"
    file.write_bytes(content)
    target.mkdir()
    unpack(file, target, pointer="/upload", bounds=bounds)
    return {p.relative_to(target).as_posix(): p.read_bytes() for p in target.rglob("*") if p.is_file()}


def member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zip_link(name: str) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    return whole.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        zipped(GOOD),
        zipped(GOOD, compression=zipfile.ZIP_DEFLATED),
        tarred(GOOD, mode="w"),
        tarred(GOOD, mode="w:gz"),
        tarred({f"./{name}": data for name, data in GOOD.items()}, member("./data", tarfile.DIRTYPE)),
        zipped(GOOD | {"__MACOSX/._config.json": b"x", ".DS_Store": b"x"}),
    ],
)
def test_a_sound_archive_arrives_whole(content: bytes, tmp_path: Path) -> None:
    assert unpacked(content, tmp_path) == GOOD


@pytest.mark.parametrize(
    "name",
    ["../evil", "a/../../evil", "/etc/evil", "a\\..\\evil", "model\\config.json", "C:evil", "a\nb", "a/" * 9 + "b"],
)
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_name_that_leads_elsewhere_is_refused(pack, name: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidInput, match=r"out of the archive's folder|has backslashes for slashes") as refusal:
        unpacked(pack({name: b"x"}), tmp_path)
    assert refusal.value.pointer == "/upload"
    assert not (tmp_path / "evil").exists()
    assert not list((tmp_path / "unpacked").iterdir())


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (tarred(GOOD, member("link", tarfile.SYMTYPE, "/etc/passwd")), r"a link, .* \(tar -h\)"),
        (tarred(GOOD, member("link", tarfile.LNKTYPE, "config.json")), r"a link, .* \(tar --hard-dereference\)"),
        (tarred(GOOD, member("device", tarfile.CHRTYPE)), r"is not a plain file"),
        (tarred(GOOD, member("pipe", tarfile.FIFOTYPE)), r"is not a plain file"),
        (zip_link("link"), r"a link, .* \(zip -r, without -y\)"),
    ],
)
def test_links_and_devices_are_refused_with_what_to_do(content: bytes, told: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=told):
        unpacked(content, tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        zipped({"zeros": b"\0" * 90_000_000}, compression=zipfile.ZIP_DEFLATED),
        tarred({"zeros": b"\0" * 90_000_000}),
    ],
)
def test_a_bomb_is_refused_before_it_has_filled_the_disk(content: bytes, tmp_path: Path) -> None:
    assert len(content) < 100_000
    with pytest.raises(InvalidInput, match="larger than allowed"):
        unpacked(content, tmp_path)
    assert sum(p.stat().st_size for p in (tmp_path / "unpacked").rglob("*")) < 90_000_000


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_too_many_files_are_refused(pack, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidInput, match="more than 3 files"):
        unpacked(pack({f"{n}": b"" for n in range(4)}), tmp_path, Bounds(files=3))


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_header_that_asks_for_much_memory_is_refused(mode: str, tmp_path: Path) -> None:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode=mode) as archive:  # type: ignore[call-overload]
        info = tarfile.TarInfo("././@LongLink")
        info.type, info.size = tarfile.GNUTYPE_LONGNAME, MAX_READ_BYTES + 512
        archive.addfile(info, io.BytesIO(b"x" * info.size))
    with pytest.raises(InvalidInput, match="headers is larger"):
        unpacked(whole.getvalue(), tmp_path)


def test_a_directory_that_asks_for_much_memory_is_refused(tmp_path: Path) -> None:
    content = bytearray(zipped({"a": b"x"}))
    at = content.rindex(b"PK\x05\x06")
    size = MAX_READ_BYTES + 1
    content[at:at] = b"\0" * size  # between directory and end, so that the announced size is there to be read
    struct.pack_into("<L", content, at + size + 12, size)
    with pytest.raises(InvalidInput, match="directory or one of its headers"):
        unpacked(bytes(content), tmp_path)


def test_the_same_name_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be unpacked"):
        unpacked(tarred({"a": b"1", "./a": b"2"}), tmp_path)


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("cut", [5, 60, -30])
def test_an_archive_cut_short_is_refused(pack, cut: int, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidInput, match="cannot be unpacked"):
        unpacked(pack({"a": bytes(range(256)) * 40})[:cut], tmp_path)


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    content = bytearray(zipped({"a": b"secret"}))
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + at] |= 1
    with pytest.raises(InvalidInput, match="encrypted"):
        unpacked(bytes(content), tmp_path)


@pytest.mark.parametrize("content", [b"", b"text,label\n", b"\x80\x04pickled"])
def test_what_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="neither a zip nor a tar"):
        unpacked(content, tmp_path)
    assert not is_archive(tmp_path / "archive")


@pytest.mark.parametrize("packed", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_content_is_refused_however_it_is_packed(packed: int, tmp_path: Path) -> None:
    content = bytearray(zipped({"a": b"some text " * 50}, compression=packed))
    at = 31 + 9  # the header with its name, and what the packing says of itself
    content[at : at + 8] = b"\xff" * 8
    with pytest.raises(InvalidInput, match="cannot be unpacked"):
        unpacked(bytes(content), tmp_path)


def test_a_way_of_packing_that_is_not_known_is_refused(tmp_path: Path) -> None:
    content = zipped({"a": b"x"}).replace(
        b"PK\x01\x02\x14\x03\x14\x00\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x00\x00\x5d"
    )
    with pytest.raises(InvalidInput, match="in an unknown way"):
        unpacked(content, tmp_path)


def laid_out(content: bytes, folder: Path) -> dict[str, bytes]:
    """Path to content of what an uploaded data set comes to."""
    (folder / "upload").write_bytes(content)
    uploaded.lay_out(folder / "upload", "dataset", "data.zip", folder)
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in (folder / "data").rglob("*") if p.is_file()}


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_confined_process_lays_out_what_is_of_use(pack, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    content = pack(GOOD | {"program.py": b"x"})
    assert laid_out(content, tmp_path) == {f"data/{name}": data for name, data in GOOD.items()}
    assert {path.name for path in tmp_path.iterdir()} == {"upload", "data"}


def test_what_a_confined_process_finds_wrong_with_an_archive_comes_back(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="leads out of the archive's folder") as refusal:
        laid_out(zipped({"../evil": b"x"}), tmp_path)
    assert refusal.value.pointer == "/upload"
    assert str(tmp_path) not in refusal.value.detail


def test_archives_are_unpacked_by_a_process_that_can_write_to_their_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings: list[Reading] = []

    def noted(reading: Reading) -> dict[str, None]:
        readings.append(reading)
        return {"errno": None}

    monkeypatch.setattr(confined, "run", noted)
    (tmp_path / "upload").write_bytes(zipped(GOOD))
    uploaded.lay_out(tmp_path / "upload", "model", "model.zip", tmp_path)
    assert [list(reading.writes) for reading in readings] == [[tmp_path]]
    assert [list(reading.reads) for reading in readings] == [[]]
    assert readings[0].limits.file_bytes == Bounds().bytes_for(tmp_path / "upload")


def test_a_full_disk_is_not_blamed_on_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The confined process answers which fault of the system it met, as JSON can; who asked raises it."""
    answers: list[object] = []

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def run(reading: Any) -> Any:
        answers.append(uploaded.answer(reading.question))
        return answers[0]

    monkeypatch.setattr(uploaded, "unpack", full)
    monkeypatch.setattr(confined, "run", run)
    with pytest.raises(OSError, match="No space left") as fault:
        laid_out(zipped(GOOD), tmp_path)
    assert fault.value.errno == errno.ENOSPC
    assert answers == [{"errno": errno.ENOSPC}]
