"""nbkit models, promote, rollback, serve: what is shown, and that no gate is passed by."""

import shutil
import socket
import subprocess
import sys

import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from nbkit.problem import Problem
from nbkit.registry import Registry, find_served, make_golden
from nbkit.report import write_report
from tests.test_cli_run import nbkit
from tests.test_report_overview import GATES, PASSED, VERDICTS, write_run

PROBLEM = Problem("y", positive=1)

X, Y = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0]}), [0, 0, 1, 1]
SCORES = pd.DataFrame(
    {"value": [0.756789], "low": [0.7], "high": [0.8], "n": [9], "better": "higher"},
    index=pd.Index(["roc_auc"], name="metric"),
)
WHO = ["--by", "ann", "--why", "it is better"]


def judge(passed):
    return pd.DataFrame(
        [("criteria_met", passed, True, "auc too low")], columns=["gate", "passed", "blocking", "detail"]
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Version 1 is on staging, 2 is a candidate, 3 failed its gate."""
    folder = tmp_path_factory.mktemp("made") / "registry"
    models = Registry(folder)
    for number, passed in ((1, True), (2, True), (3, False)):
        model = LogisticRegression(C=number).fit(X, Y)
        bundle = {"model": model, "golden": make_golden(model, X, PROBLEM)}
        models.register("toy", bundle, scores=SCORES, gates=judge(passed), by="ann", lineage={"run": f"toy-{number}"})
    for alias in ("candidate", "staging"):
        models.set_alias("toy", 1, alias)
    models.record_gates("toy@2", judge(True))
    models.set_alias("toy", 2, "candidate")
    return folder


@pytest.fixture
def registry(made, project):
    return Registry(shutil.copytree(made, project / "registry"))


@pytest.mark.parametrize(
    "words",
    [["models"], ["models", "toy"], ["promote", "toy@1", *WHO], ["rollback", "toy", *WHO]],
)
def test_without_a_registry_it_is_said_how_to_get_one(project, words):
    done = nbkit(*words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"there is no registry in {project / 'registry'} yet: `nbkit run PARAMS`" in done.stderr
    assert not (project / "registry").exists()


def test_models_are_listed_with_aliases_and_scores(registry):
    done = nbkit("models")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["name", "number", "state", "aliases", "created", "digest", "approved", "by", "scores"]
    assert [line.split()[:3] for line in lines[1:]] == [
        ["toy", "3", "draft"],
        ["toy", "2", "candidate"],
        ["toy", "1", "staging"],
    ]
    assert "ROC AUC 0.757" in lines[1]
    assert "nobody" in lines[3]
    nbkit("promote", "toy@1", *WHO)
    assert WHO[1] in nbkit("models").stdout.splitlines()[3]
    done = nbkit("models")
    assert nbkit("models", "toy").stdout == done.stdout


def test_a_version_is_shown_with_its_gates_and_files(registry):
    out = nbkit("models", "toy@3").stdout
    version = registry.get("toy@3")
    for words in (
        "toy@3: draft, aliases none",
        f"digest {version.digest}",
        "by ann, run toy-3",
        "criteria_met",
        "auc too low",
        "roc_auc",
        "model.skops",
    ):
        assert words in out
    assert "toy@1: staging, aliases staging" in nbkit("models", "toy@staging").stdout


def test_history_says_who_when_and_why(registry):
    nbkit("promote", "toy@1", *WHO)
    out = nbkit("models", "toy", "--history").stdout
    assert "promote" in out
    assert "it is better" in out
    assert nbkit("models", "--history").stdout == out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["models", "toi"], "did you mean 'toy'?"),
        (["models", "toy@9"], "toy has no version 9; there are 1, 2, 3 and the aliases candidate, staging"),
        (["models", "toy@stagin"], "did you mean 'staging'?"),
        (["promote", "toy@1"], "Missing option '--by'"),
        (["promote", "toy@1", "--by", " ", "--why", "x"], "by= is empty"),
        (["promote", "toi@1", *WHO], "did you mean 'toy'?"),
        (["promote", "toy@1", "7", *WHO], "an alias is a word"),
        (["promote", "toy", *WHO], "there are toy@1 (staging), toy@2 (candidate), toy@3 (draft)"),
        (["reject", "toy", *WHO], "say which version of toy to reject"),
        (["rollback", "toy", *WHO], "nothing to go back to: no version of 'toy' was in production before"),
        (["rollback", "toi", *WHO], "toi"),
    ],
)
def test_wrong_names_are_told(registry, words, told):
    done = nbkit(*words)
    assert done.exit_code == 2
    assert told in done.stderr
    assert registry.list()["state"].tolist() == ["draft", "candidate", "staging"]


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("toy@3", "gate 'criteria_met' is closed (auc too low)"),
        ("toy@2", "state candidate, not staging"),
    ],
)
def test_closed_gates_let_nothing_through(registry, version, told):
    before = registry.history()
    done = nbkit("promote", version, *WHO)
    assert (done.exit_code, done.stdout) == (3, "")
    assert told in done.stderr
    pd.testing.assert_frame_equal(registry.history(), before)


def test_open_gates_lead_to_production_and_back(registry):
    done = nbkit("promote", "toy@1", *WHO)
    assert done.exit_code == 0
    assert done.stdout.startswith("toy@1 is now production (")
    registry.set_alias("toy", 2, "staging")
    assert nbkit("promote", "toy@staging", *WHO).stdout.startswith("toy@2 is now production")
    assert registry.list()["state"].tolist() == ["draft", "production", "retired"]
    done = nbkit("rollback", "toy", *WHO)
    assert done.exit_code == 0
    assert done.stdout.startswith("toy@1 is in production again")
    assert registry.get("toy@production").number == 1
    assert registry.verify() == []


def test_a_second_promotion_says_who_made_the_first_and_records_nothing(registry):
    nbkit("promote", "toy@1", *WHO)
    before = registry.history()
    done = nbkit("promote", "toy@1", "--by", "bob", "--why", "again")
    today = before["time"].iloc[-1][:10]
    assert done.exit_code == 0
    assert done.stdout == f"toy@1 is already in production, approved for production by ann on {today}: it is better\n"
    pd.testing.assert_frame_equal(registry.history(), before)


def test_what_was_rejected_is_told_with_who_and_why(registry):
    nbkit("promote", "toy@1", *WHO)
    registry.set_alias("toy", 2, "staging")
    nbkit("promote", "toy@2", *WHO)
    nbkit("reject", "toy@1", "--by", "bob", "--why", "unfair")
    done = nbkit("rollback", "toy", *WHO)
    assert done.exit_code == 2
    assert "nothing to go back to: toy@1 was rejected by bob on 20" in done.stderr
    done = nbkit("promote", "toy@1", *WHO)
    assert done.exit_code == 3
    assert "it was rejected by bob on 20" in done.stderr
    assert ": unfair; register a new version" in done.stderr
    assert "application test" not in done.stderr


def test_what_was_rolled_back_is_nothing_to_go_back_to(registry):
    nbkit("promote", "toy@1", *WHO)
    registry.set_alias("toy", 2, "staging")
    nbkit("promote", "toy@2", *WHO)
    nbkit("rollback", "toy", *WHO)
    assert "nothing to go back to: toy@2 was rolled back" in nbkit("rollback", "toy", *WHO).stderr


def front_of(project, registry, number, gates=GATES):
    """Write the run that registered a version, with its report; return the front page."""
    version = registry.get(f"toy@{number}")
    values = {"version": version.reference, "digest": version.digest, "gates": gates}
    made = {"07_evaluate": {"verdicts": VERDICTS}, "09_register": values}
    return write_report(write_run(project, f"toy-{number}", stages=dict.fromkeys(made, PASSED), **made))


def test_the_front_pages_follow_each_move(registry, project):
    first, second = (front_of(project, registry, number) for number in (1, 2))
    registry.set_alias("toy", 1, "staging")
    nbkit("promote", "toy@1", *WHO)
    assert "toy@1 was approved for production by ann on 20" in first.read_text()
    assert "Nobody has approved toy@2 for production yet." in second.read_text()
    registry.set_alias("toy", 2, "staging")
    nbkit("promote", "toy@2", *WHO)
    assert "it is better; replaced by toy@2 by ann on 20" in first.read_text()
    nbkit("rollback", "toy", "--by", "bob", "--why", "late answers")
    assert "; brought back to production by bob on 20" in first.read_text()
    assert "toy@2 was approved for production by ann" in second.read_text()
    assert "; rolled back by bob on 20" in second.read_text()
    assert "✓ Approve" in second.read_text()
    nbkit("reject", "toy@2", "--by", "Zoë", "--why", "unfair")
    html = second.read_text()
    assert "✕ Reject" in html
    assert "<p>toy@2 was rejected by Zoë on 20" in html
    assert "; rejected by Zoë on 20" in html
    assert "Every criterion is met" not in html
    assert "✓ Approve" in first.read_text()


def test_the_conditions_of_the_verdict_are_printed_and_stay_with_the_approval(registry, project):
    front = front_of(project, registry, 1, GATES.assign(passed=[True, False], blocking=[True, False]))
    condition = "Gate beats_rule, which does not block: by far."
    done = nbkit("promote", "toy@1", *WHO)
    assert done.stdout.endswith(f"with 1 condition open, which the log has noted:\n- {condition}\n")
    assert registry.history("toy")["detail"].iloc[-1]["conditions"] == [condition]
    assert registry.verify() == []
    told = "toy@1 was approved for production by ann on 20"
    for text in (front.read_text(), nbkit("models", "toy@1").stdout, nbkit("lineage", "toy-1").stdout):
        assert told in text
        assert ", with 1 condition open: it is better" in text
    assert "conditions 1" in nbkit("models", "--history").stdout
    again = nbkit("promote", "toy@1", *WHO)
    assert "already in production" in again.stdout
    assert "which the log has noted" not in again.stdout


def test_an_approval_whose_run_is_gone_says_that_its_conditions_are_not_known(registry):
    done = nbkit("promote", "toy@1", *WHO)
    assert done.exit_code == 0
    assert "the conditions of toy@1 are not known, and none is noted: the run that registered toy@1" in done.stderr
    assert "conditions" not in registry.history("toy")["detail"].iloc[-1]


def test_a_move_holds_though_a_page_cannot_be_written(registry, project, monkeypatch):
    def fail(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr("nbkit.report.refresh_versions", fail, raising=False)
    done = nbkit("promote", "toy@1", *WHO)
    assert (done.exit_code, registry.get("toy@1").state) == (0, "production")
    assert "could not be written again: the disk is full; `nbkit report RUN` tries again" in done.stderr


def test_other_aliases_are_set_without_gates(registry):
    assert nbkit("promote", "toy@3", "shadow", *WHO).stdout.startswith("toy@3 is now shadow")
    assert registry.get("toy@shadow").number == 3


@pytest.mark.parametrize("alias", ["prodution", "Production", "stagin"])
def test_a_misspelt_alias_does_not_pass_by_the_gates(registry, alias):
    done = nbkit("promote", "toy@3", alias, *WHO)
    assert done.exit_code == 2
    assert "did you mean" in done.stderr
    assert not registry.get("toy@3").aliases


def test_a_registry_elsewhere_is_named(registry, project, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert nbkit("models").exit_code == 2
    assert "toy" in nbkit("models", "--registry", project / "registry").stdout


def test_a_taken_port_is_told(registry):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "nbkit", "serve", "toy@1", "--port", str(port)], capture_output=True, text=True
        )
    assert done.returncode == 2
    assert f"127.0.0.1:{port}: Address already in use; --port 0 takes a free port" in done.stderr


def test_only_a_version_that_is_named_or_in_production_is_served(registry):
    done = nbkit("serve", "toy", "--port", "0")
    assert done.exit_code == 2
    assert "no toy is in production: say which to serve; there are toy@1 (staging), toy@2" in done.stderr
    registry.promote("toy@1", by="ann", why="better")
    assert (find_served(registry, "toy").number, find_served(registry, "toy@2").number) == (1, 2)


@pytest.mark.parametrize("words", [["toi"], ["toy@9"]])
def test_serving_what_is_not_there_is_refused(registry, words):
    done = nbkit("serve", *words, "--port", "0")
    assert done.exit_code == 2
    assert words[0].partition("@")[0] in done.stderr


@pytest.mark.parametrize("words", [["models"], ["promote", "toy@1", *WHO], ["serve", "toy", "--port", "0"]])
def test_a_database_that_is_none_is_told_in_a_line(registry, project, words):
    (project / "registry" / "registry.db").write_bytes(b"not a database" * 400)
    done = nbkit(*words)
    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "registry.db cannot be opened: file is not a database" in done.stderr


OWN = """
from sklearn.base import BaseEstimator, TransformerMixin


class Double(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X[["a"]] * 2
"""


def test_a_model_that_needs_a_module_of_the_project_is_promoted_and_rolled_back_from_anywhere_in_it(
    project, monkeypatch
):
    (project / "params" / "trusted.txt").write_text("promoted_kit.Double\n")
    (project / "promoted_kit.py").write_text(OWN)
    with monkeypatch.context() as path:
        path.syspath_prepend(str(project))
        from promoted_kit import Double

        for C in (1, 2):
            model = make_pipeline(Double(), LogisticRegression(C=C)).fit(X, Y)
            bundle = {"model": model, "golden": make_golden(model, X, PROBLEM)}
            Registry(project / "registry").register("own", bundle, gates=judge(True), by="ann")
            for alias in ("candidate", "staging"):
                Registry(project / "registry").set_alias("own", C, alias)
            command = [sys.executable, "-m", "nbkit", "promote", f"own@{C}", *WHO]
            subprocess.run(command, cwd=project / "notebooks", check=True, capture_output=True)
    done = subprocess.run([sys.executable, "-m", "nbkit", "rollback", "own", *WHO], cwd=project / "notebooks", check=True,
                          capture_output=True, text=True)  # fmt: skip
    assert done.stdout.startswith("own@1 is in production again")
