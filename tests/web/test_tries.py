"""What a try of a module shows."""

from __future__ import annotations

from typing import Any

from fastapi.testclient import TestClient

from app.web.views.tries import TypedTexts, inputs_of, try_page
from microlith.contract import Job
from tests.web import samples
from tests.web.test_pages import PERSON, first_module

HARE = TypedTexts("a hare")


def tried(said: str = "animal", **more: Any) -> Job:
    answer = {"label": "animal", "probabilities": [0.1, 0.7, 0.2]}
    prediction = {
        "labels": list(samples.LABELS),
        "module_labels": list(samples.LABELS),
        "inputs": [{"text": "a hare", "base": answer, "module": answer | {"label": said}}],
    }
    return samples.job(prediction=prediction, kind="predict", **more)


def test_both_answers_stand_side_by_side_the_likeliest_first() -> None:
    page = try_page(samples.module(1, 0.9, 0.8), HARE, tried())
    (one,) = page.tried
    assert [(likely.label, likely.width, likely.concern) for likely in one.module.likely] == [
        ("animal", 70.0, True),
        ("artifact", 20.0, False),
        ("act", 10.0, False),
    ]
    assert one.says == "Both say animal."


def test_answers_that_differ_are_told_apart_in_words() -> None:
    (one,) = try_page(samples.module(1, 0.9, 0.8), HARE, tried("act")).tried
    assert one.says == "The base says animal, the module act."


def test_a_try_that_failed_says_why_and_one_that_takes_long_is_waited_for_elsewhere() -> None:
    failed = samples.job("failed", error={"code": "X", "message": "Too long.", "hint": "Cut it."})
    assert try_page(samples.module(1, 0.9, 0.8), HARE, failed).fault == "Too long. Cut it."
    assert try_page(samples.module(1, 0.9, 0.8), HARE, samples.job("running")).waiting


def test_every_line_is_a_text() -> None:
    assert inputs_of(TypedTexts(" a hare \n\n a fork\n")) == ["a hare", "a fork"]


def test_lines_of_two_fields_are_pairs_and_one_without_the_other_is_refused(api: TestClient, finished: str) -> None:
    pairs = inputs_of(TypedTexts("a hare\na fork", " an animal \na tool"))
    assert pairs == [{"text": "a hare", "text_pair": "an animal"}, {"text": "a fork", "text_pair": "a tool"}]
    place = f"/modules/{first_module(api, finished)}/try"
    form = {**PERSON, "Content-Type": "application/x-www-form-urlencoded"}
    answer = api.post(place, content="text=a+hare%0Aa+fork&text_pair=an+animal", headers=form)
    assert answer.status_code == 422
    assert "Each line needs its own in the other field" in answer.text
    assert 'name="text_pair"' in answer.text


def test_both_texts_of_a_pair_stand_above_the_answers() -> None:
    job = tried()
    assert job.prediction
    (one,) = job.prediction.inputs
    pair = job.prediction.model_copy(update={"inputs": [one.model_copy(update={"text_pair": "an animal"})]})
    (shown,) = try_page(samples.module(1, 0.9, 0.8), HARE, job.model_copy(update={"prediction": pair})).tried
    assert shown.texts == ["a hare", "an animal"]


def test_nothing_typed_is_told_at_the_field(api: TestClient, finished: str) -> None:
    place = f"/modules/{first_module(api, finished)}/try"
    answer = api.post(place, content="text=+", headers={**PERSON, "Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 422
    assert "Write one to 32 texts" in answer.text
