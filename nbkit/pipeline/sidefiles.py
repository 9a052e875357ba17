"""Files that stages write into the folder of their run themselves, rather than by `run.save`; a log is none of them."""

import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from nbkit.project import MANIFEST
from nbkit.run import STORE

OURS = (MANIFEST, STORE, "logs", "report")  # beside notebooks and what is hidden
State = tuple[int, int, int, int]


def list_side_files(folder: Path) -> dict[str, State]:
    """Return the files that stages wrote: path, as seen from the run's folder, to what tells its state from another."""
    found: dict[str, State] = {}
    for base, folders, names in os.walk(folder):
        outer = Path(base) == folder
        folders[:] = [name for name in folders if _is_theirs(name, outer=outer)]
        for path in [Path(base, name) for name in names if _is_theirs(name, outer=outer)]:
            with contextlib.suppress(OSError):
                facts = path.lstat()
                if stat.S_ISREG(facts.st_mode):
                    state = (facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino)
                    found[path.relative_to(folder).as_posix()] = state
    return found


def find_written(folder: Path, before: dict[str, State], digest: Callable[[Path], str]) -> dict[str, str]:
    """Return the digests of the files that were written since `list_side_files` was asked."""
    now = list_side_files(folder)
    return {path: digest(folder / path) for path, state in sorted(now.items()) if before.get(path) != state}


def _is_theirs(name: str, *, outer: bool) -> bool:
    if name.startswith(".") or name == "__pycache__" or name.endswith(".log"):
        return False
    return not outer or (name not in OURS and not name.endswith(".ipynb"))
