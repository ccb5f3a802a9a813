"""No name that a stranger chose is run by the spreadsheet that opens a table of ours."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
import wire
from hypothesis import given
from hypothesis import strategies as st
from small_service import Reply, SmallService, answer
from typer.testing import CliRunner

from app.services.results_table import results_csv
from app.web.views.chart_csv import Sheet
from microlith.cli import app as command_line
from microlith.contract import Results
from microlith.display.csv_cells import table, tame

ROOT = Path(__file__).parents[2]

FORMULAS = [
    '=HYPERLINK("http://a.invalid","x")',
    "+1+1",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1)",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "＝1+1",
    "＋1+1",
    "－1+1",
    "＠SUM(1)",
    " =1+1",
    "\x00=1+1",
    "\ufeff=1+1",
    "\u200b@SUM(1)",
    "\tplain",
]


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def results(*labels: str) -> Results:
    return Results.model_validate(wire.results(*(wire.module(label, number) for number, label in enumerate(labels))))


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_cell_that_would_be_run_has_an_apostrophe_in_front(formula: str) -> None:
    assert tame(formula) == f"'{formula}"
    assert read(table([[formula, "b"]])) == [[f"'{formula}", "b"]]
    assert read(table([[formula, "b"]], raw=True)) == [[formula, "b"]]


@pytest.mark.parametrize(
    "value", ["animal", "a=b", "a-b", "'quoted'", "-1", "+2.5e-3", "1e9", "", "été", "日本", -1, -2.5]
)
def test_names_and_numbers_stay_as_they_are(value: str | float) -> None:
    assert tame(value) == value


@given(st.lists(st.lists(st.text(), min_size=1, max_size=4), max_size=4))
def test_any_text_comes_out_of_a_reader_as_it_went_in(rows: list[list[str]]) -> None:
    assert read(table(rows, raw=True)) == rows
    tamed = read(table(rows))
    assert [[cell.removeprefix("'") for cell in row] for row in tamed] == [
        [cell.removeprefix("'") for cell in row] for row in rows
    ]


@given(st.text(st.sampled_from("=+-@＝＋－＠\t\r\n\x00\ufeff\u200b \"',;a1"), max_size=6))
def test_no_text_made_of_the_dangerous_characters_is_a_formula(text: str) -> None:
    shown = "".join(c for c in str(tame(text)) if c.isprintable()).lstrip(" ")
    assert shown[:1] not in {*"=+-@＝＋－＠"} or re.fullmatch(r"[+-]\d+", text)


@pytest.mark.parametrize("formula", FORMULAS)
def test_the_results_table_and_the_tables_of_pages_hold_no_formula(formula: str) -> None:
    assert [row[0] for row in read(results_csv(results("animal", formula)))[1:]] == ["animal", f"'{formula}"]
    assert read(results_csv(results(formula), raw=True))[1][0] == formula
    assert read(Sheet([formula, "f1"], [[formula, -0.5]]).csv()) == [[f"'{formula}", "f1"], [f"'{formula}", "-0.5"]]


def test_the_command_line_writes_none_either_unless_told_to(
    service: SmallService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.on("GET /v1/jobs/job_1", answer(wire.job("succeeded")))
    service.on("GET /v1/jobs/job_1/results", answer(wire.results(wire.module("=1+1"))))
    service.on("GET /v1/jobs/job_1/results.csv", Reply(b"class\n", headers={"Content-Type": "text/csv"}))
    monkeypatch.setenv("MICROLITH_URL", service.url)

    def said(*words: str) -> str:
        return CliRunner().invoke(command_line, words).stdout

    assert read(said("compare", "job_1", "--csv"))[1][0] == "'=1+1"
    assert read(said("compare", "job_1", "--csv", "--raw"))[1][0] == "=1+1"
    said("results", "job_1", "--csv")
    said("results", "job_1", "--csv", "--raw")
    assert [asked.query for asked in service.calls("GET /v1/jobs/job_1/results.csv")] == [{}, {"raw": "true"}]


def test_the_seed_systems_table_is_what_it_was() -> None:
    assert results_csv(results("animal", "food")) == (
        "class,precision,recall,f1-score,support\nanimal,0.7500,0.6000,0.6667,20\nfood,0.7500,0.6000,0.6667,20\n"
    )


def test_one_function_writes_every_table() -> None:
    sources = [file for place in ("app", "microlith", "worker") for file in (ROOT / place).rglob("*.py")]
    writing = re.compile(r"csv\.(Dict)?[wW]riter|\.to_csv\(|write_csv")
    found = [file.relative_to(ROOT).as_posix() for file in sources if writing.search(file.read_text(encoding="utf-8"))]
    assert found == ["microlith/display/csv_cells.py"]
