"""What the stages of a run handed over, read by name; nothing where a run did not come to it."""

from pathlib import Path
from typing import Any

import pandas as pd

from nbkit.errors import NbkitError
from nbkit.lifecycle import SCRAPS
from nbkit.record import RunRecord
from nbkit.scraps import read_scraps, read_value


def read_rows(folder: Path, stage: str, name: str) -> list[dict[Any, Any]]:
    """Read the rows of a table that a stage handed over, with its index; none where there is no such table."""
    table = read_or(folder, stage, name)
    return table.reset_index().to_dict("records") if isinstance(table, pd.DataFrame) else []


def read_or(folder: Path, stage: str, name: str, default: Any = "") -> Any:
    """Read one of `SCRAPS`; the default where it cannot be read, of which `list_lacking` tells."""
    assert name in SCRAPS[stage], f"{stage}.{name} is not in nbkit.lifecycle"
    try:
        return read_value(folder, stage, name)
    except (NbkitError, OSError, ValueError):
        return default


def list_lacking(folder: Path, record: RunRecord) -> list[str]:
    """List what stages of a run that passed do not hand over though the report speaks of it, as ``STAGE.NAME``."""
    lacking = []
    for stage, names in SCRAPS.items():
        if record.has_passed(stage):
            try:
                given = read_scraps(folder / f"{stage}.ipynb")
            except (NbkitError, OSError, ValueError):
                given = {}
            lacking += [f"{stage}.{name}" for name in names if name not in given]
    return lacking
