"""What nbkit adds to plain papermill: the same small notebooks through both, in turn, as a ratio.

``python benchmarks/overhead.py [STAGES] [ROUNDS]`` prints the seconds of each round and the ratio of the medians; its
exit code is 1 if nbkit takes more than `LIMIT` times as long.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import papermill

from nbkit.pipeline import execute_plan, plan_run

LIMIT = 1.5
SPEC = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


def lay_project(root: Path, stages: int) -> Path:
    """Write a project of small notebooks, each of which imports pandas and adds one."""
    (root / "params").mkdir()
    (root / "notebooks").mkdir()
    for number in range(1, stages + 1):
        cells = [
            ('run_dir: str = "."  # folder of this run\nx: int = 1  # a number', ["parameters"]),
            ("import pandas as pd\nfrom pathlib import Path", []),
            (f"Path(run_dir, 'value-{number}.txt').write_text(str(pd.Series([x, 1]).sum()))", []),
        ]
        content = [
            {"cell_type": "code", "id": str(place), "metadata": {"tags": tags}, "source": source, "outputs": [],
             "execution_count": None}
            for place, (source, tags) in enumerate(cells)
        ]  # fmt: skip
        notebook = {"cells": content, "metadata": SPEC, "nbformat": 4, "nbformat_minor": 5}
        (root / "notebooks" / f"{number:02}_step.ipynb").write_text(json.dumps(notebook))
    params = root / "params" / "toy.yaml"
    params.write_text("shared: {x: 2}\n")
    return params


def run_papermill(root: Path) -> float:
    """Run all notebooks with papermill alone; return seconds."""
    out = Path(tempfile.mkdtemp(dir=root))
    start = time.perf_counter()
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        given = {"x": 2, "run_dir": str(out)}
        papermill.execute_notebook(str(path), str(out / path.name), given, progress_bar=False)
    return time.perf_counter() - start


def run_nbkit(root: Path, params: Path) -> float:
    """Run the same with nbkit; return seconds."""
    start = time.perf_counter()
    manifest = execute_plan(plan_run(root, [params]))[1]
    if manifest["status"] != "passed":
        raise SystemExit(manifest["stages"])
    return time.perf_counter() - start


def main() -> int:
    """Measure and print."""
    stages, rounds = (int(each) for each in (*sys.argv[1:], "4", "3")[:2])
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        params = lay_project(root, stages)
        pairs = [(run_papermill(root), run_nbkit(root, params)) for _ in range(rounds)]
    for plain, ours in pairs:
        print(f"papermill {plain:6.2f} s   nbkit {ours:6.2f} s   ratio {ours / plain:.2f}")
    ratio = statistics.median(ours for _, ours in pairs) / statistics.median(plain for plain, _ in pairs)
    print(f"{stages} stages, {rounds} rounds: nbkit takes {ratio:.2f} times as long as papermill alone (limit {LIMIT})")
    return int(ratio > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
