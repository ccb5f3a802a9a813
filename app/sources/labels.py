"""Labels: what a dataset calls the model's classes, which classes a spec names, and whether each has samples."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches

from app.domain.errors import DatasetInvalid, InvalidInput, NotEnoughSamples, UnknownLabels
from microlith.contract import Concern, DatasetInfo, DatasetSpec, JobSpec, ModelInfo

_LISTED, _PROPOSED, _LONG = 50, 12, 100
_UNLABELLED = "-1"
_GENERIC = re.compile(r"LABEL_\d+")
_WHOLE = re.compile(r"(-?\d+)\.0+")


def match_labels(
    dataset_labels: Iterable[str],
    model_labels: Sequence[str],
    class_names: Sequence[str] | None = None,
    given: Mapping[str, str] | None = None,
) -> dict[str, int]:
    """Each of the dataset's labels to a class id of the model, as `given` says it by names or as follows.

    Labels are the model's names, or class ids as digits. Where the model has only generic names (`LABEL_0`, …) and the
    data names its ids (`class_names`), the ids are the classes. Case, Unicode normal form, spaces around and `1.0` for
    `1` are looked past only where nothing else fits. Raises UnknownLabels with the strange and the known when some
    label fits no class, and when labels are ids and also names of other classes.
    """
    given = given or {}
    known_names = {name: number for number, name in enumerate(model_labels)}
    for label, name in given.items():
        if name not in known_names:
            raise _no_such_name(label, name, model_labels)
    everything = list(dataset_labels)
    chosen = {label: known_names[given[label]] for label in everything if label in given}
    found = [label for label in everything if label not in given]
    readings = _readings(model_labels, class_names)
    for fold in _FOLDS:
        fits = {how: ids for how, names in readings.items() if (ids := _fit(found, names, fold)) is not None}
        if len({tuple(ids.items()) for ids in fits.values()}) > 1:
            raise _two_ways(fits, model_labels)
        if fits:
            return chosen | next(iter(fits.values()))
    known = {fold(name) for names in readings.values() for name in names for fold in _FOLDS}
    strange = [label for label in found if not any(fold(label) in known for fold in _FOLDS)] or found
    taken = {fold(label) for label in [*found, *given.values()] if label not in strange for fold in _FOLDS}
    free = [name for name in model_labels if not any(fold(name) in taken for fold in _FOLDS)]
    raise UnknownLabels(
        f"The dataset has labels that the model does not know: {_listed(strange)}. Known: {_listed(model_labels)}.",
        hint=_mapping_hint(strange, model_labels, free or model_labels),
        pointer="/dataset",
    )


def refuse_unlabelled(counts: Mapping[str, Mapping[str, int]], known: Sequence[str]) -> None:
    """UnknownLabels where rows of a split have -1 for a label, as test sets do whose labels are kept back.

    `counts` are the rows of each label, by split; `known` are labels that stand for a class whatever they look like.
    """
    for role, labels in counts.items():
        without, rows = labels.get(_UNLABELLED, 0), sum(labels.values())
        if not without or _UNLABELLED in known:
            continue
        others = [name for name, found in counts.items() if not found.get(_UNLABELLED)]
        take = f"Take a split that has labels ({', '.join(others)}), or l" if others else "L"
        raise UnknownLabels(
            f"The {role} split is unlabelled (-1 in all {rows:,} rows)."
            if without == rows
            else f"{without:,} of {rows:,} rows of the {role} split are unlabelled (-1).",
            hint=f"{take}eave rows without a label out.",
            pointer=f"/dataset/splits/{role}",
        )


def find_concerns(concerns: str | Sequence[int | str], model_labels: Sequence[str]) -> list[Concern]:
    """The classes a spec names, in its order; "all" is every class. UnknownLabels at the one that is not known."""
    if isinstance(concerns, str):
        return [Concern(id=i, label=label) for i, label in enumerate(model_labels)]
    ids = [_class_id(value, model_labels, f"/concerns/{index}") for index, value in enumerate(concerns)]
    for index, number in enumerate(ids):
        if number in ids[:index]:
            raise InvalidInput(
                f"{concerns[index]!r} names class {model_labels[number]!r} a second time. Name each class once.",
                pointer=f"/concerns/{index}",
            )
    return [Concern(id=number, label=model_labels[number]) for number in ids]


def match(source: DatasetSpec, model: ModelInfo, dataset: DatasetInfo) -> dict[str, int]:
    """The labels that the data uses by class id. Raises UnknownLabels for rows without one and for strange ones."""
    if not model.multi_label:
        known = [*model.labels, *source.labels]
        refuse_unlabelled({role: split.labels for role, split in dataset.splits.items()}, known)
    used = {label for split in dataset.splits.values() for label, count in split.labels.items() if count}
    return match_labels(sorted(used), model.labels, dataset.class_names, source.labels)


def check(spec: JobSpec, model: ModelInfo, dataset: DatasetInfo, concerns: Sequence[Concern]) -> None:
    """Refuses what is certain to fail: labels that fit no class (UnknownLabels), too few samples (NotEnoughSamples).

    A concern needs `per_concern` samples of its own and as many of the rest; how they spread over the rest is left to
    the sampler.
    """
    ids = match(spec.source, model, dataset)
    if spec.sampling.source == "boundary":  # its samples are generated, and counted when they are
        return
    split, need = dataset.splits[spec.sampling.split], spec.sampling.per_concern
    available, total = _by_class(split.labels, ids), split.rows
    enough = [label for number, label in enumerate(model.labels) if need <= available[number] <= total - need]
    some = [label for number, label in enumerate(model.labels) if available[number]]
    better = f"enough ({_listed(enough)})" if enough else f"examples ({_listed(some)})"
    for concern in concerns:
        own = available[concern.id]
        if own < need:
            raise _short(spec, f"Concern {concern.label!r} has {own} examples", need, better)
        if total - own < need:
            beside = "without the label" if model.multi_label else "of the classes beside"
            raise _short(spec, f"There are {total - own} examples {beside} {concern.label!r}", need)


def has_generic_names(model_labels: Iterable[str]) -> bool:
    """Whether a model's names say nothing: `LABEL_0`, `LABEL_1`, …"""
    return all(_GENERIC.fullmatch(label) for label in model_labels)


def class_names_of(stated: Iterable[Sequence[str] | None], model_labels: Sequence[str] | None) -> list[str] | None:
    """What the files of a data set call the label column's ids, all of them together; None where none says it.

    Files that name them in unlike orders agree on no id: DatasetInvalid where the model has generic names, which the
    ids alone could tell apart. Without a model there is then no list to tell.
    """
    lists = [list(names) for names in dict.fromkeys(tuple(names) for names in stated if names)]
    longest = max(lists, key=len, default=None)
    if longest is None or all(names == longest[: len(names)] for names in lists):
        return longest
    if model_labels is None:
        return None
    if not has_generic_names(model_labels):
        return list(dict.fromkeys(name for names in lists for name in names))
    orders = "; ".join(_listed(names) for names in lists[:2])
    raise DatasetInvalid(
        f"The files name the ids of their classes in unlike orders ({orders}), and the model names no class.",
        hint="Write all splits with one order of classes, or name the classes in the model's id2label.",
        pointer="/dataset/label_column",
    )


def _readings(model_labels: Sequence[str], class_names: Sequence[str] | None) -> dict[str, dict[str, int]]:
    """The ways to read labels, by what they then are."""
    readings = {"names": {label: number for number, label in enumerate(model_labels)}}
    if class_names is None:
        readings["ids"] = {str(number): number for number in range(len(model_labels))}
    elif has_generic_names(model_labels):
        readings["ids of named classes"] = {name: at for at, name in enumerate(class_names[: len(model_labels)])}
    return readings


def _fit(labels: Sequence[str], names: Mapping[str, int], fold: Callable[[str], str]) -> dict[str, int] | None:
    """Labels by class id where all are among the names when both are folded, and names are still told apart."""
    folded = {fold(name): number for name, number in names.items()}
    if len(folded) < len(names) or any(fold(label) not in folded for label in labels):
        return None
    return {label: folded[fold(label)] for label in labels}


def _two_ways(fits: Mapping[str, Mapping[str, int]], model_labels: Sequence[str]) -> UnknownLabels:
    one, other = list(fits.values())[:2]
    label = next(label for label in one if one[label] != other[label])
    ways = " and ".join(
        f"as {how} class {_escape(model_labels[ids[label]])} (id {ids[label]})" for how, ids in fits.items()
    )
    return UnknownLabels(
        f"The dataset's labels ({_listed(sorted(one))}) fit two ways: {_escape(label)} is {ways}.",
        hint='Say in the dataset object which is which: "labels": {data label: model label}.',
        pointer="/dataset",
    )


def _no_such_name(label: str, name: str, model_labels: Sequence[str]) -> UnknownLabels:
    return UnknownLabels(
        f"The model has no label {_escape(name)}, which is to be {_escape(label)}. Known: {_listed(model_labels)}.",
        hint="`labels` maps the data's labels to the model's: {data label: model label}.",
        pointer="/dataset/labels",
    )


def _mapping_hint(strange: Sequence[str], model_labels: Sequence[str], free: Sequence[str]) -> str:
    """What labels may be, and a mapping to names that are free, which may be meant and is to be looked over."""
    what = "Labels are the model's label names, or its class ids as whole numbers from 0"
    if has_generic_names(model_labels):
        what += " (its names, LABEL_n, are placeholders)"
    proposed = _propose(sorted(strange)[:_PROPOSED], free)
    shown = json.dumps(proposed, ensure_ascii=not all(map(_looks_as_it_is, proposed)))
    more = ", …" if len(strange) > _PROPOSED else ""
    return f'{what}. Or say in the dataset object which is which, such as "labels": {shown[:-1]}{more}}}.'


def _propose(strange: Sequence[str], free: Sequence[str]) -> dict[str, str]:
    """Each strange label with the name that is written most like it, or else with the first that is left."""
    left = {_plain(name): name for name in free}
    close: dict[str, str] = {}
    for label in strange:
        if alike := get_close_matches(_plain(label), left, 1):
            close[label] = left.pop(alike[0])
    rest = dict(zip([label for label in strange if label not in close], left.values(), strict=False))
    return {label: (close | rest)[label] for label in strange if label in close or label in rest}


def _same(label: str) -> str:
    return label


def _plain(label: str) -> str:
    """A label as it looks: composed letters, nothing invisible, one space where there is room, no case."""
    seen = "".join(letter for letter in unicodedata.normalize("NFC", label) if unicodedata.category(letter) != "Cf")
    return " ".join(seen.split()).casefold()


def _whole(label: str) -> str:
    """`1.0` as `1`, and all else as it looks."""
    plain = _plain(label)
    number = _WHOLE.fullmatch(plain)
    return number[1] if number else plain


_FOLDS = (_same, str.casefold, _plain, _whole)
"""What is looked past, the least first."""


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
    more = f" and {len(labels) - _LISTED} more" if len(labels) > _LISTED else ""
    return ", ".join(map(_escape, labels[:_LISTED])) + more


def _escape(label: str) -> str:
    """A label as a sentence can hold it: data may have anything in its place, and what cannot be seen is escaped."""
    short = label if len(label) <= _LONG else f"{label[:_LONG]}…"
    if _looks_as_it_is(short):
        return short
    return '"' + "".join(letter if _is_seen(letter) else ascii(letter)[1:-1] for letter in short) + '"'


def _looks_as_it_is(label: str) -> bool:
    composed = unicodedata.normalize("NFC", label) == label
    return composed and label == label.strip() and all(map(_is_seen, label))


def _is_seen(letter: str) -> bool:
    return letter.isprintable() and not unicodedata.combining(letter)


def _by_class(counts: Mapping[str, int], ids: Mapping[str, int]) -> Counter[int]:
    """Examples per class id of the model; a class name that the data declares but never uses asks nothing."""
    by_class: Counter[int] = Counter()
    for label, count in counts.items():
        if count:
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
