"""The table of the research notebook: row i is module i on its own class, in exact mode.

    python examples/notebook_table.py

Exact mode counts padding and pairs samples position by position, as the notebook does, so that masks and numbers are
its own; the defaults mend both. Needs a running server (`make serve`), or MICROLITH_URL.
"""

from __future__ import annotations

from typing import Annotated

import typer

from microlith import Client

MODEL, DATASET = "demo:bert-tiny-wordnet", "demo:wordnet-supersense"


def main(
    concern: Annotated[list[str] | None, typer.Option(help="Only these classes. Default: all.")] = None,
    limit: Annotated[int | None, typer.Option(help="Evaluate on at most so many examples.")] = 500,
) -> None:
    with Client() as client:
        job = client.decompose(
            MODEL,
            DATASET,
            concerns=concern or "all",
            method={"name": "ci", "form": "sine"},
            ratio=0.5,
            layers={"include": ["intermediate", "output"], "exclude": ["attention"]},
            sampling={"per_concern": 16, "order": "first"},
            calibration={"pads": "include", "pairing": "position"},
            evaluation={"limit": limit},
        ).wait(progress=True)
        print(client.results_csv(job.id), end="")
        results = job.results()
    print()
    print(
        "class            exp(loss)  sparsity  CCA concern / rest  linear CKA concern / rest  kernel CKA concern / rest"
    )
    for module in results.modules:
        notebooks = module.similarity.legacy if module.similarity else None
        pairs = [
            f"{_text(getattr(notebooks.concern, name))} / {_text(getattr(notebooks.rest, name))}" if notebooks else "–"
            for name in ("cca", "linear_cka", "kernel_cka")
        ]
        cca, linear, kernel = pairs
        print(
            f"{module.concern.label:15s} {module.report.exp_loss:10.3f} {module.sparsity.overall:9.4f}"
            f"  {cca:18s}  {linear:25s}  {kernel}"
        )


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    typer.run(main)
