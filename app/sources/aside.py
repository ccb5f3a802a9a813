"""Data files are looked at in a process of their own, once for each content: the web service never grows with them.

The library that reads them takes as much memory as the rest of the web service together. It ends with the process that
needed it, and so does whatever a file does to its reader. A process that has the library already looks itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

import structlog

from app.domain.errors import DatasetInvalid, of_code
from app.sources import demo
from app.sources.allowed import Allowed
from app.sources.places import dataset_place, stamp
from app.sources.references import NOTHING, Reference, Shelf, parse
from app.sources.splits import POINTER, ROLES, split_files
from microlith.contract import DatasetInfo, DatasetSpec, ModelInfo

REMEMBERED = 256

log = structlog.get_logger()


def describe_dataset(
    source: DatasetSpec,
    roles: Iterable[str],
    *,
    model: ModelInfo | None = None,
    allow_paths: Allowed,
    shelf: Shelf = NOTHING,
) -> DatasetInfo | None:
    """What `datasets.describe_dataset` says, with the same errors; at once for files that were looked at before."""
    ref, wanted = parse(source.ref, pointer=POINTER, allow_paths=allow_paths, shelf=shelf), list(roles)
    if ref.kind == "hub":
        return None
    if "pyarrow" in sys.modules:
        from app.sources import datasets

        return datasets.describe_dataset(source, wanted, model=model, allow_paths=allow_paths, shelf=shelf)
    place = dataset_place(ref, pointer=POINTER)
    files = split_files(place, source.splits, wanted)
    stamps = [stamp(file) for role in wanted for file in files[role]]
    reads = model and (model.task, model.image_shape)
    return _once(repr((source, wanted, reads, stamps)), lambda: _look(source, wanted, model, ref))


def known_datasets() -> list[DatasetInfo]:
    """The datasets anyone may name: the demo's, with all their splits."""
    specs = [DatasetSpec(ref=f"demo:{name}") for name in sorted(demo.DATASETS)]
    return [info for spec in specs if (info := describe_dataset(spec, ROLES, allow_paths=False))]


def question(source: DatasetSpec, roles: list[str], model: ModelInfo | None, ref: Reference) -> str:
    """What `describing` is asked, as JSON."""
    place = str(ref.place) if ref.place else None
    return json.dumps(
        {
            "source": source.model_dump(mode="json"),
            "roles": roles,
            "model": model and model.model_dump(mode="json"),
            "reference": {"kind": ref.kind, "name": ref.name, "called": ref.called, "place": place},
        }
    )


def _look(source: DatasetSpec, roles: list[str], model: ModelInfo | None, ref: Reference) -> DatasetInfo:
    command = [sys.executable, "-m", "app.sources.describing"]
    done = subprocess.run(command, input=question(source, roles, model, ref).encode(), capture_output=True, check=False)
    if done.returncode:
        log.error("dataset_reader_died", code=done.returncode, said=done.stderr.decode(errors="replace")[-2000:])
        raise DatasetInvalid("The data files end the process that reads them.", pointer=POINTER)
    answer: dict[str, Any] = json.loads(done.stdout)
    if error := answer.get("error"):
        raise of_code(error.pop("code"))(**error)
    return DatasetInfo.model_validate(answer["info"])


_answers: dict[str, Future[DatasetInfo]] = {}
_guard = threading.Lock()


def _once(about: str, look: Callable[[], DatasetInfo]) -> DatasetInfo:
    """What `look` finds; all who ask meanwhile wait for one look, and what is wrong is looked at again."""
    with _guard:
        known = _answers.get(about)
        if known is None:
            future = _answers[about] = Future()
            while len(_answers) > REMEMBERED:
                del _answers[next(iter(_answers))]
    if known is not None:
        return known.result()
    try:
        future.set_result(look())
    except BaseException as error:
        future.set_exception(error)
        with _guard:
            _answers.pop(about, None)
    return future.result()
