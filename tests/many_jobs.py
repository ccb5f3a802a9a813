"""Many jobs at once, made inside PostgreSQL: only what lists, queue and sweep look at differs between them.

Job number n is made n seconds after BEGAN. Of every thousand one is rare in each respect; the last QUEUED ones wait.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, text

from app.domain.ids import first_id
from microlith.contract import JobSpec, Progress, Resolved
from tests.work import DEMO

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
QUEUED = 1_500

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
DIGITS = " || ".join(f"substr('{ALPHABET}', (ms >> {shift} & 31)::int + 1, 1)" for shift in range(45, -1, -5))
ID = f"'job_' || {DIGITS} || repeat('0', 16)"
"""As `first_id` writes it."""

JOBS = f"""
    INSERT INTO jobs (id, owner, kind, state, spec, fingerprint, model, dataset, method, labels, priority, progress,
        concerns_total, concerns_succeeded, concerns_failed, resolved, overlap, timings, attempts, last_seq, repairing,
        created_at, queued_at, started_at, finished_at)
    SELECT {ID}, 'default',
        CASE n % 1000 WHEN 7 THEN 'export' WHEN 8 THEN 'predict' ELSE 'decompose' END,
        CASE WHEN n >= :count - :queued THEN 'queued' WHEN n % 1000 = 1 THEN 'failed' ELSE 'succeeded' END,
        :spec, 'fingerprint ' || n,
        CASE n % 1000 WHEN 2 THEN 'demo:rare' ELSE 'demo:common' END,
        CASE n % 1000 WHEN 3 THEN 'demo:rare' ELSE 'demo:common' END,
        CASE n % 1000 WHEN 4 THEN 'random' ELSE 'ci' END,
        jsonb_build_object('all', 'yes', 'team', CASE n % 1000 WHEN 5 THEN 'rare' ELSE 'common' END),
        1, :progress, 40, 40, 0, :resolved, '[]', '{{}}', 1, 0, false, at, at,
        CASE WHEN n < :count - :queued THEN at END, CASE WHEN n < :count - :queued THEN at END
    FROM (
        SELECT n, CAST(:began AS timestamptz) + n * interval '1 second' AS at,
            CAST(:milliseconds AS bigint) + n * CAST(1000 AS bigint) AS ms
        FROM generate_series(0, :count - 1) AS n
    ) AS numbered
"""
REST = (
    "INSERT INTO job_labels SELECT id, label.key, label.value, owner FROM jobs, jsonb_each_text(labels) AS label",
    "INSERT INTO modules (id, job_id, concern_id, ratio, facts, created_at)"
    " SELECT replace(id, 'job', 'mod'), id, 0, 0.5, '{}', created_at FROM jobs"
    " WHERE extract(second FROM created_at) < 6",
    "INSERT INTO artifacts"
    " (id, module_id, layout, asked, media_type, size_bytes, sha256, key, filename, files, created_at)"
    " SELECT replace(id, 'mod', 'art'), id, 'mask', true, 'application/zip', 1, 'sha', 'key', 'file', '[]', created_at"
    " FROM modules",
    "ANALYZE",
)


def job_id(number: int) -> str:
    return first_id("job", BEGAN + timedelta(seconds=number))


def fill(connection: Connection, count: int) -> None:
    """Jobs number 0 to `count` - 1 in empty tables, every tenth with a module and its file."""
    spec = JobSpec.model_validate(DEMO | {"labels": {"all": "yes"}})
    values = {
        "count": count,
        "queued": QUEUED,
        "began": BEGAN,
        "milliseconds": int(BEGAN.timestamp() * 1000),
        "spec": spec.model_dump_json(),
        "progress": Progress().model_dump_json(),
        "resolved": Resolved().model_dump_json(),
    }
    connection.execute(text(JOBS), values)
    for statement in REST:
        connection.execute(text(statement.replace(":", r"\:")))
