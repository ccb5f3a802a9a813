"""The story that `make demo` tells: a small and fast module to deploy, then what each of twelve concerns uses.

Everything goes through the public HTTP API with the public client, as a stranger would do it; only the last act loads
models, with nothing but transformers.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app.sources import demo
from microlith import Client, JobSpec
from microlith.cli.outcome import exit_code, say
from microlith.contract import Export, Job, RatioRule, TaylorMethod
from microlith.display import live, numbers, tables
from microlith.errors import JobFailed, MicrolithClientError

MODEL, DATASET = "demo:bert-tiny-wordnet", "demo:wordnet-supersense"
DEPLOYED = "animal"
"""The concern that the small module is made for."""

SENTENCES = {
    "animal": "small furry mammal with long ears that lives in a burrow",
    "food": "a sweet baked dish of fruit and flour served at the end of a meal",
}
"""Definitions of our own making: in none of the splits, each of the concern it stands under."""

console = Console(highlight=False)


def tell(url: str, folder: Path) -> None:
    """The whole story. Raises what went wrong."""
    with Client(url) as client:
        client.check()
        console.print(f"\n[bold]1. The service[/] answers at {url}.")
        small = make_small(client)
        console.print("\n[bold]3. The module beside its base:[/]\n")
        console.print(tables.results(client.results(small.id)))
        job = decompose(client)
        console.print("\n[bold]5. Each module beside the base,[/] on its own concern:\n")
        console.print(tables.results(client.results(job.id)))
        modules = download(client, job, folder / job.id)
    console.print("\n[bold]7. Two of them at work,[/] opened with plain from_pretrained:")
    for concern, sentence in SENTENCES.items():
        classify(modules[concern], concern, sentence)
    farewell(job, folder / job.id)


def make_small(client: Client) -> Job:
    """Ask for a small and fast module: narrow layers that learn to answer as the base does. Raises JobFailed."""
    spec = JobSpec(
        model=MODEL,
        dataset=DATASET,
        concerns=[DEPLOYED],
        structure="heads+neurons",
        method=TaylorMethod(),
        ratio=0.75,
        ratio_rules=[RatioRule(structure="heads", ratio=0.5)],
        recovery="distil",
        export=Export(layouts=["compact", "onnx"], dtype="bfloat16"),
        reuse=False,
        labels={"from": "demo"},
    )
    return follow(
        client,
        spec,
        f"\n[bold]2. A module to deploy[/] for {DEPLOYED}: half of the heads and three quarters of the neurons\n"
        f"   of {MODEL} removed, weights in half precision.\n"
        "   What is left learns to answer as the base does.",
    )


def decompose(client: Client) -> Job:
    """Ask what each concern uses: all of them at one ratio. Raises JobFailed."""
    spec = JobSpec(model=MODEL, dataset=DATASET, concerns="all", ratio=0.5, reuse=False, labels={"from": "demo"})
    return follow(
        client,
        spec,
        f"\n[bold]4. What does each concern use?[/] A job for all concerns of {MODEL}:\n"
        "   half of its feed-forward weights removed.",
    )


def follow(client: Client, spec: JobSpec, said: str) -> Job:
    """Submit the job, say what it is, and watch it to its end. Raises JobFailed."""
    job = client.submit(spec)
    console.print(f"{said} {job.id}")
    job = live.follow(client.watch(job.id), console)
    if job.state != "succeeded":
        raise JobFailed(job)
    return job


def download(client: Client, job: Job, folder: Path) -> dict[str, Path]:
    """Every module of the job, unpacked and checked, by label."""
    modules = client.modules(job.id)
    size = sum(artifact.size_bytes for module in modules for artifact in module.artifacts)
    folders = {module.concern.label: client.download_module(module, folder) for module in modules}
    console.print(f"\n[bold]6. Downloaded[/] {len(folders)} modules, {numbers.size(size)}, every sha256 checked.")
    return folders


def classify(path: Path, concern: str, sentence: str) -> None:
    """What a module says of a sentence of its concern, beside the base. Raises WrongAnswer if the module misses it."""
    console.print(f"\n   “{sentence}”")
    base = demo.FOLDER / MODEL.removeprefix("demo:")
    for name, folder in ((f"module {concern}", path), ("base", base)):
        label, probability = answer(folder, sentence)
        console.print(f"   {name:<13}  {label} ({probability:.0%})")
        if folder is path and label != concern:
            raise WrongAnswer(f"The module for {concern} took a {concern} for: {label}.")


def answer(folder: Path, sentence: str) -> tuple[str, float]:
    """The most probable label of a sentence and its probability, by the model in a folder and nothing else."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        logits = model(**tokenizer(sentence, return_tensors="pt")).logits[0]  # [labels]
    probability, label = logits.softmax(dim=-1).max(dim=-1)
    return model.config.id2label[int(label)], float(probability)


def farewell(job: Job, folder: Path) -> None:
    """Where everything is and what to try next."""
    program = command("microlith")
    console.print(f"\n[bold]All of it held.[/] The modules are in\n   {folder}", soft_wrap=True)
    console.print("\n[bold]Next:[/] each line stands for itself; the first in a terminal of its own.", soft_wrap=True)
    for line in (
        "make serve",
        f"{program} jobs results {job.id}",
        f"{program} jobs submit --model {MODEL} --dataset {DATASET} --concern animal --ratio 0.3 --ratio 0.7",
        f"curl http://127.0.0.1:8000/v1/jobs/{job.id}/results.csv",
        f"{program} methods",
    ):
        console.print(f"   {line}", soft_wrap=True, markup=False)
    console.print("   The HTTP API in the browser: http://127.0.0.1:8000/docs\n")


def command(name: str) -> str:
    """How to call a program of this environment from here."""
    path = Path(sys.executable).with_name(name)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


class WrongAnswer(Exception):
    """A module missed a sentence of its own concern."""


def main(
    url: Annotated[str, typer.Option(help="The server to tell the story with.")] = "http://127.0.0.1:8000",
    folder: Annotated[Path, typer.Option(help="Where the modules go.")] = Path("microlith-demo"),
) -> None:
    """Decompose the demo model through the API, download its modules and put two to work."""
    try:
        tell(url, folder.resolve())
    except (MicrolithClientError, WrongAnswer, OSError) as error:
        say(error)
        raise typer.Exit(exit_code(error)) from error


if __name__ == "__main__":
    typer.run(main)
