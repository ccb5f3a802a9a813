"""`microlith jobs`: submit decompositions, watch them, compare the results."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from microlith.cli.choices import JobArgument, KindOption, StateOption
from microlith.cli.command import command, remember
from microlith.cli.flags import FLAGS
from microlith.cli.outcome import INTERRUPTED, settle
from microlith.cli.session import CliSession, err, out
from microlith.cli.spec import parse_labels, spec_from
from microlith.client import Client, JobFilters
from microlith.contract import DataForm, Job
from microlith.display import comparison, details, live, tables
from microlith.display.transfer import transfer
from microlith.errors import Unreachable

app = typer.Typer(no_args_is_help=True, help="Decompositions: submit, watch, compare.", callback=remember)

"""What a data set that is uploaded for a job is registered with."""

REFERENCE = re.compile(r"(demo|hub|path):|(mdl|dst)_")

Texts = list[str] | None
LabelOption = Annotated[Texts, typer.Option(metavar="KEY=VALUE", help="A label of your own. Can be repeated.")]
SpecArgument = Annotated[
    str | None, typer.Argument(metavar="SPEC", help="A YAML or JSON spec, or - for stdin. Flags override it.")
]
SpecOption = Annotated[str | None, typer.Option("--spec", metavar="FILE", help="The same as SPEC.")]
SetOption = Annotated[
    Texts,
    typer.Option("--set", metavar="PLACE=VALUE", help="Any other field of the spec, such as evaluation.latency=false."),
]
PlanFlag = Annotated[bool, typer.Option("--plan", help="Only show what the job would do.")]
WatchFlag = Annotated[bool, typer.Option(help="Wait until the job is over.")]
RawFlag = Annotated[
    bool, typer.Option("--raw", help="With --csv: leave names as they are, even those that a spreadsheet would run.")
]


def submit(
    session: CliSession,
    flags: dict[str, Any],
    spec: SpecArgument = None,
    spec_flag: SpecOption = None,
    settings: SetOption = None,
    plan: PlanFlag = False,
    watch: WatchFlag = True,
) -> None:
    """Submit a decomposition, watch it and print its results.

    microlith submit --model demo:bert-tiny-wordnet --dataset demo:wordnet-supersense

    microlith submit --model ./my-model --dataset reviews.csv --concern praise --ratio 0.6

    --model and --dataset are required, here or in SPEC (`microlith init` writes one). Everything else has a default of
    the server (`microlith methods` lists them).
    """
    asked = spec_from(spec or spec_flag, flags, settings)
    missing = [f"--{name}" for name in ("model", "dataset") if not asked.get(name)]
    if missing:
        raise typer.BadParameter(
            f"give {' and '.join(missing)}; `microlith models` and `microlith datasets` list your choices"
        )
    with session.connect() as client:
        _upload_local_sources(client, asked)
        if plan:
            planned = client.plan(asked)
            session.show(details.plan(planned), planned)
            return
        job = client.submit(asked)
        if watch:
            err().print(f"Job {job.id}" + (" is identical and already finished." if job.finished else ""))
            _watch(session, client, job.id)
        else:
            session.show(details.job(job), job)


def _upload_local_sources(client: Client, spec: dict[str, Any]) -> None:
    """Upload what is named as a file or folder of this machine; its id takes its place."""
    if path := _local_path(spec["model"]):
        with transfer(path.name, err()) as hear:
            spec["model"] = client.upload_model(path, hear).id
    source = spec["dataset"] if isinstance(spec["dataset"], dict) else {"ref": spec["dataset"]}
    if path := _local_path(source.get("ref")):
        form: Any = {name: value for name, value in source.items() if name in DataForm.model_fields}
        with transfer(path.name, err()) as hear:
            spec["dataset"] = source | {"ref": client.upload_dataset(path, hear, **form).id}


def _local_path(ref: Any) -> Path | None:
    """The path that a reference is, if it is one: whatever is there, and all that cannot be a reference."""
    path = Path(str(ref)).expanduser()
    return path if isinstance(ref, str) and (path.exists() or not REFERENCE.match(ref)) else None


def watch(session: CliSession, job: JobArgument) -> None:
    """Follow a job to its end. The exit code is 0 if it succeeds and 1 if not. Ctrl-C leaves the job running."""
    with session.connect() as client:
        _watch(session, client, job)


def _watch(session: CliSession, client: Client, job_id: str) -> None:
    """Progress to the error output; at the end the results, or for programs the job, to the standard output."""
    come_back = f"To watch it again: microlith watch {job_id}"
    try:
        job = live.follow(client.watch(job_id), err())
    except KeyboardInterrupt:
        err().print(f"The job is still running. {come_back}")
        raise typer.Exit(INTERRUPTED) from None
    except Unreachable:
        err().print(f"The server does not answer. Your job is safe. {come_back}")
        raise
    if session.as_json:
        session.show("", job)
    elif job.state == "succeeded":
        out().print(tables.results(client.results(job_id)))
        session.remark(f"To download the modules: microlith download {job_id} FOLDER")
    settle(job)


def list_jobs(
    session: CliSession,
    state: StateOption = None,
    kind: KindOption = None,
    model: Annotated[str | None, typer.Option(help="Only jobs on this model.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Only jobs on this dataset.")] = None,
    label: LabelOption = None,
    limit: Annotated[int, typer.Option(min=1, help="How many jobs to list, newest first.")] = 20,
) -> None:
    """List your jobs, newest first."""
    filters: JobFilters = {"page": min(limit, 100), "labels": parse_labels(label) or {}}
    for name, value in (("state", state), ("kind", kind), ("model", model), ("dataset", dataset)):
        if value is not None:
            filters[name] = value  # type: ignore[literal-required]
    with session.connect() as client:
        newest = list(itertools.islice(client.jobs(**filters), limit))
    session.show(tables.jobs(newest), newest)


def show_job(session: CliSession, job: JobArgument) -> None:
    """Show a job: state, progress, error, its spec and what it used for it."""
    with session.connect() as client:
        _show(session, client.job(job))


def results(
    session: CliSession,
    job: JobArgument,
    csv: Annotated[bool, typer.Option("--csv", help="Print class,precision,recall,f1-score,support.")] = False,
    raw: RawFlag = False,
) -> None:
    """Compare every module with the base: precision, recall and F1 on its own class, ratio, sparsity, size."""
    with session.connect() as client:
        if csv:
            typer.echo(client.results_csv(job, raw=raw), nl=False)
        else:
            document = client.results(job)
            session.show(tables.results(document), document)


def compare(
    session: CliSession,
    jobs: Annotated[list[str], typer.Argument(metavar="JOB", help="Two or more jobs, or one sweep.")],
    csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV: one row for each concern, one column for each job and ratio.")
    ] = False,
    raw: RawFlag = False,
) -> None:
    """Compare jobs: F1 of each concern, with one column for every job and ratio, and one for the base.

    microlith compare job_01… job_02…
    """
    with session.connect() as client:
        compared = comparison.compare([(client.job(job), client.results(job)) for job in jobs])
    if csv:
        typer.echo(comparison.csv(compared, raw=raw), nl=False)
    elif session.as_json:
        session.dump(comparison.plain(compared))
    else:
        out().print(comparison.table(compared))


def cancel(session: CliSession, job: JobArgument) -> None:
    """Stop a job. Its finished modules are kept."""
    with session.connect() as client:
        _show(session, client.cancel(job))


def retry(session: CliSession, job: JobArgument) -> None:
    """Queue a failed, cancelled or expired job again. It continues with the remaining concerns."""
    with session.connect() as client:
        _show(session, client.retry(job))


def repair(session: CliSession, job: JobArgument) -> None:
    """Check the stored files of a finished job, and make damaged or missing ones again."""
    with session.connect() as client:
        _show(session, client.repair(job))


def delete(session: CliSession, job: JobArgument) -> None:
    """Delete a finished job with its modules and their files."""
    with session.connect() as client:
        client.delete(job)
    session.say(f"Deleted {job}.", {"id": job, "deleted": True})


def _show(session: CliSession, job: Job) -> None:
    session.show(details.job(job), job)


COMMANDS = {
    "submit": command(submit, FLAGS),
    "watch": command(watch),
    "list": command(list_jobs),
    "show": command(show_job),
    "results": command(results),
    "compare": command(compare),
    "cancel": command(cancel),
    "retry": command(retry),
    "repair": command(repair),
    "delete": command(delete),
}
for name, run in COMMANDS.items():
    app.command(name)(run)
