"""Which layouts can be asked for, and what they are reckoned at."""

import pytest
from pydantic import ValidationError

from app.domain.errors import InvalidInput
from app.domain.layouts import SHARES, check_export, share_of_base
from microlith.contract import JobSpec

SOURCES = {"model": "demo:m", "dataset": "demo:d"}


def spec(**export):
    return JobSpec.model_validate({**SOURCES, "export": export})


def test_int8_without_onnx_is_refused_with_what_to_ask_for():
    with pytest.raises(InvalidInput) as refused:
        check_export(spec(layouts=["mask"], onnx={"int8": True}).export)
    assert refused.value.pointer == "/export/onnx/int8"
    assert '["mask", "onnx"]' in refused.value.hint
    check_export(spec(layouts=["onnx"], onnx={"int8": True}).export)


def test_an_unknown_layout_is_answered_with_the_known_ones_and_a_double_one_refused():
    with pytest.raises(ValidationError) as refused:
        spec(layouts=["gguf"])
    assert all(layout in str(refused.value) for layout in SHARES)
    with pytest.raises(ValidationError, match="the same layout twice"):
        spec(layouts=["mask", "mask"])


def test_a_mask_is_reckoned_at_a_bit_for_a_float():
    assert share_of_base(spec()) == 1.0
    assert share_of_base(spec(layouts=["mask"])) == 1 / 32
    assert share_of_base(spec(layouts=["portable", "onnx"], onnx={"int8": True})) == pytest.approx(2.3)
