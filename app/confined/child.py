"""`python -m app.confined.child MODULE`: what the confined process runs.

It imports the module, which may need the disk, gives up everything else, and only then looks at what it is asked: the
module's `answer(question)`, both of them JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import sysconfig
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.confined.landlock import fence
from app.confined.limits import PROGRAM, SMALLER, Limits
from app.confined.seccomp import refuse_the_outside
from app.domain.errors import MicrolithError, ResourceLimit

SYSTEM = ("/usr", "/lib", "/lib64", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu", "/dev/urandom")


def main() -> None:
    """Answer one question on standard input; errors of ours are answers too."""
    module = importlib.import_module(sys.argv[1])
    asked: dict[str, Any] = json.load(sys.stdin)
    _go_first()
    os.nice(10)
    limits = Limits(**asked["limits"])
    limits.impose()
    writes = [Path(path) for path in asked["writes"]]
    fence([*_libraries(), *(Path(path) for path in asked["reads"])], [*writes, Path("/dev/null")])
    refuse_the_outside()
    json.dump(_answer(module, asked["question"], limits), sys.stdout)


def _answer(module: Any, question: Any, limits: Limits) -> dict[str, Any]:
    try:
        return {"answer": module.answer(question)}
    except MemoryError:
        memory = f"{limits.memory_bytes // 1_000_000:,} MB"
        error: MicrolithError = ResourceLimit(f"Reading it takes more memory than it may ({memory}).", hint=SMALLER)
    except MicrolithError as known:
        error = known
    return {"error": {"code": error.code, "detail": error.detail, "hint": error.hint, "pointer": error.pointer}}


def _libraries() -> list[Path]:
    """What Python may yet import."""
    installed = {sys.prefix, sys.base_prefix, sysconfig.get_path("purelib"), sysconfig.get_path("stdlib")}
    ours = [PROGRAM / name for name in ("app", "microlith", "worker")]
    return [*map(Path, (*installed, *SYSTEM)), *ours]


def _go_first() -> None:
    """When memory runs out on the machine, this process is the one to end."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


if __name__ == "__main__":
    main()
