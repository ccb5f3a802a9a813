"""Your own model and your own CSV: upload both, get modules, open one with plain transformers.

    python examples/own_data.py
    python examples/own_data.py --model ./my-model --data ./my-data

Without arguments it writes a small CSV of animals, food and plants and takes the model that ships with the project.
A folder of data has a file per split (train, validation, test); a single file plays every role. Needs a running server
(`make serve`), or MICROLITH_URL; the last lines need torch and transformers: pip install "microlith[masks]".
"""

from __future__ import annotations

import csv
import itertools
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from microlith import Client

DEMO_MODEL = Path(__file__).resolve().parents[1] / "app" / "demo" / "bert-tiny-wordnet"
WORDS = {
    "animal": ("small furry mammal", "large grey bird", "venomous snake", "freshwater fish"),
    "food": ("sweet baked dish", "thick vegetable soup", "sharp hard cheese", "bread made of rye flour"),
    "plant": ("tall evergreen tree", "annual herb with blue flowers", "climbing vine", "thorny desert shrub"),
}
PLACES = ("of northern Europe", "of the mountains", "of South America", "of warm countries", "of islands")


def main(
    model: Annotated[Path, typer.Option(help="A folder as save_pretrained writes it.")] = DEMO_MODEL,
    data: Annotated[Path | None, typer.Option(help="A CSV, or a folder with one per split.")] = None,
) -> None:
    with tempfile.TemporaryDirectory() as scratch, Client() as client:
        folder = Path(scratch)
        job = client.decompose(
            model,
            data or write_csv(folder / "things.csv"),
            concerns="all" if data else list(WORDS),
            sampling={"per_concern": 8},
        ).wait(progress=True)
        for row in job.results().rows():
            print(
                f"{row['concern']:10s} F1 {row['f1']:.3f}, the base's {row['base_f1']:.3f}, {row['support']} examples"
            )
        module = job.modules[0]
        opened = module.load(folder / "modules")
        print(f"{module!r} opened as {type(opened).__name__} with {opened.num_parameters():,} parameters")


def write_csv(path: Path) -> Path:
    """A table of texts and labels."""
    rows = [
        (f"{thing} {place}", label)
        for label, things in WORDS.items()
        for thing, place in itertools.product(things, PLACES)
    ]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


if __name__ == "__main__":
    typer.run(main)
