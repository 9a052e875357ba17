"""The manifest of a run, ``run.json``: the truth about each stage, written whole after every step."""

import contextlib
import datetime as dt
import json
import os
import platform
import re
import subprocess
from collections.abc import Collection, Iterator
from importlib import metadata
from pathlib import Path
from typing import IO, Any

from nbkit.errors import BadParameter, RunInUse, UnknownRun
from nbkit.project import MANIFEST, iterate_runs, name_sweep, read_manifest
from nbkit.run import STORE
from nbkit.store import write_atomic
from nbkit.wording import suggest

LOCK = ".lock"
OURS = re.compile(rf"{re.escape(MANIFEST)}|{STORE}|logs|report|.*\.ipynb|\.lock|\.run\.json\..*|\..*\.notes\.json")
LONGEST = 200  # bytes of a run's name; file systems allow 255
PACKAGES = ("nbkit", "papermill", "scrapbook", "pandas", "numpy", "scikit-learn", "skops", "duckdb", "shap")


def now() -> str:
    """Return the time as ISO 8601 in UTC."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")


def check_run_name(name: str) -> None:
    """Refuse a name that is none for a folder in ``runs/``: it would lead elsewhere, or hide.

    Raises
    ------
    BadParameter
        With what a name may be.

    Examples
    --------
    >>> check_run_name("with more trees")
    >>> check_run_name("../elsewhere")
    Traceback (most recent call last):
        ...
    nbkit.errors.BadParameter: '../elsewhere' is no name for a run: it is a folder's name, without / or a leading dot
    """
    unfit = name.startswith(".") or "/" in name or "\\" in name or not name.isprintable()
    if unfit or len(name.encode(errors="replace")) > LONGEST:
        raise BadParameter(
            f"{name[:60]!r} is no name for a run: it is a folder's name, without / or a leading dot"
            + (f", of at most {LONGEST} bytes" if not unfit else "")
        )


def make_run_dir(root: Path, project: str, name: str = "", taken: Collection[str] = ()) -> Path:
    """Make a new run folder, ``runs/<project>-<UTC time>`` or ``runs/<name>``; two at once get two folders.

    Parameters
    ----------
    root, project
        Where, and for which params.
    name
        The folder's name, if it is not to be made of project and time.
    taken
        Names that runs have elsewhere.

    Raises
    ------
    RunInUse
        If a run of that `name` exists.
    BadParameter
        If the `name` is none for a folder.
    """
    base = name or f"{project}-{dt.datetime.now(dt.UTC):%Y%m%dT%H%MZ}"
    for number in range(1, 1000):
        folder = root / "runs" / (base if number == 1 else f"{base}-{number}")
        try:
            if folder.name in taken:
                raise FileExistsError
            folder.mkdir(parents=True)
        except FileExistsError:
            if name:
                raise RunInUse(f"{folder} exists: take another --name, or `nbkit resume {name}`") from None
            continue
        return folder
    raise RunInUse(f"there are too many runs named {base} in {root / 'runs'}")


def describe_surroundings(root: Path) -> dict[str, Any]:
    """Return the versions, the machine and the git commit that a run happens in."""
    versions = {}
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "versions": versions,
        "git": _read_git(root),
    }


def _read_git(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with contextlib.suppress(OSError, subprocess.SubprocessError):  # no git, no repository, or it takes too long
        found["commit"] = _ask_git(root, "rev-parse", "HEAD")
        found["dirty"] = bool(_ask_git(root, "status", "--porcelain", "--untracked-files=no"))
    return found


def _ask_git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=5, check=True)  # noqa: S607
    return done.stdout.strip()


def has_side_files(folder: Path) -> bool:
    """Tell whether stages wrote files into the folder of their run themselves: nobody sees who reads them."""
    return any(not OURS.fullmatch(path.name) for path in folder.iterdir() if path.suffix != ".log")


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write ``run.json`` so that no reader ever meets half of it."""
    write_atomic(folder / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False, default=str).encode())


@contextlib.contextmanager
def hold_run(folder: Path) -> Iterator[None]:
    """Hold a run folder for this process.

    Raises
    ------
    RunInUse
        If another process holds it.
    """
    with (folder / LOCK).open("a+") as file:
        if not try_lock(file):
            raise RunInUse(f"another process is working in {folder}; wait for it, or stop it")
        yield


def is_held(folder: Path) -> bool:
    """Tell whether a process is working in a run folder."""
    if not (folder / LOCK).is_file():
        return False
    with (folder / LOCK).open("a+") as file:
        return not try_lock(file)


def try_lock(file: IO[str]) -> bool:
    """Lock a file for this process, until it is closed; False if another process has locked it."""
    try:
        import fcntl
    except ImportError:  # no such locks on Windows: two writers are then the operator's to avoid
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def find_run(root: Path, name: str = "") -> Path:
    """Return a run's folder by its name, a unique beginning of it, or its path; the latest if no name is given.

    A point of a sweep is the latest only if there is nothing else.

    Raises
    ------
    UnknownRun
        If there is none; with the nearest name.
    """
    if name and (Path(name) / MANIFEST).is_file():
        return Path(name).resolve()
    known = [folder for folder, _ in iterate_runs(root)]
    if not known:
        raise UnknownRun(f"there are no runs in {root / 'runs'}: `nbkit run PARAMS` makes one")
    if not name:
        return next((folder for folder in known if not name_sweep(folder)), known[0])
    names = [folder.name for folder in known]
    if name in names:
        return known[names.index(name)]
    begun = [folder for folder in known if folder.name.startswith(name)]
    if len(begun) == 1:
        return begun[0]
    problem = f"several runs begin with {name!r}" if begun else f"no run is called {name!r}"
    near = suggest(name, [folder.name for folder in begun] or names, most=5)
    raise UnknownRun(f"{problem}{near} (`nbkit runs` lists them)")


def list_runs(root: Path) -> list[dict[str, Any]]:
    """Return one row a run, newest first: name, project, status, stages passed, started, seconds, headline of the last.

    The seconds are those of the stages that the run executed itself.
    A run whose process is gone is ``"interrupted"``, whatever its manifest last said.
    """
    rows = []
    for folder, manifest in iterate_runs(root):
        stages = manifest.get("stages", [])
        passed = [entry for entry in stages if entry["status"] == "passed"]
        rows.append(
            {
                "run": folder.name,
                "project": manifest.get("project", ""),
                "status": read_status(folder, manifest),
                "stages": f"{len(passed)}/{len(stages)}",
                "started": manifest.get("started", "")[:16].replace("T", " "),
                "seconds": round(sum(entry.get("seconds") or 0 for entry in stages if not entry.get("borrowed"))),
                "headline": _say_end(stages),
            }
        )
    return rows


def _say_end(stages: list[dict[str, Any]]) -> str:
    """Say what stopped a run, else the last thing that it found."""
    for entry in reversed(stages):
        if entry["status"] != "pending" and (said := entry.get("headline") or entry.get("message")):
            return str(said)
    return ""


def read_status(folder: Path, manifest: dict[str, Any] | None = None) -> str:
    """Return a run's status; ``"interrupted"`` if it says ``"running"`` and nobody is at work."""
    status = str((read_manifest(folder) if manifest is None else manifest).get("status", ""))
    return "interrupted" if status == "running" and not is_held(folder) else status
