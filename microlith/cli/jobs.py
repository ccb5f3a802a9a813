"""`microlith jobs`: ask for decompositions, watch them, compare what came out."""

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
from microlith.contract import Job
from microlith.display import comparison, details, live, tables
from microlith.display.transfer import transfer
from microlith.errors import Unreachable

app = typer.Typer(no_args_is_help=True, help="Decompositions: submit, watch, compare.", callback=remember)

REFERENCE = re.compile(r"(demo|hub|path):|(mdl|dst)_")

Texts = list[str] | None
LabelOption = Annotated[Texts, typer.Option(metavar="KEY=VALUE", help="Your own mark; may be given several times.")]
SpecArgument = Annotated[
    str | None, typer.Argument(metavar="SPEC", help="A YAML or JSON spec, - for stdin; flags change it.")
]
SpecOption = Annotated[str | None, typer.Option("--spec", metavar="FILE", help="The same, as a flag.")]
SetOption = Annotated[
    Texts, typer.Option("--set", metavar="PLACE=VALUE", help="Any other place of the spec: evaluation.latency=false.")
]
PlanFlag = Annotated[bool, typer.Option("--plan", help="Only say what would be done.")]
WatchFlag = Annotated[bool, typer.Option(help="Stay until the job is over.")]
RawFlag = Annotated[
    bool, typer.Option("--raw", help="With --csv: also names that a spreadsheet would run as they are.")
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
    """Ask for a decomposition; watch it and print its results.

    microlith submit --model demo:bert-tiny-wordnet --dataset demo:wordnet-supersense

    microlith submit --model ./my-model --dataset reviews.csv --concern praise --ratio 0.6

    --model and --dataset are needed, here or in SPEC (`microlith init` writes one). What is left out has the server's
    default, which `microlith methods` tells.
    """
    asked = spec_from(spec or spec_flag, flags, settings)
    missing = [f"--{name}" for name in ("model", "dataset") if not asked.get(name)]
    if missing:
        raise typer.BadParameter(f"{' and '.join(missing)} must be given (`microlith models`, `microlith datasets`)")
    with session.connect() as client:
        _upload_local_sources(client, asked)
        if plan:
            planned = client.plan(asked)
            session.show(details.plan(planned), planned)
            return
        job = client.submit(asked)
        if watch:
            err().print(f"Job {job.id}" + (" was done before: here it is." if job.finished else ""))
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
        columns = {name: source.get(name) for name in ("text_column", "image_column", "label_column")}
        with transfer(path.name, err()) as hear:
            spec["dataset"] = source | {"ref": client.upload_dataset(path, hear, **columns).id}


def _local_path(ref: Any) -> Path | None:
    """The path that a reference is, if it is one: whatever is there, and all that cannot be a reference."""
    path = Path(str(ref)).expanduser()
    return path if isinstance(ref, str) and (path.exists() or not REFERENCE.match(ref)) else None


def watch(session: CliSession, job: JobArgument) -> None:
    """Follow a job to its end; the exit code is 0 if it succeeded and 1 otherwise. Ctrl-C leaves it running."""
    with session.connect() as client:
        _watch(session, client, job)


def _watch(session: CliSession, client: Client, job_id: str) -> None:
    """Progress to the error output; at the end the results, or for programs the job, to the standard output."""
    come_back = f"Come back: microlith watch {job_id}"
    try:
        job = live.follow(client.watch(job_id), err())
    except KeyboardInterrupt:
        err().print(f"The job goes on. {come_back}")
        raise typer.Exit(INTERRUPTED) from None
    except Unreachable:
        err().print(f"The server is away, the job is safe. {come_back}")
        raise
    if session.as_json:
        session.show("", job)
    elif job.state == "succeeded":
        out().print(tables.results(client.results(job_id)))
        session.remark(f"Bring them home: microlith download {job_id} FOLDER")
    settle(job)


def list_jobs(
    session: CliSession,
    state: StateOption = None,
    kind: KindOption = None,
    model: Annotated[str | None, typer.Option(help="Only jobs on this model.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Only jobs on this dataset.")] = None,
    label: LabelOption = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 20,
) -> None:
    """Your jobs, newest first."""
    filters: JobFilters = {"page": min(limit, 100), "labels": parse_labels(label) or {}}
    for name, value in (("state", state), ("kind", kind), ("model", model), ("dataset", dataset)):
        if value is not None:
            filters[name] = value  # type: ignore[literal-required]
    with session.connect() as client:
        newest = list(itertools.islice(client.jobs(**filters), limit))
    session.show(tables.jobs(newest), newest)


def show_job(session: CliSession, job: JobArgument) -> None:
    """A job as it is: state, progress, error, what it was asked and what that came to."""
    with session.connect() as client:
        _show(session, client.job(job))


def results(
    session: CliSession,
    job: JobArgument,
    csv: Annotated[bool, typer.Option("--csv", help="Print class,precision,recall,f1-score,support.")] = False,
    raw: RawFlag = False,
) -> None:
    """Every module beside the base: precision, recall and F1 on its own class, ratio, sparsity, size."""
    with session.connect() as client:
        if csv:
            typer.echo(client.results_csv(job, raw=raw), nl=False)
        else:
            document = client.results(job)
            session.show(tables.results(document), document)


def compare(
    session: CliSession,
    jobs: Annotated[list[str], typer.Argument(metavar="JOB", help="Two or more, or one that is a sweep.")],
    csv: Annotated[bool, typer.Option("--csv", help="Print a row a concern, a column a job and ratio.")] = False,
    raw: RawFlag = False,
) -> None:
    """Jobs beside one another: F1 of each concern, in a column for every job and ratio, and the base's.

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
    """Stop a job; the modules it has finished stay."""
    with session.connect() as client:
        _show(session, client.cancel(job))


def retry(session: CliSession, job: JobArgument) -> None:
    """Queue a failed, cancelled or expired job again; it goes on with the concerns that are left."""
    with session.connect() as client:
        _show(session, client.retry(job))


def repair(session: CliSession, job: JobArgument) -> None:
    """Have the stored files of a finished job looked at, and made anew where they are damaged or gone."""
    with session.connect() as client:
        _show(session, client.repair(job))


def delete(session: CliSession, job: JobArgument) -> None:
    """Remove a finished job with its modules and their files."""
    with session.connect() as client:
        client.delete(job)
    session.say(f"{job} is gone.", {"id": job, "deleted": True})


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
