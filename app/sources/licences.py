"""The licence of a model or dataset: stated by the demo, or found in the folder it came in."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

from app.domain.errors import ResourceLimit
from app.sources import demo
from app.sources.demo import Licence
from app.sources.references import Reference

_LICENCE = re.compile(r"licen[sc]e:(.*)")
_NAME = re.compile(r"[\w.+ -]{1,100}")
_NOTICES = ("LICENSE*", "LICENCE*", "NOTICE*")
_MAX_README_BYTES = MAX_NOTICE_BYTES = 1024 * 1024
MAX_NOTICES, MAX_NAME = 50, 200
_SPDX = (
    *("AFL-3.0", "AGPL-3.0-only", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC-BY-4.0", "CC-BY-NC-4.0"),
    *(
        "CC-BY-NC-SA-4.0",
        "CC-BY-SA-3.0",
        "CC-BY-SA-4.0",
        "CC0-1.0",
        "GPL-2.0-only",
        "GPL-3.0-only",
        "ISC",
        "LGPL-3.0-only",
    ),
    *("MIT", "MPL-2.0", "ODC-By-1.0", "ODbL-1.0", "Unlicense"),
)
"""Licences of models and data whose text the SPDX list has, under the id that it has there."""


def licence_of(ref: Reference, place: Path) -> Licence | None:
    """What the source says of itself: the README's front matter and the notices beside it; None where it is silent."""
    if ref.kind == "demo":
        return demo.MODELS.get(ref.name) or demo.DATASETS.get(ref.name)
    if not place.is_dir():
        return None
    files = _notices(place)
    name = _stated(place / "README.md") or ("other" if files else None)
    return Licence(name, f"As stated by {ref}.", files) if name else None


def texts_of(licence: Licence) -> list[str]:
    """Where the texts are that the licence's name stands for, as far as the SPDX list has them."""
    return [f"https://spdx.org/licenses/{name}.html" for name in _listed(licence)]


def pointed(licence: Licence) -> Licence:
    """The licence with those of its notices alone that `texts_of` does not lead to."""
    named = _listed(licence)
    whole = len(named) == len(licence.name.split())

    def elsewhere(file: Path) -> bool:
        return file.stem in named or (whole and file.name.upper().startswith(("LICENSE", "LICENCE")))

    return replace(licence, files=tuple(file for file in licence.files if not elsewhere(file)))


def _listed(licence: Licence) -> list[str]:
    known = {name.lower(): name for name in _SPDX}
    return [known[word] for word in licence.name.lower().split() if word in known]


def _notices(place: Path) -> tuple[Path, ...]:
    """The notices beside a source. ResourceLimit for more, or longer ones, than can travel with every module."""
    found = sorted(file for pattern in _NOTICES for file in place.glob(pattern) if file.is_file())
    long = any(file.stat().st_size > MAX_NOTICE_BYTES or len(os.fsencode(file.name)) > MAX_NAME for file in found)
    if len(found) > MAX_NOTICES or long:
        raise ResourceLimit(
            f"It comes with more than {MAX_NOTICES} licences and notices, or one of them has more than "
            f"{MAX_NOTICE_BYTES:,} bytes, or a name of more than {MAX_NAME}."
        )
    return tuple(found)


def _stated(readme: Path) -> str | None:
    """The licence in the README's front matter: the lines between two of `---`, the first of which begins the file."""
    if not readme.is_file():
        return None
    with readme.open("rb") as stream:
        first, *lines = stream.read(_MAX_README_BYTES).decode(errors="replace").split("\n")
    if first.rstrip() != "---":
        return None
    stated, closed = None, False
    for line in lines:
        if line.rstrip() == "---":
            closed = True
            break
        if stated is None and (found := _LICENCE.fullmatch(line.rstrip())):
            name = found[1].strip().strip("'\"")
            stated = name if _NAME.fullmatch(name) else None
    return stated if closed else None
