import json
import os
import time

import numpy as np
import pandas as pd
import pytest

from nbkit.errors import CorruptArtifact, MissingScrap, UnfinishedStage, UnknownStage
from nbkit.run import Run
from nbkit.scraps import STORE, read_scraps, read_value
from tests.conftest import glue, make_notebook

TABLE = pd.DataFrame({"a": [1, 2], "b": ["x", None]})


@pytest.fixture
def batch(project):
    """A finished batch run of one stage."""
    folder = project / "runs" / "toy-1"
    glue(
        folder / "01_first.ipynb", y=3, low=float("nan"), when=np.datetime64("2013-01-01"), table=TABLE, headline="One."
    )
    entry = {"stage": "01_first", "status": "passed"}
    manifest = {"root": str(project), "started": "2026-01-01", "stages": [entry], "run": "toy-1"}
    (folder / "run.json").write_text(json.dumps(manifest))
    make_notebook(project / "notebooks" / "01_first.ipynb")
    make_notebook(project / "notebooks" / "02_second.ipynb")
    return folder


def test_a_stage_loads_what_its_neighbour_saved_and_says_where_from(batch, capsys):
    run = Run(batch)
    assert run.load("01_first", "y") == 3
    assert np.isnan(run.load("01_first", "low"))
    assert run.load("01_first", "when") == np.datetime64("2013-01-01")
    pd.testing.assert_frame_equal(run.load("01_first", "table"), TABLE)
    assert capsys.readouterr().out.splitlines()[0].startswith("y ← 01_first.ipynb, saved ")
    assert run.names("01_first") == ["headline", "low", "table", "when", "y"]
    assert run.headlines().values.tolist() == [["01_first", "One."]]


def test_a_run_knows_its_params_files(batch, project):
    record = json.loads((batch / "run.json").read_text()) | {"files": ["params/toy.yaml"]}
    (batch / "run.json").write_text(json.dumps(record))
    assert Run(batch).files == [project / "params" / "toy.yaml"]


def test_a_missing_scrap_lists_what_there_is(batch):
    with pytest.raises(
        MissingScrap, match=r"01_first hands over no 'z' .*it hands over: headline, low, table, when, y"
    ):
        Run(batch).load("01_first", "z")


def test_a_stage_that_has_not_run_is_named(batch):
    with pytest.raises(UnknownStage, match=r"02_second has not run in .*stages that have: 01_first"):
        Run(batch).load("02_second", "x")


def test_changed_bytes_are_not_loaded(batch):
    artifact = next((batch / STORE).rglob("*.parquet"))
    artifact.write_bytes(artifact.read_bytes()[:-1] + b"?")
    with pytest.raises(CorruptArtifact, match="was changed after it was saved"):
        Run(batch).load("01_first", "table")
    assert Run(batch).load("01_first", "y") == 3


def test_a_reference_that_was_changed_is_refused(batch):
    path = batch / "01_first.ipynb"
    path.write_text(path.read_text().replace('"sha256": "', '"sha256": "0'))
    with pytest.raises(CorruptArtifact, match="the reference"):
        Run(batch).load("01_first", "table")


@pytest.mark.parametrize("metadata", [{"nbkit": {"status": "failed"}}, {"papermill": {"exception": True}}])
def test_nothing_is_read_from_a_stage_that_failed(batch, metadata):
    path = batch / "01_first.ipynb"
    notebook = json.loads(path.read_text())
    notebook["metadata"].update(metadata)
    path.write_text(json.dumps(notebook))
    with pytest.raises(UnfinishedStage, match="did not run to its end"):
        Run(batch).load("01_first", "y")


def test_the_desk_falls_back_to_the_latest_batch_run_and_says_so(batch, project, monkeypatch, capsys):
    monkeypatch.chdir(project / "notebooks")
    assert Run(".").load("01_first", "y") == 3
    assert capsys.readouterr().out.startswith("y ← toy-1/01_first.ipynb, saved ")


def test_what_was_saved_at_the_desk_flows_downstream(batch, project, monkeypatch):
    monkeypatch.chdir(project / "notebooks")
    older = time.time() - 100
    os.utime(batch / "01_first.ipynb", (older, older))
    source = project / "notebooks" / "01_first.ipynb"
    glue(source, y=4, table=TABLE.head(1))
    notebook = json.loads(source.read_text())
    del notebook["metadata"]["nbkit"], notebook["metadata"]["papermill"]
    source.write_text(json.dumps(notebook))
    assert Run(".").load("01_first", "y") == 4
    assert len(Run(".").load("01_first", "table")) == 1
    newer = time.time() + 100
    os.utime(batch / "01_first.ipynb", (newer, newer))
    assert Run(".").load("01_first", "y") == 3


def test_a_desk_without_any_run_says_what_to_do(project, monkeypatch):
    make_notebook(project / "notebooks" / "01_first.ipynb")
    monkeypatch.chdir(project / "notebooks")
    with pytest.raises(UnknownStage, match="run `nbkit run PARAMS` once"):
        Run(".").load("01_first", "y")


def test_parameters_at_the_desk_come_from_the_latest_run_unless_they_were_changed(batch, project, monkeypatch, capsys):
    manifest = json.loads((batch / "run.json").read_text())
    manifest["parameters"] = {"02_second": {"target": "late", "trials": 9, "seed": 1}}
    manifest["defaults"] = {"02_second": {"target": "target", "trials": 5, "seed": 0, "run_dir": "."}}
    (batch / "run.json").write_text(json.dumps(manifest))
    monkeypatch.chdir(project / "notebooks")
    monkeypatch.setenv("JPY_SESSION_NAME", "/somewhere/notebooks/02_second.ipynb")
    cell = {"target": "target", "trials": 7, "seed": 0, "run_dir": "."}
    Run(".", cell)
    assert cell == {"target": "late", "trials": 7, "seed": 1, "run_dir": "."}
    assert (
        "parameters ← toy-1 (change them in the parameters cell): target = 'late', seed = 1" in capsys.readouterr().out
    )


def test_where_nobody_says_which_notebook_it_is_the_cell_counts_and_that_is_said(batch, project, monkeypatch, capsys):
    monkeypatch.chdir(project / "notebooks")
    for name in ("JPY_SESSION_NAME", "NBKIT_STAGE"):
        monkeypatch.delenv(name, raising=False)
    cell = {"seed": 0}
    Run(".", cell)
    assert cell == {"seed": 0}
    said = capsys.readouterr().out
    assert "parameters: as in the cell, as nobody says which notebook this is: `nbkit run PARAMS` gives" in said


def test_where_no_run_has_given_parameters_the_cell_counts_and_that_is_said(project, monkeypatch, capsys):
    make_notebook(project / "notebooks" / "01_first.ipynb")
    monkeypatch.chdir(project / "notebooks")
    monkeypatch.setenv("JPY_SESSION_NAME", "/somewhere/notebooks/01_first.ipynb")
    Run(".", {"seed": 0})
    assert "as in the cell, as no run has given 01_first others yet: `nbkit run PARAMS`" in capsys.readouterr().out


def test_parameters_come_from_a_run_that_has_the_stage(batch, project, monkeypatch, capsys):
    manifest = json.loads((batch / "run.json").read_text())
    manifest |= {"parameters": {"02_second": {"seed": 1}}, "defaults": {"02_second": {"seed": 0}}}
    (batch / "run.json").write_text(json.dumps(manifest))
    later = project / "runs" / "toy-monitor"
    later.mkdir()
    monitored = manifest | {
        "started": "2999-01-01T00:00:00.000+00:00",
        "parameters": {"02_second": {"seed": 5}},
        "stages": [{"stage": "11_monitor", "status": "passed"}],
    }
    (later / "run.json").write_text(json.dumps(monitored))
    monkeypatch.chdir(project / "notebooks")
    monkeypatch.setenv("JPY_SESSION_NAME", "02_second.ipynb")
    cell = {"seed": 0}
    Run(".", cell)
    assert cell == {"seed": 1}, capsys.readouterr().out


def test_in_a_batch_the_parameters_stay_as_they_are(batch, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "02_second.ipynb")
    cell = {"target": "target"}
    Run(batch, cell)
    assert cell == {"target": "target"}


def test_the_project_is_found_from_anywhere_in_it(batch, project):
    assert Run(batch).root == project
    assert Run(project / "notebooks").root == project
    assert Run(batch).locate("registry") == str(project / "registry")
    assert Run(batch).locate("postgresql://h/db") == "postgresql://h/db"


def test_the_last_of_a_name_counts(project):
    path = glue(project / "out" / "01_first.ipynb", y=1)
    notebook = json.loads(path.read_text())
    again = json.loads(json.dumps(notebook["cells"][-1]).replace('"data": 1', '"data": 2'))
    notebook["cells"].append(again)
    path.write_text(json.dumps(notebook))
    assert read_scraps(path)["y"] == 2
    assert read_value(path.parent, "01_first", "y") == 2
