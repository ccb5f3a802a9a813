"""One ONNX graph of several: what is equal is there once.

Weights of equal content are one weight, and nodes that do the same with the same inputs are one node. So modules of
one base share its embeddings, and all that they compute before their masks first differ.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from app.domain.errors import UnsupportedModel
from microlith.combined.runner import SCORES
from worker.combining.calibration import ScoreCalibration

LARGEST = 2**31 - 2**20
"""Bytes of a graph's file: a protocol buffer ends at 2 GiB."""


@dataclass
class Merger:
    """A graph in the making. Names are new ones, in the order of appearance, so equal graphs give equal bytes."""

    nodes: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)
    inputs: list[Any] = field(default_factory=list)
    bytes: int = 0
    _known: dict[Any, list[str]] = field(default_factory=dict)

    def add(self, model: Any, inputs: Mapping[str, str], output: str = "logits") -> str:
        """Add a graph (an onnx.ModelProto, only read), its inputs under the names given; the name of its output.

        Raises UnsupportedModel for a graph with branches or functions, and for one too many for the format.
        """
        graph = model.graph
        if model.functions or any(_branches(node) for node in graph.node):
            raise UnsupportedModel("A graph with branches or functions of its own cannot be merged with others.")
        names: dict[str, str] = {"": ""}
        for value in graph.input:
            names[value.name] = self._input(value, inputs[value.name])
        for weight in graph.initializer:
            names[weight.name] = self.weight(weight)
        for node in graph.node:
            made = self.node(node, [names[name] for name in node.input])
            names.update(zip(node.output, made, strict=True))
        return names[output]

    def weight(self, tensor: Any) -> str:
        """The name of a weight of this content."""
        import onnx

        content = hashlib.sha256(onnx.numpy_helper.to_array(tensor).tobytes()).digest()
        key = ("weight", tensor.data_type, tuple(tensor.dims), content)
        if key not in self._known:
            copied = onnx.TensorProto()
            copied.CopyFrom(tensor)
            copied.name = f"w{len(self.weights)}"
            self.weights.append(copied)
            self._known[key] = [copied.name]
            self._count(copied.ByteSize())
        return self._known[key][0]

    def node(self, node: Any, inputs: Sequence[str]) -> list[str]:
        """The names of what a node like this one makes of these inputs."""
        attributes = sorted(attribute.SerializeToString(deterministic=True) for attribute in node.attribute)
        outputs = tuple(bool(name) for name in node.output)
        key = ("node", node.domain, node.op_type, tuple(attributes), tuple(inputs), outputs)
        if key not in self._known:
            made = type(node)()
            made.CopyFrom(node)
            number = len(self.nodes)
            made.name = f"n{number}"
            del made.input[:], made.output[:]
            made.input.extend(inputs)
            made.output.extend(f"v{number}.{at}" if name else "" for at, name in enumerate(node.output))
            self.nodes.append(made)
            self._known[key] = list(made.output)
            self._count(made.ByteSize())
        return self._known[key]

    def compute(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        """The name of what one operator makes of these inputs."""
        import onnx

        return self.node(onnx.helper.make_node(operator, inputs, ["made"], **attributes), inputs)[0]

    def constant(self, values: Any) -> str:
        """The name of an array."""
        import onnx

        return self.weight(onnx.numpy_helper.from_array(np.asarray(values)))

    def model(self, output: str, labels: int, like: Any) -> Any:
        """The whole graph with one output `scores` [batch, labels], of the versions that `like` is of."""
        import onnx

        last = onnx.helper.make_node("Identity", [output], [SCORES], name=SCORES)
        answer = onnx.helper.make_tensor_value_info(SCORES, onnx.TensorProto.FLOAT, ["batch", labels])
        graph = onnx.helper.make_graph([*self.nodes, last], "combined", self.inputs, [answer], self.weights)
        return onnx.helper.make_model(graph, opset_imports=like.opset_import, ir_version=like.ir_version)

    def _input(self, value: Any, name: str) -> str:
        if ("input", name) not in self._known:
            import onnx

            sizes = _sizes(value, name.rpartition(".")[2])
            made = onnx.helper.make_tensor_value_info(name, value.type.tensor_type.elem_type, sizes)
            self.inputs.append(made)
            self._known["input", name] = [name]
        return name

    def _count(self, size: int) -> None:
        self.bytes += size
        if self.bytes > LARGEST:
            raise UnsupportedModel(
                "The modules together are larger than the 2 GiB that one ONNX file can hold.",
                hint="Combine fewer modules, or smaller ones: structure `neurons` makes them smaller.",
                pointer="/modules",
            )


def add_scores(merger: Merger, voices: Sequence[tuple[str, int, int]], calibration: ScoreCalibration) -> str:
    """The calibrated log-odds of each voice, side by side [batch, labels].

    A voice is the name of its model's logits, how many they are and which one is its concern's.
    """
    columns = [_log_odds(merger, *voice) for voice in voices]
    stacked = merger.compute("Concat", columns, axis=1)
    scaled = merger.compute("Mul", [stacked, merger.constant(calibration.slopes.astype(np.float32))])
    return merger.compute("Add", [scaled, merger.constant(calibration.intercepts.astype(np.float32))])


def _log_odds(merger: Merger, logits: str, classes: int, place: int) -> str:
    """The logit at `place` less the logsumexp of the others [batch, 1]."""
    own = merger.compute("Gather", [logits, merger.constant(np.array([place]))], axis=1)
    others = [other for other in range(classes) if other != place]
    rest = merger.compute("Gather", [logits, merger.constant(np.array(others))], axis=1)
    top = merger.compute("ReduceMax", [rest, merger.constant(np.array([1]))], keepdims=1)
    shifted = merger.compute("Exp", [merger.compute("Sub", [rest, top])])
    total = merger.compute("ReduceSum", [shifted, merger.constant(np.array([1]))], keepdims=1)
    return merger.compute("Sub", [own, merger.compute("Add", [top, merger.compute("Log", [total])])])


def _sizes(value: Any, number: str) -> list[str | int]:
    """The sizes of an input: batch and, of texts, length are free; those of images are the model's own."""
    own = [int(dim.dim_value) for dim in value.type.tensor_type.shape.dim]
    return ["batch", f"length.{number}"] if len(own) == 2 else ["batch", *own[1:]]


def _branches(node: Any) -> bool:
    return any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)
