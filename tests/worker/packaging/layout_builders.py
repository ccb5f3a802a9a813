"""Tiny modules of every family, pruned at random, and what packs them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from package_builders import facts
from transformers import ViTImageProcessor

from app.sources.demo import FOLDER
from microlith.masks import Base
from tests.builders import KINDS, examples_for, tiny_model
from worker.families.anatomy import Anatomy, anatomy
from worker.packaging.layouts import Packer
from worker.pruning.masks import Bits, Mask, kept_blocks

HEADS = ([True, False, False, True], [False, False, True, False])
"""What the first and the second block keep: with two groups of heads both are filled up, or one goes."""

STRUCTURES = ("weights", "neurons", "heads", "heads+neurons", "heads+weights", "layers+heads+neurons")
FOLDERS = ("portable", "compact", "mask")
FAMILIES = ("bert", "roberta", "distilbert", "modernbert", "llama", "vit")
"""One of each kind: with segments, with positions that count pads, with names of its own, fused and gated, a decoder,

and one that reads images. Modules of these are opened in every structure, of the others in one that has all."""
CELLS = {
    **{(family, layout): STRUCTURES for family in FAMILIES for layout in FOLDERS},
    **{(family, layout): ("heads+neurons",) for family in KINDS if family not in FAMILIES for layout in FOLDERS},
    **{(family, "onnx"): ("weights", "heads+neurons") for family in FAMILIES},
}
"""The structures that modules of a family are opened with, by layout. A graph is the same for all structures but for

the sizes in it: those of the base, or smaller ones."""


def random_mask(parts: Anatomy, structure: str, *, kept: float = 0.5, seed: int = 0) -> Mask:
    """About `kept` of the feed-forward weights or neurons, another number of them in every block, and `HEADS`.

    Of layers the first one that can go is gone, so that those after it have other names.
    """
    rng = np.random.default_rng(seed)
    layers = [layer for part in parts.feed_forwards for layer in part.layers]
    weights = {layer: Bits.pack(rng.random(parts.shapes[layer]) < kept) for layer in layers}
    neurons = {part.block: Bits.pack(rng.random(parts.neurons(part)) < kept) for part in parts.feed_forwards}
    heads = {part.block: Bits.pack(np.array(HEADS[i % 2])) for i, part in enumerate(parts.attentions)}
    chosen = structure.split("+")
    gone = parts.removable[:1] if "layers" in chosen and len(parts.blocks) > 1 else ()
    return Mask(
        structure,  # type: ignore[arg-type]
        weights=weights if "weights" in chosen else {},
        neurons={block: bits for block, bits in neurons.items() if "neurons" in chosen and block not in gone},
        heads={block: bits for block, bits in heads.items() if "heads" in chosen and block not in gone},
        layers=kept_blocks(parts, gone),
    )


def facts_of(family: str, structure: str = "weights") -> Any:
    """Made-up facts that tell texts from images."""
    made = facts(structure=structure) if structure != "heads" else facts(structure=structure, method={"name": "heads"})
    if family != "vit":
        return made
    model = made.resolved.model.model_copy(update={"architecture": "ViTForImageClassification"})
    return replace(made, resolved=made.resolved.model_copy(update={"model": model}))


def base_folder(family: str, folder: Path, *, blocks: int = 2) -> Any:
    """A tiny base saved to `folder` with something that prepares inputs; the model itself."""
    model: Any = tiny_model(family, blocks=blocks)
    model.save_pretrained(folder)
    if family == "vit":
        ViTImageProcessor(size={"height": 8, "width": 8}).save_pretrained(folder)
    else:
        for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
            if (FOLDER / "bert-tiny-wordnet" / name).is_file():
                shutil.copyfile(FOLDER / "bert-tiny-wordnet" / name, folder / name)
    return model


def packer_of(loaded: Any, family: str, folder: Path, *, blocks: int = 2, **options: Any) -> tuple[Packer, Anatomy]:
    """What packs modules of a tiny base, in `folder`."""
    (folder / "base").mkdir(parents=True)
    model = base_folder(family, folder / "base", blocks=blocks)
    of_it = replace(loaded, model=model, folder=folder / "base", licence=None)
    return Packer(of_it, Base.of(model), examples_for(family), folder, **options), anatomy(model)
