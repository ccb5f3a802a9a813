"""`microlith models`, `datasets` and `methods`: what a job can be built from."""

from __future__ import annotations

from typing import Annotated

import typer

from microlith.cli.session import AsJson, connect, show
from microlith.display import sheets, tables

models = typer.Typer(no_args_is_help=True, help="Models the server knows.")
datasets = typer.Typer(no_args_is_help=True, help="Datasets the server knows.")

Ref = Annotated[str, typer.Argument(help="demo:NAME, hub:ORG/NAME@REVISION or path:PLACE.", metavar="REF")]


@models.command("list")
def list_models(context: typer.Context, as_json: AsJson = False) -> None:
    """The models that come with the server."""
    with connect(context) as client:
        found = list(client.models())
    show(tables.models(found), found, as_json)


@models.command("show")
def show_model(context: typer.Context, ref: Ref, as_json: AsJson = False) -> None:
    """A model's labels and layers."""
    with connect(context) as client:
        model = client.model(ref)
    show(sheets.model(model), model, as_json)


@datasets.command("list")
def list_datasets(context: typer.Context, as_json: AsJson = False) -> None:
    """The datasets that come with the server."""
    with connect(context) as client:
        found = list(client.datasets())
    show(tables.datasets(found), found, as_json)


@datasets.command("show")
def show_dataset(context: typer.Context, ref: Ref, as_json: AsJson = False) -> None:
    """A dataset's columns, splits and label counts."""
    with connect(context) as client:
        dataset = client.dataset(ref)
    show(sheets.dataset(dataset), dataset, as_json)


def methods(context: typer.Context, as_json: AsJson = False) -> None:
    """Everything a job can be told: methods, structures, options and their defaults."""
    with connect(context) as client:
        known = client.methods()
    show(tables.methods(known), known, as_json)
