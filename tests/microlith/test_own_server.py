"""A server that was started without a key on this machine is opened by the token that it left for its user."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.embedded.startup_token import NAME, announce
from microlith.client import Client
from microlith.client.own_server import token_for
from tests.microlith.small_service import SmallService, answer

TOKEN = "a-token-of-some-length"
URL = "http://127.0.0.1:8000"


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder that the environment names; the usual ones are empty."""
    monkeypatch.setenv("MICROLITH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MICROLITH_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


def test_the_client_finds_the_token_by_the_address(service: SmallService, data_dir: Path) -> None:
    announce(data_dir, service.url, TOKEN)
    service.on("GET /healthz", answer({"status": "ok"}))
    with Client(service.url) as client:
        client.health()
    with Client(service.url, api_key="another") as client:
        client.health()
    sent = [asked.headers["authorization"] for asked in service.calls("GET /healthz")]
    assert sent == [f"Bearer {TOKEN}", "Bearer another"]


@pytest.mark.parametrize("folder", [".microlith", "home/.microlith", "data"])
def test_it_looks_into_the_usual_folders(tmp_path: Path, folder: str) -> None:
    announce(tmp_path / folder, URL, TOKEN)
    assert token_for(URL) == token_for("localhost:8000") == TOKEN


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8001", "http://example.org:8000", "https://127.0.0.1:8000", "http://[", "http://a:b"]
)
def test_no_other_server_is_shown_the_token(data_dir: Path, url: str) -> None:
    announce(data_dir, URL, TOKEN)
    assert token_for(url) is None


def test_a_file_that_somebody_else_could_have_written_is_not_believed(data_dir: Path) -> None:
    announce(data_dir, URL, TOKEN)
    (data_dir / NAME).chmod(0o644)
    assert token_for(URL) is None
    (data_dir / NAME).chmod(0o600)
    (data_dir / NAME).rename(data_dir / "elsewhere")
    (data_dir / NAME).symlink_to(data_dir / "elsewhere")
    assert token_for(URL) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"url": 1, "token": 2}', '{"url": "http://127.0.0.1:8000"}'])
def test_a_file_that_says_nothing_of_use_is_passed_over(data_dir: Path, text: str) -> None:
    data_dir.mkdir()
    descriptor = os.open(data_dir / NAME, os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(descriptor, text.encode())
    os.close(descriptor)
    assert token_for(URL) is None
