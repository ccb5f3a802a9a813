"""The flags of `submit`: each a name and the field of the spec that it sets; the contract says the rest."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from microlith.cli.facts import look_up

METAVARS = {str: "NAME", int: "NUMBER", float: "FRACTION"}


@dataclass(frozen=True)
class Flag:
    """A flag for a field of the spec. `many` may be given several times; a boolean has its `--no-` beside it."""

    name: str
    dotted_name: str
    kind: type = str
    many: bool = False
    metavar: str | None = None
    help: str | None = None
    panel: str = "The job"

    @property
    def parameter(self) -> inspect.Parameter:
        """As an argument of a command; None where the flag was not given."""
        fact = look_up(self.dotted_name)
        names = (f"--{self.name}/--no-{self.name}",) if self.kind is bool else (f"--{self.name}",)
        option = typer.Option(
            *names,
            help=self.help or fact.help_text,
            metavar=None if self.kind is bool else self.metavar or METAVARS[self.kind],
            autocompletion=_completion(fact.choices),
            rich_help_panel=self.panel,
        )
        kind: Any = list[self.kind] if self.many else self.kind  # type: ignore[name-defined]
        annotation = Annotated[kind | None, option]
        name = f"flag_{self.name.replace('-', '_')}"
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


REF = "You can also name a file or folder of this machine, which is uploaded first."
DATA = "How the data is read"
DATA_FLAGS = (
    Flag("text-column", "dataset.text_column", metavar="NAME", help="The dataset's column of texts.", panel=DATA),
    Flag(
        "text-pair-column",
        "dataset.text_pair_column",
        metavar="NAME",
        help="The column of second texts, for pairs.",
        panel=DATA,
    ),
    Flag("image-column", "dataset.image_column", metavar="NAME", help="The dataset's column of images.", panel=DATA),
    Flag("label-column", "dataset.label_column", metavar="NAME", help="The dataset's column of labels.", panel=DATA),
    Flag("config", "dataset.config", panel=DATA),
    Flag(
        "label-columns",
        "dataset.label_columns",
        many=True,
        metavar="NAME",
        help="A column of 0 and 1 for one label of multi-label data. Give it once for each label.",
        panel=DATA,
    ),
    Flag("delimiter", "dataset.delimiter", metavar="MARK", panel=DATA),
    Flag("encoding", "dataset.encoding", panel=DATA),
    Flag(
        "map",
        "dataset.labels",
        many=True,
        metavar="LABEL=LABEL",
        help="A label of the data, and the model's.",
        panel=DATA,
    ),
    Flag(
        "split",
        "dataset.splits",
        many=True,
        metavar="ROLE=NAME",
        help="What serves as train, validation or test: a split, a file, or a slice such as train[:80%].",
        panel=DATA,
    ),
    Flag(
        "carve",
        "dataset.carve",
        many=True,
        metavar="ROLE=FRACTION",
        help="Cut a missing test or validation split out of train. seed=NUMBER decides which rows.",
        panel=DATA,
    ),
)
FLAGS = (
    Flag("model", "model", metavar="REF", help=f"demo:NAME, hub:ORG/NAME@REVISION, mdl_… or path:FOLDER. {REF}"),
    Flag("dataset", "dataset", metavar="REF", help=f"The same kinds of reference, dst_… for an id. {REF}"),
    *DATA_FLAGS,
    Flag("concern", "concerns", many=True, metavar="LABEL", help="A class by label or id. Default: all."),
    Flag("method", "method.name", help="How importance is scored (`microlith methods`). Default: ci."),
    Flag("form", "method.form"),
    Flag("structure", "structure"),
    Flag("scope", "scope"),
    Flag("ratio", "ratio", float, many=True, help="The fraction REMOVED. Repeat it for a sweep. Default: 0.5."),
    Flag("recovery", "recovery"),
    Flag("minutes", "distil.minutes", float, metavar="NUMBER"),
    Flag("epochs", "distil.epochs", int),
    Flag("head", "head"),
    Flag("include", "layers.include", many=True, metavar="PATTERN"),
    Flag("exclude", "layers.exclude", many=True, metavar="PATTERN"),
    Flag("per-concern", "sampling.per_concern", int),
    Flag("order", "sampling.order"),
    Flag("negatives", "sampling.negatives"),
    Flag("seed", "sampling.seed", int),
    Flag("pads", "calibration.pads"),
    Flag("pairing", "calibration.pairing"),
    Flag("limit", "evaluation.limit", int),
    Flag("layout", "export.layouts", many=True),
    Flag("dtype", "export.dtype"),
    Flag("label", "labels", many=True, metavar="KEY=VALUE"),
    Flag("reuse", "reuse", bool),
)


def _completion(choices: tuple[str, ...]) -> Any:
    return (lambda incomplete: [choice for choice in choices if choice.startswith(incomplete)]) if choices else None
