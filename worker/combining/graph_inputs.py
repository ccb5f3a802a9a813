"""Feeds: what prepares the inputs of a recomposed classifier's graph, one for each way that its models differ in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from app.domain.errors import UnsupportedModel
from microlith.combined.runner import MODES
from worker.combining.parts import Origin
from worker.compute.examples import SEGMENTS


class GraphFeed(Protocol):
    """A way of preparing inputs: under which names its arrays go into the graph, by the names the model has."""

    @property
    def inputs(self) -> dict[str, str]:
        """The model's name to the graph's."""


@dataclass(frozen=True)
class TextFeed:
    """One tokenizer, as it is handed out; with `segments` it tells which of two texts a token is of."""

    content: str
    max_length: int
    pad_id: int
    segments: bool
    number: int

    @property
    def file(self) -> str:
        """Where it lies in the folder."""
        return f"tokenizers/{self.number}.json"

    @property
    def inputs(self) -> dict[str, str]:
        """The model's name to the graph's."""
        names = ["input_ids", "attention_mask", *([SEGMENTS] if self.segments else [])]
        return {name: f"{name}.{self.number}" for name in names}

    @property
    def document(self) -> dict[str, Any]:
        """As the runner reads it."""
        return {"file": self.file, "max_length": self.max_length, "pad_id": self.pad_id, "inputs": self.inputs}


@dataclass(frozen=True)
class ImageFeed:
    """What an image processor does, as numbers."""

    settings: Mapping[str, Any]
    number: int

    @property
    def inputs(self) -> dict[str, str]:
        """The model's name to the graph's."""
        return {"pixel_values": f"pixel_values.{self.number}"}

    @property
    def document(self) -> dict[str, Any]:
        """As the runner reads it."""
        return {"input": self.inputs["pixel_values"], **self.settings}


@dataclass
class Feeds:
    """The feeds of a combination: equal ones are one, whichever models they came with."""

    texts: dict[tuple[str, int, int, bool], TextFeed] = field(default_factory=dict)
    images: dict[str, ImageFeed] = field(default_factory=dict)
    pairs: bool = False

    @property
    def reads(self) -> Literal["text", "pair", "image"]:
        """What is read."""
        return "image" if self.images else "pair" if self.pairs else "text"

    def of(self, origin: Origin) -> GraphFeed:
        """Raises UnsupportedModel for a model whose inputs the runner cannot prepare."""
        if origin.task == "image":
            settings = _settings(origin)
            return self.images.setdefault(repr(settings), ImageFeed(settings, len(self.images)))
        self.pairs = origin.pairs
        key = (_plain(origin), origin.max_length, _pad(origin), origin.segments)
        return self.texts.setdefault(key, TextFeed(*key, number=len(self.texts)))

    def write(self, folder: Path) -> dict[str, Any]:
        """Put the tokenizers into the folder. Returns what the runner has to know of all feeds."""
        if self.texts:
            (folder / "tokenizers").mkdir()
        for feed in self.texts.values():
            (folder / feed.file).write_text(feed.content, encoding="utf-8")
        return {
            "pairs": self.pairs,
            "tokenizers": [feed.document for feed in self.texts.values()],
            "images": [feed.document for feed in self.images.values()],
        }


def _plain(origin: Origin) -> str:
    """The tokenizer as data, without the padding and truncation of its last call."""
    from tokenizers import Tokenizer

    backend = getattr(origin.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise UnsupportedModel(
            f"{origin.ref} has no tokenizer in the form of the tokenizers library, so it cannot go into one file.",
            hint="Save its tokenizer with a `tokenizer.json`.",
            pointer="/modules",
        )
    plain = Tokenizer.from_str(backend.to_str())
    plain.no_padding()
    plain.no_truncation()
    return str(plain.to_str())


def _pad(origin: Origin) -> int:
    """What the origin's encoder pads with."""
    return int(getattr(origin.encoder(origin.samples[:1]), "pad_id", 0))


def _settings(origin: Origin) -> dict[str, Any]:
    """What the processor does to pixels. UnsupportedModel for one that does more than resize, scale and normalise."""
    processor, shape = origin.processor, [int(side) for side in origin.image_shape or ()]
    odd = [name for name in ("do_center_crop", "do_pad", "do_convert_rgb") if getattr(processor, name, None)]
    odd = [name for name in odd if (name, shape[0]) != ("do_convert_rgb", 3)]
    if getattr(processor, "do_resize", False) and _size(processor.size) != shape[1:]:
        odd.append(f"resizes to {processor.size}")
    if odd or shape[0] not in MODES:
        raise UnsupportedModel(
            f"The image processor of {origin.ref} does what the runner of a recomposed classifier does not: "
            f"{', '.join(odd) or f'images of {shape[0]} channels'}.",
            hint="Recomposed image models resize to their own size, scale and normalise, no more.",
            pointer="/modules",
        )
    scaled, normalised = (bool(getattr(processor, name, False)) for name in ("do_rescale", "do_normalize"))
    return {
        "shape": shape,
        "resample": int(processor.resample) if getattr(processor, "do_resize", False) else None,
        "rescale": float(processor.rescale_factor) if scaled else None,
        "mean": _by_channel(processor.image_mean, shape[0]) if normalised else None,
        "std": _by_channel(processor.image_std, shape[0]) if normalised else None,
    }


def _size(size: Any) -> list[int | None]:
    """Height and width that a processor resizes to; None where it keeps the ratio of the sides."""
    known = dict(size) if isinstance(size, Mapping) else vars(size)
    return [known.get("height"), known.get("width")]


def _by_channel(value: Any, channels: int) -> list[float]:
    return [float(one) for one in value] if isinstance(value, (list, tuple)) else [float(value)] * channels
