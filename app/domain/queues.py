"""Where each kind of job waits."""

from microlith.contract import Kind

GPU, LIGHT = "gpu", "light"

QUEUES: dict[Kind, str] = {"decompose": GPU, "export": LIGHT, "combine": GPU, "predict": LIGHT}
"""For its turn on the GPU, or to be done in passing."""
