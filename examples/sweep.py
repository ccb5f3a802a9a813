"""Sweep the ratio and choose, for every class, the smallest module that costs at most one point of F1.

    python examples/sweep.py

One job makes every module at every ratio from one calibration pass. Needs a running server (`make serve`), or
MICROLITH_URL.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from microlith import Client
from microlith.client import ModuleHandle

MODEL, DATASET = "demo:bert-tiny-wordnet", "demo:wordnet-supersense"
RATIOS = [0.3, 0.5, 0.7, 0.9]
ALLOWED = 0.01
"""F1 that may be lost on the module's own class: one point."""


def main(
    concern: Annotated[list[str] | None, typer.Option(help="Only these classes. Default: all.")] = None,
    limit: Annotated[int | None, typer.Option(help="Evaluate on at most so many examples.")] = 500,
    folder: Annotated[Path | None, typer.Option(help="Download the chosen modules to here.")] = None,
) -> None:
    with Client() as client:
        job = client.decompose(
            MODEL,
            DATASET,
            concerns=concern or "all",
            structure="neurons",
            recovery="refit",
            ratio=RATIOS,
            evaluation={"limit": limit},
        ).wait(progress=True)
        modules = list(job.modules)
        for label in dict.fromkeys(module.label for module in modules):
            chosen = choose([module for module in modules if module.label == label])
            if chosen is None:
                print(f"{label:15s} the base: every ratio costs more than {ALLOWED * 100:g} point")
                continue
            facts = chosen.facts
            print(
                f"{label:15s} ratio {facts.ratio.requested:g}: F1 {facts.handed_out.f1:.3f}, the base's "
                f"{facts.base_own.f1:.3f}, {facts.size.parameters / facts.size.base_parameters:.0%} of its parameters"
            )
            if folder:
                print(f"{'':15s} {chosen.download(folder)}")


def choose(modules: list[ModuleHandle]) -> ModuleHandle | None:
    """The module with the most removed among those that lose no more than is allowed; None if all lose more."""
    good = [module for module in modules if module.facts.handed_out.f1 >= module.facts.base_own.f1 - ALLOWED]
    return max(good, key=lambda module: module.facts.ratio.requested, default=None)


if __name__ == "__main__":
    typer.run(main)
