"""The stages of a run, read from its executed notebooks."""

import contextlib
from pathlib import Path

from nbkit.errors import NbkitError
from nbkit.project import find_notebooks
from nbkit.record import read_record
from nbkit.stages.notebooks import Stage, read_stage, read_stages


def read_run_stages(folder: Path) -> dict[str, Stage]:
    """Read the stages of a run from its executed notebooks, and from the project what the run did not come to.

    A run can be told also where the project is gone or broken by now.
    """
    stages: dict[str, Stage] = {}
    root = Path(read_record(folder).root)
    with contextlib.suppress(NbkitError, OSError):
        stages |= read_stages(find_notebooks(root)) if root.is_absolute() and root.is_dir() else {}
    for path in folder.glob("[0-9][0-9]*_*.ipynb"):
        with contextlib.suppress(NbkitError):
            stages[path.stem] = read_stage(path)
    return dict(sorted(stages.items()))
