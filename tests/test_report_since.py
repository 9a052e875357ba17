"""What the monitor has found since stands on the front page of the run that registered the version."""

import json
import shutil

import pandas as pd
import pytest

from nbkit.evaluation import read_criteria
from nbkit.problem import Problem
from nbkit.report import pages, read_overview, read_since, refresh_fronts, write_report
from nbkit.report.since import find_earlier
from tests.conftest import make_notebook
from tests.test_report_overview import GATES, PASSED, VERDICTS, write_run


@pytest.fixture
def registered(project):
    make_notebook(project / "notebooks" / "11_monitor.ipynb", nbkit={"cadence": "window"})
    return write_run(project, "toy-1", stages={"09_register": PASSED}, **{"09_register": {"digest": "abc"}})


def look(project, name, window, decision, digest="abc"):
    values = {"digest": digest, "window": window, "decision": decision, "headline": f"{window} says {decision}."}
    folder = write_run(project, name, stages={"11_monitor": PASSED}, **{"11_monitor": values})
    make_notebook(project / "notebooks" / "11_monitor.ipynb", nbkit={"cadence": "window"})
    return folder


def judged_on(project, name, started, criteria, data="d1", target="y", called="toy"):
    values = {
        "01_frame": {"criteria": read_criteria(criteria, "binary"), "problem": Problem(target)},
        "02_ingest": {"version": data, "test": pd.DataFrame({"x": [len(data.partition(" ")[0])]})},
        "07_evaluate": {"headline": "h", "verdicts": VERDICTS},
        "09_register": {"gates": GATES},
    }
    folder = write_run(project, name, stages=dict.fromkeys(values, PASSED), **values)
    known = json.loads((folder / "run.json").read_text())
    known |= {"started": started, "project": called}
    (folder / "run.json").write_text(json.dumps(known))
    return folder


def test_criteria_that_were_changed_after_the_verdict_are_told(project):
    first = judged_on(project, "one", "2026-01-01", {"ece": "<= 0.1"})
    judged_on(project, "elsewhere", "2026-01-02", {"ece": "<= 0.9"}, data="longer")
    judged_on(project, "another", "2026-01-02", {"ece": "<= 0.05"}, target="z")
    same = judged_on(project, "two", "2026-01-03", {"ece": "<= 0.1"})
    loosened = judged_on(project, "three", "2026-01-04", {"ece": "<= 0.25"})
    found = [[run.name for run in find_earlier(folder)] for folder in (first, same, loosened)]
    assert found == [[], ["one"], ["two", "one"]]
    assert "no earlier run was judged on these rows" in read_overview(first).judged
    assert (
        read_overview(same).judged
        == "1 earlier run was judged on these rows by the same criteria, which the intervals do not allow for."
    )
    assert read_overview(loosened).judged.startswith("These are not the criteria of two, which was judged")


@pytest.mark.parametrize("data", ["d1", "d1 with more columns"])
def test_the_rows_count_whatever_the_params_file_is_called(project, data):
    judged_on(project, "one", "2026-01-01", {"ece": "<= 0.1"})
    copied = judged_on(project, "copy", "2026-01-02", {"ece": "<= 0.1"}, data=data, called="copy")
    assert (
        read_overview(copied).judged
        == "1 earlier run was judged on these rows by the same criteria, which the intervals do not allow for."
    )


def test_a_bound_that_was_loosened_is_a_condition(project):
    strict = {"roc_auc": ">= 0.8", "ece": "<= 0.1", "gain": "brier < rule - 0.01"}
    judged_on(project, "one", "2026-01-01", strict)
    looser = {"roc_auc": ">= 0.75", "ece": "<= 0.05", "gain": "brier < rule"}
    o = read_overview(judged_on(project, "two", "2026-01-02", looser, called="copy"))
    after = "the bound was loosened after these rows had been judged."
    assert (o.verdict, o.conditions) == (
        "APPROVE WITH CONDITIONS",
        [
            f"ROC AUC was to be >= 0.8 in one (APPROVE), and is now to be >= 0.75: {after}",
            f"Brier score was to be < rule -0.01 in one (APPROVE), and is now to be < rule: {after}",
        ],
    )
    gone = read_overview(judged_on(project, "three", "2026-01-03", {**strict, "ece": "<= 0.2", "gain": "f1 > 0.1"}))
    assert [words.removesuffix(f": {after}") for words in gone.conditions] == [
        "Calibration error (ECE) was to be <= 0.05 in two (APPROVE WITH CONDITIONS), and is now to be <= 0.2",
        "Brier score was to be < rule -0.01 in one (APPROVE); this criterion was dropped after these rows had been judged.",
    ]
    back = judged_on(project, "four", "2026-01-04", {**strict, "ece": "<= 0.05", "f1": "> 0.1"})
    assert read_overview(back).verdict == "APPROVE"


def test_a_rule_that_was_stated_since_drops_no_criterion_but_one_that_was_given_up_does(project):
    """Without a rule, `> rule` is read as `> dummy`; who then states one was told to have dropped a criterion."""
    judged_on(project, "one", "2026-01-01", {"roc_auc": "> dummy"})
    assert read_overview(judged_on(project, "two", "2026-01-02", {"roc_auc": "> rule"})).conditions == []
    (told,) = read_overview(judged_on(project, "three", "2026-01-03", {"roc_auc": "> dummy"})).conditions
    assert told.startswith("ROC AUC was to be > rule in two (APPROVE); this criterion was dropped")


def test_a_threshold_that_a_person_has_set_after_the_rows_were_judged_is_a_condition(project):
    first = judged_on(project, "one", "2026-01-01", {"ece": "<= 0.1"})
    second = judged_on(project, "two", "2026-01-02", {"ece": "<= 0.1"})
    known = json.loads((second / "run.json").read_text()) | {"parameters": {"07_evaluate": {"threshold": 0.2}}}
    (second / "run.json").write_text(json.dumps(known))
    assert read_overview(first).conditions == []
    assert read_overview(second).conditions == [
        "A person has set the threshold to 0.2 after these rows had been judged at another in one."
    ]
    shutil.rmtree(first)
    assert read_overview(second).conditions == []


def test_nothing_is_told_before_the_monitor_has_looked(project, registered):
    assert read_since(registered).empty
    o = read_overview(registered)
    assert o.stages.set_index("title").at["11_monitor", "status"] == "not part of this run"


def test_each_window_is_told_by_its_latest_look(project, registered):
    look(project, "toy-monitor-b", "b", "retrain")
    look(project, "toy-monitor-a", "a", "retrain")
    look(project, "toy-monitor-a-2", "a", "ok")
    look(project, "other-monitor-c", "c", "retrain", digest="xyz")
    found = read_since(registered)
    assert found[["window", "decision", "run"]].values.tolist() == [
        ["a", "ok", "toy-monitor-a-2"],
        ["b", "retrain", "toy-monitor-b"],
    ]
    assert read_overview(registered).since["decision"].tolist() == ["ok", "retrain"]
    row = read_overview(registered).stages.set_index("title").loc["11_monitor"]
    assert (row["status"], row["headline"]) == ("retrain", "2 windows of new rows so far. b says retrain.")


def test_the_front_page_follows_a_look(project, registered):
    page = write_report(registered)
    assert "How it has done since" not in page.read_text()
    refresh_fronts(registered)  # a run of the pipeline concerns no other
    refresh_fronts(look(project, "toy-monitor-<a>", "<a>", "look"))
    html = page.read_text()
    assert '<a href="window_1.html">&lt;a&gt;</a>' in html
    last = max(page.parent.glob("[01]*.html"))
    assert '<a href="window_1.html">11_monitor: &lt;a&gt; →</a>' in last.read_text()
    assert f'<a href="{last.name}">← ' in (page.parent / "window_1.html").read_text()
    assert "■ needs review" in html


def test_a_window_is_called_by_the_title_of_its_notebook_and_no_page_is_rendered_twice(
    project, registered, monkeypatch
):
    rendered, render = [], pages.render_stage
    monkeypatch.setattr(pages, "render_stage", lambda *given: rendered.append(given[1]["page"]) or render(*given))
    monitor = look(project, "toy-monitor-b", "b", "ok")
    notebook = json.loads((monitor / "11_monitor.ipynb").read_text())
    notebook["cells"].insert(0, {"cell_type": "markdown", "id": "title", "metadata": {}, "source": "# 11 · Watch"})
    (monitor / "11_monitor.ipynb").write_text(json.dumps(notebook))
    page = write_report(registered)
    last = max(page.parent.glob("[01]*.html"))
    assert '<a href="window_1.html">11 · Watch: b →</a>' in last.read_text()
    assert "<h1>11 · Watch: b</h1>" in (page.parent / "window_1.html").read_text()
    assert sorted(rendered) == sorted(set(rendered))
    assert last.name in rendered
    rendered.clear()
    refresh_fronts(monitor)
    assert sorted(rendered) == [last.name, "window_1.html"]


def test_a_run_that_registered_nothing_has_no_since(project):
    folder = write_run(project, "toy-2", stages={"01_frame": PASSED}, **{"01_frame": {"objective": "x"}})
    look(project, "toy-monitor-a", "a", "ok", digest="")
    assert read_since(folder).empty
    refresh_fronts(project / "runs" / "toy-monitor-a")
    assert not (folder / "report").exists()
