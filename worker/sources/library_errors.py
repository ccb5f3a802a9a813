"""The boundary around libraries that open a stranger's model: whatever they raise is the model's fault, and told so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.domain.errors import MicrolithError, UnsupportedModel
from app.domain.foreign_errors import told
from app.sources.json_file import storable
from app.sources.tokenizer_files import PIECES, WHOLE

POINTER = "/model"
_PANIC = "PanicException"
"""What breaks in a library of Rust's, which is no Exception to Python."""


@contextmanager
def foreign(what: str, hint: str | None = None) -> Iterator[None]:
    """Any error but ours and one for want of memory becomes UnsupportedModel: `what`, and the library's first line."""
    try:
        yield
    except (MicrolithError, MemoryError):
        raise
    except BaseException as error:  # of whatever kind: libraries have no list of what a file can make of them
        if not isinstance(error, Exception) and type(error).__name__ != _PANIC:
            raise
        raise UnsupportedModel(f"{what}: {first_line(error)}", hint=hint, pointer=POINTER) from error


def first_line(error: BaseException) -> str:
    """What an error says first, without places of this machine."""
    line = told((str(error).strip() or type(error).__name__).splitlines()[0])
    return line if storable(line) else ascii(line)


def open_tokenizer(folder: Path) -> Any:
    """The tokenizer in a model's folder. Raises UnsupportedModel."""
    from transformers import AutoTokenizer  # with torch or without, as the process has it

    what, hint = "The model's tokenizer", "Save it beside the model with tokenizer.save_pretrained."
    pieces = sorted(name for name in PIECES if (folder / name).is_file())
    if pieces and not (folder / WHOLE).is_file():
        what = f"{pieces[0]} is read by slow tokenizers alone, and"
        hint = f"Write {WHOLE} where it opens: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)."
    with foreign(f"{what} cannot be opened", hint):
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
