"""The header of the weights and the live model name the same linear layers in the same order."""

import random

import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ElectraConfig,
    ElectraForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from app.domain.families import family_of
from app.sources.linear_layers import linear_shapes
from app.sources.models import describe_model
from tests.builders import KINDS, tiny_model
from worker.families.layers import linear_layers

SIZES = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12, "num_hidden_layers": 11}
SMALL = {"vocab_size": 40, "num_labels": 3}
MODELS = {
    "bert": lambda: BertForSequenceClassification(BertConfig(**SIZES, **SMALL)),
    "roberta": lambda: RobertaForSequenceClassification(RobertaConfig(**SIZES, **SMALL)),
    "electra": lambda: ElectraForSequenceClassification(ElectraConfig(embedding_size=4, **SIZES, **SMALL)),
    "distilbert": lambda: DistilBertForSequenceClassification(
        DistilBertConfig(dim=8, n_heads=2, hidden_dim=12, n_layers=11, **SMALL)
    ),
}


@pytest.fixture(params=MODELS)
def model(request):
    torch.manual_seed(0)
    return MODELS[request.param]()


def test_names_shapes_and_order_are_the_live_models(model, tmp_path):
    model.save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text("[UNK]\n")
    info = describe_model(f"path:{tmp_path}", allow_paths=True)
    live = linear_layers(model)
    assert [layer.name for layer in info.layers] == list(live)
    assert [layer.shape for layer in info.layers] == [list(layer.weight.shape) for layer in live.values()]
    assert info.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert sum(layer.feed_forward for layer in info.layers) == 2 * 11


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_the_header_does_not_matter(kind):
    model = tiny_model(kind)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    names = list(shapes)
    random.Random(1).shuffle(names)
    shuffled = {name: shapes[name] for name in names}
    assert list(linear_shapes(shuffled, family_of(kind))) == list(linear_layers(model))
