"""Labels: what a dataset calls the model's classes, which classes a spec names, and whether each has samples."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from app.domain.errors import InvalidInput, NotEnoughSamples, UnknownLabels
from app.sources.short_texts import list_first
from microlith.contract import Concern, DatasetInfo, JobSpec, ModelInfo

MOST_LISTED = 50
"""Labels in one message."""

_GENERIC = re.compile(r"LABEL_\d+")


def match_labels(
    dataset_labels: Iterable[str], model_labels: Sequence[str], class_names: Sequence[str] | None = None
) -> dict[str, int]:
    """Each of the dataset's labels to a class id of the model.

    Labels are the model's names, in any case where that is unambiguous, or class ids as digits. Where the model has
    only generic names (`LABEL_0`, …) and the data names its ids (`class_names`), the ids are the classes.
    Raises UnknownLabels with the strange and the known when some label fits no class.
    """
    found = list(dataset_labels)
    for names in _readings(model_labels, class_names):
        if all(label in names for label in found):
            return {label: names[label] for label in found}
        folded = {label.casefold(): label for label in names}
        if len(folded) == len(names) and all(label.casefold() in folded for label in found):
            return {label: names[folded[label.casefold()]] for label in found}
    known = {label.casefold() for label in model_labels} | {str(i) for i in range(len(model_labels))}
    strange = [label for label in found if label.casefold() not in known] or found
    raise UnknownLabels(
        f"The dataset has labels that the model does not know: {_listed(strange)}. Known: {_listed(model_labels)}.",
        hint="Labels are the model's label names, or its class ids as whole numbers from 0.",
        pointer="/dataset",
    )


def find_concerns(concerns: str | Sequence[int | str], model_labels: Sequence[str]) -> list[Concern]:
    """The classes a spec names, in its order; "all" is every class. UnknownLabels at the one that is not known."""
    if isinstance(concerns, str):
        return [Concern(id=i, label=label) for i, label in enumerate(model_labels)]
    ids = [_class_id(value, model_labels, f"/concerns/{place}") for place, value in enumerate(concerns)]
    for place, number in enumerate(ids):
        if number in ids[:place]:
            raise InvalidInput(
                f"{concerns[place]!r} names class {model_labels[number]!r} a second time. Name each class once.",
                pointer=f"/concerns/{place}",
            )
    return [Concern(id=number, label=model_labels[number]) for number in ids]


def check(spec: JobSpec, model: ModelInfo, dataset: DatasetInfo, concerns: Sequence[Concern]) -> None:
    """Refuses what is certain to fail: labels that fit no class (UnknownLabels), too few samples (NotEnoughSamples).

    A concern needs `per_concern` samples of its own and as many of the rest; how they spread over the rest is left to
    the sampler.
    """
    for split in dataset.splits.values():
        _by_class(split.labels, model.labels, dataset.class_names)
    if spec.sampling.source == "boundary":  # its samples are generated, and counted when they are
        return
    available = _by_class(dataset.splits[spec.sampling.split].labels, model.labels, dataset.class_names)
    need, total = spec.sampling.per_concern, sum(available.values())
    enough = [label for number, label in enumerate(model.labels) if need <= available[number] <= total - need]
    some = [label for number, label in enumerate(model.labels) if available[number]]
    better = f"enough ({_listed(enough)})" if enough else f"examples ({_listed(some)})"
    for concern in concerns:
        own = available[concern.id]
        if own < need:
            raise _short(spec, f"Concern {concern.label!r} has {own} examples", need, better)
        if total - own < need:
            raise _short(spec, f"There are {total - own} examples of the classes beside {concern.label!r}", need)


def _readings(model_labels: Sequence[str], class_names: Sequence[str] | None) -> Iterable[dict[str, int]]:
    """The ways to read labels, the surest first."""
    yield {label: number for number, label in enumerate(model_labels)}
    if class_names is None:
        yield {str(number): number for number in range(len(model_labels))}
    elif all(_GENERIC.fullmatch(label) for label in model_labels):
        yield {name: number for number, name in enumerate(class_names[: len(model_labels)])}


def _class_id(value: int | str, model_labels: Sequence[str], pointer: str) -> int:
    if value in model_labels:
        return list(model_labels).index(str(value))
    number = int(value) if isinstance(value, int) or (value.isascii() and value.isdecimal()) else -1
    if 0 <= number < len(model_labels):
        return number
    raise UnknownLabels(
        f"The model has no label {value!r}. Known: {_listed(model_labels)}.",
        hint=f"Name labels, or class ids from 0 to {len(model_labels) - 1}.",
        pointer=pointer,
    )


def _listed(labels: Sequence[str]) -> str:
    return list_first(labels, most=MOST_LISTED)


def _by_class(counts: dict[str, int], model_labels: list[str], class_names: list[str] | None) -> Counter[int]:
    """Examples per class id of the model; a class name that the data declares but never uses asks nothing."""
    used = {label: count for label, count in counts.items() if count}
    ids = match_labels(used, model_labels, class_names)
    by_class: Counter[int] = Counter()
    for label, count in used.items():
        by_class[ids[label]] += count
    return by_class


def _short(spec: JobSpec, what: str, need: int, better: str | None = None) -> NotEnoughSamples:
    """`better` tells which concerns could be named instead."""
    name = f"name only `concerns` that have {better}, " if better else ""
    return NotEnoughSamples(
        f"{what} in the {spec.sampling.split} split; sampling needs {need}.",
        hint=f"Lower `sampling.per_concern`, {name}or use another split.",
        pointer="/sampling/per_concern",
    )
