"""The embedded default as a whole: started together, gone together, back with its data."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from app.embedded import binaries, supervised
from app.embedded.child_account import can_enter, child_account
from app.embedded.lock import DataDirBusy, DataDirLock
from app.embedded.services import EmbeddedServices
from tests.embedded.processes import is_running, wait_for
from tests.servers import scratch_folder

SERVER = """
import os, sys
from pathlib import Path
from app.embedded.services import EmbeddedServices
from tests.embedded.processes import sleep_until_a_signal
with EmbeddedServices(Path(sys.argv[1]), durable=False) as services:
    worker = services.start_worker(["/bin/sleep", "600"], {"PATH": os.defpath})
    print(services.postgres.pid, services.valkey.pid, worker.pid, flush=True)
    sleep_until_a_signal()
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with scratch_folder() as folder:
        yield folder


def serve(data_dir: Path, **options: object) -> tuple[subprocess.Popen[str], list[int]]:
    """A server process and the ids of its PostgreSQL, Valkey and worker."""
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(data_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        **options,
    )
    return server, [int(pid) for pid in server.stdout.readline().split()]


def test_both_servers_answer_at_their_urls(data_dir: Path) -> None:
    with EmbeddedServices(data_dir) as services:
        assert services.database_url.startswith("postgresql+psycopg://microlith:")
        with psycopg.connect(services.database_url.replace("+psycopg", "")) as connection:
            assert connection.execute("SHOW fsync").fetchone() == ("on",)
        with redis.Redis.from_url(services.broker_url) as client:
            assert client.config_get("appendonly") == {"appendonly": "yes"}


@pytest.mark.parametrize("wanted", ["database", "broker"])
def test_a_server_the_user_brings_is_not_started(data_dir: Path, wanted: str) -> None:
    with EmbeddedServices(data_dir, **{"database": False, "broker": False, wanted: True}):
        assert (data_dir / "postgres").exists() == (wanted == "database")
        assert (data_dir / "valkey").exists() == (wanted == "broker")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_child_is_left_however_the_server_ends_and_the_next_one_starts_at_once(
    data_dir: Path, number: signal.Signals
) -> None:
    server, pids = serve(data_dir)
    with server:
        assert all(is_running(pid) for pid in pids)
        server.send_signal(number)
    with EmbeddedServices(data_dir, durable=False) as services:
        assert not any(is_running(pid) for pid in pids)
        with psycopg.connect(services.database_url.replace("+psycopg", "")) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_second_server_on_the_same_folder_is_refused_with_the_first_ones_id(data_dir: Path) -> None:
    server, pids = serve(data_dir)
    with server:
        with pytest.raises(DataDirBusy, match=f"in use by process {server.pid}"), EmbeddedServices(data_dir):
            pass
        assert all(is_running(pid) for pid in pids)
        server.kill()
    wait_for(lambda: not any(is_running(pid) for pid in pids))


def test_a_folder_is_free_again_after_a_clean_stop(data_dir: Path) -> None:
    for _ in range(2):
        with EmbeddedServices(data_dir, database=False):
            pass
    DataDirLock(data_dir, orphans_seconds=0).release()


def test_one_server_that_cannot_start_takes_the_other_down(data_dir: Path) -> None:
    (data_dir / "postgres" / "data").mkdir(parents=True, mode=0o700)
    with pytest.raises(OSError, match="PostgreSQL"), EmbeddedServices(data_dir):
        pass
    DataDirLock(data_dir, orphans_seconds=5).release()


def test_missing_binaries_are_named_with_the_way_to_get_them(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "/nowhere")
    for find, variable in ((binaries.find_postgres, "DATABASE_URL"), (binaries.find_valkey, "BROKER_URL")):
        with pytest.raises(binaries.BinariesMissing, match=rf"microlith\[embedded\].*MICROLITH_{variable}"):
            find()


def test_a_worker_that_dies_is_started_again(data_dir: Path) -> None:
    with EmbeddedServices(data_dir, database=False, broker=False) as services:
        running = services.start_worker(["/bin/sleep", "600"], {})
        first = running.pid
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: running.pid != first and running.running)
    assert not is_running(running.pid)


def test_a_worker_that_keeps_dying_is_started_ever_more_rarely_but_never_given_up(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervised, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(supervised, "LONGEST_PAUSE_SECONDS", 0.05)
    gate = data_dir / "gate"
    with EmbeddedServices(data_dir, database=False, broker=False) as services:
        command = ["/bin/sh", "-c", f"echo start; [ -e {gate} ] && exec sleep 600; echo the disk is full; exit 3"]
        running = services.start_worker(command, {"PATH": os.defpath})
        log = data_dir / "logs" / "worker.log"
        wait_for(lambda: log.read_text().count("start") > 6)
        gate.touch()
        deaths = log.read_text().count("full")
        wait_for(lambda: log.read_text().count("start") > deaths and running.running)
    told = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert "exit code 3" in told[0]
    assert "the disk is full" in told[0]
    pauses = [
        float(line.partition("again in ")[2].removesuffix(" s.")) for text in told for line in text.splitlines()[-1:]
    ]
    assert pauses == sorted(pauses)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["killed", "stopped"])
def test_servers_that_die_come_back_at_the_same_address_with_their_data(data_dir: Path, number: signal.Signals) -> None:
    with EmbeddedServices(data_dir, durable=False) as services:
        database, broker = services.database_url.replace("+psycopg", ""), services.broker_url
        with psycopg.connect(database) as connection, redis.Redis.from_url(broker) as client:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
            client.set("kept", "42")
        for pid in (services.postgres.pid, services.valkey.pid):
            os.kill(pid, number)
        wait_for(lambda: both_answer(database, broker) == (42, b"42"))


def both_answer(database: str, broker: str) -> tuple[object, object] | None:
    try:
        with psycopg.connect(database) as connection, redis.Redis.from_url(broker) as client:
            return connection.execute("SELECT answer FROM kept").fetchone()[0], client.get("kept")
    except (psycopg.OperationalError, redis.ConnectionError, redis.BusyLoadingError):
        return None


def test_a_server_that_cannot_come_back_yet_is_tried_again_until_it_can(data_dir: Path) -> None:
    with EmbeddedServices(data_dir, database=False) as services:
        config = data_dir / "valkey" / "valkey.conf"
        config.rename(config.with_suffix(".away"))
        os.kill(services.valkey.pid, signal.SIGKILL)
        log = data_dir / "logs" / "valkey.log"
        wait_for(lambda: "can't open config file" in log.read_text())
        config.with_suffix(".away").rename(config)
        with redis.Redis.from_url(services.broker_url) as client:
            wait_for(lambda: answers(client))


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except (redis.ConnectionError, redis.BusyLoadingError):
        return False


def test_a_worker_is_stopped_while_it_waits_for_its_restart(data_dir: Path) -> None:
    with EmbeddedServices(data_dir, database=False, broker=False) as services:
        running = services.start_worker(["/bin/false"], {})
        wait_for(lambda: not running.running)
    assert not running.running


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as an ordinary user")
def test_an_ordinary_user_gets_the_same(data_dir: Path) -> None:
    account = child_account()
    if not can_enter(Path(sys.executable).resolve().parent, account) or not can_enter(Path(__file__).parent, account):
        pytest.skip("the Python environment is below a folder that ordinary users cannot enter")
    os.chown(data_dir, account.uid, account.gid)
    server, pids = serve(data_dir, user=account.uid, group=account.gid, extra_groups=[])
    with server:
        assert {Path(f"/proc/{pid}").stat().st_uid for pid in pids} == {account.uid}
        server.kill()
    wait_for(lambda: not any(is_running(pid) for pid in pids))
