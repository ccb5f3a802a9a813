"""The delivered folder: bert and distilbert, each with a tokenizer of its own, as one graph."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
from combining_builders import LABELS, origin, part, rows, spec, weight_mask

from app.domain.errors import UnsupportedModel, VerificationFailed
from microlith.combined import load
from microlith.errors import InvalidCombination
from tests.builders import tiny_bert, tiny_distilbert
from worker.combining import graph as graph_module
from worker.combining import recomposed_folder
from worker.combining.combined_classifier import CombinationPass, Data
from worker.combining.graph import Merger
from worker.combining.recomposed_folder import Feeds, deliver, merged, verify
from worker.packaging.folder import write_sums
from worker.packaging.onnx_graph import Graphs

TEXTS = rows(40, seed=2).inputs


@pytest.fixture(scope="module")
def bases():
    return origin(tiny_bert(), ref="demo:a"), origin(tiny_distilbert(), shift=5, ref="demo:b")


@pytest.fixture(scope="module", autouse=True)
def exported_once(bases):
    """An export takes seconds: each of the two shapes is exported once for all tests."""
    kept = Graphs(bases[0].encoder(TEXTS[:3]))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(recomposed_folder, "Graphs", lambda _sample: kept)
        yield


def combined_of(bases, **more):
    """Two modules of the first base, one of the whole of it, and one of the second base."""
    one, other = bases
    parts = [
        part(one, "act", weight_mask(one, seed=1)),
        part(one, "body", weight_mask(one, seed=2)),
        part(one, "food"),
        part(other, "plant", weight_mask(other, seed=3)),
    ]
    return CombinationPass(spec(**more), parts, Data(rows(), rows(seed=1))).run()


@pytest.fixture(scope="module")
def delivered(bases, exported_once, tmp_path_factory):
    combined = combined_of(bases)
    return combined, deliver(combined, tmp_path_factory.mktemp("delivered") / "combined")


def test_a_clean_process_without_the_project_answers_as_the_python_object(delivered):
    combined, folder = delivered
    assert verify(folder, combined.recomposition, TEXTS) <= 1e-4


def test_the_client_opens_it_in_one_line(delivered):
    combined, folder = delivered
    opened, expected = load(folder), combined.recomposition.scores(TEXTS)
    np.testing.assert_allclose(opened.scores(TEXTS), expected, atol=1e-4)
    assert opened.predict(TEXTS) == [LABELS[place] for place in expected.argmax(axis=1)]


def test_two_tokenizers_feed_four_inputs_and_equal_ones_are_one(delivered, bases):
    graph = onnx.load(delivered[1] / "combined.onnx")
    onnx.checker.check_model(graph)
    names = {f"{name}.{number}" for name in ("input_ids", "attention_mask") for number in (0, 1)}
    assert {value.name for value in graph.graph.input} == names
    feeds = Feeds()
    twin = origin(tiny_bert(seed=1), ref="demo:twin")
    assert feeds.of(bases[0]) is feeds.of(twin)
    assert feeds.of(bases[1]) is not feeds.of(twin)


def test_what_modules_share_is_stored_once(delivered, bases):
    """Beyond the whole of both bases there are only the masked feed-forward weights of the three modules."""
    graph = onnx.load(delivered[1] / "combined.onnx").graph
    stored = sum(onnx.numpy_helper.to_array(weight).size for weight in graph.initializer)
    sizes = [sum(tensor.numel() for tensor in base.model.state_dict().values()) for base in bases]
    masked = 2 * 2 * 2 * 16 * 24  # modules of the first base, blocks, layers, weights
    assert stored <= sum(sizes) + masked + 200  # and a few constants
    assert sum(node.op_type == "Softmax" for node in graph.node) == 1 + 3 + 2  # the first block attends once for three


def test_the_same_parts_give_the_same_bytes(delivered, bases, tmp_path):
    again = deliver(combined_of(bases), tmp_path / "again")
    for name in ("combined.onnx", "tokenizers/0.json", "tokenizers/1.json", "README.md"):
        assert (again / name).read_bytes() == (delivered[1] / name).read_bytes(), name


def test_thresholds_travel(bases, tmp_path):
    combined = combined_of(bases, decision="threshold")
    opened = load(deliver(combined, tmp_path / "combined"))
    answers = combined.recomposition.answers(combined.recomposition.scores(TEXTS))
    assert opened.predict(TEXTS) == [[LABELS[place] for place in np.flatnonzero(row)] for row in answers]


def test_the_folder_says_how_it_is_run_and_how_it_measures(delivered):
    combined, folder = delivered
    card = (folder / "README.md").read_text()
    assert "| F1 of plant | demo:b |" in card
    document = json.loads((folder / "combined.json").read_text())
    assert document["combination"] == combined.combination.model_dump(mode="json")
    told = subprocess.run(
        [sys.executable, "-I", folder / "run.py", "w1 w2"], capture_output=True, text=True, check=True
    )
    assert json.loads(told.stdout)["answer"] in LABELS


def test_another_classifiers_folder_is_found_out(delivered, bases):
    _, folder = delivered
    other = combined_of((bases[0], origin(tiny_distilbert(seed=4), shift=5)))
    with pytest.raises(VerificationFailed, match="answers otherwise than in memory"):
        verify(folder, other.recomposition, TEXTS)


@pytest.mark.parametrize("name", ["combined.onnx", "combined.json", "tokenizers/0.json"])
def test_a_damaged_or_missing_file_is_named(delivered, tmp_path, name):
    folder = shutil.copytree(delivered[1], tmp_path / "combined")
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(InvalidCombination, match=name):
        load(folder)
    (folder / name).unlink()
    with pytest.raises(InvalidCombination, match=name):
        load(folder)


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(InvalidCombination, match="SHA256SUMS"):
        load(tmp_path)


def test_a_zip_is_to_be_unpacked_first(tmp_path):
    (tmp_path / "combined.zip").write_bytes(b"PK")
    with pytest.raises(InvalidCombination, match="unzip it, and name the folder"):
        load(tmp_path / "combined.zip")


@pytest.mark.parametrize("odd", [{"labels": LABELS[:2]}, {"tokenizers": []}, {"thresholds": [0.0]}])
def test_a_document_of_another_graph_is_refused(delivered, tmp_path, odd):
    folder = shutil.copytree(delivered[1], tmp_path / "combined")
    document = json.loads((folder / "combined.json").read_text()) | odd
    (folder / "combined.json").write_text(json.dumps(document))
    write_sums(folder)
    with pytest.raises(InvalidCombination, match=r"combined\.onnx is not the graph that combined\.json tells of"):
        load(folder)


@pytest.mark.parametrize("name", ["combined.onnx", "combined.json", "tokenizers/1.json"])
def test_its_own_runner_says_what_is_wrong_in_one_line(delivered, tmp_path, name):
    folder = shutil.copytree(delivered[1], tmp_path / "combined")
    (folder / name).write_bytes((folder / name).read_bytes()[:50])
    done = subprocess.run([sys.executable, "-I", folder / "run.py", "w1"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("ValueError: ")
    assert "Traceback" not in done.stderr


def test_what_one_file_cannot_hold_is_refused_clearly(bases, monkeypatch):
    monkeypatch.setattr(graph_module, "LARGEST", 10_000)
    with pytest.raises(UnsupportedModel, match="larger than the 2 GiB that one ONNX file can hold"):
        merged(combined_of(bases).recomposition, Feeds())


def test_a_graph_with_branches_is_refused():
    branch = onnx.helper.make_graph([], "branch", [], [])
    node = onnx.helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
    with pytest.raises(UnsupportedModel, match="branches"):
        Merger().add(onnx.helper.make_model(onnx.helper.make_graph([node], "g", [], [])), {})
