"""Masks: laid over the right base they give the module back, every bit of it; anything else is refused."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from layout_builders import STRUCTURES, facts_of, packer_of, random_mask
from transformers import AutoModelForSequenceClassification, BertConfig, BertForSequenceClassification
from typer.testing import CliRunner

from app.sources.demo import BERT_TINY, Licence
from microlith import apply_mask
from microlith.cli import app
from microlith.client.archive import check_sums
from microlith.contract import OwnScore, SideSimilarity, Similarity
from microlith.errors import InvalidMask, NotABase, WrongBase
from microlith.masks import Base
from tests.builders import KINDS, examples_for, tiny_model
from worker.evaluation.binary import BinaryHead, with_binary_head
from worker.evaluation.runner import predict
from worker.families.anatomy import anatomy
from worker.packaging.archive import archive
from worker.packaging.folder import complete
from worker.packaging.layouts import Handout, Packer
from worker.packaging.mask_layout import mask_file
from worker.packaging.module_facts import SampleRows
from worker.pruning.masks import Bits, Mask
from worker.pruning.surgery import realised


def bits_of(model):
    return {name: tensor.contiguous().view(torch.uint8).clone() for name, tensor in model.state_dict().items()}


def with_biases(mask, parts, model):
    """The mask with a bias that recovery would have changed, where there is one."""
    name = parts.feed_forwards[-1].output
    has_bias = model.get_submodule(name).bias is not None
    return replace(mask, tensors={f"{name}.bias": np.linspace(-1, 1, 16, dtype=np.float32)}) if has_bias else mask


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_module_comes_back_bit_for_bit(kind, structure):
    model, examples = tiny_model(kind), examples_for(kind, 4)
    parts, base = anatomy(model), Base.of(model)
    mask = with_biases(random_mask(parts, structure), parts, model)
    with realised(model, mask, parts) as module:
        file = mask_file(base, module, mask, parts, facts_of(kind, structure))
        expected, logits, config = bits_of(module), predict(module, examples), module.config.to_dict()
    made = apply_mask(model, file)
    assert made is not model
    assert all(torch.equal(tensor, expected[name]) for name, tensor in bits_of(made).items())
    assert made.config.to_dict() == config
    np.testing.assert_array_equal(predict(made, examples), logits)


def test_a_binary_head_comes_along(loaded, tmp_path):
    archive, module, base = packed(loaded, tmp_path, head=True)
    made = apply_mask(base, archive)
    assert torch.equal(made.classifier.weight, module.classifier.weight)
    assert (made.config.id2label, made.num_labels) == ({0: "rest", 1: "animal"}, 2)


def test_minus_zero_is_not_zero():
    model = tiny_model("bert")
    layer = model.bert.encoder.layer[0].intermediate.dense
    layer.weight.data[0] = -0.0
    parts, base = anatomy(model), Base.of(model)
    mask = Mask("weights", {"bert.encoder.layer.0.intermediate.dense": Bits.pack(np.ones((24, 16), bool))})
    with realised(model, mask, parts) as module:
        file = mask_file(base, module, mask, parts, facts_of("bert"))
    found = apply_mask(model, file).bert.encoder.layer[0].intermediate.dense.weight[0]
    assert torch.signbit(found).all()


def packed(loaded, folder, structure="heads+neurons", *, head=False):
    """A mask's zip, the module and the folder of its base."""
    packer, parts = packer_of(loaded, "bert", folder)
    mask = random_mask(parts, structure)
    with realised(packer.loaded.model, mask, parts) as module:
        handed = with_binary_head(module, BinaryHead("classifier", 1, "animal"), 0.25) if head else module
        package = packer.pack(Handout(handed, mask, parts, facts_of("bert", structure)), "mask", "animal-mask")
    return package.archive.path, handed, folder / "base"


@pytest.fixture(scope="module")
def made(loaded, tmp_path_factory):
    return packed(loaded, tmp_path_factory.mktemp("mask"))


def rewritten(source_zip, target, **changes):
    """A copy of the zip with other contents for some names, its sums made anew."""
    with zipfile.ZipFile(source_zip) as source, zipfile.ZipFile(target, "w") as copy:
        files = {name: source.read(name) for name in source.namelist()} | changes
        sums = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items() if name != "SHA256SUMS"]
        files["SHA256SUMS"] = "".join(sums).encode()
        for name, data in files.items():
            copy.writestr(name, data)
    return target


def changed_document(archive, target, **changes):
    with zipfile.ZipFile(archive) as source:
        document = json.loads(source.read("mask.json")) | changes
    return rewritten(archive, target, **{"mask.json": json.dumps(document).encode()})


def test_another_base_is_refused_by_its_digest(made):
    archive, _, base = made
    other = AutoModelForSequenceClassification.from_pretrained(base)
    other.classifier.bias.data[0] += 1e-6
    with pytest.raises(WrongBase, match="demo:bert-tiny-wordnet") as refused:
        apply_mask(other, archive)
    assert refused.value.wanted != refused.value.actual
    with pytest.raises(WrongBase, match="float32 and unchanged weights"):
        apply_mask(AutoModelForSequenceClassification.from_pretrained(base).half(), archive)


def test_a_truncated_zip_is_refused(made, tmp_path):
    (tmp_path / "cut.zip").write_bytes(made[0].read_bytes()[:-200])
    with pytest.raises(InvalidMask, match=r"cut\.zip is not a mask that can be applied: cut\.zip is no sound zip"):
        apply_mask(made[2], tmp_path / "cut.zip")


@pytest.mark.parametrize("place", [0.02, 0.3, 0.6])
def test_a_damaged_zip_is_refused(made, tmp_path, place):
    content = bytearray(made[0].read_bytes())
    start = int(len(content) * place)
    content[start : start + 40] = bytes(40)
    (tmp_path / "damaged.zip").write_bytes(content)
    with pytest.raises(InvalidMask):
        apply_mask(made[2], tmp_path / "damaged.zip")


def test_what_is_no_mask_is_refused_with_what_it_is(loaded, tmp_path, made):
    (tmp_path / "module").mkdir()
    (tmp_path / "module" / "config.json").write_text("{}")
    complete(tmp_path / "module", "# a card", {}, [])
    portable = archive(tmp_path / "module", tmp_path / "portable.zip").path
    for foreign in (portable, tmp_path / "module"):
        with pytest.raises(
            InvalidMask, match=r"mask\.json and mask\.safetensors; this holds README\.md, SHA256SUMS, c"
        ):
            apply_mask(made[2], foreign)
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as zipped:
        zipped.writestr("photo.jpg", b"")
    with pytest.raises(InvalidMask, match="no SHA256SUMS to check the files by"):
        apply_mask(made[2], tmp_path / "photos.zip")
    with pytest.raises(InvalidMask, match="no file or folder"):
        apply_mask(made[2], tmp_path / "nothing.zip")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"kind": "recipe"}, "mask.json cannot be understood at 'kind'"),
        ({"format": 2}, "mask.json cannot be understood at 'format'"),
        ({"stored": -1}, "mask.json cannot be understood at 'stored'"),
        ({"heads": []}, "not the module that was exported"),
        ({"weights": {"bert.pooler.dense": [16, 16]}}, "does not fit its base: KeyError"),
        ({"stored": 3}, "does not fit its base: RuntimeError"),
    ],
)
def test_a_document_that_says_otherwise_is_refused(made, tmp_path, changes, says):
    with pytest.raises(InvalidMask, match=says):
        apply_mask(made[2], changed_document(made[0], tmp_path / "other.zip", **changes))


def test_no_setting_but_widths_and_labels_is_taken_from_a_mask(made, tmp_path):
    told = {"auto_map": {"AutoModel": "evil.Model"}, "hidden_act": "relu", "intermediate_size": 13}
    model = apply_mask(made[2], changed_document(made[0], tmp_path / "other.zip", settings=told))
    assert not hasattr(model.config, "auto_map")
    assert model.config.hidden_act == "gelu"


def test_what_is_no_model_is_no_base(made, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "config.json").write_text('{"model_type": "unheard-of"}')
    for base in (tmp_path / "empty", tmp_path / "odd", tmp_path / "away", 3):
        with pytest.raises(NotABase):
            apply_mask(base, made[0])


def run(*words):
    return CliRunner().invoke(app, ["modules", "apply", *map(str, words)])


def test_the_command_line_makes_a_folder_that_opens(made, tmp_path):
    archive, module, base = made
    result = run(archive, "--base", base, "--out", tmp_path / "animal", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"path": str(tmp_path / "animal")}
    model, loading = AutoModelForSequenceClassification.from_pretrained(tmp_path / "animal", output_loading_info=True)
    assert not any(loading.values())
    assert all(torch.equal(tensor, module.state_dict()[name]) for name, tensor in model.state_dict().items())
    check_sums(tmp_path / "animal")
    assert {"README.md", "decomposition.json", "tokenizer.json"} <= {
        file.name for file in (tmp_path / "animal").iterdir()
    }


def test_the_command_line_refuses_with_an_exit_code_and_leaves_nothing(made, loaded, tmp_path):
    archive, _, base = made
    (tmp_path / "there").mkdir()
    other = tiny_model("bert", seed=5)
    other.save_pretrained(tmp_path / "other")
    assert run(archive, "--base", base, "--out", tmp_path / "there").exit_code == 2
    assert run(archive, "--base", tmp_path / "there", "--out", tmp_path / "x").exit_code == 2
    refused = run(archive, "--base", tmp_path / "other", "--out", tmp_path / "x")
    assert refused.exit_code == 5
    assert "was made for another base" in refused.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "there"]


def test_the_client_knows_of_masks_without_torch():
    code = "import sys, microlith.cli, microlith.masks; print({'torch', 'transformers', 'numpy'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


@pytest.fixture(scope="module")
def bert_base():
    """A classifier of BERT-base's blocks; its weights and its small vocabulary do not matter to a mask's size."""
    with torch.device("meta"):
        model = BertForSequenceClassification(BertConfig(vocab_size=100, num_labels=16))
    model = model.to_empty(device="cpu").eval()
    for parameter in model.parameters():
        parameter.data.fill_(0.5)
    return model


def as_measured(parts, structure):
    """Facts with the layers, samples and many digits of a real job."""
    made, rng = facts_of("bert", structure), np.random.default_rng(1)
    apache = Licence("apache-2.0", "As stated by hub:google-bert/bert-base-uncased.", BERT_TINY.files[:1])
    precision, recall, f1, *similar = rng.random(9).tolist()
    sides = [
        SideSimilarity(cca=cca, linear_cka=one, kernel_cka=other) for cca, one, other in (similar[:3], similar[3:])
    ]
    scores = {"precision": precision, "recall": recall, "f1": f1}
    return replace(
        made,
        model_licence=apache,
        own=OwnScore(**scores, support=288),
        base_own=OwnScore(**scores, support=288, f1_interval=(recall, f1)),
        similarity=Similarity(concern=sides[0], rest=sides[1]),
        sparsity=made.sparsity.model_copy(update={"layers": dict(zip(parts.shapes, rng.random(80), strict=False))}),
        samples=SampleRows(*rng.integers(0, 24_000, (2, 16)).tolist()),
        resolved=made.resolved.model_copy(update={"layers": list(parts.shapes)}),
    )


def test_masks_of_bert_base_are_small(loaded, bert_base, tmp_path):
    """As a user downloads them: all its linear weights in 11 MB, fewer where most are gone; neurons, heads in 10 KB."""
    parts, rng = anatomy(bert_base), np.random.default_rng(0)
    packer = Packer(replace(loaded, model=bert_base, licence=None), Base.of(bert_base), examples_for("bert"), tmp_path)
    pooler = ["bert.pooler.dense"]
    heads = {part.block: Bits.pack(rng.random(12) < 0.5) for part in parts.attentions}
    neurons = random_mask(parts, "neurons").neurons
    masks = {
        "half": Mask("weights", {name: Bits.pack(rng.random(shape) < 0.5) for name, shape in parts.shapes.items()}),
        "tenth": Mask("weights", {name: Bits.pack(rng.random(parts.shapes[name]) < 0.1) for name in pooler}),
        "neurons": Mask("neurons", {}, neurons),
        "heads": Mask("heads", {}, {}, heads),
        "units": Mask("heads+neurons", {}, neurons, heads),
    }
    found = {}
    for name, mask in masks.items():
        with realised(bert_base, mask, parts) as module:
            handout = Handout(module, mask, parts, as_measured(parts, mask.structure))
            found[name] = packer.pack(handout, "mask", name).archive.size_bytes
    assert found["half"] <= 11_000_000
    assert found["tenth"] <= 0.75 * 768 * 768 / 8
    assert all(found[name] <= 10_000 for name in ("neurons", "heads", "units")), found
