"""The run that follows the edit of one code cell of 07, or of a comment in it, against the first run."""

import itertools
import json
from pathlib import Path

from benchmarks.harness import Options, Row, compare, time_nbkit
from benchmarks.projects import name_params, run_lifecycle

STAGE = "07_evaluate"


def measure(options: Options) -> list[Row]:
    """Edit and run, once a round; the edits change nothing that 07 hands over, so nothing else may run."""
    folder, seconds = run_lifecycle(options)
    root, counter = folder.parents[1], itertools.count()
    taken: dict[str, list[float]] = {"a comment edited": [], f"code of {STAGE} edited": []}
    needless: set[str] = set()
    for _ in range(options.rounds):
        for case, edit, expected in zip(taken, ("# {}", "_ = {}"), (set(), {STAGE}), strict=True):
            number = next(counter)
            edit_stage(root / "notebooks" / f"{STAGE}.ipynb", edit.format(number))
            name = f"changed{number}"
            taken[case].append(time_nbkit(root, "run", *name_params(options), "--name", name))
            needless |= list_executed(root / "runs" / name) - expected
    first = Row("changed", "first run", (seconds,))
    beyond = "stages run needlessly" + (f" ({', '.join(sorted(needless))})" if needless else "")
    compared = [compare(Row("changed", case, tuple(values)), first) for case, values in taken.items()]
    return [first, *compared, Row("changed", beyond, (len(needless),), "stages", at_most=0)]


def edit_stage(path: Path, line: str) -> None:
    """Add a line to a notebook's last code cell."""
    notebook = json.loads(path.read_text())
    cell = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"][-1]
    cell["source"] = "".join(cell["source"]) + f"\n{line}"
    path.write_text(json.dumps(notebook))


def list_executed(folder: Path) -> set[str]:
    """Return the stages of a run that were executed in it."""
    entries = json.loads((folder / "run.json").read_text())["stages"]
    return {entry["stage"] for entry in entries if not entry.get("borrowed")}
