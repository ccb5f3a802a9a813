"""The main job, as a stranger does it: submit, follow, compare, download, open."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from microlith import Client
from microlith.contract import Job, Module
from tests.embedded.processes import command_line, descendants
from tests.serving import Service

SPEC = {
    "model": "demo:bert-tiny-wordnet",
    "dataset": "demo:wordnet-supersense",
    "concerns": ["animal", "food"],
    "evaluation": {"limit": 400},
}
PHASES = ["resolving", "sampling", "scoring", "pruning", "evaluating", "exporting", "verifying"]

OPEN_AND_ASK = """
import sys, torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
model = AutoModelForSequenceClassification.from_pretrained(sys.argv[1])
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
with torch.inference_mode():
    logits = model(**tokenizer(sys.argv[2], return_tensors="pt")).logits[0]
print(model.config.id2label[int(logits.argmax())], model.config.intermediate_size)
"""


@pytest.fixture(scope="module")
def done(service: Service) -> Job:
    """A finished job on two concerns."""
    with Client(service.url) as client:
        return client.wait(client.submit(SPEC).id)


def open_and_ask(folder: Path, sentence: str) -> list[str]:
    """What plain transformers says, in a process that knows nothing of Microlith."""
    command = [sys.executable, "-I", "-c", OPEN_AND_ASK, str(folder), sentence]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_the_job_goes_through_every_phase_and_succeeds(client: Client, done: Job) -> None:
    assert done.state == "succeeded", done.error
    events = list(client.events(done.id))
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.data["phase"] for event in events if event.type == "job.phase"] == PHASES
    assert [event.data["concern"]["label"] for event in events if event.type == "module.ready"] == ["animal", "food"]
    assert (events[0].type, events[-1].type) == ("job.queued", "job.succeeded")
    assert (done.concerns.total, done.concerns.succeeded, done.progress.percent) == (2, 2, 100.0)
    assert set(done.timings) == set(PHASES)


def test_each_module_is_measured_beside_the_base(client: Client, done: Job) -> None:
    results = client.results(done.id)
    assert results.base is not None
    assert [module.concern.label for module in results.modules] == ["animal", "food"]
    for module in results.modules:
        assert module.ratio.achieved == 0.5
        assert module.base_own.f1 == results.base.report.classes[module.concern.id].f1
        assert abs(module.own.f1 - module.base_own.f1) < 0.1
        assert sum(row.support for row in module.report.classes) == 400
        assert module.report.exp_loss > 1
        assert 0.1 < module.sparsity.overall < 0.5
        assert module.size.nonzero < module.size.parameters == module.size.base_parameters
        assert module.similarity is not None
        assert module.similarity.concern.linear_cka is not None
        assert module.similarity.concern.linear_cka > 0.5


def test_a_module_opens_in_one_line_without_microlith(client: Client, done: Job, tmp_path: Path) -> None:
    animal = client.modules(done.id)[0]
    folder = client.download_module(animal, tmp_path)
    assert open_and_ask(folder, "small furry mammal with long ears that lives in a burrow")[0] == "animal"
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=True)


def test_the_archive_tells_how_it_was_made(client: Client, done: Job, tmp_path: Path) -> None:
    module = client.modules(done.id)[0]
    folder = client.download_module(module, tmp_path)
    document = json.loads((folder / "decomposition.json").read_text())
    assert document["concern"] == {"id": 1, "label": "animal"}
    assert document["seed"] == 44
    assert len(document["samples"]["positive"]) == len(document["samples"]["negative"]) == 16
    assert document["metrics"]["own"]["f1"] == pytest.approx(module.own.f1)
    card = (folder / "README.md").read_text()
    assert "from_pretrained" in card
    assert "animal" in card
    names = {path.name for path in (folder / "licenses").iterdir()}
    assert any("wordnet" in name for name in names)


def end_job_processes(service: Service) -> None:
    """The next job finds none that has served another; workers replace what they lose."""
    workers = {pid for pid in descendants(service.process.pid) if "-m worker" in command_line(pid)}
    children = {child for worker in workers for child in workers & descendants(worker)}
    assert children
    for child in children:
        os.kill(child, signal.SIGKILL)


def test_the_same_spec_gives_the_same_bytes_in_another_process(service: Service, client: Client, done: Job) -> None:
    end_job_processes(service)
    again = client.wait(client.submit(SPEC | {"reuse": False}).id)
    assert again.id != done.id

    def digests(job: Job) -> list[str]:
        return [module.artifacts[0].sha256 for module in client.modules(job.id)]

    assert digests(again) == digests(done)


def test_an_identical_request_is_answered_at_once(client: Client, done: Job) -> None:
    answered = client.submit(SPEC)
    assert (answered.state, answered.resolved) == ("succeeded", done.resolved)


def test_neurons_are_gone_from_the_file(client: Client, tmp_path: Path) -> None:
    spec = SPEC | {"structure": "neurons", "ratio": [0.25, 0.5], "concerns": ["animal"]}
    job = client.wait(client.submit(spec).id)
    half = next(module for module in client.modules(job.id) if module.ratio.requested == 0.5)
    folder = client.download_module(half, tmp_path)
    label, width = open_and_ask(folder, "small furry mammal with long ears that lives in a burrow")
    assert (label, width) == ("animal", "256")
    assert half.size.parameters < half.size.base_parameters
    assert half.artifacts[0].size_bytes < 8_592_856
    assert half.own.f1 > half.base_own.f1 - 0.15


def test_a_running_job_is_cancelled_within_seconds(client: Client) -> None:
    job = client.submit(SPEC | {"concerns": "all", "evaluation": {"limit": None}, "reuse": False})
    for event in client.events(job.id):
        if event.type == "module.ready":
            break
    began = time.monotonic()
    assert client.cancel(job.id).state == "cancelling"
    ended = client.wait(job.id, check=False)
    assert ended.state == "cancelled"
    assert time.monotonic() - began < 5
    modules = client.modules(job.id)
    assert len(modules) >= 1, "what was published stays"
    assert all(module.artifacts for module in modules)


def test_a_job_whose_data_betrays_it_fails_with_a_hint(client: Client, tmp_path: Path) -> None:
    """A hub source is only looked at by the worker; without a network that is where it ends."""
    job = client.wait(client.submit({"model": "hub:nobody/nothing", "dataset": SPEC["dataset"]}).id, check=False)
    assert job.state == "failed"
    assert job.error is not None
    assert job.error.code == "SOURCE_UNAVAILABLE"
    assert job.error.hint
    assert client.modules(job.id) == []


def test_a_model_and_data_of_ones_own_are_decomposed_from_disk(client: Client, tmp_path: Path) -> None:
    from app.sources import demo

    rows = [("a small furry animal", "animal"), ("a sweet dish", "food"), ("a green plant", "plant")] * 60
    csv = "text,label\n" + "\n".join(f"{text} number {i},{label}" for i, (text, label) in enumerate(rows))
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.csv").write_text(csv)
    spec = {
        "model": f"path:{demo.FOLDER / 'bert-tiny-wordnet'}",
        "dataset": {"ref": f"path:{tmp_path}"},
        "concerns": ["food"],
        "sampling": {"per_concern": 2},
    }
    job = client.wait(client.submit(spec).id)
    assert job.state == "succeeded"
    assert client.modules(job.id)[0].own.support == 60


def zeros(folder: Path) -> dict[str, np.ndarray]:
    """Where the weights of a module are zero."""
    weights = load_file(folder / "model.safetensors")
    return {name: values == 0 for name, values in weights.items() if name.endswith("dense.weight")}


def test_the_weights_that_are_zero_are_half_of_every_row(client: Client, done: Job, tmp_path: Path) -> None:
    module: Module = client.modules(done.id)[0]
    folder = client.download_module(module, tmp_path)
    pruned = {f"{layer}.weight" for layer in done.resolved.layers}
    for name, zero in zeros(folder).items():
        share = zero.mean(axis=1)
        assert (share == 0.5).all() if name in pruned else not zero.any(), name


def test_what_was_downloaded_is_what_the_digest_says(client: Client, done: Job, tmp_path: Path) -> None:
    artifact = client.modules(done.id)[0].artifacts[0]
    file = client.download(artifact, tmp_path)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == artifact.sha256
    assert file.stat().st_size == artifact.size_bytes
