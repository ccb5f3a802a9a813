"""Data files are looked at in a confined process, once for each content: the web service never grows with them.

The library that reads them takes as much memory as the rest of the web service together. It ends with the process that
needed it, and so does whatever a file does to its reader. The demo's own files are looked at by any process that has
the library already.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from app import confined
from app.confined import Limits, Reading
from app.domain.errors import DatasetInvalid
from app.sources import demo
from app.sources.allowed_paths import Allowed
from app.sources.findings import Remembered
from app.sources.labels import has_generic_names
from app.sources.reference_files import dataset_place, stamp
from app.sources.references import NOTHING, Reference, Shelf, parse
from app.sources.splits import POINTER, ROLES, split_files
from microlith.contract import DatasetInfo, DatasetSpec, ModelInfo

_BYTES_A_SECOND = 5_000_000
"""What the slowest format is read at, with a digest of it, on the slowest of our machines."""

remembered_data = Remembered()


def describe_dataset(
    source: DatasetSpec,
    roles: Iterable[str],
    *,
    model: ModelInfo | None = None,
    allow_paths: Allowed,
    shelf: Shelf = NOTHING,
) -> DatasetInfo | None:
    """What `datasets.describe_dataset` says, with the same errors; at once for files that were looked at before.

    Raises ResourceLimit for files that take more memory or time than they may.
    """
    ref, role_list = parse(source.ref, pointer=POINTER, allow_paths=allow_paths, shelf=shelf), list(roles)
    if ref.kind == "hub":
        return None
    if ref.kind == "demo" and "pyarrow" in sys.modules:
        from app.sources import datasets

        return datasets.describe_files(source, ref, role_list, model)
    place = dataset_place(ref, pointer=POINTER)
    stamps = [stamp(file) for split in split_files(place, source, role_list).values() for file in split.files]
    size = sum(seen.size for seen in set(stamps))
    labels = tuple(model.labels) if model and model.multi_label else None
    reads = model and (model.task, model.image_shape, has_generic_names(model.labels), labels)

    def look() -> str:
        linked = {seen.path.resolve() for seen in stamps} if ref.kind == "path" else ()  # checked: allowed.real_place
        return _look(question(source, role_list, model, ref, place), [place, *linked], size)

    return DatasetInfo.model_validate_json(remembered_data.once((source, role_list, reads, stamps), look))


def known_datasets() -> list[DatasetInfo]:
    """The datasets anyone may name: the demo's, with all their splits."""
    specs = [DatasetSpec(ref=f"demo:{name}") for name in sorted(demo.DATASETS)]
    return [info for spec in specs if (info := describe_dataset(spec, ROLES, allow_paths=False))]


def question(
    source: DatasetSpec, roles: list[str], model: ModelInfo | None, ref: Reference, place: Path
) -> dict[str, Any]:
    """What `describing` is asked about the files at `place`, which `ref` stands for."""
    return {
        "source": source.model_dump(mode="json"),
        "roles": roles,
        "model": model and model.model_dump(mode="json"),
        "reference": {"kind": ref.kind, "name": ref.name, "called": ref.called, "place": str(place)},
    }


def _look(asked: object, reads: Sequence[Path], size: int) -> str:
    seconds = 20 + size // _BYTES_A_SECOND
    limits = Limits(cpu_seconds=seconds, wall_seconds=3 * seconds)
    reading = Reading("app.sources.confined_answers", asked, DatasetInvalid, POINTER, reads=reads, limits=limits)
    return json.dumps(confined.run(reading))
