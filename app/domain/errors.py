"""Every error a caller can meet, each with a stable code, an HTTP status and a title.

    MicrolithError                     INTERNAL               500
    ├── InvalidInput                   VALIDATION_ERROR       422
    │   ├── UnknownLabels              UNKNOWN_LABELS         422
    │   ├── DatasetInvalid             DATASET_INVALID        422
    │   ├── NoMatchingLayers           NO_MATCHING_LAYERS     422
    │   ├── NotEnoughSamples           NOT_ENOUGH_SAMPLES     422
    │   ├── UnsupportedModel           UNSUPPORTED_MODEL      422
    │   ├── UnsafeModel                UNSAFE_MODEL           422
    │   └── IdempotencyMismatch        IDEMPOTENCY_MISMATCH   422
    ├── NotFound                       NOT_FOUND              404
    ├── Conflict                       CONFLICT               409
    │   └── IdempotencyInFlight        IDEMPOTENCY_IN_FLIGHT  409
    ├── Unauthenticated                UNAUTHENTICATED        401
    ├── ForeignPage                    FOREIGN_PAGE           403
    ├── PayloadTooLarge                PAYLOAD_TOO_LARGE      413
    ├── SourceUnavailable              SOURCE_UNAVAILABLE     422
    ├── Unavailable                    SERVICE_UNAVAILABLE    503
    ├── ArtifactDamaged                ARTIFACT_DAMAGED       500
    ├── StorageUnavailable             STORAGE_UNAVAILABLE    500
    ├── OutOfMemory                    OUT_OF_MEMORY          500
    ├── DeadlineExceeded               DEADLINE_EXCEEDED      504
    ├── WorkerLost                     WORKER_LOST            500
    └── VerificationFailed             VERIFICATION_FAILED    500

A request meets them as `application/problem+json`; a job carries code, message and hint in its `error`.
"""

from __future__ import annotations

from typing import ClassVar


class MicrolithError(Exception):
    """Something a caller should know: `detail` says what was wrong and what is allowed, `hint` what to do next."""

    code: ClassVar[str] = "INTERNAL"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something broke on our side"

    def __init__(self, detail: str, *, hint: str | None = None, pointer: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint
        self.pointer = pointer
        """JSON Pointer to the part of the request at fault, e.g. `/concerns/0`."""


class InvalidInput(MicrolithError):
    code, status, title = "VALIDATION_ERROR", 422, "The request does not make sense"


class UnknownLabels(InvalidInput):
    code, title = "UNKNOWN_LABELS", "The model has no such label"


class DatasetInvalid(InvalidInput):
    code, title = "DATASET_INVALID", "The dataset cannot be used as it is"


class NoMatchingLayers(InvalidInput):
    code, title = "NO_MATCHING_LAYERS", "The layer patterns match nothing"


class NotEnoughSamples(InvalidInput):
    code, title = "NOT_ENOUGH_SAMPLES", "A class has too few examples"


class UnsupportedModel(InvalidInput):
    code, title = "UNSUPPORTED_MODEL", "This model cannot be decomposed"


class UnsafeModel(InvalidInput):
    code, title = "UNSAFE_MODEL", "This model would run code of its own"


class IdempotencyMismatch(InvalidInput):
    code, title = "IDEMPOTENCY_MISMATCH", "The idempotency key was used for another request"


class NotFound(MicrolithError):
    code, status, title = "NOT_FOUND", 404, "There is no such thing"


class Conflict(MicrolithError):
    code, status, title = "CONFLICT", 409, "The state does not allow this"


class IdempotencyInFlight(Conflict):
    code, title = "IDEMPOTENCY_IN_FLIGHT", "The same request is still being handled"


class Unauthenticated(MicrolithError):
    code, status, title = "UNAUTHENTICATED", 401, "A valid key is needed"


class ForeignPage(MicrolithError):
    code, status, title = "FOREIGN_PAGE", 403, "Another site sent this"


class PayloadTooLarge(MicrolithError):
    code, status, title = "PAYLOAD_TOO_LARGE", 413, "The request body is too large"


class SourceUnavailable(MicrolithError):
    code, status, title = "SOURCE_UNAVAILABLE", 422, "A model or dataset could not be fetched"


class Unavailable(MicrolithError):
    code, status, title = "SERVICE_UNAVAILABLE", 503, "A server that this one needs is away"


class ArtifactDamaged(MicrolithError):
    code, title = "ARTIFACT_DAMAGED", "The stored file is not what it was"


class StorageUnavailable(MicrolithError):
    code, title = "STORAGE_UNAVAILABLE", "The object store took no files"


class OutOfMemory(MicrolithError):
    code, title = "OUT_OF_MEMORY", "The worker ran out of memory"


class DeadlineExceeded(MicrolithError):
    code, status, title = "DEADLINE_EXCEEDED", 504, "The job did not finish in time"


class WorkerLost(MicrolithError):
    code, title = "WORKER_LOST", "Every worker that tried this job was lost"


class VerificationFailed(MicrolithError):
    code, title = "VERIFICATION_FAILED", "A module did not re-open as it was"
