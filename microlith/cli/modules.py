"""`microlith modules`: look at modules, download them, upload them to the hub, and make them from masks."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from microlith.cli.choices import JobArgument, ModuleArgument
from microlith.cli.command import command, remember
from microlith.cli.outcome import settle
from microlith.cli.session import CliSession, err
from microlith.client import Client
from microlith.contract import Artifact, Job, Module
from microlith.display import details, live, tables
from microlith.display.transfer import transfer
from microlith.errors import NotABase
from microlith.hub import push_to_hub

app = typer.Typer(
    no_args_is_help=True,
    help="The modules of a job: look at them, download them, make them from masks.",
    callback=remember,
)

USUAL = "portable"
"""The layout to download if you name none."""


def list_modules(session: CliSession, job: JobArgument) -> None:
    """List the modules that a job has made so far."""
    with session.connect() as client:
        modules = client.modules(job)
    session.show(tables.modules(modules), modules)


def show_module(session: CliSession, module: ModuleArgument) -> None:
    """Show a module's scores, its report and its files."""
    with session.connect() as client:
        facts = client.module(module)
    session.show(details.module(facts), facts)


def download(
    session: CliSession,
    *,
    named: Annotated[
        list[str] | None, typer.Argument(metavar="MODULE|JOB", help="Modules, or jobs for all of their modules.")
    ] = None,
    folder: Annotated[
        str, typer.Argument(metavar="FOLDER", help="The folder to download to. It is created if missing.")
    ],
    job: Annotated[str | None, typer.Option(help="Every module of this job.")] = None,
    concern: Annotated[list[str] | None, typer.Option(help="Only these concerns of the jobs, by label or id.")] = None,
    layout: Annotated[str, typer.Option(help="The layout.")] = USUAL,
    unpack: Annotated[bool, typer.Option(help="Unpack each module into a folder of its own.")] = True,
) -> None:
    """Download modules and check every digest. An interrupted download continues where it stopped. For a job that
    combined modules, this downloads the combined classifier as a zip.

    microlith download mod_01… ./modules

    microlith download job_01… ./modules --concern animal --concern plant
    """
    ids = [*(named or []), *([job] if job else [])]
    if not ids or (job and named):
        raise typer.BadParameter("name modules or a job, and a folder: microlith download JOB FOLDER")
    if concern and not any(name.startswith("job_") for name in ids):
        raise typer.BadParameter("works only with a job", param_hint="--concern")
    fetched = []
    with session.connect() as client:
        for name in ids:
            is_job = name.startswith("job_")
            modules = _modules_of(client, name, concern) if is_job else [client.module(name)]
            for module in modules:
                facts = {"module": module.id, "concern": module.concern.label}
                fetch = partial(client.download_module, module, folder, layout, unpack=unpack)
                fetched.append(_fetch(session, module.concern.label, facts, fetch))
            for artifact in [] if modules else _combined_files(client, name, layout):
                facts = {"artifact": artifact.id, "layout": artifact.layout}
                fetch = partial(client.download, artifact, folder + "/")
                fetched.append(_fetch(session, artifact.layout, facts, fetch))
    if session.as_json:
        session.dump(fetched)


def try_module(
    session: CliSession,
    module: ModuleArgument,
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="Up to 32 texts. Without any, each line of stdin is one.")
    ] = None,
    pairs: Annotated[
        bool, typer.Option("--pairs", help="Read TEXT two by two; on stdin, a tab stands between the two of a line.")
    ] = False,
) -> None:
    """Show the answers of a module and its base to texts, or to pairs of texts.

    microlith modules try mod_01… "small furry mammal with long ears"

    microlith modules try mod_01… --pairs "A man sleeps." "A man is awake."
    """
    lines = texts or [line.strip() for line in sys.stdin if line.strip()]
    if not lines:
        raise typer.BadParameter("give a text, or lines on the standard input", param_hint="TEXT")
    with session.connect() as client:
        prediction = client.predict(module, _pairs_of(lines, texts is not None) if pairs else lines)
    session.show(tables.prediction(prediction), prediction)


def export(
    session: CliSession,
    module: Annotated[str, typer.Argument(metavar="MODULE|JOB", help="A module, or the job of a class set.")],
    layout: Annotated[str, typer.Option(help="The layout: portable, compact, mask or onnx.")],
    int8: Annotated[bool, typer.Option(help="With onnx: add a graph with weights in INT8.")] = False,
) -> None:
    """Make one more layout of a module or a class set, and wait for it. Then download it with --layout."""
    with session.connect() as client:
        _follow_to_success(client, client.order_layout(module, layout, int8=int8))
        facts = client.job(module) if module.startswith("job_") else client.module(module)
    session.show(details.job(facts) if isinstance(facts, Job) else details.module(facts), facts)


def push(
    session: CliSession,
    module: Annotated[str, typer.Argument(metavar="MODULE", help="A module, or the folder of a downloaded one.")],
    repo: Annotated[str, typer.Option(metavar="ORG/NAME", help="The repository. It is created if missing.")],
    private: Annotated[
        bool, typer.Option("--private", help="Make the repository private. An existing public one is refused.")
    ] = (False),
    layout: Annotated[str, typer.Option(help="The layout.")] = "portable",
    token: Annotated[
        str | None,
        typer.Option(
            envvar="HF_TOKEN", help="Your token, with write permission. Better set HF_TOKEN. It is never stored."
        ),
    ] = None,
) -> None:
    """Upload a module to the Hugging Face Hub, with your token and from this machine, as one commit.

    HF_TOKEN=hf_… microlith modules push mod_01… --repo me/animal --private
    """
    with session.connect() as client:
        pushed = push_to_hub(module, repo, token=token, private=private, layout=layout, client=client)
    session.say(f"{pushed.url} (commit {pushed.commit})", asdict(pushed))


def combine(
    session: CliSession,
    modules: Annotated[list[str], typer.Argument(metavar="MODULE", help="Two or more modules, one for each concern.")],
    dataset: Annotated[str, typer.Option(help="The data to calibrate and measure the combination on.")],
    mode: Annotated[str, typer.Option(help="class_set (one base) or recompose (any bases).")] = "recompose",
    layout: Annotated[list[str] | None, typer.Option(help="A layout of a class set. Can be repeated.")] = None,
    recovery: Annotated[
        str | None,
        typer.Option(help="How a class set is repaired: none, bias or refit. Default: as its modules were."),
    ] = None,
    out_folder: Annotated[str, typer.Option("--out", help="The folder for the classifier.")] = ".",
) -> None:
    """Combine several modules into one classifier, wait for it, and download it.

    microlith modules combine mod_01… mod_02… --dataset demo:wordnet-supersense --out combined
    """
    spec: dict[str, Any] = {"mode": mode, "modules": modules, "dataset": dataset}
    choices = {"recovery": recovery, "export": {"layouts": layout} if layout else None}
    with session.connect() as client:
        ordered = client.combine(spec | {name: value for name, value in choices.items() if value})
        job = _follow_to_success(client, ordered)
        combination = client.results(job.id).combination
        paths = [client.download(artifact, out_folder + "/") for artifact in job.artifacts]
    session.show(tables.combination(combination) if combination else "", combination or job)
    for path in paths:
        session.remark(f"The classifier: {path}")


def apply(
    session: CliSession,
    mask: Annotated[Path, typer.Argument(metavar="MASK", help="A module in layout `mask`: the zip or its folder.")],
    base: Annotated[Path, typer.Option(help="The folder of the base model.")],
    out: Annotated[Path, typer.Option(help="The folder for the module. It must not exist yet.")],
) -> None:
    """Make a module from its mask and its base, bit for bit. It opens with plain from_pretrained.

    microlith modules apply modules/animal-0.5-mask --base ./bert --out ./animal
    """
    try:
        from microlith.masks.folder import apply_to_folder

        path = str(apply_to_folder(base, mask, out))
    except ModuleNotFoundError as error:
        raise NotABase(f'Masks need {error.name}: pip install "microlith[masks]".') from error
    session.say(path, {"path": path})


def _pairs_of(given: list[str], arguments: bool) -> list[tuple[str, str]]:
    """Arguments two by two; of lines, the two texts that a tab divides."""
    two_by_two = [given[at : at + 2] for at in range(0, len(given), 2)]
    cut = two_by_two if arguments else [line.split("\t") for line in given]
    alone = next((texts[0] for texts in cut if len(texts) != 2), None)
    if alone is not None:
        raise typer.BadParameter(f"{alone!r} does not stand beside one other text", param_hint="--pairs")
    return [(first.strip(), second.strip()) for first, second in cut]


def _fetch(session: CliSession, what: str, facts: dict[str, str], fetch: Callable[..., Path]) -> dict[str, str]:
    """Fetch a file and say where it is; the answer is its facts with its `path`."""
    with transfer(what, err()) as hear:
        path = fetch(on_bytes=hear)
    if not session.as_json:
        session.say(f"{what}: {path}", None)
    return facts | {"path": str(path)}


def _follow_to_success(client: Client, job: Job) -> Job:
    """The job when it has succeeded, followed on the error output. Raises JobFailed."""
    over = live.follow(client.watch(job.id), err())
    settle(over)
    return over


def _combined_files(client: Client, name: str, layout: str) -> list[Artifact]:
    """What modules became by this job: in the layout, or in whatever it has where none was asked for."""
    files = client.job(name).artifacts if name.startswith("job_") else []
    chosen = [file for file in files if file.layout == layout]
    if files and not chosen and layout != USUAL:
        layouts = ", ".join(file.layout for file in files)
        raise typer.BadParameter(f"{layout}: what the job made is {layouts}", param_hint="--layout")
    return chosen or files


def _modules_of(client: Client, job: str, names: list[str] | None) -> list[Module]:
    """The job's modules for the concerns of these labels or ids. A wrong one is answered with those there are."""
    modules = client.modules(job)
    if not names:
        return modules
    concerns = {name: module.concern for module in modules for name in (module.concern.label, str(module.concern.id))}
    strangers = [name for name in names if name not in concerns]
    if strangers:
        labels = ", ".join(dict.fromkeys(module.concern.label for module in modules)) or "not ready yet"
        raise typer.BadParameter(f"{', '.join(strangers)}: the job's modules are {labels}", param_hint="--concern")
    ids = {concerns[name].id for name in names}
    return [module for module in modules if module.concern.id in ids]


COMMANDS = {
    "list": command(list_modules),
    "show": command(show_module),
    "download": command(download),
    "push": command(push),
    "try": command(try_module),
    "export": command(export),
    "combine": command(combine),
    "apply": command(apply),
}
for name, run in COMMANDS.items():
    app.command(name)(run)
