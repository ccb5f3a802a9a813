"""Models as ONNX graphs, by torch's own exporter; batch and length are free. Opened by ONNX Runtime.

An export takes seconds, so a graph is made once for all modules of equal shapes: the others' weights take the places of
the first one's.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from app.domain.errors import UnsupportedModel
from app.domain.layouts import INT8_GRAPH
from worker.compute.examples import Examples
from worker.compute.model_edits import sharing_copy

GRAPH, QUANTISED = "model.onnx", INT8_GRAPH
_SAMPLE_ROWS, _SAMPLE_LENGTH = 3, 4
"""The exporter takes a size of 0 or 1 for fixed, and both sizes being one for the same."""
_LARGEST = 1_500_000_000
"""Bytes of weights that go into the graph's own file, whose format ends at 2 GiB."""


@dataclass
class Graphs:
    """ONNX graphs of a job's modules, one kept for each set of shapes."""

    sample: Examples
    kept: dict[tuple[object, ...], Any] = field(default_factory=dict)

    def of(self, model: nn.Module) -> Any:
        """The model's graph (an onnx.ModelProto), valid until the next is asked for. Raises UnsupportedModel."""
        shape = tuple((name, tuple(tensor.shape)) for name, tensor in model.state_dict().items())
        if shape not in self.kept:
            self.kept[shape] = export(model, _inputs(self.sample))
        return filled(self.kept[shape], model.state_dict())


def export(model: nn.Module, inputs: Mapping[str, torch.Tensor]) -> Any:
    """The graph of a model on the CPU that takes `inputs` by name and answers `logits`."""
    sizes = {name: _free_sizes(name) for name in inputs}
    try:
        with _quietly():
            program = torch.onnx.export(
                _without_cache(model),
                kwargs=dict(inputs),
                dynamo=True,
                dynamic_shapes=sizes,
                input_names=list(inputs),
                output_names=["logits"],
                optimize=False,  # folding would take weights out of their places
                verbose=False,
            )
    except Exception as error:  # the exporter's errors have no common root
        raise UnsupportedModel(
            f"torch's exporter makes no ONNX graph of {type(model).__name__}: {str(error).strip().splitlines()[0]}",
            hint="Leave `onnx` out of the layouts.",
            pointer="/export/layouts",
        ) from error
    assert program is not None
    return _bare(program.model_proto)


def filled(graph: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    """The graph with these weights in the places of the same names."""
    for weights in graph.graph.initializer:
        if weights.name in tensors:
            weights.raw_data = tensors[weights.name].detach().cpu().contiguous().numpy().tobytes()
    return graph


def save_graph(graph: Any, file: Path) -> None:
    """Writes the graph, its weights beside it in `FILE.data` where one file cannot hold them."""
    import onnx

    large = sum(len(weights.raw_data) for weights in graph.graph.initializer) > _LARGEST
    written = copy.deepcopy(graph) if large else graph  # onnx empties what it puts elsewhere
    onnx.save_model(written, file, save_as_external_data=large, location=f"{file.name}.data")


def quantise(graph: Any, file: Path) -> None:
    """Writes the graph with weights in INT8 and activations quantised as they come."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxscript import optimizer

    with _quietly():
        folded = optimizer.optimize(copy.deepcopy(graph), input_size_limit=_LARGEST, output_size_limit=_LARGEST)
        quantize_dynamic(folded, file, weight_type=QuantType.QInt8)


@dataclass(frozen=True)
class GraphSession:
    """A graph's file, opened by ONNX Runtime on the CPU."""

    running: Any

    @classmethod
    def open(cls, file: Path) -> GraphSession:
        """Raises what ONNX Runtime raises for a file it cannot run."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        return cls(onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"]))

    def logits(self, inputs: Mapping[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Logits [b, classes]."""
        answers: np.ndarray[Any, np.dtype[np.float32]] = self.running.run(["logits"], dict(inputs))[0]
        return answers


def _bare(graph: Any) -> Any:
    """The graph without the exporter's notes: they are long, and name files of this machine."""
    for section in (graph, graph.graph, *graph.functions):
        del section.metadata_props[:]
        section.doc_string = ""
    nodes = [node for section in (graph.graph, *graph.functions) for node in section.node]
    values = [*graph.graph.value_info, *graph.graph.input, *graph.graph.output, *graph.graph.initializer]
    for section in (*nodes, *values):
        del section.metadata_props[:]
        section.doc_string = ""
    return graph


def _inputs(sample: Examples) -> dict[str, torch.Tensor]:
    rows = np.arange(_SAMPLE_ROWS) % len(sample)
    length = max(_SAMPLE_LENGTH, int(sample.lengths(rows).max()))
    return {name: torch.from_numpy(array) for name, array in sample.collate(rows, length).items()}


def _free_sizes(name: str) -> dict[int, Any]:
    free = torch.export.Dim.DYNAMIC
    return {0: free} if name == "pixel_values" else {0: free, 1: free}


def _without_cache(model: nn.Module) -> nn.Module:
    """The model, answering without the keys and values that a decoder would keep for a next token."""
    plain = sharing_copy(model)
    if getattr(plain.config, "use_cache", False):
        plain.config.use_cache = False
    exported: nn.Module = plain.eval()
    return exported


@contextmanager
def _quietly() -> Iterator[None]:
    """Exporter and quantiser speak of their own future and of packages that are not needed."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.__trace", "root", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
