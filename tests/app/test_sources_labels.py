"""Labels of data and model, concerns, and whether there are samples enough."""

import unicodedata

import pytest

from app.domain.errors import DatasetInvalid, InvalidInput, NotEnoughSamples, UnknownLabels
from app.sources.labels import check, class_names_of, find_concerns, match_labels
from microlith.contract import Concern, DatasetInfo, JobSpec, ModelInfo
from microlith.contract.catalog import SplitInfo

LABELS = ["act", "animal", "artifact"]


@pytest.mark.parametrize(
    ("dataset", "model", "names", "expected"),
    [
        (["artifact", "act"], LABELS, None, {"artifact": 2, "act": 0}),
        (["2", "0"], LABELS, None, {"2": 2, "0": 0}),
        (["Animal"], LABELS, None, {"Animal": 1}),
        (["1", "2"], ["2", "1"], None, {"1": 1, "2": 0}),
        (["neg", "pos"], ["LABEL_0", "LABEL_1"], ["neg", "pos"], {"neg": 0, "pos": 1}),
        (["neg", "pos"], ["POS", "NEG"], ["neg", "pos"], {"neg": 1, "pos": 0}),
        (["0", "1"], ["0", "1"], None, {"0": 0, "1": 1}),
        (["1", "2", "3"], ["1", "2", "3"], None, {"1": 0, "2": 1, "3": 2}),
        (["0", "2"], ["1", "2", "3"], None, {"0": 0, "2": 2}),
    ],
)
def test_labels_are_names_or_ids(dataset, model, names, expected):
    assert match_labels(dataset, model, names) == expected


@pytest.mark.parametrize(
    ("dataset", "names", "strange"),
    [(["act", "plant"], None, "plant"), (["0", "3"], None, "3"), (["-1", "act"], None, "-1"), (["a"], ["a"], "a")],
)
def test_labels_that_fit_no_class_are_listed_with_the_known(dataset, names, strange):
    with pytest.raises(UnknownLabels, match=rf"know: {strange}\. Known: act, animal, artifact\."):
        match_labels(dataset, LABELS, names)


def test_labels_that_differ_only_in_case_are_told_apart():
    assert match_labels(["A"], ["a", "A"]) == {"A": 1}
    with pytest.raises(UnknownLabels):
        match_labels(["ß", "x"], ["ss", "SS"])


def test_all_concerns_are_the_classes_in_order():
    assert [concern.id for concern in find_concerns("all", LABELS)] == [0, 1, 2]


def test_concerns_are_named_by_label_or_id_in_the_order_asked():
    assert find_concerns(["artifact", 0, "1"], LABELS) == [
        Concern(id=2, label="artifact"),
        Concern(id=0, label="act"),
        Concern(id=1, label="animal"),
    ]


@pytest.mark.parametrize("strange", ["plant", 3, -1, "²"])
def test_an_unknown_concern_is_pointed_at_with_the_known(strange):
    with pytest.raises(UnknownLabels, match="Known: act, animal, artifact") as refusal:
        find_concerns(["act", strange], LABELS)
    assert refusal.value.pointer == "/concerns/1"


def test_one_class_by_name_and_by_id_is_a_repeat():
    with pytest.raises(InvalidInput, match="a second time") as refusal:
        find_concerns(["act", 0], LABELS)
    assert refusal.value.pointer == "/concerns/1"


def facts(**train):
    model = ModelInfo(
        id="m", revision=None, sha256=None, architecture=None, family=None, labels=LABELS, max_length=8,
        parameters=1, size_bytes=1, layers=[], structures=[],
    )  # fmt: skip
    splits = {role: SplitInfo(rows=sum(train.values()), labels=train) for role in ("train", "validation", "test")}
    data = DatasetInfo(
        id="d", revision=None, columns={}, text_column="t", label_column="l", splits=splits, size_bytes=1
    )
    return model, data


SPEC = JobSpec(model="demo:m", dataset="demo:d", sampling={"per_concern": 4})


def test_enough_samples_pass():
    check(SPEC, *facts(act=4, animal=4, artifact=4), find_concerns("all", LABELS))


def test_a_class_that_is_short_is_named_with_what_it_has_and_needs():
    with pytest.raises(NotEnoughSamples, match="'animal' has 3 examples in the train split; sampling needs 4"):
        check(SPEC, *facts(act=4, animal=3, artifact=4), find_concerns("all", LABELS))


@pytest.mark.parametrize(
    ("per_concern", "told"),
    [(4, "that have enough (act, artifact)"), (6, "that have examples (act, animal, artifact)")],
)
def test_a_class_that_is_short_is_told_with_those_to_name_instead(per_concern, told):
    spec = SPEC.model_copy(update={"sampling": SPEC.sampling.model_copy(update={"per_concern": per_concern})})
    with pytest.raises(NotEnoughSamples) as refusal:
        check(spec, *facts(act=4, animal=3, artifact=4), find_concerns("all", LABELS))
    assert told in refusal.value.hint


def test_a_class_that_is_short_does_not_matter_to_other_concerns():
    check(SPEC, *facts(act=4, animal=3, artifact=1), find_concerns(["act"], LABELS))


def test_a_concern_without_a_rest_is_refused():
    with pytest.raises(NotEnoughSamples, match="0 examples of the classes beside 'act'"):
        check(SPEC, *facts(act=9), find_concerns(["act"], LABELS))


def test_strange_labels_of_any_split_are_refused_unless_no_row_has_them():
    check(SPEC, *facts(act=9, animal=9, nothing=0), find_concerns(["act"], LABELS))
    with pytest.raises(UnknownLabels, match="nothing"):
        check(SPEC, *facts(act=9, animal=9, nothing=1), find_concerns(["act"], LABELS))


def test_ids_that_are_also_names_of_other_classes_are_refused_with_both_readings():
    with pytest.raises(
        UnknownLabels, match=r"fit two ways: 1 is as names class 1 \(id 0\) and as ids class 2 \(id 1\)"
    ):
        match_labels(["1", "2", "3"], ["1", "2", "3", "4"])


@pytest.mark.parametrize(
    "label",
    [unicodedata.normalize("NFD", "Santé"), "Santé ", "\u00a0Santé", "\ufeffSanté", "SANTÉ", "San\u00adté"],
)
def test_what_cannot_be_seen_in_a_label_is_looked_past_where_nothing_else_fits(label):
    assert match_labels([label, "Größe"], ["Größe", "Santé"]) == {label: 1, "Größe": 0}


def test_names_that_differ_by_what_cannot_be_seen_stay_apart():
    assert match_labels(["a ", "a"], ["a", "a "]) == {"a ": 1, "a": 0}
    with pytest.raises(UnknownLabels):
        match_labels(["a\u00a0"], ["a", "a "])


def test_a_label_that_does_not_look_as_it_is_is_shown_with_escapes():
    with pytest.raises(UnknownLabels, match=r'"Sante\\u0301s ", "\\ufeffx", "no\\n"\. Known') as refusal:
        match_labels(["Sante\u0301s ", "\ufeffx", "no\n"], ["Santé"])
    assert refusal.value.detail.isprintable()


def test_whole_numbers_with_a_point_are_ids_where_nothing_else_fits():
    assert match_labels(["0.0", "2.0"], LABELS) == {"0.0": 0, "2.0": 2}
    assert match_labels(["1.0", "2.0"], ["2.0", "1.0"]) == {"1.0": 1, "2.0": 0}


def test_ids_of_all_splits_are_read_together():
    model, data = facts(**{"1": 4, "2": 4})
    data.splits["test"] = SplitInfo(rows=1, labels={"0": 1})
    model = model.model_copy(update={"labels": ["1", "2", "3"]})
    check(SPEC, model, data, [Concern(id=1, label="2")])
    with pytest.raises(NotEnoughSamples, match="Concern '1' has 0 examples"):
        check(SPEC, model, data, [Concern(id=0, label="1")])


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ({"-1": 24}, r"The test split is unlabelled \(-1 in all 24 rows\)"),
        ({"-1": 2, "act": 1}, r"2 of 3 rows of the test split are unlabelled \(-1\)"),
    ],
)
def test_a_split_whose_labels_are_kept_back_is_told_from_one_of_strange_labels(test, said):
    model, data = facts(act=5, animal=4)
    data.splits["test"] = SplitInfo(rows=sum(test.values()), labels=test)
    with pytest.raises(UnknownLabels, match=said) as refusal:
        check(SPEC, model, data, [Concern(id=0, label="act")])
    assert refusal.value.pointer == "/dataset/splits/test"
    assert "train, validation" in refusal.value.hint


def test_the_callers_mapping_comes_first_and_what_it_leaves_out_is_matched_as_ever():
    given = {"cat": "animal", "1": "act"}
    assert match_labels(["cat", "1", "artifact"], LABELS, None, given) == {"cat": 1, "1": 0, "artifact": 2}
    assert match_labels(["neg", "pos"], ["LABEL_0", "LABEL_1"], None, {"neg": "LABEL_1", "pos": "LABEL_0"}) == {
        "neg": 1,
        "pos": 0,
    }


def test_a_mapping_decides_between_ids_and_names():
    names = ["1", "2", "3"]
    assert match_labels(["1", "2"], names, None, {"1": "2", "2": "3"}) == {"1": 1, "2": 2}


def test_a_mapping_to_no_label_of_the_model_is_pointed_at():
    with pytest.raises(UnknownLabels, match=r"no label plant, which is to be oak\. Known: act") as refusal:
        match_labels(["act"], LABELS, None, {"oak": "plant"})
    assert refusal.value.pointer == "/dataset/labels"


def test_strange_labels_are_answered_with_a_mapping_to_look_over():
    with pytest.raises(UnknownLabels) as refusal:
        match_labels(["neg", "neu", "pos"], ["LABEL_0", "LABEL_1", "LABEL_2"])
    assert '"labels": {"neg": "LABEL_0", "neu": "LABEL_1", "pos": "LABEL_2"}' in refusal.value.hint
    assert "placeholders" in refusal.value.hint


def test_class_names_of_files_that_agree_are_the_longest_list():
    assert class_names_of([None, ["a"], ["a", "b"]], ["LABEL_0", "LABEL_1"]) == ["a", "b"]
    assert class_names_of([None, None], None) is None


def test_ids_that_files_name_in_unlike_orders_are_refused_where_the_model_names_no_class():
    orders = [["a", "b"], ["b", "a"]]
    with pytest.raises(DatasetInvalid, match=r"unlike orders \(a, b; b, a\), and the model names no class"):
        class_names_of(orders, ["LABEL_0", "LABEL_1"])
    assert class_names_of(orders, ["b", "a"]) == ["a", "b"]
    assert class_names_of(orders, None) is None
