"""Masks of models without a family say where their units are, so that bits alone give the module back."""

from __future__ import annotations

import pytest
import torch
from layout_builders import facts_of

from microlith import apply_mask
from microlith.masks import Base
from tests.worker.test_discovery import half_of, logits, made
from worker.families.discovery import find_parts
from worker.packaging.mask_layout import mask_file
from worker.pruning.proof import proved
from worker.pruning.surgery import realised


@pytest.mark.parametrize("kind", ["gpt_neox", "phi3", "bloom", "bart", "swin"])
def test_bits_alone_give_the_module_back(kind: str) -> None:
    model, batch, _ = made(kind)
    parts, base = proved(model, batch, find_parts(model, batch)), Base.of(model)
    mask = half_of(parts)
    with realised(model, mask, parts) as module:
        file = mask_file(base, module, mask, parts, facts_of("bert", "heads+neurons"))
        expected = logits(module, batch)
    assert {name.partition("/")[0] for name in file.stored} == {"neurons", "heads"}
    again = apply_mask(model, file)
    assert torch.equal(logits(again, batch), expected)
    assert again.config.to_dict() == (model.config if not parts.widths else module.config).to_dict()
