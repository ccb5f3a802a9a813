"""Every sequence classifier that transformers has, tiny and seeded: answered as by plain transformers, or refused.

`MICROLITH_TABLE=FILE` writes what became of each, from which the page of limits is made.
"""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForSequenceClassification
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as CLASSIFIERS

from app.domain.errors import MicrolithError
from tests.worker.test_other_models import write_tokenizer
from worker.evaluation.runner import predict
from worker.sources import models
from worker.sources.open_sources import encode_for

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(20))]
TEXTS = ["w1 w2 w3", "w4", "w5 w6 w7 w8 w9 w10 w11 w12", "w3 w1", "w13 w14 w15 w16 w17", "w18 w19 w0 w2 w4 w6 w8"]
SMALL: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "d_model", "dim", "n_embd", "emb_dim", "embedding_size", "d_embed"), 32),
    **dict.fromkeys(("intermediate_size", "hidden_dim", "d_ff", "n_inner", "ffn_dim", "encoder_ffn_dim"), 32),
    **dict.fromkeys(("decoder_ffn_dim", "moe_intermediate_size", "d_inner", "shared_expert_intermediate_size"), 32),
    **dict.fromkeys(("num_hidden_layers", "num_layers", "n_layers", "n_layer", "encoder_layers", "decoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_heads", "n_head", "num_heads", "encoder_attention_heads"), 2),
    **dict.fromkeys(("decoder_attention_heads", "num_key_value_heads"), 2),
    **dict.fromkeys(("head_dim", "d_kv", "d_head", "kv_channels"), 16),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len"), 64),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **{"num_experts_per_tok": 2, "vocab_size": len(WORDS), "pad_token_id": 0, "eos_token_id": 3, "bos_token_id": 2},
}
LARGEST = 5_000_000


def tiny(kind: str) -> Any:
    """A seeded classifier of three classes; what transformers raises where these sizes do not make one."""
    known = inspect.signature(CONFIG_MAPPING[kind].__init__).parameters
    defaults = CONFIG_MAPPING[kind]()
    settings = {name: value for name, value in SMALL.items() if name in known or hasattr(defaults, name)}
    config = CONFIG_MAPPING[kind](**settings, num_labels=3)
    if getattr(config, "is_encoder_decoder", False):
        config.decoder_start_token_id = 0
    with torch.device("meta"):
        size = sum(p.numel() for p in AutoModelForSequenceClassification.from_config(config).parameters())
    if size > LARGEST:
        raise ValueError(f"these sizes leave {size:,} parameters")
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.2)
    return model


def plain(model: Any, tokenizer: Any) -> Any:
    """What transformers answers, one text at a time."""
    with torch.inference_mode():
        return np.concatenate([model(**asked(model, tokenizer, text)).logits.float().numpy() for text in TEXTS])


def asked(model: Any, tokenizer: Any, text: str) -> dict[str, Any]:
    given = tokenizer(text, return_tensors="pt")
    names = inspect.signature(model.forward).parameters
    return {name: given[name] for name in ("input_ids", "attention_mask") if name in names}


def end_texts(file: Path) -> None:
    """Every text ends with [SEP], as some models ask for."""
    known = Tokenizer.from_file(str(file))
    known.post_processor = TemplateProcessing(single="$A [SEP]", special_tokens=[("[SEP]", WORDS.index("[SEP]"))])
    known.save(str(file))


@pytest.fixture(autouse=True)
def untried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tokenizer is our own."""
    monkeypatch.setattr(models, "probe", lambda *_: None)


def told(kind: str, result: str, loaded: models.LoadedModel | None = None) -> None:
    if table := os.environ.get("MICROLITH_TABLE"):
        found = (loaded.described.structures, loaded.described.structures_refused) if loaded else ()
        with Path(table).open("a", encoding="utf-8") as file:
            file.write("\t".join([kind, result, *map(str, found)]) + "\n")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", sorted(CLASSIFIERS))
def test_it_answers_as_plain_transformers_or_is_refused(kind: str, tmp_path: Path) -> None:
    try:
        model = tiny(kind)
        model.save_pretrained(tmp_path)
    except Exception as error:  # whatever a config of another shape than usual makes of these sizes
        told(kind, f"not made: {error}".splitlines()[0])
        pytest.skip(f"no tiny one is made of {kind}: {error}")
    write_tokenizer(tmp_path, WORDS)
    end_texts(tmp_path / "tokenizer.json")
    try:
        loaded = models.load_model(f"path:{tmp_path}", allow_paths=True)
    except MicrolithError as refusal:
        told(kind, f"refused: {refusal.detail}")
        return
    expected = plain(AutoModelForSequenceClassification.from_pretrained(tmp_path).eval(), loaded.tokenizer)
    found = predict(loaded.model, encode_for(loaded, TEXTS, np.zeros(len(TEXTS), dtype=np.int64)))
    told(kind, "runs" if loaded.padded else "runs, texts of one length at a time", loaded)
    assert found == pytest.approx(expected, abs=1e-3 * max(1.0, float(np.abs(expected).max())))
