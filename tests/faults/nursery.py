"""Forks workers from a process that has imported everything, so that each is there at once: `nursery.py light|real`.

Each is a Celery worker as `python -m worker` starts it, in a process group of its own. One JSON object per line in
(`env`: its environment, `log`: where its output goes), the id of its process group out. When the input ends, every
group is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")  # as worker.__main__ does

PR_SET_PDEATHSIG = 1


def main(role: str) -> None:
    """Serve orders until there are no more."""
    work = ROLES[role]()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    groups = []
    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _live(json.loads(line), work)
        groups.append(child)
        print(child, flush=True)
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def _live(order: dict[str, Any], work: Callable[[], None]) -> None:
    """The forked process: what the order says, then `work`, then the end."""
    code = 1
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for number in (signal.SIGCHLD, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ.update(order["env"])
        work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _light() -> Callable[[], None]:
    from tests.faults import light

    light.install()
    return _worker()


def _real() -> Callable[[], None]:
    import torch

    torch.set_num_threads(1)  # and no tensor is touched: a fork would inherit the locks of its threads
    return _worker()


def _worker() -> Callable[[], None]:
    import worker.attempt.run
    import worker.tasks  # noqa: F401  what each worker and each job's process would import
    from tests.faults import mischief

    def work() -> None:
        mischief.prepare()
        from worker.__main__ import main as serve  # not sooner: it takes what has been prepared

        serve()

    return work


ROLES = {"light": _light, "real": _real}

if __name__ == "__main__":
    main(sys.argv[1])
