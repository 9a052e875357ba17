"""Files that stages write into the folder of their run themselves, rather than by `run.save`; a log is none of them."""

import contextlib
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nbkit.errors import CorruptArtifact
from nbkit.pipeline.fingerprint import Memo, digest_bytes
from nbkit.project import MANIFEST, read_manifest
from nbkit.run import STORE, digest_value

OURS = re.compile(rf"{re.escape(MANIFEST)}|{STORE}|logs|report|.*\.ipynb|\.lock|\.run\.json\..*|\..*\.notes\.json")
ALL = "./"  # stands for all that a stage wrote itself, among what it hands over

Files = dict[str, str]  # path, as seen from the run's folder, to the sha256


def list_side_files(folder: Path, memo: Memo) -> Files:
    """Digest what stages wrote into the folder of their run, by the bytes; what nbkit puts there is left out."""
    found: Files = {}
    for base, folders, names in os.walk(folder):
        if Path(base) == folder:
            folders[:], names = ([name for name in each if not OURS.fullmatch(name)] for each in (folders, names))
        for path in [Path(base, name) for name in sorted(names) if not name.endswith(".log")]:
            with contextlib.suppress(OSError, UnicodeEncodeError):  # gone meanwhile; a name that no text can hold
                place = path.relative_to(folder).as_posix()
                place.encode()
                if path.is_file():
                    found[place] = _digest(path, memo)
    return found


def find_written(files: Files, entries: Iterable[Mapping[str, Any]]) -> Files:
    """Return what a stage wrote, or removed (an empty digest): what differs from what the stages before have left.

    Parameters
    ----------
    files
        What there is, from `list_side_files`.
    entries
        The manifest's entries of the stages that have passed.

    Examples
    --------
    >>> find_written({"a.csv": "1", "b.csv": "3"}, [{"files": {"b.csv": "2", "c.csv": "4"}}])
    {'a.csv': '1', 'b.csv': '3', 'c.csv': ''}
    """
    before = {path: digest for entry in entries for path, digest in entry.get("files", {}).items()}
    written = {path: digest for path, digest in files.items() if before.get(path) != digest}
    return written | {path: "" for path, digest in before.items() if digest and path not in files}


def digest_files(files: Files) -> str:
    """Digest all that a stage wrote itself; empty if that is nothing."""
    return digest_value(files) if files else ""


def find_changed(folder: Path, files: Files, memo: Memo) -> str:
    """Return the first of a stage's files that is not in the run's folder as the stage has left it; empty for none."""
    return next((path for path, digest in files.items() if _digest(folder / path, memo) != digest), "")


def find_tampered(folder: Path, files: Files, memo: Memo) -> str:
    """Return the first of a stage's files that is neither as it has left it nor as a later one has; empty for none."""
    entries = read_manifest(folder).get("stages", []) if files else []
    latest = {path: digest for each in entries for path, digest in each.get("files", {}).items()}
    known = ((path, {digest, latest.get(path, digest)}) for path, digest in files.items())
    return next((path for path, digests in known if _digest(folder / path, memo) not in digests), "")


def copy_side_files(source: Path, folder: Path, stage: str, files: Files, memo: Memo) -> None:
    """Do in another run what a stage did to the files in the folder of its own.

    Raises
    ------
    CorruptArtifact
        If a file is not what the stage has left: somebody, or a later stage, has changed it.
    """
    if changed := find_changed(source, files, memo):
        raise CorruptArtifact(f"{source / changed} is not as {stage} left it: begin with {stage}")
    for path, digest in files.items():
        (folder / path).unlink(missing_ok=True)
        if digest:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / path, folder / path)


def _digest(path: Path, memo: Memo) -> str:
    if path.suffix != ".py":  # of which the memo digests the code
        return memo.digest(path)
    with contextlib.suppress(OSError):
        return digest_bytes(path)
    return ""
