"""Microlith: breaks a fine-tuned transformer classifier into small modules, one per concern.

from microlith import Client

with Client() as client:
    job = client.decompose("demo:bert-tiny-wordnet", "demo:wordnet-supersense").wait(progress=True)
    print(job.results().to_pandas())
    job.modules["animal"].download("modules")
"""

from importlib import import_module
from typing import TYPE_CHECKING

from microlith.version import __version__

if TYPE_CHECKING:
    from microlith.client import AsyncClient, Client
    from microlith.contract import JobSpec
    from microlith.hub import push_to_hub
    from microlith.masks import apply_mask

__all__ = ["AsyncClient", "Client", "JobSpec", "__version__", "apply_mask", "push_to_hub"]

_HOMES = {
    "AsyncClient": "microlith.client",
    "Client": "microlith.client",
    "JobSpec": "microlith.contract",
    "apply_mask": "microlith.masks",
    "push_to_hub": "microlith.hub",
}


def __getattr__(name: str) -> object:
    """Load what is asked for when it is asked for: `import microlith` alone reads no other package."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
