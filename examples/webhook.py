"""Deliver a job's events to a URL, signed as GitHub signs its webhooks.

    python examples/webhook.py                                    # a receiver of its own, to look at
    python examples/webhook.py --to https://ci.example.org/hook --secret …

The service sends nothing on its own: this small forwarder follows the job's event stream, which it takes up where it
broke, and POSTs each event as JSON with

    X-Microlith-Event         module.ready, job.succeeded, …
    X-Microlith-Delivery      the event's id, the same at every attempt
    X-Hub-Signature-256       sha256=HMAC-SHA256(secret, body)

A delivery that is not answered with 2xx is tried again with growing pauses; as an event may then arrive twice, a
receiver remembers the ids. Needs a running server (`make serve`), or MICROLITH_URL.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Annotated

import httpx
import typer

from microlith import Client
from microlith.contract import Event

MODEL, DATASET = "demo:bert-tiny-wordnet", "demo:wordnet-supersense"
WANTED = ("job.running", "module.ready", "job.succeeded", "job.failed", "job.cancelled", "job.expired")
ATTEMPTS, FIRST_PAUSE = 5, 0.5


def main(
    to: Annotated[str | None, typer.Option(help="Where events go. Default: a receiver of this script.")] = None,
    secret: Annotated[str | None, typer.Option(envvar="WEBHOOK_SECRET", help="Known to both sides.")] = None,
    limit: Annotated[int | None, typer.Option(help="Evaluate on at most so many examples.")] = 500,
) -> None:
    secret = secret or secrets.token_hex(20)
    with receiving(secret) as own, Client() as client:
        job = client.decompose(MODEL, DATASET, concerns=["animal", "food"], evaluation={"limit": limit}, reuse=False)
        for event in job.events():
            if event.type in WANTED:
                deliver(event, to or own, secret)


def deliver(event: Event, url: str, secret: str) -> None:
    """POST one event, signed; raises httpx.HTTPError once every attempt has failed."""
    body = event.model_dump_json().encode()
    headers = {
        "Content-Type": "application/json",
        "X-Microlith-Event": event.type,
        "X-Microlith-Delivery": event.id,
        "X-Hub-Signature-256": signature(secret, body),
    }
    for attempt in range(1, ATTEMPTS + 1):
        try:
            httpx.post(url, content=body, headers=headers, timeout=10, trust_env=False).raise_for_status()
            return
        except httpx.HTTPError:
            if attempt == ATTEMPTS:
                raise
            time.sleep(FIRST_PAUSE * 2 ** (attempt - 1))


def signature(secret: str, body: bytes) -> str:
    """What a receiver computes over the very bytes it got, and compares in constant time."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


@contextmanager
def receiving(secret: str) -> Iterator[str]:
    """A receiver on this machine that prints what arrives; answers its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Receiver,), {"secret": secret, "seen": set()}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hook"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Receiver(BaseHTTPRequestHandler):
    """Takes signed deliveries, each once: 204 when taken, 401 for a wrong signature."""

    secret: str
    seen: set[str]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not hmac.compare_digest(signature(self.secret, body), self.headers.get("X-Hub-Signature-256", "")):
            self.send_response(401)
        else:
            self.send_response(204)
            self._take(self.headers.get("X-Microlith-Delivery", ""), body)
        self.end_headers()

    def _take(self, delivery: str, body: bytes) -> None:
        if delivery not in self.seen:
            self.seen.add(delivery)
            event = json.loads(body)
            print(f"{event['type']:15s} {json.dumps(event['data'], ensure_ascii=False)}", flush=True)

    def log_message(self, *_: object) -> None:
        """Nothing: what matters is printed."""


if __name__ == "__main__":
    typer.run(main)
