"""One server and how it is spoken to: the key, time-outs, retries, redirects, and refusals as exceptions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from pydantic import ValidationError

import microlith
from microlith.client.retry import Retry, worth_another_try
from microlith.contract import Problem
from microlith.errors import MicrolithClientError, UnexpectedAnswer, Unreachable, problem_error

MAX_REDIRECTS = 5
CHUNK_BYTES = 1024 * 1024
LOOPBACK: dict[str, httpx.BaseTransport | None] = {
    "all://127.0.0.1": None,
    "all://localhost": None,
    "all://[::1]": None,
}
"""Never reached through a proxy, whatever the environment says about the others."""


@dataclass(frozen=True)
class FileBody:
    """A file as a request's body, read anew for every try; `on_bytes(done, total)` hears how much has left."""

    path: Path
    size_bytes: int
    on_bytes: Callable[[int, int], object] | None = None

    def __iter__(self) -> Iterator[bytes]:
        done = 0
        with self.path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
                done += len(chunk)
                if self.on_bytes:
                    self.on_bytes(done, self.size_bytes)


class Connection:
    """Requests to one server; every method returns a successful answer or raises a MicrolithClientError."""

    def __init__(self, base_url: str, api_key: str | None, timeout: float, retry: Retry) -> None:
        self.base_url = base_url if "://" in base_url else f"http://{base_url}"
        self.retry = retry
        self._met = False
        headers = {"User-Agent": f"microlith/{microlith.__version__}"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        try:
            self._http = httpx.Client(base_url=self.base_url, headers=headers, timeout=timeout, mounts=LOOPBACK)
        except httpx.InvalidURL as error:
            raise Unreachable(base_url, f"this is no URL ({error})") from error

    def close(self) -> None:
        self._http.close()

    def send(self, method: str, path: str, *, repeatable: bool | None = None, **options: Any) -> httpx.Response:
        """Ask and read the whole answer. `repeatable`: asking twice does no harm, which is so for GET."""
        request = self._http.build_request(method, path, **options)
        return self._deliver(request, repeatable=method == "GET" if repeatable is None else repeatable)

    def put_file(self, url: str, body: FileBody, silence: float) -> None:
        """PUT a file to a path of the server, or to a link of its object store, which is not shown the key.

        `silence` is how many seconds the receiver may take over it once it has everything.
        """
        timeout = httpx.Timeout(self._http.timeout.connect, read=silence)
        headers = {"Content-Length": str(body.size_bytes)}
        request = self._http.build_request("PUT", url, content=body, headers=headers, timeout=timeout)
        home = self._http.base_url
        if (request.url.scheme, request.url.netloc) != (home.scheme, home.netloc):
            request.headers.pop("Authorization", None)
        self._deliver(request, repeatable=True)

    @contextmanager
    def stream(self, path: str, headers: dict[str, str], silence: float | None = None) -> Iterator[httpx.Response]:
        """GET an answer whose body is read piece by piece; reading it raises httpx.TransportError when it is cut.

        `silence` is how many seconds without a byte count as a cut.
        """
        timeout = httpx.Timeout(self._http.timeout.connect, read=silence) if silence else self._http.timeout
        request = self._http.build_request("GET", path, headers=headers, timeout=timeout)
        answer = self._deliver(request, repeatable=True, stream=True)
        try:
            yield answer
        finally:
            answer.close()

    def unreachable(self, failure: httpx.TransportError) -> Unreachable:
        """What a connection error means to a person."""
        return Unreachable(self.base_url, str(failure).strip() or type(failure).__name__)

    def _deliver(self, request: httpx.Request, *, repeatable: bool, stream: bool = False) -> httpx.Response:
        failures = 0
        while True:
            outcome = self._once(request, stream)
            if isinstance(outcome, httpx.Response) and (outcome.is_success or outcome.status_code == 304):
                return outcome
            failures += 1
            attempts = self.retry.attempts if self._met else min(self.retry.first_contact, self.retry.attempts)
            if failures >= attempts or not worth_another_try(outcome, repeatable=repeatable):
                raise self._error(outcome)
            time.sleep(self.retry.pause(failures, outcome if isinstance(outcome, httpx.Response) else None))

    def _once(self, request: httpx.Request, stream: bool) -> httpx.Response | httpx.TransportError:
        try:
            answer = self._http.send(request, stream=stream)
            for _ in range(MAX_REDIRECTS):
                if request.method != "GET" or answer.next_request is None:
                    break
                answer.close()
                answer = self._http.send(_elsewhere(answer.next_request), stream=stream)
            self._met = True
            if stream and not answer.is_success:
                answer.read()
        except httpx.TransportError as failure:
            return failure
        return answer

    def _error(self, outcome: httpx.Response | httpx.TransportError) -> MicrolithClientError:
        return refusal(outcome) if isinstance(outcome, httpx.Response) else self.unreachable(outcome)


def _elsewhere(request: httpx.Request) -> httpx.Request:
    """A redirected request; httpx has already taken the key away if it goes to another host.

    The bytes behind a content link never change, but another store may know them by another ETag than ours.
    """
    request.headers.pop("If-Range", None)
    return request


def refusal(answer: httpx.Response) -> MicrolithClientError:
    """What an unsuccessful answer means."""
    if "application/problem+json" not in answer.headers.get("Content-Type", ""):
        return _foreign_refusal(answer)
    try:
        problem = Problem.model_validate_json(answer.content)
    except ValidationError:
        return UnexpectedAnswer(str(answer.url), "its problem document cannot be read")
    if problem.status == 401 and not problem.hint:
        problem = problem.model_copy(update={"hint": "Set MICROLITH_API_KEY, or pass --key."})
    return problem_error(problem)


def _foreign_refusal(answer: httpx.Response) -> MicrolithClientError:
    """An error from something on the way (a proxy, a store), or from another service altogether."""
    status, phrase = answer.status_code, answer.reason_phrase
    if answer.has_redirect_location:
        return UnexpectedAnswer(str(answer.url), f"it redirects to {answer.headers['Location']}")
    if status in (404, 405):
        return UnexpectedAnswer(str(answer.url), f"{status} {phrase} without a problem document")
    detail = " ".join(answer.text.split())[:300] or "no explanation was given"
    return problem_error(Problem(title=f"{status} {phrase}", status=status, detail=detail, code=f"HTTP_{status}"))
