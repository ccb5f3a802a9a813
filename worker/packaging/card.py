"""The model card of a module: what it is, how to open it, how it measures beside its base, and how it was made."""

from __future__ import annotations

import json
import re

from huggingface_hub import EvalResult, ModelCardData

from app.sources.demo import Licence
from microlith.contract import ClassScore
from worker.packaging.facts import ModuleFacts
from worker.packaging.usage import OPENED_BY, portable_usage, task

_SPDX_ON_THE_HUB = re.compile(r"[a-z0-9.-]+")


def model_card(facts: ModuleFacts, usage: str | None = None) -> str:
    """The card, in the Hub's form: metadata with evaluation results, then Markdown. Equal facts give an equal card.

    `usage` is the section that the layout decides, by default that of `portable`.
    """
    metadata = _metadata(facts).to_yaml(line_break="\n")
    sections = [
        _introduction(facts),
        usage or portable_usage(facts),
        _measures(facts),
        _making(facts),
        _licences(facts),
    ]
    return f"---\n{metadata}\n---\n\n" + "\n\n".join(sections) + "\n"


def _metadata(facts: ModuleFacts) -> ModelCardData:
    name = f"{_base_name(facts)}-{_slug(facts.concern.label)}"
    return ModelCardData(
        model_name=name,
        license=_hub_licence(facts.model_licence),
        base_model=_hub_id(facts.spec.model),
        datasets=_hub_id(facts.spec.source.ref),
        library_name="transformers",
        pipeline_tag=f"{task(facts)}-classification",
        tags=["microlith", "pruned", f"concern:{facts.concern.label}"],
        eval_results=[_result(facts, *metric) for metric in _metrics(facts)],
    )


def _metrics(facts: ModuleFacts) -> list[tuple[str, str, float]]:
    label = facts.concern.label
    return [
        ("f1", f"F1 of {label}", facts.own.f1),
        ("precision", f"Precision of {label}", facts.own.precision),
        ("recall", f"Recall of {label}", facts.own.recall),
        ("f1", "Macro F1", facts.report.macro.f1),
        ("accuracy", "Accuracy", facts.report.accuracy),
    ]


def _result(facts: ModuleFacts, kind: str, name: str, value: float) -> EvalResult:
    ref = facts.spec.source.ref
    return EvalResult(
        task_type=f"{task(facts)}-classification",
        dataset_type=_hub_id(ref) or ref,
        dataset_name=ref,
        dataset_split=facts.spec.evaluation.split,
        metric_type=kind,
        metric_name=name,
        metric_value=round(value, 6),
    )


def _introduction(facts: ModuleFacts) -> str:
    return (
        f"# {facts.concern.label}: a module of {facts.spec.model}\n\n"
        f"This is the part of the classifier `{facts.spec.model}` that class **{facts.concern.label}** "
        f"(id {facts.concern.id}) needs. Method `{facts.spec.method.name}` removed "
        f"{_percent(facts.ratio.achieved)} of the prunable {facts.spec.structure} "
        f"({_percent(facts.ratio.requested)} requested); {_percent(facts.sparsity.overall)} of all linear weights and "
        f"biases are gone. It answers {_answers(facts)} and keeps the base's {OPENED_BY[task(facts)]['inputs']}."
    )


def _answers(facts: ModuleFacts) -> str:
    if facts.binary is None:
        return "with the base's labels"
    return f"`rest` or `{facts.concern.label}`, its threshold chosen on the validation split,"


def _measures(facts: ModuleFacts) -> str:
    own, base, report, whole = facts.own, facts.base_own, facts.report, facts.base_report
    label = _cell(facts.concern.label)
    rows = [
        (f"Precision of {label}", own.precision, base.precision),
        (f"Recall of {label}", own.recall, base.recall),
        (f"F1 of {label}", own.f1, base.f1),
        ("Macro F1", report.macro.f1, whole.macro.f1),
        ("Accuracy", report.accuracy, whole.accuracy),
        ("Mean cross-entropy", report.loss, whole.loss),
        ("exp(mean cross-entropy), validation", report.exp_loss, whole.exp_loss),
    ]
    table = "\n".join(f"| {name} | {module:.4f} | {of_base:.4f} |" for name, module, of_base in rows)
    return (
        f"## Measures\n\nOn the {facts.spec.evaluation.split} split of `{facts.spec.source.ref}`; "
        f"{own.support} of its examples are {label}.\n\n| | module | base |\n|---|---:|---:|\n{table}\n\n"
        f"Parameters: {facts.size.parameters:,} stored, {facts.size.nonzero:,} not zero; "
        f"the base has {facts.size.base_parameters:,}.\n\n"
        f"{_binary(facts)}{_per_class(facts.report.classes)}{_similarity(facts)}"
    )


def _binary(facts: ModuleFacts) -> str:
    """How the two-way head decides; what follows was measured before the head was cut to two answers."""
    if (binary := facts.binary) is None:
        return ""
    return (
        "| concern against rest | precision | recall | F1 | AUROC |\n|---|---:|---:|---:|---:|\n"
        f"| {_cell(facts.concern.label)} | {binary.precision:.4f} | {binary.recall:.4f} | {binary.f1:.4f} | "
        f"{binary.auroc:.4f} |\n\nThe other measures were taken with the base's labels, before the head was cut to "
        "two answers.\n\n"
    )


def _per_class(classes: list[ClassScore]) -> str:
    rows = "\n".join(
        f"| {_cell(c.label)} | {c.precision:.4f} | {c.recall:.4f} | {c.f1:.4f} | {c.support} |" for c in classes
    )
    return f"| class | precision | recall | F1 | support |\n|---|---:|---:|---:|---:|\n{rows}"


def _similarity(facts: ModuleFacts) -> str:
    if facts.similarity is None:
        return ""
    sides = (("the concern", facts.similarity.concern), ("the rest", facts.similarity.rest))
    rows = "\n".join(f"| {n} | {_value(s.cca)} | {_value(s.linear_cka)} | {_value(s.kernel_cka)} |" for n, s in sides)
    return (
        "\n\nSimilarity of the last hidden states to the base's, 1 being the same:\n\n"
        f"| on samples of | CCA | linear CKA | kernel CKA |\n|---|---:|---:|---:|\n{rows}"
    )


def _value(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _making(facts: ModuleFacts) -> str:
    recipe = json.dumps(facts.recipe(), indent=2, ensure_ascii=False)
    return (
        "## How it was made\n\nBy Microlith, from this request; `decomposition.json` also has revisions, sample rows "
        f"and versions.\n\n```json\n{recipe}\n```"
    )


def _licences(facts: ModuleFacts) -> str:
    lines = [
        _licence_line(f"Base model `{facts.spec.model}`", facts.model_licence),
        _licence_line(f"Data `{facts.spec.source.ref}`", facts.dataset_licence),
    ]
    notices = (
        "\n\nThe notices in `licenses/` belong to this module."
        if facts.model_licence and facts.model_licence.files
        else ""
    )
    return "## Licences\n\nThe weights are the base model's, modified (pruned).\n\n" + "\n".join(lines) + notices


def _licence_line(what: str, licence: Licence | None) -> str:
    return f"- {what}: {licence.name}. {licence.notice}" if licence else f"- {what}: states no licence."


def _hub_licence(licence: Licence | None) -> str | None:
    """The hub knows single lower-case licence ids; anything else is `other`."""
    if licence is None:
        return None
    name = licence.name.lower()
    return name if _SPDX_ON_THE_HUB.fullmatch(name) and not name.startswith("licenseref") else "other"


def _hub_id(ref: str) -> str | None:
    return ref.removeprefix("hub:").partition("@")[0] if ref.startswith("hub:") else None


def _base_name(facts: ModuleFacts) -> str:
    return _slug((_hub_id(facts.spec.model) or facts.spec.model.partition(":")[2]).rstrip("/").rpartition("/")[2])


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-").lower() or "module"


def _cell(text: str) -> str:
    """Text that cannot leave its cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"
