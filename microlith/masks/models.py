"""A base that masks are applied to, and the model that other tensors make of it."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microlith.errors import InvalidMask, NotABase, WrongBase
from microlith.masks.file import MaskFile
from microlith.masks.tensors import digest, kept_blocks, tensor_digest

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Base:
    """An unpruned model: it and its tensors as they were when this was made. For several masks, make it once."""

    model: Any
    tensors: Mapping[str, Tensor]

    @classmethod
    def of(cls, base: Any) -> Base:
        """Of a model, of the folder of one, or of a Base. Raises NotABase."""
        if isinstance(base, cls):
            return base
        model = open_model(Path(base)) if isinstance(base, str | Path) else base
        if not callable(getattr(model, "state_dict", None)):
            raise NotABase(f"A base is a model of transformers or its folder, not a {type(base).__name__}.")
        return cls(model, {name: tensor.detach() for name, tensor in model.state_dict().items()})

    @cached_property
    def digests(self) -> dict[str, str]:
        """Each tensor's digest, by name."""
        return {name: tensor_digest(tensor) for name, tensor in self.tensors.items()}

    @cached_property
    def sha256(self) -> str:
        """The digest of all its tensors."""
        return digest(self.digests)

    def check(self, mask: MaskFile) -> None:
        """Raises WrongBase unless this is the base that the mask was made for."""
        made_for = mask.document.base
        if self.sha256 != made_for.sha256:
            revision = f" at revision {made_for.revision}" if made_for.revision else ""
            described = f"{made_for.ref}{revision} ({made_for.architecture})"
            raise WrongBase(mask.name, described, made_for.sha256, self.sha256)

    def digest_of(self, tensors: Mapping[str, Tensor]) -> str:
        """The digest of a module's tensors; what it shares with the base is not read again."""
        own = self.tensors
        return digest(
            {n: self.digests[n] if own.get(n) is tensor else tensor_digest(tensor) for n, tensor in tensors.items()}
        )

    def check_result(self, tensors: Mapping[str, Tensor], mask: MaskFile) -> None:
        """Raises InvalidMask unless these are the tensors of the module that was exported."""
        if self.digest_of(tensors) != mask.document.module_sha256:
            raise InvalidMask(mask.name, "what it makes of its base is not the module that was exported")


def open_model(folder: Path) -> Any:
    """The classifier in a folder, in float32. Runs no code of the folder's. Raises NotABase."""
    import torch
    from transformers import AutoModelForImageClassification, AutoModelForSequenceClassification
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    opener: Any = AutoModelForImageClassification if _reads_images(folder) else AutoModelForSequenceClassification
    try:
        model = opener.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # what a damaged or foreign folder makes of transformers has no common root
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise NotABase(f"transformers cannot open {folder}: {reason}") from error
    return model.eval().requires_grad_(False)


def rebuild(base: Base, tensors: Mapping[str, Tensor], mask: MaskFile) -> Any:
    """A copy of the base with these tensors, and the module's settings; it shares the tensors that are unchanged."""
    model = copy.deepcopy(base.model, {id(parameter): parameter for parameter in base.model.parameters()})
    for layers in mask.document.layers:
        _take_out(model, layers.stack, kept_blocks(mask, layers))
    for name, tensor in tensors.items():
        if base.tensors.get(name) is not tensor:
            _replace_tensor(model, name, tensor, mask.name)
    settings = mask.document.settings.model_dump(exclude_none=True)
    if labels := settings.pop("id2label", None):
        model.config.id2label = labels
        model.config.label2id = {label: number for number, label in labels.items()}
        model.num_labels = len(labels)
    for setting, value in settings.items():
        setattr(model.config, setting, value)
    return model.eval()


def _take_out(model: Any, stack: str, kept: Sequence[int]) -> None:
    """Leaves the kept blocks of a list; each knows its new place."""
    blocks = model.get_submodule(stack)
    model.set_submodule(stack, type(blocks)([blocks[place] for place in kept]))
    for place, block in enumerate(model.get_submodule(stack)):
        for part in block.modules():
            if isinstance(getattr(part, "layer_idx", None), int):
                part.layer_idx = place


def _replace_tensor(model: Any, name: str, tensor: Tensor, mask: str) -> None:
    """Puts a tensor where that name is; a linear layer takes its size."""
    from torch import nn

    owner_name, _, leaf = name.rpartition(".")
    owner = model.get_submodule(owner_name)
    if getattr(owner, leaf).shape != tensor.shape and not isinstance(owner, nn.Linear):
        raise InvalidMask(mask, f"{name} is no linear layer's, so its size cannot change")
    setattr(owner, leaf, nn.Parameter(tensor, requires_grad=False))
    if isinstance(owner, nn.Linear) and leaf == "weight":
        owner.out_features, owner.in_features = tensor.shape


def _reads_images(folder: Path) -> bool:
    if not folder.is_dir():
        raise NotABase(
            f"{folder} is not a folder. A base is a folder from save_pretrained, or a downloaded repository."
        )
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return str((config.get("architectures") or [""])[0]).endswith("ForImageClassification")
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise NotABase(f"{folder} holds no config.json of a model: {error}") from error
