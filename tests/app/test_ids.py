"""Ids."""

import re
import time
from datetime import UTC, datetime, timedelta

from app.domain.ids import first_id, new_id


def test_an_id_names_its_noun_and_sorts_by_time() -> None:
    first = new_id("job")
    time.sleep(0.002)
    second = new_id("job")
    assert re.fullmatch(r"job_[0-9A-HJKMNP-TV-Z]{26}", first)
    assert first < second


def test_ids_made_at_once_are_different() -> None:
    assert len({new_id("evt") for _ in range(1000)}) == 1000


def test_an_id_tells_the_time_it_is_made_for_and_nothing_of_that_time_sorts_before_its_first() -> None:
    at = datetime(2026, 5, 17, 12, 30, 0, 250_000, UTC)
    made = new_id("job", at)
    assert first_id("job", at) <= made < first_id("job", at + timedelta(milliseconds=1))
    assert first_id("job", at, timedelta(minutes=-1)) == first_id("job", at - timedelta(minutes=1))


def test_times_that_no_id_can_tell_are_before_or_after_all() -> None:
    ends = first_id("job", datetime.min.replace(tzinfo=UTC)), first_id("job", datetime.max.replace(tzinfo=UTC))
    assert ends[0] <= new_id("job") <= ends[1]
