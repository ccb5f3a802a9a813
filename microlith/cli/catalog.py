"""`microlith models`, `datasets` and `methods`: what a job can be built from, and bringing one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from microlith.cli.session import AsJson, connect, err, show
from microlith.display import sheets, tables
from microlith.display.transfer import transfer

models = typer.Typer(no_args_is_help=True, help="Models the server knows.")
datasets = typer.Typer(no_args_is_help=True, help="Datasets the server knows.")

Ref = Annotated[str, typer.Argument(help="An id, demo:NAME, hub:ORG/NAME@REVISION or path:PLACE.", metavar="REF")]
Place = Annotated[str, typer.Argument(metavar="PATH", help="A folder, or a zip or tar of one; for data also a file.")]
Column = typer.Option(metavar="NAME", help="Where it has no usual name.")


@models.command("list")
def list_models(context: typer.Context, as_json: AsJson = False) -> None:
    """Your registered models, and those that come with the server."""
    with connect(context) as client:
        found = list(client.models())
    show(tables.models(found), found, as_json)


@models.command("show")
def show_model(context: typer.Context, ref: Ref, as_json: AsJson = False) -> None:
    """A model's labels and layers."""
    with connect(context) as client:
        model = client.model(ref)
    show(sheets.model(model), model, as_json)


@models.command("upload")
def upload_model(context: typer.Context, place: Place, as_json: AsJson = False) -> None:
    """Bring a fine-tuned model to the server: config, safetensors and tokenizer, as save_pretrained writes them.

    microlith models upload ./my-model
    """
    with connect(context) as client, transfer(Path(place).name, err()) as hear:
        model = client.upload_model(place, hear)
    show(sheets.model(model), model, as_json)
    if not as_json:
        err().print(f"Name it in a job: --model {model.id}", markup=False)


@models.command("delete")
def delete_model(context: typer.Context, model: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Forget a model you registered, and its file. Jobs keep their results."""
    with connect(context) as client:
        client.delete_model(model)


@datasets.command("list")
def list_datasets(context: typer.Context, as_json: AsJson = False) -> None:
    """Your registered datasets, and those that come with the server."""
    with connect(context) as client:
        found = list(client.datasets())
    show(tables.datasets(found), found, as_json)


@datasets.command("show")
def show_dataset(context: typer.Context, ref: Ref, as_json: AsJson = False) -> None:
    """A dataset's columns, splits and label counts."""
    with connect(context) as client:
        dataset = client.dataset(ref)
    show(sheets.dataset(dataset), dataset, as_json)


@datasets.command("upload")
def upload_dataset(
    context: typer.Context,
    place: Place,
    *,
    text_column: Annotated[str | None, Column] = None,
    image_column: Annotated[str | None, Column] = None,
    label_column: Annotated[str | None, Column] = None,
    as_json: AsJson = False,
) -> None:
    """Bring data to the server: CSV, Parquet or JSON Lines, one file or a folder with train, validation and test.

    microlith datasets upload reviews.csv --text-column review --label-column stars
    """
    columns = {"text_column": text_column, "image_column": image_column, "label_column": label_column}
    with connect(context) as client, transfer(Path(place).name, err()) as hear:
        dataset = client.upload_dataset(place, hear, **columns)
    show(sheets.dataset(dataset), dataset, as_json)
    if not as_json:
        err().print(f"Name it in a job: --dataset {dataset.id}", markup=False)


@datasets.command("delete")
def delete_dataset(context: typer.Context, dataset: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Forget a dataset you registered, and its file. Jobs keep their results."""
    with connect(context) as client:
        client.delete_dataset(dataset)


def methods(context: typer.Context, as_json: AsJson = False) -> None:
    """Everything a job can be told: methods, structures, options and their defaults."""
    with connect(context) as client:
        known = client.methods()
    show(tables.methods(known), known, as_json)
