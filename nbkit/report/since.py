"""What the monitor has found about a version since a run registered it, read from the monitor's own runs."""

from pathlib import Path
from typing import Any

import pandas as pd

from nbkit.errors import NbkitError
from nbkit.project import iterate_runs
from nbkit.run import read_value

REGISTER, MONITOR = "09_register", "11_monitor"
COLUMNS = ["window", "decision", "headline", "run", "page"]


def read_since(folder: Path) -> pd.DataFrame:
    """List the windows in which the version that a run registered was looked at, the latest look at each.

    Parameters
    ----------
    folder
        The run that registered the version.

    Returns
    -------
    DataFrame
        window, decision, headline, run, page (the monitor's report, relative to this run's), sorted by window.
    """
    digest = _read(folder, REGISTER, "digest")
    looks: dict[str, tuple[str, ...]] = {}
    for other, _ in iterate_runs(folder.parent.parent) if digest else ():  # newest first
        if other != folder and _read(other, MONITOR, "digest") == digest:
            window, decision, headline = (str(_read(other, MONITOR, name)) for name in COLUMNS[:3])
            looks.setdefault(window, (window, decision, headline, other.name, f"../../{other.name}/report/index.html"))
    return pd.DataFrame([looks[window] for window in sorted(looks)], columns=COLUMNS)


def find_registering(monitor: Path) -> list[Path]:
    """Return the runs that registered the version which a run of the monitor looked at."""
    digest = _read(monitor, MONITOR, "digest")
    known = [other for other, _ in iterate_runs(monitor.parent.parent)] if digest else []
    return [other for other in known if _read(other, REGISTER, "digest") == digest]


def _read(folder: Path, stage: str, name: str) -> Any:
    try:
        return read_value(folder, stage, name)
    except (NbkitError, OSError, ValueError):
        return ""
