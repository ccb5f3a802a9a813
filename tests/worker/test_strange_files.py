"""Any value of any setting of a model, and any type of a column: a job succeeds, or is refused in words of ours.

The same ones are tried wherever it runs; `MICROLITH_FUZZ` says how many of each, and `make fuzz` tries them all.
"""

from __future__ import annotations

import datetime
import decimal
import itertools
import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from app.domain.errors import MicrolithError
from microlith.contract import JobSpec
from tests.app.test_strange_settings import STRANGE
from tests.builders import tiny_bert
from tests.work import run
from tests.worker.conftest import Product
from tests.worker.test_other_models import write_tokenizer
from worker.sources.open_sources import open_sources

EXAMPLES = int(os.environ.get("MICROLITH_FUZZ", "6"))
WHOLE_JOBS = 1 if EXAMPLES <= 50 else 100
"""Of those that the plan lets through."""

FILES = ("config.json", "tokenizer_config.json")
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(20))]
ROWS = 24
JOB: dict[str, Any] = {
    "concerns": [0],
    "sampling": {"per_concern": 2},
    "evaluation": {"limit": 8, "latency": False},
    "reuse": False,
}
DAY = datetime.date(2026, 11, 30)
TYPES: list[tuple[pa.DataType, Any]] = [
    *((kind, 1) for kind in (pa.int8(), pa.uint8(), pa.int64(), pa.uint64(), pa.float32(), pa.float64())),
    *((kind, "w1") for kind in (pa.string(), pa.large_string(), pa.string_view())),
    *((kind, b"w\xff") for kind in (pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(2))),
    *((kind, DAY) for kind in (pa.date32(), pa.date64())),
    *((pa.timestamp(unit), datetime.datetime(2026, 11, 30)) for unit in ("s", "ns")),
    *((pa.float16(), 1.0), (pa.float64(), float("nan")), (pa.float64(), 2.5), (pa.bool_(), True), (pa.null(), None)),
    *((pa.time64("us"), datetime.time(1)), (pa.duration("s"), datetime.timedelta(1))),
    *((pa.decimal128(5, 2), decimal.Decimal("1.00")), (pa.decimal256(50, 0), decimal.Decimal(10**40))),
    *((pa.list_(pa.string()), ["w1"]), (pa.list_(pa.int64(), 2), [0, 1]), (pa.large_list(pa.null()), [None])),
    *((pa.struct([("bytes", pa.binary())]), {"bytes": b"x"}), (pa.map_(pa.string(), pa.int64()), {"a": 1})),
    *((pa.dictionary(pa.int8(), pa.string()), "w1"), (pa.string(), None), (pa.string(), ""), (pa.string(), "\0")),
    *((pa.string(), "x" * 100_000), (pa.int64(), -(2**63)), (pa.uint64(), 2**64 - 1)),
]


@pytest.fixture(scope="module")
def product(kept_product: Product) -> Product:
    return kept_product


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model that opens."""
    folder = tmp_path / "model"
    tiny_bert().save_pretrained(folder)
    write_tokenizer(folder, WORDS)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Data that fits it."""
    file = tmp_path / "data.csv"
    file.write_text("text,label\n" + "\n".join(f"w{at % 20} w{at % 7},{at % 4}" for at in range(ROWS)) + "\n")
    return file


def some(every: list[Any]) -> list[Any]:
    """As many as are to be tried, the same every time."""
    return every if len(every) <= EXAMPLES else random.Random(15).sample(every, EXAMPLES)


def is_let_through(product: Product, spec: dict[str, Any], what: object) -> bool:
    """Whether the plan takes it; what it says otherwise must be ours."""
    answer = product.api.post("/v1/jobs?validate_only=true", json=spec)
    assert answer.status_code in (200, 422), (what, answer.text)
    if answer.status_code == 422:
        problem = answer.json()
        assert problem["code"] != "INTERNAL", (what, problem)
        assert "\0" not in problem["detail"]
    return answer.status_code == 200


def open_all(spec: dict[str, Any], what: object) -> None:
    """What a worker does first: it opens everything, or says why not in words of ours."""
    code = ""
    try:
        open_sources(JobSpec.model_validate(spec), allow_paths=True, device=torch.device("cpu"))
    except MicrolithError as refusal:
        code = refusal.code
    assert code != "INTERNAL", what


def do_all(product: Product, spec: dict[str, Any], what: object) -> None:
    """The whole job."""
    queued = product.api.post("/v1/jobs", json=spec).json()
    run(product.backend, queued["id"])
    job = product.api.get(queued["urls"]["self"]).json()
    assert job["state"] in ("succeeded", "failed"), (what, job)
    assert not job["error"] or job["error"]["code"] != "INTERNAL", (what, job["error"])


def test_any_value_of_any_setting(product: Product, model: Path, data: Path, tmp_path: Path) -> None:
    own = {name: json.loads((model / name).read_text()) for name in FILES}
    every = [(name, key, value) for name in FILES for key in own[name] for value in STRANGE]
    spec = JOB | {"model": f"path:{tmp_path / 'changed'}", "dataset": f"path:{data}"}
    whole = 0
    for name, key, value in some(every):
        shutil.rmtree(tmp_path / "changed", ignore_errors=True)
        shutil.copytree(model, tmp_path / "changed")
        (tmp_path / "changed" / name).write_text(json.dumps(own[name] | {key: value}))
        if not is_let_through(product, spec, (name, key, value)):
            continue
        whole += 1
        if whole <= WHOLE_JOBS:
            do_all(product, spec, (name, key, value))
        else:
            open_all(spec, (name, key, value))
    assert whole, "some settings decide nothing"


def test_any_type_of_any_column(product: Product, model: Path, tmp_path: Path) -> None:
    for at, (column, (kind, value)) in enumerate(some(list(itertools.product(("text", "label"), TYPES)))):
        columns = {
            "text": pa.array([f"w{row % 20}" for row in range(ROWS)]),
            "label": pa.array([row % 4 for row in range(ROWS)]),
        }
        columns[column] = strange(kind, value)
        file = tmp_path / f"{at}.parquet"
        try:
            pq.write_table(pa.table(columns), file)
        except pa.ArrowNotImplementedError:  # no such type in Parquet
            continue
        spec = JOB | {"model": f"path:{model}", "dataset": f"path:{file}"}
        if is_let_through(product, spec, (column, kind, value)):
            open_all(spec, (column, kind, value))


def strange(kind: pa.DataType, value: Any) -> pa.Array:
    """A column of one value; a dictionary is made of a plain one."""
    if pa.types.is_dictionary(kind):
        return pa.array([value] * ROWS, kind.value_type).dictionary_encode()
    return pa.array([value] * ROWS, kind)
