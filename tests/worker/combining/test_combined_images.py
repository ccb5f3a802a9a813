"""Combinations of image models: class sets, and one graph whose runner prepares pixels as the models' processors do."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from combining_builders import LABELS, origin, part, spec, weight_mask
from PIL import Image

from app.domain.errors import InvalidInput, UnsupportedModel
from microlith.combined import load
from tests.builders import tiny_bert, tiny_model
from worker.combining import recomposed_folder
from worker.combining.combined_classifier import CombinationPass, Data
from worker.combining.graph_inputs import Feeds
from worker.combining.parts import LabelledRows, Origin, image_encoder
from worker.combining.recomposed_folder import deliver, verify
from worker.evaluation.runner import predict
from worker.packaging.onnx_graph import Graphs
from worker.sources.images import prepare, usual_processor

SHAPE = [1, 8, 8]


def vit(processor=None, *, seed=0, ref="demo:vit"):
    """A tiny image model with what prepares its pixels."""
    processor = processor or usual_processor(SHAPE, 16)
    encoder = image_encoder(processor, SHAPE, 4)
    return Origin(ref, tiny_model("vit", seed=seed), LABELS, encoder, processor=processor, image_shape=SHAPE)


def pixels(count=40, *, seed=0):
    """Images as lists of numbers from 0 to 16; labels go round."""
    rng = np.random.default_rng(seed)
    images = rng.integers(17, size=(count, *SHAPE)).astype(np.float32)
    return LabelledRows(list(images), [LABELS[row % 4] for row in range(count)])


def pictures(count=8):
    """PNG files larger than the models' images."""
    rng, files = np.random.default_rng(5), []
    for _ in range(count):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(256, size=(20, 12), dtype=np.uint8)).save(buffer, "PNG")
        files.append(buffer.getvalue())
    return files


@pytest.fixture(scope="module")
def delivered(tmp_path_factory):
    """Two modules of one base and one of another, whose processors scale unlike; of one shape, so exported once."""
    kept = Graphs(vit().encoder(pixels(3).inputs))
    one, other = vit(), vit(usual_processor(SHAPE), seed=1, ref="demo:other")
    parts = [
        part(one, "act", weight_mask(one, seed=1)),
        part(one, "body", weight_mask(one, seed=2)),
        part(other, "plant", weight_mask(other, seed=3)),
    ]
    combined = CombinationPass(spec(), parts, Data(pixels(), pixels(seed=1))).run()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(recomposed_folder, "Graphs", lambda _sample: kept)
        return combined, deliver(combined, tmp_path_factory.mktemp("images") / "combined")


def test_a_class_set_of_images_is_cut_to_its_classes():
    base = vit()
    parts = [part(base, label, weight_mask(base, seed=seed)) for seed, label in enumerate(("act", "body", "plant"))]
    combined = CombinationPass(spec("class_set"), parts, Data(pixels(24), pixels(24))).run()
    assert combined.combination.comparison.rows == 18
    assert combined.class_set.model.config.id2label == {0: "act", 1: "body", 2: "plant"}


def test_a_clean_process_reads_pixels_as_the_models_do(delivered):
    combined, folder = delivered
    assert verify(folder, combined.recomposition, pixels(12, seed=3).inputs) <= 1e-4
    document = json.loads((folder / "combined.json").read_text())
    assert [feed["input"] for feed in document["images"]] == ["pixel_values.0", "pixel_values.1"]
    assert "picture.png" in (folder / "README.md").read_text()


def test_pictures_are_decoded_and_resized_as_the_models_do(delivered, tmp_path):
    combined, folder = delivered
    files = pictures()
    assert verify(folder, combined.recomposition, files) <= 1e-4
    (tmp_path / "one.png").write_bytes(files[0])
    opened = load(folder)
    np.testing.assert_array_equal(opened.scores([tmp_path / "one.png"]), opened.scores(files[:1]))


def test_the_runner_prepares_what_the_processor_prepares():
    for processor in (usual_processor(SHAPE, 16), usual_processor(SHAPE), usual_processor(SHAPE, None)):
        reader = load_reader(vit(processor))
        for images in (pixels(3).inputs, pictures(3)):
            held = np.stack(images) if isinstance(images[0], np.ndarray) else images
            (found,) = reader.read(images).values()
            np.testing.assert_allclose(found, prepare(held, range(3), processor, SHAPE), atol=1e-6)


def load_reader(base):
    """The runner's reader of an origin."""
    from microlith.combined.runner import ImageReader

    return ImageReader(**Feeds().of(base).document)


def test_images_of_another_shape_are_refused_with_both(delivered):
    with pytest.raises(ValueError, match=r"an image is \[8, 8\], and this reads .* \[1, 8, 8\]"):
        load(delivered[1]).scores([np.zeros((8, 8))])


@pytest.mark.parametrize("odd", [{"do_center_crop": True}, {"do_pad": True}, {"size": {"shortest_edge": 8}}])
def test_a_processor_that_does_more_is_refused(odd):
    processor = usual_processor(SHAPE)
    settings = processor.to_dict() | odd
    with pytest.raises(UnsupportedModel, match="does what the runner of a recomposed classifier does not"):
        Feeds().of(vit(type(processor)(**settings)))


def test_texts_and_images_do_not_mix():
    text, image = origin(tiny_bert()), vit()
    parts = [part(text, "act"), part(image, "body")]
    with pytest.raises(InvalidInput, match="'act' read texts, those of 'body' read images"):
        CombinationPass(spec(), parts, Data(pixels(), pixels())).run()


def test_unpruned_modules_without_calibration_answer_as_their_base_does():
    base, images = vit(), pixels(30).inputs
    made = CombinationPass(
        spec(calibration="none"), [part(base, label) for label in LABELS], Data(pixels(), pixels())
    ).run()
    places = made.recomposition.answers(made.recomposition.scores(images)).argmax(axis=1)
    np.testing.assert_array_equal(places, predict(base.model, base.encoder(images)).argmax(axis=1))
