"""A class set in the layouts of a module."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.sources.demo import Licence
from microlith.contract import Combination, Concern, Export, JobSpec, Ratio, Resolved, Size
from worker.combining.card import class_set_card
from worker.combining.class_set import ClassSet
from worker.evaluation.meaning import SINGLE_LABEL, Meaning
from worker.packaging.layouts import FolderText, Handout, Package, Packer

HISTORY = "combination.json"


@dataclass(frozen=True)
class SetFacts:
    """What a layout says of a class set; `spec` is that of one of its modules' jobs, all of one base and structure."""

    spec: JobSpec
    resolved: Resolved
    concerns: list[Concern]
    ratio: Ratio
    size: Size
    licences: Sequence[Licence | None]
    meaning: Meaning = SINGLE_LABEL


def facts_of(
    made: ClassSet, combination: Combination, spec: JobSpec, resolved: Resolved, licences: Sequence[Licence | None]
) -> SetFacts:
    """Of a class set, whose ratio is what no module has kept."""
    assert combination.size is not None
    gone = made.mask.achieved
    concerns = [Concern(id=number, label=label) for number, label in zip(made.ids, made.labels, strict=True)]
    return SetFacts(spec, resolved, concerns, Ratio(requested=gone, achieved=gone), combination.size, licences)


def pack_class_set(
    packer: Packer, made: ClassSet, facts: SetFacts, combination: Combination, export: Export
) -> Iterator[Package]:
    """Each layout that is asked for."""
    handout = Handout(made.model, made.mask, made.origin.anatomy, facts)
    history = combination.model_dump(mode="json")

    def story(usage: str) -> FolderText:
        return FolderText(class_set_card(combination, usage), history, facts.licences, HISTORY)

    for layout in export.layouts:
        name = "class-set" if layout == "portable" else f"class-set-{layout}"
        yield packer.packed(handout, layout, name, story)
