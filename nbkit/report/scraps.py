"""What the stages of a run handed over, read by name; nothing where a run did not come to it."""

from pathlib import Path
from typing import Any

import pandas as pd

from nbkit.errors import NbkitError
from nbkit.scraps import read_value

FRAME, INGEST, VALIDATE, EVALUATE = "01_frame", "02_ingest", "03_validate", "07_evaluate"
REGISTER, DEPLOY, MONITOR = "09_register", "10_deploy", "11_monitor"


def read_rows(folder: Path, stage: str, name: str) -> list[dict[Any, Any]]:
    """Read the rows of a table that a stage handed over, with its index; none where it cannot be read."""
    table = read_or(folder, stage, name, pd.DataFrame())
    rows: list[dict[Any, Any]] = table.reset_index().to_dict("records")
    return rows


def read_or(folder: Path, stage: str, name: str, default: Any = "") -> Any:
    """Read what a stage handed over, or return the default where it cannot be read."""
    try:
        return read_value(folder, stage, name)
    except (NbkitError, OSError, ValueError):
        return default
