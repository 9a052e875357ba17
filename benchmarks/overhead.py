"""What a run costs beyond the sum of its cells' own times."""

import datetime as dt
import json
from pathlib import Path

from benchmarks.harness import Options, Row, compare
from benchmarks.projects import is_flagship, run_lifecycle

LIMIT = 1.15


def measure(options: Options) -> list[Row]:
    """Measure one run of the lifecycle from the shell, its report included."""
    folder, seconds = run_lifecycle(options)
    cells = Row("overhead", "the cells alone", (sum_cells(folder),))
    run = Row("overhead", "nbkit run", (seconds,))
    return [cells, compare(run, cells, at_most=LIMIT if is_flagship(options) else None)]


def sum_cells(folder: Path) -> float:
    """Return the seconds that the cells of a run took, by the times that papermill notes in each."""
    total = 0.0
    for path in folder.glob("[0-9][0-9]_*.ipynb"):
        for cell in json.loads(path.read_text())["cells"]:
            noted = cell["metadata"].get("papermill", {})
            if noted.get("start_time") and noted.get("end_time"):
                start, end = (dt.datetime.fromisoformat(noted[key]) for key in ("start_time", "end_time"))
                total += (end - start).total_seconds()
    return total
