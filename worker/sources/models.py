"""Models by reference, loaded: exactly the weights of one commit or folder, and no code but our own libraries'."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers import AutoModelForImageClassification, AutoModelForSequenceClassification
from transformers.utils import logging as transformers_logging

from app.domain.errors import UnsupportedModel
from app.domain.families import Family, family_of
from app.sources.allowed_paths import Allowed
from app.sources.cache import Cache
from app.sources.demo import Licence
from app.sources.licences import licence_of
from app.sources.models import POINTER, describe_folder, with_structures
from app.sources.reference_files import model_place
from app.sources.references import NOTHING, Reference, Shelf, parse
from app.sources.short_texts import list_first
from app.sources.tokenizer_files import check_pieces
from microlith.contract import ModelFacts, ModelInfo
from microlith.contract.catalog import Task
from microlith.contract.options import NumberType
from worker.families.anatomy import Anatomy
from worker.sources.found_anatomy import find_anatomy
from worker.sources.hub import fetch, model_files
from worker.sources.images import load_processor
from worker.sources.library_errors import foreign, open_tokenizer
from worker.sources.model_trial import answers_alone, check_answers
from worker.sources.pairs import reads_segments
from worker.sources.tokenizer_trial import probe

DEFAULT_LENGTH = 512
_LEFT_OUT = re.compile(
    r"(^|\.)(pooler|cls|lm_head|mlm_head|lm_predictions|generator_\w+|discriminator_predictions|mask_predictions|"
    r"qa_outputs|vocab_\w+|position_ids|token_type_ids|inv_freq|masked_bias|rotary_emb|num_batches_tracked)(\.|$)"
    r"|\.(attn|attention)\.bias$"
)
_OPENERS: dict[Task, Any] = {"text": AutoModelForSequenceClassification, "image": AutoModelForImageClassification}


@dataclass(frozen=True)
class LoadedModel:
    """A classifier ready to be measured: float32, in evaluation mode, without gradients, on the device asked for.

    What reads texts has a tokenizer, what reads images an image processor; the other is None.
    """

    model: nn.Module
    info: ModelInfo
    tokenizer: Any
    processor: Any
    folder: Path
    facts: ModelFacts
    labels: list[str]
    family: Family | None
    max_length: int
    licence: Licence | None
    padded: bool = True
    """Whether a batch may hold texts of unlike lengths; not, where answers depend on the pads beside a text."""
    segments: bool = False
    """Whether the model reads which of two texts a token is of, and its tokenizer says so."""

    @property
    def number_type(self) -> NumberType:
        """The type that its checkpoint came in."""
        return self.info.dtype or "float32"

    @cached_property
    def anatomy(self) -> Anatomy:
        """Where it keeps its neurons and heads: by its family's names, or else found in it, which takes seconds."""
        return find_anatomy(self.model, self.tokenizer, self.info.image_shape, self.max_length)

    @property
    def described(self) -> ModelInfo:
        """What is known of it now that it is open."""
        return self.info if self.family else with_structures(self.info, self.anatomy.lacking)


def load_model(
    ref: str,
    *,
    allow_paths: Allowed,
    shelf: Shelf = NOTHING,
    device: torch.device | str = "cpu",
    cache: Cache | None = None,
) -> LoadedModel:
    """The model behind any reference. Raises what `describe_model` raises, and SourceUnavailable for the hub.

    Weights that are missing or of another shape are an error, never silently made up. A stranger's tokenizer is tried
    by a confined process first (ResourceLimit), once for each content where there is a `cache`.
    """
    known = parse(ref, pointer=POINTER, allow_paths=allow_paths, shelf=shelf)
    folder, commit = _place(known)
    info = describe_folder(known, folder)
    if info.task == "text" and known.kind != "demo":
        probe(folder, cache)
    model = _load_weights(folder, info)
    facts = ModelFacts(
        ref=ref,
        name=known.title,
        revision=commit,
        sha256=info.sha256,
        content_sha256=info.content_sha256,
        architecture=info.architecture,
        dtype=info.dtype,
        labels=info.labels,
        multi_label=info.multi_label,
    )
    tokenizer = _load_tokenizer(folder, model) if info.task == "text" else None
    family = family_of(model.config.model_type)
    longest = info.max_length or DEFAULT_LENGTH
    if tokenizer is not None:
        check_answers(model, tokenizer, len(info.labels))
    return LoadedModel(
        model=model.to(device),
        info=info,
        tokenizer=tokenizer,
        processor=load_processor(folder, info.image_shape) if info.image_shape else None,
        folder=folder,
        facts=facts,
        labels=info.labels,
        family=family,
        max_length=longest,
        licence=licence_of(known, folder),
        segments=tokenizer is not None and reads_segments(model, tokenizer),
        padded=family is not None or tokenizer is None or answers_alone(model, tokenizer, longest),
    )


def _place(ref: Reference) -> tuple[Path, str | None]:
    """The folder, and the commit of what came from the hub."""
    if ref.kind != "hub":
        return model_place(ref, pointer=POINTER), None
    snapshot = fetch(ref, "model", model_files)
    return snapshot.folder, snapshot.commit


def _load_weights(folder: Path, info: ModelInfo) -> Any:
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    with foreign("transformers cannot open the model"):
        model, loading = _OPENERS[info.task].from_pretrained(
            folder,
            trust_remote_code=False,
            use_safetensors=True,
            local_files_only=True,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are told below, with both shapes
        )
    check_loading(loading)
    if type(model).__name__ != info.architecture:
        raise UnsupportedModel(f"{info.architecture} is not an architecture of transformers.", pointer=POINTER)
    return model.eval().requires_grad_(False)


def check_loading(loading: Mapping[str, Any]) -> None:
    """Raise UnsupportedModel unless the model has all its weights, in its own shapes, and all that it has are used.

    Poolers and heads of pretraining, which a classifier leaves out, and tables that are computed, may be there unused.
    """
    odd = [f"{name} (in the file {list(found)}, in the model {list(own)})" for name, found, own in _unlike(loading)]
    if faults := [*sorted(map(str, loading["missing_keys"])), *odd]:
        raise UnsupportedModel(
            f"The weights lack, or have in another shape: {list_first(faults, most=5)}.",
            hint="Save the whole fine-tuned model with save_pretrained.",
            pointer=POINTER,
        )
    if unused := sorted(name for name in map(str, loading["unexpected_keys"]) if not _LEFT_OUT.search(name)):
        raise UnsupportedModel(
            f"The file has weights that transformers {transformers.__version__} does not use: "
            f"{list_first(unused, most=5)}.",
            hint="config.json and the weights must be of the same model. Open it with the version it was made with.",
            pointer=POINTER,
        )


def _unlike(loading: Mapping[str, Any]) -> list[tuple[str, Sequence[int], Sequence[int]]]:
    """Name, shape in the file and shape in the model of each tensor where they differ."""
    return sorted((str(name), tuple(found), tuple(own)) for name, found, own in loading["mismatched_keys"])


def _load_tokenizer(folder: Path, model: Any) -> Any:
    tokenizer = open_tokenizer(folder)
    with foreign("transformers cannot tell the model's embeddings"):
        rows = model.get_input_embeddings().num_embeddings
    check_pieces(len(tokenizer), rows, pointer=POINTER)
    if len(tokenizer) > rows:
        raise UnsupportedModel(
            f"The tokenizer has {len(tokenizer)} pieces and the model embeds {rows}; they do not belong together.",
            pointer=POINTER,
        )
    return tokenizer
