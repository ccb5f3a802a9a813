"""The pages in a real browser, on the whole product: one server, one real job, asked for in the form."""

from __future__ import annotations

import hashlib
import json
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from microlith import Client
from microlith.contract import Job
from tests.serving import Service, running_service

if TYPE_CHECKING:
    from tests.web.browsing import Visit

LONG = {"model": "demo:bert-tiny-wordnet", "dataset": "demo:wordnet-supersense", "reuse": False}
CHARTS = ("results", "curves", "layers", "similarity", "overlap", "confusion", "cost", "files")
JOB_MS = 150_000
TRY_SECONDS = 5
"""Less than one is meant, and `make bench-tries` measures it; a busy machine may take longer."""
SCHEMES = ("light", "dark")
DEMO_MODEL = Path(__file__).parents[2] / "app" / "demo" / "bert-tiny-wordnet"
KINDS = {"animal": "small furry mammal", "food": "sweet baked dish"}


@dataclass(frozen=True)
class Watched:
    """The job, and the states its page went through before the eyes of the visitor."""

    job: Job
    seen: list[str]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """Another than that of the end-to-end tests, whose jobs would be in the way."""
    with running_service() as service:
        yield service


@pytest.fixture
def visit(browser: Any, service: Service) -> Iterator[Visit]:
    from tests.web.browsing import visiting

    with visiting(browser, service.url) as visit:
        yield visit


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with Client(service.url) as client:
        yield client


@pytest.fixture(scope="module")
def watched(browser: Any, service: Service) -> Watched:
    """Asked for in the form and watched to its end, without one reload."""
    from tests.web.browsing import visiting

    with visiting(browser, service.url) as visit:
        page = visit.go("/jobs/new")
        page.get_by_role("checkbox", name="animal").check()
        page.get_by_role("checkbox", name="food").check()
        page.get_by_label("Ratio", exact=True).fill("0.3, 0.6")
        page.get_by_label("Structure").select_option("neurons")
        page.get_by_text("Evaluation", exact=True).click()
        page.locator('[name="/evaluation/limit"]').fill("200")
        page.locator("#plan").get_by_text("4 modules: 2 concerns at 2 ratios").wait_for()
        visit.keep("new-job")
        page.get_by_role("button", name="Start the job").click()
        page.wait_for_url("**/jobs/job_*")
        page.evaluate(
            """() => {
                window.seen = [];
                const look = () => {
                    const state = document.querySelector("#job").dataset.state;
                    if (seen.at(-1) !== state) seen.push(state);
                };
                look();
                new MutationObserver(look).observe(document.querySelector("main"), {childList: true, subtree: true});
            }"""
        )
        page.locator("#job[data-state=running]").wait_for()
        visit.keep("job-running")
        page.locator("#job[data-state=succeeded]").wait_for(timeout=JOB_MS)
        seen = page.evaluate("window.seen")
        job_id = page.url.rpartition("/")[2].partition("?")[0]
    with Client(service.url) as client:
        return Watched(client.job(job_id), seen)


def test_a_job_is_asked_for_in_the_form_and_watched_to_its_end(watched: Watched) -> None:
    assert watched.job.state == "succeeded"
    assert (watched.job.spec.concerns, watched.job.spec.ratio) == (["animal", "food"], [0.3, 0.6])
    assert "running" in watched.seen
    assert watched.seen[-1] == "succeeded"


def test_every_chart_is_drawn_with_its_data_and_a_text_beside_it(visit: Visit, watched: Watched) -> None:
    page = visit.go(f"/jobs/{watched.job.id}")
    for chart in CHARTS:
        section = page.locator(f"#{chart}")
        assert section.locator("table").count() >= 1, chart
        assert len(section.locator(".note p").first.inner_text()) > 20, chart
        links = [link.get_attribute("href") for link in section.locator(".links a").all()]
        assert links or chart == "files"
        for link in links:
            assert page.request.get(f"{visit.url}{link}").ok, link
    page.locator("#curves canvas").wait_for()
    drawn = page.locator("#curves canvas").evaluate(
        "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(byte => byte)"
    )
    assert drawn
    visit.keep("results")


def test_the_table_sorts_and_the_ratio_changes_without_leaving_the_page(visit: Visit, watched: Watched) -> None:
    page = visit.go(f"/jobs/{watched.job.id}")
    page.evaluate("window.same = true")
    page.locator("#sort-f1").click()
    page.locator("#results th[aria-sort=descending]").wait_for()
    values = [float(cell.inner_text()) for cell in page.locator("#results tbody td.strong").all()]
    assert values == sorted(values, reverse=True)
    page.get_by_role("navigation", name="Ratio removed").get_by_role("link", name="0.6").click()
    page.locator(".ratios a[aria-current]", has_text="0.6").wait_for()
    page.locator("#chosen-module").select_option(label="food")
    page.get_by_role("table", name="Confusion of the module of food").wait_for()
    assert page.evaluate("window.same")


def test_a_module_is_downloaded_whole_and_opens(visit: Visit, watched: Watched, tmp_path: Path) -> None:
    page = visit.go(f"/jobs/{watched.job.id}")
    row = page.locator("#files tbody tr").filter(has_text="animal").first
    sha256 = row.locator("[data-copy]").get_attribute("data-copy")
    with page.expect_download() as download:
        row.get_by_role("link", name="Download").click()
    file = tmp_path / "module.zip"
    download.value.save_as(file)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == sha256
    zipfile.ZipFile(file).extractall(tmp_path / "module")
    config = json.loads((tmp_path / "module" / "config.json").read_text())
    assert config["intermediate_size"] < 512

    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "module")
    assert model.config.id2label[1] == "animal"


def test_a_model_and_data_of_ones_own_are_uploaded_and_become_a_module(
    visit: Visit, client: Client, tmp_path: Path
) -> None:
    model, data = ones_own(tmp_path)
    page = visit.go("/models")
    page.get_by_label("File").set_input_files(model)
    page.get_by_role("button", name="Upload").click()
    page.wait_for_url("**/models/mdl_*")
    page.get_by_role("heading", name="my-model").wait_for()
    registered = page.url.rpartition("/")[2]
    page = visit.go("/datasets")
    page.get_by_label("File").set_input_files(data)
    page.get_by_label("Text column", exact=True).fill("definition")
    page.get_by_label("Label column", exact=True).fill("kind")
    page.get_by_role("button", name="Upload").click()
    page.wait_for_url("**/datasets/dst_*")
    page.get_by_role("link", name="New job with it").click()
    page.get_by_label("Model", exact=True).fill(registered)
    page.get_by_label("Model", exact=True).press("Enter")
    page.get_by_role("checkbox", name="animal").check()
    page.locator("#plan").get_by_text("1 module", exact=True).wait_for()
    visit.keep("new-job-own")
    page.get_by_role("button", name="Start the job").click()
    page.get_by_role("heading", name="my-model").wait_for()
    page.locator("#job[data-state=succeeded]").wait_for(timeout=JOB_MS)
    job = client.job(page.url.rpartition("/")[2])
    assert (job.spec.model, job.resolved.dataset and job.resolved.dataset.name) == (registered, "things")


def test_data_that_cannot_be_read_is_told_where_it_was_chosen(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "things.csv").write_text("definition,kind\na hare,animal\n")
    page = visit.go("/datasets")
    page.get_by_label("File").set_input_files(tmp_path / "things.csv")
    page.get_by_role("button", name="Upload").click()
    page.locator("#upload-fault").get_by_text("Columns: definition, kind.").wait_for()


def ones_own(folder: Path) -> tuple[Path, Path]:
    """A zip of a model folder, and a table of texts and labels whose columns have no usual names."""
    model, data = folder / "my-model.zip", folder / "things.csv"
    with zipfile.ZipFile(model, "w") as archive:
        for path in sorted(DEMO_MODEL.iterdir()):
            archive.write(path, f"my-model/{path.name}")
    things = [(f"{kind} number {number}", label) for label, kind in KINDS.items() for number in range(20)]
    data.write_text("definition,kind\n" + "".join(f"{text},{label}\n" for text, label in things))
    return model, data


def test_a_module_is_tried_beside_its_base(visit: Visit, client: Client, watched: Watched) -> None:
    module = next(one for one in client.modules(watched.job.id) if one.concern.label == "animal")
    page = visit.go(f"/modules/{module.id}")
    page.get_by_label("Texts").fill("small furry mammal with long ears that lives in a burrow")
    page.get_by_role("button", name="Ask both").click()
    page.get_by_text("Both say animal.").wait_for()
    assert page.locator(".likely").count() == 2
    visit.keep("tried")
    page.get_by_label("Texts").fill("sweet baked dish of fruit and flour")
    began = time.monotonic()
    page.get_by_role("button", name="Ask both").click()
    page.get_by_text("sweet baked dish", exact=False).and_(page.locator(".quoted")).wait_for()
    assert time.monotonic() - began < TRY_SECONDS


def test_a_running_job_is_cancelled_on_its_page_and_is_seen_to_stop(visit: Visit, client: Client) -> None:
    job = client.submit(LONG)
    page = visit.go(f"/jobs/{job.id}")
    page.get_by_role("button", name="Cancel").click()
    page.locator("#job[data-state=cancelled]").wait_for()
    page.get_by_role("button", name="Retry").wait_for()
    assert client.job(job.id).state == "cancelled"
    visit.keep("job-cancelled")


def test_the_list_shows_a_new_job_by_itself(visit: Visit, client: Client, watched: Watched) -> None:
    page = visit.go("/")
    job = client.submit(LONG)
    page.locator(f"#link-{job.id}").wait_for()
    client.cancel(job.id)
    page.get_by_label("State").select_option("succeeded")
    page.locator(f"#link-{job.id}").wait_for(state="detached")
    assert page.locator(f"#link-{watched.job.id}").count() == 1


def test_a_bad_spec_is_told_at_its_field_before_and_after_it_is_sent(visit: Visit, client: Client) -> None:
    jobs = len(list(client.jobs()))
    page = visit.go("/jobs/new")
    ratio = page.get_by_label("Ratio", exact=True)
    ratio.fill("2")
    ratio.press("Enter")
    page.locator("#plan").get_by_text("Fix these first").wait_for()
    assert ratio.get_attribute("aria-invalid") == "true"
    page.get_by_role("button", name="Start the job").click()
    page.locator("#field-ratio-fault", has_text="less than 1").wait_for()
    assert len(list(client.jobs())) == jobs
    visit.keep("new-job-faults")


def test_what_is_not_there_is_a_page_with_a_way_back(visit: Visit) -> None:
    page = visit.go("/jobs/job_00000000000000000000000000")
    page.get_by_role("heading", name="Not found").wait_for()
    visit.keep("not-found")
    page.get_by_role("link", name="All jobs").click()
    page.get_by_role("heading", name="Jobs").wait_for()


def test_modules_are_compared_by_ticking_them(visit: Visit, watched: Watched) -> None:
    page = visit.go("/compare")
    offer = page.locator("#choose details").filter(has_text="0.6")  # the one job with two ratios
    if offer.get_attribute("open") is None:
        offer.locator("summary").click()
    offer.get_by_role("button", name="All of them").click()
    page.get_by_role("heading", name="4 chosen").wait_for()
    page.locator("#compared canvas").wait_for()
    assert page.url.count("module=") == 4
    visit.keep("compare")


def test_the_api_can_be_read_without_another_host(visit: Visit) -> None:
    page = visit.go("/docs")
    page.get_by_text("/v1/jobs/{job_id}/cancel").first.wait_for()
    visit.keep("api")


def test_colours_follow_the_system_until_they_are_chosen(visit: Visit) -> None:
    page = visit.go("/")
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(paper)
    assert light != dark
    page.get_by_role("button", name="Colours").click()
    assert page.evaluate(paper) == light
    page.reload()
    assert page.evaluate(paper) == light


def test_the_keyboard_is_enough(visit: Visit, watched: Watched) -> None:
    page = visit.go("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.locator(f"#link-{watched.job.id}").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/jobs/{watched.job.id}")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_page_has_a_barrier_or_is_wider_than_a_phone(
    browser: Any,
    service: Service,
    watched: Watched,
    client: Client,
    scheme: str,
) -> None:
    from tests.web.browsing import PHONE, WIDE, visiting

    module = next(iter(client.modules(watched.job.id))).id
    model, dataset = watched.job.spec.model, watched.job.spec.source.ref
    places = {
        "jobs": "/",
        "new": "/jobs/new",
        "job": f"/jobs/{watched.job.id}",
        "module": f"/modules/{module}",
        "compare": f"/compare?module={module}",
        "models": "/models",
        "model": f"/models/{model}",
        "datasets": "/datasets",
        "dataset": f"/datasets/{dataset}",
        "error": "/jobs/none",
    }
    found = {}
    for width in (WIDE, PHONE):
        with visiting(browser, service.url, width=width, scheme=scheme) as visit:
            for name, place in places.items():
                page = visit.go(place)
                visit.keep(f"{name}-{scheme}-{width}")
                found[name, width] = visit.barriers() if width == PHONE else []
                if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                    found[name, width].append("wider than the window")
    assert not {where: what for where, what in found.items() if what}
