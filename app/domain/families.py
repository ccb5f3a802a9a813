"""Where the parts of a block live in each architecture, by name alone: known without loading a model.

A family is found by the `model_type` of a Hugging Face config. A block has a feed-forward part, whose neurons are
written by one or two linear layers and read by another, and an attention part, whose heads are rows of the query, key
and value layers and columns of the output layer. Names are those of transformers 5's live models; `renames` leads from
the names that a family's files keep.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class FeedForward:
    """One block's feed-forward layers, by dotted name.

    Neuron j is row j of every writer and column j of `output`. A gated block has two writers, or one that holds both
    (`fused`): there neuron j is rows j and j + n of n neurons.
    """

    block: str
    writers: tuple[str, ...]
    output: str
    fused: bool = False

    @property
    def intermediate(self) -> str:
        """The layer that stands for the block in patterns and reports: the first writer."""
        return self.writers[0]

    @property
    def layers(self) -> tuple[str, ...]:
        """All its linear layers, in the model's order."""
        return (*self.writers, self.output)


@dataclass(frozen=True)
class Attention:
    """One block's attention layers, by dotted name; `fused` has one layer for query, key and value, in that order.

    An `interleaved` one has them in that order for each head in turn. `positions` are layers that project relative
    positions head by head, as query and key project tokens.
    """

    block: str
    query: str
    key: str
    value: str
    output: str
    fused: bool = False
    positions: tuple[str, ...] = ()
    interleaved: bool = False

    @property
    def layers(self) -> tuple[str, ...]:
        """All its linear layers, each once, in the model's order."""
        return tuple(dict.fromkeys((self.query, self.key, self.value, *self.positions, self.output)))


@dataclass(frozen=True)
class Family:
    """An architecture: its config types, and what its layers are called below a block.

    `block` is the pattern of a block's dotted name. `writers`, `output` and `attention` (query, key, value, output) are
    relative to it; equal names in them mean a fused layer.
    """

    name: str
    model_types: frozenset[str]
    block: str
    writers: tuple[str, ...]
    output: str
    attention: tuple[str, ...]
    positions: tuple[str, ...] = ()
    classifier: str = "classifier"
    """The linear layer that writes the logits."""
    classifier_first: bool = False
    """Whether the model's own walk meets the classifier before the blocks."""
    gated: bool = False
    width: str = "intermediate_size"
    """The config setting that holds the number of neurons."""
    decoder: bool = False
    """Whether it answers at the last token, which it finds by the config's `pad_token_id`."""
    shared: bool = False
    """Whether one block serves all layers: none of them can go alone."""
    tail: str | None = None
    """The module of a block from which on positions no longer meet, where the classifier reads the first one alone:

    in the last block the others need not go on."""
    renames: tuple[tuple[str, str], ...] = ()
    """Patterns and replacements that turn the names in files into the live model's."""

    def feed_forwards(self, linear_layers: Iterable[str]) -> list[FeedForward]:
        """The whole feed-forward parts among `linear_layers`, first block first."""
        names = list(linear_layers)
        parts = (
            FeedForward(
                block=block,
                writers=tuple(f"{block}.{writer}" for writer in self.writers),
                output=f"{block}.{self.output}",
                fused=self.gated and len(self.writers) == 1,
            )
            for block in self._blocks(names)
        )
        known = frozenset(names)
        return [part for part in parts if known.issuperset(part.layers)]

    def attentions(self, linear_layers: Iterable[str]) -> list[Attention]:
        """The whole attention parts among `linear_layers`, first block first."""
        names = list(linear_layers)
        known = frozenset(names)
        parts = (self._attention(block, known) for block in self._blocks(names))
        return [part for part in parts if known.issuperset(part.layers)]

    def blocks(self, linear_layers: Iterable[str]) -> list[str]:
        """Every block among `linear_layers`, first block first."""
        return list(self._blocks(linear_layers))

    def live_name(self, name: str) -> str:
        """What the live model calls a tensor that a file calls `name`."""
        for pattern, replacement in self.renames:
            name = re.sub(pattern, replacement, name)
        return name

    def _attention(self, block: str, names: frozenset[str]) -> Attention:
        query, key, value, output = (f"{block}.{name}" for name in self.attention)
        positions = (f"{block}.{name}" for name in self.positions)
        return Attention(block, query, key, value, output, query == key, tuple(p for p in positions if p in names))

    def _blocks(self, names: Iterable[str]) -> Iterator[str]:
        """Each block once, in the order of its first layer."""
        matches = (re.match(rf"(.*\.|){self.block}(?=\.)", name) for name in names)
        return iter(dict.fromkeys(match[0] for match in matches if match))


_ENCODER, _LAYERS = r"encoder\.layer\.\d+", r"layers\.\d+"
_SELF = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense")
_PROJ = ("q_proj", "k_proj", "v_proj", "o_proj")
_GATED = ("mlp.gate_proj", "mlp.up_proj")


def _bert_like(
    name: str, *model_types: str, classifier: str = "classifier.out_proj", classifier_first: bool = False
) -> Family:
    return Family(
        name=name,
        model_types=frozenset(model_types),
        block=_ENCODER,
        writers=("intermediate.dense",),
        output="output.dense",
        attention=_SELF,
        classifier=classifier,
        classifier_first=classifier_first,
        tail="attention.output",
    )


def _decoder(name: str) -> Family:
    return Family(
        name=name,
        model_types=frozenset({name}),
        block=_LAYERS,
        writers=_GATED,
        output="mlp.down_proj",
        attention=tuple(f"self_attn.{layer}" for layer in _PROJ),
        classifier="score",
        gated=True,
        decoder=True,
    )


FAMILIES: tuple[Family, ...] = (
    _bert_like("bert", "bert", classifier="classifier"),
    _bert_like("roberta", "roberta"),
    _bert_like("xlm-roberta", "xlm-roberta", "camembert", classifier_first=True),
    _bert_like("electra", "electra"),
    Family(
        name="distilbert",
        model_types=frozenset({"distilbert"}),
        block=r"transformer\.layer\.\d+",
        writers=("ffn.lin1",),
        output="ffn.lin2",
        attention=("attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin"),
        width="hidden_dim",
        tail="sa_layer_norm",
    ),
    Family(  # all layers of a group are one block: what is removed of it is removed of every layer
        name="albert",
        model_types=frozenset({"albert"}),
        block=r"albert_layer_groups\.\d+\.albert_layers\.\d+",
        writers=("ffn",),
        output="ffn_output",
        attention=("attention.query", "attention.key", "attention.value", "attention.dense"),
        shared=True,
    ),
    Family(
        name="deberta-v2",
        model_types=frozenset({"deberta-v2"}),
        block=_ENCODER,
        writers=("intermediate.dense",),
        output="output.dense",
        attention=(*(f"attention.self.{part}_proj" for part in ("query", "key", "value")), "attention.output.dense"),
        positions=("attention.self.pos_key_proj", "attention.self.pos_query_proj"),
        tail="attention.output",
    ),
    Family(
        name="mpnet",
        model_types=frozenset({"mpnet"}),
        block=_ENCODER,
        writers=("intermediate.dense",),
        output="output.dense",
        attention=("attention.attn.q", "attention.attn.k", "attention.attn.v", "attention.attn.o"),
        classifier="classifier.out_proj",
        tail="attention.LayerNorm",
    ),
    Family(
        name="modernbert",
        model_types=frozenset({"modernbert"}),
        block=_LAYERS,
        writers=("mlp.Wi",),
        output="mlp.Wo",
        attention=("attn.Wqkv", "attn.Wqkv", "attn.Wqkv", "attn.Wo"),
        gated=True,
        tail="mlp_norm",
    ),
    _decoder("llama"),
    _decoder("qwen2"),
    Family(
        name="vit",
        model_types=frozenset({"vit"}),
        block=_LAYERS,
        writers=("mlp.fc1",),
        output="mlp.fc2",
        attention=tuple(f"attention.{layer}" for layer in _PROJ),
        tail="layernorm_after",
        renames=(
            (r"\.encoder\.layer\.", ".layers."),
            (r"\.attention\.attention\.(q|k|v)(uery|ey|alue)\.", r".attention.\1_proj."),
            (r"\.attention\.output\.dense\.", ".attention.o_proj."),
            (r"\.intermediate\.dense\.", ".mlp.fc1."),
            (r"\.output\.dense\.", ".mlp.fc2."),
        ),
    ),
)


OFFSET_POSITIONS = frozenset(
    {
        *("camembert", "data2vec-text", "esm", "ibert", "layoutlmv3", "lilt", "longformer", "luke", "markuplm"),
        *("mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod"),
    }
)
"""Model types whose positions start after the padding id (transformers, create_position_ids_from_input_ids)."""

LAST_TOKEN = frozenset(
    {
        *("arcee", "axk1", "axk2", "biogpt", "bloom", "cohere_compass_text", "ctrl", "deepseek_v2", "deepseek_v3"),
        *("diffllama", "doge", "exaone4", "falcon", "gemma", "gemma2", "gemma3", "gemma3_text", "glm", "glm4"),
        *("gpt-sw3", "gpt2", "gpt_bigcode", "gpt_neo", "gpt_neox", "gpt_oss", "gptj", "helium", "hunyuan_v1_dense"),
        *("hunyuan_v1_moe", "jamba", "jetmoe", "llama", "minicpm3", "minimax", "ministral", "ministral3", "mistral"),
        *("mistral4", "mixtral", "modernbert-decoder", "mpt", "nemotron", "olmo", "olmo2", "olmo3", "openai-gpt"),
        *("opt", "persimmon", "phi", "phi3", "phimoe", "qwen2", "qwen2_moe", "qwen3", "qwen3_5", "qwen3_5_text"),
        *("qwen3_moe", "qwen3_next", "seed_oss", "smollm3", "stablelm", "starcoder2", "t5gemma", "t5gemma2"),
        *("zamba", "zamba2"),
    }
)
"""Model types that answer at the last token before the pads, which they find by the config's `pad_token_id`."""


def family_of(model_type: str | None) -> Family | None:
    """The family of a config's `model_type`; None where only plain linear layers are known."""
    return next((family for family in FAMILIES if model_type in family.model_types), None)


def family_named(name: str | None) -> Family | None:
    """The family with this name; None where it is not known."""
    return next((family for family in FAMILIES if family.name == name), None)
