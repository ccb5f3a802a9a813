"""What modules must have in common to become one classifier, and which options go with which mode."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.errors import InvalidInput
from app.domain.layouts import check_export
from app.domain.methods import parts_of
from microlith.contract import CombineSpec, Export
from microlith.contract.catalog import Task

POINTER = "/modules"


@dataclass(frozen=True)
class Candidate:
    """What decides whether a module goes with others: its concern's label, what was removed, what it reads, how it was
    repaired, and whether its base gives an input several labels.
    """

    label: str
    structure: str
    task: Task
    pairs: bool = False
    recovery: str = "none"
    multi_label: bool = False


def check_combination(spec: CombineSpec, modules: Sequence[Candidate]) -> None:
    """Raises InvalidInput, with the place and what to do, unless the modules and the options go together."""
    _check_one_class(modules)
    check_labels([module.label for module in modules])
    check_tasks({module.label: module.task for module in modules})
    check_pairs({module.label: module.pairs for module in modules})
    if spec.mode == "recompose":
        _check_recomposition(spec)
        return
    check_structures([module.structure for module in modules])
    _check_learned(modules)
    check_recovery(spec, modules[0].structure)
    if spec.export:
        check_export(spec.export)
        _check_vocabulary(spec.export)


def _check_one_class(modules: Sequence[Candidate]) -> None:
    """Raises InvalidInput for modules whose labels do not exclude one another."""
    if several := [module.label for module in modules if module.multi_label]:
        raise InvalidInput(
            f"The modules of {', '.join(map(repr, several))} are of multi-label models, and a combination answers each "
            "input with one label.",
            hint="Use each of them by itself: with `head: binary` a module says whether an input has its label.",
            pointer=POINTER,
        )


def _check_learned(modules: Sequence[Candidate]) -> None:
    if learned := [module.label for module in modules if module.recovery == "distil"]:
        raise InvalidInput(
            f"The modules of {', '.join(map(repr, learned))} have learned weights of their own. A class set has the "
            "base's weights, which do not fit what is left of it.",
            hint="Every module of recovery `distil` answers all classes: use one of them. Or use mode `recompose`.",
            pointer=POINTER,
        )


def _check_vocabulary(export: Export) -> None:
    if export.vocabulary.trim:
        raise InvalidInput(
            "A class set reads with its base's whole vocabulary.",
            hint="Leave `vocabulary` out; it is for the modules of a job.",
            pointer="/export/vocabulary/trim",
        )


def check_labels(labels: Sequence[str]) -> None:
    """Raises InvalidInput for a label that comes twice."""
    twice = sorted(label for label, count in Counter(labels).items() if count > 1)
    if twice:
        raise InvalidInput(
            f"More than one module answers {', '.join(map(repr, twice))}.",
            hint="Give one module for each concern. To replace a module, leave out the old one.",
            pointer=POINTER,
        )


def check_tasks(tasks: dict[str, Task]) -> None:
    """Raises InvalidInput for modules, by label, that do not all read the same: no input would suit them all."""
    if len(set(tasks.values())) > 1:
        texts, images = (", ".join(repr(n) for n, task in tasks.items() if task == kind) for kind in ("text", "image"))
        raise InvalidInput(
            f"The modules of {texts} read texts, those of {images} read images. No input fits them all.",
            hint="Combine modules of text models, or of image models.",
            pointer=POINTER,
        )


def check_pairs(pairs: dict[str, bool]) -> None:
    """Raises InvalidInput for modules, by label, of which some read pairs of texts and some do not."""
    if len(set(pairs.values())) > 1:
        read, not_read = (", ".join(repr(name) for name, two in pairs.items() if two == kind) for kind in (True, False))
        raise InvalidInput(
            f"The modules of {read} read pairs of texts, those of {not_read} single texts. No input fits them all.",
            hint="Combine modules that read pairs, or modules that read single texts.",
            pointer=POINTER,
        )


def check_same_inputs(*, modules: bool, data: bool) -> None:
    """Raises InvalidInput where the modules read pairs of texts and the data has none, and the reverse."""
    if modules and not data:
        raise InvalidInput(
            "The modules read pairs of texts, and the data is read as single ones.",
            hint="Name the column of second texts in `text_pair_column` of the dataset object.",
            pointer="/dataset",
        )
    if data and not modules:
        raise InvalidInput(
            "The data is read as pairs of texts, and the modules read single ones.",
            hint="Leave `text_pair_column` out.",
            pointer="/dataset/text_pair_column",
        )


def check_structures(structures: Sequence[str]) -> None:
    """Raises InvalidInput for modules that have lost different kinds of units, which do not compare."""
    if len(unlike := sorted(set(structures))) > 1:
        raise InvalidInput(
            f"The modules have lost different kinds of units: {', '.join(unlike)}.",
            hint="Combine modules of one structure, or use mode `recompose`.",
            pointer=POINTER,
        )


def check_recovery(spec: CombineSpec, structure: str) -> None:
    """Raises InvalidInput for a recovery of what has lost whole layers alone."""
    if spec.recovery not in (None, "none") and parts_of(structure) == ("layers",):
        raise InvalidInput(
            f"Recovery `{spec.recovery}` mends layers that have lost some of their units. These modules have lost "
            "whole ones, and what follows them is always solved anew.",
            hint="Leave `recovery` out.",
            pointer="/recovery",
        )


def _check_recomposition(spec: CombineSpec) -> None:
    if spec.export is not None:
        raise InvalidInput(
            "A recomposed classifier has one form: an ONNX graph of all its modules, with what runs it.",
            hint="Leave `export` out; layouts are for mode `class_set`.",
            pointer="/export",
        )
    if spec.recovery is not None:
        raise InvalidInput(
            "A recomposed classifier runs its modules as they are, each with what its own recovery has changed.",
            hint="Leave `recovery` out; it is for mode `class_set`.",
            pointer="/recovery",
        )
