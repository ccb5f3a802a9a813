"""Where values lie on strips, and how dark cells are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.web.views.heatmap import confusion, shade
from app.web.views.scales import Scale

fractions = st.floats(0, 1, allow_nan=False)


@given(st.lists(fractions, min_size=1))
def test_every_value_lies_on_its_scale_between_round_ends(values: list[float]) -> None:
    scale = Scale.of_fractions(values)
    assert scale.low <= min(values) + 1e-9
    assert scale.high >= max(values) - 1e-9
    assert scale.high - scale.low >= 0.02 - 1e-9
    assert scale.high <= 1 + 1e-9
    assert all(0 <= scale.at(value) <= 100 for value in values)
    assert 2 <= len(scale.ticks) <= 8


@given(st.lists(st.floats(-1, 1, allow_nan=False)))
def test_zero_is_in_the_middle_of_a_scale_of_changes(values: list[float]) -> None:
    scale = Scale.about_zero(values)
    assert scale.at(0.0) == 50.0
    assert all(0 <= scale.at(value) <= 100 for value in values)


def test_a_scale_orders_as_its_values_do() -> None:
    scale = Scale.of_fractions([0.71, 0.93])
    assert scale.at(0.71) < scale.at(0.8) < scale.at(0.93)
    assert [tick.text for tick in scale.ticks] == ["0.7", "0.8", "0.9", "1.0"]


def test_what_lies_outside_is_drawn_at_the_end() -> None:
    assert Scale(0.0, 1.0, 0.5).at(3.0) == 100.0


@pytest.mark.parametrize(("fraction", "step"), [(0.0, 0), (0.001, 1), (0.5, 5), (1.0, 10), (7.0, 10)])
def test_only_nothing_has_no_shade(fraction: float, step: int) -> None:
    assert shade(fraction) == step


def test_a_confusion_is_shaded_by_row_and_errors_have_another_hue() -> None:
    heat = confusion(["a", "b"], [[90, 10], [0, 0]])
    (_, first), (_, empty) = heat.rows
    assert [(cell.text, cell.shade, cell.off) for cell in first] == [("90", 9, False), ("10", 5, True)]
    assert [cell.shade for cell in empty] == [0, 0]
    assert first[1].said == "10 of 100 a predicted as b"
    assert heat.sheet.csv() == "true class,a,b\na,90,10\nb,0,0\n"
