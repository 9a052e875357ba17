"""What a notebook hands over, read from its file: scraps, and the artifacts that they refer to."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbkit import formats
from nbkit.errors import CorruptArtifact, MissingScrap, UnfinishedStage, UnknownStage
from nbkit.lifecycle import DESK
from nbkit.observe import reading_notebook
from nbkit.record import read_record
from nbkit.store import Store, write_atomic
from nbkit.values import TAG, decode

STORE = "artifacts"
ALL = "*"  # stands for the names that a stage hands over
SCRAP = re.compile(r"application/scrapbook\.scrap\.(\w+)\+json")


def open_store(folder: Path) -> Store:
    """Open the artifacts of a run; what is not here comes from the storage that the run was copied to."""

    def find_remote() -> str:
        storage = read_record(folder).storage
        return f"{storage}/{STORE}" if storage else ""

    return Store(folder / STORE, find_remote)


def read_scraps(notebook: Path) -> dict[str, Any]:
    """Read everything that was glued into a notebook, still encoded; the last of a name counts.

    Parameters
    ----------
    notebook
        An ``.ipynb`` file, executed or not.

    Returns
    -------
    dict
        Name to the scrap's data, exactly what ``scrapbook.read_notebook(…).scraps[name].data`` is.
    """
    return find_scraps(read_notebook(notebook))


def find_scraps(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """Find everything that was glued into a notebook, given as JSON; as `read_scraps`."""
    outputs = (output for cell in notebook.get("cells", []) for output in cell.get("outputs", []))
    payloads = (data for each in outputs for mime, data in each.get("data", {}).items() if SCRAP.fullmatch(mime))
    return {payload["name"]: payload["data"] for payload in payloads}


def read_scrap(data: Any, folder: Path) -> Any:
    """Turn a scrap's data into the value, reading and verifying its artifact in the store of `folder`."""
    if isinstance(data, dict) and data.get(TAG) == "artifact":
        reference = data["value"]
        content = open_store(folder).get(reference["key"])
        if len(content) != reference["bytes"] or Path(reference["key"]).name.split(".")[0] != reference["sha256"]:
            raise CorruptArtifact(f"{folder}: the reference to {reference['key']} was changed: run its stage again")
        return formats.load(reference["kind"], content)
    return decode(data)


def read_value(folder: Path, stage: str, name: str) -> Any:
    """Read one value of a run without a notebook, as the report and the command line do.

    Raises
    ------
    UnknownStage, MissingScrap, CorruptArtifact
        As `Run.load`.
    """
    notebook = folder / f"{stage}.ipynb"
    if not notebook.is_file():
        raise UnknownStage(f"{stage} has not run in {folder}")
    return read_scrap(pick(read_scraps(notebook), stage, name, notebook), folder)


def digest_scraps(scraps: dict[str, Any]) -> dict[str, str]:
    """Digest what a notebook hands over, name by name; ``"*"`` is the digest of the names."""
    digests = {name: digest_value(data) for name, data in scraps.items()}
    return {**digests, ALL: digest_value(sorted(scraps))}


def list_artifacts(scraps: dict[str, Any]) -> list[str]:
    """Return the keys of the artifacts that scraps refer to."""
    return [data["value"]["key"] for data in scraps.values() if isinstance(data, dict) and data.get(TAG) == "artifact"]


def digest_value(data: Any) -> str:
    """Digest a value that JSON can hold, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:32]


def check_artifacts(notebook: Path) -> None:
    """Verify every artifact that a notebook hands over.

    Raises
    ------
    CorruptArtifact
        If one is gone or was changed, or the notebook is damaged.
    """
    store = open_store(notebook.parent)
    for key in list_artifacts(read_scraps(notebook)):
        store.get(key)


def read_notebook(path: Path) -> dict[str, Any]:
    """Read a notebook's JSON; what is taken from it is for the caller to note.

    Raises
    ------
    CorruptArtifact
        If it is damaged.
    """
    try:
        with reading_notebook():
            text = path.read_bytes()
        content: dict[str, Any] = {"metadata": {}, **json.loads(text)}
    except (ValueError, TypeError) as error:
        raise CorruptArtifact(f"{path} is damaged ({error}): run its stage again") from None
    return content


def is_page(notebook: Mapping[str, Any]) -> bool:
    """Return whether a notebook is a page of the desk, which is no stage: its ``metadata.nbkit.cadence`` says so."""
    return bool(notebook["metadata"].get("nbkit", {}).get("cadence") == DESK)


def write_notebook(path: Path, content: Mapping[str, Any]) -> None:
    """Write a notebook as JupyterLab does, whole and at once."""
    write_atomic(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def pick(scraps: dict[str, Any], stage: str, name: str, notebook: Path) -> Any:
    """Return a stage's scrap, still encoded.

    Raises
    ------
    MissingScrap
        If there is none of that name; with those there are.
    """
    if name not in scraps:
        offered = ", ".join(sorted(scraps)) or "nothing"
        raise MissingScrap(f"{stage} hands over no {name!r} ({notebook}); it hands over: {offered}")
    return scraps[name]


def read_finished(notebook: Path) -> dict[str, Any]:
    """Read what a notebook hands over, as `read_scraps`.

    Raises
    ------
    UnfinishedStage
        If it did not run to its end.
    """
    content = read_notebook(notebook)
    status = content["metadata"].get("nbkit", {}).get("status", "passed")
    if status != "passed" or content["metadata"].get("papermill", {}).get("exception"):
        raise UnfinishedStage(
            f"{notebook.stem} did not run to its end in {notebook.parent}, so nothing is read from it: "
            f"correct what stopped it, then `nbkit resume {notebook.parent.name}`"
        )
    return find_scraps(content)
