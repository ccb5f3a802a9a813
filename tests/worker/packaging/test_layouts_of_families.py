"""Every layout of every family, opened in the clean process: it answers as the module in memory does."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from layout_builders import CELLS, FAMILIES, FOLDERS, STRUCTURES, facts_of, packer_of, random_mask

from app.domain.errors import VerificationFailed
from tests.builders import KINDS, examples_for
from worker.evaluation.runner import predict
from worker.packaging.layouts import Handout
from worker.packaging.onnx_graph import Graphs
from worker.packaging.verify import ArchiveOpening
from worker.pruning.surgery import realised

ROOT = Path(__file__).parents[3]


@pytest.fixture
def verifier(warm_verifier):
    return warm_verifier


@pytest.fixture(scope="module")
def exported():
    """Each family's graphs: an export takes seconds, so modules of equal shapes share one over all tests.

    The models that are exported here have one block, which has every operation that more of them have.
    """
    return {family: Graphs(examples_for(family)) for family in FAMILIES}


@pytest.fixture(scope="module")
def graphs(exported):
    """Those of BERT."""
    return exported["bert"]


def packed(loaded, family, folder, layout, structure="heads+neurons", *, graphs=None, **options):
    """A package, the module's inputs and its logits."""
    return next(in_layouts([layout], loaded, family, folder, structure, graphs=graphs, **options))


def in_layouts(layouts, loaded, family, folder, structure, *, graphs=None, **options):
    """One module in layout after layout: the package, the module's inputs and its logits."""
    packer, parts = packer_of(loaded, family, folder, **options)
    packer.graphs = graphs or packer.graphs
    mask, examples = random_mask(parts, structure), examples_for(family)
    rows = np.arange(len(examples))
    with realised(packer.loaded.model, mask, parts) as module:
        handout, logits = Handout(module, mask, parts, facts_of(family, structure)), predict(module, examples)
        for layout in layouts:
            package = packer.pack(handout, layout, f"module-{layout}")
            yield package.archive, examples.collate(rows, int(examples.lengths(rows).max())), logits


def cells(*layouts):
    """Family and structure of every cell of the table in these layouts."""
    found = [
        (family, structure) for (family, layout), chosen in CELLS.items() for structure in chosen if layout in layouts
    ]
    return pytest.mark.parametrize(("family", "structure"), dict.fromkeys(found))


@cells(*FOLDERS)
def test_a_stranger_opens_every_folder_and_it_answers_as_the_module(loaded, verifier, tmp_path, family, structure):
    for archive, inputs, logits in in_layouts(FOLDERS, loaded, family, tmp_path, structure):
        verifier.check(archive.path, inputs, logits, ArchiveOpening(archive.layout, tmp_path / "base"))


@cells("onnx")
def test_onnx_runtime_answers_as_the_module(loaded, verifier, exported, tmp_path, family, structure):
    archive, inputs, logits = packed(loaded, family, tmp_path, "onnx", structure, graphs=exported[family], blocks=1)
    verifier.check(archive.path, inputs, logits, ArchiveOpening("onnx"))


def test_what_answers_otherwise_is_no_module_in_any_layout(loaded, verifier, graphs, tmp_path):
    layouts = [*FOLDERS, "onnx"]
    for archive, inputs, logits in in_layouts(layouts, loaded, "bert", tmp_path, "weights", graphs=graphs, blocks=1):
        with pytest.raises(VerificationFailed, match="does not compute"):
            verifier.check(archive.path, inputs, logits + 0.01, ArchiveOpening(archive.layout, tmp_path / "base"))


def test_the_documentation_tells_what_is_tested_here():
    lines = (ROOT / "docs" / "concepts" / "layouts.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines if line.startswith("| `")]
    told = {row[0].strip("`"): row[1:] for row in rows if row[0].strip("`") in KINDS}
    layouts = [*FOLDERS, "onnx"]
    names = {
        STRUCTURES: "all",
        ("heads+neurons",): "`heads+neurons`",
        ("weights", "heads+neurons"): "`weights`, `heads+neurons`",
    }
    assert told == {family: [names.get(CELLS.get((family, layout), ()), "–") for layout in layouts] for family in KINDS}


def test_a_mask_over_another_base_is_no_module(loaded, verifier, tmp_path):
    archive, inputs, logits = packed(loaded, "bert", tmp_path / "a", "mask")
    packer, _ = packer_of(loaded, "bert", tmp_path / "b")
    packer.loaded.model.classifier.bias.data += 1.0
    packer.loaded.model.save_pretrained(tmp_path / "b" / "base")
    with pytest.raises(VerificationFailed, match="WrongBase"):
        verifier.check(archive.path, inputs, logits, ArchiveOpening("mask", tmp_path / "b" / "base"))


def test_equal_modules_have_equal_bytes_in_every_layout_but_the_exporters(loaded, tmp_path):
    for layout in ("compact", "mask"):
        first, second = (packed(loaded, "bert", tmp_path / layout / place, layout)[0] for place in "ab")
        assert first.path.read_bytes() == second.path.read_bytes()


def test_the_quantised_graph_comes_along_and_its_agreement_is_told(loaded, verifier, graphs, tmp_path):
    archive, inputs, logits = packed(loaded, "bert", tmp_path, "onnx", "weights", graphs=graphs, blocks=1, int8=True)
    verifier.check(archive.path, inputs, logits, ArchiveOpening("onnx"))
    with zipfile.ZipFile(archive.path) as zipped:
        full, small = (zipped.getinfo(name).file_size for name in ("model.onnx", "model.int8.onnx"))
        card = zipped.read("README.md").decode()
    assert small < full
    assert "On 16 examples of the validation split it gives " in card


def test_a_graph_is_exported_once_for_modules_of_equal_shapes_and_filled_with_each_ones_weights(
    loaded, graphs, tmp_path
):
    packer, parts = packer_of(loaded, "bert", tmp_path, blocks=1)
    examples = examples_for("bert")
    rows = np.arange(len(examples))
    inputs = examples.collate(rows, int(examples.lengths(rows).max()))
    graphs.of(packer.loaded.model)
    known = len(graphs.kept)
    for seed in (1, 2):
        mask = random_mask(parts, "weights", seed=seed)
        with realised(packer.loaded.model, mask, parts) as module:
            graph = graphs.of(module)
            logits = predict(module, examples)
        session = onnxruntime.InferenceSession(graph.SerializeToString())
        np.testing.assert_allclose(session.run(["logits"], inputs)[0], logits, atol=1e-4)
    assert len(graphs.kept) == known


def test_a_graph_names_no_place_on_this_machine(loaded, graphs, tmp_path):
    archive, _, _ = packed(loaded, "bert", tmp_path, "onnx", "weights", graphs=graphs, blocks=1)
    with zipfile.ZipFile(archive.path) as zipped:
        graph = zipped.read("model.onnx")
    assert torch.__file__.rpartition("/")[0].encode() not in graph
    assert b".py" not in graph


def test_cards_say_what_each_layout_needs(loaded, tmp_path):
    cards, sizes = {}, {}
    for layout in ("portable", "compact", "mask"):
        archive, _, _ = packed(loaded, "bert", tmp_path / layout, layout)
        with zipfile.ZipFile(archive.path) as zipped:
            cards[layout], sizes[layout] = zipped.read("README.md").decode(), zipped.namelist()
            if layout == "compact":
                code = next(file.sha256 for file in archive.files if file.path == "modeling_compact.py")
                settings = json.loads(zipped.read("config.json"))["compact"]
    assert "trust_remote_code" not in cards["portable"]
    assert code in cards["compact"]
    assert "trust_remote_code=True" in cards["compact"]
    assert settings["layers"]["bert.encoder.layer.1.attention.self.query"] == [4, 16]
    assert "microlith modules apply" in cards["mask"]
    notices = ["licenses/wordnet-LICENSE.txt"]
    told = ["README.md", "SHA256SUMS", "decomposition.json"]
    assert sorted(sizes["mask"]) == [*told, *notices, "mask.json", "mask.safetensors"], "it is small, and says little"
    assert "https://spdx.org/licenses/Apache-2.0.html" in cards["mask"]
    for layout in ("portable", "compact"):
        assert {"sparsity.svg", "licenses/Apache-2.0.txt"} < set(sizes[layout])
        assert "](sparsity.svg)" in cards[layout]
        assert "spdx.org" not in cards[layout]
    for card in cards.values():
        for line in ("nominal: of the prunable heads+neurons", "effective: of all parameters", "file: of the base's"):
            assert line in card
