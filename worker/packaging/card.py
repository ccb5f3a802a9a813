"""The model card of a module: what it is, how to open it, how it measures beside its base, and how it was made.

Its text is `module_card.md.jinja`; here are the values that go into it, and the metadata that the hub reads.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from app.domain.layouts import MASK, counted_splits
from app.domain.verdicts import verdict
from app.sources.demo import Licence
from app.sources.licences import pointed, texts_of
from microlith.contract import DatasetFacts, ModelFacts
from worker.packaging.card_usage import OPENED_BY, number_type, portable_usage, task
from worker.packaging.module_facts import ModuleFacts
from worker.packaging.most_confused import nearest
from worker.packaging.picture import PICTURE, alternative

TEMPLATE = Path(__file__).with_name("module_card.md.jinja")
LIBRARIES = {"portable": "transformers", "compact": "transformers", "mask": "microlith", "onnx": "onnx"}
"""What opens a layout, as the hub knows it."""

_MARKS = {"compact": ["custom_code"], "onnx": ["onnx"], "mask": ["mask"]}
_SPDX_ON_THE_HUB = re.compile(r"[a-z0-9.-]+")


def model_card(facts: ModuleFacts, usage: str | None = None, layout: str = "portable") -> str:
    """The card, in the hub's form: metadata with evaluation results, then Markdown. Equal facts give an equal card.

    `usage` is the section that the layout decides, by default that of `portable`.
    """
    brief = layout == MASK
    licences = [
        (f"Base model `{facts.spec.model}`", facts.model_licence),
        (f"Data `{facts.spec.source.ref}`", facts.dataset_licence),
    ]
    card = ModelCard.from_template(
        _metadata(facts, layout),
        template_path=str(TEMPLATE),
        **{name: getattr(facts, name) for name in ("concern", "spec", "ratio", "sparsity", "size", "binary")},
        **{name: getattr(facts, name) for name in ("own", "delivered", "report", "similarity")},
        usage=usage or portable_usage(facts),
        brief=brief,
        vocabulary=None if brief else facts.vocabulary,
        counted=_counted(facts),
        before=_before(facts),
        inputs=OPENED_BY[task(facts)]["inputs"],
        measures=_measures(facts),
        warnings=facts.resolved.dataset.warnings if facts.resolved.dataset else [],
        interval=_interval(facts),
        verdict=verdict([facts], [], facts.baselines),
        cost=facts.cost,
        baselines=facts.baselines,
        nearest=nearest(facts),
        picture=PICTURE,
        alternative=alternative(facts.sparsity),
        recipe=json.dumps(_pinned(facts), indent=2, ensure_ascii=False),
        licences=licences,
        notices=_notices(facts, brief=brief),
        texts=list(dict.fromkeys(text for _, licence in licences if licence for text in texts_of(licence))),
        line=_line,
        cell=_cell,
        percent=_percent,
        measured=_measured,
    )
    return str(card).rstrip() + "\n"


def _metadata(facts: ModuleFacts, layout: str) -> ModelCardData:
    licence = _hub_licence(facts.model_licence)
    metrics = _metrics(facts)[:1] if layout == MASK else _metrics(facts)
    return ModelCardData(
        model_name=f"{_base_name(facts)}-{_slug(facts.concern.label)}",
        license=licence,
        license_name=_slug(facts.model_licence.name) if facts.model_licence and licence == "other" else None,
        base_model=_hub_id(facts.spec.model),
        datasets=_hub_id(facts.spec.source.ref),
        library_name=LIBRARIES[layout],
        pipeline_tag=f"{task(facts)}-classification",
        tags=["microlith", "pruned", *_MARKS.get(layout, ()), f"concern:{_line(facts.concern.label)}"],
        metrics=["f1", "precision", "recall", "accuracy"],
        eval_results=[_result(facts, *metric) for metric in metrics],
    )


def _metrics(facts: ModuleFacts) -> list[tuple[str, str, float]]:
    label, own, whole = _line(facts.concern.label), facts.handed_out, facts.delivered or facts.report
    return [
        ("f1", f"F1 of {label}", own.f1),
        ("precision", f"Precision of {label}", own.precision),
        ("recall", f"Recall of {label}", own.recall),
        *([("f1", "Macro F1", whole.macro.f1)] if whole.macro else []),
        ("accuracy", "Accuracy", whole.accuracy),
    ]


def _result(facts: ModuleFacts, kind: str, name: str, value: float) -> EvalResult:
    ref = facts.spec.source.ref
    return EvalResult(
        task_type=f"{task(facts)}-classification",
        dataset_type=_hub_id(ref) or ref,
        dataset_name=ref,
        dataset_split=facts.spec.evaluation.split,
        dataset_revision=_commit(facts.resolved.dataset),
        metric_type=kind,
        metric_name=name,
        metric_value=round(value, 6),
    )


def _measures(facts: ModuleFacts) -> list[tuple[str, float, float]]:
    """Name, module, base."""
    own, base, measured, whole = facts.handed_out, facts.base_own, facts.delivered or facts.report, facts.base_report
    label = _cell(facts.concern.label)
    loss, right = ("binary cross-entropy", "Every label right") if whole.micro else ("cross-entropy", "Accuracy")
    rows = [
        (f"Precision of {label}", own.precision, base.precision),
        (f"Recall of {label}", own.recall, base.recall),
        (f"F1 of {label}", own.f1, base.f1),
    ]
    if measured.macro is not None and measured.loss is not None:
        micro = [("Micro F1", measured.micro.f1, whole.micro.f1)] if measured.micro and whole.micro else []
        rows += [
            ("Macro F1", measured.macro.f1, whole.macro.f1),
            *micro,
            (right, measured.accuracy, whole.accuracy),
            (f"Mean {loss}", measured.loss, whole.loss),
        ]
    if facts.delivered is None:
        rows.append((f"exp(mean {loss}), validation", facts.report.exp_loss, whole.exp_loss))
    return rows


def _before(facts: ModuleFacts) -> str:
    """What the module had that its files do not have."""
    had = [
        (facts.binary, "the base's labels"),
        (facts.vocabulary, "the whole vocabulary"),
        (number_type(facts) != "float32", "weights in float32"),
    ]
    return " and ".join(what for is_gone, what in had if is_gone)


def _counted(facts: ModuleFacts) -> str:
    """The splits whose tokens a trimmed vocabulary keeps."""
    return " and ".join(counted_splits(facts.spec))


def _notices(facts: ModuleFacts, *, brief: bool) -> bool:
    """Whether there are notices beside the card."""
    model, data = facts.model_licence, facts.dataset_licence
    carried = [model and pointed(model)] if brief else [model, data]
    return any(licence and licence.files for licence in carried)


def _interval(facts: ModuleFacts) -> str | None:
    """Where F1 of the concern lies, of module and base."""
    intervals = [(own.f1_interval, whose) for own, whose in ((facts.handed_out, "module"), (facts.base_own, "base"))]
    texts = [f"{pair[0]:.4f} to {pair[1]:.4f} ({whose})" for pair, whose in intervals if pair]
    return ", ".join(texts) or None


def _pinned(facts: ModuleFacts) -> dict[str, Any]:
    """The request, with the commits that its references to the hub stood for."""
    recipe: dict[str, Any] = facts.recipe()
    model, data = _commit(facts.resolved.model), _commit(facts.resolved.dataset)
    recipe["model"] = _at(recipe["model"], model)
    if isinstance(recipe["dataset"], str):
        recipe["dataset"] = _at(recipe["dataset"], data)
    else:
        recipe["dataset"]["ref"] = _at(recipe["dataset"]["ref"], data)
    return recipe


def _commit(source: ModelFacts | DatasetFacts | None) -> str | None:
    return source.revision if source else None


def _at(ref: str, commit: str | None) -> str:
    return f"{ref.partition('@')[0]}@{commit}" if commit and ref.startswith("hub:") else ref


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
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.").lower() or "module"


def _line(text: str) -> str:
    """Text that stays on its line."""
    return " ".join(text.split())


def _cell(text: str) -> str:
    """Text that cannot leave its cell of a Markdown table."""
    return _line(text).replace("|", "\\|")


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"


def _measured(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
