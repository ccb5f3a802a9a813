"""The form of a new job: every option that there is, with the layers and labels of the model that is chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.web.views.fields import MISSING, Field, FieldChoice, fields_of, look_up, name_of, texts
from app.web.views.plan import PlanView
from microlith.contract import DataForm, DatasetInfo, ErrorDetail, MethodInfo, Methods, ModelInfo

FIRST = ("structure", "ratio")
BOXES = 400
"""Labels and layers that have a box of their own at most."""

_FOUND = "If you leave it empty, the usual names are tried."

GROUPS = {
    "Samples": ("sampling", "calibration"),
    "Evaluation": ("evaluation",),
    "Files": ("export",),
    "Pruning in detail": ("scope", "ratio_rules", "recovery", "distil", "head"),
    "The job itself": ("priority", "workers", "deadline_seconds", "reuse", "labels"),
}
"""Where the options stand; what is not named here would be missing, and a test holds that none is."""


@dataclass(frozen=True)
class SourcesOffered:
    """What there is to choose from; `model` is the chosen one, where anything is known of it."""

    models: Sequence[ModelInfo]
    datasets: Sequence[DatasetInfo]
    model: ModelInfo | None


@dataclass(frozen=True)
class Group:
    """Fields behind one heading, open where one of them says something."""

    name: str
    fields: list[Field]

    @property
    def open(self) -> bool:
        return any(field.changed or field.faults for field in self.fields)


@dataclass(frozen=True)
class Layer:
    name: str
    shape: str
    usual: bool
    chosen: bool


@dataclass(frozen=True)
class FormPage:
    """The form as it is filled in, its faults at their fields, and the plan where it makes sense."""

    model: Field
    dataset: Field
    columns: Group
    concerns: Field
    method: Field
    method_options: list[Field]
    first: list[Field]
    layers: list[Layer]
    patterns: list[Field]
    groups: list[Group]
    faults: list[ErrorDetail]
    hint: str | None
    plan: PlanView | None

    @property
    def fields(self) -> list[Field]:
        """All of them, in order."""
        grouped = [field for group in self.groups for field in group.fields]
        before = [self.model, self.dataset, *self.columns.fields, self.concerns, self.method, *self.method_options]
        return [*before, *self.first, *self.patterns, *grouped]

    @property
    def layers_open(self) -> bool:
        return any(layer.chosen for layer in self.layers) or any(f.changed or f.faults for f in self.patterns)


def form_page(methods: Methods, sources: SourcesOffered, spec: Mapping[str, Any]) -> FormPage:
    """The form that says `spec`, without faults and plan yet."""
    options = {option.name: option for option in methods.options}
    names = [*FIRST, "layers", *(name for group in GROUPS.values() for name in group)]
    known = {
        name: list(fields_of(o.json_schema, f"/{name}", o.description, o.default, spec))
        for name in names
        if (o := options[name])
    }
    method = _method(methods, spec)
    chosen = next((m for m in methods.methods if m.name == method.value), methods.methods[0])
    return FormPage(
        model=_source("/model", "Model", sources.models, spec),
        dataset=_source("/dataset/ref", "Dataset", sources.datasets, spec),
        columns=Group("Columns, labels and splits", _data_form(spec)),
        concerns=_concerns(sources.model, options["concerns"].description, spec),
        method=replace(method, says=chosen.description),
        method_options=list(fields_of(chosen.json_schema, "/method", "", chosen.defaults, spec)),
        first=[field for name in FIRST for field in known[name]],
        layers=_layers(sources.model, spec),
        patterns=_patterns(known["layers"], sources.model),
        groups=[Group(name, [f for option in inside for f in known[option]]) for name, inside in GROUPS.items()],
        faults=[],
        hint=None,
        plan=None,
    )


def with_faults(form: FormPage, faults: Sequence[ErrorDetail], hint: str | None = None) -> FormPage:
    """The form with each fault at its field; those that belong to none stand at its head."""
    fields = form.fields
    placed: dict[str, list[str]] = {}
    loose = []
    for fault in faults:
        pointer = _place(fault.pointer, fields)
        if pointer is None:
            loose.append(fault)
        else:
            placed.setdefault(pointer, []).append(fault.detail)

    def mark(field: Field) -> Field:
        return replace(field, faults=tuple(placed.get(field.pointer, ())))

    def mark_all(fields: Sequence[Field]) -> list[Field]:
        return [mark(field) for field in fields]

    return replace(
        form,
        model=mark(form.model),
        dataset=mark(form.dataset),
        columns=Group(form.columns.name, mark_all(form.columns.fields)),
        concerns=mark(form.concerns),
        method=mark(form.method),
        method_options=mark_all(form.method_options),
        first=mark_all(form.first),
        patterns=mark_all(form.patterns),
        groups=[Group(group.name, mark_all(group.fields)) for group in form.groups],
        faults=loose,
        hint=hint,
    )


def _place(pointer: str, fields: Sequence[Field]) -> str | None:
    """The field that a pointer leads into, or the first that it leads to."""
    inside = [field.pointer for field in fields if f"{pointer}/".startswith(f"{field.pointer}/")]
    below = [field.pointer for field in fields if pointer and field.pointer.startswith(f"{pointer}/")]
    return max(inside, key=len) if inside else next(iter(below), None)


def _source(
    pointer: str, label: str, known: Sequence[ModelInfo] | Sequence[DatasetInfo], spec: Mapping[str, Any]
) -> Field:
    """The reference as a text, with those that are known to choose from and what people call the one that it is."""
    choices = [FieldChoice(source.id, source.id, source.name or "") for source in known]
    name = pointer.split("/")[1]
    held = spec.get(name)
    values = texts(held if isinstance(held, str) else look_up(spec, pointer))
    called = next((source.name for source in known if source.origin and source.id in values), None)
    return Field(pointer, label, "text", called or "", values, choices=choices)


def _data_form(spec: Mapping[str, Any]) -> list[Field]:
    """How the data is to be read; splits and what is carved are called by their whole names."""
    fields = fields_of(DataForm.model_json_schema(), "/dataset", "", {}, spec)
    return [replace(field, label=_label_of(field.pointer), says=field.says or _FOUND) for field in fields]


def _label_of(pointer: str) -> str:
    return name_of(pointer.removeprefix("/dataset/").replace("/", "_"))


def _concerns(model: ModelInfo | None, says: str, spec: Mapping[str, Any]) -> Field:
    """The labels of the model to choose from; a line of names where they are not known, or too many for boxes."""
    held = spec.get("concerns", MISSING)
    values = () if held == "all" else texts(held)
    if model is None or not 0 < len(model.labels) <= BOXES:
        return Field("/concerns", "Concerns", "list", says, values)
    choices = [FieldChoice(label, label) for label in model.labels]
    names = tuple(model.labels[int(v)] if v.isdecimal() and int(v) < len(model.labels) else v for v in values)
    return Field("/concerns", "Concerns", "choices", "If you choose none, all are used.", names, choices=choices)


def _method(methods: Methods, spec: Mapping[str, Any]) -> Field:
    choices = [FieldChoice(m.name, f"{m.name}: {m.title}", m.description) for m in methods.methods]
    held = look_up(spec, "/method/name")
    heads: MethodInfo = methods.methods[-1]
    fallback = heads if spec.get("structure") in heads.structures else methods.methods[0]
    values = (fallback.name,) if held is MISSING else texts(held)
    return Field("/method/name", "Method", "choice", values=values, default=fallback.name, choices=choices)


def _layers(model: ModelInfo | None, spec: Mapping[str, Any]) -> list[Layer]:
    included = texts(look_up(spec, "/layers/include"))
    return [
        Layer(layer.name, " × ".join(map(str, layer.shape)), layer.feed_forward, layer.name in included)
        for layer in (model.layers[:BOXES] if model else [])
    ]


def _patterns(fields: Sequence[Field], model: ModelInfo | None) -> list[Field]:
    """Include and exclude, without those names that have a box of their own."""
    names = {layer.name for layer in model.layers[:BOXES]} if model else set()
    return [replace(field, values=tuple(v for v in field.values if v not in names)) for field in fields]
