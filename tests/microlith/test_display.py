"""What people see: figures, the results table on a narrow terminal, progress with and without one."""

from __future__ import annotations

import io
import sys
from types import ModuleType, SimpleNamespace

import pytest
import wire
from rich.console import Console, RenderableType

from microlith.contract import Job, Results
from microlith.display import data_frame, details, live, numbers, progress, tables


def rendered(thing: RenderableType, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(thing)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (8_592_856, "8.6 MB"), (107_000_000, "107 MB"), (999_960, "1.0 MB")],
)
def test_sizes_are_decimal_with_three_figures_at_most(count: int, text: str) -> None:
    assert numbers.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0.25, "0.2 s"), (8, "8 s"), (59.6, "1 min 00 s"), (125, "2 min 05 s"), (11_400, "3 h 10 min")],
)
def test_durations_are_as_fine_as_they_matter(seconds: float | None, text: str) -> None:
    assert numbers.duration(seconds) == text


def test_parameters_are_counted_in_thousands_and_millions() -> None:
    assert [numbers.quantity(count) for count in (12, 4_400, 2_147_084)] == ["12", "4.4 k", "2.1 M"]


def test_a_change_is_green_when_better_and_red_when_worse() -> None:
    assert [numbers.change(value).style for value in (0.01, -0.01, 0.0001)] == ["green", "red", "dim"]


def test_the_results_table_fits_eighty_columns_uncut() -> None:
    packed = wire.artifact(b"x" * 1000) | {"size_bytes": 999_000_000}
    pace = {"device": "a CPU", "batch": 1, "milliseconds": 12.34, "base_milliseconds": 1234.0}
    slow = wire.module("communication", artifacts=(packed,)) | {"latency": pace, "latencies": [pace]}
    document = Results.model_validate(wire.results(slow))
    lines = rendered(tables.results(document), 80).splitlines()
    row = next(line for line in lines if "communication" in line)
    assert row.split() == [
        "communication",
        "0.750/0.750",
        "0.600/0.600",
        "0.667/0.500",
        "+0.167",
        "0.317",
        "999",
        "MB",
        "12/1234",
    ]
    assert "Requested ratio 0.5 (achieved 0.500), 1 concerns" in lines[0]
    assert "portable 999 MB" in " ".join(lines)


def test_a_sweep_has_one_block_per_ratio_and_each_module_stands_in_its_own() -> None:
    rare = wire.module("rare") | {"ratio": {"requested": 0.7, "achieved": 0.69}}
    document = wire.results(wire.module("animal"), rare)
    document["comparison"] = [document["comparison"][0] | {"ratio": ratio} for ratio in (0.5, 0.7)]
    shown = rendered(tables.results(Results.model_validate(document)), 100)
    assert shown.index("ratio 0.5") < shown.index("animal") < shown.index("ratio 0.7") < shown.index("rare")
    assert "0.690" in shown


def test_results_before_the_first_module_say_so() -> None:
    document = wire.results() | {"comparison": []}
    assert "No module is ready yet" in rendered(tables.results(Results.model_validate(document)), 80)


def test_labels_that_look_like_markup_are_shown_as_they_are() -> None:
    document = Results.model_validate(wire.results(wire.module("[red]x[/red]")))
    assert "[red]x" in rendered(tables.results(document), 120)


def snapshots() -> list[Job]:
    scoring = {"phase": "scoring", "progress": {"percent": 40, "eta_seconds": 90}}
    states = [wire.job(queue_position=3), wire.job("running", **scoring), wire.job("running", **scoring)]
    return [Job.model_validate(state) for state in [*states, wire.job("succeeded")]]


def test_without_a_terminal_a_job_is_followed_by_one_plain_line_per_change() -> None:
    console = Console(file=io.StringIO(), width=200)
    assert live.follow(iter(snapshots()), console).state == "succeeded"
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "queued, number 3: 0 %, 0/2 concerns",
        "scoring: 40 %, 0/2 concerns, 1 min 30 s left",
        "succeeded: 100 %, 2/2 concerns",
    ]


def test_on_a_terminal_the_bar_ends_full() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    assert live.follow(iter(snapshots()), console).state == "succeeded"
    *_, last = console.file.getvalue().split("\r")  # type: ignore[attr-defined]
    assert all(part in last for part in ("succeeded", "100%", "■■", "2/2 concerns"))


@pytest.mark.parametrize(
    ("total", "succeeded", "failed", "marks"),
    [(3, 1, 1, "■✗□"), (0, 0, 0, ""), (160, 80, 0, "■" * 8 + "□" * 8), (1000, 999, 1, "■" * 15 + "□")],
)
def test_every_concern_has_a_mark_as_long_as_there_is_room(total: int, succeeded: int, failed: int, marks: str) -> None:
    counts = {"total": total, "succeeded": succeeded, "failed": failed}
    assert progress.marks(Job.model_validate(wire.job("running", concerns=counts))) == marks


def test_a_notebook_shows_a_job_with_its_bar_and_its_error() -> None:
    error = {"code": "OUT_OF_MEMORY", "message": "<b>It</b> did not fit.", "hint": "Lower & retry."}
    shown = Job.model_validate(wire.job("failed", error=error, progress={"percent": 40}))._repr_html_()
    assert '<progress max="100" value="40"' in shown
    assert "OUT_OF_MEMORY: &lt;b&gt;It&lt;/b&gt; did not fit." in shown
    assert "Hint: Lower &amp; retry." in shown


def test_a_notebook_shows_results_beside_the_base_with_labels_escaped() -> None:
    shown = Results.model_validate(wire.results(wire.module("<script>x</script>")))._repr_html_()
    assert "<script" not in shown
    assert "&lt;script&gt;x" in shown
    assert '0.667 <span class="base">/ 0.500</span>' in shown
    assert '<span class="gain">+0.167</span>' in shown
    assert "prefers-color-scheme: dark" in shown
    assert "No module is ready yet" in Results.model_validate(wire.results() | {"comparison": []})._repr_html_()


class Notebook(ModuleType):
    """As much of IPython as is asked for it, in a kernel."""

    def __init__(self) -> None:
        super().__init__("IPython")
        self.shown: list[str] = []

    def get_ipython(self) -> object:
        return SimpleNamespace(kernel=object())

    def display(self, thing: str, display_id: bool) -> Notebook:
        assert display_id
        return self

    def update(self, thing: str) -> None:
        self.shown.append(thing)


def test_in_a_notebook_a_job_is_followed_in_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    ipython = Notebook()
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(HTML=str, display=ipython.display))
    with live.watching() as show:
        for job in snapshots():
            show(job)
    assert ["queued, number 3" in ipython.shown[0], "scoring: 40 %" in ipython.shown[1]] == [True, True]
    assert 'value="100"' in ipython.shown[-1]


def test_a_failed_job_shows_its_error_and_hint() -> None:
    error = {"code": "OUT_OF_MEMORY", "message": "It did not fit.", "hint": "Lower per_concern."}
    shown = rendered(details.job(Job.model_validate(wire.job("failed", error=error))), 120)
    assert "OUT_OF_MEMORY: It did not fit." in shown
    assert "Lower per_concern." in shown


COST = {"flops_ratio": 0.25, "parameters_ratio": 0.5}
SIMPLE = {"macro_f1": 0.855, "own_f1": {"animal": 0.8}}
KNOWN = {"majority": SIMPLE | {"macro_f1": 0.1}, "bag_of_words": SIMPLE | {"size_bytes": 10, "rows": 5}}


def judged() -> Results:
    """Results with a verdict and what is had without a transformer."""
    one = wire.module() | {
        "cost": COST,
        "macro_change": {"value": -0.01, "low": -0.02, "high": 0.0},
        "verdict": "Good.",
    }
    return Results.model_validate(wire.results(one) | {"baselines": KNOWN, "verdict": "Twice as small."})


def test_results_begin_with_the_verdict_and_end_with_what_must_be_beaten() -> None:
    shown = rendered(tables.results(judged()), 100)
    assert shown.startswith("Twice as small.")
    assert "a bag of words 0.855, the most frequent class alone 0.100" in " ".join(shown.split())


def test_baselines_that_are_missing_say_why() -> None:
    missing = {"majority": None, "bag_of_words": None, "reason": "The job does not read the train split."}
    document = Results.model_validate(wire.results(wire.module()) | {"baselines": missing})
    assert "The job does not read the train split." in " ".join(rendered(tables.results(document), 100).split())


def test_a_module_shows_its_verdict_its_cost_and_its_loss() -> None:
    shown = " ".join(rendered(details.module(judged().modules[0]), 100).split())
    assert "Good." in shown
    assert "0.250 of the base's arithmetic, 0.500 of its parameters" in shown
    assert "-0.010 macro F1 to the base, 95 % interval -0.020 to +0.000" in shown


def test_rows_hold_cost_loss_and_what_must_be_beaten() -> None:
    (row,) = data_frame.rows(judged())
    assert (row["flops_ratio"], row["macro_f1_change_low"], row["bag_of_words_f1"]) == (0.25, -0.02, 0.8)
