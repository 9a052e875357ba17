"""What stages did before, kept as traces: a stage whose inputs are the same is taken over, and nothing is done twice.

A trace is a small JSON file in ``runs/.traces/<stage>/``, written when a stage has passed. It says what the stage was
given and what it was seen to read, and holds for as long as all of that is the same and its artifacts are intact.
"""

import contextlib
import datetime as dt
import glob
import hashlib
import importlib
import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import IO, Any

import msgspec

from nbkit.kernels import read_imports
from nbkit.observe import installed_folders
from nbkit.pipeline.fingerprint import Memo, find_packages, list_versions
from nbkit.pipeline.manifest import try_lock
from nbkit.pipeline.storage import Storage
from nbkit.run import STORE, digest_scraps, list_artifacts, read_scraps
from nbkit.stages.notebooks import ALWAYS, LONGEST, Stage, list_file_names
from nbkit.store import write_atomic

TRACES = ".traces"
CHANGED = "changed while the stage ran"
UNKNOWN = "?"  # what a stage left outside of its run cannot be told
HANDING_OVER = ("nbkit.run", "nbkit.formats")  # what they import keeps results and makes none
Handed = Mapping[str, "dict[str, str] | None"]


@dataclass(frozen=True)
class Trace:
    """What one execution of a stage was given, what it read, and what it handed over.

    Attributes
    ----------
    stage, run
        Which stage, and the run in which its notebook and its artifacts lie.
    python, threads, cells, parameters
        What it was given: the interpreter's version, the threads it computed with, one digest a code cell, the values.
    loads
        ``"05_features.train"`` to the digest of the value.
    files, modules
        Path (from the project's root where it lies below) to digest.
    packages
        Distribution to version.
    outside
        What it read that may change without anybody noticing.
    effects
        What it left outside of its run, as described when it had passed.
    saves
        Name to the digest of the value that it handed over.
    artifacts
        Key in the run's store to the sha256 of its bytes.
    notebook
        The sha256 of the executed notebook.
    """

    stage: str
    run: str
    python: str
    threads: int
    cells: list[str]
    parameters: dict[str, Any]
    loads: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    outside: list[str] = field(default_factory=list)
    effects: str = ""
    saves: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, str] = field(default_factory=dict)
    notebook: str = ""

    @property
    def key(self) -> str:
        """The digest of what it was given."""
        parameters = sorted(self.parameters.items())  # the order of a value's own keys counts
        given = [self.python, self.threads, self.cells, parameters]
        return hashlib.sha256(json.dumps(given).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Found:
    """Whether a stage must run.

    Attributes
    ----------
    action
        ``"run"``, ``"reuse"``, or ``"wait"`` if that depends on what an earlier stage will hand over.
    why
        In words.
    trace
        What is taken over.
    """

    action: str
    why: str
    trace: Trace | None = None


def begin_trace(stage: Stage, parameters: dict[str, Any], threads: int) -> Trace:
    """Return what is known of a stage before it runs."""
    return Trace(stage.name, "", platform.python_version(), threads, list(stage.cells), parameters)


class Cache:
    """The traces of a project.

    Parameters
    ----------
    root
        The project.
    storage
        Where the runs of other machines are found as well.
    """

    def __init__(self, root: Path, storage: Storage | None = None) -> None:
        self.root = root
        self.storage = storage
        self.folder = root / "runs" / TRACES
        self.memo = Memo(self.folder / "files.json")

    def find(self, stage: Stage, now: Trace, handed: Handed, prefer: str = "") -> Found:
        """Find a trace that still holds, in any run of the project.

        Parameters
        ----------
        stage
            The stage.
        now
            What it would be given, from `begin_trace`.
        handed
            Earlier stage to the digests of what it hands over in this run; None while that is not known.
        prefer
            The run to look at first.
        """
        if stage.effects == ALWAYS or stage.cadence != "run":
            return Found("run", "it reads or changes what lies outside of its run")
        said, waiting = "", Found("run", "")
        if self.storage:
            self.storage.pull_traces(self.folder, stage.name, now.key)
        for trace in self._read_traces(stage.name, now.key, prefer):
            why = self._explain(trace, stage, handed)
            waits = dict.fromkeys(name.partition(".")[0] for name in trace.loads if _is_pending(name, handed))
            if not why and not waits:
                return Found("reuse", f"unchanged since {trace.run}", trace)
            if not why:
                waiting = Found("wait", f"skipped if it gets the same from {', '.join(waits)}", trace)
            said = said or why
        if waiting.trace:
            return waiting
        return Found("run", said or self._compare(stage, now))

    def find_folder(self, trace: Trace) -> Path:
        """Return the folder of the run that a trace speaks of, brought here if it was made elsewhere."""
        folder = self.root / "runs" / trace.run
        if self.storage and not folder.exists():
            with contextlib.suppress(FileNotFoundError):
                return self.storage.fetch_run(trace.run, [trace.stage])
        return folder

    def try_hold(self, stage: Stage, now: Trace, handed: Handed) -> IO[str] | None:
        """Hold a stage with its inputs for this process, so that no other computes the same meanwhile.

        Returns
        -------
        file
            To be given to `let_go`; None if another process holds it.
        """
        inputs = [[source, name, (handed.get(source) or {}).get(name)] for source, name in stage.loads]
        digest = hashlib.sha256(json.dumps([now.key, inputs]).encode()).hexdigest()[:16]
        path = self.folder / stage.name / f".{digest}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
        if try_lock(file):
            return file
        file.close()
        return None

    def newest_run(self, now: Trace) -> str:
        """Return the latest run in which a stage was given the same; empty if there is none."""
        return next((trace.run for trace in self._read_traces(now.stage, now.key)), "")

    def keep(self, stage: Stage, now: Trace, folder: Path, seen: Mapping[str, Any], started: str) -> Trace:
        """Keep the trace of a stage that has passed.

        Parameters
        ----------
        stage, now
            As for `find`.
        folder
            The run.
        seen
            What was noted in its kernel (`nbkit.observe`): loads, files, modules, imports, notebooks, outside.
        started
            When it began, as in the manifest: what has changed since then may not be what it read.
        """
        notebook = folder / f"{stage.name}.ipynb"
        scraps = read_scraps(notebook)
        installed = installed_folders()
        own = [Path(path) for path in seen["modules"].values() if not path.startswith(installed)]
        computing = [stage.path, *(Path(path) for name, path in seen["modules"].items() if name not in HANDING_OVER)]
        named = {name.partition(".")[0] for name in seen["imports"]}
        foreign = named.union(*map(read_imports, computing)) - sys.stdlib_module_names
        whole = {each: digest_scraps(read_scraps(folder / f"{each}.ipynb")) for each in seen.get("notebooks", [])}
        read = {Path(path): self._digest(Path(path), started) for path in seen["files"]}
        named_files = {path: self._digest(path, started) for path in self._find_named(stage, now.parameters, notebook)}
        read |= {path: digest for path, digest in named_files.items() if digest != CHANGED}  # else it may have made it
        trace = replace(
            now,
            run=folder.name,
            loads={f"{each}.{key}": digest for each, digests in whole.items() for key, digest in digests.items()}
            | seen["loads"],
            files={self._name(path): digest for path, digest in read.items()},
            modules={self._name(path): self._digest(path, started) for path in own},
            packages=find_packages(foreign) | _own_version(),
            outside=seen["outside"],
            effects=describe_effects(stage, now.parameters, scraps, self.root),
            saves=digest_scraps(scraps),
            artifacts={key: self.memo.digest(folder / STORE / key) for key in list_artifacts(scraps)},
            notebook=self.memo.digest(notebook),
        )
        self._write(trace)
        return trace

    def adopt(self, trace: Trace, folder: Path) -> None:
        """Keep a trace for a run that took the stage over, so that it holds also when the first run is gone."""
        self._write(replace(trace, run=folder.name))

    def list_traces(self, run: str) -> list[Path]:
        """Return the files of the traces that a run has left."""
        return sorted(self.folder.glob(f"*/*-{glob.escape(run)}.json"))

    def _write(self, trace: Trace) -> None:
        content = json.dumps(asdict(trace), ensure_ascii=False).encode()
        write_atomic(self.folder / trace.stage / f"{trace.key}-{trace.run}.json", content)
        self.memo.save()

    def _read_traces(self, stage: str, key: str = "", prefer: str = "") -> Iterator[Trace]:
        """Yield the traces of a stage, newest first."""
        paths = sorted((self.folder / stage).glob(f"{key}*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in sorted(paths, key=lambda path: path.name != f"{key}-{prefer}.json"):
            try:
                yield msgspec.json.decode(path.read_bytes(), type=Trace)
            except (OSError, msgspec.DecodeError):
                continue

    def _find_named(self, stage: Stage, parameters: dict[str, Any], notebook: Path) -> Iterator[Path]:
        """Yield the files whose names stand in a cell or are a parameter's value: a library may read them unseen."""
        names = {*list_file_names(notebook), *_list_texts(parameters)}
        for name, base in product(sorted(names), (self.root, stage.path.parent)):
            path = Path(os.path.normpath(base / name))
            inside = path.is_relative_to(self.root / "runs") or path.suffix == ".ipynb"
            with contextlib.suppress(OSError, ValueError):  # a text may be no name at all
                if not inside and path.is_file():
                    yield path

    def _digest(self, path: Path, started: str) -> str:
        """Digest what was read; nothing equals what was changed meanwhile."""
        with contextlib.suppress(OSError):
            facts = (path.stat(), path.lstat())  # a file that is moved to a place, or a link to it, keeps its st_mtime
            if max(max(each.st_mtime, each.st_ctime) for each in facts) < _read_time(started):
                return self.memo.digest(path)
        return CHANGED

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    # --- reasons

    def _explain(self, trace: Trace, stage: Stage, handed: Handed) -> str:
        """Say why a trace does not hold any more; empty if it does, as far as can be known."""
        checks = (
            self._explain_loads(trace, handed),
            self._explain_files(trace),
            self._explain_packages(trace),
            (f"it read {what}, which may have changed" for what in trace.outside),
            self._explain_result(trace),
            self._explain_effects(trace, stage),
        )
        return next((why for check in checks for why in check), "")

    def _explain_loads(self, trace: Trace, handed: Handed) -> Iterator[str]:
        for place, digest in trace.loads.items():
            source, _, name = place.partition(".")
            given = handed.get(source, {})
            if given is not None and given.get(name) != digest:
                yield f"{source} hands over {'another' if name in given else 'no'} {name!r}"

    def _explain_files(self, trace: Trace) -> Iterator[str]:
        for place, digest in {**trace.modules, **trace.files}.items():
            found = self.memo.digest(self.root / place)
            if found != digest:
                yield f"{place} {'has changed' if found else 'is gone'}"

    def _explain_packages(self, trace: Trace) -> Iterator[str]:
        versions = list_versions()
        for name, version in trace.packages.items():
            if versions.get(name) != version:
                yield f"{name} {version} → {versions.get(name, 'not installed')}"

    def _explain_result(self, trace: Trace) -> Iterator[str]:
        folder = self.find_folder(trace)
        kept = {f"{trace.stage}.ipynb": trace.notebook, **{f"{STORE}/{k}": v for k, v in trace.artifacts.items()}}
        away = []
        for place, digest in kept.items():
            found = self.memo.digest(folder / place)
            if not found and self.storage and place.startswith(STORE):
                away.append(place.removeprefix(f"{STORE}/"))
            elif found != digest:
                yield f"runs/{trace.run}/{place} {'was changed after it was saved' if found else 'is gone'}"
        if self.storage and away and not self.storage.holds(away):
            yield f"artifacts of {trace.run} are neither here nor at {self.storage.url}"

    def _explain_effects(self, trace: Trace, stage: Stage) -> Iterator[str]:
        if not stage.effects and not trace.effects:
            return
        scraps = read_scraps(self.find_folder(trace) / f"{trace.stage}.ipynb")
        now = describe_effects(stage, trace.parameters, scraps, self.root)
        if now != trace.effects or now == UNKNOWN:
            yield f"what it did outside of its run was {trace.effects or 'not noted'}, and is now {now or 'not noted'}"

    def _compare(self, stage: Stage, now: Trace) -> str:
        """Say in what a stage differs from the last time that it passed."""
        before = next(self._read_traces(stage.name), None)
        if before is None:
            return "it has not passed before"
        changes = [
            *_compare_cells(before.cells, now.cells, stage.name),
            *(
                f"{name} is now {value!r}, was {before.parameters.get(name)!r}"[:120]
                for name, value in now.parameters.items()
                if name != "threads" and json.dumps(before.parameters.get(name)) != json.dumps(value)
            ),
            *([f"Python {before.python} → {now.python}"] if before.python != now.python else []),
            *([f"threads {before.threads} → {now.threads}"] if before.threads != now.threads else []),
        ]
        return "; ".join(changes[:3]) or "a parameter is gone"


def let_go(held: IO[str]) -> None:
    """Let others have what `Cache.try_hold` held."""
    Path(held.name).unlink(missing_ok=True)
    held.close()


def describe_effects(stage: Stage, parameters: dict[str, Any], scraps: dict[str, Any], root: Path) -> str:
    """Describe what a stage left outside of its run, by the function that its notebook names.

    Returns
    -------
    str
        Empty if it leaves nothing; ``"?"`` if the function cannot tell, and the stage then runs each time.
    """
    module, colon, function = stage.effects.partition(":")
    if not colon:
        return ""
    if str(root) not in sys.path:
        sys.path.insert(1, str(root))
    try:
        return str(getattr(importlib.import_module(module), function)(parameters, scraps, root))
    except Exception:  # a function of the project's own may fail in any way
        return UNKNOWN


def _is_pending(place: str, handed: Handed) -> bool:
    return handed.get(place.partition(".")[0], {}) is None


def _list_texts(value: Any) -> Iterator[str]:
    """Yield the texts in a parameter's value that could be names of files."""
    if isinstance(value, str):
        if 0 < len(value) < LONGEST and value.isprintable():
            yield value
    elif isinstance(value, dict):
        yield from (text for each in value.values() for text in _list_texts(each))
    elif isinstance(value, list):
        yield from (text for each in value for text in _list_texts(each))


def _read_time(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp()


def _own_version() -> dict[str, str]:
    return {"nbkit": list_versions()["nbkit"]} if "nbkit" in list_versions() else {}


def _compare_cells(before: list[str], after: list[str], stage: str) -> list[str]:
    if len(before) != len(after):
        return [f"{stage} has {len(after)} code cells, had {len(before)}"]
    changed = [str(number) for number, (old, new) in enumerate(zip(before, after, strict=True), 1) if old != new]
    return [f"cell {', '.join(changed)} of {stage} changed"] if changed else []
