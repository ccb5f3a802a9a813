import os

import pytest

from app.cores import cores_given
from app.settings import Settings

HERE = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("max 100000", HERE),
        ("50000 100000", 1),
        ("150000 100000", min(2, HERE)),
        (f"{HERE * 400000} 100000", HERE),
        ("nonsense", HERE),
        ("1 0", HERE),
    ],
)
def test_a_container_s_share_of_time_limits_the_threads(tmp_path, told, expected):
    (tmp_path / "cpu.max").write_text(told + "\n")
    assert cores_given(tmp_path) == expected


def test_without_a_control_group_the_cores_it_may_run_on_count(tmp_path):
    assert cores_given(tmp_path) == HERE


def test_threads_are_the_cores_given_unless_set(monkeypatch):
    monkeypatch.delenv("MICROLITH_THREADS", raising=False)
    assert Settings().threads == cores_given()
    assert Settings(threads=7).threads == 7
