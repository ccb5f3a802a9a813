"""Every layout of a module, from the request to the file that a stranger opens."""

from __future__ import annotations

from tests.work import DEMO
from tests.worker.alike import LAYOUTS, opened_alike
from tests.worker.conftest import Product

SPEC = DEMO | {
    "concerns": ["animal"],
    "structure": "heads+neurons",
    "sampling": {"per_concern": 4},
    "evaluation": {"limit": 64, "similarity": False},
    "export": {"layouts": LAYOUTS, "onnx": {"int8": True}},
}


def test_every_layout_answers_as_the_module_does(product: Product) -> None:
    _, (module,) = product.decompose(SPEC)
    assert [artifact.layout for artifact in module.artifacts] == LAYOUTS
    timed = [(pace.layout, pace.batch) for pace in module.latencies]
    assert timed == [(layout, batch) for layout in ("portable", "compact", "onnx") for batch in (1, 32)]
    assert module.latency == module.latencies[0]
    opened_alike({layout: product.unpack(module, layout) for layout in LAYOUTS})
