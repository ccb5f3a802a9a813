"""The import rule, seen from fresh interpreters."""

from __future__ import annotations

import subprocess
import sys

import grimp
import pytest

HEAVY = ("torch", "transformers", "datasets", "safetensors", "sklearn")


@pytest.mark.parametrize("module", ["app.main", "app.cli", "microlith", "microlith.cli", "worker.tasks"])
def test_a_process_that_is_not_running_a_job_has_no_torch(module: str) -> None:
    """`worker.tasks` is what the Celery parent imports: a fork of it must not inherit torch's threads."""
    code = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_web_service_leaves_the_reader_of_data_files_to_other_processes() -> None:
    code = "import sys, app.main; print('pyarrow' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_the_client_needs_no_server_package() -> None:
    code = "import sys, microlith.cli; print([n for n in ('fastapi', 'sqlalchemy', 'celery') if n in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_no_modules_import_one_another_in_circles() -> None:
    """Imports inside functions, and those for type checkers alone, count too."""
    graph = grimp.build_graph("microlith", "app", "worker", cache_dir=None)
    circles = {
        frozenset({module} | (graph.find_upstream_modules(module) & graph.find_downstream_modules(module)))
        for module in graph.modules
    }
    assert [sorted(circle) for circle in circles if len(circle) > 1] == []
