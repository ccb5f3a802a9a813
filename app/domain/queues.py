"""Where each kind of job waits."""

from microlith.contract import Kind

QUEUES: dict[Kind, str] = {"decompose": "gpu", "export": "light", "combine": "gpu"}
"""For its turn on the GPU, or to be done in passing."""
