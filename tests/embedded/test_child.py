"""A child never outlives us, whichever way we end."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from app.embedded.child import LOG_LIMIT_BYTES, Child, ChildFailed, Command
from app.embedded.child_account import child_account
from tests.embedded.processes import is_running, wait_for

SLEEP = ["/bin/sleep", "600"]
STUBBORN = ["/bin/sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.05; done"]
PARENT = """
import os, sys, time
from pathlib import Path
from app.embedded.child import Child, Command
from tests.embedded.processes import sleep_until_a_signal
child = Child(Command("sleeper", ["/bin/sleep", "600"], Path(sys.argv[1])))
if sys.argv[2] == "forked" and os.fork() == 0:
    time.sleep(30)  # holds a copy of the pipe to the watchdog, as a worker pool would
    os._exit(0)
print(child.pid, flush=True)
sleep_until_a_signal()
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "child.log"


def test_a_stopped_child_is_gone(log: Path) -> None:
    child = Child(Command("sleeper", SLEEP, log))
    assert is_running(child.pid)
    assert child.exit_code is None
    child.stop()
    child.stop()
    assert not is_running(child.pid)
    assert child.exit_code == 128 + signal.SIGTERM


def test_a_child_that_ends_by_itself_tells_its_exit_code(log: Path) -> None:
    child = Child(Command("quick", ["/bin/sh", "-c", "exit 7"], log))
    assert child.wait(10) == 7
    child.stop()


def test_a_child_that_ignores_the_request_is_killed_after_its_grace_period(log: Path) -> None:
    child = Child(Command("stubborn", STUBBORN, log, grace_seconds=0.2))
    wait_for(lambda: "deaf" in log.read_text())
    child.stop()
    assert child.exit_code == 128 + signal.SIGKILL


def test_what_a_child_started_itself_goes_with_it(log: Path) -> None:
    child = Child(Command("family", ["/bin/sh", "-c", "sleep 600 & echo $!; wait"], log))
    wait_for(lambda: log.read_text().strip().isdigit())
    child.stop()
    wait_for(lambda: not is_running(int(log.read_text())))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_child_ends_when_its_parent_is_ended_by_a_signal(log: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(log), "alone"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as parent:
        pid = int(parent.stdout.readline())
        assert is_running(pid)
        parent.send_signal(number)
    wait_for(lambda: not is_running(pid))


def test_a_child_ends_with_its_parent_even_when_a_fork_of_it_lives_on(log: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, str(log), "forked"], stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        parent.kill()
        wait_for(lambda: not is_running(pid))


def test_a_child_lives_on_when_the_thread_that_started_it_ends(log: Path) -> None:
    started: list[Child] = []
    thread = threading.Thread(target=lambda: started.append(Child(Command("sleeper", SLEEP, log))))
    thread.start()
    thread.join()
    assert started[0].wait(0.3) is None
    started[0].stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
@pytest.mark.parametrize("account", [None, child_account()], ids=["same user", "service account"])
def test_a_child_ends_when_its_minder_is_killed(log: Path, account: object) -> None:
    child = Child(Command("sleeper", SLEEP, log, account=account))
    child.watchdog.kill()
    wait_for(lambda: not is_running(child.pid))
    child.stop()


def test_ctrl_c_in_the_terminal_does_not_reach_the_child(log: Path) -> None:
    child = Child(Command("sleeper", SLEEP, log))
    assert os.getpgid(child.pid) != os.getpgid(0)
    assert os.getsid(child.pid) != os.getsid(0)
    child.stop()


def test_a_program_that_does_not_exist_is_a_clear_failure(log: Path) -> None:
    with pytest.raises(ChildFailed, match=r"ghost did not start(?s:.*)cannot start /no/such/program"):
        Child(Command("ghost", ["/no/such/program"], log))


def test_a_child_that_ends_before_it_is_ready_shows_the_end_of_its_log(log: Path) -> None:
    child = Child(Command("broken", ["/bin/sh", "-c", "echo the disk is full >&2; exit 3"], log))
    with pytest.raises(ChildFailed, match=r"exit code 3(?s:.*)the disk is full"):
        child.wait_until(lambda: False, 10)
    child.stop()


def test_a_child_that_never_gets_ready_is_stopped(log: Path) -> None:
    child = Child(Command("slow", SLEEP, log))
    with pytest.raises(ChildFailed, match="not ready within"):
        child.wait_until(lambda: False, 0.1)
    assert not is_running(child.pid)


def test_secrets_in_the_environment_are_on_no_command_line(log: Path) -> None:
    child = Child(Command("sleeper", SLEEP, log, env={"PATH": os.defpath, "PASSWORD": "open-sesame"}))
    for pid in (child.pid, child.watchdog.pid):
        assert b"open-sesame" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    child.stop()


def test_the_log_is_ours_alone_and_makes_way_when_it_is_large(log: Path) -> None:
    log.parent.mkdir()
    log.write_bytes(b"x" * (LOG_LIMIT_BYTES + 1))
    Child(Command("talker", ["/bin/echo", "hello"], log)).wait(10)
    assert log.read_text() == "hello\n"
    assert log.stat().st_mode & 0o777 == 0o600
    assert log.with_suffix(".previous.log").stat().st_size == LOG_LIMIT_BYTES + 1
