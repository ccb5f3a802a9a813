"""One job made by several workers: the same modules, whoever makes them, and whatever happens to a helper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import worker.kinds.help_with_job
from app.domain.errors import StorageUnavailable
from app.services.sweeping import SHARDS
from microlith.contract import Job, Module
from tests.work import DEMO, attempt_of, claim, submit
from tests.worker.conftest import Product
from worker.kinds.help_with_job import HelpersLease, help_with
from worker.kinds.make_module import Maker
from worker.kinds.share_concerns import Shard
from worker.pruning.masks import Bits, Mask
from worker.sampling.concern import ConcernSamples

SPEC = DEMO | {
    "concerns": ["act", "animal", "artifact"],
    "ratio": [0.3, 0.6],
    "recovery": "bias",
    "evaluation": {"limit": 60, "latency": False},
    "export": {"layouts": ["portable", "mask"]},
    "reuse": False,
}
QUICK = SPEC | {
    "ratio": 0.5,
    "evaluation": {"limit": 20, "similarity": False, "latency": False},
    "export": {"layouts": ["mask"]},
}


def told(modules: list[Module]) -> list[dict[str, Any]]:
    """All that the modules are, but for names, moments and the time they took."""
    own = {"id", "object", "job_id", "created_at", "timings", "artifacts", "urls", "latency", "latencies"}
    facts = [module.model_dump(mode="json", exclude=own) for module in modules]
    return sorted(facts, key=lambda fact: (fact["concern"]["id"], fact["ratio"]["requested"]))


def digests(modules: list[Module]) -> set[str]:
    """The stored tensors, by their digests; the pages beside them quote the spec."""
    files = [file for module in modules for artifact in module.artifacts for file in artifact.files]
    return {file.sha256 for file in files if file.path.endswith(".safetensors")}


class Calls:
    """Calls for help, each answered by one helper, which works to its end at once."""

    def __init__(self, product: Product, monkeypatch: pytest.MonkeyPatch, *, answered: bool = True) -> None:
        self.product, self.answered, self.heard = product, answered, list[tuple[str, int, int]]()
        monkeypatch.setattr(product.backend.queue, "call_help", self)

    def __call__(self, job_id: str, helpers: int, priority: int) -> None:
        self.heard.append((job_id, helpers, priority))
        if self.answered:
            help_with(self.product.backend, job_id)


def made_by(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kind of lease that every module is made under from now on."""
    makers: list[str] = []
    plain = Maker.make

    def make(self: Maker, *args: Any) -> None:
        makers.append(type(self.attempt.lease).__name__)
        plain(self, *args)

    monkeypatch.setattr(Maker, "make", make)
    return makers


def stored_shards(product: Product) -> list[str]:
    return list(product.backend.objects.list(SHARDS, older_than=0))


@pytest.fixture(scope="module")
def product(kept_product: Product) -> Product:
    return kept_product


@pytest.fixture(scope="module")
def alone(product: Product) -> tuple[Job, list[Module]]:
    """The job as one worker makes it."""
    return product.decompose(SPEC)


def test_a_helper_makes_the_same_modules(
    product: Product, alone: tuple[Job, list[Module]], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, makers = Calls(product, monkeypatch), made_by(monkeypatch)
    job, modules = product.decompose(SPEC | {"workers": 2, "priority": "high"})
    assert calls.heard == [(job.id, 1, 2)]
    assert makers == ["HelpersLease"] * 6
    assert told(modules) == told(alone[1])
    assert digests(modules) == digests(alone[1])
    assert (job.concerns.succeeded, job.progress.percent) == (3, 100.0)
    assert stored_shards(product) == []


def test_no_more_helpers_are_called_than_there_are_concerns(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls(product, monkeypatch, answered=False)
    job, modules = product.decompose(QUICK | {"workers": 9})
    assert calls.heard == [(job.id, 2, 1)]
    assert len(modules) == 3, "where no helper comes the job is made without"
    job, _ = product.decompose(QUICK | {"concerns": ["act"], "workers": 9})
    assert len(calls.heard) == 1, "one concern is one worker's"


def test_who_is_asked_for_does_not_make_it_another_question(product: Product, alone: tuple[Job, list[Module]]) -> None:
    answer = product.api.post("/v1/jobs", json=SPEC | {"workers": 4, "reuse": True})
    assert answer.json()["state"] == "succeeded"
    assert [module["concern"]["label"] for module in product.api.get(answer.json()["urls"]["modules"]).json()["data"]]


def test_what_a_helper_fails_to_make_is_made_without_it(
    product: Product, alone: tuple[Job, list[Module]], monkeypatch: pytest.MonkeyPatch
) -> None:
    Calls(product, monkeypatch)
    makers, plain = made_by(monkeypatch), worker.kinds.help_with_job.fetch_shard

    def away(attempt: Any, concern: int, scratch: Path) -> Shard:
        if "HelpersLease" in makers:
            raise StorageUnavailable("The object store is away for this worker.", hint="")
        return plain(attempt, concern, scratch)

    monkeypatch.setattr(worker.kinds.help_with_job, "fetch_shard", away)
    _, modules = product.decompose(SPEC | {"workers": 2})
    assert makers == ["HelpersLease"] * 2 + ["Lease"] * 4
    assert told(modules) == told(alone[1])


def test_a_helper_on_another_device_leaves_the_job_alone(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    Calls(product, monkeypatch)
    makers, plain = made_by(monkeypatch), worker.kinds.help_with_job.open_for

    def elsewhere(*args: Any, **options: Any) -> Any:
        sources = plain(*args, **options)
        sources.resolved.device = "cuda:0"
        return sources

    monkeypatch.setattr(worker.kinds.help_with_job, "open_for", elsewhere)
    product.decompose(QUICK | {"workers": 2})
    assert makers == ["Lease"] * 3


def test_a_helper_that_comes_too_late_does_nothing(product: Product, alone: tuple[Job, list[Module]]) -> None:
    help_with(product.backend, alone[0].id)
    help_with(product.backend, "job_of_nobody")
    waiting = submit(product.backend, workers=2)
    help_with(product.backend, waiting)
    assert product.api.get(f"/v1/jobs/{waiting}").json()["state"] == "queued"
    assert product.api.post(f"/v1/jobs/{waiting}/cancel").status_code == 202


def test_a_shard_is_free_again_when_its_helper_is_silent_and_renewed_while_it_is_not(product: Product) -> None:
    lease = claim(product.backend, submit(product.backend, workers=3))
    attempt = attempt_of(product.backend, lease)
    with lease.write() as (unit, _):
        unit.shards.open(lease.job_id, lease.token, [4, 7])
    helper = HelpersLease.join(product.backend.database, product.backend.settings, lease.job_id)
    assert helper is not None
    with helper.write() as (unit, _):
        assert unit.shards.take(lease.job_id, lease.token, helper.holder, -1) == 4, "and falls silent"
    with helper.database.unit() as unit:
        assert helper.extend(unit) == "running", "but not for long"
    with lease.write() as (unit, _):
        assert unit.shards.take(lease.job_id, lease.token, lease.holder, None) == 7
    with helper.write() as (unit, _):
        assert unit.shards.take(lease.job_id, lease.token, "somebody else", 60) is None
        assert unit.shards.take(lease.job_id, lease.token, helper.holder, -1) == 4, "asked twice, it is still its own"
    with lease.write() as (unit, _):
        assert unit.shards.take(lease.job_id, lease.token, "somebody else", 60) == 4, "its time was up"
        unit.shards.finish(lease.job_id, lease.token, 4)
        assert unit.shards.unfinished(lease.job_id, lease.token) == [7]
        assert unit.shards.take(lease.job_id, "of an earlier attempt", lease.holder, None) is None
    assert attempt.lease.holder != helper.holder


def test_a_helper_of_a_lost_attempt_hears_it(product: Product) -> None:
    lease = claim(product.backend, submit(product.backend, workers=2))
    with lease.write() as (unit, job):
        unit.shards.open(lease.job_id, lease.token, [0])
    helper = HelpersLease.join(product.backend.database, product.backend.settings, lease.job_id)
    assert helper is not None
    with lease.write() as (unit, job):
        job.lease_token = "another attempt's"
    helper.renew()
    with pytest.raises(Exception, match=lease.job_id):
        helper.checkpoint()


def test_a_shard_is_read_as_it_was_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    mask = Mask(
        "heads+neurons",
        neurons={"block.0": Bits.pack(rng.random(13) < 0.5)},
        heads={"block.0": Bits.pack(rng.random(4) < 0.5)},
        layers={"block": Bits.pack(rng.random(6) < 0.5)},
        tensors={"block.0.output.weight": rng.random((8, 5), dtype=np.float32)},
    )
    weights = Mask("weights", weights={"dense": Bits.pack(rng.random((6, 7)) < 0.5)})
    means = {"dense": torch.from_numpy(rng.random(7))}
    shard = Shard(ConcernSamples((3, 1), (2, 9)), "boundary/x.safetensors", {0.3: mask, 0.25: weights}, means)
    shard.save(tmp_path / "shard")
    found = Shard.load(tmp_path / "shard")
    assert (found.samples, found.boundary) == (shard.samples, shard.boundary)
    assert {ratio: mask.digest() for ratio, mask in found.masks.items()} == {
        0.3: mask.digest(),
        0.25: weights.digest(),
    }
    assert torch.equal(found.means["dense"], means["dense"])
