"""Your own model and your own CSV: upload both, get modules, open one with plain transformers.

    python examples/own_data.py
    python examples/own_data.py --model ./my-model --data ./my-data --text-column review --label-column stars

Without arguments it takes the model that ships with the project, and writes CSVs of definitions of animals, food and
plants: a small real task, with mistakes. Data is a folder with a file per split (train, validation, test), or one file
that plays every role. Needs a running server (`make serve`), or MICROLITH_URL; the last lines need torch and
transformers: pip install "microlith[masks]".
"""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from microlith import Client

DEMO = Path(__file__).resolve().parents[1] / "app" / "demo"
KINDS = ("animal", "food", "plant")
ROWS = {"train": 20, "validation": 60, "test": 120}
"""Of each kind: sixteen calibrate a module, the others measure it."""


def main(
    model: Annotated[Path, typer.Option(help="A folder as save_pretrained writes it.")] = DEMO / "bert-tiny-wordnet",
    data: Annotated[Path | None, typer.Option(help="A folder with a CSV per split, or one CSV.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Where it has no usual name.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Where it has no usual name.")] = None,
) -> None:
    with tempfile.TemporaryDirectory() as scratch, Client() as client:
        folder = Path(scratch)
        table = data or write_data(folder / "things")
        dataset = client.upload_dataset(table, text_column=text_column, label_column=label_column)
        job = client.decompose(model, dataset.id, concerns="all" if data else list(KINDS)).wait(progress=True)
        for row in job.results().rows():
            print(
                f"{row['concern']:10s} F1 {row['f1']:.3f}, the base's {row['base_f1']:.3f}, {row['support']} examples"
            )
        module = job.modules[0]
        opened = module.load(folder / "modules")
        print(f"{module!r} opened as {type(opened).__name__} with {opened.num_parameters():,} parameters")


def write_data(folder: Path) -> Path:
    """A CSV for each split, texts and labels: what you would have of your own."""
    import pyarrow.parquet

    folder.mkdir()
    for split, count in ROWS.items():
        table = pyarrow.parquet.read_table(DEMO / "wordnet-supersense" / f"{split}.parquet").to_pylist()
        rows = [(row["text"], kind) for kind in KINDS for row in [r for r in table if r["label"] == kind][:count]]
        with (folder / f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("text", "label"), *rows])
    return folder


if __name__ == "__main__":
    typer.run(main)
