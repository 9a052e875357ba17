"""What the stages of a run handed over, read by name; nothing where a run did not come to it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from nbkit.errors import NbkitError
from nbkit.lifecycle import EVIDENCE, SCRAPS
from nbkit.record import RunRecord
from nbkit.scraps import read_scraps, read_value
from nbkit.wording import format_count


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


def describe_code(record: RunRecord) -> str:
    """Describe which code a run executed: its commit, or a digest where git does not tell all of it."""
    git = record.surroundings.git
    own = f", sha256 {record.code[:12]} of the stages" if record.code else ""
    if not git.commit:
        return f"not in git{own}"
    changed = f", {format_count(git.changed, 'file')} changed since the commit" if git.changed else " with changes"
    known = {None: f", git did not say in time whether with changes{own}", True: f"{changed}{own}", False: ""}
    return f"{git.commit[:12]}{known[git.dirty]}"


def list_lacking(folder: Path, record: RunRecord, names: Mapping[str, Sequence[str]] = SCRAPS) -> list[str]:
    """List what stages of a run that passed do not hand over though the report speaks of it, as ``STAGE.NAME``.

    What a verdict rests on counts as lacking also where it cannot be read.
    """
    lacking = []
    for stage in filter(record.has_passed, names):
        try:
            given = set(read_scraps(folder / f"{stage}.ipynb"))
        except (NbkitError, OSError, ValueError):
            given = set()
        damaged = {name for name in EVIDENCE.get(stage, ()) if read_or(folder, stage, name, None) is None}
        lacking += [f"{stage}.{name}" for name in names[stage] if name not in given - damaged]
    return lacking


def read_front(folder: Path) -> dict[str, Any]:
    """Return what the front page of a run says, as it was last written; nothing where there is none."""
    try:
        page = (folder / "report" / "index.html").read_text(encoding="utf-8")
        found: dict[str, Any] = json.loads(page.partition('id="report">')[2].partition("</script>")[0])
    except (OSError, ValueError):
        return {}
    return found
