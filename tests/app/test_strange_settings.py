"""Whatever stands in a model's config.json or tokenizer_config.json, the answer is a model or a refusal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import InvalidInput
from app.sources.models import describe_model
from tests.model_folders import CONFIG, folder_at

STRANGE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 10**30, 1.5, 1e300, "", "x", "ber\0t", "\ud800", "1"),
    *([], [1], [None], {}, {"0": None}, {"a": {"b": []}}, [["x"]]),
)
WHOLE: dict[str, Any] = CONFIG | {
    **{"pad_token_id": 0, "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "vocab_size": 50},
    **{"label2id": {"no": 0, "yes": 1, "maybe": 2}, "problem_type": None, "position_embedding_type": "absolute"},
    **{"n_positions": 64, "num_labels": 3, "text_config": {}, "quantization_config": None, "auto_map": None},
    **{"compression_config": None, "dim": 8, "attn_implementation": "eager", "image_size": 8, "num_channels": 3},
}
TOKENIZER: dict[str, Any] = {"model_max_length": 32, "tokenizer_class": "BertTokenizer", "auto_map": None, "vocab": "x"}


@pytest.mark.parametrize("kind", ["bert", "roberta", "llama", "vit", "mistral"])
@pytest.mark.parametrize("name", [*WHOLE, *(f"tokenizer {name}" for name in TOKENIZER)])
def test_a_strange_setting_is_read_or_refused(tmp_path: Path, kind: str, name: str) -> None:
    images = kind == "vit"
    of = WHOLE | {"model_type": kind} | ({"architectures": ["ViTForImageClassification"]} if images else {})
    folder = folder_at(tmp_path / "mine", {})
    for value in STRANGE:
        config, tokenizer = dict(of), dict(TOKENIZER)
        (tokenizer if name.startswith("tokenizer ") else config)[name.removeprefix("tokenizer ")] = value
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
        told = answer_to(folder)
        assert told.encode()
        assert "\0" not in told


def answer_to(folder: Path) -> str:
    """What is said of the model, or why it is refused."""
    try:
        found = describe_model(f"path:{folder}", allow_paths=True)
    except InvalidInput as refusal:
        return f"{refusal.detail} {refusal.hint}"
    assert found
    return found.model_dump_json()
