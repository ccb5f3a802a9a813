"""The portable layout and its archive."""

import hashlib
import json
import os
import subprocess
import zipfile

import torch
from package_builders import pack
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from app.sources.demo import FOLDER
from worker.packaging.archive import archive

NAMES = [
    "README.md",
    "SHA256SUMS",
    "config.json",
    "decomposition.json",
    "licenses/Apache-2.0.txt",
    "licenses/wordnet-LICENSE.txt",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
]


def test_a_module_is_the_files_of_the_contract_and_no_pickle(loaded, tmp_path):
    """Defect 13: the seed system pickles its dataloaders and checkpoints."""
    packed = pack(loaded, tmp_path)
    assert [file.path for file in packed.files] == NAMES
    with zipfile.ZipFile(packed.path) as zipped:
        assert zipped.namelist() == NAMES
        for file in packed.files:
            content = zipped.read(file.path)
            assert (len(content), hashlib.sha256(content).hexdigest()) == (file.size_bytes, file.sha256)
            assert not content.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK"))


def test_digest_and_size_are_those_of_the_file(loaded, tmp_path):
    packed = pack(loaded, tmp_path)
    content = packed.path.read_bytes()
    assert (packed.sha256, packed.size_bytes) == (hashlib.sha256(content).hexdigest(), len(content))


def test_equal_content_has_equal_bytes(loaded, tmp_path):
    first = pack(loaded, tmp_path / "first")
    loaded.tokenizer(["long and short", "x"], padding=True, truncation=True)  # what a job does in between
    for file in (tmp_path / "first" / "module").iterdir():
        os.utime(file, (0, 10**9))
    second = pack(loaded, tmp_path / "second", labels={"team": "a"}, priority="high")
    assert first.path.read_bytes() == second.path.read_bytes()
    assert pack(loaded, tmp_path / "third", ratio=0.6).sha256 != first.sha256


def test_names_contents_and_nothing_else_decide_the_bytes(tmp_path):
    for place, order in (("a", "xyz"), ("b", "zyx")):
        (tmp_path / place).mkdir()
        for name in order:
            (tmp_path / place / name).write_text(name)
            (tmp_path / place / name).chmod(0o600 if place == "a" else 0o777)
    archives = [archive(tmp_path / place, tmp_path / f"{place}.zip") for place in ("a", "b")]
    assert archives[0].sha256 == archives[1].sha256


def test_it_opens_with_plain_from_pretrained(loaded, tmp_path):
    with zipfile.ZipFile(pack(loaded, tmp_path).path) as zipped:
        zipped.extractall(tmp_path / "opened")
    model, loading = AutoModelForSequenceClassification.from_pretrained(tmp_path / "opened", output_loading_info=True)
    assert not any(loading.values())
    inputs = AutoTokenizer.from_pretrained(tmp_path / "opened")("a tree with needles", return_tensors="pt")
    assert torch.equal(model.eval()(**inputs).logits, loaded.model(**inputs).logits)


def test_sums_satisfy_sha256sum(loaded, tmp_path):
    pack(loaded, tmp_path)
    checked = subprocess.run(
        ["sha256sum", "--strict", "-c", "SHA256SUMS"],
        cwd=tmp_path / "module",
        capture_output=True,
        text=True,
        check=True,
    )
    assert checked.stdout.count(": OK") == len(NAMES) - 1


def test_the_notices_of_the_bases_licence_travel_along(loaded, tmp_path):
    pack(loaded, tmp_path)
    for name in ("Apache-2.0.txt", "wordnet-LICENSE.txt"):
        assert (tmp_path / "module" / "licenses" / name).read_bytes() == (FOLDER / "licenses" / name).read_bytes()


def test_the_config_names_no_place_on_this_machine(loaded, tmp_path):
    pack(loaded, tmp_path)
    assert str(FOLDER) not in (tmp_path / "module" / "config.json").read_text()
    history = json.loads((tmp_path / "module" / "decomposition.json").read_text())
    assert history["samples"] == {"split": "train", "positive": [3, 1], "negative": [0, 2]}
