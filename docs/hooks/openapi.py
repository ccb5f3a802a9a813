"""The HTTP reference, made of the OpenAPI document that the tests hold the service to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tables import kind, properties, table

DOCUMENT = Path(__file__).parents[2] / "tests/api/openapi.json"
Operation = Mapping[str, Any]


def page() -> str:
    """Every call, tag by tag, then every shape."""
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    return "\n\n".join([*_calls(document["paths"]), "## Shapes", *_shapes(document["components"]["schemas"])])


def _calls(paths: Mapping[str, Mapping[str, Operation]]) -> Iterator[str]:
    by_tag: dict[str, list[str]] = {}
    for path, methods in paths.items():
        for method, operation in methods.items():
            for tag in operation.get("tags", ["other"])[:1]:
                by_tag.setdefault(tag, []).append(_call(f"{method.upper()} {path}", operation))
    for tag, calls in by_tag.items():
        yield f"## {tag.capitalize()}"
        yield from calls


def _call(title: str, operation: Operation) -> str:
    parts = [f"### `{title}`", operation.get("description", "")]
    if parameters := operation.get("parameters"):
        rows = [
            (f"`{p['name']}`", p["in"], kind(p["schema"]), p.get("description") or p["schema"].get("description", ""))
            for p in parameters
        ]
        described = any(row[-1] for row in rows)
        head = ("parameter", "in", "value", "what")
        parts.append(table(head, rows) if described else table(head[:-1], [row[:-1] for row in rows]))
    for media, body in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"Body: {kind(body.get('schema', {}))}, `{media}`.")
    rows = [(f"`{status}`", _answer(response)) for status, response in operation["responses"].items()]
    parts.append(table(("status", "answer"), rows))
    return "\n\n".join(part for part in parts if part)


def _answer(response: Mapping[str, Any]) -> str:
    content = response.get("content", {})
    if "application/problem+json" in content:
        codes = response["description"].split(", ")
        return ", ".join(f"[{code}](errors.md#{code.lower()})" if code.isupper() else code for code in codes)
    shapes = [kind(body["schema"]) if body.get("schema") else f"`{media}`" for media, body in content.items()]
    return " or ".join(shapes) or response["description"]


def _shapes(schemas: Mapping[str, Any]) -> Iterator[str]:
    for name, schema in schemas.items():
        said = " ".join((schema.get("description") or "").split())
        yield f"### {name}\n\n{said}\n\n{properties(schema)}"
