"""One server and how it is spoken to: the key, time-outs, retries, redirects, and refusals as exceptions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeGuard, TypeVar

import httpx
from pydantic import ValidationError

from microlith.client.retry import Retry, worth_another_try
from microlith.client.transport import FileBody, Transport
from microlith.contract import Problem
from microlith.errors import MicrolithClientError, UnexpectedAnswer, Unreachable, problem_error
from microlith.version import __version__

T = TypeVar("T")

MAX_REDIRECTS = 5
REPEATABLE = ("GET", "DELETE")
NOT_MODIFIED = 304
LOOPBACK = dict.fromkeys(("all://127.0.0.1", "all://localhost", "all://[::1]"))
"""Never reached through a proxy, whatever the environment says about the others."""


class OpenTransport(Protocol):
    """A class of transports."""

    def __call__(self, **options: Any) -> Transport: ...


class Connection:
    """Requests to one server; every method returns a successful answer or raises a MicrolithClientError."""

    def __init__(self, opener: OpenTransport, base_url: str, api_key: str | None, timeout: float, retry: Retry) -> None:
        self.base_url = base_url if "://" in base_url else f"http://{base_url}"
        self.retry, self.timeout = retry, timeout
        self._has_answered = False
        headers = {"User-Agent": f"microlith/{__version__}"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        try:
            self._transport = opener(base_url=self.base_url, headers=headers, timeout=timeout, mounts=LOOPBACK)
        except httpx.InvalidURL as error:
            raise Unreachable(base_url, f"this is no URL ({error})") from error

    async def close(self) -> None:
        await self._transport.close()

    async def pause(self, seconds: float) -> None:
        """Let so many seconds pass."""
        await self._transport.pause(seconds)

    async def aside(self, work: Callable[..., T], *args: Any) -> T:
        """What `work` answers: hashing or unpacking that others should not have to wait for."""
        return await self._transport.aside(work, *args)

    @property
    def has_key(self) -> bool:
        """Whether requests carry a key."""
        return "Authorization" in self._transport.http.headers

    async def send(
        self, method: str, path: str, *, repeatable: bool | None = None, also: int | None = None, **options: Any
    ) -> httpx.Response:
        """Ask and read the whole answer. `repeatable`: asking twice does no harm, which is so for GET and DELETE.

        An answer of the status `also` is no refusal here.
        """
        request = self._transport.http.build_request(method, path, **options)
        harmless = method in REPEATABLE if repeatable is None else repeatable
        return await self._deliver(request, repeatable=harmless, accepted=(NOT_MODIFIED, also))

    async def put_file(self, url: str, body: FileBody, silence: float) -> None:
        """PUT a file to a path of the server, or to a link of its object store, which is not shown the key.

        `silence` is how many seconds the receiver may take over it once it has everything.
        """
        timeout = httpx.Timeout(self._transport.http.timeout.connect, read=silence)
        headers = {"Content-Length": str(body.size_bytes)}
        request = self._transport.http.build_request(
            "PUT", url, content=self._transport.content(body), headers=headers, timeout=timeout
        )
        home = self._transport.http.base_url
        if (request.url.scheme, request.url.netloc) != (home.scheme, home.netloc):
            request.headers.pop("Authorization", None)
        await self._deliver(request, repeatable=True)

    @asynccontextmanager
    async def stream(
        self, path: str, headers: dict[str, str], silence: float | None = None
    ) -> AsyncIterator[httpx.Response]:
        """GET an answer whose body is read by `pieces`; reading it raises httpx.TransportError when it is cut.

        `silence` is how many seconds without a byte count as a cut.
        """
        timeout = (
            httpx.Timeout(self._transport.http.timeout.connect, read=silence)
            if silence
            else self._transport.http.timeout
        )
        request = self._transport.http.build_request("GET", path, headers=headers, timeout=timeout)
        answer = await self._deliver(request, repeatable=True, stream=True)
        try:
            yield answer
        finally:
            await self._transport.leave(answer)

    def pieces(self, answer: httpx.Response, *, raw: bool = False) -> AsyncIterator[bytes]:
        """The body as it arrives, decompressed unless `raw`."""
        return self._transport.pieces(answer, raw=raw)

    def unreachable(self, failure: httpx.TransportError) -> Unreachable:
        """What a connection error means to a person."""
        return Unreachable(self.base_url, str(failure).strip() or type(failure).__name__)

    async def _deliver(
        self, request: httpx.Request, *, repeatable: bool, stream: bool = False, accepted: tuple[int | None, ...] = ()
    ) -> httpx.Response:
        failures = 0
        while True:
            outcome = await self._try_once(request, stream)
            if isinstance(outcome, httpx.Response) and (outcome.is_success or outcome.status_code in accepted):
                return outcome
            if failures and _is_gone_already(outcome, request):
                return outcome
            failures += 1
            attempts = self.retry.attempts if self._has_answered else min(self.retry.first_contact, self.retry.attempts)
            if failures >= attempts or not worth_another_try(outcome, repeatable=repeatable):
                raise refusal(outcome) if isinstance(outcome, httpx.Response) else self.unreachable(outcome)
            await self.pause(self.retry.pause(failures, outcome if isinstance(outcome, httpx.Response) else None))

    async def _try_once(self, request: httpx.Request, stream: bool) -> httpx.Response | httpx.TransportError:
        try:
            answer = await self._transport.send(request, stream=stream)
            for _ in range(MAX_REDIRECTS):
                if request.method != "GET" or answer.next_request is None:
                    break
                await self._transport.leave(answer)
                answer = await self._transport.send(_redirected(answer.next_request), stream=stream)
            self._has_answered = True
            if stream and not answer.is_success:
                await self._transport.read(answer)
        except httpx.TransportError as failure:
            return failure
        return answer


def _is_gone_already(
    outcome: httpx.Response | httpx.TransportError, request: httpx.Request
) -> TypeGuard[httpx.Response]:
    """Whether an earlier try has deleted it, whose answer was lost."""
    return request.method == "DELETE" and isinstance(outcome, httpx.Response) and outcome.status_code == 404


def _redirected(request: httpx.Request) -> httpx.Request:
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
