"""Which places `path:` references may name: below the folders that were given, whatever links and dots say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.domain.errors import InvalidInput, ResourceLimit
from app.settings import Settings
from app.sources import allowed_paths
from app.sources.allowed_paths import Folders, real_place
from worker.sources.models import load_model


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder that is read, with a model's folder and the data folder in it, beside one that is not."""
    for name in ("home/model/deep", "home/data", "secret"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("home/model/config.json", "home/data/row", "secret/key"):
        (tmp_path / name).write_text("x")
    return tmp_path / "home"


def place(name: str | Path, home: Path) -> Path:
    return real_place(str(name), Folders((home,), (home / "data",)), pointer="/model")


def test_what_lies_below_is_read_and_known_by_its_real_path(home: Path) -> None:
    (home / "link").symlink_to("model")
    assert place(home / "model" / ".." / "model", home) == home / "model"
    assert place(home / "link", home) == home / "model"
    assert place(home / "model" / "config.json", home) == home / "model" / "config.json"


@pytest.mark.parametrize(
    "name", ["../secret", "../secret/key", "model/../../secret/key", "/etc/passwd", "/nowhere", "data", "data/row"]
)
def test_what_lies_elsewhere_is_refused_whether_it_is_there_or_not(home: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="outside the folders") as refusal:
        place(home / name, home)
    assert refusal.value.pointer == "/model"
    assert "--allow-path" in str(refusal.value.hint)


def test_a_link_that_leads_out_is_refused_wherever_it_is(home: Path) -> None:
    (home / "out").symlink_to(home.parent / "secret")
    for name in ("out", "out/key"):
        with pytest.raises(InvalidInput, match="outside the folders"):
            place(home / name, home)
    for link, target in (
        ("model/weights", "secret/key"),
        ("model/deep/more", "secret"),
        ("model/rows", "home/data/row"),
    ):
        (home / link).symlink_to(home.parent / target)
        with pytest.raises(InvalidInput, match="leads out"):
            place(home / "model", home)
        (home / link).unlink()
    assert place(home / "model", home) == home / "model"


def test_a_link_to_a_folder_that_holds_a_link_out_is_refused_too(home: Path) -> None:
    (home / "beside").mkdir()
    (home / "beside" / "out").symlink_to(home.parent / "secret")
    (home / "model" / "aside").symlink_to(home / "beside")
    with pytest.raises(InvalidInput, match="leads out"):
        place(home / "model", home)


def test_links_in_a_circle_end(home: Path) -> None:
    (home / "model" / "round").symlink_to(home / "model")
    (home / "model" / "self").symlink_to("self")
    assert place(home / "model", home) == home / "model"


def test_the_data_folder_is_passed_over_in_a_folder_around_it(home: Path) -> None:
    assert place(home, home) == home


def test_what_is_neither_file_nor_folder_is_not_opened(home: Path) -> None:
    os.mkfifo(home / "model" / "pipe")
    with pytest.raises(InvalidInput, match="There is no file or folder"):
        place(home / "model" / "pipe", home)
    with pytest.raises(InvalidInput, match="neither a file nor a folder"):
        place(home / "model", home)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no other file system to be sure of")
def test_another_file_system_below_the_folder_was_not_meant() -> None:
    with pytest.raises(InvalidInput, match="outside the folders"):
        real_place("/proc/self/environ", Folders((Path("/"),)), pointer="/model")


def test_a_folder_of_too_many_files_is_not_looked_through(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowed_paths, "MOST_ENTRIES", 1)
    with pytest.raises(ResourceLimit):
        place(home / "model", home)


def test_a_folder_that_was_replaced_after_it_was_asked_for_is_refused_where_it_is_opened(home: Path) -> None:
    settings = Settings(allow_paths=(home,), data_dir=home / "data")
    assert place(home / "model", home)
    (home / "model").rename(home / "old")
    (home / "model").symlink_to(home.parent / "secret")
    with pytest.raises(InvalidInput, match="outside the folders"):
        load_model(f"path:{home / 'model'}", allow_paths=settings.paths)


def test_folders_are_named_in_the_environment_with_colons_between(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICROLITH_ALLOW_PATHS", f"{home}:{home / 'model'}")
    settings = Settings()
    assert settings.allow_paths == (home, home / "model")
    assert settings.environment()["MICROLITH_ALLOW_PATHS"] == f"{home}:{home / 'model'}"


@pytest.mark.parametrize("asked", [{"allow_paths": ("/nowhere/at/all",)}, {"allow_paths": ("/",), "api_key": "k" * 16}])
def test_a_folder_that_is_not_there_or_a_server_for_others_is_refused(asked: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"there is no folder|without a key"):
        Settings(**asked)
