"""Images as a model reads them: stored as lists of numbers or as files, prepared by the model's image processor.

A model that brings no preprocessor gets transformers' own for ViT: resized to its input, divided by white, then
(x − 0.5) / 0.5. White is 255 for image files; for lists of numbers it is the level that their largest value fits.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image, UnidentifiedImageError
from transformers import AutoImageProcessor
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from app.domain.errors import DatasetInvalid, ResourceLimit, UnsupportedModel
from app.sources.columns import check_pixels, is_pixels
from app.sources.images import PREPROCESSOR
from app.sources.splits import POINTER
from worker.sources.library_errors import foreign

Pixels = npt.NDArray[np.float32]
Shape = Sequence[int]
"""[channels, height, width]."""

Images = Pixels | list[bytes | Path]
"""Images of a split as they are stored: pixels [rows, channels, height, width], or the files, not yet decoded."""

WHITES = (1, 16, 255, 65535)
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
MAX_PIXELS = 50_000_000
"""Of one image file, told by its header before it is decoded."""

_CHUNK, _CHUNK_OF_FILES = 64, 8
"""Images that are prepared at a time."""


def stored_images(batch: pa.Array, column: str, shape: Shape, folder: Path | None) -> Images:
    """The images of a batch without gaps. File names are looked up below `folder`.

    Raises DatasetInvalid for lists of another length than the model's images, and for files that are not there.
    """
    if not is_pixels(batch.type):
        return [_file(value, column, folder) for value in batch.to_pylist()]
    check_pixels(batch, column, shape)
    return _numbers(batch, column).reshape(-1, *shape)


def joined(batches: Sequence[Images], column: str) -> Images:
    """The batches of a split as one."""
    pixels = [batch for batch in batches if isinstance(batch, np.ndarray)]
    if not pixels:
        return [file for batch in batches for file in batch]
    if len(pixels) < len(batches):
        raise DatasetInvalid(f"Column {column} holds lists of numbers in one file, images in another.", pointer=POINTER)
    return np.concatenate(pixels)


def load_processor(folder: Path, shape: Shape) -> Any:
    """The image processor in a model's folder, or the one for models that bring none. It needs no torchvision."""
    if not (folder / PREPROCESSOR).is_file():
        return usual_processor(shape)
    options = {"backend": "pil", "trust_remote_code": False, "local_files_only": True}
    with foreign("The model's image processor cannot be opened"):
        return AutoImageProcessor.from_pretrained(folder, **options)  # type: ignore[no-untyped-call]


def usual_processor(shape: Shape, white: int | None = WHITES[2]) -> Any:
    """The processor of a model that brings none; with `white` None numbers are taken as they are."""
    channels, height, width = shape
    return ViTImageProcessorPil(
        size={"height": height, "width": width},
        image_mean=[0.5] * channels,
        image_std=[0.5] * channels,
        rescale_factor=1 / (white or 1),
        do_rescale=white is not None,
        do_normalize=white is not None,
    )


def white_level(splits: Iterable[Images]) -> int | None:
    """The least of WHITES that no number of any split exceeds; 255 for files.

    None where some are negative, so normalised already, or beyond the last.
    """
    pixels = [images for images in splits if isinstance(images, np.ndarray)]
    if not pixels:
        return WHITES[2]
    if min(float(split.min()) for split in pixels) < 0:
        return None
    brightest = max(float(split.max()) for split in pixels)
    return next((white for white in WHITES if brightest <= white), None)


def prepare(images: Images, rows: Sequence[int], processor: Any, shape: Shape) -> Pixels:
    """Pixel values [len(images), channels, height, width] of `rows`; what is not asked for is neither decoded nor set.

    Lists of numbers keep their size, files are resized as the processor says. Raises DatasetInvalid for a file that is
    no image, ResourceLimit for one of more than MAX_PIXELS, and UnsupportedModel for a processor whose images are not
    the model's.
    """
    prepared = np.zeros((len(images), *shape), np.float32)  # untouched pages of zeros cost no memory
    together = _CHUNK if isinstance(images, np.ndarray) else _CHUNK_OF_FILES
    for start in range(0, len(rows), together):
        chunk = rows[start : start + together]
        if isinstance(images, np.ndarray):
            sizes = {"do_resize": False, "do_center_crop": False, "input_data_format": "channels_first"}
            values = _processed(processor, list(images[chunk]), **sizes)
        else:
            values = _processed(processor, [_decode(images[row], row, shape) for row in chunk])
        if values.shape[1:] != prepared.shape[1:]:
            raise UnsupportedModel(
                f"{PREPROCESSOR} makes images of {list(values.shape[1:])} and the model takes {list(shape)}.",
                pointer="/model",
            )
        prepared[chunk] = values
    return prepared


def _processed(processor: Any, images: list[Any], **options: Any) -> Pixels:
    with foreign("The model's image processor cannot serve"):
        values: Pixels = processor(images=images, return_tensors="np", **options)["pixel_values"]
    return values


def _numbers(batch: pa.Array, column: str) -> Pixels:
    numbers = pc.list_flatten(batch)
    if numbers.null_count:
        raise DatasetInvalid(f"Lists in column {column} have {numbers.null_count} gaps.", pointer=POINTER)
    pixels: Pixels = numbers.to_numpy(zero_copy_only=False).astype(np.float32)
    if not np.isfinite(pixels).all():
        raise DatasetInvalid(f"Column {column} has numbers that are not finite.", pointer=POINTER)
    return pixels


def _file(value: bytes | dict[str, Any], column: str, folder: Path | None) -> bytes | Path:
    """The bytes stored, or the place of a file inside the dataset's own folder."""
    if isinstance(value, bytes):
        return value
    content: bytes | None = value["bytes"]
    if content is not None:
        return content
    name = value.get("path")
    with suppress(OSError, ValueError):  # no name that a file can have
        path: Path | None = (folder / name).resolve() if folder and name else None
        if path and folder and path.is_relative_to(folder.resolve()) and path.is_file():
            return path
    raise DatasetInvalid(
        f"An image of column {column} has no bytes, and {name!r} is no file of the dataset.",
        hint="Save the images inside the Parquet files, as `datasets` does with push_to_hub.",
        pointer=f"{POINTER}/image_column",
    )


def _decode(file: bytes | Path, row: int, shape: Shape) -> Image.Image:
    mode = _MODES.get(shape[0])
    if mode is None:
        raise UnsupportedModel(f"Image files have 1, 3 or 4 channels; the model takes {shape[0]}.", pointer="/model")
    try:
        with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file, formats=("PNG", "JPEG")) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ResourceLimit(
                    f"The image of row {row} has {image.width:,} × {image.height:,} pixels; at most {MAX_PIXELS:,} are "
                    "decoded.",
                    pointer=POINTER,
                )
            if image.mode.startswith("I"):
                raise ValueError("it has more than 8 bits a channel")
            return image.convert(mode)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DatasetInvalid(
            f"The image of row {row} cannot be decoded: {error}.", hint="Images are PNG or JPEG files.", pointer=POINTER
        ) from error
