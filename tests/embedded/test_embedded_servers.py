"""PostgreSQL and Valkey as children: their data, their secrets, and what happens after a crash."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from app.embedded.child_account import OUTSIDE
from app.embedded.postgres import Postgres
from app.embedded.valkey import Valkey
from tests.embedded.processes import is_running, wait_for
from tests.servers import scratch_folder

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has children that run as somebody else")


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with scratch_folder() as folder:
        yield folder


def query(postgres: Postgres, sql: str, **other: object) -> list[tuple[object, ...]]:
    url = postgres.url.replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True, **other) as connection:
        cursor = connection.execute(sql)
        return cursor.fetchall() if cursor.description else []


def started(data_dir: Path) -> Postgres:
    return Postgres(data_dir, durable=False)


def test_a_new_database_speaks_utf8_utc_and_byte_order(data_dir: Path) -> None:
    postgres = started(data_dir)
    try:
        assert query(postgres, "SELECT current_database(), current_user") == [("microlith", "microlith")]
        assert query(postgres, "SHOW timezone") == [("UTC",)]
        assert query(postgres, "SHOW server_encoding") == [("UTF8",)]
        assert query(postgres, "SELECT 'B' < 'a' COLLATE \"default\"") == [(True,)]
    finally:
        postgres.stop()


def test_a_restart_finds_the_rows_and_the_password(data_dir: Path) -> None:
    postgres = started(data_dir)
    query(postgres, "CREATE TABLE kept AS SELECT 42 AS answer")
    postgres.stop()
    again = started(data_dir)
    try:
        assert query(again, "SELECT answer FROM kept") == [(42,)]
    finally:
        again.stop()


def test_a_password_is_needed_and_only_loopback_is_served(data_dir: Path) -> None:
    postgres = started(data_dir)
    try:
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            query(postgres, "SELECT 1", password="wrong")
        assert query(postgres, "SHOW listen_addresses") == [("127.0.0.1",)]
        assert query(postgres, "SHOW unix_socket_directories") == [("",)]
        assert query(
            postgres, "SELECT rolpassword LIKE 'SCRAM-SHA-256%' FROM pg_authid WHERE rolname = 'microlith'"
        ) == [(True,)]
    finally:
        postgres.stop()


def test_secrets_are_readable_by_their_owner_alone(data_dir: Path) -> None:
    postgres, valkey = started(data_dir), Valkey(data_dir)
    try:
        secrets = [data_dir / "postgres.password", data_dir / "valkey.password", data_dir / "valkey" / "valkey.conf"]
        assert [file.stat().st_mode & 0o777 for file in secrets] == [0o600] * 3
        assert [(data_dir / name).stat().st_mode & 0o777 for name in ("postgres", "valkey")] == [0o700] * 2
        password = (data_dir / "valkey.password").read_text()
        for pid in (postgres.pid, valkey.pid):
            assert password.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    finally:
        postgres.stop()
        valkey.stop()


def test_a_killed_postgres_recovers_what_was_committed(data_dir: Path) -> None:
    postgres = started(data_dir)
    query(postgres, "CREATE TABLE kept AS SELECT 42 AS answer")
    os.kill(postgres.pid, signal.SIGKILL)
    postgres.stop()
    again = started(data_dir)
    try:
        assert query(again, "SELECT answer FROM kept") == [(42,)]
    finally:
        again.stop()


def test_a_pid_file_that_names_a_stranger_does_not_keep_postgres_down(data_dir: Path) -> None:
    started(data_dir).stop()
    pid_file = data_dir / "postgres" / "data" / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{pid_file.parent}\n")
    started(data_dir).stop()


def test_a_live_postgres_on_the_same_data_is_left_alone(data_dir: Path) -> None:
    postgres = started(data_dir)
    try:
        with pytest.raises(OSError, match=f"Process {postgres.pid} is a PostgreSQL that already serves"):
            started(data_dir)
        assert query(postgres, "SELECT 1") == [(1,)]
    finally:
        postgres.stop()


def test_an_interrupted_first_start_is_begun_anew(data_dir: Path) -> None:
    half = data_dir / "postgres" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    started(data_dir).stop()
    assert not half.exists()


def test_a_folder_that_is_no_database_is_a_clear_failure(data_dir: Path) -> None:
    (data_dir / "postgres" / "data").mkdir(parents=True, mode=0o700)
    with pytest.raises(OSError, match=r"PostgreSQL ended with exit code(?s:.*)postgres"):
        started(data_dir)


@needs_root
def test_a_data_folder_behind_a_closed_door_works_and_is_found_again(data_dir: Path) -> None:
    home = data_dir / "home" / "clone"
    home.mkdir(parents=True)
    home.parent.chmod(0o700)
    postgres = started(home)
    outside = Path((home / "postgres.folder").read_text().strip())
    try:
        query(postgres, "CREATE TABLE kept AS SELECT 42 AS answer")
        postgres.stop()
        assert outside.is_relative_to(OUTSIDE[0]) or outside.is_relative_to(OUTSIDE[1])
        assert outside.stat().st_mode & 0o777 == 0o700
        postgres = started(home)
        assert query(postgres, "SELECT answer FROM kept") == [(42,)]
    finally:
        postgres.stop()
        shutil.rmtree(outside)


@needs_root
def test_data_taken_away_is_not_silently_replaced_by_an_empty_database(data_dir: Path) -> None:
    (data_dir / "postgres.folder").write_text("/var/lib/microlith/data/gone\n")
    with pytest.raises(OSError, match=r"gone\. Delete .*postgres\.folder to begin"):
        started(data_dir)


def test_valkey_keeps_what_it_acknowledged_over_a_kill(data_dir: Path) -> None:
    valkey = Valkey(data_dir)
    with redis.Redis.from_url(valkey.url) as client:
        client.rpush("queue", "job_1", "job_2")
    os.kill(valkey.pid, signal.SIGKILL)
    valkey.stop()
    again = Valkey(data_dir)
    try:
        with redis.Redis.from_url(again.url, decode_responses=True) as client:
            assert client.lrange("queue", 0, -1) == ["job_1", "job_2"]
    finally:
        again.stop()


def test_valkey_needs_its_password(data_dir: Path) -> None:
    valkey = Valkey(data_dir)
    try:
        host = valkey.url.rpartition("@")[2]
        with redis.Redis.from_url(f"redis://{host}") as client, pytest.raises(redis.AuthenticationError):
            client.ping()
    finally:
        valkey.stop()


def test_a_folder_with_a_space_and_letters_of_other_languages_works(data_dir: Path) -> None:
    odd = data_dir / 'my "données"'
    odd.mkdir()
    postgres, valkey = started(odd), Valkey(odd)
    postgres.stop()
    valkey.stop()
    wait_for(lambda: not is_running(postgres.pid) and not is_running(valkey.pid))
