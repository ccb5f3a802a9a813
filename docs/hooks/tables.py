"""Tables made of the code: options from their JSON Schema, settings, errors, log events, methods and exit codes."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from app.domain import errors as domain
from app.domain.log_events import LOG_EVENTS
from app.services import catalog
from app.services.planning import MOST_ROWS
from app.settings import Settings
from app.sources import classes, config, images, licences, size_limits, tokenizer_files, weights
from app.sources.models import MAX_LAYERS
from app.sources.safetensors_header import MAX_TENSORS
from microlith.cli.outcome import EXIT_CODES
from microlith.contract import CombineSpec, JobSpec
from microlith.contract.combine import MAX_PARTS
from microlith.contract.spec import MAX_CONCERNS, MAX_RATIOS
from worker.evaluation.report import MOST_CONFUSED

Schema = Mapping[str, Any]


def spec() -> str:
    """Every option of a job."""
    return "\n\n".join(_options(JobSpec.model_json_schema()))


def combine_spec() -> str:
    """Every option of a combination."""
    return "\n\n".join(_options(CombineSpec.model_json_schema()))


def methods() -> str:
    """The methods with the structures they score."""
    rows = [(f"`{m.name}`", m.title, m.description, ", ".join(m.structures)) for m in catalog.methods().methods]
    return table(("method", "title", "what it does", "structures"), rows)


def settings() -> str:
    """Every variable of the environment."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.default
        shown = "" if default in (None, PydanticUndefined) else f"`{default}`"
        rows.append((f"`MICROLITH_{name.upper()}`", shown, field.description or ""))
    return table(("variable", "default", "what"), rows)


def errors() -> str:
    """Every error with its cause and its remedy: the two paragraphs of its class's docstring."""
    parts = []
    for error in every_error():
        cause, _, remedy = inspect.cleandoc(error.__doc__ or "").partition("\n\n")
        said = f"**{error.title}.** {cause}" if cause else f"**{error.title}.**"
        parts.append(f"### {error.code}\n\n`{error.status}` · {said}\n\n{remedy}".rstrip())
    return "\n\n".join(parts)


def every_error() -> list[type[domain.MicrolithError]]:
    """The classes of the error tree, in the order they are written."""
    found = [cls for _, cls in inspect.getmembers(domain, inspect.isclass) if issubclass(cls, domain.MicrolithError)]
    return sorted(found, key=lambda cls: inspect.getsourcelines(cls)[1])


def limits() -> str:
    """The largest that everything may be."""
    settings = Settings.model_fields
    rows = [
        ("ratios in one job", f"{MAX_RATIOS:,}"),
        ("concerns named in one job", f"{MAX_CONCERNS:,}"),
        ("rows of results of a job: modules times classes", f"{MOST_ROWS:,}"),
        ("samples per concern", _most(JobSpec, "Sampling", "per_concern")),
        ("modules in a combination", f"{MAX_PARTS:,}"),
        ("an uploaded file", f"{settings['max_upload_bytes'].default / 1e9:g} GB; S3 takes 5 GiB in one PUT"),
        ("body of any other request", f"{settings['max_body_bytes'].default / 1e6:g} MB"),
        ("rows of a split", f"{size_limits.MAX_ROWS:,}"),
        ("a text, in bytes", f"{size_limits.MAX_TEXT_BYTES:,}"),
        ("columns of a file", f"{size_limits.MAX_COLUMNS:,}"),
        (
            "different labels of a dataset",
            f"{size_limits.MAX_LABELS:,}, of {size_limits.MAX_LABEL_CHARACTERS:,} characters each "
            f"and {size_limits.MAX_LABELS_CHARACTERS:,} together",
        ),
        (
            "labels of a model",
            f"{classes.MAX_LABELS:,}, of {classes.MAX_LABEL:,} characters each "
            f"and {classes.MAX_LABEL_CHARACTERS:,} together",
        ),
        ("linear layers of a model, tensors in its files", f"{MAX_LAYERS:,}, {MAX_TENSORS:,}"),
        ("headers of a model's safetensors files together", _mebibytes(weights.MAX_HEADER_BYTES)),
        ("`config.json`, `tokenizer_config.json`", f"{_mebibytes(config.MAX_CONFIG_BYTES)} each"),
        ("`tokenizer.json`", _mebibytes(tokenizer_files.MAX_BYTES)),
        (
            "an image that a model reads",
            f"{images.MAX_CHANNELS} channels of {images.MAX_SIDE:,} by {images.MAX_SIDE:,}, "
            f"and {images.MAX_NUMBERS:,} numbers",
        ),
        (
            "licences and notices beside a model or dataset",
            f"{licences.MAX_NOTICES} files of {_mebibytes(licences.MAX_NOTICE_BYTES)}",
        ),
        ("the confusion matrix of a report", f"{MOST_CONFUSED} classes"),
    ]
    return table(("what", "at most"), rows)


def _most(model: type[BaseModel], part: str, field: str) -> str:
    """The largest number that a field of a part of the contract takes."""
    return f"{model.model_json_schema()['$defs'][part]['properties'][field]['maximum']:,}"


def _mebibytes(count: int) -> str:
    return f"{count // 2**20} MiB"


def log_events() -> str:
    """Every line that the service and its workers may write to their logs."""
    rows = [(f"`{name}`", event.level, event.when, event.todo) for name, event in LOG_EVENTS.items()]
    return table(("event", "level", "when", "what to do"), rows)


def exit_codes() -> str:
    """What the command line's exit codes say."""
    return table(("code", "what it says"), [(f"`{code}`", said) for code, said in EXIT_CODES.items()])


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table; a bar in a cell does not end it."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def kind(schema: Schema) -> str:
    """What a value may be, in a few words: type, choices, bounds."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in schema or "enum" in schema:
        return " · ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    for way in ("anyOf", "oneOf"):
        if way in schema:
            return " or ".join(dict.fromkeys(kind(one) for one in schema[way]))
    if schema.get("type") == "array":
        return f"list of {kind(schema.get('items', {}))}"
    if isinstance(inside := schema.get("additionalProperties"), Mapping):
        return f"object of {kind(inside)}"
    return " ".join([str(schema.get("type", "any")), *_bounds(schema)])


def properties(schema: Schema) -> str:
    """The table of an object's fields."""
    required = schema.get("required", [])
    rows = [
        (f"`{name}`", kind(field), _default(field, name in required), field.get("description", ""))
        for name, field in schema.get("properties", {}).items()
    ]
    return table(("field", "value", "default", "what"), rows)


def _options(schema: Schema) -> Iterator[str]:
    yield properties(schema)
    for name, inner in schema.get("$defs", {}).items():
        said = " ".join((inner.get("description") or "").split())
        yield f"### {name}\n\n{said}\n\n{properties(inner)}"


def _default(field: Schema, required: bool) -> str:
    if required:
        return "required"
    return f"`{json.dumps(field['default'])}`" if "default" in field else ""


def _bounds(schema: Schema) -> Iterator[str]:
    words = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    yield from (f"{sign} {schema[word]:g}" for word, sign in words.items() if word in schema)
    if "pattern" in schema:
        yield f"`{schema['pattern']}`"


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|").replace(str(Path.home()), "~")
