"""Takes over into a run what another run, or somebody's hand, has made: passed stages, edited notebooks."""

import datetime as dt
import shutil
from pathlib import Path
from typing import Any

from nbkit.errors import BadNotebook
from nbkit.pipeline.sign import sign_notebook
from nbkit.project import read_manifest
from nbkit.run import STORE, check_artifacts, list_artifacts, read_scraps


def take_over(source: Path, folder: Path, stage: str, entry: dict[str, Any], *, stored: bool = False) -> None:
    """Take a passed stage over from another run: its notebook is copied, its artifacts are linked.

    Parameters
    ----------
    source, folder
        The run that has it and the run that gets it.
    stage
        Its name.
    entry
        Its entry in the manifest of `folder`: what `source` says of it is put in.
    stored
        Whether artifacts that are not here can come from a storage once they are read.

    Raises
    ------
    BadNotebook, CorruptArtifact
        If it is gone or was changed.
    """
    notebook = source / f"{stage}.ipynb"
    before = next((each for each in read_manifest(source).get("stages", []) if each["stage"] == stage), None)
    if before is None or not notebook.is_file():
        raise BadNotebook(f"{notebook} is gone: run {stage} again")
    if not stored:
        check_artifacts(notebook)
    for key in list_artifacts(read_scraps(notebook)):
        if (source / STORE / key).exists():
            _link(source / STORE / key, folder / STORE / key)
    shutil.copy2(notebook, folder / notebook.name)
    if stored:  # the same bytes are signed already, if they were executed here
        sign_notebook(folder / notebook.name, own=False)
    entry.update({**before, "borrowed": before.get("borrowed", source.name)})


def keep_edit(folder: Path, stage: str, entry: dict[str, Any]) -> Path | None:
    """Keep a run's copy of a notebook that somebody edited after it had run: resuming writes over it."""
    notebook, ended = folder / f"{stage}.ipynb", entry.get("ended")
    if not ended or not notebook.is_file():
        return None
    if notebook.stat().st_mtime < dt.datetime.fromisoformat(ended).timestamp() + 2:
        return None
    kept = folder / "logs" / f"{stage}.edited.ipynb"
    kept.parent.mkdir(exist_ok=True)
    return Path(shutil.copy2(notebook, kept))


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        return
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)
