"""Problem: every error answer, after RFC 9457."""

from microlith.contract.base import Answer


class ErrorDetail(Answer):
    """One fault of the input: a JSON Pointer to it and what is wrong."""

    pointer: str
    detail: str


class Problem(Answer):
    """An error with a stable code: what was wrong, what is allowed, what to do next."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    request_id: str | None = None
    hint: str | None = None
    errors: list[ErrorDetail] | None = None
