"""Every error a caller can meet, each with a stable code, an HTTP status and a title.

    MicrolithError                     INTERNAL               500
    ├── InvalidInput                   VALIDATION_ERROR       422
    │   ├── UnknownLabels              UNKNOWN_LABELS         422
    │   ├── DatasetInvalid             DATASET_INVALID        422
    │   ├── NoMatchingLayers           NO_MATCHING_LAYERS     422
    │   ├── NotEnoughSamples           NOT_ENOUGH_SAMPLES     422
    │   ├── NotEnoughTexts             NOT_ENOUGH_TEXTS       422
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

A request meets them as `application/problem+json`; a job carries code, message and hint in its `error`. The docstring
of a class gives its cause and, after an empty line, its remedy. docs/reference/errors.md shows both.
"""

from __future__ import annotations

from typing import ClassVar


class MicrolithError(Exception):
    """A fault of the server. The other kinds of error follow below. `detail` says what was wrong, `hint` what to do
    next.

    Report it with its `request_id` or the job's id. The log has the details.
    """

    code: ClassVar[str] = "INTERNAL"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong on the server"
    retry_after: ClassVar[int | None] = None
    """Seconds after which the same request may succeed."""

    def __init__(self, detail: str, *, hint: str | None = None, pointer: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint
        self.pointer = pointer
        """JSON Pointer to the part of the request at fault, e.g. `/concerns/0`."""


class InvalidInput(MicrolithError):
    """Something in the request is unknown, contradictory or out of range. `errors` point to the places.

    Change what `detail` and `hint` name. `GET /v1/methods` says what is allowed.
    """

    code, status, title = "VALIDATION_ERROR", 422, "The request is invalid"


class UnknownLabels(InvalidInput):
    """`concerns` names a class that the model does not have, or the dataset has labels that the model does not have.

    Use label names or ids from `GET /v1/models/REF`. If the data uses other names, rename its labels or name another
    column.
    """

    code, title = "UNKNOWN_LABELS", "The model has no such label"


class DatasetInvalid(InvalidInput):
    """A file cannot be read, a split or column is missing, or rows have no text or label.

    Name columns and splits in the dataset object. Data must be CSV with a header line, JSON Lines or Parquet, in UTF-8.
    """

    code, title = "DATASET_INVALID", "The dataset cannot be used"


class NoMatchingLayers(InvalidInput):
    """`layers` selects nothing to prune, or nothing that belongs to the structure.

    Patterns are substrings of the names that `detail` lists. Leave out `layers` to prune the feed-forward layers.
    """

    code, title = "NO_MATCHING_LAYERS", "The layer patterns match nothing"


class NotEnoughSamples(InvalidInput):
    """A concern, or all others together, has fewer examples in the sampled split than `sampling.per_concern`.

    Lower `sampling.per_concern`, sample another split, or leave the class out of `concerns`.
    """

    code, title = "NOT_ENOUGH_SAMPLES", "A class has too few examples"


class NotEnoughTexts(InvalidInput):
    """Recovery `distil` has too few examples to learn from.

    Name a larger split in `distil.texts`, add data, or use another recovery.
    """

    code, title = "NOT_ENOUGH_TEXTS", "There are too few examples to learn from"


class UnsupportedModel(InvalidInput):
    """The model is not a sequence classifier or ViT, has no tokenizer, has none of the units that the structure
    removes, or gives answers that are not finite.

    Structure `weights` works on every linear layer. The page on limits in the documentation says what is supported.
    """

    code, title = "UNSUPPORTED_MODEL", "This model cannot be decomposed"


class UnsafeModel(InvalidInput):
    """The model names code of its own (`auto_map`), or its weights are pickles.

    Use an architecture that is part of transformers, and save the model with `save_pretrained` as safetensors.
    """

    code, title = "UNSAFE_MODEL", "This model contains code of its own"


class ResourceLimit(InvalidInput):
    """A file that you uploaded or named exceeds a limit: of memory, time, rows, names, tensors or bytes.

    `detail` says which limit. Make the file smaller: fewer columns, smaller row groups, shorter texts.
    """

    code, title = "RESOURCE_LIMIT", "The file exceeds a limit"


class IdempotencyMismatch(InvalidInput):
    """An `Idempotency-Key` was sent again with another body.

    Use a new key for a new request. To get the first answer again, send exactly the same body.
    """

    code, title = "IDEMPOTENCY_MISMATCH", "The idempotency key was used for another request"


class NotFound(MicrolithError):
    """No job, module, artifact, model or dataset of yours has this id, or it was deleted.

    Look at the list of its kind. You cannot see what belongs to another caller.
    """

    code, status, title = "NOT_FOUND", 404, "Not found"


class Conflict(MicrolithError):
    """The state does not allow the action: you cannot delete a running job or cancel a finished one.

    Check the state first. `detail` names the states that allow the action.
    """

    code, status, title = "CONFLICT", 409, "The state does not allow this"


class IdempotencyInFlight(Conflict):
    """The first request with this `Idempotency-Key` has no answer yet.

    Wait a moment and send it again. The Python client does so by itself.
    """

    code, title = "IDEMPOTENCY_IN_FLIGHT", "The same request is still being handled"


class Unauthenticated(MicrolithError):
    """The bearer key is missing or wrong. Or the server has no key and was called by another name than localhost.

    Send `Authorization: Bearer KEY`. The client and the command line read `MICROLITH_API_KEY`.
    """

    code, status, title = "UNAUTHENTICATED", 401, "A valid key is needed"


class ForeignPage(MicrolithError):
    """A browser sent a form or a script's request from a page of another site. Such a page may not change anything
    here.

    Send it from the server's own pages, or from a program with `Authorization: Bearer KEY`.
    """

    code, status, title = "FOREIGN_PAGE", 403, "Another site sent this"


class PayloadTooLarge(MicrolithError):
    """A body is larger than `MICROLITH_MAX_BODY_BYTES`, or an uploaded file is larger than
    `MICROLITH_MAX_UPLOAD_BYTES`.

    Send less, upload files instead of inlining them, or ask the operator to raise the limit.
    """

    code, status, title = "PAYLOAD_TOO_LARGE", 413, "The request body is too large"


class RateLimited(MicrolithError):
    """Many wrong keys came at once, so the server refused this one without checking it.

    Send the right key, which never has to wait.
    """

    code, status, title = "RATE_LIMITED", 429, "Too many wrong keys"
    retry_after = 2


class SourceUnavailable(MicrolithError):
    """A `hub:` name does not exist, you may not read it, or the hub cannot be reached.

    Check the name and revision. On a closed network, upload the model or data instead.
    """

    code, status, title = "SOURCE_UNAVAILABLE", 422, "A model or dataset could not be downloaded"


class Unavailable(MicrolithError):
    """The database, the broker or the object store does not answer.

    Send the request again after `Retry-After` seconds. `GET /readyz` says which part does not answer.
    """

    code, status, title = "SERVICE_UNAVAILABLE", 503, "A server that this one needs does not answer"
    retry_after = 2


class Overloaded(MicrolithError):
    """More requests came at once than the server can answer soon. The server has not begun this one.

    Send it again after `Retry-After` seconds, and send fewer at a time. The Python client sends it again by itself.
    """

    code, status, title = "OVERLOADED", 503, "Too many requests at once"
    retry_after = 1


class SchemaMismatch(MicrolithError):
    """The database is of an older or a newer release than the program. A worker takes no jobs from it.

    Install the newest release everywhere, then run its `microlith-server migrate`.
    """

    code, status, title = "SCHEMA_MISMATCH", 503, "The database is of another release"


class ArtifactDamaged(MicrolithError):
    """The stored bytes do not match the artifact's digest.

    `POST /v1/jobs/{id}/repair` makes damaged and missing files again, under the same ids.
    """

    code, title = "ARTIFACT_DAMAGED", "The stored file is damaged"


class StorageUnavailable(MicrolithError):
    """When a file had to be stored, the store did not answer for more than a minute, or the disk was full or read-only.

    Repair the store or free some space. Then send the request again, or retry the job, which continues with the
    remaining modules.
    """

    code, status, title = "STORAGE_UNAVAILABLE", 503, "Files cannot be stored"
    retry_after = 10


class OutOfMemory(MicrolithError):
    """A single input does not fit in memory beside the model.

    Use a worker with more memory, shorter inputs, or `MICROLITH_DEVICE=cpu`. Then retry.
    """

    code, title = "OUT_OF_MEMORY", "The worker ran out of memory"


class DeadlineExceeded(MicrolithError):
    """`deadline_seconds` passed before the job was finished.

    Retry it (finished modules are kept), give it more time, or request fewer concerns or a `limit`.
    """

    code, status, title = "DEADLINE_EXCEEDED", 504, "The job did not finish in time"


class WorkerLost(MicrolithError):
    """`MICROLITH_MAX_ATTEMPTS` workers died or went silent while they had the job, most often because memory ran out.

    Look at the worker's log and the machine's memory, then retry. Finished modules are kept.
    """

    code, title = "WORKER_LOST", "Every worker that tried this job was lost"


class VerificationFailed(MicrolithError):
    """A finished artifact, opened again in a clean process, gave other answers than the module in memory.

    The wrong file was not published. Retry. If it happens again, report it with the job's spec.
    """

    code, title = "VERIFICATION_FAILED", "A module changed when it was opened again"


def of_code(code: str) -> type[MicrolithError]:
    """The kind of error that has this code."""
    kinds = [MicrolithError]
    for kind in kinds:
        if kind.code == code:
            return kind
        kinds += kind.__subclasses__()
    raise LookupError(code)
