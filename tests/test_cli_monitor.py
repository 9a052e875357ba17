"""nbkit monitor without kernels: one run a window, and an exit code that asks for a person."""

import json

import pytest

from tests.conftest import make_notebook
from tests.pipeline_helpers import Ended
from tests.test_cli_run import fake, nbkit, toy  # noqa: F401 - fixtures

CELL = 'run_dir: str = "."  # folder\nwindow: str = ""  # name of the window\nsource: str = ""  # rows\nregistry: str = "registry"  # where\nname: str = "toy"  # what\nversion: str = ""  # which'


WINDOWS = ["a", "b", "2013", "2013-07"]


@pytest.fixture
def watch(toy, fake, monkeypatch):  # noqa: F811
    """Four windows; what is decided is set in the returned dictionary."""
    make_notebook(toy / "notebooks" / "11_monitor.ipynb", nbkit={"cadence": "window"}, parameters=CELL)
    monkeypatch.setattr("nbkit.cli.monitor._list_windows", lambda *_: list(WINDOWS))

    def decide(decision):
        fake["11_monitor"] = {"decision": decision, "headline": f"We say {decision}."}

    decide("ok")
    return decide


@pytest.mark.parametrize(("decision", "code"), [("ok", 0), ("look", 0), ("inconclusive", 0), ("retrain", 3)])
def test_a_decision_is_an_exit_code(toy, watch, decision, code):  # noqa: F811
    watch(decision)
    done = nbkit("monitor", "params/toy.yaml", "--window", "2013-07")
    assert done.exit_code == code
    assert f"We say {decision}." in done.stdout
    folder = toy / "runs" / "toy-monitor-2013-07"
    manifest = json.loads((folder / "run.json").read_text())
    assert manifest["parameters"]["11_monitor"]["window"] == "2013-07"
    assert [entry["stage"] for entry in manifest["stages"]] == ["11_monitor"]
    assert decision.upper() in (folder / "report" / "index.html").read_text()


def test_every_window_is_a_run_of_its_own(toy, watch):  # noqa: F811
    done = nbkit("monitor", "params/toy.yaml", "--all", "--json")
    assert done.exit_code == 0
    rows = json.loads(done.stdout)
    assert [(row["window"], row["run"], row["decision"]) for row in rows] == [
        (name, f"toy-monitor-{name}", "ok") for name in WINDOWS
    ]
    table = nbkit("monitor", "params/toy.yaml", "--window", "a", "--window", "b").stdout.splitlines()
    assert [line.split()[:2] for line in table[-3:]] == [["window", "decision"], ["a", "ok"], ["b", "ok"]]
    assert (toy / "runs" / "toy-monitor-a-2").is_dir()


def test_a_window_that_was_judged_is_not_judged_again_by_resume(toy, watch):  # noqa: F811
    assert nbkit("monitor", "params/toy.yaml", "--window", "a").exit_code == 0
    done = nbkit("resume")
    assert done.exit_code == 2
    assert "nothing is left to do: every stage of toy-monitor-a passed" in done.stderr


def test_windows_are_listed_without_a_run(toy, watch):  # noqa: F811
    assert nbkit("monitor", "params/toy.yaml", "--list").stdout == "a\nb\n2013\n2013-07\n"
    assert not (toy / "runs").exists()


def test_without_a_name_the_window_of_the_params_is_taken_or_the_first(toy, watch):  # noqa: F811
    assert nbkit("monitor", "params/toy.yaml").exit_code == 0
    assert (toy / "runs" / "toy-monitor-a").is_dir()
    assert nbkit("monitor", "params/toy.yaml", "--set", "11_monitor.window=b").exit_code == 0
    assert (toy / "runs" / "toy-monitor-b").is_dir()


def test_rows_of_a_source_may_be_called_anything(toy, watch):  # noqa: F811
    source = ("--set", "11_monitor.source=new.csv")
    assert nbkit("monitor", "params/toy.yaml", *source, "--window", "today").exit_code == 0
    assert nbkit("monitor", "params/toy.yaml", *source).exit_code == 0
    assert {folder.name for folder in (toy / "runs").iterdir()} == {"toy-monitor-today", "toy-monitor-first"}


def test_a_name_that_looks_like_a_number_stays_a_name(toy, watch):  # noqa: F811
    assert nbkit("monitor", "params/toy.yaml", "--window", "2013").exit_code == 0


def test_one_that_fails_is_worse_than_one_that_asks(toy, watch, fake, monkeypatch):  # noqa: F811
    fake["11_monitor"] = Ended("failed", "error", "no rows", 2)
    done = nbkit("monitor", "params/toy.yaml", "--all", "--json")
    assert done.exit_code == 1
    assert {row["decision"] for row in json.loads(done.stdout)} == {"failed"}


def test_an_interrupt_ends_them_all(toy, watch, fake):  # noqa: F811
    fake["11_monitor"] = Ended("interrupted", "interrupt", "Ctrl-C", 2)
    assert nbkit("monitor", "params/toy.yaml", "--all").exit_code == 130
    assert len(list((toy / "runs").iterdir())) == 1


def test_the_pipeline_need_not_have_run(toy, watch):  # noqa: F811
    (toy / "notebooks" / "01_first.ipynb").unlink()
    (toy / "notebooks" / "02_second.ipynb").unlink()
    (toy / "params" / "toy.yaml").write_text("")
    assert nbkit("monitor", "params/toy.yaml", "--window", "a").exit_code == 0


def test_an_unknown_window_is_refused_before_anything_runs(toy, watch):  # noqa: F811
    done = nbkit("monitor", "params/toy.yaml", "--window", "a", "--window", "2013-70")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "no window '2013-70'; did you mean '2013-07'? There are a, b, 2013, 2013-07" in done.stderr
    assert not (toy / "runs").exists()


def test_without_a_registry_no_window_is_known(toy):  # noqa: F811
    make_notebook(toy / "notebooks" / "11_monitor.ipynb", nbkit={"cadence": "window"}, parameters=CELL)
    done = nbkit("monitor", "params/toy.yaml", "--list")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "there is no registry" in done.stderr
    assert not (toy / "registry").exists()
