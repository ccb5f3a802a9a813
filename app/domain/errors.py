"""Every error a caller can meet, each with a stable code, an HTTP status and a title.

    MicrolithError                     INTERNAL               500
    ├── InvalidInput                   VALIDATION_ERROR       422
    │   ├── UnknownLabels              UNKNOWN_LABELS         422
    │   ├── DatasetInvalid             DATASET_INVALID        422
    │   ├── NoMatchingLayers           NO_MATCHING_LAYERS     422
    │   ├── NotEnoughSamples           NOT_ENOUGH_SAMPLES     422
    │   ├── UnsupportedModel           UNSUPPORTED_MODEL      422
    │   ├── UnsafeModel                UNSAFE_MODEL           422
    │   ├── ResourceLimit              RESOURCE_LIMIT         422
    │   └── IdempotencyMismatch        IDEMPOTENCY_MISMATCH   422
    ├── NotFound                       NOT_FOUND              404
    ├── Conflict                       CONFLICT               409
    │   └── IdempotencyInFlight        IDEMPOTENCY_IN_FLIGHT  409
    ├── Unauthenticated                UNAUTHENTICATED        401
    ├── ForeignPage                    FOREIGN_PAGE           403
    ├── PayloadTooLarge                PAYLOAD_TOO_LARGE      413
    ├── RateLimited                    RATE_LIMITED           429
    ├── SourceUnavailable              SOURCE_UNAVAILABLE     422
    ├── Unavailable                    SERVICE_UNAVAILABLE    503
    ├── Overloaded                     OVERLOADED             503
    ├── SchemaMismatch                 SCHEMA_MISMATCH        503
    ├── ArtifactDamaged                ARTIFACT_DAMAGED       500
    ├── StorageUnavailable             STORAGE_UNAVAILABLE    503
    ├── OutOfMemory                    OUT_OF_MEMORY          500
    ├── DeadlineExceeded               DEADLINE_EXCEEDED      504
    ├── WorkerLost                     WORKER_LOST            500
    └── VerificationFailed             VERIFICATION_FAILED    500

A request meets them as `application/problem+json`; a job carries code, message and hint in its `error`.
A class tells its cause, and after an empty line its remedy: docs/reference/errors.md is made of them.
"""

from __future__ import annotations

from typing import ClassVar


class MicrolithError(Exception):
    """A fault of ours, unless it is one of the kinds below; `detail` says what was wrong, `hint` what to do next.

    Report it with its `request_id` or the job's id: the log has the rest.
    """

    code: ClassVar[str] = "INTERNAL"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something broke on our side"
    retry_after: ClassVar[int | None] = None
    """Seconds after which the same request may fare better."""

    def __init__(self, detail: str, *, hint: str | None = None, pointer: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint
        self.pointer = pointer
        """JSON Pointer to the part of the request at fault, e.g. `/concerns/0`."""


class InvalidInput(MicrolithError):
    """Something of the request is unknown, contradictory or out of its bounds; `errors` point to the places.

    Change what `detail` and `hint` name. `GET /v1/methods` tells what is allowed.
    """

    code, status, title = "VALIDATION_ERROR", 422, "The request does not make sense"


class UnknownLabels(InvalidInput):
    """`concerns` names a class that the model does not have, or the dataset has labels that are none of the model's.

    Take label names or ids of `GET /v1/models/REF`; where the data calls its labels otherwise, rename them or name
    another column.
    """

    code, title = "UNKNOWN_LABELS", "The model has no such label"


class DatasetInvalid(InvalidInput):
    """A file cannot be read, a split or column is missing, or rows have no text or label.

    Name columns and splits in the dataset object; data is CSV with a header line, JSON Lines or Parquet, in UTF-8.
    """

    code, title = "DATASET_INVALID", "The dataset cannot be used as it is"


class NoMatchingLayers(InvalidInput):
    """`layers` leaves nothing to prune, or nothing that the structure is about.

    Patterns are substrings of the names that `detail` lists; leave `layers` out for the feed-forward layers.
    """

    code, title = "NO_MATCHING_LAYERS", "The layer patterns match nothing"


class NotEnoughSamples(InvalidInput):
    """A concern, or all others together, has fewer examples in the sampled split than `sampling.per_concern`.

    Lower `sampling.per_concern`, sample another split, or leave the class out of `concerns`.
    """

    code, title = "NOT_ENOUGH_SAMPLES", "A class has too few examples"


class UnsupportedModel(InvalidInput):
    """It is no sequence classifier or ViT, lacks a tokenizer, has an architecture without the units asked for, or
    answers with numbers that are not finite.

    Structure `weights` works on every linear layer; the documentation's limits say what is supported.
    """

    code, title = "UNSUPPORTED_MODEL", "This model cannot be decomposed"


class UnsafeModel(InvalidInput):
    """The model names code of its own (`auto_map`), or its weights are pickles.

    Save it with `save_pretrained` as safetensors, of an architecture that is part of transformers.
    """

    code, title = "UNSAFE_MODEL", "This model would run code of its own"


class ResourceLimit(InvalidInput):
    """A file that you brought takes more than it may: memory, time, rows, names, tensors or bytes.

    `detail` says which bound it passed. Make the file smaller: fewer columns, smaller row groups, shorter texts.
    """

    code, title = "RESOURCE_LIMIT", "The file asks for too much"


class IdempotencyMismatch(InvalidInput):
    """An `Idempotency-Key` came again with another body.

    Take a new key for a new request; repeat the body to the letter to get the first answer again.
    """

    code, title = "IDEMPOTENCY_MISMATCH", "The idempotency key was used for another request"


class NotFound(MicrolithError):
    """No job, module, artifact, model or dataset of yours has this id, or it was deleted.

    Look at the list of its kind; what belongs to another caller is not there for you.
    """

    code, status, title = "NOT_FOUND", 404, "There is no such thing"


class Conflict(MicrolithError):
    """The action does not fit the state: a running job cannot be deleted, a finished one not cancelled.

    Ask for the state first; `detail` names the states in which the action is allowed.
    """

    code, status, title = "CONFLICT", 409, "The state does not allow this"


class IdempotencyInFlight(Conflict):
    """The first request with this `Idempotency-Key` has no answer yet.

    Wait a moment and send it again; the Python client does so by itself.
    """

    code, title = "IDEMPOTENCY_IN_FLIGHT", "The same request is still being handled"


class Unauthenticated(MicrolithError):
    """The bearer key is missing or wrong; or the server has none and was called by another name than localhost.

    Send `Authorization: Bearer KEY`; the client and the command line read `MICROLITH_API_KEY`.
    """

    code, status, title = "UNAUTHENTICATED", 401, "A valid key is needed"


class ForeignPage(MicrolithError):
    """A browser sent a form or a script's request from a page of another site, which may change nothing here.

    Send it from the server's own pages, or from a program with `Authorization: Bearer KEY`.
    """

    code, status, title = "FOREIGN_PAGE", 403, "Another site sent this"


class PayloadTooLarge(MicrolithError):
    """A body is larger than `MICROLITH_MAX_BODY_BYTES`, or an uploaded file than `MICROLITH_MAX_UPLOAD_BYTES`.

    Send less, upload files instead of inlining them, or have the operator raise the bound.
    """

    code, status, title = "PAYLOAD_TOO_LARGE", 413, "The request body is too large"


class RateLimited(MicrolithError):
    """Many wrong keys came at once; this one was not waited for.

    Send the right key, which is never kept waiting.
    """

    code, status, title = "RATE_LIMITED", 429, "Too many wrong keys"
    retry_after = 2


class SourceUnavailable(MicrolithError):
    """A `hub:` name does not exist, is not yours to read, or the hub cannot be reached.

    Check the name and revision; on a closed network upload the model or data instead.
    """

    code, status, title = "SOURCE_UNAVAILABLE", 422, "A model or dataset could not be fetched"


class Unavailable(MicrolithError):
    """The database, the broker or the object store does not answer.

    Send the request again after `Retry-After` seconds; `GET /readyz` says which part is away.
    """

    code, status, title = "SERVICE_UNAVAILABLE", 503, "A server that this one needs is away"
    retry_after = 2


class Overloaded(MicrolithError):
    """More requests came at once than the server can answer soon; this one was not begun.

    Send it again after `Retry-After` seconds, fewer at a time; the Python client does so by itself.
    """

    code, status, title = "OVERLOADED", 503, "Too many requests at once"
    retry_after = 1


class SchemaMismatch(MicrolithError):
    """The database is of an older or a newer release than the program: a worker takes no jobs from it.

    Run `microlith-server migrate` of the newest release, and that release everywhere.
    """

    code, status, title = "SCHEMA_MISMATCH", 503, "The database is of another release"


class ArtifactDamaged(MicrolithError):
    """The stored bytes are not those whose digest the artifact has.

    `POST /v1/jobs/{id}/repair` makes damaged and missing files anew, under the same ids.
    """

    code, title = "ARTIFACT_DAMAGED", "The stored file is not what it was"


class StorageUnavailable(MicrolithError):
    """The store was away for more than a minute, or a disk was full or not to be written, when a file had to be kept.

    Mend the store or make room, then send the request again, or retry the job: it goes on with the modules that are
    left.
    """

    code, status, title = "STORAGE_UNAVAILABLE", 503, "There is no room for files"
    retry_after = 10


class OutOfMemory(MicrolithError):
    """Not even a single input fits beside the model.

    Take a worker with more memory, shorter inputs, or `MICROLITH_DEVICE=cpu`; then retry.
    """

    code, title = "OUT_OF_MEMORY", "The worker ran out of memory"


class DeadlineExceeded(MicrolithError):
    """`deadline_seconds` passed before the job was done.

    Retry it with the finished modules kept, give it more time, or ask for fewer concerns or a `limit`.
    """

    code, status, title = "DEADLINE_EXCEEDED", 504, "The job did not finish in time"


class WorkerLost(MicrolithError):
    """As many workers as `MICROLITH_MAX_ATTEMPTS` died or fell silent while they had the job, most often for want of
    memory.

    Look at the worker's log and the machine's memory, then retry: finished modules are kept.
    """

    code, title = "WORKER_LOST", "Every worker that tried this job was lost"


class VerificationFailed(MicrolithError):
    """A finished artifact, opened again in a clean process, did not answer as the module in memory did.

    Nothing wrong was published. Retry; if it happens again, report it with the job's spec.
    """

    code, title = "VERIFICATION_FAILED", "A module did not re-open as it was"


def of_code(code: str) -> type[MicrolithError]:
    """The kind of error that has this code."""
    kinds = [MicrolithError]
    for kind in kinds:
        if kind.code == code:
            return kind
        kinds += kind.__subclasses__()
    raise LookupError(code)
