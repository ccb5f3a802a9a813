"""The kinds of job, one file for each story, and what several of them share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microlith.contract import Kind

if TYPE_CHECKING:
    from worker.attempt.run import Story


def story_of(kind: Kind) -> Story:
    """What is done for a job of this kind."""
    if kind == "export":
        from worker.kinds.export import export

        return export
    if kind == "combine":
        from worker.kinds.combine import combine

        return combine
    if kind == "predict":
        from worker.kinds.predict import predict

        return predict
    from worker.kinds.decompose import decompose

    return decompose
