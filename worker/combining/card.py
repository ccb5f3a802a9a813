"""The README of a recomposed classifier: how to run it, what it is made of, how it measures beside the original."""

from __future__ import annotations

from microlith.contract.combine import Combination, Compared, Interval

_USE = {
    "text": """```python
from run import load                         # beside this file: numpy, onnxruntime and tokenizers
# or: from microlith.combined import load

combined = load(".")
combined.predict(["a sentence to classify"])
combined.scores(["a sentence to classify"])  # [texts, labels], in the order of the table
```""",
    "pair": """```python
from run import load                         # beside this file: numpy, onnxruntime and tokenizers
# or: from microlith.combined import load

combined = load(".")
pairs = [("a text", "the text beside it")]   # in a shell, a tab stands between the two
combined.predict(pairs)
combined.scores(pairs)                       # [pairs, labels], in the order of the table
```""",
    "image": """```python
from run import load                   # beside this file: numpy and onnxruntime, Pillow for pictures
# or: from microlith.combined import load

combined = load(".")
combined.predict(["picture.png"])      # or arrays of pixels [channels, height, width], as the data has them
combined.scores(["picture.png"])       # [images, labels], in the order of the table
```""",
}


def card(combination: Combination, graph_bytes: int, reads: str = "text") -> str:
    """Markdown, from the combination's own facts."""
    sections = [
        "# A classifier put together from modules",
        f"{len(combination.labels)} labels, each answered by a module of its own; {graph_bytes / 1e6:.1f} MB in one "
        f"graph. Scores are calibrated (`{combination.calibration}`); {_DECISIONS[combination.decision]}.",
        _USE[reads],
        *_measured(combination),
    ]
    return "\n\n".join(sections) + "\n"


def _measured(combination: Combination) -> list[str]:
    """The sections that say how it compares."""
    measured = combination.comparison
    return [
        f"## Beside {measured.reference}",
        f"{measured.rows:,} examples; in brackets the {measured.confidence:.0%} intervals of {measured.resamples:,} "
        "paired bootstrap resamples.",
        table(combination),
        *(f"> {note}" for note in combination.notes),
    ]


def class_set_card(combination: Combination, usage: str) -> str:
    """The README of a class set, a model of some of its base's classes; `usage` is the section its layout decides."""
    sections = [
        "# A model of some classes",
        f"One model that answers {', '.join(combination.labels)}: what any of their modules keeps of "
        f"{combination.comparison.reference}, with its head cut to them.{_MENDED[combination.recovery]}",
        usage,
        *_measured(combination),
    ]
    return "\n\n".join(sections) + "\n"


_MENDED = {
    "none": "",
    "bias": " The mean of what is gone was folded into the biases that follow.",
    "refit": " What is left of the pruned layers was solved anew, by least squares.",
}


def table(combination: Combination) -> str:
    """Macro-F1, accuracy and every concern's F1, in points: combined, original and difference."""
    measured = combination.comparison
    rows = [("**macro-F1**", "", measured.macro_f1), ("**accuracy**", "", measured.accuracy)]
    rows += [(f"F1 of {concern.label}", concern.model, concern.f1) for concern in measured.concerns]
    lines = ["| | module of | combined | original | difference |", "|---|---|--:|--:|--:|"]
    lines += [f"| {name} | {model} | {_cells(compared)} |" for name, model, compared in rows]
    return "\n".join(lines)


def _cells(compared: Compared) -> str:
    pair = (compared.combined, compared.reference)
    return " | ".join([*(interval(one) for one in pair), interval(compared.difference, sign="+")])


def interval(one: Interval, *, sign: str = "") -> str:
    """A measure and its interval, in points of a hundred."""
    return f"{100 * one.value:{sign}.2f} [{100 * one.low:{sign}.2f}, {100 * one.high:{sign}.2f}]"


_DECISIONS = {
    "argmax": "the highest one decides",
    "threshold": "every label is answered whose score reaches its threshold",
}
