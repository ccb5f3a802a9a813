"""The part of a module's card that its layout decides: how to open it, and how much smaller it is."""

from __future__ import annotations

from pathlib import Path

from app.sources.images import task_of
from microlith.contract.catalog import Task
from worker.packaging.module_facts import Made

_CHECK = "`sha256sum -c SHA256SUMS` checks the files."
_BYTES = 4  # of a float32

_FOLDER = """## Open it

```python
from transformers import {model}

model = {model}.from_pretrained("this-folder"{trust})
```

{remark}The {inputs} opens with `{opener}.from_pretrained("this-folder")`; {check}"""

_NEURONS_LEFT = (
    "Removed neurons are still there, as zeros: no setting of this architecture's config says how many each block has. "
    "The layout `compact` is without them.\n\n"
)

_MASK = """## Open it

This is the module as data, to be laid over its base `{base}`: {what}. No code is run of it.

```sh
pip install "microlith[masks]"
microlith modules apply this-folder --base path/to/base --out module
```

In Python, `microlith.apply_mask(base, "this-folder")` returns the model. Either gives back every bit of the module, or
says why not: the base is known by the sha256 `{sha256}` of its tensors in float32. {check}"""

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

_TEXT_INPUTS = """tokenizer = AutoTokenizer.from_pretrained("this-folder")
read = tokenizer(["a text"], return_tensors="np")
inputs = {name: read[name].astype(np.int64) for name in ("input_ids", "attention_mask")}"""
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
    remark = _NEURONS_LEFT if neurons_left else ""
    return _FOLDER.format(**OPENED_BY[task(facts)], trust="", remark=remark, check=_CHECK)


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
    trust, remark = ", trust_remote_code=True", " ".join(remarks) + "\n\n"
    return _FOLDER.format(**OPENED_BY[task(facts)], trust=trust, remark=remark, check=_CHECK)


def mask_usage(facts: Made, base_sha256: str) -> str:
    """Data to be laid over a base."""
    what = "one bit for each weight, neuron or head that could go, and the tensors that changed otherwise"
    return _MASK.format(base=facts.spec.model, what=what, sha256=base_sha256, check=_CHECK)


def onnx_usage(facts: Made, agreement: tuple[float, int] | None) -> str:
    """A graph for ONNX Runtime; `agreement` is that of the INT8 graph with float32, and on how many examples."""
    text = task(facts) == "text"
    usage = _ONNX.format(
        import_inputs=f"from transformers import {OPENED_BY[task(facts)]['opener']}\n",
        make_inputs=_TEXT_INPUTS if text else _IMAGE_INPUTS,
        and_length=" and length" if text else "",
        check=_CHECK,
    )
    if agreement is None:
        return usage
    share, examples = agreement
    return (
        f"{usage}\n\n`model.int8.onnx` has its weights in INT8. On {examples:,} examples of the "
        f"{facts.spec.evaluation.validation_split} split it gives {100 * share:.2f} % of them the class that "
        "`model.onnx` gives."
    )


def sizes(facts: Made, *files: Path) -> str:
    """Nominal, effective and file ratio: what was asked to go, what of all parameters is gone, what of the bytes."""
    base, stored = _BYTES * facts.size.base_parameters, sum(file.stat().st_size for file in files)
    effective = 1 - facts.size.nonzero / facts.size.base_parameters
    return (
        "| removed | ratio |\n|---|---:|\n"
        f"| nominal: of the prunable {facts.spec.structure} | {_percent(facts.ratio.requested)} |\n"
        f"| effective: of all parameters, zero or gone | {_percent(effective)} |\n"
        f"| file: of the base's {base / 1e6:,.2f} MB of weights, {stored / 1e6:,.2f} MB left | "
        f"{_percent(1 - stored / base)} |"
    )


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"
