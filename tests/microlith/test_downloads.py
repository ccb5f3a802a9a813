"""Downloads that break, lie, move to another host, or would write where they must not."""

from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path

import pytest
import wire
from small_service import Asked, Reply, SmallService, answer

from microlith.client import Client
from microlith.client.archive import unpack
from microlith.client.download import module_name
from microlith.contract import Artifact, Module
from microlith.errors import (
    DigestMismatch,
    NoSuchLayout,
    NotFoundProblem,
    TargetOccupied,
    UnexpectedAnswer,
    Unreachable,
    UnsafeArchive,
)

BYTES = random.Random(7).randbytes(100_000)
ARTIFACT = Artifact.model_validate(wire.artifact(BYTES))
CONTENT = "GET /v1/artifacts/art_1/content"
FILES = {"config.json": b"{}", "deep/model.safetensors": b"weights"}


def ranged(content: bytes, cut: int | None = None, honoured: bool = True) -> object:
    """Serve bytes with Range and If-Range, `cut` bytes of them at a time."""

    def reply(asked: Asked) -> Reply:
        wanted = asked.headers.get("range")
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and honoured else 0
        if not start:
            return Reply(content, cut=cut)
        return Reply(content[start:], 206, {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}, cut)

    return reply


def test_a_file_arrives_under_its_id_and_leaves_no_part(service: SmallService, client: Client, tmp_path: Path) -> None:
    service.on(CONTENT, Reply(BYTES))
    service.on("GET /v1/artifacts/art_1", answer(wire.artifact(BYTES)))
    path = client.download("art_1", tmp_path)
    assert path == tmp_path / "art_1.zip"
    assert path.read_bytes() == BYTES
    assert list(tmp_path.iterdir()) == [path]


def test_a_download_goes_on_where_it_was_cut(service: SmallService, client: Client, tmp_path: Path) -> None:
    service.on(CONTENT, ranged(BYTES, cut=30_000))  # type: ignore[arg-type]
    heard: list[tuple[int, int]] = []
    path = client.download(ARTIFACT, tmp_path / "file.zip", on_bytes=lambda done, total: heard.append((done, total)))
    assert path.read_bytes() == BYTES
    assert [asked.headers.get("range") for asked in service.asked] == [
        None,
        "bytes=30000-",
        "bytes=60000-",
        "bytes=90000-",
    ]
    assert service.asked[1].headers["if-range"] == f'"{ARTIFACT.sha256}"'
    assert heard[-1] == (100_000, 100_000)


def test_what_an_earlier_program_left_is_taken_up(service: SmallService, client: Client, tmp_path: Path) -> None:
    (tmp_path / "file.zip.part").write_bytes(BYTES[:70_000])
    service.on(CONTENT, ranged(BYTES))  # type: ignore[arg-type]
    assert client.download(ARTIFACT, tmp_path / "file.zip").read_bytes() == BYTES
    assert [asked.headers["range"] for asked in service.asked] == ["bytes=70000-"]


def test_a_complete_part_is_only_checked(service: SmallService, client: Client, tmp_path: Path) -> None:
    (tmp_path / "file.zip.part").write_bytes(BYTES)
    assert client.download(ARTIFACT, tmp_path / "file.zip").read_bytes() == BYTES
    assert service.asked == []


@pytest.mark.parametrize("stale", [b"of something else", b"longer" * 20_000])
def test_a_part_of_something_else_is_thrown_away(
    service: SmallService, client: Client, tmp_path: Path, stale: bytes
) -> None:
    (tmp_path / "file.zip.part").write_bytes(stale)
    service.on(CONTENT, ranged(BYTES))  # type: ignore[arg-type]
    assert client.download(ARTIFACT, tmp_path / "file.zip").read_bytes() == BYTES


def test_a_server_without_ranges_is_read_from_the_start(service: SmallService, client: Client, tmp_path: Path) -> None:
    (tmp_path / "file.zip.part").write_bytes(BYTES[:70_000])
    service.on(CONTENT, ranged(BYTES, honoured=False))  # type: ignore[arg-type]
    assert client.download(ARTIFACT, tmp_path / "file.zip").read_bytes() == BYTES


def test_another_range_than_asked_for_is_refused(service: SmallService, client: Client, tmp_path: Path) -> None:
    (tmp_path / "file.zip.part").write_bytes(BYTES[:70_000])
    service.on(CONTENT, Reply(BYTES[60_000:], 206, {"Content-Range": "bytes 60000-99999/100000"}))
    with pytest.raises(UnexpectedAnswer, match="another range"):
        client.download(ARTIFACT, tmp_path / "file.zip")


@pytest.mark.parametrize("wrong", [b"X" + BYTES[1:], BYTES[:-1], BYTES + b"!", b""])
def test_wrong_bytes_are_refused_and_nothing_stays(
    service: SmallService, client: Client, tmp_path: Path, wrong: bytes
) -> None:
    service.on(CONTENT, Reply(wrong))
    with pytest.raises(DigestMismatch, match=ARTIFACT.sha256):
        client.download(ARTIFACT, tmp_path / "file.zip")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_never_sends_a_byte_is_given_up_and_the_part_kept(
    service: SmallService, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "file.zip.part").write_bytes(BYTES[:10])
    service.on(CONTENT, Reply(cut=-1))
    with pytest.raises(Unreachable):
        client.download(ARTIFACT, tmp_path / "file.zip")
    assert (tmp_path / "file.zip.part").read_bytes() == BYTES[:10]


def test_what_is_there_already_is_not_fetched_and_what_is_else_not_overwritten(
    service: SmallService, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "same.zip").write_bytes(BYTES)
    (tmp_path / "mine.zip").write_bytes(b"my own work")
    assert client.download(ARTIFACT, tmp_path / "same.zip") == tmp_path / "same.zip"
    with pytest.raises(TargetOccupied):
        client.download(ARTIFACT, tmp_path / "mine.zip")
    assert (tmp_path / "mine.zip").read_bytes() == b"my own work"
    assert service.asked == []


def test_the_key_does_not_travel_to_the_host_of_a_presigned_link(
    service: SmallService, other_host: SmallService, client: Client, tmp_path: Path
) -> None:
    other_host.on("GET /bucket/key", ranged(BYTES, cut=60_000))  # type: ignore[arg-type]
    service.on(CONTENT, Reply(status=307, headers={"Location": f"{other_host.url}/bucket/key?signature=s"}))
    assert client.download(ARTIFACT, tmp_path / "file.zip").read_bytes() == BYTES
    assert all("authorization" in asked.headers for asked in service.asked)
    assert [asked.headers.get("range") for asked in other_host.asked] == [None, "bytes=60000-"]
    for asked in other_host.asked:
        assert not {"authorization", "if-range"} & set(asked.headers)
        assert asked.query == {"signature": "s"}


def test_a_missing_artifact_is_a_refusal(client: Client, tmp_path: Path) -> None:
    with pytest.raises(NotFoundProblem):
        client.download(ARTIFACT, tmp_path / "file.zip")


def module_of(service: SmallService, files: dict[str, bytes], sums: bool = True, label: str = "animal") -> Module:
    packed = wire.archive(files, sums)
    service.on(CONTENT, Reply(packed))
    return Module.model_validate(wire.module(label, artifacts=(wire.artifact(packed, files),)))


def test_a_module_is_unpacked_into_a_folder_of_its_own(service: SmallService, client: Client, tmp_path: Path) -> None:
    folder = client.download_module(module_of(service, FILES), tmp_path / "new")
    assert folder == tmp_path / "new" / "animal-0.5"
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    assert list((tmp_path / "new").iterdir()) == [folder]


def test_a_module_that_is_there_whole_is_not_fetched_again(
    service: SmallService, client: Client, tmp_path: Path
) -> None:
    module = module_of(service, FILES)
    client.download_module(module, tmp_path)
    client.download_module(module, tmp_path)
    assert len(service.asked) == 1


def test_a_module_folder_that_was_changed_is_not_overwritten(
    service: SmallService, client: Client, tmp_path: Path
) -> None:
    module = module_of(service, FILES)
    (client.download_module(module, tmp_path) / "config.json").write_text("edited")
    with pytest.raises(TargetOccupied):
        client.download_module(module, tmp_path)


def test_a_module_can_stay_an_archive(service: SmallService, client: Client, tmp_path: Path) -> None:
    path = client.download_module(module_of(service, FILES), tmp_path, unpack=False)
    assert path.name == "animal-0.5.zip"
    assert zipfile.is_zipfile(path)


def test_an_unknown_layout_is_answered_with_those_there_are(
    service: SmallService, client: Client, tmp_path: Path
) -> None:
    with pytest.raises(NoSuchLayout, match="it has: portable"):
        client.download_module(module_of(service, FILES), tmp_path, "onnx")


@pytest.mark.parametrize("stray", ["../evil", "/etc/evil", "a/../../evil", "..\\evil", "C:/evil"])
def test_no_entry_of_an_archive_leaves_its_folder(
    service: SmallService, client: Client, tmp_path: Path, stray: str
) -> None:
    module = module_of(service, {**FILES, stray: b"evil"})
    with pytest.raises(UnsafeArchive, match="evil"):
        client.download_module(module, tmp_path / "in")
    assert not list(tmp_path.rglob("*evil*"))
    assert not (tmp_path / "in" / "animal-0.5").exists()


def test_a_link_in_an_archive_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        opened.writestr(link, "/etc/passwd")
    (tmp_path / "x.zip").write_bytes(packed.getvalue())
    with pytest.raises(UnsafeArchive, match="link"):
        unpack(tmp_path / "x.zip", tmp_path / "x")


def test_an_archive_without_sums_or_with_more_files_than_sums_is_refused(
    service: SmallService, client: Client, tmp_path: Path
) -> None:
    with pytest.raises(UnsafeArchive, match="SHA256SUMS"):
        client.download_module(module_of(service, FILES, sums=False), tmp_path / "a")
    odd = {**FILES, "SHA256SUMS": f"{wire.digest(b'{}')}  config.json\n".encode()}
    with pytest.raises(UnsafeArchive, match=r"deep/model\.safetensors"):
        client.download_module(module_of(service, odd, sums=False), tmp_path / "b")


def test_a_file_that_is_not_what_its_sum_says_is_refused(service: SmallService, client: Client, tmp_path: Path) -> None:
    sums = f"{wire.digest(b'other')}  config.json\n".encode()
    with pytest.raises(DigestMismatch, match=r"config\.json"):
        client.download_module(module_of(service, {"config.json": b"{}", "SHA256SUMS": sums}, sums=False), tmp_path)
    assert not (tmp_path / "animal-0.5").exists()


def test_what_is_no_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"hello")
    with pytest.raises(UnsafeArchive, match="no sound zip"):
        unpack(tmp_path / "x.zip", tmp_path / "x")


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("animal", "animal-0.5"),
        ("../up", "up-1-0.5"),
        ("a/b", "a_b-1-0.5"),
        ("", "1-0.5"),
        ("größe", "größe-0.5"),
        ("模" * 80, "模" * 26 + "-1-0.5"),
    ],
)
def test_a_label_becomes_a_harmless_file_name(label: str, name: str) -> None:
    assert module_name(Module.model_validate(wire.module(label)), "portable") == name
    assert module_name(Module.model_validate(wire.module(label)), "mask") == f"{name}-mask"
