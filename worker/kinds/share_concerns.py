"""How several workers make the modules of one job: what the samples said is shared, the concerns are shared out.

The worker that holds the job's lease has calibrated and pruned. It leaves every concern's masks in the object store,
opens one shard for each concern, and calls for help. Then it takes shard after shard like anybody else, and waits at
the end for those that others hold; what one of them had to leave, it makes itself.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from app.services.sweeping import SHARDS
from microlith.contract import Concern
from worker.attempt.attempt import Attempt
from worker.attempt.retrying import patient
from worker.kinds.draw_samples import Drawn
from worker.pruning.masks import Bits, Mask
from worker.pruning.recovery import MeanInputs
from worker.pruning.repair import Repair
from worker.sampling.concern import ConcernSamples

WAIT_SECONDS = 0.2
"""Between two looks whether others have finished theirs."""

MEDIA_TYPE = "application/octet-stream"
_MEANS = "means/"

Turn = tuple[Concern, float, Mask]
"""A module to be made."""


def share_out(
    turns: Sequence[Turn], drawn: Drawn, repair: Repair, rows: int, attempt: Attempt, scratch: Path
) -> Iterator[Turn]:
    """Those of `turns` that fall to the worker with the lease: all of them, unless the spec wants more workers.

    `rows` is what a module counts in the job's progress. When the last turn is over, all modules are made.
    """
    shards: dict[int, list[Turn]] = {}
    for turn in turns:
        shards.setdefault(turn[0].id, []).append(turn)
    helpers = min(attempt.lease.spec.workers, len(shards)) - 1
    if helpers < 1:
        yield from turns
        return
    for concern, own in shards.items():
        masks = {ratio: mask for _, ratio, mask in own}
        shard = Shard(drawn.samples[concern], drawn.boundary, masks, repair.means.get(concern, {}))
        _store_shard(shard, concern, attempt, scratch)
    _open_shards(list(shards), helpers, attempt)
    while left := _find_unfinished(attempt):
        attempt.progress.leave(rows * sum(len(shards[concern]) for concern in left))
        taken = take_shard(attempt, None)
        if taken is None:
            time.sleep(WAIT_SECONDS)
            attempt.check()
        else:
            yield from shards[taken]
            finish_shard(attempt, taken)
    with suppress(OSError):  # what stays is swept
        for concern in shards:
            attempt.objects.delete(shard_key(attempt, concern))


@patient
def take_shard(attempt: Attempt, seconds: float | None) -> int | None:
    """The concern of a shard that nobody else holds; None when there is none."""
    lease = attempt.lease
    with lease.write() as (unit, _):
        return unit.shards.take(lease.job_id, lease.token, lease.holder, seconds)


@patient
def finish_shard(attempt: Attempt, concern: int) -> None:
    """All modules of the shard are published."""
    lease = attempt.lease
    with lease.write() as (unit, _):
        unit.shards.finish(lease.job_id, lease.token, concern)


def fetch_shard(attempt: Attempt, concern: int, scratch: Path) -> Shard:
    """The shard as the worker with the lease has left it. Raises StorageUnavailable."""
    file = scratch / f"{concern}.shard"
    attempt.reach_store(lambda: attempt.objects.download(shard_key(attempt, concern), file))
    return Shard.load(file)


def shard_key(attempt: Attempt, concern: int) -> str:
    """Where a shard of this attempt lies; the token is nobody's to read."""
    token = hashlib.sha256(attempt.lease.token.encode()).hexdigest()[:32]
    return f"{SHARDS}/{attempt.lease.job_id}/{token}/{concern}.safetensors"


def _store_shard(shard: Shard, concern: int, attempt: Attempt, scratch: Path) -> None:
    file = scratch / f"{concern}.shard"
    shard.save(file)
    key = shard_key(attempt, concern)
    attempt.reach_store(lambda: attempt.objects.put_file(key, file, MEDIA_TYPE, replace=True))
    file.unlink()


@patient
def _open_shards(concerns: Sequence[int], helpers: int, attempt: Attempt) -> None:
    lease = attempt.lease
    with lease.write() as (unit, job):
        unit.shards.open(lease.job_id, lease.token, concerns)
        unit.after_commit(lambda: attempt.queue.call_help(lease.job_id, helpers, job.priority))


@patient
def _find_unfinished(attempt: Attempt) -> Sequence[int]:
    lease = attempt.lease
    with lease.write() as (unit, _):
        return unit.shards.unfinished(lease.job_id, lease.token)


@dataclass(frozen=True)
class Shard:
    """One concern's modules to be made: its samples, where they were made, its masks by ratio, and what mends them."""

    samples: ConcernSamples
    boundary: str | None
    masks: Mapping[float, Mask]
    means: MeanInputs = field(default_factory=dict)

    def save(self, file: Path) -> None:
        """The shard as one safetensors file."""
        tensors, outlines = {f"{_MEANS}{name}": mean for name, mean in self.means.items()}, []
        for number, (ratio, mask) in enumerate(self.masks.items()):
            shapes = {kind: {name: bits.shape for name, bits in packed.items()} for kind, packed in mask.parts.items()}
            outlines.append({"ratio": ratio, "structure": mask.structure, "shapes": shapes})
            for kind, packed in mask.parts.items():
                for name, bits in packed.items():
                    tensors[f"{number}/{kind}/{name}"] = torch.frombuffer(bytearray(bits.packed), dtype=torch.uint8)
            for name, values in mask.tensors.items():
                tensors[f"{number}/tensors/{name}"] = torch.from_numpy(values)
        about = {"positive": self.samples.positive, "negative": self.samples.negative, "boundary": self.boundary}
        save_file(tensors, file, {"about": json.dumps(about), "masks": json.dumps(outlines)})

    @classmethod
    def load(cls, file: Path) -> Shard:
        """The shard that was saved."""
        with safe_open(file, "pt") as stored:
            metadata = stored.metadata()
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118, it is no mapping
        about = json.loads(metadata["about"])
        samples = ConcernSamples(tuple(about["positive"]), tuple(about["negative"]))
        outlines = enumerate(json.loads(metadata["masks"]))
        masks = {outline["ratio"]: _read_mask(number, outline, tensors) for number, outline in outlines}
        return cls(samples, about["boundary"], masks, _under(_MEANS, tensors))


def _under(start: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors whose names begin so, by what follows."""
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def _read_mask(number: int, outline: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Mask:
    def of(kind: str) -> dict[str, Any]:
        return {name: value.numpy() for name, value in _under(f"{number}/{kind}/", tensors).items()}

    bits = {
        kind: {name: Bits(tuple(shape), of(kind)[name].tobytes()) for name, shape in shapes.items()}
        for kind, shapes in outline["shapes"].items()
    }
    return Mask(outline["structure"], **bits, tensors=of("tensors"))
