"""Modules to the hub: what arrives there, what is refused before a byte is sent, and where the token never is."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import wire
from small_service import Reply, SmallService, answer
from typer.testing import CliRunner

import microlith
from microlith.cli import app
from microlith.client import Client
from microlith.errors import DigestMismatch, HubRefused, NoSuchLayout, UnsafeArchive
from tests.hub import COMMIT, Hub, Repository, running_hub

pytestmark = pytest.mark.filterwarnings(
    "ignore:Use 'content=:DeprecationWarning"
)  # huggingface_hub of its HTTP library

TOKEN = "hf_AVerySecretTokenOfMine"
FILES = {
    "README.md": b"---\nlicense: mit\n---\n# A module\n",
    "config.json": b"{}",
    "licenses/MIT.txt": b"As is.",
    "model.safetensors": bytes(range(256)) * 64,
}
ARCHIVE = wire.archive(FILES)
SUMS = "SHA256SUMS"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with running_hub(tmp_path / "cache", monkeypatch) as handler:
        handler.token = TOKEN
        yield handler


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A downloaded module."""
    target = tmp_path / "module"
    for name, content in FILES.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(content)
    (target / SUMS).write_text("".join(f"{wire.digest(data)}  {name}\n" for name, data in FILES.items()))
    return target


def serve_module(service: SmallService) -> None:
    module = wire.module(artifacts=(wire.artifact(ARCHIVE, FILES),))
    service.on("GET /v1/modules/mod_1", answer(module))
    service.on("GET /v1/artifacts/art_1/content", Reply(ARCHIVE))


def test_a_folder_becomes_a_repository_in_one_commit(hub: type[Hub], folder: Path) -> None:
    made = microlith.push_to_hub(folder, "me/animal", token=TOKEN)
    assert (made.repo, made.commit) == ("me/animal", COMMIT)
    assert made.url.endswith("/me/animal")
    stored = hub.repositories["me/animal"]
    assert {name: stored.files[name] for name in FILES} == FILES
    assert stored.files[SUMS] == (folder / SUMS).read_bytes()
    assert len(stored.messages) == 1
    assert not stored.private
    assert list(hub.objects.values()) == [FILES["model.safetensors"]]


def test_a_module_of_a_server_is_downloaded_checked_and_pushed(
    hub: type[Hub], service: SmallService, client: Client
) -> None:
    serve_module(service)
    microlith.push_to_hub("mod_1", "me/animal", token=TOKEN, private=True, client=client)
    assert hub.repositories["me/animal"].files.keys() == {*FILES, SUMS}
    assert hub.repositories["me/animal"].private


def test_pushing_again_is_another_commit_of_the_same_repository(hub: type[Hub], folder: Path) -> None:
    hub.repositories["me/animal"] = Repository(private=False, files={"notes.md": b"mine"})
    for _ in range(2):
        microlith.push_to_hub(folder, "me/animal", token=TOKEN)
    assert hub.repositories["me/animal"].files.keys() == {*FILES, SUMS, "notes.md"}


def test_a_damaged_or_foreign_folder_is_refused_before_the_hub_hears_of_it(hub: type[Hub], folder: Path) -> None:
    (folder / "config.json").write_bytes(b"{ }")
    with pytest.raises(DigestMismatch):
        microlith.push_to_hub(folder, "me/animal", token=TOKEN)
    (folder / SUMS).unlink()
    with pytest.raises(UnsafeArchive):
        microlith.push_to_hub(folder, "me/animal", token=TOKEN)
    assert hub.asked == []


def test_a_layout_that_is_not_there_is_refused_with_those_that_are(
    hub: type[Hub], service: SmallService, client: Client
) -> None:
    serve_module(service)
    with pytest.raises(NoSuchLayout, match="it has: portable"):
        microlith.push_to_hub("mod_1", "me/animal", token=TOKEN, layout="onnx", client=client)
    assert hub.asked == []


def test_what_was_to_be_private_is_not_pushed_where_everybody_reads(hub: type[Hub], folder: Path) -> None:
    hub.repositories["me/animal"] = Repository(private=False)
    with pytest.raises(HubRefused, match="is public"):
        microlith.push_to_hub(folder, "me/animal", token=TOKEN, private=True)
    assert hub.repositories["me/animal"].files == {}


def test_a_token_that_may_not_write_is_told_what_to_do(hub: type[Hub], folder: Path) -> None:
    with pytest.raises(HubRefused, match=r"me/animal: refused\.\nGive a token that may write") as failure:
        microlith.push_to_hub(folder, "me/animal", token="hf_another")
    assert "hf_another" not in str(failure.value)


def test_what_the_store_of_large_files_refuses_is_told_and_nothing_is_committed(
    hub: type[Hub], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "_store", lambda *_: (403, {"X-Error-Message": "no room"}, b""))
    with pytest.raises(HubRefused, match=r"(?s)uploading 'model\.safetensors'.*no room"):
        microlith.push_to_hub(folder, "me/animal", token=TOKEN)
    assert hub.repositories["me/animal"].messages == []


@pytest.mark.parametrize("token", [f"{TOKEN}\nX-Other: 1", f"{TOKEN} {TOKEN}", f"{TOKEN}é"])
def test_a_token_that_no_header_can_carry_is_refused_and_not_repeated(hub: type[Hub], folder: Path, token: str) -> None:
    with pytest.raises(HubRefused, match="Copy it once more") as failure:
        microlith.push_to_hub(folder, "me/animal", token=token)
    assert TOKEN not in str(failure.value)
    assert hub.asked == []


def test_a_name_that_the_hub_does_not_take_is_told(hub: type[Hub], folder: Path) -> None:
    with pytest.raises(HubRefused, match="me/an--imal"):
        microlith.push_to_hub(folder, "me/an--imal", token=TOKEN)


@pytest.mark.parametrize("place", ["environment", "option"])
def test_the_token_is_in_no_file_no_log_no_output_and_never_goes_to_the_server(
    hub: type[Hub],
    service: SmallService,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    place: str,
) -> None:
    """All a push may write to is moved into one folder and looked through: home, caches, scratch, where it was run."""
    for name in ("HOME", "HF_HOME", "XDG_CACHE_HOME", "TMPDIR"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "TMPDIR"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MICROLITH_URL", service.url)
    serve_module(service)
    words = ["modules", "push", "mod_1", "--repo", "me/animal", "--json"]
    if place == "environment":
        monkeypatch.setenv("HF_TOKEN", TOKEN)
    else:
        words += ["--token", TOKEN]
    with caplog.at_level(logging.DEBUG):
        for logger in ("httpx", "huggingface_hub"):
            caplog.set_level(logging.DEBUG, logger)
        done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["commit"] == COMMIT
    assert f"Bearer {TOKEN}" in hub.tokens_seen
    assert not [seen for seen in hub.tokens_seen if seen.startswith("store")]
    assert TOKEN not in done.output
    assert caplog.records
    assert TOKEN not in caplog.text
    assert service.asked
    assert TOKEN not in repr(service.asked)
    written = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert not [file for file in written if TOKEN.encode() in file.read_bytes()]


def test_the_command_line_tells_a_refusal_by_its_exit_code(hub: type[Hub], folder: Path) -> None:
    done = CliRunner().invoke(app, ["modules", "push", str(folder), "--repo", "me/animal", "--token", "hf_another"])
    assert done.exit_code == 3
    assert "Give a token that may write there" in done.stderr
    assert "hf_another" not in done.output


def test_the_light_client_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(HubRefused, match=r'pip install "microlith\[hub\]"'):
        microlith.push_to_hub(folder, "me/animal", token=TOKEN)
