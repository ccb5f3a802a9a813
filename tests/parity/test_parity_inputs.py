"""Tokenisation, samplers and calibration batches, against the seed system's."""

import numpy as np
import pytest
from transformers import AutoTokenizer

from microlith.contract import Sampling
from tests.parity.reference import CLASSES, CONCERNS, FOLDER, arrays, examples, numbers, present
from worker.compute.batches import pad
from worker.compute.examples import encode
from worker.sampling.concern import draw_samples

ALL = 200


@pytest.mark.parametrize("split", ["train", pytest.param("valid", marks=present), pytest.param("test", marks=present)])
def test_texts_become_the_seeds_tokens(split):
    tokenizer = AutoTokenizer.from_pretrained(FOLDER / "model")
    stored = examples(split)
    texts = numbers("texts")[split]
    texts = [row["text"] if isinstance(row, dict) else row for row in texts]
    made = encode(texts, stored.labels, tokenizer, 512)
    assert made.token_ids == stored.token_ids
    assert made.pad_id == stored.pad_id


@pytest.mark.parametrize("case", numbers("sampling"))
def test_samples_are_the_seeds_in_its_order(case):
    scan, concern, side, count, _ = (part for part in case.split("/"))
    concern = int(concern.removeprefix("concern"))
    drawn = draw_samples(
        examples("train").labels,
        None if concern == ALL else concern,
        CLASSES,
        Sampling(per_concern=int(count.removeprefix("num_samples"))),
        scan=int(scan.removeprefix("loader_bs")),
    )
    rows = drawn.positive if side == "pos" else drawn.negative
    assert list(rows) == [row for batch in numbers("sampling")[case] for row in batch]


@pytest.mark.parametrize("concern", CONCERNS)
def test_calibration_batches_are_the_seeds(concern):
    train = examples("train")
    own = draw_samples(train.labels, concern, CLASSES, Sampling())
    everything = draw_samples(train.labels, None, CLASSES, Sampling())
    for side, rows in (("pos", own.positive), ("neg", own.negative), ("all", everything.negative)):
        batch = pad(train, np.array(rows), 512, "cpu")
        for name in ("input_ids", "attention_mask", "labels"):
            np.testing.assert_array_equal(
                getattr(batch, name) if name == "labels" else batch.inputs[name],
                arrays("calibration")[f"c{concern}/{side}/{name}"],
            )
