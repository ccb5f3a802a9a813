"""How a command ends: errors become messages on the error output, and the exit code tells which kind it was."""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from microlith.contract import Job
from microlith.errors import (
    DigestMismatch,
    InvalidMask,
    JobFailed,
    MicrolithClientError,
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

EXIT_CODES = (
    "[bold]Exit codes[/bold]: 0 done; 1 the job failed, was cancelled or expired; 2 wrong usage, or a local file in "
    "the way; 3 the server refused and says why; 4 no Microlith server answered; 5 a download, or a "
    "mask's base, with the wrong digest; 130 interrupted."
)

_CODES: dict[type[Exception], int] = {
    JobFailed: FAILED,
    ProblemError: REFUSED,
    Unreachable: UNREACHABLE,
    DigestMismatch: WRONG_BYTES,
    UnsafeArchive: WRONG_BYTES,
    InvalidMask: WRONG_BYTES,
    WrongBase: WRONG_BYTES,
    NotABase: USAGE,
    NoSuchLayout: USAGE,
    NotUploadable: USAGE,
    TargetOccupied: USAGE,
    OSError: USAGE,
}
_ANYWHERE = ("--url", "--key")


class Root(TyperGroup):
    """The outermost command: takes its options from anywhere on the line and turns errors into exit codes."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _options_first(args))

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # the reader of a pipe has had enough: typer ends that quietly
            raise
        except (MicrolithClientError, OSError) as error:
            say(error)
            raise typer.Exit(exit_code(error)) from error


def exit_code(error: Exception) -> int:
    """Which of the documented codes an error is."""
    return next((code for kind, code in _CODES.items() if isinstance(error, kind)), FAILED)


def say(error: Exception) -> None:
    """An error's message on the error output, its first line in red."""
    first, *rest = str(error).split("\n")
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(Text.assemble((first, "bold red"), *(f"\n{line}" for line in rest)))


def settle(job: Job) -> None:
    """End the command as the job ended."""
    if job.state != "succeeded":
        raise JobFailed(job)


def _options_first(args: list[str]) -> list[str]:
    """The line with the options that may stand anywhere moved to the front."""
    before, hyphens, after = _split_at_double_hyphen(args)
    front, rest = list[str](), list[str]()
    words = iter(before)
    for word in words:
        if word in _ANYWHERE:
            front += [word, *([value] if (value := next(words, None)) is not None else [])]
        elif word.startswith(tuple(f"{option}=" for option in _ANYWHERE)):
            front.append(word)
        else:
            rest.append(word)
    return [*front, *rest, *hyphens, *after]


def _split_at_double_hyphen(args: list[str]) -> tuple[list[str], list[str], list[str]]:
    end = args.index("--") if "--" in args else len(args)
    return args[:end], args[end : end + 1], args[end + 1 :]
