"""Six notebooks that import pandas and scikit-learn and hand a value on: nbkit, its peers, one script."""

import importlib.util
import itertools
import shutil
import sys

from benchmarks.harness import Options, Row, compare, take_turns, time_command, time_nbkit
from benchmarks.projects import SCRAPBOOK, lay_ploomber, lay_project, write_script

PAPERMILL = """
import sys
from pathlib import Path
import papermill
out = Path(sys.argv[1])
out.mkdir()
for path in sorted(Path("notebooks").glob("*.ipynb")):
    papermill.execute_notebook(str(path), str(out / path.name), {"x": 2, "run_dir": str(out)}, progress_bar=False)
"""


def measure(options: Options) -> list[Row]:
    """Measure all of them in turn, each from the shell, start of Python, kernels and servers included."""
    ours, plain = options.folder / "ours", options.folder / "papermill"
    lay_project(ours)
    lay_project(plain, style=SCRAPBOOK)
    (plain / "loop.py").write_text(PAPERMILL)
    script = write_script(options.folder / "script.py")
    counter = itertools.count()
    run = ("run", "params/toy.yaml", "--force", "--name")
    cases = {
        "one script": lambda: time_command(script, options.folder),
        "papermill + scrapbook": lambda: time_command([sys.executable, "loop.py", f"out{next(counter)}"], plain),
        "nbkit, cold kernels": lambda: time_nbkit(ours, *run, f"cold{next(counter)}", NBKIT_WARM="0"),
    }
    if shutil.which("ploomber"):
        lay_ploomber(options.folder / "ploomber")
        build = ["ploomber", "build"]
        quiet = {"PLOOMBER_STATS_ENABLED": "false", "PYTHONPATH": ""}
        cases["ploomber"] = lambda: time_command([*build, "--force"], options.folder / "ploomber", **quiet)
        cases["ploomber, nothing changed"] = lambda: time_command(build, options.folder / "ploomber", **quiet)
    if importlib.util.find_spec("nbkit.kernels"):
        cases["nbkit, warm kernels"] = lambda: time_nbkit(ours, *run, f"warm{next(counter)}", NBKIT_WARM="1")
    rows = take_turns("pipeline", cases, options.rounds)
    first, warm = rows["one script"], rows.pop("nbkit, warm kernels", None)
    found = [first, *(compare(row, first) for row in rows.values() if row is not first)]
    if warm:
        found.append(compare(warm, first, at_most=2.0))
        found.append(compare(rows["papermill + scrapbook"], warm, at_least=5.0))
    return found
