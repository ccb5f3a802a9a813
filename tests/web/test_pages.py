"""Pages as the server sends them: what they hold, what they refuse, and that nothing on them comes from elsewhere."""

from __future__ import annotations

import csv
import io
import re

import pytest
from fastapi.testclient import TestClient

from app.services.backend import Backend
from tests import work

PERSON = {"Accept": "text/html,application/xhtml+xml"}
MODEL, DATASET = work.DEMO["model"], work.DEMO["dataset"]
PLACES = ("/", "/jobs/new", "/compare", "/models", "/datasets", f"/models/{MODEL}", f"/datasets/{DATASET}", "/docs")


def first_module(api: TestClient, job_id: str) -> str:
    return str(api.get(f"/v1/jobs/{job_id}/modules").json()["data"][0]["id"])


@pytest.mark.parametrize("place", PLACES)
def test_a_page_loads_nothing_from_elsewhere_and_runs_nothing_inline(api: TestClient, place: str) -> None:
    answer = api.get(place, headers=PERSON)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=\"(?:https?:)?//", answer.text)
    assert not re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", answer.text)


@pytest.mark.parametrize("place", PLACES)
def test_every_file_that_a_page_names_is_there_and_may_be_kept_for_good(api: TestClient, place: str) -> None:
    files = re.findall(r"(?:src|href)=\"(/static/[^\"]+)\"", api.get(place, headers=PERSON).text)
    assert len(files) >= 6
    for file in files:
        answer = api.get(file)
        assert answer.status_code == 200, file
        assert "immutable" in answer.headers["cache-control"]


def test_everything_vendored_comes_with_its_licence(api: TestClient) -> None:
    for licence in ("htmx/LICENSE", "uplot/LICENSE", "swagger-ui/LICENSE", "fonts/instrument-sans.LICENSE"):
        assert len(api.get(f"/static/vendor/{licence}").text) > 500


def test_without_a_job_the_list_tells_how_to_begin(api: TestClient) -> None:
    assert "Nothing has been decomposed yet" in api.get("/").text


def test_the_list_shows_jobs_and_filters_them(api: TestClient, finished: str) -> None:
    assert f'href="/jobs/{finished}"' in api.get("/").text
    assert f'href="/jobs/{finished}"' in api.get("/?state=succeeded&model=&method=ci&label=team=lexicon").text
    for query in ("state=failed", "method=wanda", "label=team=other"):
        assert finished not in api.get(f"/?{query}").text


def test_a_job_shows_its_results_and_every_link_to_data_works(api: TestClient, finished: str) -> None:
    text = api.get(f"/jobs/{finished}").text
    assert "bert-tiny-wordnet" in text
    assert ">0.900<" in text
    assert tables_linked_from(api, text) >= 2


def tables_linked_from(api: TestClient, text: str) -> int:
    """How many CSV files a page links; each is a table."""
    links = re.findall(r"href=\"(/(?:jobs|modules)/[^\"]+\.csv[^\"]*)\"", text)
    for link in links:
        answer = api.get(link.replace("&amp;", "&"))
        assert answer.headers["content-type"].startswith("text/csv")
        rows = list(csv.reader(io.StringIO(answer.text)))
        assert {len(row) for row in rows} == {len(rows[0])}
    return len(links)


def test_the_table_is_sorted_by_the_address(api: TestClient, finished: str) -> None:
    def order(query: str) -> list[str]:
        table = api.get(f"/jobs/{finished}?{query}").text.partition("<tbody>")[2]
        return re.findall(r"/modules/\w+\">(act|animal)<", table)[:2]

    assert order("sort=f1") == ["animal", "act"]
    assert order("sort=f1&order=desc") == ["act", "animal"]
    assert 'aria-sort="descending"' in api.get(f"/jobs/{finished}?sort=f1&order=desc").text


def test_a_chart_that_is_not_there_is_a_page_that_says_so(api: TestClient, finished: str) -> None:
    answer = api.get(f"/jobs/{finished}/charts/curves.csv", headers=PERSON)
    assert (answer.status_code, "no chart" in answer.text) == (404, True)


def test_a_module_shows_its_card_and_offers_other_layouts(api: TestClient, finished: str) -> None:
    text = api.get(f"/modules/{first_module(api, finished)}").text
    assert "The part of bert-tiny-wordnet that the class act needs" in text
    assert "Make onnx" in text
    assert "from_pretrained" in text
    assert tables_linked_from(api, text) >= 3


def test_modules_of_any_jobs_are_compared_and_the_address_says_which(api: TestClient, finished: str) -> None:
    ids = [module["id"] for module in api.get(f"/v1/jobs/{finished}/modules").json()["data"]]
    query = "&".join(f"module={one}" for one in ids)
    assert "2 chosen" in api.get(f"/compare?{query}").text
    rows = list(csv.DictReader(io.StringIO(api.get(f"/compare.csv?{query}").text)))
    assert [row["module"] for row in rows] == ids
    assert api.get("/compare.csv").status_code == 404


def test_a_job_is_cancelled_retried_and_deleted_from_its_page(api: TestClient, backend: Backend) -> None:
    job_id = work.submit(backend)
    for action, state in (("cancel", "cancelled"), ("retry", "queued"), ("cancel", "cancelled")):
        answer = api.post(f"/jobs/{job_id}/{action}", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/jobs/{job_id}")
        assert api.get(f"/v1/jobs/{job_id}").json()["state"] == state
    assert api.post(f"/jobs/{job_id}/delete", follow_redirects=False).headers["location"] == "/"
    assert api.get(f"/v1/jobs/{job_id}").status_code == 404


def test_what_a_state_does_not_allow_is_a_page_that_says_why(api: TestClient, finished: str) -> None:
    answer = api.post(f"/jobs/{finished}/cancel", headers=PERSON)
    assert answer.status_code == 409
    assert "The job is succeeded" in answer.text


@pytest.mark.parametrize("place", ["/jobs/job_no", "/modules/mod_no", "/models/demo:none", "/nowhere"])
def test_what_is_not_there_is_a_page_for_people_and_a_problem_for_programs(api: TestClient, place: str) -> None:
    page, problem = api.get(place, headers=PERSON), api.get(place)
    assert (page.status_code, problem.status_code) == (404, 404)
    assert page.headers["content-type"].startswith("text/html")
    assert "content-security-policy" in page.headers
    assert problem.headers["content-type"] == "application/problem+json"


def test_what_callers_wrote_stays_text(api: TestClient, backend: Backend) -> None:
    job_id = work.submit(backend, labels={"note": "<script>alert(1)</script>"})
    for place in ("/", f"/jobs/{job_id}"):
        text = api.get(place).text
        assert "<script>alert" not in text
        assert "&lt;script&gt;" in text


def test_the_api_describes_no_pages(api: TestClient) -> None:
    paths = api.get("/openapi.json").json()["paths"]
    assert not [path for path in paths if not path.startswith(("/v1/", "/healthz", "/readyz", "/metrics"))]
