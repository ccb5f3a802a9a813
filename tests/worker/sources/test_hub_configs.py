"""Configurations of hub data: what a README states is matched with the files that the hub lists, and with no others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import DatasetInvalid, ResourceLimit
from app.sources.models import describe_model
from microlith.contract import DatasetSpec
from tests.hub import Hub, running_hub
from worker.sources import hub_configs
from worker.sources.datasets import LoadedDataset, load_dataset
from worker.sources.hub_configs import Configuration, read_configurations

LABELS = ["neg", "pos"]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    with running_hub(tmp_path / "cache", monkeypatch) as handler:
        yield handler


def load(ref: str = "hub:some/data", *roles: str, **fields: Any) -> LoadedDataset:
    model = describe_model("demo:bert-tiny-wordnet", allow_paths=False)
    assert model is not None
    info = model.model_copy(update={"labels": LABELS})
    return load_dataset(DatasetSpec(ref=ref, **fields), info, roles or ["train"], allow_paths=False)


def csv_of(*texts: str) -> bytes:
    return b"text,label\n" + b"".join(f"{text},{LABELS[at % 2]}\n".encode() for at, text in enumerate(texts))


def readme(configs: object) -> bytes:
    """JSON is YAML too."""
    return f"---\nlicense: mit\nconfigs: {json.dumps(configs)}\n---\n# About\n".encode()


GLUE: dict[str, bytes] = {
    "sst2/train-00000-of-00002.csv": csv_of("a", "b"),
    "sst2/train-00001-of-00002.csv": csv_of("c", "d"),
    "sst2/dev.csv": csv_of("e", "f"),
    "mnli/train.csv": csv_of("g", "h"),
    "mnli/other/matched.csv": csv_of("i", "j"),
    "README.md": readme(
        [
            {
                "config_name": "sst2",
                "data_files": [
                    {"split": "train", "path": "sst2/train-*"},
                    {"split": "validation", "path": ["./sst2/dev.csv"]},
                ],
            },
            {
                "config_name": "mnli",
                "data_files": [
                    {"split": "train", "path": "**/train.csv"},
                    {"split": "validation_matched", "path": "mnli/**/matched.csv"},
                ],
            },
        ]
    ),
}


def test_a_configuration_has_the_files_that_its_patterns_name(hub: type[Hub]) -> None:
    hub.data |= GLUE
    found = load("hub:some/data", "train", "validation", config="sst2")
    assert (found.split("train")[0], found.split("validation")[0]) == (["a", "b", "c", "d"], ["e", "f"])
    other = load("hub:some/data", "train", "test", config="mnli", splits={"test": "validation_matched"})
    assert (other.split("train")[0], other.split("test")[0]) == (["g", "h"], ["i", "j"])
    assert other.facts.splits == {"train": "train", "test": "validation_matched"}


def test_of_several_configurations_one_must_be_named(hub: type[Hub]) -> None:
    hub.data |= GLUE
    with pytest.raises(DatasetInvalid, match=r"several configurations: sst2, mnli\.") as refusal:
        load()
    assert (refusal.value.pointer, '"config": "sst2"' in str(refusal.value.hint)) == ("/dataset/config", True)
    with pytest.raises(DatasetInvalid, match=r"no configuration cola\. Configurations: sst2, mnli\.") as refusal:
        load(config="cola")
    assert refusal.value.pointer == "/dataset/config"


@pytest.mark.parametrize("default", [{"config_name": "b", "default": True}, {"config_name": "default"}])
def test_the_default_configuration_is_taken_where_none_is_named(hub: type[Hub], default: dict[str, Any]) -> None:
    hub.data |= {"a.csv": csv_of("a", "b"), "b.csv": csv_of("c", "d")}
    configs = [{"config_name": "a", "data_files": "a.csv"}, default | {"data_files": "b.csv"}]
    hub.data["README.md"] = readme(configs)
    assert load().split("train")[0] == ["c", "d"]


@pytest.mark.parametrize(
    "data_files", ["x/*.csv", ["x/1.csv", "x/2.csv"], {"train": "x/?.csv"}, [{"split": "train", "path": "x/[12].csv"}]]
)
def test_data_files_may_be_written_in_each_way_that_the_hub_knows(hub: type[Hub], data_files: object) -> None:
    hub.data |= {"x/1.csv": csv_of("a", "b"), "x/2.csv": csv_of("c", "d"), "x/y/3.csv": csv_of("e", "f")}
    hub.data["README.md"] = readme([{"config_name": "one", "data_files": data_files}])
    assert load().split("train")[0] == ["a", "b", "c", "d"]


def test_a_configuration_may_be_a_folder(hub: type[Hub]) -> None:
    hub.data |= {f"{name}/{split}.csv": csv_of(name, split) for name in ("de", "en") for split in ("train", "test")}
    hub.data["README.md"] = readme([{"config_name": name, "data_dir": name} for name in ("de", "en")])
    assert load(config="en").split("train")[0] == ["en", "train"]


def test_without_a_readme_each_folder_is_a_configuration(hub: type[Hub]) -> None:
    hub.data |= {
        f"{name}/{split}/0000.csv": csv_of(name, split) for name in ("de", "en") for split in ("train", "dev_2")
    }
    assert load(config="en").split("train")[0] == ["en", "train"]
    assert load("hub:some/data", "test", config="de", splits={"test": "dev_2"}).split("test")[0] == ["de", "dev_2"]
    with pytest.raises(DatasetInvalid, match=r"no configuration fr\. Configurations: de, en\."):
        load(config="fr")


def test_slices_and_carved_splits_are_those_of_the_configuration(hub: type[Hub]) -> None:
    hub.data |= {"x/data.csv": csv_of(*map(str, range(40)))}
    hub.data["README.md"] = readme([{"config_name": "x", "data_files": "x/*"}])
    found = load("hub:some/data", "train", "test", splits={"train": "train[:20]"}, carve={"test": 0.5})
    train, test = (set(found.split(role)[0]) for role in ("train", "test"))
    assert (len(train), len(test), train | test) == (10, 10, set(map(str, range(20))))
    assert found.split("test")[1].tolist().count(0) == 5


def test_a_split_that_the_configuration_has_is_not_carved(hub: type[Hub]) -> None:
    hub.data |= GLUE
    with pytest.raises(DatasetInvalid, match="make a validation split, and there is one"):
        load("hub:some/data", "train", "validation", config="sst2", carve={"validation": 0.5})


def test_splits_of_like_names_are_told_apart(hub: type[Hub]) -> None:
    both = {f"validation_{name}-00000-of-00001.csv": csv_of(name, "x") for name in ("matched", "mismatched")}
    hub.data |= both | {"train.csv": csv_of("a", "b")}
    found = load("hub:some/data", "test", splits={"test": "validation_matched"})
    assert found.split("test")[0] == ["matched", "x"]
    with pytest.raises(DatasetInvalid, match="Several files could be the validation split: validation_matched"):
        load("hub:some/data", "validation")


PLACES = ["/etc/passwd", "../secret.csv", "x/../../secret.csv", "http://a/b.csv", "hf://datasets/a/b.csv", "~/x.csv"]


@pytest.mark.parametrize("place", PLACES)
def test_a_pattern_that_leads_out_matches_nothing(place: str) -> None:
    names = ["train.csv", "x/secret.csv", "etc/passwd"]
    for pattern in (place, place.replace("secret", "*"), place.replace("csv", "*")):
        assert Configuration("x", False, "", {"train": [pattern]}).files(names) == {}


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.csv", ["a.csv"]),
        ("**/*.csv", ["a.csv", "x/b.csv", "x/y/c.csv"]),
        ("x/**", ["x/b.csv", "x/y/c.csv", "x/y/d[1].txt"]),
        ("x/*/c.csv", ["x/y/c.csv"]),
        ("x/y/d[1].txt", ["x/y/d[1].txt"]),
        ("x", []),
        ("**", ["a.csv", "x/b.csv", "x/y/c.csv", "x/y/d[1].txt"]),
    ],
)
def test_a_star_stays_in_its_folder_and_two_go_into_all(pattern: str, names: list[str]) -> None:
    there = ["a.csv", "x/b.csv", "x/y/c.csv", "x/y/d[1].txt"]
    assert Configuration("x", False, "", {"train": [pattern]}).files(there).get("train", []) == names


def test_a_configuration_whose_files_are_not_there_is_refused(hub: type[Hub]) -> None:
    hub.data |= GLUE | {"README.md": readme([{"config_name": "x", "data_files": "x/*.zip"}])}
    with pytest.raises(DatasetInvalid, match="configuration x names no data files"):
        load(config="x")


def test_a_data_set_that_is_a_script_is_refused_with_where_its_parquet_is(hub: type[Hub]) -> None:
    hub.data |= {"data.py": b"raise SystemExit", "README.md": b"---\n---\n"}
    with pytest.raises(
        DatasetInvalid, match=r"no data files but a script \(data\.py\), and scripts are not run"
    ) as refusal:
        load()
    assert "hub:some/data@refs/convert/parquet" in str(refusal.value.hint)


def stated(tmp_path: Path, front: str) -> list[Configuration]:
    file = tmp_path / "README.md"
    file.write_text(f"---\n{front}\n---\n")
    return read_configurations(file)


def test_words_of_yaml_stay_words(tmp_path: Path) -> None:
    (one,) = stated(tmp_path, "configs:\n- config_name: no\n  default: true\n  data_files: 1.csv")
    assert (one.name, one.default, one.splits) == ("no", True, {"train": ["1.csv"]})


NOTHING_STATED = [
    "configs: 5",
    "configs: [1, [2], null]",
    "- a list",
    "configs: !!python/object/apply:os.getcwd []",
    "configs: [unclosed",
    "\x00",
]


@pytest.mark.parametrize("front", NOTHING_STATED, ids=range(len(NOTHING_STATED)))
def test_a_readme_that_is_no_readme_states_nothing(tmp_path: Path, front: str) -> None:
    assert stated(tmp_path, front) == []


def test_more_configurations_or_patterns_than_are_read_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ResourceLimit, match="more than 10,000 configurations"):
        stated(tmp_path, "configs:\n" + "- config_name: x\n" * (hub_configs.MAX_CONFIGURATIONS + 1))
    with pytest.raises(ResourceLimit, match="200 with wildcards"):
        stated(tmp_path, f"configs: [{{data_files: [{', '.join(['a*'] * 201)}]}}]")
    monkeypatch.setattr(hub_configs, "MAX_README_BYTES", 10)
    with pytest.raises(ResourceLimit, match="more than 10 bytes"):
        stated(tmp_path, "configs: []")
