"""A small project to sweep over, with kernels that work or with stages that only pretend to."""

import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pandas as pd
import psutil
import pytest

import nbkit.sweep.pool as pool
from nbkit.problem import Problem
from nbkit.record import RunRecord, StageRecord, read_record, write_record
from nbkit.sweep import Sweep, execute_sweep, list_points, open_pool, plan_sweep, read_axis
from tests.conftest import glue, make_notebook

IMPORTS = "import nbkit\nrun = nbkit.Run(run_dir)"
FIRST = "run.save('y', x)\nrun.save('problem', nbkit.Problem('late', 'regression'))"
SECOND = """run_dir: str = "."  # folder
k: int = 1  # a number [0, 9]
nap: float = 0.0  # seconds
spec: dict = {}  # anything"""
WORK = """import time
import pandas as pd
assert k != 3, "three is one too many"
time.sleep(nap)
value = float(abs(k - 5) + run.load("01_frame", "y"))
row = {"metric": "mae", "value": value, "low": value - 1.5, "high": value + 1.5, "n": 10, "better": "lower"}
run.save("scores", pd.DataFrame([row]))
run.save("headline", f"k is {k}.")"""


def lay_toy(project):
    """Write a project whose second stage is judged by how far its `k` is from 5, and fails for 3."""
    params = project / "params" / "toy.yaml"
    params.write_text("shared: {x: 2}\n")
    number = 'run_dir: str = "."  # folder\nx: int = 1  # a number'
    notebooks = project / "notebooks"
    make_notebook(notebooks / "01_frame.ipynb", IMPORTS, FIRST, parameters=number)
    make_notebook(notebooks / "02_second.ipynb", IMPORTS, WORK, parameters=SECOND)
    make_notebook(notebooks / "03_third.ipynb", IMPORTS, "run.save('z', run.load('02_second', 'headline'))")
    return params


@pytest.fixture
def toy(project):
    return lay_toy(project)


@pytest.fixture
def fake(monkeypatch):
    """Starts no process: points of the toy project end at once as they would; lists the runs that were begun."""
    begun, passed = [], {}

    def run(sweep, settings, name, is_unwanted):
        begun.append(name)
        folder = sweep.root / "runs" / name
        k = int(next(text for text in settings if text.startswith("02.k=")).partition("=")[2])
        if k == 4:
            return "its process was killed (SIGKILL)"
        if k == 3:
            write_run(folder, "failed", message="three is one too many")
            return ""
        value = float(abs(k - 5) + 2)
        row = {"metric": "mae", "value": value, "low": value - 1.5, "high": value + 1.5, "n": 10, "better": "lower"}
        glue(folder / "01_frame.ipynb", problem=Problem("late", "regression"))
        glue(folder / "02_second.ipynb", scores=pd.DataFrame([row]))
        write_run(folder, "passed", headline=f"k is {k}.")
        passed[tuple(settings)] = folder
        return ""

    def plan(root, files, settings, **options):
        folder = passed.get(tuple(settings))
        return SimpleNamespace(nothing_to_do=folder is not None, folder=folder)

    monkeypatch.setattr(pool, "_run", run)
    monkeypatch.setattr(pool, "plan_run", plan)
    return begun


def write_run(folder, status, **said):
    """Write the record of a run whose first stage was taken over from another one."""
    first = StageRecord("01_frame", "passed", seconds=9.0, borrowed="other")
    second = StageRecord("02_second", status, seconds=1.0, **said)
    folder.mkdir(parents=True, exist_ok=True)
    write_record(folder, RunRecord(status=status, stages=[first, second]))


def plan(root, *grid, **asked):
    """Plan a sweep of the toy project called s."""
    points = list_points([read_axis(text) for text in grid])
    asked = {"name": "s", **asked}
    return plan_sweep(Sweep(root, (root / "params" / "toy.yaml",), tuple(points), **asked))


def execute(planned, on_point=lambda row: None):
    """Execute a sweep, one point after the other."""
    with open_pool(1) as opened:
        return execute_sweep(planned, opened, on_point)


def start(project, *words):
    """Start a sweep in a process of its own session, as a terminal would."""
    command = [sys.executable, "-m", "nbkit", "sweep", *words]
    return subprocess.Popen(
        command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def finish(process):
    """Wait for a sweep; return its exit code and what it said."""
    try:
        said = process.communicate(timeout=300)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert "Traceback" not in said, said
    return process.returncode, said


def sweep(project, *words):
    return finish(start(project, *words))


def wait_until(condition, process, seconds=120):
    """Wait for something that a sweep is to do, and end the sweep if it does not."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            os.killpg(process.pid, signal.SIGKILL)
            raise AssertionError(process.communicate()[0])
        time.sleep(0.05)


def read_rows(project, name="s"):
    return {row["point"]: row for row in json.loads((project / "runs" / name / "sweep.json").read_text())["rows"]}


def read_statuses(project, name="s"):
    return {number: row["status"] for number, row in sorted(read_rows(project, name).items())}


def find_workers(project, name):
    """Return the processes that do the run of a point."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = process.info["cmdline"] or []
        if process.info["cwd"] == str(project) and "--name" in words and words[words.index("--name") + 1] == name:
            found.append(process)
    return found


def is_at_work(project, name, stage="02_second"):
    found = read_record(project / "runs" / name).find(stage)
    return found is not None and found.status == "running"
