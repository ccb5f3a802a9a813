"""How a command ends: errors become messages on the error output, and the exit code tells which kind it was."""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from microlith.cli.flags import FLAGS, Flag
from microlith.contract import Job
from microlith.errors import (
    DigestMismatch,
    HubRefused,
    InvalidMask,
    JobFailed,
    MicrolithClientError,
    MissingExtra,
    NoSuchLayout,
    NotABase,
    NotUploadable,
    ProblemError,
    TargetOccupied,
    Unreachable,
    UnsafeArchive,
    WrongBase,
)

DONE, FAILED, USAGE, REFUSED, UNREACHABLE, WRONG_BYTES, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130

EXIT_CODES = {
    DONE: "done",
    FAILED: "the job failed, was cancelled or expired",
    USAGE: "wrong usage, or a local file in the way, missing or of the wrong kind",
    REFUSED: "the server, or the hub, refused and said why",
    UNREACHABLE: "no Microlith server answered",
    WRONG_BYTES: "the digest of a download, or of a mask's base, is wrong",
    INTERRUPTED: "interrupted",
}

CODES_BY_ERROR: dict[type[Exception], int] = {
    JobFailed: FAILED,
    ProblemError: REFUSED,
    HubRefused: REFUSED,
    Unreachable: UNREACHABLE,
    DigestMismatch: WRONG_BYTES,
    UnsafeArchive: WRONG_BYTES,
    InvalidMask: WRONG_BYTES,
    WrongBase: WRONG_BYTES,
    NotABase: USAGE,
    NoSuchLayout: USAGE,
    MissingExtra: USAGE,
    NotUploadable: USAGE,
    TargetOccupied: USAGE,
    OSError: USAGE,
}


class Root(TyperGroup):
    """The outermost command: turns errors into exit codes."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # the reader of a pipe has had enough: typer ends that quietly
            raise
        except (MicrolithClientError, OSError) as error:
            say(error)
            raise typer.Exit(exit_code(error)) from error


def table_of_exit_codes() -> str:
    """For the end of the help."""
    return "\n\n".join(["[bold]Exit codes[/bold]", *(f"{code} {meaning}" for code, meaning in EXIT_CODES.items())])


def exit_code(error: Exception) -> int:
    """Which of the documented codes an error is."""
    return next((code for kind, code in CODES_BY_ERROR.items() if isinstance(error, kind)), FAILED)


def say(error: Exception) -> None:
    """An error's message on the error output, its first line in red."""
    first, *rest = str(error).split("\n")
    if isinstance(error, ProblemError) and (flags := _flags_for(error)):
        rest.insert(-1, f"On the command line: {', '.join(flags)}")
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(Text.assemble((first, "bold red"), *(f"\n{line}" for line in rest)))


def _flags_for(error: ProblemError) -> list[str]:
    """The flags that set what the error points to, or what that is in."""
    dotted_names = [fault.pointer.removeprefix("/").replace("/", ".") for fault in error.errors]
    return list(dict.fromkeys(f"--{flag.name}" for dotted in dotted_names if (flag := _nearest_flag(dotted))))


def _nearest_flag(dotted_name: str) -> Flag | None:
    """A column of a dataset that is being uploaded is named without the dataset."""
    flags = {name: flag for flag in FLAGS for name in (flag.dotted_name, flag.dotted_name.removeprefix("dataset."))}
    fitting = [name for name in flags if f"{dotted_name}.".startswith(f"{name}.")]
    return flags[max(fitting, key=len)] if fitting else None


def settle(job: Job) -> None:
    """End the command as the job ended."""
    if job.state != "succeeded":
        raise JobFailed(job)
