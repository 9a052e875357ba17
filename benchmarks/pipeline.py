"""What a pipeline of notebooks costs beside one plain script: nbkit with forked and with cold kernels, and papermill.

``python benchmarks/pipeline.py [--stages 6] [--rounds 5] [--json FILE]`` runs the same work in each way, in turn, each
from the shell: notebooks that import pandas and scikit-learn, and hand one number on. It prints the medians and their
ratios; its exit code is 1 if nbkit misses `LIMITS`.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMITS = {"of a script": 2.0, "faster than papermill": 5.0}
SPEC = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
IMPORTS = "import pandas as pd\nfrom sklearn.ensemble import HistGradientBoostingClassifier\n"
WORK = "x = int(pd.Series([x, 1]).sum())\n"
PAPERMILL = """
import sys, papermill
from pathlib import Path
out = Path(sys.argv[1])
for path in sorted(Path("papermill").glob("*.ipynb")):
    papermill.execute_notebook(str(path), str(out / path.name), {"run_dir": str(out)}, progress_bar=False)
"""


def lay_notebook(path: Path, *cells: str) -> None:
    """Write a notebook whose first cell holds its parameters."""
    sources = ['run_dir: str = "."  # folder of this run', *cells]
    content = [
        {"cell_type": "code", "id": str(place), "metadata": {"tags": [] if place else ["parameters"]},
         "source": source, "outputs": [], "execution_count": None}
        for place, source in enumerate(sources)
    ]  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cells": content, "metadata": SPEC, "nbformat": 4, "nbformat_minor": 5}))


def lay_project(root: Path, stages: int) -> None:
    """Write the same work as notebooks of nbkit, as notebooks with scrapbook and as one script."""
    for number in range(1, stages + 1):
        before, name = f"{number - 1:02}_step", f"{number:02}_step.ipynb"
        ours, theirs = (
            f"x = run.load('{before}', 'x')\n",
            "x = sb.read_notebook(f'{run_dir}/BEFORE.ipynb').scraps['x'].data\n",
        )
        theirs = theirs.replace("BEFORE", before)
        if number == 1:
            ours = theirs = "x = 0\n"
        lay_notebook(
            root / "notebooks" / name,
            f"import nbkit\n{IMPORTS}run = nbkit.Run(run_dir)",
            ours + WORK + "run.save('x', x)",
        )
        lay_notebook(root / "papermill" / name, f"import scrapbook as sb\n{IMPORTS}", theirs + WORK + "sb.glue('x', x)")
    (root / "params").mkdir()
    (root / "params" / "toy.yaml").write_text("shared: {}\n")
    (root / "loop.py").write_text(PAPERMILL)
    steps = [f"{WORK}Path('{number}.json').write_text(json.dumps(x))\n" for number in range(stages)]
    (root / "script.py").write_text(f"import json\nfrom pathlib import Path\n{IMPORTS}x = 0\n{''.join(steps)}")


def measure(command: list[str], stages: int, **environment: str) -> float:
    """Run a command in a fresh copy of the project; return seconds."""
    with tempfile.TemporaryDirectory() as folder:
        lay_project(Path(folder), stages)
        (Path(folder) / "out").mkdir()
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        start = time.perf_counter()
        subprocess.run(command, cwd=folder, env={**kept, **environment}, check=True, capture_output=True)
        return time.perf_counter() - start


def main() -> int:
    """Measure, print and judge."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--stages", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    nbkit = [sys.executable, "-m", "nbkit", "run", "params/toy.yaml"]
    ways = {
        "one script": ([sys.executable, "script.py"], {}),
        "nbkit": (nbkit, {"NBKIT_WARM": "1"}),
        "nbkit, cold kernels": (nbkit, {"NBKIT_WARM": "0"}),
        "papermill and scrapbook": ([sys.executable, "loop.py", "out"], {}),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(given.rounds):
        for name, (command, environment) in ways.items():
            seconds[name].append(measure(command, given.stages, **environment))
        print(f"round {number + 1}: {', '.join(f'{name} {times[-1]:.2f} s' for name, times in seconds.items())}")
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    ratios = {
        "of a script": medians["nbkit"] / medians["one script"],
        "faster than papermill": medians["papermill and scrapbook"] / medians["nbkit"],
    }
    for name, median in medians.items():
        print(f"{name:24} {median:6.2f} s   {median / medians['one script']:5.2f} times one script")
    print(f"nbkit is {ratios['faster than papermill']:.1f} times as fast as papermill with scrapbook")
    if given.json:
        machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
        facts = {"machine": machine, "seconds": seconds, "medians": medians, "ratios": ratios, "limits": LIMITS}
        given.json.write_text(json.dumps(facts, indent=1))
    kept = (
        ratios["of a script"] <= LIMITS["of a script"]
        and ratios["faster than papermill"] >= LIMITS["faster than papermill"]
    )
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main())
