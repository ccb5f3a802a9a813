"""Opens archives as a stranger would, in a process of its own: run as a script, it imports nothing of this project.

For masks alone it uses the client, as a stranger would too; server and worker are barred. One JSON object per line in
(`archive`, its `layout`, a mask's `base`, and `inputs`, a safetensors file of the model's arguments), one per line out
(`logits`, or `fault`). When its input ends, because the parent is done or dead, it ends at once.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import queue
import sys
import tempfile
import threading
import zipfile
from pathlib import Path
from typing import Any

gc.disable()  # until all is there: it would look through half a million objects again and again

import torch
from safetensors.torch import load_file
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

Tensors = dict[str, torch.Tensor]
OpenRequest = dict[str, Any]
LogitRows = list[list[float]]

_READS_TEXTS: tuple[Any, Any] = (AutoModelForSequenceClassification, AutoTokenizer)
_READS_IMAGES: tuple[Any, Any] = (AutoModelForImageClassification, AutoImageProcessor)


def serve() -> None:
    """Answers requests until there are no more."""
    gc.freeze()
    gc.enable()
    answers = _own_stdout()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    requests: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    answers.write(json.dumps({"ready": True}) + "\n")
    while True:
        answers.write(json.dumps(_answer(json.loads(requests.get()))) + "\n")


def _own_stdout() -> Any:
    """Standard output for answers alone: what a library prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _listen(requests: queue.Queue[str]) -> None:
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        with tempfile.TemporaryDirectory(prefix="microlith-reopen-") as name:
            folder = Path(name)
            with zipfile.ZipFile(request["archive"]) as zipped:
                zipped.extractall(folder)
            _check_sums(folder)
            opener = _OPENERS[request.get("layout", "portable")]
            return {"logits": opener(folder, load_file(request["inputs"]), request)}
    except Exception as error:  # whatever is wrong with the archive is the answer
        return {"fault": f"{type(error).__name__}: {error}"}


def _check_sums(folder: Path) -> None:
    """ValueError unless SHA256SUMS names every other file with its digest."""
    lines = (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    stated = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    present = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    del present["SHA256SUMS"]
    if stated.keys() != present.keys():
        raise ValueError(f"SHA256SUMS and the files differ in {sorted(stated.keys() ^ present.keys())}")
    for name, file in present.items():
        if hashlib.sha256(file.read_bytes()).hexdigest() != stated[name]:
            raise ValueError(f"{name} is not what SHA256SUMS says")


def _portable(folder: Path, inputs: Tensors, request: OpenRequest) -> LogitRows:
    """Logits [examples, labels] of the module on the CPU in float32. What prepares its inputs must open too."""
    _check_reading(folder, inputs, request)
    return _of_folder(folder, inputs, trust_remote_code=False)


def _compact(folder: Path, inputs: Tensors, request: OpenRequest) -> LogitRows:
    """The same with the module's own modelling file."""
    _check_reading(folder, inputs, request)
    return _of_folder(folder, inputs, trust_remote_code=True)


def _of_folder(folder: Path, inputs: Tensors, *, trust_remote_code: bool) -> LogitRows:
    model_class, _ = _READS_IMAGES if "pixel_values" in inputs else _READS_TEXTS
    model = model_class.from_pretrained(folder, dtype=torch.float32, trust_remote_code=trust_remote_code)
    return _answers(model.eval(), inputs)


def _check_reading(folder: Path, inputs: Tensors, request: OpenRequest) -> None:
    """What prepares inputs must open, and read the texts, where they are told, as the inputs that came of them."""
    opened = (_READS_IMAGES if "pixel_values" in inputs else _READS_TEXTS)[1].from_pretrained(folder)
    for row, text in enumerate(request.get("texts", ())):
        ids = inputs["input_ids"][row][inputs["attention_mask"][row].bool()].tolist()
        sides = [[text]] if isinstance(text, str) else [[side] for side in text]  # of a pair, two
        if opened(*sides, truncation=True, max_length=request["max_length"])["input_ids"] != [ids]:
            raise ValueError(f"the tokenizer reads text {row} otherwise")


def _mask(folder: Path, inputs: Tensors, request: OpenRequest) -> LogitRows:
    """Logits of the module that the client makes of the mask and its base; a base is opened once."""
    if request["client"] not in sys.path:
        sys.path.insert(0, request["client"])
        sys.modules.update(dict.fromkeys(("app", "worker")))  # type: ignore[arg-type]  # None bars an import
    from microlith.masks import Base, apply_mask

    base = _bases.get(request["base"])
    if base is None:
        _bases.clear()
        base = _bases[request["base"]] = Base.of(request["base"])
    return _answers(apply_mask(base, folder), inputs)


def _onnx(folder: Path, inputs: Tensors, request: OpenRequest) -> LogitRows:
    """Logits of the float32 graph; the INT8 one must answer with numbers in the same shape."""
    import onnxruntime

    _check_reading(folder, inputs, request)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
    arrays = {name: tensor.numpy() for name, tensor in inputs.items()}
    logits = {
        graph.name: onnxruntime.InferenceSession(graph, options).run(["logits"], arrays)[0]
        for graph in folder.glob("*.onnx")
    }
    full = logits.pop("model.onnx")
    for name, other in logits.items():
        if other.shape != full.shape or not bool(torch.from_numpy(other).isfinite().all()):
            raise ValueError(f"{name} answers with no logits")
    rows: LogitRows = full.tolist()
    return rows


@torch.inference_mode()
def _answers(model: Any, inputs: Tensors) -> LogitRows:
    rows: LogitRows = model(**inputs).logits.tolist()
    return rows


_OPENERS = {"portable": _portable, "compact": _compact, "mask": _mask, "onnx": _onnx}
_bases: dict[str, Any] = {}


if __name__ == "__main__":
    serve()
