"""How a sweep gets faster with workers: the same points of a small project on one process and on two, as a ratio.

``python benchmarks/sweep.py [POINTS] [FITS]`` prints the seconds of each and the ratio; each point fits boosted trees
with one thread, so many times. The exit code is 1 if two workers are less than `LIMIT` times as fast.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

from nbkit.sweep import execute_sweep, lend_executor, list_points, plan_sweep, read_axis

LIMIT = 1.8
SPEC = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
WORK = """import time
import numpy as np, pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits
import nbkit
run = nbkit.Run(run_dir)
x = np.random.default_rng(k).normal(size=(20_000, 20))
y = x[:, 0] + x[:, 1] > 0
with threadpool_limits(1):
    for _ in range(fits):
        HistGradientBoostingClassifier(max_iter=100, early_stopping=False).fit(x, y)
row = {"metric": "accuracy", "value": 0.5, "low": 0.4, "high": 0.6, "n": 10, "better": "higher"}
run.save("scores", pd.DataFrame([row]))
run.save("metric", "accuracy")"""


def lay_project(root: Path, fits: int) -> Path:
    """Write a project of one stage."""
    (root / "params").mkdir()
    (root / "notebooks").mkdir()
    cells = [
        (f'run_dir: str = "."  # folder\nk: int = 0  # seed\nfits: int = {fits}  # how much work', ["parameters"]),
        (WORK, []),
    ]
    content = [
        {"cell_type": "code", "id": str(place), "metadata": {"tags": tags}, "source": source, "outputs": [],
         "execution_count": None}
        for place, (source, tags) in enumerate(cells)
    ]  # fmt: skip
    notebook = {"cells": content, "metadata": SPEC, "nbformat": 4, "nbformat_minor": 5}
    (root / "notebooks" / "01_train.ipynb").write_text(json.dumps(notebook))
    params = root / "params" / "toy.yaml"
    params.write_text("shared: {}\n")
    return params


def run_sweep(root: Path, params: Path, points: int, workers: int) -> float:
    """Run the points on so many workers; return seconds."""
    axis = read_axis(f"01_train.k={','.join(map(str, range(points)))}")
    start = time.perf_counter()
    with lend_executor(root, workers) as execute:
        found = execute_sweep(plan_sweep(root, [params], list_points([axis]), name=f"w{workers}", threads=1), execute)
    if found["status"] != "passed":
        raise SystemExit(found)
    return time.perf_counter() - start


def main() -> int:
    """Measure and print."""
    points, fits = (int(each) for each in [*sys.argv[1:], *["8", "3"][len(sys.argv) - 1 :]])
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        params = lay_project(root, fits)
        load = os.getloadavg()[0]
        one, two = (run_sweep(root, params, points, workers) for workers in (1, 2))
    print(f"{points} points of {fits} fits: one worker {one:.1f} s, two {two:.1f} s, {one / two:.2f} times as fast "
          f"(limit {LIMIT}; load before {load:.1f} on {os.cpu_count()} cores)")  # fmt: skip
    return int(one / two < LIMIT)


if __name__ == "__main__":
    sys.exit(main())
