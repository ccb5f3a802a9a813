"""A run that must have the shared folder does not pass by skipping what needs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import shared


@pytest.mark.parametrize("there", [[], ["parity"], ["assets"]])
def test_a_run_that_asks_for_the_shared_folder_fails_where_a_part_of_it_is_missing(
    there: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in there:
        (tmp_path / folder).mkdir()
    monkeypatch.setattr(shared, "FOLDER", tmp_path)
    monkeypatch.setenv(shared.REQUIRED, "1")
    with pytest.raises(pytest.UsageError, match="MICROLITH_SHARED"):
        shared.check_required()
    monkeypatch.delenv(shared.REQUIRED)
    shared.check_required()


def test_it_goes_on_where_all_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("parity", "assets"):
        (tmp_path / folder).mkdir()
    monkeypatch.setattr(shared, "FOLDER", tmp_path)
    monkeypatch.setenv(shared.REQUIRED, "1")
    shared.check_required()
