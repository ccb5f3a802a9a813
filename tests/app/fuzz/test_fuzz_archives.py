"""Whatever bytes an archive has, it is unpacked inside its folder or refused with an error of ours."""

from __future__ import annotations

import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import InvalidInput
from app.sources.unpacking import unpack
from tests.app.fuzz.mutations import fuzzed, mutated
from tests.archives import tarred, zipped

FILES = {"config.json": b"{}", "folder/model.safetensors": b"\0" * 300, "data/train.csv": b"text,label\na,b\n" * 9}
ZIPS = (zipped(FILES), zipped(FILES, compression=zipfile.ZIP_DEFLATED), zipped(FILES, compression=zipfile.ZIP_LZMA))
TARS = (tarred(FILES, mode="w"), tarred(FILES, mode="w:gz"))


def unpacked(content: bytes) -> None:
    """Unpack in this process, and look that nothing has come to lie anywhere else."""
    with TemporaryDirectory() as folder:
        file, target = Path(folder) / "upload", Path(folder) / "a" / "b" / "target"
        file.write_bytes(content)
        target.mkdir(parents=True)
        said = ""
        try:
            unpack(file, target, pointer="/upload")
        except InvalidInput as error:
            said = error.detail
        assert folder not in said.encode().decode()
        there = {path.relative_to(folder).as_posix() for path in Path(folder).rglob("*")}
        assert {path for path in there if not path.startswith("a/b/target/")} == {"upload", "a", "a/b", "a/b/target"}


@fuzzed
@given(st.one_of(*(mutated(content) for content in ZIPS)))
def test_any_bytes_in_a_zip(content: bytes) -> None:
    unpacked(content)


@fuzzed
@given(st.one_of(*(mutated(content, content.index(b"PK\x01\x02")) for content in ZIPS)))
def test_any_bytes_in_the_directory_of_a_zip(content: bytes) -> None:
    unpacked(content)


@fuzzed
@given(st.one_of(*(mutated(content) for content in TARS)))
def test_any_bytes_in_a_tar(content: bytes) -> None:
    unpacked(content)


@fuzzed
@given(st.text(min_size=1, max_size=300), st.sampled_from((zipped, tarred)))
def test_any_name_in_an_archive(name: str, pack: object) -> None:
    try:
        content = pack({name: b"x"})  # type: ignore[operator]
    except (ValueError, IndexError):
        return  # no archive can be made with it
    unpacked(content)


@fuzzed
@given(st.binary(max_size=600))
def test_any_bytes_at_all(content: bytes) -> None:
    for head in (b"", b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b"):
        unpacked(head + content)
    unpacked(content[:257].ljust(257, b"\0") + b"ustar\0" + content[257:])
