"""Class set: modules of one base as one ordinary model of their concerns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from app.domain.combinations import POINTER
from app.domain.errors import InvalidInput, UnsupportedModel
from microlith.contract.combine import UnionRecovery
from microlith.contract.options import NumberType
from worker.combining.class_set_recovery import examples_of, mended_union
from worker.combining.mask_union import union
from worker.combining.parts import LabelledRows, ModulePart, Origin, labels_of
from worker.compute.batches import Checkpoint, unwatched
from worker.compute.model_edits import with_head
from worker.families.layers import linear
from worker.packaging.rounding import rounded
from worker.pruning.masks import Mask
from worker.pruning.surgery import masked_copy, shrink


@dataclass(frozen=True)
class ClassSet:
    """One model that answers some of its base's labels, in the base's order; it shares what is unchanged with it.

    `ids` are the base's ids of its labels.
    """

    model: nn.Module
    mask: Mask
    origin: Origin
    ids: list[int]
    labels: list[str]
    notes: list[str]


def class_set(
    parts: Sequence[ModulePart],
    recovery: UnionRecovery = "none",
    validation: LabelledRows | None = None,
    *,
    number_type: NumberType | None = None,
    checkpoint: Checkpoint = unwatched,
) -> ClassSet:
    """The union of the parts' masks over their base, mended by the validation examples, its head cut to the concerns.

    Its weights are rounded to `number_type`, by default that of the base's checkpoint. `checkpoint` hears the rows that
    recovery has run. Raises InvalidInput for parts of several bases, or without a mask, and UnsupportedModel where the
    base's classifier is not known.
    """
    labels_of(parts)
    origin = _one_base(parts)
    mask = union([_mask(part) for part in parts])
    concerns = sorted((part.concern for part in parts), key=lambda concern: concern.id)
    ids, labels = [concern.id for concern in concerns], [concern.label for concern in concerns]
    if recovery != "none" or mask.layers:
        assert validation is not None, "recovery needs examples"
        rows = examples_of(validation, labels)
        mask = mended_union(mask, origin, recovery, rows, checkpoint=checkpoint)
    smaller = mask.layers or (mask.neurons and origin.anatomy.widths)
    whole = (shrink if smaller else masked_copy)(origin.model, mask, origin.anatomy)
    notes = [_TWO_WAY] if any(part.answer is not None for part in parts) else []
    notes += [_WHOLE] if any(part.origin is not part.base for part in parts) else []
    stored = rounded(with_labels(whole, _classifier(origin), ids, labels), number_type or origin.number_type)
    return ClassSet(stored, mask, origin, ids, labels, notes)


_TWO_WAY = (
    "A binary head decides its one concern alone, at a threshold of its own. The class set answers which of its "
    "classes an example is, so it has the base's own rows of the head in their place, without thresholds."
)
_WHOLE = "Its modules were trimmed to some of the vocabulary; the class set reads with all of the base's."


def with_labels(model: nn.Module, classifier: str, ids: Sequence[int], labels: Sequence[str]) -> nn.Module:
    """A new model whose head answers these of the model's classes, under these names; it shares all other tensors."""
    head = linear(model, classifier)
    chosen = torch.tensor(ids, device=head.weight.device)
    bias = None if head.bias is None else head.bias.detach()[chosen]
    cut: nn.Module = with_head(model, classifier, head.weight.detach()[chosen], bias, labels)
    return cut


def _one_base(parts: Sequence[ModulePart]) -> Origin:
    bases = {part.base.sha256: part.base for part in parts}
    if len(bases) > 1:
        named = ", ".join(f"{origin.ref} (sha256 {digest[:12]}…)" for digest, origin in bases.items())
        raise InvalidInput(
            f"A class set is made of modules of one base; these are of {len(bases)}: {named}.",
            hint="Use mode `recompose` for modules of different models.",
            pointer=POINTER,
        )
    return parts[0].base


def _mask(part: ModulePart) -> Mask:
    if part.mask is None:
        raise InvalidInput(
            f"The module of {part.concern.label!r} comes without its mask, so what it keeps cannot be united.",
            hint="Use mode `recompose`, or export the module in the layout `mask`.",
            pointer=POINTER,
        )
    return part.mask


def _classifier(origin: Origin) -> str:
    if origin.anatomy.classifier is None:
        raise UnsupportedModel(
            f"Where {type(origin.model).__name__} keeps its classifier is not known, so its head cannot be cut.",
            hint="Use mode `recompose`.",
            pointer="/mode",
        )
    return origin.anatomy.classifier
