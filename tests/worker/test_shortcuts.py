import numpy as np
import pytest
import torch

from tests.builders import KINDS, examples_for, tiny_bert, tiny_examples, tiny_model
from worker.compute.batches import Order, forward, pad
from worker.evaluation.runner import predict
from worker.evaluation.shared_batches import Course
from worker.evaluation.shortcuts import Shortcuts, bytes_of
from worker.evaluation.similarity import StatesWanted, course_over, states_along
from worker.families.anatomy import anatomy
from worker.pruning.masks import Bits, Mask
from worker.pruning.surgery import realised
from worker.sampling.concern import ConcernSamples


def shortcuts_for(model, examples, pruned):
    batch = Order.of(examples).batch(0, 4, "cpu")
    return Shortcuts.of(model.eval(), anatomy(model), pruned, batch)


def halved(structure, parts, rng):
    """A mask that removes about half of the units of a structure in the last block."""
    if structure == "weights":
        part = parts.feed_forwards[-1]
        shapes = {name: parts.shapes[name] for name in part.layers}
        return Mask("weights", {name: Bits.pack(rng.random(shape) < 0.5) for name, shape in shapes.items()})
    if structure == "neurons":
        part = parts.feed_forwards[-1]
        return Mask("neurons", neurons={part.block: Bits.pack(np.arange(parts.neurons(part)) % 2 == 0)})
    part = parts.attentions[-1]
    return Mask("heads", heads={part.block: Bits.pack(np.arange(parts.heads(part)) % 2 == 0)})


def touched(structure, parts):
    part = parts.attentions[-1] if structure == "heads" else parts.feed_forwards[-1]
    return set(part.layers)


@pytest.mark.parametrize("family", sorted(KINDS))
@pytest.mark.parametrize("structure", ["weights", "neurons", "heads"])
def test_a_module_answers_the_same_along_a_course_as_on_its_own(family, structure):
    model, examples = tiny_model(family), examples_for(family, 24)
    parts = anatomy(model)
    shortcuts = shortcuts_for(model, examples, touched(structure, parts))
    course = Course(examples, shortcuts=shortcuts, token_budget=60)
    np.testing.assert_allclose(course.predict(model), predict(model, examples), atol=1e-5)
    with realised(model, halved(structure, parts, np.random.default_rng(0)), parts) as module:
        np.testing.assert_allclose(course.predict(module), predict(module, examples), atol=1e-5)
    np.testing.assert_allclose(course.predict(model), predict(model, examples), atol=1e-5)


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "deberta-v2", "mpnet", "modernbert", "vit"])
def test_only_the_first_position_goes_through_the_last_feed_forward_part(family):
    model, examples = tiny_model(family), examples_for(family, 4)
    if family == "modernbert":
        model.config.classifier_pooling = "cls"
    parts, seen = anatomy(model), []
    shortcuts = shortcuts_for(model, examples, {parts.feed_forwards[0].output})
    last = model.get_submodule(parts.feed_forwards[-1].output)
    last.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].shape[-2]))
    predict(model, examples)
    assert max(seen) > 1
    seen.clear()
    Course(examples, shortcuts=shortcuts).predict(model)
    assert set(seen) == {1}


def test_a_classifier_that_reads_every_position_is_not_narrowed():
    model, examples = tiny_model("modernbert"), tiny_examples()
    model.config.classifier_pooling = "mean"
    assert shortcuts_for(model, examples, {"model.layers.1.mlp.Wo"}).tail is None


def test_what_lies_before_the_first_pruned_layer_runs_once_for_all_models():
    model, examples = tiny_bert(), tiny_examples()
    course = Course(examples, shortcuts=shortcuts_for(model, examples, {"bert.encoder.layer.1.intermediate.dense"}))
    calls = {name: [] for name in ("bert.embeddings", "bert.encoder.layer.0.output.dense", "bert.encoder.layer.1")}
    for name, seen in calls.items():
        model.get_submodule(name).register_forward_pre_hook(lambda *_, seen=seen: seen.append(1))
    upstream = model.bert.encoder.layer[0].output.dense
    first = course.predict(model)
    batches = len(calls["bert.encoder.layer.1"])
    np.testing.assert_array_equal(course.predict(model), first)
    assert len(calls["bert.encoder.layer.0.output.dense"]) == batches
    assert len(calls["bert.encoder.layer.1"]) == 2 * batches
    assert "forward" not in vars(upstream)


def test_a_course_keeps_no_more_than_it_has_room_for_and_answers_the_same():
    model, examples = tiny_bert(), tiny_examples(200)
    pruned = {"bert.encoder.layer.0.intermediate.dense"}
    course = Course(examples, shortcuts=shortcuts_for(model, examples, pruned), token_budget=60, room=20_000)
    expected = predict(model, examples)
    for _ in range(2):
        np.testing.assert_allclose(course.predict(model), expected, atol=1e-5)
    kept = [bytes_of(known.inputs()) + bytes_of(known.outputs()) for known in course._kept.values()]
    assert 10_000 < sum(kept) <= 20_000


def test_a_course_that_runs_out_of_memory_gives_back_what_it_keeps():
    model, examples = tiny_bert(), tiny_examples()
    course = Course(examples, shortcuts=shortcuts_for(model, examples, {"bert.encoder.layer.0.intermediate.dense"}))
    expected = course.predict(model)
    refused = []

    def refuse_once(_module, inputs):
        if not refused:
            refused.append(len(inputs[0]))
            raise torch.OutOfMemoryError("out of memory")

    with model.classifier.register_forward_pre_hook(refuse_once):
        np.testing.assert_allclose(course.predict(model), expected, atol=1e-5)
    assert refused
    assert not course._kept
    np.testing.assert_allclose(course.predict(model), expected, atol=1e-5)


def test_a_model_whose_pruned_layers_never_run_has_no_shortcut_through_itself():
    model, examples = tiny_bert(), tiny_examples()
    assert "" not in shortcuts_for(model, examples, {"nothing.of.this.name"}).upstream


def test_hooks_and_stand_ins_are_gone_after_a_course_even_when_it_is_stopped():
    model, examples = tiny_bert(), tiny_examples()
    course = Course(examples, shortcuts=shortcuts_for(model, examples, {"bert.encoder.layer.1.intermediate.dense"}))
    course.predict(model)

    def stop(_rows):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        course.predict(model, stop)
    batch = pad(examples, np.array([0, 1]), 12, "cpu")
    with torch.inference_mode():
        assert forward(model, batch, output_hidden_states=True).hidden_states[-1].shape[1] == 12
    assert not any("forward" in vars(module) for module in model.modules())


def test_what_only_upstream_modules_read_is_not_kept():
    model, examples = tiny_bert(), tiny_examples()
    shortcuts = shortcuts_for(model, examples, {"bert.encoder.layer.0.intermediate.dense"})
    assert shortcuts.unread == {"bert.embeddings"}
    course = Course(examples, shortcuts=shortcuts)
    np.testing.assert_array_equal(course.predict(model), course.predict(model))
    known = course._kept.values()
    state = sum(4 * model.config.hidden_size * one.inputs()["attention_mask"].numel() for one in known)
    kept = sum(bytes_of(one.outputs()) for one in known)
    assert state <= kept < 1.1 * state  # what attention wrote


def test_an_output_that_others_read_is_kept_whole():
    model, examples = tiny_model("deberta-v2"), examples_for("deberta-v2", 8)
    shortcuts = shortcuts_for(model, examples, touched("neurons", anatomy(model)))
    read = set(shortcuts.upstream) - shortcuts.unread
    assert read
    course = Course(examples, shortcuts=shortcuts)
    np.testing.assert_allclose(course.predict(model), predict(model, examples), atol=1e-5)


def test_states_may_be_asked_for_that_no_answer_needs():
    model, examples = tiny_bert(), tiny_examples()
    shortcuts = shortcuts_for(model, examples, {"classifier"})
    samples = ConcernSamples(positive=(0, 1, 2), negative=(3, 4, 5))
    wanted = StatesWanted(layers="all")
    course = course_over(examples, samples, wanted, shortcuts)
    for _ in range(2):
        states = states_along(model, course, samples, wanted)
        assert all(np.isfinite(layer).all() for layer in states.concern.pooled)
