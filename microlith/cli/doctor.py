"""`microlith doctor`: checks everything between this shell and a finished job, and says what to do."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

import typer
from rich.text import Text

import microlith
from microlith.cli.outcome import REFUSED, UNREACHABLE
from microlith.cli.session import CliSession, out
from microlith.client import Client, Retry
from microlith.display import tables
from microlith.errors import ForbiddenProblem, MicrolithClientError, ProblemError, UnauthenticatedProblem, Unreachable

Verdict = Literal["ok", "note", "wrong"]
STYLES: dict[Verdict, str] = {"ok": "green", "note": "yellow", "wrong": "bold red"}
PATIENCE = 5.0
OPENERS = {"torch": "masks", "transformers": "masks", "onnxruntime": "combined", "pandas": "pandas"}
"""What opens things that come out of the service, and the extra that brings it."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `advice` is what to do about it."""

    check: str
    state: Verdict
    found: str
    advice: str = ""


def doctor(session: CliSession) -> None:
    """Check the server, the key, the versions and what is installed here, and say what to do about each fault.

    The exit code is 0 if you can submit a job now, 4 if no server answered, and 3 if the server would refuse.
    """
    findings = list(examine(session))
    if session.as_json:
        session.dump([asdict(finding) for finding in findings])
    else:
        table = tables.plain("", "check", "found", "what to do")
        for finding in findings:
            verdict = Text(finding.state, STYLES[finding.state])
            tables.row(table, verdict, finding.check, finding.found, finding.advice)
        out().print(table)
    wrong = {finding.check for finding in findings if finding.state == "wrong"}
    if wrong:
        raise typer.Exit(UNREACHABLE if "server" in wrong else REFUSED)


def examine(session: CliSession) -> Iterator[Finding]:
    """What was found, in the order in which one thing needs another."""
    yield Finding("client", "ok", f"microlith {microlith.__version__}, Python {platform.python_version()}")
    with session.connect(timeout=PATIENCE, retry=Retry(attempts=1)) as client:
        server = _check_server(client, session)
        yield server
        if server.state == "ok":
            yield _compare_versions(client)
            yield _check_readiness(client)
            yield _check_key(client)
    yield from _look_for_openers()


def _check_server(client: Client, session: CliSession) -> Finding:
    named_by = "--url" if session.url else "MICROLITH_URL" if os.environ.get("MICROLITH_URL") else "the default"
    try:
        client.health()
    except Unreachable as error:
        advice = "Start it (`make serve`), or choose another server with --url or MICROLITH_URL."
        return Finding("server", "wrong", f"{client.base_url} ({named_by}): {error.reason}", advice)
    except ProblemError as error:
        return Finding("server", "wrong", f"{client.base_url} ({named_by}): {error.title}", "Look at its log.")
    return Finding("server", "ok", f"{client.base_url} ({named_by})")


def _compare_versions(client: Client) -> Finding:
    server = client.health().get("version", "unknown")
    if server.split(".")[:2] == microlith.__version__.split(".")[:2]:
        return Finding("version", "ok", f"the server is {server}")
    advice = f'Install the same version here: pip install "microlith=={server}".'
    return Finding("version", "note", f"the server is {server}, this client {microlith.__version__}", advice)


def _check_readiness(client: Client) -> Finding:
    parts = client.readiness()
    away = {name: state for name, state in parts.items() if state != "ok"}
    if not away:
        return Finding("ready", "ok", ", ".join(parts))
    faults = "; ".join(f"{name}: {state}" for name, state in away.items())
    return Finding(
        "ready", "wrong", faults, "Ask whoever runs the server to start these again. Jobs are kept meanwhile."
    )


def _check_key(client: Client) -> Finding:
    try:
        next(client.jobs(page=1), None)
    except (UnauthenticatedProblem, ForbiddenProblem) as error:
        return Finding("key", "wrong", error.detail, "Set MICROLITH_API_KEY, or pass --key.")
    except MicrolithClientError as error:
        return Finding("key", "wrong", str(error).splitlines()[0], "Look at the server's log.")
    return Finding("key", "ok", "the server accepts it" if client.has_key else "no key is needed")


def _look_for_openers() -> Iterator[Finding]:
    for package, extra in OPENERS.items():
        if importlib.util.find_spec(package):
            yield Finding(package, "ok", "installed")
        else:
            advice = f'To open results on this machine: pip install "microlith[{extra}]".'
            yield Finding(package, "note", f"not installed in {sys.prefix}", advice)
