"""Images as a model reads them, from lists of numbers and from files."""

import io
import json

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from app.domain.errors import DatasetInvalid, UnsupportedModel
from worker.sources.images import joined, load_processor, prepare, stored_images, usual_processor, white_level

SHAPE = [1, 8, 8]
RAMP = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4


def encoded(pixels, form="PNG"):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form)
    return stream.getvalue()


def stored(values, kind, *, shape=SHAPE, folder=None):
    return stored_images(pa.array(values, kind), "pixels", shape, folder)


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.int64()), pa.large_list(pa.uint8()), pa.list_(pa.int32(), 64), pa.list_(pa.float64())]
)
def test_lists_of_any_number_type_become_the_same_pixels(kind):
    numbers = [list(range(64)), list(range(63, -1, -1))]
    found = stored(numbers, kind)
    assert (found.shape, found.dtype) == ((2, 1, 8, 8), np.float32)
    assert found.reshape(2, 64).tolist() == numbers


def test_numbers_fill_channels_then_rows():
    found = stored([list(range(12))], pa.list_(pa.int64()), shape=[3, 2, 2])
    assert found[0, 2].tolist() == [[8, 9], [10, 11]]


def test_a_part_of_a_longer_array_is_read_from_its_own_place():
    values = pa.array([[1] * 64, [2] * 64, [3] * 64], pa.list_(pa.int64()))
    assert stored_images(values.slice(1, 1), "pixels", SHAPE, None).max() == 2
    assert stored_images(values.slice(1, 1), "pixels", SHAPE, None).shape[0] == 1


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([[0.0] * 64, [0.0] * 63], "rows of 63 numbers"),
        ([[0.0] * 63 + [None]], "1 gaps"),
        ([[0.0] * 63 + [float("nan")]], "not finite"),
    ],
)
def test_lists_that_are_no_image_are_refused(values, reason):
    with pytest.raises(DatasetInvalid, match=reason):
        stored(values, pa.list_(pa.float64()))


@pytest.mark.parametrize(
    ("brightest", "white"), [(1, 1), (0.5, 1), (15, 16), (16, 16), (17, 255), (255, 255), (256, 65535), (70000, None)]
)
def test_white_is_the_level_that_the_largest_number_of_any_split_fits(brightest, white):
    dark = np.zeros((2, *SHAPE), np.float32)
    assert white_level([dark, dark + brightest]) == white


def test_numbers_below_zero_are_normalised_already_and_files_are_white_at_255():
    pixels = np.linspace(-1, 1, 64, dtype=np.float32).reshape(1, *SHAPE)
    assert white_level([pixels]) is None
    assert np.array_equal(prepare(pixels, [0], usual_processor(SHAPE, None), SHAPE), pixels)
    assert white_level([[b"file"]]) == 255


def test_without_a_preprocessor_pixels_are_centred_on_zero():
    pixels = np.array([0, 8, 16] + [4] * 61, np.float32).reshape(1, *SHAPE)
    values = prepare(pixels, [0], usual_processor(SHAPE, 16), SHAPE)
    assert values.dtype == np.float32
    assert values.ravel()[:4].tolist() == [-1, 0, 1, -0.5]


def test_a_png_and_its_pixels_come_to_the_same():
    as_file = prepare([encoded(RAMP)], [0], usual_processor(SHAPE), SHAPE)
    as_numbers = prepare(RAMP[None, None].astype(np.float32), [0], usual_processor(SHAPE), SHAPE)
    assert np.array_equal(as_file, as_numbers)


def test_files_are_resized_and_their_channels_are_the_models():
    colour = np.zeros((16, 24, 3), np.uint8)
    colour[..., 0] = 255
    red = prepare([encoded(colour)], [0], usual_processor([3, 8, 8]), [3, 8, 8])
    assert red.shape == (1, 3, 8, 8)
    assert (red[0, 0] == 1).all()
    assert (red[0, 1:] == -1).all()
    grey = prepare([encoded(colour)], [0], usual_processor(SHAPE), SHAPE)
    assert grey == pytest.approx((76 / 255 - 0.5) / 0.5)  # ITU-R 601: 0.299 of 255
    jpeg = prepare([encoded(RAMP, "JPEG")], [0], usual_processor(SHAPE), SHAPE)
    assert np.abs(jpeg - prepare([encoded(RAMP)], [0], usual_processor(SHAPE), SHAPE)).max() < 0.1


def test_only_the_rows_asked_for_are_decoded():
    values = prepare([b"no image", encoded(RAMP), b"nor this"], [1], usual_processor(SHAPE), SHAPE)
    assert values.shape == (3, 1, 8, 8)
    assert values[1].any()
    assert not values[[0, 2]].any()


def test_more_rows_than_go_through_at_once_keep_their_order():
    pixels = np.arange(200, dtype=np.float32)[:, None, None, None] * np.ones((1, *SHAPE), np.float32)
    rows = list(range(0, 200, 2))
    values = prepare(pixels, rows, usual_processor(SHAPE, 255), SHAPE)
    assert values[rows, 0, 0, 0] == pytest.approx([(row / 255 - 0.5) / 0.5 for row in rows], abs=1e-6)


@pytest.mark.parametrize(
    "file", [b"", b"GIF89a", encoded(RAMP)[:40], encoded(np.zeros((8, 8), np.uint16))], ids=lambda f: f[:6].hex()
)
def test_a_file_that_is_no_image_is_named_by_its_row(file):
    with pytest.raises(DatasetInvalid, match="The image of row 1 cannot be decoded"):
        prepare([encoded(RAMP), file], [0, 1], usual_processor(SHAPE), SHAPE)


def test_a_path_is_a_file_below_the_dataset_and_nothing_else(tmp_path):
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    (tmp_path / "data" / "images").mkdir(parents=True)
    (tmp_path / "data" / "images" / "a.png").write_bytes(encoded(RAMP))
    (tmp_path / "outside.png").write_bytes(encoded(RAMP))
    folder = tmp_path / "data"
    (found,) = stored([{"bytes": None, "path": "images/a.png"}], kind, folder=folder)
    assert prepare([found], [0], usual_processor(SHAPE), SHAPE).any()
    for name in ("../outside.png", str(tmp_path / "outside.png"), "images/b.png", "a\0.png", "a" * 5000, None):
        with pytest.raises(DatasetInvalid, match="is no file of the dataset"):
            stored([{"bytes": None, "path": name}], kind, folder=folder)


def test_lists_and_files_do_not_mix():
    with pytest.raises(DatasetInvalid, match="lists of numbers in one file, images in another"):
        joined([np.zeros((1, *SHAPE), np.float32), [b"file"]], "image")


def test_a_models_own_preprocessor_is_followed(tmp_path):
    own = {"image_processor_type": "ViTImageProcessor", "image_mean": [0.25], "image_std": [0.5], "size": 8}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(own | {"rescale_factor": 1 / 16}))
    pixels = np.full((1, *SHAPE), 8, np.float32)
    assert prepare(pixels, [0], load_processor(tmp_path, SHAPE), SHAPE) == pytest.approx((8 / 16 - 0.25) / 0.5)


@pytest.mark.parametrize(
    "own", [{"image_processor_type": "NoSuchProcessor"}, {"image_processor_type": "ViTImageProcessor", "size": "big"}]
)
def test_a_preprocessor_that_does_not_open_is_refused(tmp_path, own):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(own))
    with pytest.raises(UnsupportedModel, match="image processor cannot be opened"):
        load_processor(tmp_path, SHAPE)


def test_a_preprocessor_of_another_size_or_other_channels_is_refused(tmp_path):
    with pytest.raises(UnsupportedModel, match=r"makes images of \[1, 9, 9\] and the model takes \[1, 8, 8\]"):
        prepare([encoded(RAMP)], [0], usual_processor([1, 9, 9]), SHAPE)
    with pytest.raises(UnsupportedModel, match="image processor cannot serve"):
        prepare([encoded(RAMP)], [0], usual_processor([3, 8, 8]), SHAPE)
