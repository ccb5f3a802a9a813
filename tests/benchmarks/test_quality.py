"""The benchmark of quality: its cells, its figures, its table that a run goes on with, and its report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from benchmarks.quality import Table
from benchmarks.quality_cells import RATIOS, WAYS, lots
from benchmarks.quality_picture import Dot, draw
from benchmarks.quality_report import Judge, write_report
from benchmarks.quality_scores import pack, unpack

LABELS = np.array([0, 0, 1, 1, 2, 2] * 10)
BASE = np.array([0, 0, 1, 1, 2, 1] * 10)
WORSE = np.array([0, 1, 1, 0, 2, 1] * 10)


def row(recovery: str, answers: Any, seed: int = 1, **more: Any) -> dict[str, Any]:
    given = {
        "cell": f"neurons ci {recovery} 0.5 seed {seed}",
        "structure": "neurons",
        "method": "ci",
        "recovery": recovery,
        "ratio": 0.5,
        "seed": seed,
        "macro_f1": f1_score(LABELS, answers, average="macro"),
        "binary_f1": 0.8,
        "flops_ratio": 0.6,
        "parameters_ratio": 0.7,
        "seconds": 3.0,
        "modules": [pack(answers)],
    }
    return given | more


def table(*rows: dict[str, Any]) -> dict[str, dict[str, Any]]:
    base = {"cell": "base", "answers": pack(BASE), "labels": pack(LABELS), "classes": 3, "macro_f1": 0.8}
    floor = {"cell": "bag of words", "flops_ratio": 0.0, "macro_f1": 0.6}
    known = [base | {"flops_ratio": 1.0, "binary_f1": 0.8}, floor, *rows]
    return {one["cell"]: one for one in known}


def test_answers_are_kept_as_text() -> None:
    assert unpack(pack(WORSE)).tolist() == WORSE.tolist()


def test_every_way_of_every_structure_is_a_lot_of_each_seed() -> None:
    assert len(list(lots([""], 3))) == 3 * sum(len(ways) for ways in WAYS.values())
    assert {lot.structure for lot in lots(["neurons"], 1)} == {"neurons", "heads+neurons", "layers+heads+neurons"}
    assert RATIOS.keys() == WAYS.keys()


def test_a_lot_that_the_engine_offers_is_a_whole_spec() -> None:
    lot = next(lots(["neurons ci refit"], 1))
    spec = lot.spec("demo:bert-tiny-wordnet", "demo:wordnet-supersense", 16, 100)
    assert (spec.structure, spec.recovery, spec.ratios) == ("neurons", "refit", [0.5, 0.75, 0.9])


def test_the_judge_takes_the_macro_f1_that_everybody_takes() -> None:
    judge = Judge(table()["base"])
    for answers in (BASE, WORSE):
        assert judge.macro_f1(pack(answers))[0] == pytest.approx(f1_score(LABELS, answers, average="macro"))
    assert judge.mean([pack(BASE), pack(WORSE)])[0] == pytest.approx(
        np.mean([f1_score(LABELS, answers, average="macro") for answers in (BASE, WORSE)])
    )


def test_a_table_goes_on_where_it_was_cut_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = Table(tmp_path / "new" / "quality.jsonl")
    assert kept.rows() == {}
    kept.add(row("none", WORSE))
    with kept.file.open("a") as lines:
        lines.write('{"cell": "half')
    assert kept.rows() == {"neurons ci none 0.5 seed 1": row("none", WORSE)}
    assert "neurons ci none 0.5 seed 1: macro_f1" in capsys.readouterr().out


def test_the_report_says_what_must_be_beaten_and_what_each_step_gains(tmp_path: Path) -> None:
    write_report(table(row("none", WORSE), row("refit", BASE), row("none", WORSE, 2)), "a model", tmp_path / "q.md")
    said = (tmp_path / "q.md").read_text()
    gain = f1_score(LABELS, BASE, average="macro") - f1_score(LABELS, WORSE, average="macro")
    assert "| bag of words | 0.00 | 0.600 |" in said
    base = f1_score(LABELS, BASE, average="macro")
    assert f"| neurons | 0.5 | ci | refit | 0.60 | 0.70 | {base:.3f} | +0.000 [+0.000, +0.000] |" in said
    assert f"| neurons | 0.5 | ci | refit | {gain:+.3f} [" in said
    assert "2 × 1" in said
    assert (tmp_path / "q.svg").read_text().startswith("<svg")


def test_the_picture_names_alternatives_and_escapes_names() -> None:
    dots = [Dot("a <b>", "alternative", 0.5, 0.8), Dot("bad", "weights", 1.0, 0.1), Dot("good", "heads", 0.5, 0.9)]
    drawn = draw(dots)
    assert "a &lt;b&gt;</text>" in drawn
    assert "bad" not in drawn
    assert "heads</text>" in drawn
