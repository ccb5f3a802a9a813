"""Orders: what is asked about modules that are there already."""

from __future__ import annotations

from pydantic import Field

from microlith.contract.base import Body
from microlith.contract.options import Layout, OnnxOptions


class LayoutRequest(Body):
    """One more layout of a module or of a class set."""

    layout: Layout = Field(description="As in `export.layouts`.")
    onnx: OnnxOptions = OnnxOptions()


class LayoutOrder(LayoutRequest):
    """One more layout of this module, or of the class set that the job of this id has made."""

    module: str
