"""`microlith init`: a commented spec, written from the contract itself, so that it is never behind it."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from microlith.cli.facts import Fact, describe
from microlith.cli.session import CliSession
from microlith.contract import JobSpec
from microlith.errors import TargetOccupied

HEAD = """\
# A job for Microlith: modules of a fine-tuned transformer classifier, one per concern.
#
# `microlith submit {name} --plan` says what it would do, `microlith submit {name}` does it.
#
# Lines such as `#ratio: 0.5` are defaults: take the first `#` away, from every line of a block, to change them.
"""
WIDTH = 116

ModelOption = Annotated[str, typer.Option("--model", metavar="REF", help="Written into the file.")]
DatasetOption = Annotated[str, typer.Option("--dataset", metavar="REF", help="Written into the file.")]
TargetArgument = Annotated[Path, typer.Argument(metavar="FILE", help="What to write; - prints it.")]


def init(
    session: CliSession,
    target: TargetArgument = Path("microlith.yaml"),
    model: ModelOption = "demo:bert-tiny-wordnet",
    dataset: DatasetOption = "demo:wordnet-supersense",
) -> None:
    """Write a commented spec with every option and its default, to be changed and submitted.

    microlith init job.yaml && microlith submit job.yaml
    """
    text = template(target.name, {"model": model, "dataset": dataset})
    if str(target) == "-":
        typer.echo(text, nl=False)
        return
    if target.exists():
        raise TargetOccupied(target)
    target.write_text(text, encoding="utf-8")
    session.say(f"{target} is written: change it, then `microlith submit {target}`.", {"path": str(target)})


def template(name: str, given: dict[str, str]) -> str:
    """The file: what is given as it is, every other field of the contract as a comment with its default."""
    blocks = [HEAD.format(name=name)]
    for field_name, field in JobSpec.model_fields.items():
        if field_name in given:
            sentence = "\n".join(_comment(describe(field), ""))
            blocks.append(f"{sentence}\n{field_name}: {json.dumps(given[field_name], ensure_ascii=False)}\n")
        else:
            blocks.append("\n".join(_commented(field_name, field)) + "\n")
    return "\n".join(blocks)


def _commented(name: str, field: FieldInfo) -> Iterator[str]:
    """The sentence of a field, and the field with its default behind a `#`."""
    yield from _comment(describe(field), "")
    yield from (f"#{line}" for line in _setting(name, field, ""))


def _setting(name: str, field: FieldInfo, indent: str) -> Iterator[str]:
    fact = describe(field)
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    if not isinstance(default, BaseModel):
        yield f"{indent}{name}: {_flow(fact.default)}"
        return
    yield f"{indent}{name}:"
    for inner_name, inner in type(default).model_fields.items():
        yield from _comment(describe(inner), f"{indent}  ")
        yield from _setting(inner_name, inner, f"{indent}  ")


def _comment(fact: Fact, indent: str) -> list[str]:
    """The sentence of a field, as wide as an editor."""
    return textwrap.wrap(fact.with_choices, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def _flow(value: Any) -> str:
    """A value on one line: JSON, which YAML is a superset of; a plain word without quotes."""
    return value if isinstance(value, str) and value.isidentifier() else json.dumps(value, ensure_ascii=False)
