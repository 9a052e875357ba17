"""What may go: old runs that nothing refers to, artifacts that no notebook refers to, traces without a run."""

import contextlib
import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbkit.pipeline.cache import TRACES
from nbkit.pipeline.runs import is_held
from nbkit.pipeline.storage import FETCHED
from nbkit.record import RECORD, SWEEP, UNREADABLE, RunRecord, iterate_runs, name_sweep
from nbkit.scraps import STORE, list_artifacts, read_scraps
from nbkit.store import is_settled
from nbkit.wording import format_count


@dataclass(frozen=True)
class Waste:
    """Something that may go.

    Attributes
    ----------
    path
        A file or folder.
    kind
        ``"run"``, ``"artifact"``, ``"trace"``, ``"fetched"`` (a copy of a run of another machine) or ``"left over"``.
    why
        In words.
    size
        Bytes that its going frees: what other runs share by hard links is not among them.
    """

    path: Path
    kind: str
    why: str
    size: int


def find_waste(root: Path, *, keep: int = 5, needed: Collection[str] = ()) -> list[Waste]:
    """Find what may go.

    Parameters
    ----------
    root
        The project.
    keep
        How many of the newest passed runs to keep of each kind (same project, same stages, same window), and of the
        newest sweeps with all of their points.
    needed
        Names of runs that something refers to, such as a version in the registry.
    """
    runs = root / "runs"
    old = list(_find_old_runs(root, keep, needed))
    gone = {folder.name for folder, _ in old}
    found = [(folder, "run", why) for folder, why in old]
    for folder, _ in iterate_runs(root):
        if folder.name not in gone and not is_held(folder):
            found += [(path, "artifact", "no notebook of its run refers to it") for path in _find_orphans(folder)]
            found += [(path, "left over", "a process was killed while it wrote it") for path in _find_rests(folder)]
    for path in sorted((runs / TRACES).glob("*/*.json")):
        run = path.stem.partition("-")[2]
        if run in gone or not (runs / run).is_dir():
            found.append((path, "trace", f"the run {run} is gone, or goes"))
    locks = [path for path in sorted((runs / TRACES).glob("*/.*.lock")) if is_settled(path)]
    found += [(path, "left over", "a process was killed while it wrote it") for path in locks]
    found += [(path, "fetched", "a copy of what is stored") for path in sorted((runs / FETCHED).glob("*"))]
    sizes = _measure([list(_walk(path)) for path, *_ in found])
    return [Waste(*each, size) for each, size in zip(found, sizes, strict=True)]


def remove(waste: Iterable[Waste]) -> int:
    """Remove what may go; return the bytes that were freed. A run loses its record first: half a run is none."""
    freed = 0
    for each in waste:
        if each.path.is_dir():
            (each.path / RECORD).unlink(missing_ok=True)
            shutil.rmtree(each.path)
        else:
            each.path.unlink(missing_ok=True)
        freed += each.size
    return freed


def _find_old_runs(root: Path, keep: int, needed: Collection[str]) -> Iterator[tuple[Path, str]]:
    seen: dict[Any, int] = {}
    sweeps = sorted((root / "runs").glob(f"*/{SWEEP}"), key=lambda path: path.stat().st_mtime, reverse=True)
    old = {path.parent.name for path in sweeps[keep:] if not is_held(path.parent)}
    for name in sorted(old):
        yield root / "runs" / name, f"{keep} newer sweeps are there"
    for folder, record in iterate_runs(root):  # newest first
        if folder.name in needed or is_held(folder) or record.status == UNREADABLE:
            continue
        if sweep := name_sweep(folder):
            if sweep in old:
                yield folder, f"its sweep {sweep} goes"
            continue
        kind = _kind_of(record)
        passed = record.status == "passed"
        if seen.get(kind, 0) >= keep:
            yield folder, f"{format_count(keep, 'newer run')} of its kind passed"
        seen[kind] = seen.get(kind, 0) + passed


def _kind_of(record: RunRecord) -> tuple[str, ...]:
    """Return what distinguishes runs that do not replace each other: project, stages, window."""
    stages = tuple(each.stage for each in record.stages)
    windows = [str(record.parameters.get(stage, {}).get("window", "")) for stage in stages]
    return (record.project, *stages, *windows)


def _find_orphans(folder: Path) -> Iterator[Path]:
    """Yield the artifacts that no notebook of a run refers to, unless they have just been written."""
    wanted: set[str] = set()
    for notebook in folder.glob("[0-9]*.ipynb"):
        try:
            wanted |= set(list_artifacts(read_scraps(notebook)))
        except OSError:
            return  # a damaged notebook: nobody knows what it refers to
    for path in sorted((folder / STORE).rglob("*")):
        if path.is_file() and path.relative_to(folder / STORE).as_posix() not in wanted and is_settled(path):
            yield path


def _find_rests(folder: Path) -> Iterator[Path]:
    for path in sorted([*folder.glob(".*.running.ipynb"), *folder.glob(".*.notes.json"), *folder.glob(".run.json.*")]):
        if is_settled(path):
            yield path


def _walk(path: Path) -> Iterator[Path]:
    """Yield the files of a folder, or the file itself."""
    if path.is_file():
        yield path
    for base, _, names in os.walk(path):
        yield from (Path(base) / name for name in names)


def _measure(groups: list[list[Path]]) -> list[int]:
    """Return what each group's going frees if all go: a file with several names is freed with the last of them."""
    left: dict[tuple[int, int], int] = {}
    sizes = []
    for files in groups:
        freed = 0
        for path in files:
            with contextlib.suppress(OSError):
                facts = path.stat()
                key = (facts.st_dev, facts.st_ino)
                left[key] = left.get(key, facts.st_nlink) - 1
                freed += facts.st_size if left[key] == 0 else 0
        sizes.append(freed)
    return sizes
