"""The results as a table of text."""

from __future__ import annotations

import csv
import io

from microlith.contract import Concern, Results

COLUMNS = ("class", "precision", "recall", "f1-score", "support")


def results_csv(results: Results) -> str:
    """The seed system's table, row i from module i; one block per ratio, with a leading column when there are several.

    A class without a name of its own (`LABEL_3`, as transformers fills in) is called by its id.
    """
    ratios = [comparison.ratio for comparison in results.comparison]
    sweep = len(ratios) > 1
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow((["ratio"] if sweep else []) + list(COLUMNS))
    for ratio in ratios:
        for module in results.modules:
            if module.ratio.requested == ratio:
                own = module.own
                row = [
                    _class_name(module.concern),
                    *(f"{v:.4f}" for v in (own.precision, own.recall, own.f1)),
                    own.support,
                ]
                writer.writerow(([ratio] if sweep else []) + row)
    return table.getvalue()


def _class_name(concern: Concern) -> str | int:
    return concern.id if concern.label == f"LABEL_{concern.id}" else concern.label
