"""`microlith jobs`: ask for decompositions, watch them, compare what came out."""

from __future__ import annotations

import itertools
from typing import Annotated, Any, Literal

import typer

from microlith.cli import spec as specs
from microlith.cli.outcome import INTERRUPTED, settle
from microlith.cli.session import AsJson, JobId, connect, err, out, show
from microlith.client import Client, JobFilters
from microlith.contract import Job, State
from microlith.display import live, sheets, tables
from microlith.errors import Unreachable

app = typer.Typer(no_args_is_help=True, help="Decompositions: submit, watch, compare.")

Texts = list[str] | None
Label = Annotated[Texts, typer.Option(metavar="KEY=VALUE", help="Your own mark; may be given several times.")]


@app.command()
def submit(  # noqa: PLR0913, PLR0917 - every flag of a command is an argument
    context: typer.Context,
    model: Annotated[
        str | None, typer.Option(metavar="REF", help="demo:NAME, hub:ORG/NAME@REVISION or path:FOLDER.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(metavar="REF", help="The same kinds of reference.")] = None,
    text_column: Annotated[str | None, typer.Option(metavar="NAME", help="The dataset's column of texts.")] = None,
    image_column: Annotated[str | None, typer.Option(metavar="NAME", help="The dataset's column of images.")] = None,
    label_column: Annotated[str | None, typer.Option(metavar="NAME", help="The dataset's column of labels.")] = None,
    concern: Annotated[
        Texts, typer.Option(metavar="LABEL", help="A class by label or id; several times for several. Default: all.")
    ] = None,
    method: Annotated[str | None, typer.Option(metavar="NAME", help="How importance is scored. Default: ci.")] = None,
    form: Annotated[
        str | None, typer.Option(metavar="NAME", help="The formula of method ci: sine, alpha. Default: sine.")
    ] = None,
    structure: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What is removed: weights, neurons, heads, … Default: weights."),
    ] = None,
    ratio: Annotated[
        list[float] | None,
        typer.Option(metavar="FRACTION", help="Fraction REMOVED; several make a sweep. Default: 0.5."),
    ] = None,
    include: Annotated[
        Texts,
        typer.Option(metavar="PATTERN", help="Prune layers with this in their name. Default: feed-forward layers."),
    ] = None,
    exclude: Annotated[Texts, typer.Option(metavar="PATTERN", help="Leave out layers with this in their name.")] = None,
    per_concern: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="Samples of a concern, and of the rest. Default: 16.")
    ] = None,
    order: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which samples: first, random. Default: first.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="Makes random order repeatable. Default: 44.")
    ] = None,
    pads: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whether padding counts: exclude, include. Default: exclude.")
    ] = None,
    pairing: Annotated[
        str | None, typer.Option(metavar="NAME", help="Compare by class sums or tokens: free, position. Default: free.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="Evaluate on at most so many examples. Default: all.")
    ] = None,
    settings: Annotated[
        Texts,
        typer.Option("--set", metavar="PLACE=VALUE", help="Any other place of the spec: sampling.negatives=confusers."),
    ] = None,
    label: Label = None,
    reuse: Annotated[bool | None, typer.Option(help="Take an identical finished job instead. Default: reuse.")] = None,
    spec: Annotated[str | None, typer.Option(metavar="FILE", help="A JSON spec, - for stdin; flags change it.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what would be done.")] = False,
    watch: Annotated[bool, typer.Option(help="Stay until the job is over.")] = True,
    as_json: AsJson = False,
) -> None:
    """Ask for a decomposition; watch it and print its results.

    microlith jobs submit --model demo:bert-tiny-wordnet --dataset demo:wordnet-supersense

    --model and --dataset are needed, here or in --spec. What is left out has the server's default, which
    `microlith methods` tells.
    """
    flags = {
        "model": model,
        "dataset": dataset,
        "dataset.text_column": text_column,
        "dataset.image_column": image_column,
        "dataset.label_column": label_column,
        "concerns": specs.concerns(concern),
        "method.name": method,
        "method.form": form,
        "structure": structure,
        "ratio": specs.ratio(ratio),
        "layers.include": include or None,
        "layers.exclude": exclude or None,
        "sampling.per_concern": per_concern,
        "sampling.order": order,
        "sampling.seed": seed,
        "calibration.pads": pads,
        "calibration.pairing": pairing,
        "evaluation.limit": limit,
        "labels": specs.labels(label),
        "reuse": reuse,
        **specs.settings(settings),
    }
    _submit(context, specs.overlay(specs.read_spec(spec), flags), plan, watch, as_json)


def _submit(context: typer.Context, spec: dict[str, Any], plan: bool, watch: bool, as_json: bool) -> None:
    missing = [f"--{name}" for name in ("model", "dataset") if not spec.get(name)]
    if missing:
        raise typer.BadParameter(f"{' and '.join(missing)} must be given (`microlith models list`, `datasets list`)")
    with connect(context) as client:
        if plan:
            planned = client.plan(spec)
            show(sheets.plan(planned), planned, as_json)
            return
        job = client.submit(spec)
        if watch:
            err().print(f"Job {job.id}" + (" was done before: here it is." if job.finished else ""))
            _watch(client, job.id, as_json)
        else:
            show(sheets.job(job), job, as_json)


@app.command()
def watch(context: typer.Context, job: JobId, as_json: AsJson = False) -> None:
    """Follow a job to its end; the exit code is 0 if it succeeded and 1 otherwise. Ctrl-C leaves it running."""
    with connect(context) as client:
        _watch(client, job, as_json)


def _watch(client: Client, job_id: str, as_json: bool) -> None:
    """Progress to the error output; at the end the results, or with `as_json` the job, to the standard output."""
    try:
        job = live.follow(client.watch(job_id), err())
    except KeyboardInterrupt:
        err().print(f"The job goes on. {_come_back(job_id)}")
        raise typer.Exit(INTERRUPTED) from None
    except Unreachable:
        err().print(f"The server is away, the job is safe. {_come_back(job_id)}")
        raise
    if as_json:
        typer.echo(job.model_dump_json(indent=2))
    elif job.state == "succeeded":
        out().print(tables.results(client.results(job_id)))
        err().print(f"Bring them home: [bold]microlith modules download --job {job_id} FOLDER[/]")
    settle(job)


def _come_back(job_id: str) -> str:
    return f"Come back: [bold]microlith jobs watch {job_id}[/]"


@app.command("list")
def list_jobs(
    context: typer.Context,
    state: Annotated[State | None, typer.Option(help="Only jobs in this state.")] = None,
    model: Annotated[str | None, typer.Option(help="Only jobs on this model.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Only jobs on this dataset.")] = None,
    label: Label = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Your jobs, newest first."""
    filters: JobFilters = {"page": min(limit, 100), "labels": specs.labels(label) or {}}
    given: dict[Literal["state", "model", "dataset"], Any] = {"state": state, "model": model, "dataset": dataset}
    for name, value in given.items():
        if value is not None:
            filters[name] = value
    with connect(context) as client:
        found = list(itertools.islice(client.jobs(**filters), limit))
    show(tables.jobs(found), found, as_json)


@app.command("show")
def show_job(context: typer.Context, job: JobId, as_json: AsJson = False) -> None:
    """A job as it is: state, progress, error, what it was asked and what that came to."""
    with connect(context) as client:
        _tell(client.job(job), as_json)


@app.command()
def results(
    context: typer.Context,
    job: JobId,
    csv: Annotated[bool, typer.Option("--csv", help="Print class,precision,recall,f1-score,support.")] = False,
    as_json: AsJson = False,
) -> None:
    """Every module beside the base: precision, recall and F1 on its own class, ratio, sparsity, size."""
    with connect(context) as client:
        if csv:
            typer.echo(client.results_csv(job), nl=False)
        else:
            document = client.results(job)
            show(tables.results(document), document, as_json)


@app.command()
def cancel(context: typer.Context, job: JobId, as_json: AsJson = False) -> None:
    """Stop a job; the modules it has finished stay."""
    with connect(context) as client:
        _tell(client.cancel(job), as_json)


@app.command()
def retry(context: typer.Context, job: JobId, as_json: AsJson = False) -> None:
    """Queue a failed, cancelled or expired job again; it goes on with the concerns that are left."""
    with connect(context) as client:
        _tell(client.retry(job), as_json)


@app.command()
def repair(context: typer.Context, job: JobId, as_json: AsJson = False) -> None:
    """Have the stored files of a finished job looked at, and made anew where they are damaged or gone."""
    with connect(context) as client:
        _tell(client.repair(job), as_json)


@app.command()
def delete(context: typer.Context, job: JobId, as_json: AsJson = False) -> None:
    """Remove a finished job with its modules and their files."""
    with connect(context) as client:
        client.delete(job)
    if as_json:
        typer.echo(f'{{"id": "{job}", "deleted": true}}')
    else:
        out().print(f"{job} is gone.")


def _tell(job: Job, as_json: bool) -> None:
    show(sheets.job(job), job, as_json)
