"""Runs stages one after the other, each in a fresh kernel, and keeps the manifest true at every moment."""

import contextlib
import datetime as dt
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nbkit.errors import BadNotebook
from nbkit.pipeline.manifest import (
    describe_surroundings,
    hold_run,
    make_run_dir,
    now,
    write_manifest,
)
from nbkit.pipeline.plan import Plan, Step, check_plan
from nbkit.project import read_manifest
from nbkit.run import STORE, check_artifacts

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
        manifest = _begin(plan, folder)
        tell("run_start", {"folder": folder, "manifest": manifest})
        try:
            with catch_signals():
                for step, entry in zip(plan.steps, manifest["stages"], strict=True):
                    _take(step, entry, plan, folder, manifest, tell)
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


def _begin(plan: Plan, folder: Path) -> dict[str, Any]:
    before = read_manifest(folder)
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


def _take(step: Step, entry: dict[str, Any], plan: Plan, folder: Path, manifest: dict[str, Any], tell: Tell) -> None:
    """Do one step and write down how it went."""
    name = step.stage.name
    if step.action == "keep":
        tell("stage_kept", {"stage": name, "entry": entry, "why": step.why})
        return
    if step.action == "borrow" and step.source:
        try:
            _borrow(step.source, folder, name, entry)
        except (OSError, ValueError) as error:
            entry.update(status="failed", kind="system", message=f"nothing can be taken over: {error}", ended=now())
            write_manifest(folder, manifest)
            tell("stage_end", {"stage": name, "entry": entry, "folder": folder})
            return
        write_manifest(folder, manifest)
        tell("stage_kept", {"stage": name, "entry": entry, "why": step.why})
        return
    limits = plan.resolved.limits[name]
    if kept := _keep_edit(folder, name, entry):
        tell("edit_kept", {"stage": name, "path": kept})
    entry["notebook"] = _relative(step.stage.path, plan.root)
    for attempt in range(1, limits["retries"] + 2):
        entry.update(status="running", started=now(), attempt=attempt, code=step.stage.code)
        write_manifest(folder, manifest)
        tell("stage_start", {"stage": name, "attempt": attempt, "title": step.stage.title})
        _execute(step, entry, plan, folder, limits, tell)
        write_manifest(folder, manifest)
        tell("stage_end", {"stage": name, "entry": entry, "folder": folder})
        if entry["status"] != "failed":
            return


def _keep_edit(folder: Path, stage: str, entry: dict[str, Any]) -> Path | None:
    """Keep a run's copy of a notebook that somebody edited after it had run: resuming writes over it."""
    notebook, ended = folder / f"{stage}.ipynb", entry.get("ended")
    if not ended or not notebook.is_file():
        return None
    if notebook.stat().st_mtime < dt.datetime.fromisoformat(ended).timestamp() + 2:
        return None
    kept = folder / "logs" / f"{stage}.edited.ipynb"
    kept.parent.mkdir(exist_ok=True)
    return Path(shutil.copy2(notebook, kept))


def _execute(step: Step, entry: dict[str, Any], plan: Plan, folder: Path, limits: dict[str, Any], tell: Tell) -> None:
    from nbkit.pipeline.engine import execute_stage

    name = step.stage.name
    parameters = {**plan.resolved.values[name], "run_dir": str(folder)}
    given = {key: value for key, value in parameters.items() if key in step.stage.parameters}
    try:
        outcome = execute_stage(
            step.stage.path,
            folder / f"{name}.ipynb",
            given,
            limits,
            log=folder / "logs" / f"{name}.log",
            on_cell=lambda number, total: tell("cell", {"stage": name, "number": number, "total": total}),
            on_step=lambda: tell("step", {"stage": name}),
            secrets=_find_secrets(given),
        )
        entry.update(asdict(outcome))
    except OSError as error:
        entry.update(status="failed", kind="system", message=f"{type(error).__name__}: {error}")
    entry["ended"] = now()


def _find_secrets(parameters: dict[str, Any]) -> tuple[str, ...]:
    """Return the values of the environment variables that the parameters name as ``${NAME}``."""
    named = SECRET.findall(json.dumps(parameters, default=str))
    return tuple(os.environ[name] for name in dict.fromkeys(named) if len(os.environ.get(name, "")) > 2)


def _borrow(source: Path, folder: Path, stage: str, entry: dict[str, Any]) -> None:
    """Take a passed stage over from another run: its notebook, its log and its artifacts, without copying bytes."""
    from nbkit.run import read_scraps

    notebook = source / f"{stage}.ipynb"
    if not notebook.is_file():
        raise BadNotebook(f"{notebook} is gone: run {stage} again")
    check_artifacts(notebook)
    for scrap in read_scraps(notebook).values():
        if isinstance(scrap, dict) and scrap.get("$") == "artifact":
            _link(source / STORE / scrap["value"]["key"], folder / STORE / scrap["value"]["key"])
    _link(notebook, folder / notebook.name)
    before = next(each for each in read_manifest(source)["stages"] if each["stage"] == stage)
    entry.update({**before, "borrowed": before.get("borrowed", source.name)})


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        return
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)


@contextlib.contextmanager
def catch_signals() -> Iterator[None]:
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
