"""The wheel holds all that the service needs: once installed, it serves from an empty folder, without the source."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.servers import scratch_folder
from tests.serving import running_service

ROOT = Path(__file__).parents[1]
PACKAGES = ("microlith", "app", "worker")
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
OFFLINE = ["--no-deps", "--no-index"]
LINKED = re.compile(r'(?:href|src)="(/static/[^"]+)"')


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    building = [*PIP, "wheel", *OFFLINE, "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(building, check=True)
    (built,) = folder.glob("microlith-*.whl")
    return built


@pytest.fixture
def programs(wheel: Path) -> Iterator[Path]:
    """The programs' folder of an environment with the wheel, and with this environment's libraries behind it."""
    with scratch_folder() as folder:
        environment = folder / "environment"
        venv.create(environment, symlinks=True)
        python = environment / "bin/python"
        subprocess.run([*PIP, "--python", str(python), "install", *OFFLINE, "--no-compile", str(wheel)], check=True)
        (packages,) = environment.glob("lib/python*/site-packages")
        # As a path alone: what an editable install of the source has put beside the libraries is not followed.
        (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
        yield python.parent


def test_the_wheel_holds_every_file_of_the_packages_and_the_migrations(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    listed = subprocess.run(
        ["git", "ls-files", *PACKAGES, "alembic"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    there = [file for file in listed if file and (ROOT / file).is_file()]
    expected = {f"app/db/{file}" if file.startswith("alembic/") else file for file in there}
    assert expected
    assert expected <= held
    assert "microlith/py.typed" in held
    licences = {Path(file).name for file in held if ".dist-info/licenses/" in file}
    assert {"LICENSE", "Apache-2.0.txt", "wordnet-LICENSE.txt"} <= licences
    assert {file.split("/")[0] for file in held if ".dist-info/" not in file} == set(PACKAGES)


def test_the_installed_wheel_serves_from_an_empty_folder(programs: Path, tmp_path: Path) -> None:
    asked = [str(programs / "python"), "-c", "import worker.tasks, app.main; print(worker.__file__, app.__file__)"]
    files = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.split()
    assert all(Path(file).is_relative_to(programs.parent) for file in files)

    serving = running_service("--no-worker", programs=programs, cwd=tmp_path)
    with serving as service, httpx.Client(base_url=service.url) as client:
        for page in ("/", "/docs"):
            answer = client.get(page, follow_redirects=True)
            assert answer.status_code == 200
            linked = LINKED.findall(answer.text)
            assert linked
            assert {client.get(link).status_code for link in linked} == {200}
        assert client.get("/v1/methods").json()["methods"]
        assert client.get("/v1/models/demo:bert-tiny-wordnet").status_code == 200
    assert not list(tmp_path.iterdir())
