"""Presigned links that also name the file, which obstore's own cannot.

Source: Amazon S3 API reference, "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)".
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, urlencode, urlsplit

from microlith.file_names import attachment

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "s3"


@dataclass(frozen=True)
class _Wanted:
    """A request that a link stands for; `headers` must be sent with just these values."""

    method: str
    url: str
    seconds: int
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Signer:
    """Signs links with one pair of keys for one region."""

    access_key: str
    secret_key: str = field(repr=False)
    region: str

    def link(self, url: str, *, filename: str, media_type: str, seconds: int, now: datetime | None = None) -> str:
        """A link to the object at the unquoted `url` that answers with this file name and type until it expires."""
        named = {"response-content-disposition": attachment(filename), "response-content-type": media_type}
        return self._sign(_Wanted("GET", url, seconds, query=named), now)

    def put_link(self, url: str, *, size_bytes: int, seconds: int, now: datetime | None = None) -> str:
        """A link to the object at the unquoted `url` that takes one PUT of exactly so many bytes until it expires."""
        return self._sign(_Wanted("PUT", url, seconds, headers={"content-length": str(size_bytes)}), now)

    def _sign(self, wanted: _Wanted, now: datetime | None) -> str:
        moment = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{moment[:8]}/{self.region}/{SERVICE}/aws4_request"
        parts = urlsplit(quote(wanted.url, safe=":/"))
        headers = wanted.headers | {"host": parts.netloc}
        signed = ";".join(sorted(headers))
        query = {
            "X-Amz-Algorithm": ALGORITHM,
            "X-Amz-Credential": f"{self.access_key}/{scope}",
            "X-Amz-Date": moment,
            "X-Amz-Expires": str(wanted.seconds),
            "X-Amz-SignedHeaders": signed,
            **wanted.query,
        }
        canonical_query = urlencode(sorted(query.items()), quote_via=quote, safe="")
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        request = f"{wanted.method}\n{parts.path}\n{canonical_query}\n{lines}\n{signed}\nUNSIGNED-PAYLOAD"
        text = f"{ALGORITHM}\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        signature = hmac.digest(self._key(moment[:8]), text.encode(), "sha256").hex()
        return f"{parts.scheme}://{parts.netloc}{parts.path}?{canonical_query}&X-Amz-Signature={signature}"

    def _key(self, day: str) -> bytes:
        """The signing key of a day, region and service."""
        key = f"AWS4{self.secret_key}".encode()
        for part in (day, self.region, SERVICE, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return key
