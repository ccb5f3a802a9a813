"""Runs a recomposed classifier: `combined.onnx` with what prepares its inputs, as `combined.json` says.

This file travels in the folder as `run.py` and needs no more than numpy, onnxruntime and tokenizers (for image files
Pillow, for pixels neither of the last two):

    python run.py "a small domesticated carnivorous mammal"
    python run.py picture.png pixels.npy

Where it reads pairs of texts, a tab stands between the two.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

DOCUMENT, GRAPH, SCORES = "combined.json", "combined.onnx", "scores"
KIND, FORMAT = "microlith-combined", 1
BATCH = 32
MODES = {1: "L", 3: "RGB", 4: "RGBA"}


@dataclass(frozen=True)
class TextReader:
    """One tokenizer and the graph's inputs that its tokens go into; of pairs, also which text each token is of."""

    tokenizer: Any
    pad_id: int
    ids_input: str
    mask_input: str
    types_input: str | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """The graph's inputs that this fills."""
        return tuple(name for name in (self.ids_input, self.mask_input, self.types_input) if name)

    def read(self, texts: Sequence[Any]) -> dict[str, Array]:
        """Tokens [texts, longest], which of them count, and of pairs which text each is of."""
        import numpy as np

        encoded = self.tokenizer.encode_batch([text if isinstance(text, str) else tuple(text) for text in texts])
        shape = (len(encoded), max(len(tokens.ids) for tokens in encoded))
        ids, mask, types = np.full(shape, self.pad_id, np.int64), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for row, tokens in enumerate(encoded):
            length = len(tokens.ids)
            ids[row, :length], mask[row, :length], types[row, :length] = tokens.ids, 1, tokens.type_ids
        made = {self.ids_input: ids, self.mask_input: mask}
        return made | {self.types_input: types} if self.types_input else made


@dataclass(frozen=True)
class ImageReader:
    """How images are prepared for one of the graph's inputs: files resized to its size, then scaled and normalised."""

    input: str
    shape: list[int]  # [channels, height, width]
    resample: int | None  # Pillow's number of the filter; None where files have the size already
    rescale: float | None
    mean: list[float] | None
    std: list[float] | None

    @property
    def inputs(self) -> tuple[str, ...]:
        """The graph's input that this fills."""
        return (self.input,)

    def read(self, images: Sequence[Any]) -> dict[str, Array]:
        """Pixel values [images, channels, height, width], float32."""
        import numpy as np

        pixels = np.stack([self._pixels(image) for image in images])
        if self.rescale is not None:
            pixels = pixels.astype(np.float64) * self.rescale
        pixels = pixels.astype(np.float32)
        if self.mean is not None:
            mean, std = (np.array(values, np.float32).reshape(-1, 1, 1) for values in (self.mean, self.std))
            pixels = (pixels - mean) / std
        return {self.input: pixels}

    def _pixels(self, image: Any) -> Array:
        """Pixels [channels, height, width]: those of an array or a `.npy` file as they are, those of a picture resized.

        A picture is a PNG or JPEG file, by its path or as bytes. Raises ValueError for another shape.
        """
        import numpy as np

        if isinstance(image, (str, Path)) and str(image).endswith(".npy"):
            image = np.load(image, allow_pickle=False)
        elif isinstance(image, (str, Path, bytes)):
            image = self._decoded(image)
        pixels = np.asarray(image)
        if list(pixels.shape) != self.shape:
            raise ValueError(
                f"an image is {list(pixels.shape)}, and this reads pixels [channels, height, width] {self.shape}"
            )
        return pixels

    def _decoded(self, picture: str | Path | bytes) -> Array:
        import io

        import numpy as np
        from PIL import Image

        channels, height, width = self.shape
        source = io.BytesIO(picture) if isinstance(picture, bytes) else picture
        with Image.open(source, formats=("PNG", "JPEG")) as opened:
            image = opened.convert(MODES[channels])
        if self.resample is not None:
            image = image.resize((width, height), resample=Image.Resampling(self.resample))
        pixels = np.asarray(image)
        return pixels[None] if channels == 1 else np.moveaxis(pixels, -1, 0)


@dataclass(frozen=True)
class Combined:
    """A classifier put together from modules."""

    labels: list[str]
    decision: str
    thresholds: list[float]
    readers: list[TextReader | ImageReader]
    session: Any
    pairs: bool = False

    def scores(self, inputs: Sequence[Any]) -> Array:
        """Return the calibrated score of every label [inputs, labels], float32. Scores of different labels can be
        compared.

        Inputs are texts, pairs of them, `(text, text)`, where the models read pairs, or, where they read images, files
        or arrays of pixels [channels, height, width]. Raises ValueError for pairs in the place of texts, and the
        reverse.
        """
        import numpy as np

        self._check_inputs(inputs)
        scores = np.empty((len(inputs), len(self.labels)), np.float32)
        order = sorted(range(len(inputs)), key=lambda row: _length(inputs[row]))  # like lengths together
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            batch = [inputs[row] for row in rows]
            arrays = {name: array for reader in self.readers for name, array in reader.read(batch).items()}
            scores[rows] = self.session.run([SCORES], arrays)[0]
        return scores

    def predict(self, inputs: Sequence[Any]) -> list[Any]:
        """Return the label of each input. With decision `threshold`, return the list of all labels that reach their
        threshold, which may be empty.
        """
        scores = self.scores(inputs)
        if self.decision == "threshold":
            return [[self.labels[column] for column in (row >= self.thresholds).nonzero()[0]] for row in scores]
        return [self.labels[column] for column in scores.argmax(axis=1)]

    def _check_inputs(self, inputs: Sequence[Any]) -> None:
        if not any(isinstance(reader, TextReader) for reader in self.readers):
            return
        for given in inputs:
            if self.pairs and (isinstance(given, str) or len(given) != 2):
                raise ValueError(f"this reads pairs of texts, two for each input: {given!r:.100} is none")
            if not self.pairs and not isinstance(given, str):
                raise ValueError(f"this reads one text for each input: {given!r:.100} is none")


def load(folder: str | Path) -> Combined:
    """The classifier in a folder. Raises ValueError for what is no folder of one, with what is wrong."""
    import onnxruntime

    directory = Path(folder)
    document = _document(directory)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(directory / GRAPH, options, providers=["CPUExecutionProvider"])
        readers: list[TextReader | ImageReader] = [_reader(directory, known) for known in document["tokenizers"]]
        readers += [ImageReader(**known) for known in document.get("images", [])]
        told = (document["labels"], document["decision"], document["thresholds"])
        combined = Combined(*told, readers, session, document.get("pairs", False))
        _check(combined)
        return combined
    except Exception as error:  # those of the two libraries have no common root
        raise ValueError(f"{directory} cannot be opened: {type(error).__name__}: {str(error).strip()[:300]}") from error


def _check(combined: Combined) -> None:
    """Raises ValueError unless graph and document belong together."""
    fed = {name for reader in combined.readers for name in reader.inputs}
    asked = {value.name for value in combined.session.get_inputs()}
    made = {value.name: value.shape[-1] for value in combined.session.get_outputs()}
    if fed != asked or made.get(SCORES) != len(combined.labels) or len(combined.thresholds) != len(combined.labels):
        raise ValueError(f"{GRAPH} is not the graph that {DOCUMENT} tells of")


def _document(directory: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads((directory / DOCUMENT).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{directory} holds no {DOCUMENT} of a recomposed classifier: {error}") from error
    if not isinstance(document, dict) or (document.get("kind"), document.get("format")) != (KIND, FORMAT):
        raise ValueError(f"{directory / DOCUMENT} is not of kind {KIND!r}, format {FORMAT}; is this runner new enough?")
    return document


def _reader(directory: Path, known: dict[str, Any]) -> TextReader:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(directory / known["file"]))
    tokenizer.no_padding()
    tokenizer.enable_truncation(known["max_length"])
    fed = known["inputs"]
    return TextReader(tokenizer, known["pad_id"], fed["input_ids"], fed["attention_mask"], fed.get("token_type_ids"))


def _length(given: Any) -> int:
    """Characters of a text or of the two of a pair; images have one length."""
    if isinstance(given, str):
        return len(given)
    return sum(len(text) for text in given if isinstance(text, str)) if isinstance(given, (list, tuple)) else 0


def main(inputs: Sequence[Any]) -> None:
    """Print one line of JSON for each text or file: what is predicted, and every score."""
    try:
        combined = load(Path(__file__).parent)
        inputs = [line.split("\t") for line in inputs] if combined.pairs else inputs
        answers, score_rows = combined.predict(inputs), combined.scores(inputs)
    except (OSError, ValueError, EOFError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    for given, answer, scores in zip(inputs, answers, score_rows, strict=True):
        by_label = {label: float(score) for label, score in zip(combined.labels, scores, strict=True)}
        print(json.dumps({"input": given, "answer": answer, "scores": by_label}, ensure_ascii=False))


if __name__ == "__main__":
    main(sys.argv[1:] or [line.rstrip("\n") for line in sys.stdin])
