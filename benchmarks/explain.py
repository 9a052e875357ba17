"""Explaining the flagship's model on 2,000 rows, against shap's bare TreeExplainer; and the CPU of 08."""

import subprocess
import sys
from pathlib import Path

from benchmarks.harness import ROOT, Options, Row, compare, take_turns
from benchmarks.projects import is_flagship, run_lifecycle

ROWS, BARE = 2000, 100  # explained; by the bare explainer, whose time is that of its rows
CODE = """
import sys, time
import nbkit, shap
run = nbkit.Run(sys.argv[1], {})
problem, test, model = run.load("01_frame", "problem"), run.load("02_ingest", "test"), run.load("06_train", "model")
nbkit.explain(model, test, problem, limit=50)  # compiled once on a machine
rows = problem.features(test).sample(int(sys.argv[2]), random_state=0)
start = time.process_time()
if sys.argv[3] == "explain":
    nbkit.explain(model, rows, problem, limit=len(rows), budget_s=1e6)
else:
    shap.TreeExplainer(model[-1]).shap_values(model[:-1].transform(rows), check_additivity=False)
print("CPU", time.process_time() - start)
"""


def measure(options: Options) -> list[Row]:
    """Measure the CPU of `nbkit.explain`, of a bare TreeExplainer on the same model, and of the cells of 08."""
    folder, _ = run_lifecycle(options)
    cases = {
        f"shap.TreeExplainer, {ROWS:,} rows": lambda: time_cpu(folder, BARE, "bare") * ROWS / BARE,
        f"nbkit.explain, {ROWS:,} rows": lambda: time_cpu(folder, ROWS, "explain"),
        "08_explain": lambda: time_stage(folder),
    }
    bare, own, stage = take_turns("explain", cases, options.rounds).values()
    limits = (1.1, 15.0) if is_flagship(options) else (None, None)
    return [bare, compare(own, bare, at_most=limits[0]), Row("explain", stage.case, stage.values, at_most=limits[1])]


def time_cpu(folder: Path, rows: int, case: str) -> float:
    """Return the seconds of CPU that explaining so many rows takes in a process of its own."""
    words = [sys.executable, "-c", CODE, str(folder), str(rows), case]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout.rsplit("CPU", 1)[1])


def time_stage(folder: Path) -> float:
    """Return the seconds of CPU of the cells of 08, imports included, on the inputs of a run."""
    code = (
        "import json, sys, time\n"
        "cells = json.load(open(sys.argv[1]))['cells']\n"
        "space = {}\n"
        "for cell in cells:\n"
        "    if cell['cell_type'] == 'code' and 'run.save(' not in ''.join(cell['source']):\n"
        "        source = ''.join(cell['source'])\n"
        "        exec(source.replace('run_dir: str = \".\"', f'run_dir: str = {sys.argv[2]!r}'), space)\n"
        "print('CPU', time.process_time())\n"
    )
    words = [sys.executable, "-c", code, str(ROOT / "notebooks" / "08_explain.ipynb"), str(folder)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout.rsplit("CPU", 1)[1])
