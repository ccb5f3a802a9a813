"""Slices of splits, as they are written and which rows they are."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from microlith.contract import Carve, DatasetSpec, Splits
from microlith.contract.slices import cut_name


@pytest.mark.parametrize(
    ("value", "name", "rows"),
    [
        ("train[:80%]", "train", range(8)),
        ("train[80%:]", "train", range(8, 10)),
        ("train[3:]", "train", range(3, 10)),
        ("train[2:5]", "train", range(2, 5)),
        ("train[-10%:]", "train", range(9, 10)),
        ("train[:-4]", "train", range(6)),
        ("train[25%:75%]", "train", range(2, 8)),  # to the nearest row, halves to the even one
        ("a[1]/b.csv[:10]", "a[1]/b.csv", range(10)),
    ],
)
def test_a_slice_names_rows_as_datasets_reads_it(value: str, name: str, rows: range) -> None:
    found, cut = cut_name(value)
    assert cut is not None
    assert (found, cut.rows(10)) == (name, rows)


def test_two_slices_at_one_bound_have_every_row_once() -> None:
    for count in (1, 7, 10, 999):
        for percent in range(1, 100):
            first, second = (cut_name(f"train[{bounds}]")[1] for bounds in (f":{percent}%", f"{percent}%:"))
            assert first is not None
            assert second is not None
            border = round(percent * count / 100)
            if 0 < border < count:
                assert [*first.rows(count), *second.rows(count)] == list(range(count))


@pytest.mark.parametrize("name", ["train", "train.csv", "a[1].csv"])
def test_a_name_without_a_slice_is_a_name(name: str) -> None:
    assert cut_name(name) == (name, None)


@pytest.mark.parametrize("value", ["train[:]", "train[5]", "train[1:50%]", "train[:101%]", "[:5]", "train[a:b]"])
def test_what_ends_like_a_slice_and_is_none_is_refused_in_the_request(value: str) -> None:
    with pytest.raises(ValidationError, match=r"slice|100 %"):
        Splits(train=value)


@pytest.mark.parametrize(("value", "said"), [("t[5:5]", "no rows"), ("t[:11]", "beyond the 10"), ("t[-11:]", "beyond")])
def test_a_slice_that_is_empty_or_goes_beyond_the_rows_says_so(value: str, said: str) -> None:
    cut = cut_name(value)[1]
    assert cut is not None
    with pytest.raises(ValueError, match=said):
        cut.rows(10)


@pytest.mark.parametrize("carve", [{}, {"seed": 1}, {"test": 0.5, "validation": 0.5}, {"test": 0}, {"test": 1}])
def test_fractions_that_leave_nothing_or_take_nothing_are_refused(carve: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Carve.model_validate(carve)


@pytest.mark.parametrize("tab", ["tab", "\t", "\\t"])
def test_a_tab_may_be_written_in_each_way_in_which_people_write_it(tab: str) -> None:
    assert DatasetSpec(ref="demo:x", delimiter=tab).delimiter == "tab"
