"""The folders of runs: how they are named, made, held, found, listed, and how one takes over from another."""

import contextlib
import datetime as dt
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Collection, Iterator
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import IO, Any

from nbkit.errors import BadNotebook, BadParameter, RunInUse, UnknownRun
from nbkit.record import RECORD, Git, RunRecord, StageRecord, Surroundings, iterate_runs, name_sweep, read_record
from nbkit.scraps import STORE, check_artifacts, list_artifacts, read_scraps
from nbkit.wording import suggest

LOCK = ".lock"
OURS = re.compile(rf"{re.escape(RECORD)}|{STORE}|logs|report|.*\.ipynb|\.lock|\.run\.json\..*|\..*\.notes\.json")
LONGEST = 200  # bytes of a run's name; file systems allow 255
PACKAGES = ("nbkit", "papermill", "scrapbook", "pandas", "numpy", "scikit-learn", "skops", "duckdb", "shap")


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
    nbkit.errors.BadParameter: '../elsewhere' is not a run name: use a plain folder name, without / or a leading dot
    """
    unfit = name.startswith(".") or "/" in name or "\\" in name or not name.isprintable()
    if unfit or len(name.encode(errors="replace")) > LONGEST:
        raise BadParameter(
            f"{name[:60]!r} is not a run name: use a plain folder name, without / or a leading dot"
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
        If no folder can be made there.
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
        except OSError as error:
            raise BadParameter(f"no run can be made in {folder.parent}: {error.strerror or error}") from None
        return folder
    raise RunInUse(f"there are too many runs named {base} in {root / 'runs'}")


def name_path(path: Path, root: Path) -> str:
    """Return a path as seen from the project where it lies below it."""
    path = path.resolve()
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def describe_surroundings(root: Path) -> Surroundings:
    """Return the versions, the machine and the git commit that a run happens in."""
    versions = {}
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return Surroundings(platform.python_version(), platform.platform(), os.cpu_count(), versions, _read_git(root))


def _read_git(root: Path) -> Git:
    ask = partial(subprocess.run, capture_output=True, text=True, timeout=5, check=True)
    git, found = ["git", "-C", str(root)], Git()
    with contextlib.suppress(OSError, subprocess.SubprocessError):  # no git, no repository, or it takes too long
        found.commit = ask([*git, "rev-parse", "HEAD"]).stdout.strip()
        found.changed = len(ask([*git, "status", "--porcelain", "--untracked-files=no"]).stdout.splitlines())
        found.dirty = bool(found.changed)
    return found


def has_side_files(folder: Path) -> bool:
    """Return whether stages wrote files into the folder of their run themselves: nobody sees who reads them."""
    return any(not OURS.fullmatch(path.name) for path in folder.iterdir() if path.suffix != ".log")


@contextlib.contextmanager
def lock_run(folder: Path) -> Iterator[None]:
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
    """Return whether a process is working in a run folder."""
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

    A point of a sweep, or a look of the monitor, is the latest only if there is nothing else.

    Raises
    ------
    UnknownRun
        If there is none; with the nearest name.
    """
    if name and (Path(name) / RECORD).is_file():
        return Path(name).resolve()
    runs = list(iterate_runs(root))
    known = [folder for folder, _ in runs]
    if not known:
        raise UnknownRun(f"there are no runs in {root / 'runs'}: `nbkit run PARAMS` makes one")
    if not name:
        stages = [folder for folder, record in runs if not (name_sweep(folder) or record.is_look)]
        return (stages or [folder for folder in known if not name_sweep(folder)] or known)[0]
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
    A run whose process is gone is ``"interrupted"``, whatever its record last said.
    """
    rows = []
    for folder, record in iterate_runs(root):
        passed = [stage for stage in record.stages if stage.status == "passed"]
        rows.append(
            {
                "run": folder.name,
                "project": record.project,
                "status": read_status(folder, record),
                "stages": f"{len(passed)}/{len(record.stages)}",
                "started": record.started[:16].replace("T", " "),
                "seconds": round(record.seconds),
                "headline": describe_end(record),
            }
        )
    return rows


def describe_end(record: RunRecord) -> str:
    """Describe what stopped a run, else the last thing that it found."""
    said = (stage.headline or stage.message for stage in reversed(record.stages) if stage.status != "pending")
    return next(filter(None, said), "")


def read_status(folder: Path, record: RunRecord | None = None) -> str:
    """Return a run's status; ``"interrupted"`` if it says ``"running"`` and nobody is at work."""
    status = (record or read_record(folder)).status
    return "interrupted" if status == "running" and not is_held(folder) else status


def take_over(source: Path, folder: Path, stage: str, *, stored: bool = False) -> StageRecord:
    """Take a passed stage over from another run: its notebook is copied, its artifacts are linked.

    Parameters
    ----------
    source, folder
        The run that has it and the run that gets it.
    stage
        Its name.
    stored
        Whether artifacts that are not here can come from a storage once they are read.

    Returns
    -------
    StageRecord
        What `source` says of it, and who executed it.

    Raises
    ------
    BadNotebook, CorruptArtifact
        If it is gone or was changed.
    """
    notebook = source / f"{stage}.ipynb"
    record = read_record(source).find(stage)
    if record is None or record.status != "passed" or not notebook.is_file():
        raise BadNotebook(f"{notebook} is gone or did not pass: run {stage} again")
    if not stored:
        check_artifacts(notebook)
    for key in list_artifacts(read_scraps(notebook)):
        if (source / STORE / key).exists():
            _link(source / STORE / key, folder / STORE / key)
    shutil.copy2(notebook, folder / notebook.name)
    record.borrowed = record.borrowed or source.name
    return record


def keep_edit(folder: Path, record: StageRecord) -> Path | None:
    """Keep a run's copy of a notebook that somebody edited after it had run: resuming writes over it."""
    notebook = folder / f"{record.stage}.ipynb"
    if not record.ended or not notebook.is_file():
        return None
    if notebook.stat().st_mtime < dt.datetime.fromisoformat(record.ended).timestamp() + 2:
        return None
    kept = folder / "logs" / f"{record.stage}.edited.ipynb"
    kept.parent.mkdir(exist_ok=True)
    return Path(shutil.copy2(notebook, kept))


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(source)
    except FileExistsError:
        pass
    except OSError:
        shutil.copy2(source, target)
