"""Ids."""

import re
import time

from app.domain.ids import new_id


def test_an_id_names_its_noun_and_sorts_by_time() -> None:
    first = new_id("job")
    time.sleep(0.002)
    second = new_id("job")
    assert re.fullmatch(r"job_[0-9A-HJKMNP-TV-Z]{26}", first)
    assert first < second


def test_ids_made_at_once_are_different() -> None:
    assert len({new_id("evt") for _ in range(1000)}) == 1000
