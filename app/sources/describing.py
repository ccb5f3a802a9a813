"""`python -m app.sources.describing`: a question of `aside` comes in, what the data files tell goes out, both JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from app.domain.errors import MicrolithError
from app.sources.datasets import describe_dataset
from app.sources.references import Reference
from microlith.contract import DatasetSpec, ModelInfo


def main() -> None:
    """Answer one question, of what the asking process was allowed to name."""
    asked: dict[str, Any] = json.load(sys.stdin)
    source, named = DatasetSpec.model_validate(asked["source"]), asked["reference"]
    place = Path(named["place"]) if named["place"] else None
    shelf = {source.ref: Reference(named["kind"], named["name"], place=place, called=named["called"])}
    model = asked["model"] and ModelInfo.model_validate(asked["model"])
    try:
        info = describe_dataset(source, asked["roles"], model=model, allow_paths=True, shelf=shelf)
    except MicrolithError as error:
        told = {"code": error.code, "detail": error.detail, "hint": error.hint, "pointer": error.pointer}
        json.dump({"error": told}, sys.stdout)
    else:
        json.dump({"info": info and info.model_dump(mode="json")}, sys.stdout)


if __name__ == "__main__":
    main()
