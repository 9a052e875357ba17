"""Runs stages one after the other, each in a fresh kernel, and keeps the manifest true at every moment."""

import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from nbkit import observe
from nbkit.pipeline.cache import Cache
from nbkit.pipeline.manifest import (
    describe_surroundings,
    hold_run,
    make_run_dir,
    now,
    write_manifest,
)
from nbkit.pipeline.plan import Plan, Step, begin, check_plan
from nbkit.pipeline.takeover import keep_edit, take_over
from nbkit.project import read_manifest
from nbkit.run import digest_scraps, read_scraps

EXIT = {"passed": 0, "failed": 1, "refused": 3, "interrupted": 130}
SECRET = re.compile(r"\$\{(\w+)\}")

Tell = Callable[[str, dict[str, Any]], None]


def execute_plan(plan: Plan, tell: Tell = lambda event, facts: None) -> tuple[Path, dict[str, Any]]:
    """Do what a plan says; stop at the first stage that does not pass.

    Parameters
    ----------
    plan
        From `plan_run` or `plan_resume`.
    tell
        Called as ``tell(event, facts)`` for each ``run_start``, ``stage_start``, ``cell``, ``step``, ``stage_end`` and
        ``run_end``.

    Returns
    -------
    tuple
        The run folder and its manifest, whose ``exit`` is the exit code.
    """
    check_plan(plan)
    folder = plan.folder or make_run_dir(plan.root, plan.project, plan.name)
    with hold_run(folder):
        before = read_manifest(folder)
        manifest = _begin(plan, folder, before)
        tell("run_start", {"folder": folder, "manifest": manifest})
        try:
            with _signals():
                work = Work(plan, folder, manifest, before, tell)
                for step, entry in zip(plan.steps, manifest["stages"], strict=True):
                    work.take(step, entry)
                    if entry["status"] != "passed":
                        break
        except KeyboardInterrupt:
            _note_interruption(manifest)
        manifest["status"] = _sum_up(manifest)
        manifest["exit"] = _exit_code(manifest)
        manifest["ended"] = now()
        write_manifest(folder, manifest)
        tell("run_end", {"folder": folder, "manifest": manifest})
    return folder, manifest


def _begin(plan: Plan, folder: Path, before: dict[str, Any]) -> dict[str, Any]:
    kept = {entry["stage"]: entry for entry in before.get("stages", [])}
    manifest = {
        "run": folder.name,
        "project": plan.project,
        "root": str(plan.root),
        "status": "running",
        "exit": None,
        "started": before.get("started", now()),
        "ended": None,
        "resumed": [*before.get("resumed", []), {"at": now(), **describe_surroundings(plan.root)}] if before else [],
        "pid": os.getpid(),
        "command": ["nbkit", *sys.argv[1:]],
        "files": [_relative(path, plan.root) for path in plan.resolved.files],
        "settings": list(plan.settings),
        "parameters": plan.resolved.values,
        "defaults": plan.defaults,
        "surroundings": before.get("surroundings") or describe_surroundings(plan.root),
        "stages": [
            kept[step.stage.name] if step.action == "keep" else _expect(step.stage.name, kept.get(step.stage.name, {}))
            for step in plan.steps
        ],
    }
    write_manifest(folder, manifest)
    return manifest


def _expect(stage: str, before: dict[str, Any]) -> dict[str, Any]:
    ended = {"ended": before["ended"]} if before.get("ended") else {}  # tells whether its notebook was edited since
    return {"stage": stage, "status": "pending", **ended}


def _relative(path: Path, root: Path) -> str:
    path = path.resolve()
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


class Work:
    """A run that is being carried out: what each stage has handed over so far decides what comes next.

    Parameters
    ----------
    plan, folder, manifest, tell
        As in `execute_plan`.
    before
        What the manifest was before a resume.
    """

    def __init__(self, plan: Plan, folder: Path, manifest: dict[str, Any], before: dict[str, Any], tell: Tell) -> None:
        self.plan = plan
        self.folder = folder
        self.manifest = manifest
        self.before = {each["stage"]: each for each in before.get("stages", [])}
        self.tell = tell
        self.cache = Cache(plan.root)
        self.handed: dict[str, dict[str, str] | None] = {}

    def take(self, step: Step, entry: dict[str, Any]) -> None:
        """Do one step and write down how it went."""
        name = step.stage.name
        step = self._settle(step)
        if step.action == "keep":
            entry.update(self.before[name])
            self.tell("stage_kept", {"stage": name, "entry": entry, "why": step.why})
        elif step.action == "run" or not self._take_over(step, entry):
            self._run(step, entry)
        if entry["status"] == "passed":
            self.handed[name] = digest_scraps(read_scraps(self.folder / f"{name}.ipynb"))

    def _settle(self, step: Step) -> Step:
        """Decide what had to wait for what earlier stages hand over."""
        if step.action != "wait":
            return step
        found = self.cache.find(step.stage, begin(step.stage, self.plan.resolved), self.handed, self.folder.name)
        if not found.trace or found.action != "reuse":
            return replace(step, action="run", why=found.why)
        source = self.plan.root / "runs" / found.trace.run
        return Step(step.stage, "keep" if source == self.folder else "reuse", found.why, source, found.trace)

    def _take_over(self, step: Step, entry: dict[str, Any]) -> bool:
        """Take a stage over from another run; False if that turns out to be impossible and it can run instead."""
        assert step.source
        name = step.stage.name
        try:
            take_over(step.source, self.folder, name, entry)
        except (OSError, ValueError) as error:
            if step.action == "reuse":
                return False
            entry.update(status="failed", kind="system", message=f"nothing can be taken over: {error}", ended=now())
            write_manifest(self.folder, self.manifest)
            self.tell("stage_end", {"stage": name, "entry": entry, "folder": self.folder})
            return True
        if step.trace:
            entry.update(why=step.why, traced=True)
            self.cache.adopt(step.trace, self.folder)
        write_manifest(self.folder, self.manifest)
        self.tell("stage_kept", {"stage": name, "entry": entry, "why": step.why})
        return True

    def _run(self, step: Step, entry: dict[str, Any]) -> None:
        name, limits = step.stage.name, self.plan.resolved.limits[step.stage.name]
        if kept := keep_edit(self.folder, name, entry):
            self.tell("edit_kept", {"stage": name, "path": kept})
        entry["notebook"] = _relative(step.stage.path, self.plan.root)
        entry.update(why=step.why, threads=limits["threads"], code=step.stage.code, traced=False)
        for attempt in range(1, limits["retries"] + 2):
            entry.update(status="running", started=now(), attempt=attempt)
            write_manifest(self.folder, self.manifest)
            self.tell("stage_start", {"stage": name, "attempt": attempt, "title": step.stage.title})
            seen = self._execute(step, entry, limits)
            if entry["status"] == "passed" and seen and self.plan.caching:
                self.cache.keep(step.stage, begin(step.stage, self.plan.resolved), self.folder, seen)
                entry["traced"] = True
            write_manifest(self.folder, self.manifest)
            self.tell("stage_end", {"stage": name, "entry": entry, "folder": self.folder})
            if entry["status"] != "failed":
                return

    def _execute(self, step: Step, entry: dict[str, Any], limits: dict[str, Any]) -> dict[str, Any]:
        """Execute a stage; return what it was seen to read."""
        from nbkit.pipeline.engine import execute_stage

        name = step.stage.name
        parameters = {**self.plan.resolved.values[name], "run_dir": str(self.folder)}
        given = {key: value for key, value in parameters.items() if key in step.stage.parameters}
        notes = self.folder / f".{name}.notes.json"
        notes.unlink(missing_ok=True)
        try:
            outcome = execute_stage(
                step.stage.path,
                self.folder / f"{name}.ipynb",
                given,
                limits,
                log=self.folder / "logs" / f"{name}.log",
                on_cell=lambda number, total: self.tell("cell", {"stage": name, "number": number, "total": total}),
                on_step=lambda: self.tell("step", {"stage": name}),
                secrets=_find_secrets(given),
                environment={observe.VARIABLE: str(notes), observe.ROOT: str(self.plan.root)},
            )
            entry.update(asdict(outcome))
        except OSError as error:
            entry.update(status="failed", kind="system", message=f"{type(error).__name__}: {error}")
        entry["ended"] = now()
        return _read_notes(notes)


def _read_notes(path: Path) -> dict[str, Any]:
    """Read and remove what a kernel noted; empty if it noted nothing, and the stage will run again next time."""
    try:
        notes = json.loads(path.read_bytes())
    except (OSError, ValueError):
        notes = {}
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
    return dict(notes)


def _find_secrets(parameters: dict[str, Any]) -> tuple[str, ...]:
    """Return the values of the environment variables that the parameters name as ``${NAME}``."""
    named = SECRET.findall(json.dumps(parameters, default=str))
    return tuple(os.environ[name] for name in dict.fromkeys(named) if len(os.environ.get(name, "")) > 2)


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into an interruption that can be caught, as Ctrl-C is; what `nohup` ignores stays so."""

    def terminate(number: int, frame: Any) -> None:
        from nbkit.pipeline.engine import Terminated

        raise Terminated(signal.Signals(number).name)

    before = {}
    with contextlib.suppress(ValueError):  # not in the main thread: whoever runs us there handles signals
        for which in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(which) != signal.SIG_IGN:
                before[which] = signal.signal(which, terminate)
    try:
        yield
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)


def _note_interruption(manifest: dict[str, Any]) -> None:
    """Say of the stage that was about to run that it was interrupted."""
    for entry in manifest["stages"]:
        if entry["status"] in ("running", "pending"):
            entry.update(status="interrupted", kind="interrupted", message="interrupted between two cells", ended=now())
            return


def _sum_up(manifest: dict[str, Any]) -> str:
    statuses = [entry["status"] for entry in manifest["stages"]]
    for status in ("interrupted", "failed", "refused"):
        if status in statuses:
            return status
    return "passed" if all(status == "passed" for status in statuses) else "interrupted"


def _exit_code(manifest: dict[str, Any]) -> int:
    if any(entry.get("kind") == "terminated" for entry in manifest["stages"]):
        return 143
    return EXIT[manifest["status"]]
