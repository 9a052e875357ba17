"""What other runs tell about a run: who judged on the same rows before it, and what the monitor has found since."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd

from nbkit.errors import NbkitError
from nbkit.project import iterate_runs, read_manifest
from nbkit.run import read_value

REGISTER, MONITOR, FRAME, INGEST, EVALUATE = "09_register", "11_monitor", "01_frame", "02_ingest", "07_evaluate"
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
    digest = read_or(folder, REGISTER, "digest")
    looks: dict[str, tuple[str, ...]] = {}
    for other, _ in iterate_runs(folder.parent.parent) if digest else ():  # newest first
        if other != folder and read_or(other, MONITOR, "digest") == digest:
            window, decision, headline = (str(read_or(other, MONITOR, name)) for name in COLUMNS[:3])
            looks.setdefault(window, (window, decision, headline, other.name, f"../../{other.name}/report/index.html"))
    return pd.DataFrame([looks[window] for window in sorted(looks)], columns=COLUMNS)


def read_before(folder: Path) -> tuple[int, str]:
    """Tell how often the test rows were read before a run judged by them, and whether its criteria were others then.

    Parameters
    ----------
    folder
        The run.

    Returns
    -------
    tuple of int and str
        How many earlier runs of the project were judged on the same data, and the latest of them that had other
        criteria (empty if all had the same).
    """
    manifest = read_manifest(folder)
    data, criteria = read_or(folder, INGEST, "version"), _say_criteria(folder)
    judged, other = 0, ""
    for run, known in iterate_runs(folder.parent.parent) if data else ():
        earlier = known.get("project") == manifest.get("project") and known.get("started", "") < manifest["started"]
        if earlier and read_or(run, INGEST, "version") == data and read_or(run, EVALUATE, "headline"):
            judged += 1
            other = other or (run.name if _say_criteria(run) != criteria else "")
    return judged, other


def _say_criteria(folder: Path) -> list[str]:
    table = read_or(folder, FRAME, "criteria")
    return [] if isinstance(table, str) else [str(words) for words in table["words"]]


def find_registering(root: Path, digests: Collection[str]) -> list[Path]:
    """Return the project's runs that registered versions with these digests."""
    return [folder for folder, _ in iterate_runs(root) if read_or(folder, REGISTER, "digest") in digests]


def read_or(folder: Path, stage: str, name: str, default: Any = "") -> Any:
    """Read what a stage handed over, or return the default where it cannot be read."""
    try:
        return read_value(folder, stage, name)
    except (NbkitError, OSError, ValueError):
        return default
