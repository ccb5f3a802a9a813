"""The blocks of code in a page of Markdown, and how each is run.

A page is one story: its blocks run from top to bottom in one folder, Python in one namespace, shell lines with the
variables of the block before. ```` ```python title="FILE" ```` is a file to write. `<!-- not run: REASON -->` on the
line before a block says why it cannot run here; its syntax is checked.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from microlith import Client

BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>.+?) -->\n)?```(?P<language>python|sh|json)(?: title=\"(?P<file>[^\"]+)\")?\n"
    r"(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
FENCE = re.compile(r"^ *```(?:python|sh|json)\b", re.MULTILINE)
ADDRESS = re.compile(r"(?:http://)?(?:127\.0\.0\.1|localhost):8000")
EXAMPLES = re.compile(r"(?<=limit\": )400\b|(?<=--limit )400\b")
FEWER = "60"
"""What a page has evaluated on 400 examples is evaluated on these here; the code is the page's otherwise."""
SHELL_SECONDS = 400
"""Only ends what hangs: a busy machine takes long for a job."""


@dataclass(frozen=True)
class Block:
    """A block of code; `line` is where it begins, `reason` why it is not run, `file` what it is to be saved as."""

    language: str
    code: str
    line: int
    reason: str | None = None
    file: str | None = None


def blocks_of(text: str) -> list[Block]:
    """Every block in the languages that run. Raises ValueError where one is written so that it would be missed."""
    found = list(BLOCK.finditer(text))
    if len(found) != len(FENCE.findall(text)):
        raise ValueError("a block of code is indented or does not end")
    return [
        Block(one["language"], one["code"], text.count("\n", 0, one.start("code")) + 1, one["reason"], one["file"])
        for one in found
    ]


@dataclass
class Story:
    """A page as it is followed by a reader who sits in `folder` and has a server at `url`."""

    folder: Path
    url: str
    environment: dict[str, str]
    names: dict[str, Any] = field(default_factory=dict)

    def follow(self, block: Block, page: str) -> None:
        """Do what the block says, or look at its syntax where it cannot run. Raises what goes wrong."""
        code = EXAMPLES.sub(FEWER, ADDRESS.sub(self.url, block.code))
        if block.file:
            (self.folder / block.file).write_text(code, encoding="utf-8")
        if block.language == "sh":
            self._shell(code, run=block.reason is None)
        elif block.language == "json":
            self._spec(json.loads(code))
        elif block.reason or block.file:
            ast.parse(code)
        else:
            lines = "\n" * (block.line - 1) + code  # so that a traceback names the page's own line
            exec(compile(lines, page, "exec"), self.names)

    def _shell(self, code: str, *, run: bool) -> None:
        kept = self.folder / ".variables"
        whole = f"set -aeu\n[ -f {kept} ] && . {kept}\n{code}\nexport -p > {kept}\n"
        command = ["bash", "-c", whole] if run else ["bash", "-n", "-c", code]
        around: dict[str, Any] = {"cwd": self.folder, "env": self.environment, "timeout": SHELL_SECONDS}
        told = subprocess.run(command, check=False, capture_output=True, text=True, **around)
        assert told.returncode == 0, f"{code}\n{told.stdout[-2000:]}\n{told.stderr[-4000:]}"

    def _spec(self, spec: dict[str, Any]) -> None:
        with Client(self.url) as client:
            client.plan(spec)
