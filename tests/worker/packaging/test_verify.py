"""Verification in a clean process."""

import ast
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from package_builders import pack

from app.domain.errors import VerificationFailed
from worker.compute.examples import TokenExamples
from worker.packaging.verify import SCRIPT, Verifier

TOKENS = [[2, 50, 60, 70, 3], [2, 80, 3], [2, 9, 10, 11, 12, 13, 14, 3]]
INPUTS = TokenExamples(TOKENS, np.zeros(3, np.int64), pad_id=0, max_length=128).collate(np.arange(3), 8)


@pytest.fixture(scope="module")
def packed(loaded, tmp_path_factory):
    return pack(loaded, tmp_path_factory.mktemp("packed"))


@pytest.fixture(scope="module")
def logits(loaded):
    """What the module in memory computes, example by example, without any padding."""
    with torch.inference_mode():
        return np.concatenate([loaded.model(input_ids=torch.tensor([ids])).logits.numpy() for ids in TOKENS])


@pytest.fixture
def verifier(warm_verifier):
    return warm_verifier


def fake(code, **options):
    """A verifier whose process runs `code` in place of the script."""
    return Verifier(command=[sys.executable, "-I", "-c", code], **options)


def rewrite(packed, target, change):
    """A copy of the archive in which `change` has had each file's name and bytes; None leaves the file out."""
    with zipfile.ZipFile(packed.path) as source, zipfile.ZipFile(target, "w") as copy:
        for name in source.namelist():
            content = change(name, source.read(name))
            if content is not None:
                copy.writestr(name, content)
    return target


def test_a_sound_archive_passes_again_and_again(verifier, packed, logits):
    for _ in range(2):
        assert verifier.check(packed.path, INPUTS, logits) < 1e-5


def test_other_logits_are_refused_with_the_deviation(verifier, packed, logits):
    wrong = logits.copy()
    wrong[1, 2] += 0.25
    with pytest.raises(VerificationFailed, match=r"logits differ by 0\.25"):
        verifier.check(packed.path, INPUTS, wrong)


def test_logits_that_are_no_numbers_are_refused(verifier, packed, logits):
    with pytest.raises(VerificationFailed):
        verifier.check(packed.path, INPUTS, np.full_like(logits, np.nan))
    with pytest.raises(VerificationFailed, match="shape"):
        verifier.check(packed.path, INPUTS, logits[:, :3])


def test_a_flipped_byte_is_refused(verifier, packed, logits, tmp_path):
    content = bytearray(packed.path.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "flipped.zip").write_bytes(content)
    with pytest.raises(VerificationFailed, match=r"flipped\.zip does not open: BadZipFile"):
        verifier.check(tmp_path / "flipped.zip", INPUTS, logits)


def test_a_truncated_archive_is_refused(verifier, packed, logits, tmp_path):
    (tmp_path / "cut.zip").write_bytes(packed.path.read_bytes()[:-100])
    with pytest.raises(VerificationFailed, match="BadZipFile"):
        verifier.check(tmp_path / "cut.zip", INPUTS, logits)


def test_a_file_that_is_not_what_the_sums_say_is_refused(verifier, packed, logits, tmp_path):
    changed = rewrite(packed, tmp_path / "a.zip", lambda name, data: data + b" " if name == "README.md" else data)
    with pytest.raises(VerificationFailed, match=r"README\.md is not what SHA256SUMS says"):
        verifier.check(changed, INPUTS, logits)


def test_a_file_that_the_sums_do_not_know_or_miss_is_refused(verifier, packed, logits, tmp_path):
    lacking = rewrite(packed, tmp_path / "b.zip", lambda name, data: None if name == "vocab.txt" else data)
    with pytest.raises(VerificationFailed, match=r"differ in \['vocab\.txt'\]"):
        verifier.check(lacking, INPUTS, logits)


def test_the_process_serves_on_after_a_refusal(verifier, packed, logits, tmp_path):
    with pytest.raises(VerificationFailed):
        verifier.check(tmp_path / "nothing.zip", INPUTS, logits)
    verifier.check(packed.path, INPUTS, logits)


def test_the_script_knows_nothing_of_the_project_but_the_client():
    tree = ast.parse(SCRIPT.read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    known = set(sys.stdlib_module_names) | {"torch", "transformers", "numpy", "safetensors"}
    known |= {"microlith", "onnxruntime"}  # for the layouts `mask` and `onnx` alone
    assert {name.partition(".")[0] for name in imported} <= known


def test_a_process_that_dies_is_an_error_with_what_it_said(packed, logits):
    dying = "import sys; print('{}', flush=True); sys.stdin.readline(); sys.exit('out of paper')"
    with fake(dying) as verifier, pytest.raises(VerificationFailed, match="exit status 1") as failure:
        verifier.check(packed.path, INPUTS, logits)
    assert "out of paper" in failure.value.hint


def test_a_process_that_never_starts_is_an_error(packed, logits):
    with fake("raise SystemExit(3)") as verifier, pytest.raises(VerificationFailed, match="exit status 3"):
        verifier.check(packed.path, INPUTS, logits)


def test_a_process_that_babbles_is_an_error(packed, logits):
    with fake("print('hello')") as verifier, pytest.raises(VerificationFailed, match="cannot be understood: 'hello"):
        verifier.check(packed.path, INPUTS, logits)


def test_a_process_that_hangs_is_given_up_and_killed(packed, logits):
    with fake("import time; time.sleep(600)", timeout_seconds=0.2) as verifier:
        with pytest.raises(VerificationFailed, match=r"no answer within 0\.2 s"):
            verifier.check(packed.path, INPUTS, logits)
        assert verifier.process.poll() is not None


def test_leaving_ends_the_process_and_its_folder():
    with Verifier() as verifier:
        process, folder = verifier.process, verifier.folder
        assert Path(folder).is_dir()
    assert process.poll() is not None
    assert not Path(folder).exists()


def test_a_killed_parent_leaves_no_orphan():
    code = (
        "import os, sys, time\nfrom worker.packaging.verify import Verifier\n"
        "with Verifier() as verifier:\n"
        "    verifier.wait_until_ready()\n"
        "    print(verifier.process.pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 20
    while _running(child):
        assert time.monotonic() < deadline, "the verifying process outlived its parent"
        time.sleep(0.05)


def _running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
