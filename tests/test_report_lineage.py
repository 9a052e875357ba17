"""The lineage of a run and of a version, with digests, and what rests on data, forwards."""

import json
import shutil

import pandas as pd
import pytest

from nbkit.registry import Registry
from nbkit.report import read_lineage, write_lineage, write_report
from nbkit.scraps import read_scraps
from tests.page_checks import check_page
from tests.registry_helpers import SCORES, bundle
from tests.test_cli_run import nbkit
from tests.test_report_overview import GATES, PASSED, write_run
from tests.test_report_pages import EVIL
from tests.test_report_since import look

TITLES = ["Sources", "Query", "Snapshot", "Splits", "Recipe", "Model", "Version", "Service", "Windows"]
SHA = "0123456789abcdef" * 4


def make_run(project, name="toy-1", query="SELECT *\nFROM f -- <b>", source="f", digest="abc"):
    files = pd.DataFrame({"path": ["model.skops"], "bytes": [5613], "sha256": ["b" * 64]})
    values = {
        "02_ingest": {
            "version": "c" * 64,
            "ingest": {"query": query, "sources": {source: "f.csv"}},
            "sources": pd.DataFrame({"name": [source], "location": [f"{source}.csv"], "rows": [442], "sha256": [SHA]}),
            "exclusions": pd.DataFrame({"what": "WHERE y", "sentence": ["7 rows left out by WHERE y: they are old"]}),
            "splits": pd.DataFrame({"split": ["train", "test", "2013-06"], "rows": [300, 100, 42]}),
            "train": pd.DataFrame({"x": [1]}),
            "window_2013-06": pd.DataFrame({"x": [2]}),
        },
        "05_features": {"catalogue": pd.DataFrame({"feature": ["a", "b"]})},
        "06_train": {"model": pd.DataFrame({"m": [1]})},
        "09_register": {"version": "toy@1", "digest": digest, "files": files, "gates": GATES, "algorithm": "Ridge()"},
        "10_deploy": {"headline": "toy@1 answers."},
    }
    return write_run(project, name, stages=dict.fromkeys(["01_frame", *values], PASSED), **{"01_frame": {}, **values})


def test_every_step_is_there_in_order_with_its_digest(project):
    folder = make_run(project)
    look(project, "toy-monitor-a", "a", "look")
    steps = read_lineage(folder)
    assert [step.title for step in steps] == TITLES
    known = {step.title: step for step in steps}
    assert [step.said for step in steps] == ["1 source", "442 rows from 1 source, without those below.", "442 rows set apart", "3 parts", "2 features", "Ridge()", "toy@1", "toy@1 answers.", "1 window"]  # fmt: skip
    scraps = read_scraps(folder / "02_ingest.ipynb")
    assert [part["digest"] for part in known["Splits"].parts] == [
        scraps["train"]["value"]["sha256"], "", scraps["window_2013-06"]["value"]["sha256"],
    ]  # fmt: skip
    assert known["Model"].digest == read_scraps(folder / "06_train.ipynb")["model"]["value"]["sha256"]
    assert (known["Version"].digest, known["Version"].parts[0]["fact"]) == ("abc", "5,613 bytes")
    assert known["Windows"].parts[0]["page"] == "window_1.html"


def test_the_page_shows_the_query_and_leads_to_the_windows(project):
    folder = make_run(project, source=EVIL)
    look(project, "toy-monitor-a", "a", "look")
    page = check_page((write_report(folder).parent / "lineage.html").read_text())
    assert "SELECT * FROM f -- <b>" in page.text
    assert EVIL in page.text
    assert "window_1.html" in [attrs.get("href") for attrs in page.all("a")]
    assert "0123456789abcdef" in page.text


def test_what_a_run_did_not_come_to_is_said(project):
    folder = write_run(project, status="failed", stages={"01_frame": PASSED}, **{"01_frame": {}})
    assert write_lineage(read_lineage(folder)).splitlines() == [f"{title}: not part of this run" for title in TITLES]
    page = check_page((write_report(folder).parent / "lineage.html").read_text())
    assert page.text.count("The run did not come to this.") == len(TITLES)
    assert page.all("table") == []


def test_the_command_tells_it_as_text_and_as_json(project):
    make_run(project)
    text = nbkit("lineage", "toy-1").stdout
    assert (
        "Sources: 1 source\n    f: f.csv, 442 rows [0123456789ab]\nQuery: 442 rows from 1 source, without those below.\n    SELECT *\n"
        in text
    )
    assert "\n    WHERE y: 7 rows left out by WHERE y: they are old\n" in text
    found = json.loads(nbkit("lineage", "toy-1", "--json").stdout)
    assert [step["title"] for step in found] == TITLES
    assert found[0]["parts"][0]["digest"] == SHA


@pytest.mark.parametrize("digest", [SHA[:6], SHA, "cccccc", SHA.upper()[:20]])
def test_what_rests_on_data_is_listed_with_its_versions_and_windows(project, digest):
    make_run(project)
    write_run(project, "other", stages={"02_ingest": PASSED}, **{"02_ingest": {"version": "f" * 64}})
    look(project, "toy-monitor-a", "a", "look")
    found = json.loads(nbkit("lineage", "--data", digest, "--json").stdout)
    assert [(row["run"], row["version"], row["windows"]) for row in found] == [("toy-1", "toy@1", ["a (look)"])]
    assert found[0]["through"] == (["Snapshot"] if digest == "cccccc" else ["Sources: f"])
    assert "a (look)" in nbkit("lineage", "--data", digest).stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--data", "abc"], "too short for a digest"),
        (["--data", "abcdef"], "no run in"),
        ([], "name a RUN or NAME@VERSION, or give --data"),
        (["toy-1", "--data", "abcdef"], "one of them"),
        (["toyy"], "did you mean 'toy-1'?"),
        (["toy@1"], "there is no registry"),
    ],
)
def test_what_cannot_be_found_is_told(project, words, told):
    make_run(project)
    done = nbkit("lineage", *words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert told in done.stderr


def test_a_version_leads_to_its_run_and_where_that_is_gone_to_what_the_registry_noted(project):
    version = Registry(project / "registry").register(
        "toy", bundle(), scores=SCORES, gates=GATES, lineage={"run": "toy-1"}
    )
    make_run(project, digest=version.digest)
    assert "Service: toy@1 answers." in nbkit("lineage", "toy@1").stdout
    shutil.rmtree(project / "runs")
    done = nbkit("lineage", "toy@1")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "the run that registered toy@1, toy-1, is not here any more: `nbkit models toy@1` shows" in done.stderr
