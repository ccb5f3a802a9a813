"""What the results of a job look like before any template lays them out."""

from __future__ import annotations

import csv
import io
import json

import pytest

from app.web.views.combination import combination_table
from app.web.views.compare import compare_page
from app.web.views.report import View, report, sheet_of
from app.web.views.results import ORDERS, results_table
from microlith.contract import Combination, Compared, Comparisons, ConcernCompared, Interval
from tests.web import samples

THREE = [samples.module(0, 0.80, 0.80), samples.module(1, 0.90, 0.85), samples.module(2, 0.70, 0.71)]
SWEEP = [samples.module(c, 0.9 - ratio / 2, 0.9, ratio=ratio) for ratio in (0.2, 0.6) for c in (0, 1)]


def test_a_change_is_beyond_chance_only_where_the_base_lies_outside_the_interval() -> None:
    lines = results_table(THREE).lines
    assert [(line.tone, line.beyond) for line in lines] == [("same", False), ("gain", True), ("loss", False)]


def test_bars_of_changes_begin_at_the_middle() -> None:
    _, gain, loss = results_table(THREE).lines
    assert gain.bar_at == 50.0
    assert loss.bar_at + loss.bar_width == pytest.approx(50.0)


@pytest.mark.parametrize("column", ORDERS)
def test_the_table_sorts_by_every_column(column: str) -> None:
    up = [line.module.id for line in results_table(THREE, column).lines]
    assert sorted(up) == sorted(module.id for module in THREE)
    assert results_table(THREE, column).sort == column


def test_what_was_not_measured_is_sorted_last() -> None:
    unmeasured = samples.module(0, 0.9, 0.9, others_own={"f1": None})
    lines = results_table([unmeasured, *THREE[1:]], "others").lines
    assert lines[-1].module is unmeasured


def test_an_unknown_order_is_the_jobs_own() -> None:
    assert [line.module for line in results_table(THREE, "colour").lines] == THREE


def test_the_csv_of_the_table_has_the_figures_unrounded() -> None:
    text = sheet_of(samples.results(THREE), View(), "results")
    assert text is not None
    rows = list(csv.DictReader(io.StringIO(text.csv())))
    assert [row["concern"] for row in rows] == ["act", "animal", "artifact"]
    assert float(rows[1]["change"]) == 0.90 - 0.85
    assert float(rows[1]["f1_low"]) == 0.90 - 0.03


@pytest.mark.parametrize(
    "chart", ["results", "layers", "similarity", "overlap", "confusion-base", "confusion-module", "cost"]
)
def test_every_chart_has_its_data(chart: str) -> None:
    sheet = sheet_of(samples.results(THREE), View(), chart)
    assert sheet is not None
    assert all(len(row) == len(sheet.columns) for row in sheet.rows)


def test_masks_are_compared_by_name_before_their_modules_are_measured() -> None:
    sheet = sheet_of(samples.results(THREE[:1]), View(), "overlap")
    assert sheet is not None
    assert [row[0] for row in sheet.rows] == ["act", "animal"]


def test_there_is_no_chart_of_what_is_not_there() -> None:
    assert sheet_of(samples.results(THREE), View(), "curves") is None
    assert sheet_of(samples.results([]), View(), "results") is None
    assert sheet_of(samples.results(THREE), View(), "combination") is None


def test_a_sweep_is_looked_at_ratio_by_ratio_and_begins_with_the_mildest() -> None:
    first, asked = report(samples.results(SWEEP), View()), report(samples.results(SWEEP), View(ratio=0.6))
    assert first is not None
    assert asked is not None
    assert (first.ratio, asked.ratio) == (0.2, 0.6)
    assert {module.ratio.requested for module in asked.modules} == {0.6}


def test_the_curves_of_a_sweep_run_from_ratio_to_ratio_with_their_mean() -> None:
    found = report(samples.results(SWEEP), View())
    assert found is not None
    assert found.curves is not None
    drawn = json.loads(found.curves.data)
    assert drawn["ratios"] == [0.2, 0.6]
    assert [(curve["name"], curve["mean"]) for curve in drawn["curves"]] == [
        ("mean", True),
        ("act", False),
        ("animal", False),
    ]
    assert drawn["curves"][0]["values"] == pytest.approx([0.8, 0.6])


def test_layers_stand_in_the_order_of_the_model_and_whole_ones_are_only_counted() -> None:
    found = report(samples.results(THREE), View())
    assert found is not None
    assert found.layers is not None
    assert [name for name, _ in found.layers.heat.rows] == ["layer.9.out", "layer.10.out"]
    assert "Not pruned: 1 layer" in found.layers.says


def test_the_confusion_is_of_the_module_that_is_asked_for() -> None:
    found = report(samples.results(THREE), View(module="mod_1_0.5"))
    assert found is not None
    assert found.confusions is not None
    assert found.confusions.chosen is THREE[1]


def test_similarity_that_was_not_measured_leaves_no_chart() -> None:
    found = report(samples.results([samples.module(0, 0.8, 0.8, similarity=None)]), View())
    assert found is not None
    assert found.sides is None


def test_speed_is_told_against_the_base() -> None:
    found = report(samples.results(THREE), View())
    assert found is not None
    assert [(row.layout, row.batch, row.faster) for row in found.costs.rows] == [("portable", 1, 2.0)]


def test_a_difference_of_a_combination_is_sure_where_its_interval_leaves_zero_out() -> None:
    table = combination_table(_combination())
    assert [(row.name, row.sure, row.tone) for row in table.rows] == [
        ("macro-F1", True, "gain"),
        ("accuracy", True, "gain"),
        ("act", False, "loss"),
    ]
    assert table.rows[0].low > 50
    assert table.rows[2].low < 50 < table.rows[2].high


def test_chosen_modules_are_compared_in_the_order_of_choice_across_jobs() -> None:
    other = samples.module(2, 0.6, 0.7, ratio=0.9)
    page = compare_page([(samples.job(), THREE), (samples.job(), [other])], [other.id, THREE[0].id, "mod_gone"])
    assert [one.module for one in page.chosen] == [other, THREE[0]]
    assert page.table is not None
    assert [line.module for line in page.table.lines] == [other, THREE[0]]
    assert page.curves is not None
    assert page.curves.ratios == [0.5, 0.9]
    assert page.sheet is not None
    assert [row[1] for row in page.sheet.rows] == [other.id, THREE[0].id]


def test_nothing_chosen_is_no_table() -> None:
    page = compare_page([(samples.job(), THREE)], [])
    assert (page.table, page.sheet, page.curves) == (None, None, None)


def _combination() -> Combination:
    def compared(value: float, low: float, high: float) -> Compared:
        whole = Interval(value=0.8, low=0.7, high=0.9)
        return Compared(combined=whole, reference=whole, difference=Interval(value=value, low=low, high=high))

    comparison = Comparisons(
        reference="demo:bert-tiny-wordnet",
        rows=100,
        accuracy=compared(0.02, 0.01, 0.03),
        macro_f1=compared(0.02, 0.01, 0.03),
        concerns=[ConcernCompared(label="act", model="demo:a", support=10, f1=compared(-0.01, -0.03, 0.01))],
        resamples=1000,
        confidence=0.95,
        seed=44,
    )
    return Combination(mode="recompose", labels=["act"], decision="argmax", calibration="joint", comparison=comparison)
