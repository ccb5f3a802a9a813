from itertools import product
from typing import get_args

import pytest

from app.domain.errors import InvalidInput
from app.domain.methods import check_depth, check_method, check_widths, parts_of, scope_of
from microlith.contract import JobSpec
from microlith.contract.methods import METHODS, Structure


def spec_of(method="ci", **given):
    method = method if isinstance(method, dict) else {"name": method}
    return JobSpec(model="demo:m", dataset="demo:d", method=method, **given)


def test_every_method_of_the_contract_says_what_it_scores_and_where_it_is_from():
    assert all(set(kind.structures) <= set(get_args(Structure)) for kind in METHODS.values())
    assert set(get_args(Structure)) == {structure for kind in METHODS.values() for structure in kind.structures}
    assert all(kind.title and kind.source and kind.__doc__ for kind in METHODS.values())


@pytest.mark.parametrize(("method", "structure"), list(product(sorted(METHODS), get_args(Structure))))
def test_a_combination_is_accepted_or_refused_as_the_table_says(method, structure):
    spec = spec_of(method, structure=structure)
    if structure in METHODS[method].structures:
        check_method(spec)
    else:
        with pytest.raises(InvalidInput, match=method) as refused:
            check_method(spec)
        assert refused.value.pointer == "/structure"
        assert refused.value.hint.startswith("It scores: ")


@pytest.mark.parametrize(
    "given",
    [
        {"scope": "2:4"},
        {"scope": "1:4"},
        {"scope": "1:4", "ratio": 0.25},
        {"scope": "1:3", "ratio": 1 / 3},
        {"scope": "2:4", "structure": "heads+weights", "ratio_rules": [{"structure": "heads", "ratio": 0.25}]},
        {"structure": "neurons", "scope": "global"},
        {"structure": "heads", "method": "heads", "scope": "layer"},
        {"structure": "heads+neurons", "recovery": "ti"},
        {"structure": "heads", "method": "heads", "recovery": "bias"},
        {"structure": "weights", "recovery": "refit"},
        {"structure": "layers+heads+neurons", "recovery": "refit"},
        {"structure": "layers+neurons", "recovery": "ti"},
        {"structure": "heads+neurons", "recovery": "distil", "distil": {"minutes": 0.5}},
        {"structure": "heads", "method": "heads", "recovery": "distil"},
        {"structure": "layers", "recovery": "distil"},
        {"structure": "layers+weights", "scope": "2:4", "ratio_rules": [{"structure": "layers", "ratio": 0.25}]},
        {"method": {"name": "zscore", "rule": "quantile"}, "recovery": "bias"},
        {"ratio_rules": [{"layers": "layer.0", "ratio": 0.1}, {"structure": "weights", "ratio": 0.2}]},
    ],
)
def test_options_that_go_together_pass(given):
    check_method(spec_of(**given))


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"scope": "1:4", "ratio": 0.5}, "/ratio"),
        ({"scope": "2:4", "ratio": [0.5, 0.25]}, "/ratio"),
        ({"scope": "4:4"}, "/scope"),
        ({"scope": "2:4", "ratio_rules": [{"layers": "layer.0", "ratio": 0.3}]}, "/ratio_rules/0"),
        ({"structure": "neurons", "scope": "row"}, "/scope"),
        ({"structure": "heads+neurons", "scope": "2:4"}, "/scope"),
        ({"structure": "heads", "method": "heads", "recovery": "ti"}, "/recovery"),
        ({"scope": "2:4", "recovery": "ti"}, "/recovery"),
        ({"structure": "layers", "recovery": "refit"}, "/recovery"),
        ({"structure": "weights", "recovery": "distil"}, "/recovery"),
        ({"structure": "heads+weights", "recovery": "distil"}, "/recovery"),
        ({"structure": "neurons", "distil": {"epochs": 2}}, "/distil"),
        ({"structure": "neurons", "recovery": "refit", "distil": {"minutes": 2}}, "/distil"),
        ({"structure": "layers", "recovery": "bias"}, "/recovery"),
        ({"structure": "layers+heads", "method": "heads", "recovery": "ti"}, "/recovery"),
        ({"structure": "layers", "scope": "row"}, "/scope"),
        (
            {"structure": "layers", "ratio_rules": [{"structure": "layers", "layers": "layer.0", "ratio": 0.3}]},
            "/ratio_rules/0/layers",
        ),
        ({"method": {"name": "zscore", "rule": "quantile"}, "structure": "neurons"}, "/method/rule"),
        ({"method": {"name": "zscore", "rule": "quantile"}, "scope": "layer"}, "/method/rule"),
        ({"method": {"name": "zscore", "rule": "quantile"}, "recovery": "ti"}, "/method/rule"),
        ({"ratio_rules": [{"structure": "heads", "ratio": 0.3}]}, "/ratio_rules/0/structure"),
    ],
)
def test_options_that_contradict_each_other_are_refused_where_they_stand(given, pointer):
    with pytest.raises(InvalidInput) as refused:
        check_method(spec_of(**given))
    assert refused.value.pointer == pointer


@pytest.mark.parametrize(("ratio", "blocks", "hint"), [(0.3, 2, "0.5"), ([0.5, 0.1], 6, "0.167"), (0.9, 1, "1")])
def test_a_ratio_of_layers_that_comes_to_none_is_refused(ratio, blocks, hint):
    with pytest.raises(InvalidInput, match="less than one layer") as refused:
        check_depth(spec_of(structure="layers", ratio=ratio), blocks)
    assert refused.value.pointer == "/ratio"
    assert f"at least {hint}," in refused.value.hint
    check_depth(spec_of(structure="layers", ratio=0.5), 2)


def test_defaults_follow_from_what_the_caller_says():
    sources = {"model": "demo:m", "dataset": "demo:d"}
    assert JobSpec(**sources, structure="heads").method.name == "heads"
    assert JobSpec(**sources, structure="layers+heads").method.name == "heads"
    assert JobSpec(**sources, structure="layers").method.name == "ci"
    assert JobSpec(**sources, scope="1:4").ratio == 0.25
    assert JobSpec(**sources, method={"form": "alpha"}).method.name == "ci"


def test_a_pattern_that_does_not_divide_a_layer_names_the_layer():
    with pytest.raises(InvalidInput, match=r"classifier \(130\)"):
        check_widths(spec_of(scope="2:4"), {"dense": 128, "classifier": 130})
    check_widths(spec_of(scope="2:4"), {"dense": 128})
    check_widths(spec_of(), {"classifier": 130})


@pytest.mark.parametrize(
    ("given", "scopes"),
    [
        ({}, ["row"]),
        ({"method": "magnitude"}, ["layer"]),
        ({"method": "magnitude", "scope": "row"}, ["row"]),
        ({"structure": "neurons"}, ["layer"]),
        ({"structure": "heads", "method": "heads"}, ["global"]),
        ({"structure": "heads+weights"}, ["global", "row"]),
        ({"structure": "heads+weights", "scope": "2:4"}, ["global", "2:4"]),
        ({"structure": "heads+neurons", "scope": "layer"}, ["layer", "layer"]),
        ({"structure": "layers+heads+neurons", "scope": "layer"}, ["global", "layer", "layer"]),
    ],
)
def test_scopes_default_to_what_is_natural_to_each_part(given, scopes):
    spec = spec_of(**given)
    assert [scope_of(spec, part) for part in parts_of(spec.structure)] == scopes
