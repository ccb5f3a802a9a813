"""The command line: what it sends, what it prints where, and how it exits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import wire
from small_service import QUICK, Reply, SmallService, answer, problem
from typer.testing import CliRunner, Result

from microlith.cli import app
from microlith.cli.outcome import CODES_BY_ERROR, EXIT_CODES
from microlith.client import Client
from microlith.contract import Job

REQUIRED = ["--model", "demo:m", "--dataset", "demo:d"]
JOB = "GET /v1/jobs/job_1"
Run = Callable[..., Result]


@pytest.fixture
def run(service: SmallService, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("MICROLITH_URL", service.url)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *words, **options: CliRunner().invoke(app, list(words), **options)


def sent_spec(service: SmallService) -> dict[str, object]:
    return json.loads(service.calls("POST /v1/jobs")[-1].body)  # type: ignore[no-any-return]


def test_a_submission_is_watched_and_its_results_are_printed(service: SmallService, run: Run) -> None:
    service.on("POST /v1/jobs", answer(wire.job(), 202))
    running = wire.job("running", phase="scoring", progress={"percent": 40, "eta_seconds": 90})
    service.on(JOB, answer(running, ETag='"1"'), answer(wire.job("succeeded")))
    service.on("GET /v1/jobs/job_1/results", answer(wire.results(wire.module())))
    done = run("submit", *REQUIRED)
    assert done.exit_code == 0
    assert "scoring: 40 %, 0/2 concerns, 1 min 30 s left" in done.stderr
    assert "0.667/0.500" in done.stdout
    assert "+0.167" in done.stdout
    assert "microlith download job_1 FOLDER" in done.stderr


def test_only_what_was_given_is_sent(service: SmallService, run: Run) -> None:
    service.on("POST /v1/jobs", answer(wire.job(), 202))
    run("jobs", "submit", *REQUIRED, "--no-watch")
    assert sent_spec(service) == wire.SPEC


def test_every_flag_has_its_place_in_the_spec(service: SmallService, run: Run) -> None:
    service.on("POST /v1/jobs", answer(wire.job(), 202))
    flags = "--concern animal --concern 6 --method ci --form alpha --structure neurons --ratio 0.3 --ratio 0.7"
    flags += " --include output --exclude attention --per-concern 8 --order random --seed 1 --pads include"
    flags += (
        " --pairing position --limit 50 --label team=x --label note=a=b --no-reuse --text-column t --text-pair-column p"
    )
    flags += " --scope layer --recovery refit --head binary --negatives confusers --layout mask --layout onnx"
    flags += " --minutes 2.5 --epochs 3 --set evaluation.latency=false"
    assert run("jobs", "submit", *REQUIRED, *flags.split(), "--no-watch").exit_code == 0
    assert sent_spec(service) == {
        "model": "demo:m",
        "dataset": {"ref": "demo:d", "text_column": "t", "text_pair_column": "p"},
        "concerns": ["animal", 6],
        "method": {"name": "ci", "form": "alpha"},
        "structure": "neurons",
        "scope": "layer",
        "ratio": [0.3, 0.7],
        "recovery": "refit",
        "distil": {"minutes": 2.5, "epochs": 3},
        "head": "binary",
        "layers": {"include": ["output"], "exclude": ["attention"]},
        "sampling": {"per_concern": 8, "order": "random", "negatives": "confusers", "seed": 1},
        "calibration": {"pads": "include", "pairing": "position"},
        "evaluation": {"limit": 50, "latency": False},
        "export": {"layouts": ["mask", "onnx"]},
        "labels": {"team": "x", "note": "a=b"},
        "reuse": False,
    }


@pytest.mark.parametrize("from_stdin", [True, False])
def test_flags_change_a_spec_from_a_file(service: SmallService, run: Run, tmp_path: Path, from_stdin: bool) -> None:
    service.on("POST /v1/jobs", answer(wire.job(), 202))
    spec = json.dumps(wire.SPEC | {"ratio": 0.2, "layers": None, "sampling": {"seed": 3}})
    (tmp_path / "spec.json").write_text(spec)
    source = "-" if from_stdin else str(tmp_path / "spec.json")
    run("jobs", "submit", "--spec", source, "--ratio", "0.4", "--order", "random", "--no-watch", input=spec)
    expected = wire.SPEC | {"ratio": 0.4, "layers": None, "sampling": {"seed": 3, "order": "random"}}
    assert sent_spec(service) == expected


@pytest.mark.parametrize(
    "words",
    [
        ["--model", "demo:m"],
        [*REQUIRED, "--label", "no-equals"],
        [*REQUIRED, "--ratio", "half"],
        ["--spec", "/nowhere.json"],
    ],
)
def test_wrong_usage_exits_with_2_and_sends_nothing(service: SmallService, run: Run, words: list[str]) -> None:
    assert run("jobs", "submit", *words).exit_code == 2
    assert service.asked == []


def test_a_refusal_exits_with_3_and_tells_the_choices(service: SmallService, run: Run) -> None:
    service.on("POST /v1/jobs", problem(422, "UNKNOWN_LABELS", "Known: act, animal.", hint="Name labels."))
    done = run("jobs", "submit", *REQUIRED, "--concern", "x")
    assert (done.exit_code, done.stdout) == (3, "")
    assert "Known: act, animal." in done.stderr
    assert "Hint: Name labels." in done.stderr
    assert "UNKNOWN_LABELS" in done.stderr


@pytest.mark.parametrize(
    ("pointer", "flag"),
    [
        ("/ratio", "--ratio"),
        ("/concerns/0", "--concern"),
        ("/sampling/per_concern", "--per-concern"),
        ("/dataset/label_column", "--label-column"),
        ("/label_column", "--label-column"),
    ],
)
def test_a_refusal_names_the_flag_that_says_what_is_wrong(
    service: SmallService, run: Run, pointer: str, flag: str
) -> None:
    errors = [{"pointer": pointer, "detail": "Not so."}]
    service.on("POST /v1/jobs", problem(422, "VALIDATION_ERROR", "Not so.", errors=errors))
    assert f"On the command line: {flag}\n" in run("jobs", "submit", *REQUIRED).stderr


def test_a_model_that_is_neither_here_nor_a_reference_is_looked_for_here(service: SmallService, run: Run) -> None:
    done = run("submit", "--model", "my-modell", "--dataset", "demo:d")
    assert (done.exit_code, service.asked) == (2, [])
    assert "There is nothing at my-modell." in done.stderr


@pytest.mark.parametrize("state", ["failed", "cancelled", "expired"])
def test_a_job_that_did_not_succeed_exits_with_1_and_says_why(service: SmallService, run: Run, state: str) -> None:
    error = {"code": "WORKER_LOST", "message": "Gone.", "hint": "Try a larger machine."}
    service.on(JOB, answer(wire.job(state, error=error)))
    done = run("jobs", "watch", "job_1")
    assert done.exit_code == 1
    assert "WORKER_LOST: Gone.\nHint: Try a larger machine." in done.stderr


def test_nobody_there_exits_with_4(run: Run) -> None:
    done = run("jobs", "list", "--url", "http://127.0.0.1:1")
    assert done.exit_code == 4
    assert "make serve" in done.stderr


def test_wrong_bytes_exit_with_5(service: SmallService, run: Run, tmp_path: Path) -> None:
    packed = wire.archive({"config.json": b"{}"})
    service.on("GET /v1/modules/mod_1", answer(wire.module(artifacts=(wire.artifact(packed),))))
    service.on("GET /v1/artifacts/art_1/content", Reply(packed[:-1] + b"!"))
    done = run("modules", "download", "mod_1", str(tmp_path))
    assert done.exit_code == 5
    assert "received sha256" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_watch_leaves_the_job_running_and_says_how_to_come_back(
    service: SmallService, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(client: Client, job_id: str) -> list[Job]:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "watch", interrupted)
    done = run("jobs", "watch", "job_1")
    assert done.exit_code == 130
    assert "microlith watch job_1" in done.stderr
    assert service.asked == []


def test_a_server_that_goes_away_during_a_watch_is_said_with_how_to_come_back(
    service: SmallService, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("microlith.client.client.Retry", lambda: QUICK)
    service.on(JOB, answer(wire.job("running")), Reply(cut=-1))
    done = run("jobs", "watch", "job_1")
    assert done.exit_code == 4
    assert "Your job is safe. To watch it again: microlith watch job_1" in done.stderr


def test_the_url_and_the_key_may_stand_anywhere(
    service: SmallService, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MICROLITH_URL")
    service.on(JOB, answer(wire.job()))
    for words in (
        ["--url", service.url, "--key", "k", "jobs", "show", "job_1"],
        ["jobs", "show", "job_1", f"--url={service.url}", "--key", "k"],
        ["jobs", "--key=k", "show", "--url", service.url, "job_1"],
    ):
        assert run(*words).exit_code == 0
    assert {asked.headers["authorization"] for asked in service.asked} == {"Bearer k"}
    assert len(service.asked) == 3


@pytest.mark.parametrize(
    ("words", "call", "content"),
    [
        ("jobs show job_1", JOB, wire.job()),
        ("show job_1", JOB, wire.job()),
        ("show mod_1", "GET /v1/modules/mod_1", wire.module()),
        ("show mdl_1", "GET /v1/models/mdl_1", wire.model()),
        ("show dst_1", "GET /v1/datasets/dst_1", wire.dataset()),
        ("jobs results job_1", f"{JOB}/results", wire.results(wire.module())),
        ("jobs cancel job_1", "POST /v1/jobs/job_1/cancel", wire.job("cancelling")),
        ("jobs retry job_1", "POST /v1/jobs/job_1/retry", wire.job()),
        ("modules show mod_1", "GET /v1/modules/mod_1", wire.module()),
        ("models show demo:m", "GET /v1/models/demo:m", wire.model()),
        ("datasets show demo:d", "GET /v1/datasets/demo:d", wire.dataset()),
        ("methods", "GET /v1/methods", wire.methods()),
    ],
)
def test_json_is_the_servers_own_document_and_people_get_a_sheet(
    service: SmallService, run: Run, words: str, call: str, content: dict[str, object]
) -> None:
    service.on(call, answer(content))
    printed = json.loads(run(*words.split(), "--json").stdout)
    assert {
        name: printed[name] for name in content if name in ("id", "job_id", "state", "own", "splits", "options")
    } == {name: content[name] for name in content if name in ("id", "job_id", "state", "own", "splits", "options")}
    sheet = run(*words.split())
    assert sheet.exit_code == 0
    assert not sheet.stdout.lstrip().startswith("{")


@pytest.mark.parametrize(
    ("words", "call", "item"),
    [
        ("jobs list", "GET /v1/jobs", wire.job()),
        ("list", "GET /v1/jobs", wire.job()),
        ("models", "GET /v1/models", wire.model()),
        ("datasets", "GET /v1/datasets", wire.dataset()),
        ("modules list job_1", "GET /v1/jobs/job_1/modules", wire.module()),
        ("models list", "GET /v1/models", wire.model()),
        ("datasets list", "GET /v1/datasets", wire.dataset()),
    ],
)
def test_lists_are_tables_or_json(
    service: SmallService, run: Run, words: str, call: str, item: dict[str, object]
) -> None:
    service.on(call, answer({"data": [item], "next_cursor": None}))
    assert str(item["id"]) in run(*words.split()).stdout
    assert [found["id"] for found in json.loads(run(*words.split(), "--json").stdout)] == [item["id"]]
    service.on(call, answer({"data": [], "next_cursor": None}))
    assert run(*words.split()).stdout == "The list is empty.\n"
    assert json.loads(run(*words.split(), "--json").stdout) == []


def test_a_list_of_jobs_is_filtered_and_limited(service: SmallService, run: Run) -> None:
    jobs = [wire.job(id=f"job_{number}") for number in range(3)]
    service.on("GET /v1/jobs", answer({"data": jobs, "next_cursor": "more"}))
    done = run("list", "--state", "failed", "--kind", "export", "--label", "team=x", "--limit", "2", "--json")
    assert [job["id"] for job in json.loads(done.stdout)] == ["job_0", "job_1"]
    assert service.asked[0].query == {"state": "failed", "kind": "export", "label.team": "x", "limit": "2"}


def test_a_plan_is_shown_and_nothing_submitted(service: SmallService, run: Run) -> None:
    planned = [{"concern": {"id": number, "label": label}, "ratio": 0.5} for number, label in enumerate(("a", "b"))]
    plan = {"spec": wire.SPEC, "resolved": {"layers": ["bert.x"]}, "modules": planned}
    service.on("POST /v1/jobs", answer(plan | {"estimate": {"seconds": 125, "bytes": 17_200_000}}))
    done = run("jobs", "submit", *REQUIRED, "--plan")
    assert service.asked[0].query == {"validate_only": "true"}
    for part in ("bert.x", "a, b", "2 min 05 s of work, 17.2 MB of files"):
        assert part in done.stdout


def test_a_watched_submission_in_json_prints_one_document(service: SmallService, run: Run) -> None:
    service.on("POST /v1/jobs", answer(wire.job(), 202))
    service.on(JOB, answer(wire.job("succeeded")))
    assert json.loads(run("jobs", "submit", *REQUIRED, "--json").stdout)["state"] == "succeeded"


def test_csv_is_passed_through(service: SmallService, run: Run) -> None:
    table = "class,precision,recall,f1-score,support\nanimal,0.9,0.8,0.85,300\n"
    service.on("GET /v1/jobs/job_1/results.csv", Reply(table.encode(), headers={"Content-Type": "text/csv"}))
    assert run("jobs", "results", "job_1", "--csv").stdout == table


def test_deleting_says_so(service: SmallService, run: Run) -> None:
    service.on("DELETE /v1/jobs/job_1", Reply(status=204))
    assert run("jobs", "delete", "job_1").stdout == "Deleted job_1.\n"
    assert json.loads(run("jobs", "delete", "job_1", "--json").stdout) == {"id": "job_1", "deleted": True}


def test_a_jobs_modules_are_downloaded_by_concern(service: SmallService, run: Run, tmp_path: Path) -> None:
    packed = wire.archive({"config.json": b"{}"})
    modules = [wire.module(label, n, (wire.artifact(packed),)) for n, label in enumerate(("act", "animal", "body"))]
    service.on("GET /v1/jobs/job_1/modules", answer({"data": modules, "next_cursor": None}))
    service.on("GET /v1/artifacts/art_1/content", Reply(packed))
    words = ["modules", "download", "--job", "job_1", "--concern", "animal", "--concern", "2", str(tmp_path)]
    done = run(*words, "--json")
    assert [fetched["concern"] for fetched in json.loads(done.stdout)] == ["animal", "body"]
    assert (tmp_path / "animal-0.5" / "config.json").read_text() == "{}"
    assert not (tmp_path / "act-0.5").exists()


@pytest.mark.parametrize("from_stdin", [True, False])
def test_a_module_is_tried_beside_its_base(service: SmallService, run: Run, from_stdin: bool) -> None:
    call = "POST /v1/modules/mod_1/predictions"
    service.on(call, answer(wire.job("succeeded", prediction=wire.prediction("a fern"))))
    words = [] if from_stdin else ["a fern"]
    done = run("modules", "try", "mod_1", *words, input="a fern\n\n")
    assert json.loads(service.calls(call)[0].body) == {"inputs": ["a fern"]}
    assert any(line.split() == ["a", "fern", "animal", "0.900", "plant", "0.800"] for line in done.stdout.splitlines())
    assert json.loads(run("modules", "try", "mod_1", "a fern", "--json").stdout)["inputs"][0]["text"] == "a fern"
    assert run("modules", "try", "mod_1", input="").exit_code == 2


@pytest.mark.parametrize(
    ("words", "lines"), [(["a", "b", "c", "d"], ""), ([], "a\tb\nc\td\n")], ids=["arguments", "lines"]
)
def test_pairs_are_tried_two_by_two_or_line_by_line(
    service: SmallService, run: Run, words: list[str], lines: str
) -> None:
    place = "POST /v1/modules/mod_1/predictions"
    service.on(place, answer(wire.job("succeeded", prediction=wire.prediction("a", "c"))))
    assert run("modules", "try", "mod_1", "--pairs", *words, input=lines).exit_code == 0
    sent = [{"text": "a", "text_pair": "b"}, {"text": "c", "text_pair": "d"}]
    assert json.loads(service.calls(place)[0].body) == {"inputs": sent}
    odd = run("modules", "try", "mod_1", "--pairs", *words, "e", input="e")
    assert odd.exit_code == 2
    assert "does not stand beside one other text" in odd.stderr


@pytest.mark.parametrize(
    "words", [["somewhere"], ["mod_1", "--job", "job_1", "somewhere"], ["mod_1", "--concern", "a", "somewhere"]]
)
def test_a_download_needs_either_modules_or_a_job(service: SmallService, run: Run, words: list[str]) -> None:
    assert run("modules", "download", *words).exit_code == 2
    assert service.asked == []


def test_a_concern_the_job_does_not_have_is_answered_with_those_it_has(service: SmallService, run: Run) -> None:
    service.on("GET /v1/jobs/job_1/modules", answer({"data": [wire.module()], "next_cursor": None}))
    done = run("modules", "download", "--job", "job_1", "--concern", "plant", "somewhere")
    assert done.exit_code == 2
    assert "animal" in done.stderr


def test_the_help_documents_the_exit_codes(run: Run) -> None:
    said = " ".join(run("--help").stdout.split())
    for code, meaning in EXIT_CODES.items():
        assert f"{code} {meaning}" in said
    assert set(CODES_BY_ERROR.values()) <= set(EXIT_CODES)


def test_the_version_is_told(run: Run) -> None:
    assert run("--version").stdout.startswith("microlith ")
