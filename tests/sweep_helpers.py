"""A small project to sweep over, with kernels that work or with stages that only pretend to."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

from nbkit import observe
from nbkit.errors import NbkitError
from nbkit.pipeline import engine
from nbkit.pipeline.engine import Outcome
from nbkit.project import read_manifest
from nbkit.run import digest_scraps, read_scraps
from nbkit.sweep.work import run_point
from tests.conftest import glue, make_notebook

IMPORTS = "import nbkit\nrun = nbkit.Run(run_dir)"
SECOND = """run_dir: str = "."  # folder
k: int = 1  # a number [0, 9]
nap: float = 0.0  # seconds
spec: dict = {}  # anything"""
WORK = """import time
import pandas as pd
assert k != 3, "three is one too many"
time.sleep(nap)
value = float(abs(k - 5) + run.load("01_first", "y"))
row = {"metric": "mae", "value": value, "low": value - 1.5, "high": value + 1.5, "n": 10, "better": "lower"}
run.save("scores", pd.DataFrame([row]))
run.save("metric", "mae")
run.save("headline", f"k is {k}.")"""


def lay_toy(project):
    """Write a project whose second stage is judged by how far its `k` is from 5, and fails for 3."""
    params = project / "params" / "toy.yaml"
    params.write_text("shared: {x: 2}\n")
    number = 'run_dir: str = "."  # folder\nx: int = 1  # a number'
    notebooks = project / "notebooks"
    make_notebook(notebooks / "01_first.ipynb", IMPORTS, "run.save('y', x)", parameters=number)
    make_notebook(notebooks / "02_second.ipynb", IMPORTS, WORK, parameters=SECOND)
    make_notebook(notebooks / "03_third.ipynb", IMPORTS, "run.save('z', run.load('02_second', 'metric'))")
    return params


@pytest.fixture
def toy(project):
    return lay_toy(project)


@pytest.fixture
def fake(monkeypatch):
    """Starts no kernel: the stages of the toy project say at once what they would say; lists what was executed."""
    executed = []

    def execute_stage(source, target, parameters, limits, kernel, **options):
        executed.append((target.parent.name, source.stem))
        first = target.parent / "01_first.ipynb"
        seen = {} if source.stem == "01_first" else {"01_first.y": digest_scraps(read_scraps(first))["y"]}
        notes = {
            "loads": seen,
            "files": [],
            "folders": {},
            "modules": {},
            "imports": [],
            "notebooks": [],
            "outside": [],
        }
        Path(kernel.environment[observe.VARIABLE]).write_text(json.dumps(notes))
        if source.stem == "01_first":
            glue(target, y=parameters["x"])
            return Outcome(seconds=2.0)
        k = parameters["k"]
        if k == 3:
            make_notebook(target, "1 / 0")
            return Outcome("failed", "error", "three is one too many")
        if k == 4:
            raise KeyboardInterrupt
        value = float(abs(k - 5) + 2)
        row = {"metric": "mae", "value": value, "low": value - 1.5, "high": value + 1.5, "n": 10, "better": "lower"}
        glue(target, scores=pd.DataFrame([row]), metric="mae", headline=f"k is {k}.")
        return Outcome(seconds=1.0, headline=f"k is {k}.")

    monkeypatch.setattr(engine, "execute_stage", execute_stage)
    return executed


def run_inline(tasks, on_step):
    """Do tasks one after the other in this process."""
    for task in tasks:
        on_step()
        try:
            yield run_point(task)
        except NbkitError as error:
            yield {"name": task["name"], "exit": 2, "error": str(error)}


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
    """Return the processes that work on a point of a project."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if "nbkit.sweep.work" in (process.info["cmdline"] or []) and _holds(process, project, name):
            found.append(process)
    return found


def _holds(process, project, name):
    try:
        return any(each.path.startswith(str(project)) and name in each.path for each in process.open_files())
    except psutil.Error:
        return False


def is_at_work(project, name, stage="02_second"):
    entries = {entry["stage"]: entry["status"] for entry in read_manifest(project / "runs" / name).get("stages", [])}
    return entries.get(stage) == "running"
