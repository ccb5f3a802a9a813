"""A student learns to answer as the base does, alike every time, and goes on where an earlier attempt stopped."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from distilling_builders import mask_of
from scipy.special import log_softmax, softmax

from app.domain.distilling import BATCH
from tests.builders import examples_for, tiny_examples, tiny_model
from worker.compute.batches import pad
from worker.distilling import training
from worker.distilling.lessons import ANSWERS, Lessons
from worker.distilling.student import Student
from worker.distilling.training import Recipe, Study, Training
from worker.evaluation.runner import predict
from worker.families.anatomy import anatomy

ROWS, EPOCHS = 80, 3


def agreement(model, lessons):
    """The fraction of the examples that the teacher answers alike."""
    return float((predict(model, lessons.examples).argmax(1) == lessons.answers.argmax(1)).mean())


def course(kind="bert", *, epochs=EPOCHS, study=None, judge=None, **recipe):
    """A new student of a tiny base, about to learn; equal every time. Its judge is its agreement with the base."""
    model, examples = tiny_model(kind), examples_for(kind, ROWS)
    parts = anatomy(model)
    student = Student.of(model, mask_of(parts, "heads+neurons"), parts)
    lessons = Lessons(examples, predict(model, examples), temperature=2.0, seed=7)
    judge = judge or (lambda module: agreement(module, lessons))
    how = Recipe(epochs=epochs, **{"learning_rate": 0.01, **recipe})
    return Training(student.model, student.parameters, lessons, judge, how, study or Study())


def values(learner):
    return torch.cat([parameter.detach().flatten() for parameter in learner.parameters.values()])


@pytest.mark.parametrize("kind", ["bert", "modernbert", "llama", "vit"])
def test_a_student_comes_to_answer_as_the_base_does(kind):
    learner = course(kind, epochs=20)
    before = agreement(learner.model, learner.lessons)
    study = learner.run()
    assert max(study.scores) > max(before, 0.6)
    assert agreement(learner.model, learner.lessons) == max(study.scores)


def test_equal_seeds_give_equal_bytes_and_other_seeds_others():
    first, again, other = course(), course(), course()
    other.lessons = replace(other.lessons, seed=8)
    for learner in (first, again, other):
        learner.run()
    assert torch.equal(values(first), values(again))
    assert not torch.equal(values(first), values(other))


@pytest.mark.parametrize("stop", range(1, EPOCHS + 1))
def test_an_attempt_that_goes_on_comes_to_the_same_bytes(stop):
    whole, kept = course(), []
    whole.run(lambda study: kept.append(copy.deepcopy(study)))
    later = course(study=kept[stop - 1])
    scores = later.run().scores
    assert torch.equal(values(later), values(whole))
    assert scores == whole.study.scores
    assert len(kept) == EPOCHS


def test_the_epoch_that_is_best_on_validation_data_counts():
    seen = []

    def judge(module):
        seen.append(torch.cat([p.detach().flatten().clone() for p in learner.parameters.values()]))
        return [0.1, 0.9, 0.3][len(seen) - 1]

    learner = course(judge=judge)
    study = learner.run()
    assert study.scores == [0.1, 0.9, 0.3]
    assert torch.equal(values(learner), seen[1])
    assert not torch.equal(seen[1], seen[2])


def test_every_step_is_heard_and_can_be_the_last():
    heard = []
    course().run(checkpoint=heard.append)
    assert heard[-1] == EPOCHS * ROWS
    assert len(heard) == EPOCHS * -(-ROWS // BATCH)
    assert heard == sorted(set(heard))

    class CancelledError(Exception):
        pass

    def stop(done):
        if done >= BATCH:
            raise CancelledError

    learner = course()
    with pytest.raises(CancelledError):
        learner.run(checkpoint=stop)
    assert learner.study.steps == 1


def test_the_rate_falls_to_nothing_by_the_last_step(monkeypatch):
    rates = []
    step = torch.optim.AdamW.step

    def noted(self, *given):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *given)

    monkeypatch.setattr(torch.optim.AdamW, "step", noted)
    course(learning_rate=0.01).run()
    steps = EPOCHS * -(-ROWS // BATCH)
    np.testing.assert_allclose(rates, 0.01 * (1 - np.arange(steps) / steps))


def test_minutes_end_the_study_and_the_rate_falls_with_them(monkeypatch):
    """A clock that stands still but for six seconds a step: a minute is over after ten of a thousand epochs' steps."""
    now, rates = [0.0], []
    step = torch.optim.AdamW.step

    def noted(self, *given):
        rates.append(self.param_groups[0]["lr"])
        now[0] += 6.0
        return step(self, *given)

    monkeypatch.setattr(torch.optim.AdamW, "step", noted)
    monkeypatch.setattr(training.time, "monotonic", lambda: now[0])
    study = course(epochs=1000, minutes=1.0, learning_rate=0.01).run()
    np.testing.assert_allclose(rates, 0.01 * (1 - np.arange(10) / 10), atol=1e-6)
    assert study.over
    assert study.steps == 10
    assert len(study.scores) == 4


def test_a_batch_that_the_device_cannot_hold_learns_the_same_in_parts(monkeypatch):
    whole, parts = course(epochs=1), course(epochs=1)
    whole.run()
    sizes = []
    monkeypatch.setattr(training, "budget_on", lambda _: 30)
    monkeypatch.setattr(training, "pad", lambda *given: (sizes.append(len(given[1])), pad(*given))[1])
    parts.run()
    assert max(sizes) < BATCH / 4
    found, expected = (predict(learner.model, learner.lessons.examples) for learner in (parts, whole))
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_every_example_is_learned_once_an_epoch_beside_others_of_like_length():
    examples = tiny_examples(150)
    lessons = Lessons(examples, np.zeros((150, 4), np.float32), temperature=2.0, seed=1)
    first, second = lessons.batches(0), lessons.batches(1)
    assert sorted(np.concatenate(first)) == sorted(np.concatenate(second)) == list(range(150))
    assert [len(batch) for batch in sorted(first, key=len)] == [150 % BATCH, BATCH, BATCH, BATCH, BATCH]
    spans = [np.ptp(examples.lengths(batch)) for batch in first]
    assert max(spans) <= 4
    assert [batch.tolist() for batch in first] != [batch.tolist() for batch in second]
    assert [batch.tolist() for batch in lessons.batches(0)] == [batch.tolist() for batch in first]


def test_where_pads_would_change_answers_a_batch_has_one_length():
    examples = replace(tiny_examples(150), padded=False)
    lessons = Lessons(examples, np.zeros((150, 4), np.float32), temperature=2.0, seed=1)
    for epoch in range(2):
        batches = lessons.batches(epoch)
        assert sorted(np.concatenate(batches)) == list(range(150))
        assert all(np.ptp(examples.lengths(batch)) == 0 for batch in batches)
        assert len(batches) == lessons.steps


def test_the_loss_is_what_the_docstring_says():
    rng = np.random.default_rng(3)
    examples, rows = tiny_examples(12), np.array([2, 5, 11])
    teacher, own = (rng.normal(size=(12, 4)).astype(np.float32) for _ in range(2))
    lessons = Lessons(examples, teacher, temperature=3.0, seed=1)
    p, log_p, log_q = softmax(teacher[rows] / 3, 1), log_softmax(teacher[rows] / 3, 1), log_softmax(own[rows] / 3, 1)
    divergence = (p * (log_p - log_q)).sum()
    entropy = -log_softmax(own[rows], 1)[np.arange(3), examples.labels[rows]].sum()
    expected = ANSWERS * 9 * divergence + (1 - ANSWERS) * entropy
    assert float(lessons.loss(torch.from_numpy(own[rows]), rows)) == pytest.approx(expected, rel=1e-5)
