"""`microlith modules`: look at modules, bring them home, and make them of masks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from microlith.cli import session
from microlith.cli.session import AsJson, JobId, connect, err, out, show
from microlith.client import Client
from microlith.contract import Module
from microlith.display import sheets, tables
from microlith.display.transfer import transfer
from microlith.errors import NotABase

app = typer.Typer(no_args_is_help=True, help="The modules of a job: look at them, download them, make them of masks.")

ModuleId = Annotated[str, typer.Argument(help="The module, as `modules list` names it.", metavar="MODULE")]


@app.command("list")
def list_modules(context: typer.Context, job: JobId, as_json: AsJson = False) -> None:
    """The modules a job has made so far."""
    with connect(context) as client:
        found = client.modules(job)
    show(tables.modules(found), found, as_json)


@app.command("show")
def show_module(context: typer.Context, module: ModuleId, as_json: AsJson = False) -> None:
    """A module's scores, its report and its files."""
    with connect(context) as client:
        found = client.module(module)
    show(sheets.module(found), found, as_json)


@app.command()
def download(  # noqa: PLR0913 - every flag of a command is an argument
    context: typer.Context,
    *,
    named: Annotated[list[str] | None, typer.Argument(metavar="MODULE", help="Which modules, or --job.")] = None,
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Where to; made when it is missing.")],
    job: Annotated[str | None, typer.Option(help="Every module of this job.")] = None,
    concern: Annotated[list[str] | None, typer.Option(help="Of the job, only these labels or ids.")] = None,
    layout: Annotated[str, typer.Option(help="Which file form.")] = "portable",
    unpack: Annotated[bool, typer.Option(help="Unpack each module into a folder of its own.")] = True,
    as_json: AsJson = False,
) -> None:
    """Download modules, every digest checked; what broke off goes on where it stopped.

    microlith modules download mod_01… ./modules

    microlith modules download --job job_01… --concern animal --concern plant ./modules
    """
    named = named or []
    _check_usage(named, job, concern)
    fetched = []
    with connect(context) as client:
        chosen = _of_job(client, job, concern) if job else [client.module(name) for name in named]
        for module in chosen:
            with transfer(module.concern.label, err()) as hear:
                path = client.download_module(module, folder, layout, unpack=unpack, on_bytes=hear)
            fetched.append({"module": module.id, "concern": module.concern.label, "path": str(path)})
            if not as_json:
                out().print(f"{module.concern.label}: {path}", soft_wrap=True, markup=False)
    if as_json:
        typer.echo(json.dumps(fetched, indent=2, ensure_ascii=False))


@app.command()
def export(
    context: typer.Context,
    module: ModuleId,
    layout: Annotated[str, typer.Option(help="Which file form: portable, compact, mask or onnx.")],
    int8: Annotated[bool, typer.Option(help="With onnx: a graph with weights in INT8 beside it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Have one more file form of a module made, and wait for it; then download it with --layout."""
    with connect(context) as client:
        client.wait(client.order_layout(module, layout, int8=int8).id)
        found = client.module(module)
    show(sheets.module(found), found, as_json)


@app.command()
def combine(
    context: typer.Context,
    modules: Annotated[list[str], typer.Argument(metavar="MODULE", help="One for each concern, two or more.")],
    dataset: Annotated[str, typer.Option(help="What calibrates and measures the combination.")],
    mode: Annotated[str, typer.Option(help="class_set (one base) or recompose (any bases).")] = "recompose",
    out_folder: Annotated[str, typer.Option("--out", help="Where the classifier goes.")] = ".",
    as_json: AsJson = False,
) -> None:
    """Make one classifier of several modules, wait for it, and download it.

    microlith modules combine mod_01… mod_02… --dataset demo:wordnet-supersense --out combined
    """
    with connect(context) as client:
        job = client.wait(client.combine({"mode": mode, "modules": modules, "dataset": dataset}).id)
        told = client.results(job.id).combination
        path = client.download(job.artifacts[0], out_folder + "/")
    show(tables.combination(told) if told else "", told or job, as_json)
    if not as_json:
        out().print(f"The classifier: {path}", soft_wrap=True, markup=False)


@app.command()
def apply(
    mask: Annotated[Path, typer.Argument(metavar="MASK", help="A module in layout `mask`: the zip or its folder.")],
    base: Annotated[Path, typer.Option(help="The folder of the base model.")],
    out: Annotated[Path, typer.Option(help="Where the module goes; must not exist.")],
    as_json: AsJson = False,
) -> None:
    """Make a module of its mask and its base, bit for bit; opens with plain from_pretrained.

    microlith modules apply modules/animal-0.5-mask --base ./bert --out ./animal
    """
    path = str(_applied(mask, base, out))
    if as_json:
        typer.echo(json.dumps({"path": path}))
    else:
        session.out().print(path, soft_wrap=True, markup=False)


def _applied(mask: Path, base: Path, target: Path) -> Path:
    try:
        from microlith.masks.folder import apply_to_folder

        return apply_to_folder(base, mask, target)
    except ModuleNotFoundError as error:
        raise NotABase(f'Masks need {error.name}: pip install "microlith[masks]".') from error


def _check_usage(named: list[str], job: str | None, concern: list[str] | None) -> None:
    if bool(named) == bool(job):
        raise typer.BadParameter("name modules and a folder, or --job and a folder")
    if concern and not job:
        raise typer.BadParameter("goes with --job only", param_hint="--concern")


def _of_job(client: Client, job: str, wanted: list[str] | None) -> list[Module]:
    """The job's modules for the wanted concerns. A wrong one is answered with those there are."""
    modules = client.modules(job)
    if not wanted:
        return modules
    known = {name: module.concern for module in modules for name in (module.concern.label, str(module.concern.id))}
    strangers = [name for name in wanted if name not in known]
    if strangers:
        labels = ", ".join(dict.fromkeys(module.concern.label for module in modules)) or "none yet"
        raise typer.BadParameter(f"{', '.join(strangers)}: the job's modules are {labels}", param_hint="--concern")
    ids = {known[name].id for name in wanted}
    return [module for module in modules if module.concern.id in ids]
