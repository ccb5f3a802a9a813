"""References: what they may say, and what their errors answer."""

import pytest

from app.domain.errors import InvalidInput
from app.sources.reference_files import model_place
from app.sources.references import Reference, parse


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("demo:bert-tiny-wordnet", Reference("demo", "bert-tiny-wordnet")),
        ("hub:org/name", Reference("hub", "org/name")),
        ("hub:org/na.me-1@refs/pr/3", Reference("hub", "org/na.me-1", "refs/pr/3")),
        ("hub:gpt", Reference("hub", "gpt")),
    ],
)
def test_a_reference_says_its_kind_its_name_and_its_revision(text, reference):
    assert parse(text, pointer="/model", allow_paths=False) == reference
    assert str(reference) == text


@pytest.mark.parametrize(
    ("reference", "title"),
    [
        (Reference("demo", "bert-tiny-wordnet"), "bert-tiny-wordnet"),
        (Reference("hub", "org/na.me-1", "main"), "na.me-1"),
        (Reference("path", "/data/my-model/"), "my-model"),
        (Reference("upload", "mdl_01", called="my.model.tar.gz"), "my.model"),
        (Reference("upload", "dst_01", called="Reviews.CSV"), "Reviews"),
        (Reference("upload", "dst_01", called=".zip"), ".zip"),
    ],
)
def test_a_source_is_called_what_people_call_it(reference, title):
    assert reference.title == title


@pytest.mark.parametrize(
    "text",
    ["", "demo:", "hub:", "hub:a/b/c", "hub:../etc", "hub:a/b@", "hub:a/b@x y", "hub:a\n/b", "file:x", "name", "path:"],
)
def test_a_malformed_reference_is_refused_with_the_forms_there_are(text):
    with pytest.raises(InvalidInput, match=r"demo:NAME, hub:ORG/NAME") as refusal:
        parse(text, pointer="/model", allow_paths=True)
    assert refusal.value.pointer == "/model"


def test_an_unknown_demo_is_answered_with_the_known_ones():
    with pytest.raises(InvalidInput, match=r"Known: demo:bert-tiny-wordnet\."):
        model_place(Reference("demo", "../licenses"), pointer="/model")


def test_paths_are_refused_where_they_are_not_served_even_for_what_exists(tmp_path):
    with pytest.raises(InvalidInput, match="does not accept path") as refusal:
        parse(f"path:{tmp_path}", pointer="/dataset", allow_paths=False)
    assert refusal.value.pointer == "/dataset"
    assert parse(f"path:{tmp_path}", pointer="/dataset", allow_paths=True).name == str(tmp_path)


@pytest.mark.parametrize("name", ["/nowhere/at/all", "a\0b", "~nobody-at-all/x", "x" * 1000])
def test_a_path_to_nothing_is_an_error(name):
    with pytest.raises(InvalidInput):
        parse(f"path:{name}", pointer="/model", allow_paths=True)
