"""The object store: one API over a folder and over S3-compatible storage; whole objects or none, never half of one."""

from app.storage.keys import ARTIFACTS, content_key
from app.storage.opening import open_store
from app.storage.store import ObjectStore

__all__ = ["ARTIFACTS", "ObjectStore", "content_key", "open_store"]
