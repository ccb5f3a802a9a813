"""The part of a module's card that its layout decides: how to open it, and how much smaller it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.domain.layouts import BYTES, number_type_of
from app.sources.images import task_of
from app.sources.short_texts import shorten
from microlith.contract.catalog import Task
from microlith.contract.options import NumberType
from worker.packaging.module_facts import Made

_CHECK = "`sha256sum -c SHA256SUMS` checks the files."

_FOLDER = """## Open it

```python
from transformers import {model}

model = {model}.from_pretrained("this-folder"{options})
```

{remark}The {inputs} opens with `{opener}.from_pretrained("this-folder")`; {check}{pairs}"""

_NEURONS_LEFT = (
    "Removed neurons are still there, as zeros: no setting of this architecture's config says how many each block has. "
    "The layout `compact` is without them."
)

_MASK = """## Open it

This is the module as data, to be laid over its base `{base}`: {what}. No code is run of it.

```sh
pip install "microlith[masks]"
microlith modules apply this-folder --base path/to/base --out module
```

In Python, `microlith.apply_mask(base, "this-folder")` returns the model. Either gives back every bit of the module, or
says why not: the base is known by the sha256 `{sha256}` of its tensors in float32. {check}{pairs}"""

_PAIRS = """

It reads two texts at once, {columns}, as it was measured:

```python
from transformers import AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{folder}")
read = tokenizer(["a text"], ["the text beside it"], truncation=True, return_tensors="pt")
logits = model(**read).logits
```"""

_ONNX = """## Open it

```python
import numpy as np
import onnxruntime
{import_inputs}
session = onnxruntime.InferenceSession("this-folder/model.onnx")
{make_inputs}
logits = session.run(["logits"], inputs)[0]
```

Batch{and_length} may be any. {check}"""

_SEVERAL = """

The logits [{input}s, labels] say which labels each {input} has: those that reach their thresholds, which were chosen on
the {split} split. A sigmoid makes probabilities of logits.

```python
import json

with open("this-folder/decomposition.json", encoding="utf-8") as history:
    thresholds = json.load(history)["thresholds"]
given = [[label for label, logit in zip(thresholds, row) if logit >= thresholds[label]] for row in logits.tolist()]
```"""

_TEXT_INPUTS = """tokenizer = AutoTokenizer.from_pretrained("this-folder")
read = tokenizer({texts}, return_tensors="np")
inputs = {{given.name: read[given.name].astype(np.int64) for given in session.get_inputs()}}"""
_IMAGE_INPUTS = """processor = AutoImageProcessor.from_pretrained("this-folder")
inputs = {"pixel_values": processor(image, return_tensors="np")["pixel_values"].astype(np.float32)}"""

OPENED_BY: dict[Task, dict[str, str]] = {
    "text": {"model": "AutoModelForSequenceClassification", "inputs": "tokenizer", "opener": "AutoTokenizer"},
    "image": {"model": "AutoModelForImageClassification", "inputs": "image processor", "opener": "AutoImageProcessor"},
}


def task(facts: Made) -> Task:
    """What it reads."""
    return task_of(facts.resolved.model.architecture if facts.resolved.model else None)


def portable_usage(facts: Made, *, neurons_left: bool = False) -> str:
    """A folder for plain `from_pretrained`; `neurons_left` where removed neurons are still there, as zeros."""
    return _folder_usage(facts, "", [_NEURONS_LEFT] if neurons_left else [])


def compact_usage(facts: Made, code: str, sha256: str, heads_left: int) -> str:
    """A folder with a modelling file of its own: what it is, and how to know it."""
    remarks = [
        f"It needs `trust_remote_code=True`: transformers then runs `{code}`, which gives each layer its own size and "
        f"does nothing else. Read it first; its sha256 is\n`{sha256}`."
    ]
    if heads_left:
        remarks.append(f"{heads_left} removed heads are still there, as zeros: this architecture computes with them.")
    if "weights" in facts.spec.structure:
        remarks.append("Single weights that were removed stay in their layers as zeros.")
    return _folder_usage(facts, ", trust_remote_code=True", remarks)


def _folder_usage(facts: Made, options: str, remarks: Sequence[str]) -> str:
    """Weights that are stored in half precision are opened in float32, in which they were measured."""
    stored = number_type(facts)
    halved = [] if stored == "float32" else [f"Its weights are stored in {stored}. In float32 it answers as measured."]
    remark = " ".join([*halved, *remarks]) + "\n\n" if halved or remarks else ""
    options = (', dtype="float32"' if halved else "") + options
    opened = OPENED_BY[task(facts)]
    opening = _FOLDER.format(**opened, options=options, remark=remark, check=_CHECK, pairs=_pairs(facts))
    return opening + _deciding(facts)


def number_type(facts: Made) -> NumberType:
    """The type of the weights in a folder."""
    return number_type_of(facts.spec.export, checkpoint_of(facts))


def checkpoint_of(facts: Made) -> NumberType | None:
    """The type of the base's weights, where it is known."""
    return facts.resolved.model.dtype if facts.resolved.model else None


def mask_usage(facts: Made, base_sha256: str) -> str:
    """Data to be laid over a base."""
    what = "one bit for each weight, neuron or head that could go, and the tensors that changed otherwise"
    usage = _MASK.format(
        base=facts.spec.model, what=what, sha256=base_sha256, check=_CHECK, pairs=_pairs(facts, "module")
    )
    return usage + _deciding(facts)


def onnx_usage(facts: Made, agreement: tuple[float, int] | None) -> str:
    """A graph for ONNX Runtime; `agreement` is that of the INT8 graph with float32, and on how many examples."""
    text = task(facts) == "text"
    given = '["a text"], ["the text beside it"]' if facts.spec.source.text_pair_column else '["a text"]'
    usage = _ONNX.format(
        import_inputs=f"from transformers import {OPENED_BY[task(facts)]['opener']}\n",
        make_inputs=_TEXT_INPUTS.format(texts=given) if text else _IMAGE_INPUTS,
        and_length=" and length" if text else "",
        check=_CHECK,
    )
    usage += _deciding(facts)
    if agreement is None:
        return usage
    share, examples = agreement
    what = "class" if facts.meaning.thresholds is None else "labels"
    return (
        f"{usage}\n\n`model.int8.onnx` has its weights in INT8. On {examples:,} examples of the "
        f"{facts.spec.evaluation.validation_split} split it gives {100 * share:.2f} % of them the {what} that "
        "`model.onnx` gives."
    )


def _pairs(facts: Made, folder: str = "this-folder") -> str:
    """How two texts are given to it, where it reads two."""
    source = facts.spec.source
    if source.text_pair_column is None:
        return ""
    first = f"`{shorten(source.text_column)}`" if source.text_column else "the column of texts"
    return _PAIRS.format(columns=f"{first} and `{shorten(source.text_pair_column)}`", folder=folder)


def sizes(facts: Made, *files: Path) -> str:
    """Nominal, effective and file ratio: what was asked to go, what of all parameters is gone, what of the bytes."""
    base = BYTES[checkpoint_of(facts) or "float32"] * facts.size.base_parameters
    stored = sum(file.stat().st_size for file in files)
    effective = 1 - facts.size.nonzero / facts.size.base_parameters
    return (
        "| removed | ratio |\n|---|---:|\n"
        f"| nominal: of the prunable {facts.spec.structure} | {_percent(facts.ratio.requested)} |\n"
        f"| effective: of all parameters, zero or gone | {_percent(effective)} |\n"
        f"| file: of the base's {base / 1e6:,.2f} MB of weights, {stored / 1e6:,.2f} MB left | "
        f"{_percent(1 - stored / base)} |"
    )


def _deciding(facts: Made) -> str:
    """How logits become labels, where that is no argmax."""
    if facts.meaning.thresholds is None:
        return ""
    return _SEVERAL.format(input=task(facts), split=facts.spec.evaluation.validation_split)


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"
