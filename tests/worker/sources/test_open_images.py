"""A real image classifier from its references to a verified archive of a module."""

import io
import json
import shutil
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from sklearn.metrics import f1_score
from transformers import AutoImageProcessor, AutoModelForImageClassification

from app.domain.errors import VerificationFailed
from microlith.contract import JobSpec
from tests import assets
from tests.folders import portable_folder
from worker.compute.examples import PixelExamples
from worker.evaluation.runner import predict
from worker.packaging.archive import archive
from worker.sources.models import load_model
from worker.sources.open_sources import open_sources

pytestmark = assets.present


def opened(**changes):
    return open_sources(JobSpec.model_validate(assets.JOB | changes), allow_paths=True, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def sources():
    torch.set_num_threads(1)
    return opened()


def test_the_digits_are_read_as_the_model_was_trained_on_them(sources):
    examples = sources.encode("test", range(180))
    logits = predict(sources.model.model, examples)
    measured = json.loads((assets.MODEL / "metrics.json").read_text())["report"]["macro avg"]["f1-score"]
    assert f1_score(examples.labels, logits.argmax(1), average="macro") == pytest.approx(measured, abs=1e-9)


def test_white_is_that_of_all_splits_and_only_the_rows_asked_for_are_set(sources):
    assert sources.model.processor.rescale_factor == 1 / 16
    examples = sources.encode("train", [3, 1])
    assert isinstance(examples, PixelExamples)
    assert (len(examples), examples.pixels.shape[1:], examples.patch) == (1437, (1, 8, 8), 2)
    assert np.flatnonzero(examples.pixels.any((1, 2, 3))).tolist() == [1, 3]
    assert (examples.pixels[[1, 3]].min(), examples.pixels[[1, 3]].max()) == (-1, 1)
    assert np.array_equal(examples.labels, sources.labels("train"))


def test_an_image_model_has_a_processor_and_no_tokenizer(sources):
    assert sources.model.tokenizer is None
    assert sources.model.info.task == "image"
    assert load_model("demo:bert-tiny-wordnet", allow_paths=False).processor is None


def pack(loaded, model, folder):
    portable_folder(folder / "module", model, loaded)
    return archive(folder / "module", folder / "module.zip")


def test_a_module_says_how_its_images_were_prepared_and_answers_alike_in_a_clean_process(
    sources, tmp_path, warm_verifier
):
    probe = sources.encode("validation", range(8)).take(range(8))
    logits = predict(sources.model.model, probe)
    packed = pack(sources.model, sources.model.model, tmp_path)
    names = [file.path for file in packed.files]
    assert names == [
        *("README.md", "SHA256SUMS", "config.json", "decomposition.json"),
        *("model.safetensors", "preprocessor_config.json"),
    ]
    inputs = probe.collate(np.arange(8), 17)
    assert warm_verifier.check(packed.path, inputs, logits) < 1e-5
    with pytest.raises(VerificationFailed, match="logits differ"):
        warm_verifier.check(packed.path, {"pixel_values": inputs["pixel_values"] + 1}, logits)


def test_a_stranger_gets_the_same_answer_from_the_raw_pixels(sources, tmp_path):
    with zipfile.ZipFile(pack(sources.model, sources.model.model, tmp_path).path) as zipped:
        zipped.extractall(tmp_path / "opened")
    processor = AutoImageProcessor.from_pretrained(tmp_path / "opened")
    model = AutoModelForImageClassification.from_pretrained(tmp_path / "opened").eval()
    raw = sources.data.split("test")[0][:5].astype(np.uint8)  # [5, 1, 8, 8], 0 to 16
    inputs = processor(images=list(raw), input_data_format="channels_first", return_tensors="pt")
    with torch.inference_mode():
        answer = model(**inputs).logits.numpy()
    expected = predict(sources.model.model, sources.encode("test", range(5)).take(range(5)))
    assert answer == pytest.approx(expected, abs=1e-5)


def test_the_models_own_preprocessor_is_followed_and_travels_byte_for_byte(tmp_path):
    own = {"image_processor_type": "ViTImageProcessor", "image_mean": [0.0], "image_std": [2.0], "rescale_factor": 0.5}
    folder = shutil.copytree(assets.MODEL, tmp_path / "model")
    (folder / "preprocessor_config.json").write_text(json.dumps(own | {"size": {"height": 8, "width": 8}}))
    sources = opened(model=f"path:{folder}")
    raw = sources.data.split("test")[0]
    assert sources.encode("test", [2]).pixels[2] == pytest.approx(raw[2] / 4)
    pack(sources.model, sources.model.model, tmp_path)
    name = "preprocessor_config.json"
    assert (tmp_path / "module" / name).read_bytes() == (folder / name).read_bytes()


def test_image_files_in_the_struct_of_datasets_are_read_as_their_pixels_are(sources, tmp_path):
    raw, labels = sources.data.split("test")
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    files = [{"bytes": png(pixels[0] * 255 / 16), "path": None} for pixels in raw]
    pq.write_table(pa.table({"image": pa.array(files, kind), "label": labels}), tmp_path / "digits.parquet")
    examples = opened(dataset=f"path:{tmp_path / 'digits.parquet'}").encode("test", range(180))
    assert np.abs(examples.pixels - sources.encode("test", range(180)).pixels).max() <= 1 / 255 + 1e-6  # rounding
    assert f1_score(labels, predict(sources.model.model, examples).argmax(1), average="macro") > 0.98


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels.round().astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()
