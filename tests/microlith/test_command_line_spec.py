"""Specs from files: what `init` writes, how YAML is read, what is uploaded on the way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import wire
import yaml
from small_service import Reply, SmallService, answer
from typer.testing import CliRunner, Result

import microlith
from microlith.cli import app
from microlith.cli.facts import look_up
from microlith.cli.flags import FLAGS
from microlith.cli.spec import read_spec
from microlith.cli.template import template
from microlith.contract import JobSpec

REFS = {"model": "demo:m", "dataset": "demo:d"}
Run = Callable[..., Result]


@pytest.fixture
def run(service: SmallService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.setenv("MICROLITH_URL", service.url)
    monkeypatch.chdir(tmp_path)
    service.on("POST /v1/jobs", answer(wire.job(), 202))
    return lambda *words: CliRunner().invoke(app, list(words))


def sent(service: SmallService) -> dict[str, object]:
    return json.loads(service.calls("POST /v1/jobs")[-1].body)  # type: ignore[no-any-return]


def test_what_init_writes_is_two_references_and_comments() -> None:
    assert yaml.safe_load(template("x.yaml", REFS)) == REFS


def test_with_its_comments_taken_away_it_is_every_default_of_the_contract(tmp_path: Path) -> None:
    lines = template("x.yaml", REFS).splitlines()
    told = [line for line in lines if not line.startswith("# ") or line.startswith("#  ")]
    (tmp_path / "x.yaml").write_text("\n".join(line.removeprefix("#") for line in told))
    read = read_spec(str(tmp_path / "x.yaml"))
    assert set(read) == set(JobSpec.model_fields)
    assert JobSpec.model_validate(read) == JobSpec.model_validate(REFS)


def test_every_option_is_explained_before_it_stands() -> None:
    text = template("x.yaml", REFS)
    for name, field in JobSpec.model_fields.items():
        if field.description:
            assert " ".join(text.replace("#", " ").split()).find(field.description.split(":")[0]) >= 0, name


def test_init_writes_a_file_once_and_submit_reads_it(service: SmallService, run: Run, tmp_path: Path) -> None:
    assert run("init", "job.yaml", "--model", "demo:m", "--dataset", "demo:d").exit_code == 0
    assert run("submit", "job.yaml", "--ratio", "0.4", "--no-watch").exit_code == 0
    assert sent(service) == REFS | {"ratio": 0.4}
    again = run("init", "job.yaml")
    assert (again.exit_code, "job.yaml exists" in again.stderr) == (2, True)


def test_init_prints_for_a_hyphen(run: Run, tmp_path: Path) -> None:
    assert yaml.safe_load(run("init", "-").stdout)["model"] == "demo:bert-tiny-wordnet"
    assert list(tmp_path.iterdir()) == []


def test_words_that_older_yaml_takes_for_something_else_are_words(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("concerns: [no, on, 7]\nscope: 2:4\nratio: .5\nreuse: false\nlayers:\n")
    read = read_spec(str(tmp_path / "x.yaml"))
    assert read == {"concerns": ["no", "on", 7], "scope": "2:4", "ratio": 0.5, "reuse": False, "layers": None}


@pytest.mark.parametrize("content", ["- a\n- list\n", "model: [unclosed", "!!python/object/apply:os.getcwd []"])
def test_a_file_that_is_no_spec_is_wrong_usage(service: SmallService, run: Run, tmp_path: Path, content: str) -> None:
    (tmp_path / "x.yaml").write_text(content)
    assert run("submit", "x.yaml").exit_code == 2
    assert service.asked == []


def test_every_flag_has_a_place_in_the_contract() -> None:
    for flag in FLAGS:
        assert look_up(flag.dotted_name).required in (True, False), flag.name


def test_the_help_of_submit_tells_the_contracts_choices_and_defaults(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    said = " ".join(run("submit", "--help").stdout.replace("│", " ").split())
    for part in ("Default: weights.", "One of: first, random. Default: first.", "Default: 16.", "confusers"):
        assert part in said


def test_a_file_here_is_uploaded_and_its_id_sent(service: SmallService, run: Run, tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text("review,label\na,b\n")
    upload = {"id": "upl_1", "kind": "dataset", "filename": "reviews.csv", "size_bytes": 17, "sha256": None}
    upload |= {"state": "complete", "created_at": wire.T, "completed_at": wire.T}
    service.on("POST /v1/uploads", answer(upload | {"urls": dict.fromkeys(("self", "content", "complete"), "/")}))
    service.on("POST /v1/datasets", answer(wire.dataset() | {"id": "dst_1"}))
    words = ["--model", "demo:m", "--dataset", "reviews.csv", "--text-column", "review", "--no-watch"]
    assert run("submit", *words).exit_code == 0
    assert json.loads(service.calls("POST /v1/datasets")[0].body) == {"upload": "upl_1", "text_column": "review"}
    assert sent(service) == {"model": "demo:m", "dataset": {"ref": "dst_1", "text_column": "review"}}


def test_how_data_is_read_is_said_by_flags_to_a_job_and_to_an_upload(
    service: SmallService, run: Run, tmp_path: Path
) -> None:
    words = ["--delimiter", "tab", "--map", "0=animal", "--split", "train=train[:80%]", "--carve", "test=0.2"]
    words += ["--carve", "seed=1"]
    form = {"delimiter": "tab", "labels": {"0": "animal"}, "splits": {"train": "train[:80%]"}}
    form |= {"carve": {"test": 0.2, "seed": 1}}
    assert (
        run("submit", "--model", "demo:m", "--dataset", "demo:d", "--config", "en", *words, "--no-watch").exit_code == 0
    )
    assert sent(service) == {"model": "demo:m", "dataset": {"ref": "demo:d", "config": "en", **form}}
    (tmp_path / "reviews.tsv").write_text("review\tlabel\na\tb\n")
    upload = {"id": "upl_1", "kind": "dataset", "filename": "reviews.tsv", "size_bytes": 17, "sha256": None}
    upload |= {"state": "complete", "created_at": wire.T, "completed_at": wire.T}
    service.on("POST /v1/uploads", answer(upload | {"urls": dict.fromkeys(("self", "content", "complete"), "/")}))
    service.on("POST /v1/datasets", answer(wire.dataset() | {"id": "dst_1", "first_rows": [{"review": "a"}]}))
    done = run("datasets", "upload", "reviews.tsv", *words)
    assert (done.exit_code, "review" in done.stdout) == (0, True)
    assert json.loads(service.calls("POST /v1/datasets")[0].body) == {"upload": "upl_1", **form}
    assert run("submit", "--model", "demo:m", "--dataset", "reviews.tsv", *words, "--no-watch").exit_code == 0
    assert json.loads(service.calls("POST /v1/datasets")[1].body) == {"upload": "upl_1", **form}


def test_a_path_that_is_not_there_is_said_before_anything_is_sent(service: SmallService, run: Run) -> None:
    done = run("submit", "--model", "./nowhere", "--dataset", "demo:d")
    assert (done.exit_code, service.asked) == (2, [])
    assert "There is nothing at nowhere" in done.stderr


def test_json_may_stand_before_or_after_the_command(service: SmallService, run: Run) -> None:
    service.on("GET /v1/jobs/job_1", answer(wire.job()))
    for words in (["--json", "show", "job_1"], ["jobs", "--json", "show", "job_1"], ["show", "job_1", "--json"]):
        assert json.loads(run(*words).stdout)["id"] == "job_1"


def test_jobs_are_compared_in_a_table_as_csv_and_as_json(service: SmallService, run: Run) -> None:
    better = wire.module("animal") | {"own": wire.SCORE | {"f1": 0.9}}
    for number, module in (("1", wire.module("animal")), ("2", better)):
        service.on(f"GET /v1/jobs/job_{number}", answer(wire.job("succeeded", id=f"job_{number}")))
        service.on(f"GET /v1/jobs/job_{number}/results", answer(wire.results(module)))
    lines = run("compare", "job_1", "job_2").stdout.splitlines()
    assert next(line.split() for line in lines if "animal" in line) == ["animal", "0.500", "0.667", "0.900"]
    assert any(line.startswith("2  job_2: ci, weights, demo:m on demo:d") for line in lines)
    csv = run("compare", "job_1", "job_2", "--csv").stdout
    assert csv == "concern,base,job_1 0.5,job_2 0.5\nanimal,0.5000,0.6667,0.9000\n"
    columns = json.loads(run("compare", "job_1", "job_2", "--json").stdout)
    assert [(column["job_id"], column["f1"]["animal"]) for column in columns] == [("job_1", 2 / 3), ("job_2", 0.9)]


def healthy(service: SmallService) -> None:
    service.on("GET /healthz", answer({"status": "ok", "version": microlith.__version__}))
    service.on("GET /readyz", answer({"status": "ready", "checks": {"database": "ok", "broker": "ok"}}))
    service.on("GET /v1/jobs", answer({"data": [], "next_cursor": None}))


def findings(done: Result) -> dict[str, dict[str, str]]:
    return {finding["check"]: finding for finding in json.loads(done.stdout)}


def test_the_doctor_finds_nothing_wrong_with_a_healthy_server(service: SmallService, run: Run) -> None:
    healthy(service)
    done = run("doctor", "--json")
    found = findings(done)
    assert done.exit_code == 0
    assert [found[check]["state"] for check in ("client", "server", "version", "ready", "key")] == ["ok"] * 5
    assert "MICROLITH_URL" in found["server"]["found"]


def test_the_doctor_says_what_to_do_about_each_fault(service: SmallService, run: Run) -> None:
    healthy(service)
    service.on("GET /healthz", answer({"status": "ok", "version": "9.9.0"}))
    checks = {"status": "not ready", "checks": {"database": "ok", "broker": "connection refused"}}
    service.on("GET /readyz", answer(checks, 503))
    service.on(
        "GET /v1/jobs",
        Reply(
            b'{"title": "No", "status": 401, "detail": "No key.", "code": "UNAUTHENTICATED"}',
            401,
            {"Content-Type": "application/problem+json"},
        ),
    )
    done = run("doctor", "--json")
    found = findings(done)
    assert done.exit_code == 3
    assert (found["version"]["state"], found["ready"]["state"], found["key"]["state"]) == ("note", "wrong", "wrong")
    assert "broker: connection refused" in found["ready"]["found"]
    assert "MICROLITH_API_KEY" in found["key"]["advice"]


def test_the_doctor_exits_with_4_where_nobody_answers(run: Run) -> None:
    done = run("doctor", "--url", "http://127.0.0.1:1")
    assert done.exit_code == 4
    assert "make serve" in done.stdout


def test_the_doctor_knows_another_service_from_ours(service: SmallService, run: Run) -> None:
    service.on("GET /healthz", answer({"nothing": "of ours"}))
    assert run("doctor").exit_code == 4


def test_the_shell_offers_jobs_and_choices(service: SmallService, run: Run) -> None:
    service.on("GET /v1/jobs", answer({"data": [wire.job(), wire.job(id="job_2")], "next_cursor": None}))
    offered = CliRunner().invoke(
        app,
        [],
        prog_name="microlith",
        env={"_MICROLITH_COMPLETE": "complete_bash", "COMP_WORDS": "microlith watch job_", "COMP_CWORD": "2"},
    )
    assert offered.stdout.split() == ["job_1", "job_2"]
    offered = CliRunner().invoke(
        app,
        [],
        prog_name="microlith",
        env={"_MICROLITH_COMPLETE": "complete_bash", "COMP_WORDS": "microlith submit --order r", "COMP_CWORD": "3"},
    )
    assert offered.stdout.split() == ["random"]
