"""Everything that can go wrong for a client. Each error has a message that says what to do.

MicrolithClientError
├── Unreachable              nobody answered, after every retry
│   └── UnexpectedAnswer     somebody answered, but not as Microlith does
├── ProblemError             the server refused, and says why
│   ├── UnauthenticatedProblem   401
│   ├── ForbiddenProblem         403
│   ├── NotFoundProblem          404
│   ├── ConflictProblem          409
│   ├── InvalidInputProblem      400, 413, 422
│   ├── RateLimitedProblem       429
│   └── ServerProblem            500 and above
├── DigestMismatch           bytes arrived that are not the artifact's
├── UnsafeArchive            an archive names files outside its own folder
├── TargetOccupied           something else is where a download should go
├── NotUploadable            a file or folder that the server could not use
├── HubRefused               a module could not be put on the Hugging Face Hub
├── NoSuchLayout             the module was not exported in this layout
├── NoSuchModule             the job has none, or several, of this label and ratio
├── MissingExtra             a package that is not installed is needed for this
├── InvalidMask              a file is no mask, or a damaged one
├── WrongBase                a mask was made for another base
├── NotABase                 what a mask should be applied to is no model
├── InvalidCombination       a folder is no recomposed classifier, or a damaged one
└── JobFailed                a job that was waited for failed, was cancelled or expired
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from microlith.contract import ErrorDetail, Job, Module, Problem


class MicrolithClientError(Exception):
    """The base class of all errors of the client."""


class Unreachable(MicrolithClientError):
    """No answer from `url`: no connection, or the connection broke, also in every retry."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"No answer from {url}: {reason}.\n"
            "Is the server running (`make serve`), and is the URL right (--url or MICROLITH_URL)?"
        )
        self.url = url
        self.reason = reason


class UnexpectedAnswer(Unreachable):
    """An answer that does not follow the contract. Most often another service is at that address."""

    def __init__(self, url: str, reason: str) -> None:
        MicrolithClientError.__init__(
            self,
            f"{url} answered, but not as a Microlith server does: {reason}.\n"
            "Is the URL right (--url or MICROLITH_URL), and is the server as new as this client?",
        )
        self.url = url
        self.reason = reason


class ProblemError(MicrolithClientError):
    """The server refused the request. `code` is stable and meant for programs; the message is meant for people."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(explain(problem))
        self.problem = problem

    @property
    def code(self) -> str:
        return self.problem.code

    @property
    def status(self) -> int:
        return self.problem.status

    @property
    def title(self) -> str:
        return self.problem.title

    @property
    def detail(self) -> str:
        return self.problem.detail

    @property
    def hint(self) -> str | None:
        return self.problem.hint

    @property
    def errors(self) -> list[ErrorDetail]:
        return self.problem.errors or []

    @property
    def request_id(self) -> str | None:
        """The id to quote when you ask the server's operator."""
        return self.problem.request_id


class UnauthenticatedProblem(ProblemError):
    """401: no key, or a wrong one."""


class ForbiddenProblem(ProblemError):
    """403: this is not allowed."""


class NotFoundProblem(ProblemError):
    """404: it does not exist, or it belongs to somebody else."""


class ConflictProblem(ProblemError):
    """409: the current state does not allow it."""


class InvalidInputProblem(ProblemError):
    """400, 413, 422: change the request. `errors` points to the places."""


class RateLimitedProblem(ProblemError):
    """429: too many requests, even after every retry."""


class ServerProblem(ProblemError):
    """500 and above: the fault is the server's."""


_BY_STATUS: dict[int, type[ProblemError]] = {
    400: InvalidInputProblem,
    401: UnauthenticatedProblem,
    403: ForbiddenProblem,
    404: NotFoundProblem,
    409: ConflictProblem,
    413: InvalidInputProblem,
    422: InvalidInputProblem,
    429: RateLimitedProblem,
}


def problem_error(problem: Problem) -> ProblemError:
    """The problem as the exception of its status."""
    fallback = ServerProblem if problem.status >= 500 else ProblemError
    return _BY_STATUS.get(problem.status, fallback)(problem)


def explain(problem: Problem) -> str:
    """A problem for people: what is wrong, where, what to do, and the code and request to quote."""
    lines = [f"{problem.title}: {problem.detail}"]
    lines += [line for fault in problem.errors or [] if (line := _describe_fault(fault, problem.detail))]
    if problem.hint:
        lines.append(f"Hint: {problem.hint}")
    request = f", request {problem.request_id}" if problem.request_id else ""
    return "\n".join([*lines, f"[{problem.status} {problem.code}{request}]"])


def _describe_fault(fault: ErrorDetail, problem_detail: str) -> str:
    """One fault of the input, as far as the problem's own detail does not say it already."""
    pointer = fault.pointer or "(the body)"
    if fault.detail not in problem_detail:
        return f"  {pointer}: {fault.detail}"
    return "" if pointer in problem_detail else f"  at {pointer}"


class DigestMismatch(MicrolithClientError):
    """The bytes at `path` had the wrong sha256. The file has been removed."""

    def __init__(self, path: Path, expected: str, actual: str) -> None:
        super().__init__(
            f"{path.name}: the digest of the bytes is wrong, so the file was removed.\n"
            f"  expected sha256 {expected}\n  received sha256 {actual}\n"
            "Download it again; if it happens twice, the stored file or something on the way is damaged."
        )
        self.path = path
        self.expected = expected
        self.actual = actual


class UnsafeArchive(MicrolithClientError):
    """The archive was not unpacked: one of its entries could be written outside the folder, or is no plain file."""


class TargetOccupied(MicrolithClientError):
    """A download would overwrite something at `path`."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} exists and is something else than this download. Choose another folder, or remove it."
        )
        self.path = path


class NotUploadable(MicrolithClientError):
    """There is nothing at the path, or nothing that the server could use. Nothing was sent."""


class NoSuchLayout(MicrolithClientError):
    """The module was not exported in this layout."""

    def __init__(self, module: Module, layout: str) -> None:
        layouts = ", ".join(artifact.layout for artifact in module.artifacts) or "no files yet"
        super().__init__(f"Module {module.id} ({module.concern.label}) has no layout {layout!r}; it has: {layouts}.")


class NoSuchModule(MicrolithClientError, LookupError):
    """Not exactly one of the job's modules has this label (and ratio)."""

    def __init__(self, label: str, ratio: float | None, there: Sequence[Module]) -> None:
        ratios = [f"{module.ratio.requested:g}" for module in there if module.concern.label == label]
        labels = ", ".join(dict.fromkeys(module.concern.label for module in there)) or "not ready yet"
        at = "" if ratio is None else f" at ratio {ratio:g}"
        super().__init__(
            f'{label} is there at several ratios: say which, as in modules["{label}", {ratios[0]}]; '
            f"known are {', '.join(ratios)}."
            if ratio is None and ratios
            else f"There is no module of {label!r}{at}. Modules: {labels}."
        )


class MissingExtra(MicrolithClientError, ImportError):
    """A package that this call needs is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f'This needs {package}: pip install "microlith[{extra}]".')


class HubRefused(MicrolithClientError):
    """The Hugging Face Hub, or its client, did not take a module for `repo`; `reason` says why."""

    def __init__(self, repo: str, reason: str, hint: str) -> None:
        super().__init__(f"Nothing was pushed to {repo}: {reason.strip().rstrip('.')}." + (f"\n{hint}" if hint else ""))
        self.repo = repo
        self.reason = reason


class InvalidMask(MicrolithClientError):
    """`name` is not a mask that can be applied; `reason` says why."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"{name} is not a mask that can be applied: {reason}.\n"
            "Download it again: `microlith modules download MODULE FOLDER --layout mask`."
        )
        self.name = name
        self.reason = reason


class WrongBase(MicrolithClientError):
    """The mask was made for other tensors than this base's. It was not applied.

    `base` says which model that was, for people; `wanted` and `actual` are sha256 digests of all tensors.
    """

    def __init__(self, name: str, base: str, wanted: str, actual: str) -> None:
        super().__init__(
            f"{name} was made for another base: {base}.\n"
            f"  expected sha256 {wanted}\n  this base's     {actual}\n"
            "Name that model's folder, or open it with dtype=torch.float32 and unchanged weights."
        )
        self.wanted = wanted
        self.actual = actual


class NotABase(MicrolithClientError):
    """The given base is not a model, or transformers cannot open it."""


class InvalidCombination(MicrolithClientError):
    """`name` is not a recomposed classifier that can be opened; `reason` says why."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} is not a recomposed classifier that can be opened: {reason}.\nDownload it again.")
        self.name = name
        self.reason = reason


class JobFailed(MicrolithClientError):
    """The job ended without success. `job` has the details."""

    def __init__(self, job: Job) -> None:
        ended = {"expired": "has expired", "cancelled": "was cancelled"}.get(job.state, job.state)
        lines = [f"Job {job.id} {ended}."]
        if job.error:
            lines.append(f"{job.error.code}: {job.error.message}")
            lines += [f"Hint: {job.error.hint}"] if job.error.hint else []
        lines.append(f"Modules finished before that: {job.concerns.succeeded} of {job.concerns.total} concerns.")
        super().__init__("\n".join(lines))
        self.job = job
