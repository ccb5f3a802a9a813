"""`microlith models`, `datasets` and `methods`: what a job can be built from, and uploads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from microlith.cli.command import JsonOption, KeyOption, UrlOption, command, remember
from microlith.cli.flags import DATA_FLAGS
from microlith.cli.session import CliSession, err
from microlith.cli.spec import spec_from
from microlith.display import details, tables
from microlith.display.transfer import transfer

RefArgument = Annotated[
    str, typer.Argument(help="An id, demo:NAME, hub:ORG/NAME@REVISION or path:PLACE.", metavar="REF")
]
PathArgument = Annotated[
    str, typer.Argument(metavar="PATH", help="A folder, or a zip or tar of one. For data also a file.")
]


def list_models(session: CliSession) -> None:
    """List your registered models, and those that come with the server."""
    with session.connect() as client:
        listed = list(client.models())
    session.show(tables.models(listed), listed)


def show_model(session: CliSession, ref: RefArgument) -> None:
    """Show a model's labels and layers."""
    with session.connect() as client:
        model = client.model(ref)
    session.show(details.model(model), model)


def upload_model(session: CliSession, path: PathArgument) -> None:
    """Upload a fine-tuned model: config, safetensors and tokenizer, as save_pretrained writes them.

    microlith models upload ./my-model
    """
    with session.connect() as client, transfer(Path(path).name, err()) as hear:
        model = client.upload_model(path, hear)
    session.show(details.model(model), model)
    session.remark(f"Use it in a job: --model {model.id}")


def delete_model(session: CliSession, model: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Delete a model that you registered, and its file. Jobs keep their results."""
    with session.connect() as client:
        client.delete_model(model)
    session.say(f"Deleted {model}.", {"id": model, "deleted": True})


def list_datasets(session: CliSession) -> None:
    """List your registered datasets, and those that come with the server."""
    with session.connect() as client:
        listed = list(client.datasets())
    session.show(tables.datasets(listed), listed)


def show_dataset(session: CliSession, ref: RefArgument) -> None:
    """Show a dataset's columns, splits and label counts."""
    with session.connect() as client:
        dataset = client.dataset(ref)
    session.show(details.dataset(dataset), dataset)


def upload_dataset(session: CliSession, path: PathArgument, flags: dict[str, Any]) -> None:
    """Upload data: CSV, Parquet or JSON Lines, one file or a folder with train, validation and test. What you say of
    how it is read holds in every job with it.

    microlith datasets upload reviews.csv --text-column review --label-column stars --carve test=0.2
    """
    form = spec_from(None, flags, None).get("dataset", {})
    with session.connect() as client, transfer(Path(path).name, err()) as hear:
        dataset = client.upload_dataset(path, hear, **form)
    session.show(details.dataset(dataset), dataset)
    session.remark(f"Use it in a job: --dataset {dataset.id}")


def delete_dataset(session: CliSession, dataset: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Delete a dataset that you registered, and its file. Jobs keep their results."""
    with session.connect() as client:
        client.delete_dataset(dataset)
    session.say(f"Deleted {dataset}.", {"id": dataset, "deleted": True})


@command
def methods(session: CliSession) -> None:
    """List everything that you can set for a job: methods, structures, options and their defaults."""
    with session.connect() as client:
        offered = client.methods()
    session.show(tables.methods(offered), offered)


models_listed, datasets_listed = command(list_models), command(list_datasets)


def _models(context: typer.Context, url: UrlOption = None, key: KeyOption = None, as_json: JsonOption = False) -> None:
    remember(context, url, key, as_json)
    if context.invoked_subcommand is None:
        list_models(context.obj)


def _datasets(
    context: typer.Context, url: UrlOption = None, key: KeyOption = None, as_json: JsonOption = False
) -> None:
    remember(context, url, key, as_json)
    if context.invoked_subcommand is None:
        list_datasets(context.obj)


models = typer.Typer(
    invoke_without_command=True,
    callback=_models,
    help="The models that the server knows. Without a command, lists them.",
)
datasets = typer.Typer(
    invoke_without_command=True,
    callback=_datasets,
    help="The datasets that the server knows. Without a command, lists them.",
)
models.command("list")(models_listed)
models.command("show")(command(show_model))
models.command("upload")(command(upload_model))
models.command("delete")(command(delete_model))
datasets.command("list")(datasets_listed)
datasets.command("show")(command(show_dataset))
datasets.command("upload")(command(upload_dataset, DATA_FLAGS))
datasets.command("delete")(command(delete_dataset))
