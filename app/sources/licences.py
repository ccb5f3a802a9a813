"""The licence of a model or dataset: stated by the demo, or found in the folder it came in."""

from __future__ import annotations

import re
from pathlib import Path

from app.sources import demo
from app.sources.demo import Licence
from app.sources.references import Reference

_FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n---\s*$", re.DOTALL | re.MULTILINE)
_LICENCE = re.compile(r"^licen[sc]e:\s*['\"]?([\w.+ -]{1,100}?)['\"]?\s*$", re.MULTILINE)
_NOTICES = ("LICENSE*", "LICENCE*", "NOTICE*")
_MAX_README_BYTES = 1024 * 1024


def licence_of(ref: Reference, place: Path) -> Licence | None:
    """What the source says of itself: the README's front matter and the notices beside it; None where it is silent."""
    if ref.kind == "demo":
        return demo.MODELS.get(ref.name) or demo.DATASETS.get(ref.name)
    if not place.is_dir():
        return None
    files = tuple(sorted(file for pattern in _NOTICES for file in place.glob(pattern) if file.is_file()))
    name = _stated(place / "README.md") or ("other" if files else None)
    return Licence(name, f"As stated by {ref}.", files) if name else None


def _stated(readme: Path) -> str | None:
    if not readme.is_file() or readme.stat().st_size > _MAX_README_BYTES:
        return None
    front = _FRONT_MATTER.match(readme.read_text(encoding="utf-8", errors="replace"))
    found = _LICENCE.search(front[1]) if front else None
    return found[1] if found else None
