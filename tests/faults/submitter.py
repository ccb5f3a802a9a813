"""Clients who repeat a request until it is answered, and a server that is killed at a random moment of each:

    submitter.py KILLS SEED    (settings in the environment)

Every request is handled by a process of its own, forked from this one: the real service layer on a real database and
broker, with an idempotency key. It is killed with SIGKILL, at a random moment or exactly between commit and message,
and asked again, until its answer arrives. Printed at the end: how many were killed, and each key with its answer.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import closing

from kombu import pools

from app.domain.errors import IdempotencyInFlight
from app.queue import Queue
from app.services.backend import Backend
from app.services.jobs import Jobs, Submission
from app.settings import Settings
from microlith.contract import JobSpec
from tests.faults.specs import LIGHT

MOST_KILLS = 5
"""Of one key's requests, before they are let live."""


def main(kills: int, seed: int) -> None:
    """Send requests until `kills` of them were killed; then let the last one be answered."""
    settings, spec, dice = Settings(), JobSpec.model_validate(LIGHT), random.Random(seed)
    answers = {f"first-{seed}": _handle(settings, spec, f"first-{seed}", None)}
    pools.reset()  # what is imported and compiled by now is inherited, connections must not be
    killed, lasts = 0, min(_duration(settings, spec, f"timed-{seed}-{n}") for n in range(3))
    while killed < kills:
        key = f"key-{seed}-{len(answers)}"
        for _ in range(min(dice.randint(1, MOST_KILLS), kills - killed)):
            at_gap = dice.random() < 0.25
            process, unread = _ask(settings, spec, key, at_gap=at_gap)
            if not at_gap:
                time.sleep(dice.uniform(0, lasts))
                os.kill(process, signal.SIGKILL)
            killed += os.WIFSIGNALED(os.waitpid(process, 0)[1])
            os.close(unread)
        answers[key] = _answer(settings, spec, key)
    print(json.dumps({"killed": killed, "answers": answers}))


def _duration(settings: Settings, spec: JobSpec, key: str) -> float:
    """Seconds that a request takes when nobody kills it."""
    began = time.monotonic()
    _answer(settings, spec, key)
    return time.monotonic() - began


def _answer(settings: Settings, spec: JobSpec, key: str) -> str:
    """What the client is told in the end: the job's id."""
    process, answers = _ask(settings, spec, key, at_gap=False)
    with os.fdopen(answers) as pipe:
        answer = pipe.read()
    os.waitpid(process, 0)
    if not answer:
        raise RuntimeError(f"no answer to {key}")
    return answer


def _ask(settings: Settings, spec: JobSpec, key: str, *, at_gap: bool) -> tuple[int, int]:
    """A process that handles the request, and where its answer can be read."""
    reading, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        return process, reading
    try:
        os.write(writing, _handle(settings, spec, key, _die if at_gap else None).encode())
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def _handle(settings: Settings, spec: JobSpec, key: str, ring: Callable[..., None] | None) -> str:
    if ring:
        Queue.enqueue = ring  # type: ignore[method-assign]
    with closing(Backend.open(settings)) as backend:
        while True:
            try:
                with backend.database.unit() as unit:
                    return Jobs(unit, "default", backend).submit(Submission(spec, key)).id
            except IdempotencyInFlight:  # PostgreSQL has not noticed yet that the last one died
                time.sleep(0.02)


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
