"""The `mask` layout: what makes the module of its base, as data alone. The client applies it (`microlith.masks`)."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from microlith.contract.methods import Structure
from microlith.masks import Base, MaskFile
from microlith.masks.document import BaseModelFacts, ConfigSettings, MaskDocument, MaskedLayers, MaskedUnits, Writer
from microlith.masks.file import BITS, DOCUMENT
from microlith.masks.tensors import masked
from worker.families.anatomy import Anatomy
from worker.packaging.folder import write_json
from worker.packaging.module_facts import Made
from worker.pruning.masks import Bits, Mask

VOCABULARY = "vocabulary.json"
"""Where the mask of a module with a trimmed vocabulary keeps the tokens that are left: ids of the base."""


def save_mask(folder: Path, file: MaskFile) -> None:
    """Writes the document and the bits into `folder`."""
    write_json(folder / DOCUMENT, file.document.model_dump(mode="json"), spaced=False)
    save_file(file.stored, folder / BITS)


def mask_file(base: Base, module: nn.Module, mask: Mask, anatomy: Anatomy, facts: Made) -> MaskFile:
    """The mask that makes `module` of `base`, every bit of it: what masking alone does not give is stored whole."""
    bits = {
        f"{kind}/{name}": torch.frombuffer(bytearray(bits.packed), dtype=torch.uint8)
        for kind, layers in mask.parts.items()
        for name, bits in layers.items()
    }
    tensors = {name: tensor.detach() for name, tensor in module.state_dict().items()}
    document = _document(base, module, mask, anatomy, facts)
    made = masked(base.tensors, MaskFile("the mask", document, bits, {}))
    other = {f"tensors/{name}": t.cpu().contiguous() for name, t in tensors.items() if not _same(made.get(name), t)}
    shared = {
        name: base.tensors[name] if _same(base.tensors.get(name), tensor) else tensor
        for name, tensor in tensors.items()
    }
    document = document.model_copy(update={"module_sha256": base.digest_of(shared)})
    return MaskFile("the mask", document, bits | other, {})


def tokens_of(file: MaskFile) -> list[int] | None:
    """The ids of the base that its module reads with; None for all."""
    stored = file.files.get(VOCABULARY)
    return None if stored is None else [int(token) for token in json.loads(stored)]


def mask_of(file: MaskFile) -> Mask:
    """The units that a mask file keeps; what it changes besides is in the model that it makes of its base."""
    document = file.document
    shapes = {f"weights/{layer}": tuple(shape) for layer, shape in document.weights.items()}
    shapes |= {f"neurons/{part.block}": (part.count,) for part in document.neurons}
    shapes |= {f"heads/{part.block}": (part.count,) for part in document.heads}
    shapes |= {f"layers/{layers.stack}": (layers.count,) for layers in document.layers}
    kept: dict[str, dict[str, Bits]] = {"weights": {}, "neurons": {}, "heads": {}, "layers": {}}
    for name, shape in shapes.items():
        kind, _, unit = name.partition("/")
        kept[kind][unit] = Bits(shape, file.stored[name].numpy().tobytes())
    structure = cast(Structure, document.structure)
    return Mask(structure, kept["weights"], kept["neurons"], kept["heads"], kept["layers"])


def _document(base: Base, module: nn.Module, mask: Mask, anatomy: Anatomy, facts: Made) -> MaskDocument:
    neurons = [_neurons(part, anatomy) for part in anatomy.feed_forwards if part.block in mask.neurons]
    resolved = facts.resolved.model
    return MaskDocument(
        kind="microlith-mask",
        format=1,
        base=BaseModelFacts(
            sha256=base.sha256,
            ref=facts.spec.model,
            revision=resolved and resolved.revision,
            architecture=resolved and resolved.architecture,
        ),
        module_sha256="0" * 64,
        concern=facts.concerns[0] if len(facts.concerns) == 1 else None,
        concerns=facts.concerns,
        ratio=facts.ratio.requested,
        structure=mask.structure,
        weights={layer: list(bits.shape) for layer, bits in mask.weights.items()},
        neurons=neurons,
        heads=[_heads(part, anatomy) for part in anatomy.attentions if part.block in mask.heads],
        layers=[MaskedLayers(stack=stack, count=bits.size) for stack, bits in mask.layers.items()],
        stored=_width(module, anatomy) if neurons and anatomy.widths else None,
        settings=_settings(base.model, module),
        versions={library: version(library) for library in ("microlith", "torch", "transformers")},
    )


def _neurons(part: Any, anatomy: Anatomy) -> MaskedUnits:
    writers = [Writer(layer=layer, start=offset) for layer, offset in anatomy.neuron_rows(part)]
    return MaskedUnits(block=part.block, count=anatomy.neurons(part), writers=writers, reader=part.output)


def _heads(part: Any, anatomy: Anatomy) -> MaskedUnits:
    columns = anatomy.head_columns(part, 0)
    return MaskedUnits(
        block=part.block,
        count=anatomy.heads(part),
        width=columns.stop - columns.start,
        writers=[
            Writer(layer=place.layer, start=place.row, share=place.share, step=place.step)
            for place in anatomy.head_places(part)
        ],
        reader=part.output,
    )


def _width(module: Any, anatomy: Anatomy) -> int:
    """How many neurons surgery has left room for in every block."""
    return int(getattr(module.config, anatomy.widths[0]))


def _settings(base: Any, module: Any) -> ConfigSettings:
    """Where the module's config differs from the base's."""
    names = ConfigSettings.model_fields
    pairs = {name: (getattr(base.config, name, None), getattr(module.config, name, None)) for name in names}
    return ConfigSettings(**{name: after for name, (before, after) in pairs.items() if after != before})


def _same(one: Tensor | None, other: Tensor) -> bool:
    """Whether two tensors have the same bytes; minus zero is not zero."""
    if one is None or one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.data_ptr() == other.data_ptr():
        return True
    return torch.equal(_bytes(one), _bytes(other))


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)
