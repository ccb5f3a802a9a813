"""Take a classifier apart, put its modules together again, and compare it with the original.

    python examples/recompose.py

Every module scores its own class; their scores are calibrated on validation data and the highest wins. The result is
one ONNX file with its tokenizer, opened here without torch: `microlith.combined` needs numpy, onnxruntime, tokenizers.
Needs a running server (`make serve`), or MICROLITH_URL.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from microlith import Client
from microlith.client.archive import unpack
from microlith.combined import load

MODEL, DATASET = "demo:bert-tiny-wordnet", "demo:wordnet-supersense"
TEXT = "small furry mammal with long ears that lives in a burrow"


def main(
    concern: Annotated[list[str] | None, typer.Option(help="Only these classes. Default: all.")] = None,
    limit: Annotated[int | None, typer.Option(help="Use at most so many examples of each split.")] = 500,
) -> None:
    with Client() as client, tempfile.TemporaryDirectory() as folder:
        job = client.decompose(
            MODEL, DATASET, concerns=concern or "all", structure="neurons", evaluation={"limit": limit}
        ).wait(progress=True)
        wanted = {"mode": "recompose", "modules": [module.id for module in job.modules], "dataset": DATASET}
        asked = client.combine({**wanted, "evaluation": {"limit": limit}})
        made = client.attach(asked.id).wait(progress=True)
        told = made.results().combination
        if told is None:
            raise SystemExit("The job made no combination.")
        for name, compared in (("macro-F1", told.comparison.macro_f1), ("accuracy", told.comparison.accuracy)):
            change = compared.difference
            print(
                f"{name}: {compared.combined.value:.3f}, the original's {compared.reference.value:.3f}, "
                f"difference {change.value:+.3f} [{change.low:+.3f}, {change.high:+.3f}]"
            )
        archive = client.download(made.facts.artifacts[0], Path(folder) / "combined.zip")
        print(f"{TEXT}: {load(unpack(archive, Path(folder) / 'combined')).predict([TEXT])[0]}")


if __name__ == "__main__":
    typer.run(main)
