"""What stages did before, kept as traces: a stage whose inputs are the same is taken over, and nothing is done twice.

A trace is a small JSON file in ``runs/.traces/<stage>/``, written when a stage has passed. It says what the stage was
given and what it was seen to read, and holds for as long as all of that is the same and its artifacts are intact.
"""

import contextlib
import glob
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Literal

import msgspec

from nbkit.observe import digest_names, list_names
from nbkit.pipeline.fingerprint import Memo, list_versions
from nbkit.pipeline.runs import try_lock
from nbkit.pipeline.storage import Storage
from nbkit.pipeline.trace import UNKNOWN, Handed, Trace, describe_effects
from nbkit.scraps import STORE, read_scraps
from nbkit.stages.notebooks import ALWAYS, Stage
from nbkit.store import write_atomic

TRACES = ".traces"


Action = Literal["run", "skip", "skip?"]


@dataclass(frozen=True)
class Step:
    """What is to be done with one stage, and why.

    Attributes
    ----------
    stage
        The notebook.
    action
        ``"run"``, ``"skip"`` (it is taken from `source`) or ``"skip?"`` (which of both depends on what an earlier stage
        will hand over).
    why
        In words.
    source
        The run that has it; this run itself if it passed here before.
    trace
        Why it can be taken: nothing that it depends on has changed. None if it is taken because that was asked for.
    forced
        Whether it runs whatever earlier runs have.
    """

    stage: Stage
    action: Action
    why: str
    source: Path | None = None
    trace: Trace | None = None
    forced: bool = False


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

    def find(self, stage: Stage, now: Trace, handed: Handed, prefer: str = "") -> Step:
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
            return Step(stage, "run", "it reads or changes what lies outside of its run")
        said, waiting = "", None
        if self.storage:
            self.storage.pull_traces(self.folder, stage.name, now.key)
        for trace in self._read_traces(stage.name, now.key, prefer):
            why = self._explain(trace, stage, handed)
            waits = dict.fromkeys(name.partition(".")[0] for name in trace.loads if _is_pending(name, handed))
            if not why and not waits:
                return Step(stage, "skip", f"unchanged since {trace.run}", self.find_folder(trace), trace)
            if not why:
                told = f"skipped if it gets the same from {', '.join(waits)}"
                waiting = Step(stage, "skip?", told, self.find_folder(trace), trace)
            said = said or why
        return waiting or Step(stage, "run", said or self._compare(stage, now))

    def find_folder(self, trace: Trace) -> Path:
        """Return the folder of the run that a trace speaks of, brought here if it was made elsewhere."""
        folder = self.root / "runs" / trace.run
        if self.storage and not folder.exists():
            with contextlib.suppress(FileNotFoundError):
                return self.storage.fetch_run(trace.run, [f"{trace.stage}.ipynb"])
        return folder

    def try_lock(self, stage: Stage, now: Trace, handed: Handed) -> IO[str] | None:
        """Hold a stage with its inputs for this process, so that no other computes the same meanwhile.

        Returns
        -------
        file
            To be given to `release`; None if another process holds it.
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

    def keep(self, trace: Trace) -> None:
        """Keep the trace of a stage that has passed."""
        content = json.dumps(asdict(trace), ensure_ascii=False).encode()
        write_atomic(self.folder / trace.stage / f"{trace.key}-{trace.run}.json", content)
        self.memo.save()

    def adopt(self, trace: Trace, folder: Path) -> None:
        """Keep a trace for a run that took the stage over, so that it holds also when the first run is gone."""
        self.keep(replace(trace, run=folder.name))

    def list_traces(self, run: str) -> list[Path]:
        """Return the files of the traces that a run has left."""
        return sorted(self.folder.glob(f"*/*-{glob.escape(run)}.json"))

    def _read_traces(self, stage: str, key: str = "", prefer: str = "") -> Iterator[Trace]:
        """Yield the traces of a stage, newest first."""
        paths = sorted((self.folder / stage).glob(f"{key}*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in sorted(paths, key=lambda path: path.name != f"{key}-{prefer}.json"):
            try:
                yield msgspec.json.decode(path.read_bytes(), type=Trace)
            except (OSError, msgspec.DecodeError):
                continue

    # --- reasons

    def _explain(self, trace: Trace, stage: Stage, handed: Handed) -> str:
        """Describe why a trace does not hold any more; empty if it does, as far as can be known."""
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
            if place.endswith("/"):
                if digest_names(list_names(str(self.root / place))) != digest:
                    yield f"{place} holds other files"
            elif (found := self.memo.digest(self.root / place)) != digest:
                yield f"{place} {'has changed' if found else 'is gone'}"

    def _explain_packages(self, trace: Trace) -> Iterator[str]:
        versions = list_versions()
        for name, version in trace.packages.items():
            if versions.get(name) != version:
                yield f"{name} {version} → {versions.get(name, 'not installed')}"

    def _explain_result(self, trace: Trace) -> Iterator[str]:
        folder = self.find_folder(trace)
        artifacts = {f"{STORE}/{key}": digest for key, digest in trace.artifacts.items()}
        kept = {f"{trace.stage}.ipynb": trace.notebook, **artifacts}
        away = []
        for place, digest in kept.items():
            found = self.memo.digest(folder / place)
            if not found and self.storage and place in artifacts:
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
        """Describe how a stage differs from the last time that it passed."""
        before = next(self._read_traces(stage.name), None)
        if before is None:
            return "there is no earlier run of it to take over"
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


def release(held: IO[str]) -> None:
    """Let others have what `Cache.try_lock` held."""
    Path(held.name).unlink(missing_ok=True)
    held.close()


def _is_pending(place: str, handed: Handed) -> bool:
    return handed.get(place.partition(".")[0], {}) is None


def _compare_cells(before: list[str], after: list[str], stage: str) -> list[str]:
    if len(before) != len(after):
        return [f"{stage} has {len(after)} code cells, had {len(before)}"]
    changed = [str(number) for number, (old, new) in enumerate(zip(before, after, strict=True), 1) if old != new]
    return [f"cell {', '.join(changed)} of {stage} changed"] if changed else []
