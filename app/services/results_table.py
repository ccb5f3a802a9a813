"""The results as a table of text."""

from __future__ import annotations

from microlith.contract import Results
from microlith.display.csv_cells import Cell, table

COLUMNS = ("class", "precision", "recall", "f1-score", "support")


def results_csv(results: Results, *, raw: bool = False) -> str:
    """The seed system's table, row i from module i; one block per ratio, with a leading column when there are several.

    A class without a name of its own (`LABEL_3`, as transformers fills in) is called by its id.
    A name that a spreadsheet would run has an apostrophe in front, unless `raw`.
    """
    ratios = [comparison.ratio for comparison in results.comparison]
    sweep = len(ratios) > 1
    rows: list[list[Cell]] = [[*_leading("ratio", sweep), *COLUMNS]]
    for ratio in ratios:
        for module in results.modules:
            if module.ratio.requested == ratio:
                own, concern = module.handed_out, module.concern
                row: list[Cell] = [
                    *_leading(ratio, sweep),
                    concern.id if concern.label == f"LABEL_{concern.id}" else concern.label,
                    *(f"{v:.4f}" for v in (own.precision, own.recall, own.f1)),
                    own.support,
                ]
                rows.append(row)
    return table(rows, raw=raw)


def _leading(cell: Cell, sweep: bool) -> list[Cell]:
    return [cell] if sweep else []
