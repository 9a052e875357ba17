"""What the front page says of who may see it, of what comes next, and of which code it was."""

import json

import numpy as np
import pandas as pd
import pytest

from nbkit.contract import ColumnRule, Contract
from nbkit.problem import Problem
from nbkit.record import Git, RunRecord, StageRecord, Surroundings
from nbkit.registry import read_card
from nbkit.report import read_overview, write_report
from nbkit.report.scraps import describe_code
from tests.page_checks import check_page
from tests.test_cli_run import nbkit
from tests.test_report_overview import GATES, VERDICTS, judged
from tests.test_report_since import look

SCORES = pd.DataFrame({"value": [41.6, 0.7], "low": [37.0, 0.6], "high": [47.0, 0.8]}, index=pd.Index(["mae", "r2"], name="metric"))  # fmt: skip
SPLITS = pd.DataFrame({"split": ["train", "valid", "test", "a", "b"], "rows": [9, 9, 9, 5, 44]})
WRITTEN = {"audience": "The clinic.", "human_oversight": "A physician\ndecides."}


def make(project, card=WRITTEN, gates=GATES, personal=True, **more):
    frame = {"objective": "x", "owner": "The head", "card": read_card(card), "problem": Problem("y", "regression")}
    values = {
        "01_frame": frame,
        "02_ingest": {"splits": SPLITS},
        "03_validate": {"contract": Contract((ColumnRule("age", personal=personal),))},
        "09_register": {"gates": gates, "version": "toy@3", "digest": "abc"},
        **more,
    }
    return judged(project, **values)


OPEN = GATES.assign(passed=[True, False], blocking=[True, False])


def test_what_comes_next_is_told_line_by_line(project):
    o = make(project, gates=OPEN, **{"07_evaluate": {"verdicts": VERDICTS, "scores": SCORES}})
    assert o.verdict == "APPROVE WITH CONDITIONS"
    assert o.ahead.values.tolist() == [
        ["Conditions", "The head: settle the condition above, or stand by it."],
        ["Fallback", "A physician decides."],
        ["Rollback", "nbkit rollback toy --by NAME --why REASON puts the version back that was in production before; where none was, the fallback holds."],
        ["Train again", "When mean absolute error (MAE) is worse than 41.6 by more than 2.1 and beyond chance in a window, or a criterion fails there: nbkit run params/toy.yaml"],
        ["Look next", "Window a (5 rows): nbkit monitor params/toy.yaml --window a"],
    ]  # fmt: skip
    page = check_page(write_report(project / "runs" / "toy-1").read_text())
    assert "The head: settle the condition above" in page.text
    assert "Who may see it: The clinic. Marked personal: 1 column, of which no single value is shown." in page.text


def test_a_loss_that_no_single_window_can_show_is_said(project):
    """Two windows of as many rows: the loss that is seen in 4 of 5 cases, from the interval of one score."""
    o = make(project, **{"07_evaluate": {"verdicts": VERDICTS, "scores": SCORES.assign(n=80)}})
    told = dict(o.ahead.to_numpy())
    assert told["What a window shows"] == (
        "With 80 rows a loss of 11 or more is seen in 4 of 5 cases; a smaller one takes several windows together."
    )
    error = (47.0 - 37.0) / 2 / 1.96
    drawn = np.random.default_rng(0).normal(11.4, error * 2**0.5, 20_000) / (error * 2**0.5)
    assert np.mean(drawn > 2.326) == pytest.approx(0.8, abs=0.02)


def test_a_window_that_was_looked_at_is_not_the_next_and_asks_for_what_it_found(project):
    make(project, **{"07_evaluate": {"verdicts": VERDICTS, "scores": SCORES}})
    look(project, "toy-monitor-a", "a", "retrain")
    told = dict(read_overview(project / "runs" / "toy-1").ahead.to_numpy())
    assert told["Look next"].startswith("Window b (44 rows)")
    assert told["Train again"].startswith("The monitor asks for it now, for a. When mean")


def test_what_has_no_answer_is_left_out_and_a_rejected_model_has_no_next(project):
    assert make(project, {}, **{"02_ingest": {}}).ahead["what"].tolist() == ["Rollback"]
    shut = GATES.assign(passed=False, blocking=True)
    assert len(make(project, gates=shut).ahead) == 0
    assert 'id="next"' not in write_report(project / "runs" / "toy-1").read_text()


@pytest.mark.parametrize(
    ("card", "personal", "told"),
    [
        ({}, False, "Who may see it: not stated (a person writes it in 01: card.audience). No column is marked personal. 07_evaluate shows single rows as examples."),
        ({"audience": "Anyone."}, True, "Who may see it: Anyone. Marked personal: 1 column, of which no single value is shown. 07_evaluate shows single rows as examples."),
    ],
)  # fmt: skip
def test_who_may_see_it_is_said_on_the_page_and_before_it_is_sent(project, tmp_path, card, personal, told):
    assert make(project, card, personal=personal).audience == told
    done = nbkit("report", "toy-1", "--single-file", "-o", str(tmp_path / "a.html"))
    assert done.stdout == f"{tmp_path / 'a.html'}\n"
    assert told in done.stderr
    assert told in check_page((tmp_path / "a.html").read_text()).text


RAN = [StageRecord("01_frame", "passed", code="a"), StageRecord("02_ingest", "passed", code="b")]


@pytest.mark.parametrize(
    ("git", "stages", "told"),
    [
        (Git(), [], "not in git"),
        (Git(), RAN, "not in git, sha256 {own} of the stages"),
        (Git("c" * 40, dirty=False), RAN, "cccccccccccc"),
        (Git("c" * 40, dirty=True), [], "cccccccccccc with changes"),
        (Git("c" * 40, dirty=True, changed=3), RAN, "cccccccccccc, 3 files changed since the commit, sha256 {own} of the stages"),
        (Git("c" * 40), RAN, "cccccccccccc, git did not say in time whether with changes, sha256 {own} of the stages"),
    ],
)  # fmt: skip
def test_the_code_is_named_by_commit_or_digest(git, stages, told):
    record = RunRecord(stages=stages, modules={"kit": "1"}, surroundings=Surroundings(git=git))
    assert describe_code(record) == told.format(own=record.code[:12])
    assert record.code != RunRecord(stages=stages, modules={"kit": "2"}).code or not stages


def test_a_run_that_was_gone_on_with_names_its_own_command_and_when(project):
    make(project)
    path = project / "runs" / "toy-1" / "run.json"
    manifest = json.loads(path.read_text()) | {"resumed": [{"at": "2026-01-03T04:05:06.789+00:00"}]}
    path.write_text(json.dumps(manifest))
    facts = dict(read_overview(path.parent).facts.to_numpy())
    assert facts["Command"] == "nbkit run params/toy.yaml, resumed 2026-01-03 04:05"
