"""Results as plain rows, one a module, for data frames and files."""

from __future__ import annotations

from typing import Any

from microlith.contract import Baselines, Module, Results
from microlith.errors import MissingExtra


def data_frame(document: Results) -> Any:
    """The rows as a pandas DataFrame. Raises MissingExtra without pandas."""
    try:
        import pandas as pd
    except ModuleNotFoundError as error:
        raise MissingExtra("pandas", "pandas") from error
    return pd.DataFrame(rows(document))


def rows(document: Results) -> list[dict[str, Any]]:
    """Every measure that is one number, the base's beside the module's; a column's meaning is its name's."""
    return [_row(module, document.baselines) for module in document.modules]


def _row(module: Module, baselines: Baselines | None) -> dict[str, Any]:
    own, base, latency = module.handed_out, module.base_own, module.latency
    cost, change, words = module.cost, module.macro_change, baselines and baselines.bag_of_words
    return {
        "concern": module.concern.label,
        "class_id": module.concern.id,
        "ratio": module.ratio.requested,
        "achieved_ratio": module.ratio.achieved,
        "precision": own.precision,
        "base_precision": base.precision,
        "recall": own.recall,
        "base_recall": base.recall,
        "f1": own.f1,
        "base_f1": base.f1,
        "f1_change": own.f1 - base.f1,
        "support": own.support,
        "others_f1": module.others_own.f1,
        "macro_f1": module.report.macro.f1,
        **_of_several(module),
        "macro_f1_change": change.value if change else None,
        "macro_f1_change_low": change.low if change else None,
        "macro_f1_change_high": change.high if change else None,
        "bag_of_words_f1": words.own_f1[module.concern.label] if words else None,
        "bag_of_words_macro_f1": words.macro_f1 if words else None,
        "accuracy": module.report.accuracy,
        "loss": module.report.loss,
        "exp_loss": module.report.exp_loss,
        "sparsity": module.sparsity.overall,
        "parameters": module.size.parameters,
        "nonzero": module.size.nonzero,
        "base_parameters": module.size.base_parameters,
        "flops_ratio": cost.flops_ratio if cost else None,
        "parameters_ratio": cost.parameters_ratio if cost else None,
        "size_bytes": module.artifacts[0].size_bytes if module.artifacts else None,
        "milliseconds": latency.milliseconds if latency else None,
        "base_milliseconds": latency.base_milliseconds if latency else None,
        "latency_spread": latency.spread if latency else None,
        "module": module.id,
    }


def _of_several(module: Module) -> dict[str, Any]:
    """What a multi-label model has besides."""
    micro = module.report.micro
    return {"micro_f1": micro.f1, "threshold": module.report.classes[module.concern.id].threshold} if micro else {}
