"""The scores that are shown are those of what is handed out: of two answers, of fewer tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from app.services.results_table import results_csv
from microlith.contract import Module
from microlith.display.data_frame import rows as frame_rows
from tests.work import DEMO
from tests.worker.conftest import Product
from tests.worker.plain_reading import read_alone
from worker.evaluation.delivered import score_answers, score_binary_answers, score_decisions

ROWS = 120
SMALL: dict[str, Any] = DEMO | {
    "concerns": ["animal"],
    "ratio": 0.9,
    "evaluation": {"limit": ROWS, "similarity": False, "latency": False},
}
TRIM = {"vocabulary": {"trim": True, "guard": 1e-3}}


@pytest.fixture(scope="module")
def product(kept_product: Product) -> Product:
    return kept_product


@pytest.mark.parametrize("seed", range(3))
def test_decisions_are_scored_as_scikit_learn_scores_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    given, members = rng.random(50) < 0.4, rng.random(50) < 0.3
    precision, recall, f1, _ = precision_recall_fscore_support(members, given, average="binary")
    found = score_decisions(given, members)
    assert (found.precision, found.recall, found.f1) == pytest.approx((precision, recall, f1))
    assert found.accuracy == pytest.approx(accuracy_score(members, given))
    assert found.support == members.sum()
    assert found.f1_interval is not None
    assert found.f1_interval[0] < found.f1 < found.f1_interval[1]


def test_of_nothing_the_scores_are_zero() -> None:
    nothing = np.zeros(4, bool)
    found = score_decisions(nothing, nothing)
    assert (found.precision, found.recall, found.f1, found.f1_interval) == (0.0, 0.0, 0.0, None)


def test_answers_of_all_classes_are_scored_as_in_a_report() -> None:
    logits = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [1.0, 2.0, 0.0], [0.0, 0.0, 1.0]], np.float32)
    found = score_answers(logits, np.array([0, 1, 0, 2]), ["a", "b", "c"], concern=0)
    assert (found.precision, found.recall, found.support) == (1.0, 0.5, 2)
    assert found.accuracy == 0.75
    assert found.macro is not None
    binary = score_binary_answers(logits[:, :2], np.array([0, 1, 0, 2]) == 1)
    assert (binary.precision, binary.recall, binary.macro) == (0.5, 1.0, None)


def measured_by_a_stranger(product: Product, module: Module) -> tuple[float, float]:
    """Precision and recall of the concern, by the module's own files."""
    given, truth = (np.array(labels) == "animal" for labels in read_alone(product.unpack(module), ROWS))
    precision, recall, _, _ = precision_recall_fscore_support(truth, given, average="binary", zero_division=0)
    return float(precision), float(recall)


@pytest.mark.parametrize(
    "how", [{"head": "binary"}, {"export": TRIM}, {"head": "binary", "export": TRIM}], ids=["binary", "trimmed", "both"]
)
def test_tables_show_what_a_stranger_measures_of_the_files(product: Product, how: dict[str, Any]) -> None:
    job, (module,) = product.decompose(SMALL | how)
    assert module.delivered is not None
    precision, recall = measured_by_a_stranger(product, module)
    assert (module.delivered.precision, module.delivered.recall) == pytest.approx((precision, recall))
    results = product.results(job)
    assert results_csv(results).splitlines()[1].split(",")[1:3] == [f"{precision:.4f}", f"{recall:.4f}"]
    (row,) = frame_rows(results)
    assert (row["precision"], row["recall"]) == pytest.approx((precision, recall))
    assert results.comparison[0].own_f1 == pytest.approx(module.delivered.f1)
    card = (product.unpack(module) / "README.md").read_text()
    assert f"| Precision of animal | {precision:.4f} |" in card
    assert "These are the scores of the files." in card
    page = product.api.get(f"/modules/{module.id}", headers={"Accept": "text/html"}).text
    assert "These are the scores of the files." in page


def test_a_module_that_is_handed_out_as_it_was_measured_has_one_score(product: Product) -> None:
    job, (module,) = product.decompose(SMALL)
    assert module.delivered is None
    assert module.handed_out == module.own
    assert product.results(job).comparison[0].own_f1 == module.own.f1
