"""A small project to sweep over, with kernels that work or with stages that only pretend to."""

import pandas as pd
import pytest

from nbkit.errors import NbkitError
from nbkit.pipeline import engine
from nbkit.pipeline.engine import Outcome
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

    def execute_stage(source, target, parameters, limits, **options):
        executed.append((target.parent.name, source.stem))
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
