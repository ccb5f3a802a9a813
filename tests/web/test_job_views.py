"""A job, a module and their list in words."""

from __future__ import annotations

import pytest

from app.db.jobs import JobFilter
from app.web.views import phrases
from app.web.views.job import JobPage, job_page
from app.web.views.jobs import jobs_page
from app.web.views.module import module_page
from app.web.views.report import View
from microlith.contract import Job, Module, Numerics, Page
from tests.web import samples


def shown(job: Job, modules: list[Module] | None = None, *events: object) -> JobPage:
    return job_page(job, samples.results(modules or []), list(events), View())  # type: ignore[arg-type]


def test_a_running_job_shows_where_it_is() -> None:
    page = shown(samples.job("running", phase="pruning", timings={"resolving": 1.0, "scoring": 2.0}))
    assert [step.state for step in page.steps] == ["done", "done", "done", "now", "todo", "todo", "todo"]
    assert page.live
    assert page.actions == ["cancel"]


def test_only_a_job_that_learns_has_the_phase_for_it() -> None:
    spec = {"structure": "neurons", "recovery": "distil"}
    learns = shown(samples.job("running", phase="distilling", spec=spec))
    assert [step.name for step in learns.steps if step.state == "now"] == ["distilling"]
    assert "distilling" not in [step.name for step in shown(samples.job("running", phase="pruning")).steps]


def test_a_failed_job_shows_the_phases_it_came_through_and_can_be_retried() -> None:
    page = shown(samples.job("failed", timings={"resolving": 1.0}))
    assert [step.state for step in page.steps] == ["done", *["todo"] * 6]
    assert page.actions == ["retry"]
    assert not page.live


def test_concerns_fill_in_as_their_modules_are_ready() -> None:
    page = shown(samples.job("running", spec={"ratio": [0.2, 0.6]}), [samples.module(1, 0.9, 0.8, ratio=0.2)])
    assert [(chip.label, chip.ready, chip.wanted) for chip in page.chips] == [
        ("act", 0, 2),
        ("animal", 1, 2),
        ("artifact", 0, 2),
    ]


def test_chosen_concerns_are_shown_by_name_though_they_were_asked_for_by_id() -> None:
    page = shown(samples.job("running", spec={"concerns": [2, "act"]}))
    assert [chip.label for chip in page.chips] == ["act", "artifact"]


def test_the_log_is_made_of_sentences() -> None:
    events = [
        samples.event(1, "job.running", attempt=2),
        samples.event(2, "module.ready", concern={"id": 1, "label": "animal"}, ratio=0.5),
        samples.event(3, "job.failed", message="Too little memory."),
    ]
    assert [line.text for line in shown(samples.job(), [], *events).log] == [
        "Claimed by a worker, attempt 2",
        "Module ready: animal at ratio 0.5",
        "Failed: Too little memory.",
    ]


def test_each_layout_comes_with_the_lines_that_open_it() -> None:
    files = [samples.artifact(at, layout) for at, layout in enumerate(("portable", "compact", "mask", "onnx"))]
    page = shown(samples.job(), [samples.module(0, 0.8, 0.8, artifacts=files)])
    lines = {way.layout: way.lines for way in page.openings}
    assert "AutoModelForSequenceClassification.from_pretrained" in lines["portable"]
    assert "trust_remote_code=True" in lines["compact"]
    assert lines["mask"].startswith("microlith modules apply")
    assert "InferenceSession" in lines["onnx"]


def test_a_recomposed_classifier_is_opened_by_the_runner_it_brings() -> None:
    job = samples.job(artifacts=[samples.artifact(0, "onnx", "run.py")], order=COMBINED, kind="combine")
    page = shown(job)
    assert [(way.layout, way.lines) for way in page.openings] == [("runner", "cd module && python run.py")]
    assert page.title == "Recomposition of 2 modules"
    assert page.chips == []


def test_the_list_names_jobs_by_model_and_request() -> None:
    page = jobs_page(Page(data=[samples.job(labels={"team": "a"})]), JobFilter())
    (line,) = page.lines
    assert (line.title, line.request) == ("bert-tiny-wordnet", "3 concerns · weights · ci · ratio 0.5")
    assert (line.took, line.labels, line.percent) == ("1 min 20 s", ["team=a"], 100.0)
    assert not page.live
    assert not page.filtered


def test_a_list_with_a_job_under_way_is_live() -> None:
    assert jobs_page(Page(data=[samples.job("queued")]), JobFilter(state="queued")).live


def test_a_module_tells_what_it_confuses_most_with_the_bases_count_beside() -> None:
    module = samples.module(1, 0.9, 0.8)
    page = module_page(module, samples.job(), samples.results([module]))
    assert [(line.true, line.given, line.module, line.base) for line in page.confused] == [
        ("artifact", "animal", 3, 3),
        ("act", "animal", 2, 2),
        ("animal", "act", 1, 1),
    ]
    assert page.missing == ["compact", "mask", "onnx"]
    assert [row.label for row in page.classes if row.concern] == ["animal"]


def test_a_module_that_was_measured_in_bfloat16_says_how_that_compares() -> None:
    plain = samples.module(0, 0.9, 0.8)
    numerics = Numerics(dtype="bfloat16", agreement=2046 / 2048, examples=2048)
    reduced = plain.model_copy(update={"numerics": numerics})
    said = [module_page(module, samples.job(), samples.results([module])).what for module in (plain, reduced)]
    assert "bfloat16" not in said[0]
    assert said[1].endswith("Measured in bfloat16: bfloat16 and float32 differ in 2 of 2,048 predictions.")


def test_less_loss_is_a_gain() -> None:
    module = samples.module(0, 0.9, 0.8)
    results = samples.results([module])
    assert results.base is not None
    base = results.base.model_copy(update={"report": results.base.report.model_copy(update={"loss": 0.9})})
    page = module_page(module, samples.job(), results.model_copy(update={"base": base}))
    assert {row.name: row.tone for row in page.measures}["Cross-entropy, nats"] == "gain"


@pytest.mark.parametrize(
    ("ref", "name"),
    [
        ("demo:bert-tiny-wordnet", "bert-tiny-wordnet"),
        ("hub:org/model@abc", "model"),
        ("path:/srv/models/mine/", "mine"),
        ("mdl_01", "mdl_01"),
    ],
)
def test_a_reference_is_called_by_its_last_part(ref: str, name: str) -> None:
    assert phrases.short_name(ref) == name


def test_a_change_that_rounds_to_nothing_has_no_sign() -> None:
    assert [phrases.signed(value) for value in (0.0123, -0.0123, 0.0001)] == ["+0.012", "−0.012", "±0.000"]
    assert [phrases.percent(value) for value in (0.5, 0.317, 0.0)] == ["50 %", "31.7 %", "0 %"]


COMBINED = {
    "mode": "recompose",
    "modules": ["mod_01M89PC0YTNS9CBC4C9C8MFKCY", "mod_01M89PD4W36ZXDWJSF1C670V04"],
    "dataset": "demo:wordnet-supersense",
}
