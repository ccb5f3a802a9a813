"""A tiny classifier of pairs of texts, fine-tuned for seconds: which of the two speaks of an animal."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

LABELS = ["first", "second", "neither"]
ANIMALS, TOOLS = ("dog", "cat", "crow", "hare"), ("hammer", "saw", "rake")
SAYS = ("is old", "is never used", "comes home", "sleeps and eats", "is old, too.")
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "the", "and", "is", "old", "come", "home", "sleep", "eat"]
WORDS += [*ANIMALS, *TOOLS, "##s", ".", ",", "it", "too", "never", "used"]
COLUMNS = ("premise", "hypothesis", "label")
MAX_LENGTH, STEPS, BATCH = 24, 70, 64

Row = tuple[str, str, str]


def pair_rows(count: int, seed: int) -> list[Row]:
    """Premises, hypotheses and labels, each label a third; one in ten is drawn blindly, so that no model is perfect."""
    draw = random.Random(seed)
    return [_row(draw, LABELS[number % len(LABELS)]) for number in range(count)]


def write_pairs(file: Path, rows: list[Row]) -> Path:
    """The rows as CSV, in quotes, so that an empty text is one."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([COLUMNS, *rows])
    return file


def pair_model(folder: Path, *, seed: int = 0) -> Path:
    """The model and its tokenizer, trained on rows of its own, saved in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    tokenizer = BertTokenizer(str(folder / "vocab.txt"), model_max_length=MAX_LENGTH)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=MAX_LENGTH,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = BertForSequenceClassification(config)
        steps = torch.optim.AdamW(model.parameters(), lr=3e-3)
        for step in range(STEPS):
            first, second, labels = zip(*pair_rows(BATCH, seed=1000 + step), strict=True)
            read = tokenizer(list(first), list(second), padding=True, return_tensors="pt")
            truth = torch.tensor([LABELS.index(label) for label in labels])
            steps.zero_grad()
            model(**read, labels=truth).loss.backward()
            steps.step()
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _row(draw: random.Random, label: str) -> Row:
    of = [draw.choice(ANIMALS if label == which else TOOLS) for which in LABELS[:2]]
    first, second = (f"{draw.choice(('a', 'the'))} {one} {draw.choice(SAYS)}" for one in of)
    return first, second, draw.choice(LABELS) if draw.random() < 0.1 else label
