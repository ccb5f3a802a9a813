"""Models known by their config and their safetensors header."""

import hashlib
import json
import subprocess
import sys

import pytest

from app.domain.errors import UnsafeModel, UnsupportedModel
from app.sources.confined_models import known_models
from app.sources.demo import FOLDER
from app.sources.models import describe_model

CONFIG = {
    "architectures": ["BertForSequenceClassification"],
    "model_type": "bert",
    "id2label": {"0": "no", "1": "yes", "2": "maybe"},
    "max_position_embeddings": 64,
}
SHAPES = {
    "bert.embeddings.word_embeddings.weight": [50, 8],
    "bert.embeddings.LayerNorm.weight": [8],
    "bert.encoder.layer.0.intermediate.dense.weight": [16, 8],
    "bert.encoder.layer.0.intermediate.dense.bias": [16],
    "bert.encoder.layer.0.output.dense.weight": [8, 16],
    "classifier.weight": [3, 8],
}


def safetensors(shapes, *, cut=0, claim=None):
    """The bytes of a safetensors file of zeros, by the format's description; `cut` bytes short."""
    header, offset = {}, 0
    for name, shape in shapes.items():
        size = 4
        for side in shape:
            size *= side
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    whole = (claim or len(text)).to_bytes(8, "little") + text + bytes(offset)
    return whole[: len(whole) - cut]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "model.safetensors").write_bytes(safetensors(SHAPES))
    (tmp_path / "vocab.txt").write_text("[UNK]\n")
    return tmp_path


def describe(folder):
    return describe_model(f"path:{folder}", allow_paths=True)


def configure(folder, **changes):
    (folder / "config.json").write_text(json.dumps({**CONFIG, **changes}))


def test_config_and_header_tell_what_a_request_needs(folder):
    info = describe(folder)
    assert info.labels == ["no", "yes", "maybe"]
    assert [(layer.name, layer.shape, layer.feed_forward) for layer in info.layers] == [
        ("bert.encoder.layer.0.intermediate.dense", [16, 8], True),
        ("bert.encoder.layer.0.output.dense", [8, 16], True),
        ("classifier", [3, 8], False),
    ]
    assert info.parameters == 50 * 8 + 8 + 16 * 8 + 16 + 8 * 16 + 3 * 8
    assert info.sha256 == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert (info.family, info.max_length, info.structures) == ("bert", 64, ["weights", "neurons"])


def test_the_demo_model_is_known():
    (info,) = known_models()
    weights = FOLDER / "bert-tiny-wordnet" / "model.safetensors"
    assert (info.id, len(info.labels), info.max_length) == ("demo:bert-tiny-wordnet", 12, 128)
    assert info.size_bytes == weights.stat().st_size
    assert info.licence == "Apache-2.0 AND LicenseRef-WordNet"


def test_a_hub_model_is_left_to_the_worker():
    assert describe_model("hub:org/name", allow_paths=False) is None


def test_a_changed_file_is_another_model(folder):
    before = describe(folder).sha256
    changed = bytearray(safetensors(SHAPES))
    changed[-1] = 1
    (folder / "model.safetensors").write_bytes(changed)
    assert describe(folder).sha256 != before


def test_shards_are_one_model(folder):
    names = list(SHAPES)
    files = {"model-1.safetensors": names[:3], "model-2.safetensors": names[3:]}
    whole = describe(folder)
    (folder / "model.safetensors").unlink()
    for file, part in files.items():
        (folder / file).write_bytes(safetensors({name: SHAPES[name] for name in part}))
    weight_map = {name: file for file, part in files.items() for name in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    sharded = describe(folder)
    assert (sharded.layers, sharded.parameters) == (whole.layers, whole.parameters)


@pytest.mark.parametrize("shard", ["../model.safetensors", "missing.safetensors", "config.json"])
def test_an_index_that_names_other_files_is_refused(folder, shard):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": shard}}))
    with pytest.raises(UnsupportedModel, match="cannot be used"):
        describe(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        safetensors(SHAPES, cut=1),
        safetensors(SHAPES, claim=2**40),
        (20).to_bytes(8, "little") + b"version https://git-lfs",
        (9).to_bytes(8, "little") + b'{"a":[1]}',
        (2).to_bytes(8, "little") + b"[]",
    ],
)
def test_weights_that_are_not_whole_are_refused(folder, content):
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(UnsupportedModel, match=r"model\.safetensors is not a whole safetensors file"):
        describe(folder)


def test_pickled_weights_are_unsafe_and_the_hint_says_how_to_convert(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UnsafeModel) as refusal:
        describe(folder)
    assert "save_pretrained" in refusal.value.hint


@pytest.mark.parametrize(
    "code",
    [
        {"_attn_implementation": "org/kernel"},
        {"attn_implementation": {"": "org/kernel@main"}},
        {"text_config": {"_attn_implementation": "org/kernel:layer"}},
        {"encoder": {"auto_map": {"AutoModel": "code.Model"}}},
    ],
)
def test_a_model_that_would_fetch_code_is_unsafe(folder, code):
    (folder / "config.json").write_text(json.dumps({**CONFIG, **code}))
    with pytest.raises(UnsafeModel):
        describe(folder)


def test_a_label_may_be_called_as_code_is(folder):
    labels = {"0": "other", "1": "auto_map", "2": "its/_implementation"}
    config = {**CONFIG, "id2label": labels, "label2id": {label: int(number) for number, label in labels.items()}}
    (folder / "config.json").write_text(json.dumps({**config, "_attn_implementation": "sdpa"}))
    assert describe(folder).labels == list(labels.values())


@pytest.mark.parametrize("place", ["config.json", "tokenizer_config.json"])
def test_a_model_with_code_of_its_own_is_unsafe(folder, place):
    (folder / place).write_text(json.dumps({**CONFIG, "auto_map": {"AutoModel": "code.Model"}}))
    with pytest.raises(UnsafeModel, match="auto_map"):
        describe(folder)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"architectures": ["BertForMaskedLM"]}, "neither a sequence classifier nor a supported image"),
        ({"architectures": ["ResNetForImageClassification"]}, "nor a supported image classifier"),
        ({"model_type": "llama", "architectures": ["LlamaForSequenceClassification"]}, "no pad_token_id"),
        ({"architectures": None}, "does not name an architecture"),
        ({"problem_type": "regression"}, "task is 'regression'; each input must have one class"),
        ({"id2label": {"0": "score"}}, "fewer than two labels"),
        ({"id2label": {"1": "a", "2": "b", "3": "c"}}, "0 to n-1"),
        ({"id2label": {"0": "a", "1": "a", "2": "b"}}, "the same label"),
        ({"id2label": {"0": "a", "1": "b"}}, "3 outputs and config.json names 2 labels"),
        ({"model_type": "gpt2", "architectures": ["GPT2ForSequenceClassification"]}, "Conv1D"),
    ],
)
def test_a_model_that_cannot_be_decomposed_is_refused_with_the_reason(folder, changes, reason):
    configure(folder, **changes)
    with pytest.raises(UnsupportedModel, match=reason) as refusal:
        describe(folder)
    assert refusal.value.pointer == "/model"


@pytest.mark.parametrize("content", ["", "{", "[]", "[" * 100_000])
def test_an_unreadable_config_is_refused(folder, content):
    (folder / "config.json").write_text(content)
    with pytest.raises(UnsupportedModel, match=r"config\.json cannot be read"):
        describe(folder)


def test_a_folder_without_a_config_is_no_model(tmp_path):
    with pytest.raises(UnsupportedModel, match=r"no config\.json"):
        describe(tmp_path)


def test_a_model_without_a_tokenizer_is_refused(folder):
    (folder / "vocab.txt").unlink()
    with pytest.raises(UnsupportedModel, match=r"no tokenizer: none of tokenizer\.json, vocab\.txt"):
        describe(folder)


def test_labels_that_the_config_does_not_name_are_numbered(folder):
    configure(folder, id2label=None, num_labels=3)
    assert describe(folder).labels == ["LABEL_0", "LABEL_1", "LABEL_2"]


def test_roberta_keeps_positions_for_itself_and_the_tokenizer_may_say_less(folder):
    configure(folder, model_type="roberta", max_position_embeddings=128, pad_token_id=1)
    assert describe(folder).max_length == 126
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 100}))
    assert describe(folder).max_length == 100
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 10**30}))
    assert describe(folder).max_length == 126


def test_the_licence_is_read_from_the_card_beside_the_model(folder):
    assert describe(folder).licence is None
    (folder / "README.md").write_text("---\ntags: [x]\nlicense: mit\n---\n# Hello\n")
    assert describe(folder).licence == "mit"


def test_sources_are_known_without_torch():
    code = (
        "import sys, app.sources.confined_data, app.sources.datasets, app.sources.confined_models\n"
        "import app.sources.labels as l\n"
        "app.sources.confined_models.known_models(), app.sources.confined_data.known_datasets()\n"
        "heavy = {'torch', 'transformers', 'datasets', 'safetensors', 'huggingface_hub', 'pandas'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_image_classifier_needs_no_tokenizer_and_its_layers_have_the_live_models_names(folder):
    (folder / "vocab.txt").unlink()
    configure(folder, model_type="vit", architectures=["ViTForImageClassification"], image_size=8, num_channels=1)
    block = "vit.encoder.layer.0."
    shapes = {
        f"{block}output.dense.weight": [8, 16],
        f"{block}intermediate.dense.weight": [16, 8],
        f"{block}attention.output.dense.weight": [8, 8],
        **{f"{block}attention.attention.{part}.weight": [8, 8] for part in ("key", "query", "value")},
        "vit.embeddings.patch_embeddings.projection.weight": [8, 1, 4, 4],
        "classifier.weight": [3, 8],
    }
    (folder / "model.safetensors").write_bytes(safetensors(shapes))
    info = describe(folder)
    assert [layer.name.removeprefix("vit.layers.0.") for layer in info.layers] == [
        *("attention.q_proj", "attention.k_proj", "attention.v_proj", "attention.o_proj", "mlp.fc1", "mlp.fc2"),
        "classifier",
    ]
    assert (info.family, info.task, info.max_length, info.image_shape) == ("vit", "image", None, [1, 8, 8])
    assert [layer.name for layer in info.layers if layer.feed_forward] == [
        "vit.layers.0.mlp.fc1",
        "vit.layers.0.mlp.fc2",
    ]


def test_mpnet_keeps_positions_for_itself_too(folder):
    configure(folder, model_type="mpnet", max_position_embeddings=514)
    assert describe(folder).max_length == 512


def test_a_decoder_with_a_pad_token_is_described(folder):
    configure(folder, model_type="llama", architectures=["LlamaForSequenceClassification"], pad_token_id=0)
    assert describe(folder).family == "llama"


def test_an_unknown_family_offers_single_weights_only(folder):
    configure(folder, model_type="fnet", architectures=["FNetForSequenceClassification"])
    info = describe(folder)
    assert (info.family, info.structures) == (None, ["weights"])
    assert not any(layer.feed_forward for layer in info.layers)
