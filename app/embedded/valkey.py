"""A Valkey of our own: append-only file in the data folder, a free loopback port, a random password."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.embedded.binaries import find_valkey
from app.embedded.child import Child, ChildFailed, Command
from app.embedded.child_account import child_account, private_folder, reachable_binary
from app.embedded.passwords import password, write_private
from app.embedded.port import LOOPBACK, START_TRIES, free_port

START_SECONDS = 60.0
CONFIG_NAME = "valkey.conf"
CONFIG = """\
bind {host}
port {port}
requirepass {password}
dir .
appendonly yes
save ""
maxmemory-policy noeviction
"""


class Valkey:
    """The running server. Its password is in a config file of mode 0600, never on a command line."""

    def __init__(self, data_dir: Path, *, keep: Sequence[int] = ()) -> None:
        self._account = child_account()
        self._binary = reachable_binary(find_valkey(), self._account)
        self._password = password(data_dir / "valkey.password")
        self._log = data_dir / "logs" / "valkey.log"
        self._keep = keep
        self._folder = private_folder(data_dir, "valkey", self._account)
        self._start()

    @property
    def url(self) -> str:
        """Where the broker is."""
        return f"redis://:{self._password}@{LOOPBACK}:{self._port}/0"

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self.child.pid

    def stop(self) -> None:
        """Ends the server; what it acknowledged is in its append-only file."""
        self.child.stop()

    def launch(self) -> Child:
        """Starts a process on the port and the data; it answers soon."""
        self.child = Child(
            Command(
                "Valkey",
                [self._binary, self._folder / CONFIG_NAME],
                log=self._log,
                account=self._account,
                cwd=self._folder,
                keep=self._keep,
            )
        )
        return self.child

    def answers(self) -> bool:
        """Whether the server takes commands now."""
        with redis.Redis.from_url(self.url, socket_timeout=5, retry=Retry(NoBackoff(), 0)) as client:
            try:
                return bool(client.ping())
            except redis.AuthenticationError:
                raise
            except (redis.ConnectionError, redis.BusyLoadingError):
                return False

    def _start(self) -> None:
        """Starts on a free port; another one is tried when somebody was quicker to take it."""
        for attempt in range(1, START_TRIES + 1):
            self._port = free_port()
            text = CONFIG.format(host=LOOPBACK, port=self._port, password=self._password)
            write_private(self._folder / CONFIG_NAME, text, self._account)
            try:
                self.launch().wait_until(self.answers, START_SECONDS)
                return
            except ChildFailed as failure:
                if attempt == START_TRIES or "Could not create server TCP" not in str(failure):
                    raise
