"""The stages of a run, one by one: kept, taken over or executed, and written down."""

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import zip_longest
from pathlib import Path
from typing import IO, Any

from nbkit import observe
from nbkit.errors import CorruptArtifact, StorageFailed
from nbkit.lighten import defer_imports
from nbkit.pipeline.cache import Cache, let_go
from nbkit.pipeline.manifest import has_side_files, now, write_manifest
from nbkit.pipeline.plan import Plan, Step, begin, find_step
from nbkit.pipeline.storage import Storage
from nbkit.pipeline.takeover import keep_edit, take_over
from nbkit.pipeline.trace import Execution, finish_trace
from nbkit.run import digest_scraps, read_scraps
from nbkit.scrub import Scrubber

STEP = 0.2  # seconds between two looks whether another run is done

Tell = Callable[[str, dict[str, Any]], None]
Entry = dict[str, Any]
Job = dict[str, Any]  # what `execute` needs, as JSON


class Work:
    """A run that is being carried out: what each stage has handed over so far decides what comes next.

    Parameters
    ----------
    plan, folder, manifest, tell
        As in `execute_plan`.
    before
        What the manifest was before a resume.
    storage
        Where the run is copied to.
    """

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        manifest: dict[str, Any],
        before: dict[str, Any],
        tell: Tell,
        storage: Storage | None = None,
    ) -> None:
        self.plan = plan
        self.folder = folder
        self.manifest = manifest
        self.before = {each["stage"]: each for each in before.get("stages", [])}
        self.tell = tell
        self.storage = storage
        self.secrets = plan.secrets
        self.cache = Cache(plan.root, storage)
        self.handed: dict[str, dict[str, str] | None] = {}
        self._held: dict[str, IO[str]] = {}
        self._executed = False

    @property
    def todo(self) -> list[tuple[Step, Entry]]:
        """The steps with their entries in the manifest."""
        return list(zip(self.plan.steps, self.manifest["stages"], strict=True))

    def do_all(self) -> None:
        """Do one step after the other, up to the first that does not pass; the next kernel starts a little ahead."""
        following = [step for step, _ in self.todo[1:]]
        with contextlib.closing(Kernels()) as kernels:
            for (step, entry), after in zip_longest(self.todo, following):
                job = self.begin(step, entry)
                ahead = self._describe(after) if after and after.action == "run" else None
                while job:
                    job = self.conclude(step, entry, execute(job, self.tell, kernels, ahead))
                if entry["status"] != "passed":
                    return

    def begin(self, step: Step, entry: Entry) -> Job | None:
        """Do what needs no kernel; return the job if a kernel has to run."""
        name = step.stage.name
        step = self._settle(step)
        if step.action == "keep":
            entry.update(self.before[name])
            self.tell("stage_kept", {"stage": name, "entry": entry, "why": step.why})
        elif step.action == "run" or not self._take_over(step, entry):
            if kept := keep_edit(self.folder, name, entry):
                self.tell("edit_kept", {"stage": name, "path": kept})
            threads = self.plan.resolved.limits[name]["threads"]
            entry.update(notebook=name_path(step.stage.path, self.plan.root), why=step.why, threads=threads)
            entry.update(code=step.stage.code, traced=False)
            return self._start(step, entry, attempt=1)
        self._note_handed(name, entry)
        return None

    def conclude(self, step: Step, entry: Entry, outcome: Entry) -> Job | None:
        """Write down how an execution went; return the next one if the stage is tried again."""
        name = step.stage.name
        entry.update({**outcome, "code": outcome.get("code") or entry["code"]})
        seen = _read_notes(self._notes(name))
        if entry["status"] == "passed":
            self._keep(step, entry, seen)
        entry["ended"] = now()
        write_manifest(self.folder, self.manifest)
        self.copy()
        self.tell("stage_end", {"stage": name, "entry": entry, "folder": self.folder})
        self._note_handed(name, entry)
        if entry["status"] == "failed" and entry["attempt"] <= self.plan.resolved.limits[name]["retries"]:
            return self._start(step, entry, attempt=entry["attempt"] + 1)
        if name in self._held:
            let_go(self._held.pop(name))
        return None

    def _keep(self, step: Step, entry: Entry, seen: dict[str, Any]) -> None:
        """Keep the trace of a stage's execution, unless files lie in the run that some stage wrote past `run.save`."""
        as_planned = entry["code"] == step.stage.code  # else the notebook was edited meanwhile
        text = json.dumps(self.plan.resolved.values[step.stage.name], ensure_ascii=False, default=str)
        bare = Scrubber.of(self.secrets).clean(text) == text  # a trace holds the parameters as they are
        if seen and as_planned and bare and self.plan.caching and not has_side_files(self.folder):
            with contextlib.suppress(OSError):  # a full disk: the next run does it again
                execution = Execution(self.folder, entry["started"], seen, self.handed)
                given = (begin(step.stage, self.plan.resolved), step.stage, execution)
                self.cache.keep(finish_trace(*given, self.plan.root, self.cache.memo))
                entry["traced"] = True

    def close(self) -> None:
        """Let other runs have what this one had begun."""
        while self._held:
            let_go(self._held.popitem()[1])

    def copy(self) -> None:
        """Copy to the storage what is new; if it cannot be reached, say so once and go on: nothing is lost here."""
        if not self.storage:
            return
        try:
            self.storage.push(self.folder, self.cache.list_traces(self.folder.name))
            self.manifest.pop("not_stored", None)
        except (StorageFailed, CorruptArtifact) as error:
            self._lose(error)

    def _lose(self, error: Exception) -> None:
        why = Scrubber.of(self.secrets).clean(str(error))
        if "not_stored" not in self.manifest:
            self.tell("not_stored", {"why": why})
        self.manifest["not_stored"] = why

    def _settle(self, step: Step) -> Step:
        """Decide what had to wait for what earlier stages hand over, or for another run that computes the same."""
        shared = self.plan.caching and not step.forced and not step.stage.effects
        if step.action == "wait" or (step.trace and self._executed):  # a stage before may have changed what it reads
            step = self._find(step)
        told = False
        while step.action == "run" and shared:
            try:
                held = self.cache.try_hold(step.stage, begin(step.stage, self.plan.resolved), self.handed)
            except OSError:  # no lock can be written: it is computed here, by whoever else it is
                break
            step = self._find(step)  # it may have been done since the plan was made
            if held and step.action == "run":
                self._held[step.stage.name] = held
                break
            if held:
                let_go(held)
            elif step.action == "run":
                if not told:
                    self.tell("stage_waits", {"stage": step.stage.name})
                told = True
                time.sleep(STEP)
        return step

    def _find(self, step: Step) -> Step:
        given = (step.stage, self.plan.resolved, self.handed, self.folder.name)
        try:
            found = find_step(self.cache, *given)
        except StorageFailed as error:
            self._lose(error)
            found = find_step(Cache(self.plan.root), *given)
        if found.action != "reuse":
            return replace(found, action="run")
        return replace(found, action="keep") if found.source == self.folder else found

    def _take_over(self, step: Step, entry: Entry) -> bool:
        """Take a stage over from another run; False if that turns out to be impossible and it can run instead."""
        assert step.source
        name = step.stage.name
        try:
            take_over(step.source, self.folder, name, entry, stored=self.storage is not None)
        except (OSError, ValueError) as error:
            if step.action == "reuse":
                return False
            entry.update(status="failed", kind="system", message=f"nothing can be taken over: {error}", ended=now())
            write_manifest(self.folder, self.manifest)
            self.tell("stage_end", {"stage": name, "entry": entry, "folder": self.folder})
            return True
        if step.trace:
            entry.update(why=step.why, traced=True)
            with contextlib.suppress(OSError):  # the trace of the run that it is taken from holds as well
                self.cache.adopt(step.trace, self.folder)
        write_manifest(self.folder, self.manifest)
        self.copy()
        self.tell("stage_kept", {"stage": name, "entry": entry, "why": step.why})
        return True

    def _start(self, step: Step, entry: Entry, attempt: int) -> Job:
        name = step.stage.name
        entry.update(status="running", started=now(), attempt=attempt)
        write_manifest(self.folder, self.manifest)
        self.tell("stage_start", {"stage": name, "attempt": attempt, "title": step.stage.title})
        self._notes(name).unlink(missing_ok=True)
        self._executed = True
        return self._describe(step)

    def _describe(self, step: Step) -> Job:
        stage, name = step.stage, step.stage.name
        parameters = {**self.plan.resolved.values[name], "run_dir": str(self.folder)}
        return {
            "stage": name,
            "source": str(stage.path),
            "target": str(self.folder / f"{name}.ipynb"),
            "parameters": {key: value for key, value in parameters.items() if key in stage.parameters},
            "limits": self.plan.resolved.limits[name],
            "log": str(self.folder / "logs" / f"{name}.log"),
            "secrets": self.secrets,
            "environment": {observe.VARIABLE: str(self._notes(name)), observe.ROOT: str(self.plan.root)},
        }

    def _notes(self, stage: str) -> Path:
        return self.folder / f".{stage}.notes.json"

    def _note_handed(self, stage: str, entry: Entry) -> None:
        if entry["status"] == "passed":
            scraps = read_scraps(self.folder / f"{stage}.ipynb")
            self.handed[stage] = digest_scraps(scraps)


class Kernels:
    """The kernels of this process's next stages, of which one may be started while a stage is at work."""

    def __init__(self) -> None:
        self._ready: dict[str, Any] = {}

    def take(self, job: Job) -> Any:
        """Return the kernel for a job, started ahead or not started yet."""
        return self._ready.pop(job["target"], None) or _make_kernel(job)

    def start_ahead(self, job: Job) -> None:
        """Start the kernel for a job that is expected to come, in the event loop that is running."""
        if job["target"] not in self._ready:
            kernel = self._ready[job["target"]] = _make_kernel(job)
            kernel.start_ahead()

    def close(self) -> None:
        """End the kernels that nobody has taken."""
        while self._ready:
            self._ready.popitem()[1].close()


def _make_kernel(job: Job) -> Any:
    from nbkit.pipeline.kernel import StageKernel

    threads, folder = job["limits"]["threads"], Path(job["source"]).parent
    scrubber = Scrubber.of(job["secrets"])
    return StageKernel(job["stage"], folder, Path(job["log"]), threads, job["environment"], scrubber)


def execute(job: Job, tell: Tell, kernels: Kernels, ahead: Job | None = None) -> Entry:
    """Execute the notebook of a job here and now; return how it ended.

    Parameters
    ----------
    job, tell
        What to execute, and who is told.
    kernels
        Where its kernel comes from.
    ahead
        The job that is expected to come next.
    """
    with defer_imports("nbkit.pipeline.engine"):
        from nbkit.pipeline.engine import execute_stage

    name = job["stage"]
    try:
        with contextlib.closing(kernels.take(job)) as kernel:
            outcome = execute_stage(
                Path(job["source"]),
                Path(job["target"]),
                job["parameters"],
                job["limits"],
                kernel,
                on_cell=lambda number, total: tell("cell", {"stage": name, "number": number, "total": total}),
                on_late=lambda: kernels.start_ahead(ahead) if ahead else None,
                on_step=lambda: tell("step", {"stage": name}),
                scrubber=Scrubber.of(job["secrets"]),
            )
    except OSError as error:
        return say_failed(Scrubber.of(job["secrets"]).clean(f"{type(error).__name__}: {error}"))
    return asdict(outcome)


def say_failed(message: str) -> Entry:
    """Return what the manifest says of a stage that the system kept from running."""
    return {"status": "failed", "kind": "system", "message": message}


def name_path(path: Path, root: Path) -> str:
    """Return a path as seen from the project where it lies below it."""
    path = path.resolve()
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _read_notes(path: Path) -> dict[str, Any]:
    """Read and remove what a kernel noted; empty if it noted nothing, and the stage will run again next time."""
    try:
        notes = json.loads(path.read_bytes())
    except (OSError, ValueError):
        notes = {}
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
    return dict(notes)
