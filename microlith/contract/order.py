"""Orders: jobs about existing modules."""

from __future__ import annotations

from pydantic import Field

from microlith.contract.base import Body
from microlith.contract.options import Layout, OnnxOptions


class LayoutRequest(Body):
    """One more layout of a module or of a class set."""

    layout: Layout = Field(description="As in `export.layouts`.")
    onnx: OnnxOptions = OnnxOptions()


class LayoutOrder(LayoutRequest):
    """The id of the module, or of the job that made the class set."""

    module: str
