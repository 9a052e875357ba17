"""A stage that does not run to its end is told at the cell that ended it, whatever that cell does, in any kernel."""

import json

import pytest

from nbkit.pipeline import execute_plan, plan_run
from tests.conftest import make_notebook

IMPORTS = "import nbkit, os, sys, time\nrun = nbkit.Run(run_dir)"
PATIENT = "try:\n    time.sleep(60)\nexcept {}:\n    pass"

pytestmark = pytest.mark.slow


def run_cell(project, source, *, before="'before'", after=("'after'", "'the end'"), **limits):
    """Run a stage with a cell between others; return its entry and the cells of the executed notebook."""
    make_notebook(project / "notebooks" / "01_first.ipynb", IMPORTS, before, source, *after)
    params = project / "params" / "toy.yaml"
    params.write_text("")
    settings = [f"01_first.{key}={value}" for key, value in limits.items()]
    folder, record = execute_plan(plan_run(project, [params], settings))
    cells = json.loads((folder / "01_first.ipynb").read_text())["cells"]
    return record.stages[0], [cell for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.parametrize(
    ("warm", "source", "words"),
    [
        ("1", "exit()", "exit()"), ("0", "quit", "exit()"), ("1", "get_ipython().ask_exit(); 'and on'", "exit()"),
        ("1", "get_ipython().exit_now = True", "exit()"), ("1", "os._exit(0)", "exit code 0"),
        ("0", "os._exit(3)", "exit code 3"), ("1", "raise SystemExit", "SystemExit()"),
    ],
)  # fmt: skip
def test_a_cell_that_exits_is_the_one_that_failed(project, monkeypatch, warm, source, words):
    monkeypatch.setenv("NBKIT_WARM", warm)
    entry, cells = run_cell(project, source)
    assert (entry.status, entry.kind, entry.cell) == ("failed", "exit", 4)
    assert f"ended its kernel with {words} before" in entry.message
    found = [cell["metadata"]["papermill"]["status"] for cell in cells]
    assert found[-3:] == ["failed", "pending", "pending"]


@pytest.mark.parametrize("source", ["exit()", "get_ipython().exit_now = True"])
def test_the_last_cell_may_not_exit_either(project, source):
    entry, _ = run_cell(project, source, after=())
    assert (entry.status, entry.kind, entry.cell) == ("failed", "exit", 4)


@pytest.mark.parametrize(
    ("caught", "limit"), [("KeyboardInterrupt", "stage_timeout"), ("BaseException", "cell_timeout")]
)
def test_a_cell_that_catches_the_interrupt_of_its_time_out_is_the_one_that_failed(project, caught, limit):
    entry, cells = run_cell(project, PATIENT.format(caught), after=("time.sleep(9)", "'the end'"), **{limit: 8})
    assert (entry.status, entry.kind, entry.cell) == ("failed", limit, 4)
    assert entry.message.endswith(f"{limit} of 8 s")
    assert [cell["metadata"]["papermill"]["status"] for cell in cells][-3:] == ["failed", "pending", "pending"]
