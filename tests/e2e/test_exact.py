"""With the options that reproduce the seed system, the product's modules are the seed's own, zero by zero."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from microlith import Client
from microlith.contract import Job, Module
from tests.parity.reference import FOLDER, arrays, numbers, present

pytestmark = present

FEED_FORWARD = {"include": ["intermediate", "output"], "exclude": ["attention"]}
ALLOWED_TIES = 4


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The reference's texts as files of a user's own, under names of a user's own."""
    folder = tmp_path_factory.mktemp("data")
    texts, ids = numbers("texts"), arrays("dataset")
    splits = {}
    for role, name in (("train", "train"), ("validation", "valid"), ("test", "test")):
        table = pa.table({"text": texts[name], "label": ids[f"{name}_labels"].astype(np.int64)})
        splits[role] = f"{name}.parquet"
        pq.write_table(table, folder / splits[role])
    return {"ref": f"path:{folder}", "splits": splits}


def decompose(client: Client, data: dict[str, Any], **options: Any) -> tuple[Job, list[Module]]:
    """A finished job in exact mode."""
    spec = {
        "model": f"path:{FOLDER / 'model'}",
        "dataset": data,
        "layers": FEED_FORWARD,
        "calibration": {"pads": "include", "pairing": "position"},
        **options,
    }
    job = client.wait(client.submit(spec).id)
    return job, client.modules(job.id)


@pytest.mark.parametrize(("form", "file"), [("sine", "ci_sine"), ("alpha", "ci_unstructed")])
def test_the_zeros_of_a_downloaded_module_are_the_seeds(
    client: Client, data: dict[str, Any], tmp_path: Path, form: str, file: str
) -> None:
    job, modules = decompose(
        client, data, concerns=[0, 3], ratio=[0.3, 0.5], method={"name": "ci", "form": form}, evaluation={"limit": 50}
    )
    reference = arrays(file)
    separator = "/" if form == "sine" else "."
    for module in modules:
        weights = load_file(client.download_module(module, tmp_path) / "model.safetensors")
        for layer in job.resolved.layers:
            key = f"c{module.concern.id}/r{module.ratio.requested}/{layer}{separator}mask"
            differing = int(((weights[f"{layer}.weight"] != 0) != reference[key]).sum())
            assert differing <= ALLOWED_TIES, key


def test_the_numbers_of_the_seeds_module_are_reported(client: Client, data: dict[str, Any]) -> None:
    job, (module,) = decompose(client, data, concerns=[3], method={"name": "ci", "form": "alpha"})
    expected = numbers("evaluate")["module_c3_r0.5"]
    base = client.results(job.id).base
    assert base is not None
    assert base.report.exp_loss == pytest.approx(numbers("evaluate")["model"]["valid_perplexity"], rel=1e-6)
    assert module.report.loss == pytest.approx(expected["loss"], rel=1e-5)
    assert module.report.exp_loss == pytest.approx(expected["valid_perplexity"], rel=1e-5)
    assert module.report.macro.f1 == pytest.approx(expected["f1_score"], abs=1e-9)
    assert round(module.sparsity.overall, 4) == 0.3171
    row = expected["report_df"][3]
    assert client.results_csv(job.id).splitlines() == [
        "class,precision,recall,f1-score,support",
        f"3,{row['precision']:.4f},{row['recall']:.4f},{row['f1-score']:.4f},{row['support']}",
    ]
    assert module.similarity is not None
    assert module.similarity.legacy is not None
    seeds = numbers("similarity_module_vs_model")["c3_r0.5"]
    for side, name in ((module.similarity.legacy.concern, "concern"), (module.similarity.legacy.rest, "non_concern")):
        assert side.cca == pytest.approx(seeds[f"cca_{name}"]["mean"][0], rel=1e-4)
        assert side.linear_cka == pytest.approx(seeds[f"linear_cka_{name}"], rel=1e-5)
        assert side.kernel_cka == pytest.approx(seeds[f"kernel_cka_{name}"], rel=1e-4)
