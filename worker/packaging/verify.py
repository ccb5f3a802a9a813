"""Verification: before a module is published, a clean process opens its archive and must compute the same logits."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

import microlith
from app.domain.errors import VerificationFailed
from worker.compute.examples import GivenText

PROBE_ROWS = 8
"""Examples that a clean process is asked, at most."""
TOLERANCE = 1e-5
OTHER_RUNTIME = 1e-4
"""What ONNX Runtime may differ by: its kernels add in another order."""
SCRIPT = Path(__file__).with_name("reopen.py")
_CLIENT = Path(microlith.__file__).parents[1]
"""Where the clean process finds the client, the one part of this project that it may use: for masks."""
_STDERR_BYTES = 2000
_GRACE_SECONDS = 1

ModelInputs = Mapping[str, npt.NDArray[Any]]
"""A model's arguments by name, examples first: `input_ids`, `attention_mask` and, of pairs, `token_type_ids`; or
`pixel_values`."""


@dataclass(frozen=True)
class ArchiveOpening:
    """How an archive is opened: as which layout, within which tolerance, and for a mask over which folder's base."""

    layout: str = "portable"
    base: Path | None = None
    texts: Sequence[GivenText] = ()
    """What the inputs were read from, where the archive's own tokenizer must read it alike, to `max_length` tokens."""
    max_length: int | None = None

    @property
    def tolerance(self) -> float:
        return OTHER_RUNTIME if self.layout == "onnx" else TOLERANCE


PORTABLE = ArchiveOpening()


class Verifier:
    """One clean process for all modules of a job, killed on leaving. It starts up while the caller goes on.

    It has no network, no GPU, no home folder and, run with `python -I`, nothing of the caller's environment.

        with Verifier(scratch) as verifier:
            verifier.check(archive.path, {"input_ids": ids, "attention_mask": mask}, logits)
    """

    def __init__(
        self,
        within: Path | None = None,
        *,
        threads: int = 1,
        timeout_seconds: float = 300,
        command: Sequence[str] | None = None,
    ) -> None:
        self._within = within
        self._command = list(command or [sys.executable, "-I", str(SCRIPT)])
        self._threads = threads
        self._timeout = timeout_seconds
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._ready = False
        self._asked = False

    def __enter__(self) -> Verifier:
        with contextlib.ExitStack() as resources:
            self.folder = resources.enter_context(
                tempfile.TemporaryDirectory(prefix="microlith-verify-", dir=self._within)
            )
            self._stderr: IO[bytes] = resources.enter_context(tempfile.TemporaryFile())
            self.process = self._start()
            self._resources = resources.pop_all()
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(OSError):
            self._stdin.close()
        self._resources.close()

    def check(
        self,
        archive: Path,
        inputs: ModelInputs,
        expected: npt.NDArray[np.floating[Any]],
        opening: ArchiveOpening = PORTABLE,
    ) -> float:
        """The largest deviation of the re-opened module's logits from `expected` [examples, labels].

        `inputs` are what the module in memory was given. `expected` come from the CPU in float32. Raises
        VerificationFailed beyond the layout's tolerance (relative to the largest logit where that is above 1), and when
        the archive does not open.
        """
        self.wait_until_ready()
        self._send(
            {
                "archive": str(archive.absolute()),
                "inputs": self._store(inputs),
                "layout": opening.layout,
                "base": opening.base and str(opening.base.absolute()),
                "client": str(_CLIENT),
                "texts": list(opening.texts),
                "max_length": opening.max_length,
            }
        )
        answer = self._receive()
        if "logits" not in answer:
            raise VerificationFailed(f"{archive.name} does not open: {answer.get('fault', 'no logits came back')}.")
        logits = np.asarray(answer["logits"], dtype=np.float64)
        return _measure_deviation(logits, np.asarray(expected), archive.name, opening.tolerance)

    def wait_until_ready(self) -> None:
        """Until the process has imported what it needs. Raises VerificationFailed where it cannot."""
        if not self._ready:
            self._receive()
            self._ready = True

    @property
    def sound(self) -> bool:
        """Whether it can be asked: it lives, and no answer is on its way that nobody waits for any more."""
        return self.process.poll() is None and not self._asked

    def _store(self, inputs: ModelInputs) -> str:
        """The inputs as a file: images as JSON would be many times their size."""
        file = Path(self.folder) / "inputs.safetensors"
        save_file({name: np.ascontiguousarray(values) for name, values in inputs.items()}, file)
        return str(file)

    @property
    def _stdin(self) -> IO[str]:
        assert self.process.stdin is not None
        return self.process.stdin

    def _start(self) -> subprocess.Popen[str]:
        kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(self._threads))
        alone = {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "TOKENIZERS_PARALLELISM": "false"}
        return subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            encoding="utf-8",
            cwd=self.folder,
            env={
                **kept,
                **threads,
                **alone,
                "HOME": self.folder,
                "TMPDIR": self.folder,
                "OMP_WAIT_POLICY": "passive",
            },
        )

    def _listen(self) -> None:
        """Passes lines on; None says that the process has closed its output."""
        assert self.process.stdout is not None
        with self.process.stdout as answers:
            for line in answers:
                self._lines.put(line)
        self._lines.put(None)

    def _send(self, request: dict[str, Any]) -> None:
        self._asked = True
        try:
            self._stdin.write(json.dumps(request) + "\n")
            self._stdin.flush()
        except (BrokenPipeError, ValueError) as error:
            raise self._broken("ended before it was asked") from error

    def _receive(self) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=self._timeout)
        except queue.Empty:
            self.process.kill()
            raise self._broken(f"gave no answer within {self._timeout:g} s") from None
        if line is None:
            raise self._broken("ended without an answer")
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise self._broken(f"answered what cannot be understood: {line[:200]!r}")
        self._asked = False
        return answer

    def _broken(self, what: str) -> VerificationFailed:
        """The error for a process that failed us, with the end of what it complained of."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=_GRACE_SECONDS)
        code = self.process.poll()
        state = "still running" if code is None else f"exit status {code}"
        self.process.kill()
        length = os.fstat(self._stderr.fileno()).st_size
        said = os.pread(self._stderr.fileno(), _STDERR_BYTES, max(0, length - _STDERR_BYTES))
        complaint = said.decode(errors="replace").strip()
        return VerificationFailed(
            f"The verifying process {what} ({state}).", hint=f"It said: {complaint}" if complaint else None
        )


def _measure_deviation(
    logits: npt.NDArray[np.float64], expected: npt.NDArray[Any], name: str, tolerance: float
) -> float:
    if logits.shape != expected.shape:
        raise VerificationFailed(f"{name} gives logits of shape {logits.shape}, not {expected.shape}.")
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    largest = float(np.abs(logits - expected).max(initial=0.0))
    if not largest <= tolerance * scale:  # NaN is a failure too
        raise VerificationFailed(
            f"{name} does not compute what the module in memory did: logits differ by {largest:.3g}, "
            f"{tolerance * scale:.3g} is allowed."
        )
    return largest
