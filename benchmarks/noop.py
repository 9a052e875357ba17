"""A second run with nothing changed: its wall time from the shell, and whether it imports anything heavy."""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.harness import ROOT, Options, Row, take_turns, time_nbkit
from benchmarks.projects import is_flagship, name_params, run_lifecycle

HEAVY = {"papermill", "pandas", "sklearn", "shap", "numpy", "matplotlib", "scrapbook", "duckdb", "pyarrow"}


def measure(options: Options) -> list[Row]:
    """Measure it against the first run."""
    folder, seconds = run_lifecycle(options)
    root, words = folder.parents[1], name_params(options)
    before = list_runs(root)
    (again,) = take_turns("noop", {"second run": lambda: time_nbkit(root, "run", *words)}, options.rounds).values()
    if new := list_runs(root) - before:
        raise SystemExit(f"nothing has changed, and yet it made {', '.join(sorted(new))}")
    heavy = list_heavy(words, str(root))
    first = Row("noop", "first run", (seconds,))
    limited = Row("noop", again.case, again.values, at_most=0.5 if is_flagship(options) else None)
    imported = "heavy modules that it imports" + (f" ({', '.join(heavy)})" if heavy else "")
    return [first, limited, Row("noop", imported, (len(heavy),), "modules", at_most=0)]


def list_runs(root: Path) -> set[str]:
    """List the runs of a project."""
    return {path.parent.name for path in (root / "runs").glob("*/run.json")}


def list_heavy(words: list[str], folder: str) -> list[str]:
    """List the heavy modules that a run loads."""
    code = (
        "import sys\nfrom nbkit.cli import main\n"
        f"try:\n    main(['run', *{words!r}])\nexcept SystemExit: pass\n"
        "print('\\n' + ' '.join(sys.modules))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return sorted({name.split(".")[0] for name in done.stdout.splitlines()[-1].split()} & HEAVY)
