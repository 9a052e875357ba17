"""nbkit models, promote, rollback, serve: what is shown, and that no gate is passed by."""

import shutil
import socket
import subprocess
import sys

import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from nbkit.registry import Registry, make_golden
from tests.test_cli_run import nbkit

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
        bundle = {"model": model, "golden": make_golden(model, X, task="binary", positive=1)}
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
    assert lines[0].split() == ["name", "number", "state", "aliases", "created", "digest", "scores"]
    assert [line.split()[:3] for line in lines[1:]] == [
        ["toy", "3", "draft"],
        ["toy", "2", "candidate"],
        ["toy", "1", "staging"],
    ]
    assert "roc_auc 0.7568" in lines[1]
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
        (["models", "toy@9"], "no version of 'toy' '9'"),
        (["models", "toy@stagin"], "did you mean 'staging'?"),
        (["promote", "toy@1"], "Missing option '--by'"),
        (["promote", "toy@1", "--by", " ", "--why", "x"], "by= is empty"),
        (["promote", "toi@1", *WHO], "did you mean 'toy'?"),
        (["promote", "toy@1", "7", *WHO], "an alias is a word"),
        (["rollback", "toy", *WHO], "nothing to go back to"),
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
        ("toy@3", "gate 'criteria_met' failed (auc too low)"),
        ("toy@2", "state candidate, not staging"),
        ("toy", "auc too low"),
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
