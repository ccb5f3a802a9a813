"""A PostgreSQL of our own: made once in the data folder, on a free loopback port, behind a random password."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psycopg

from app.embedded.binaries import find_postgres
from app.embedded.child import Child, ChildFailed, Command
from app.embedded.child_account import child_account, private_folder, reachable_binary
from app.embedded.passwords import password, write_private
from app.embedded.port import LOOPBACK, START_TRIES, free_port

NAME = "microlith"
"""The database and its owner."""

START_SECONDS = 60.0
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # a socket path has at most 107 characters; a data folder may be anywhere
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "jit": "off",  # the wheels have no LLVM
}
HASTY_SETTINGS = {"fsync": "off", "full_page_writes": "off"}


class Postgres:
    """The running server. Without `durable` a crash of the machine (not of a process) may lose data: for tests."""

    def __init__(self, data_dir: Path, *, keep: Sequence[int] = (), durable: bool = True) -> None:
        self._account = child_account()
        self._binary = reachable_binary(find_postgres(), self._account)
        self._password = password(data_dir / "postgres.password")
        self._log = data_dir / "logs" / "postgres.log"
        self._keep = keep
        self._durable = durable
        folder = private_folder(data_dir, "postgres", self._account)
        self._data = folder / "data"
        if not self._data.exists():
            self._initialise(folder)
        self._start()

    @property
    def url(self) -> str:
        """Where the database is, in SQLAlchemy's form."""
        return f"postgresql+psycopg://{NAME}:{self._password}@{LOOPBACK}:{self._port}/{NAME}"

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        return self.child.pid

    def stop(self) -> None:
        """Ends all connections and the server; what was committed stays."""
        self.child.stop()

    def launch(self) -> Child:
        """Starts a process on the port and the data; it answers once it has recovered what a crash left."""
        _clear_stale_pid_file(self._data)
        settings = SETTINGS | ({} if self._durable else HASTY_SETTINGS) | {"port": str(self._port)}
        self.child = Child(
            Command(
                "PostgreSQL",
                [self._binary, "-D", self._data, *[f"--{name}={value}" for name, value in settings.items()]],
                log=self._log,
                account=self._account,
                cwd=self._data,
                stop_signal=signal.SIGINT,  # "fast": roll back what is open, then end
                keep=self._keep,
            )
        )
        return self.child

    def answers(self) -> bool:
        """Whether the database takes connections now; it is created where it is missing."""
        try:
            with psycopg.connect(
                host=LOOPBACK,
                port=self._port,
                user=NAME,
                password=self._password,
                dbname="postgres",
                autocommit=True,
                connect_timeout=5,
            ) as connection:
                known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME]).fetchone()
                if not known:
                    connection.execute(f"CREATE DATABASE {NAME}")
                return True
        except psycopg.OperationalError:
            return False

    def _initialise(self, folder: Path) -> None:
        """Makes the data under another name first: an interrupted initdb is thrown away by the next start."""
        fresh, secret = folder / "data.new", folder / "initdb.password"
        shutil.rmtree(fresh, ignore_errors=True)
        write_private(secret, self._password, self._account)
        initdb = Child(
            Command(
                "initdb",
                [
                    self._binary.with_name("initdb"),
                    f"--pgdata={fresh}",
                    f"--username={NAME}",
                    f"--pwfile={secret}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                    "--no-instructions",
                    *([] if self._durable else ["--no-sync"]),
                ],
                log=self._log,
                account=self._account,
                cwd=folder,
                keep=self._keep,
            )
        )
        code = initdb.wait(START_SECONDS)
        initdb.stop()
        secret.unlink()
        if code != 0:
            raise initdb.failure(f"initdb ended with exit code {code}")
        fresh.rename(self._data)

    def _start(self) -> None:
        """Starts on a free port; another one is tried when somebody was quicker to take it."""
        for attempt in range(1, START_TRIES + 1):
            self._port = free_port()
            try:
                self.launch().wait_until(self.answers, START_SECONDS)
                return
            except ChildFailed as failure:
                if attempt == START_TRIES or "could not bind" not in str(failure):
                    raise


def _clear_stale_pid_file(data: Path) -> None:
    """PostgreSQL trusts a left-over postmaster.pid if any process of its user has that id now; we look which one.

    Raises when it is a live server on this very folder, started by somebody else.
    """
    pid_file = data / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError, ValueError):
        pid = int(pid_file.read_text().split("\n", 1)[0])
        if str(data) in _command_line(pid):
            raise OSError(f"Process {pid} is a PostgreSQL that already serves {data}; stop it first.")
        pid_file.unlink()


def _command_line(pid: int) -> str:
    """The command line of a live process; empty when there is none."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return ""
    shown = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout
