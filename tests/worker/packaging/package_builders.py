"""Facts and archives of modules for the packaging tests; the numbers are made up and all different."""

from app.sources.demo import BERT_TINY, WORDNET
from microlith.contract import (
    ClassScore,
    Concern,
    DatasetFacts,
    JobSpec,
    ModelFacts,
    OwnScore,
    Ratio,
    Report,
    Resolved,
    SideSimilarity,
    Similarity,
    Size,
    Sparsity,
)
from microlith.contract.module import Macro
from tests.folders import portable_folder
from worker.packaging.archive import archive
from worker.packaging.card import model_card
from worker.packaging.decomposition import decomposition
from worker.packaging.module_facts import ModuleFacts, SampleRows

LABELS = ["act", "ani|mal"]


def report(start):
    """A report whose values count up from `start` in thousandths."""
    values = [start + step / 1000 for step in range(11)]
    classes = [
        ClassScore(
            id=i, label=label, precision=values[3 * i], recall=values[3 * i + 1], f1=values[3 * i + 2], support=7
        )
        for i, label in enumerate(LABELS)
    ]
    macro = Macro(precision=values[6], recall=values[7], f1=values[8])
    return Report(classes=classes, macro=macro, accuracy=values[9], loss=values[10], exp_loss=1.25 + start)


def facts(**spec):
    """A module of the demo model; `spec` changes the request."""
    request = {"model": "demo:bert-tiny-wordnet", "dataset": "demo:wordnet-supersense", **spec}
    asked = JobSpec(**request)
    resolved = Resolved(
        model=ModelFacts(ref=request["model"], revision=None, sha256="ab" * 32, architecture="B", labels=LABELS),
        dataset=DatasetFacts(ref=asked.source.ref, revision=None, splits={"test": "test"}, rows={"test": 14}),
        layers=["classifier"],
        seed=44,
        device="cpu",
    )
    return ModuleFacts(
        concern=Concern(id=1, label=LABELS[1]),
        spec=asked,
        resolved=resolved,
        ratio=Ratio(requested=0.5, achieved=0.4987),
        sparsity=Sparsity(overall=0.3171, layers={"classifier": 0.25}),
        size=Size(parameters=2_147_084, nonzero=1_900_000, base_parameters=2_147_085),
        own=OwnScore(precision=0.111, recall=0.222, f1=0.148, support=7),
        base_own=OwnScore(precision=0.333, recall=0.444, f1=0.381, support=7),
        report=report(0.5),
        base_report=report(0.7),
        similarity=Similarity(
            concern=SideSimilarity(cca=0.91, linear_cka=0.92, kernel_cka=None),
            rest=SideSimilarity(cca=0.81, linear_cka=0.82, kernel_cka=0.83),
        ),
        binary=None,
        numerics=None,
        samples=SampleRows(positive=[3, 1], negative=[0, 2]),
        mask_sha256="cd" * 32,
        model_licence=BERT_TINY,
        dataset_licence=WORDNET,
    )


def pack(loaded, folder, **spec):
    """The archive of `loaded` as a module, written below `folder`."""
    made = facts(**spec)
    portable_folder(folder / "module", loaded.model, loaded, model_card(made), decomposition(made))
    return archive(folder / "module", folder / "module.zip")
