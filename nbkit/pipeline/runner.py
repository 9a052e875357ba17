"""Carries out a plan: stages in fresh kernels, a manifest that is true at every moment, an exit code that is too."""

import contextlib
import os
import shutil
import sys
import threading
from copy import deepcopy
from pathlib import Path
from typing import Any

from nbkit.kernels import lend_server
from nbkit.pipeline.crew import work_side_by_side
from nbkit.pipeline.fingerprint import list_owners
from nbkit.pipeline.manifest import describe_surroundings, hold_run, make_run_dir, now, write_manifest
from nbkit.pipeline.plan import Plan, check_plan
from nbkit.pipeline.signals import catch_signals, hold_signals, name_kind
from nbkit.pipeline.storage import Storage, open_storage
from nbkit.pipeline.work import Tell, Work, name_path
from nbkit.project import MANIFEST, read_manifest
from nbkit.scrub import Scrubber

EXIT = {"passed": 0, "failed": 1, "refused": 3, "interrupted": 130}


def execute_plan(plan: Plan, tell: Tell = lambda event, facts: None, *, jobs: int = 1) -> tuple[Path, dict[str, Any]]:
    """Do what a plan says; begin nothing more once a stage has not passed.

    Parameters
    ----------
    plan
        From `plan_run` or `plan_resume`.
    tell
        Called as ``tell(event, facts)`` for each ``run_start``, ``stage_start``, ``cell``, ``step``, ``stage_end`` and
        ``run_end``.
    jobs
        How many stages may be at work at the same time; one that needs nothing of those at work need not wait for them.

    Returns
    -------
    tuple
        The run folder and its manifest, whose ``exit`` is the exit code.
    """
    if plan.nothing_to_do and plan.folder:
        return plan.folder, read_manifest(plan.folder)
    with _warm(plan):  # before all else: it imports while this process plans and imports for itself
        check_plan(plan)
        storage = open_storage(plan.root, plan.storage)
        folder = plan.folder or make_run_dir(plan.root, plan.project, plan.name, storage.list_runs() if storage else ())
        try:
            with hold_run(folder):
                return folder, _carry_out(plan, folder, storage, tell, jobs)
        finally:
            if not plan.folder and not (folder / MANIFEST).exists():  # interrupted before there was anything
                shutil.rmtree(folder, ignore_errors=True)


def _carry_out(plan: Plan, folder: Path, storage: Storage | None, tell: Tell, jobs: int) -> dict[str, Any]:
    before = read_manifest(folder)
    manifest = _begin(plan, folder, before, storage)
    tell("run_start", {"folder": folder, "manifest": manifest})
    work = Work(plan, folder, manifest, before, tell, storage)
    try:
        with catch_signals():
            if jobs > 1:
                work_side_by_side(work, jobs)
            else:
                work.do_all()
    except KeyboardInterrupt as interruption:
        _note_interruption(manifest, interruption)
    finally:
        work.close()
        with hold_signals():
            manifest["status"] = _sum_up(manifest)
            manifest["exit"] = _exit_code(manifest)
            manifest["ended"] = now()
            write_manifest(folder, manifest)
    work.copy()
    if "not_stored" in manifest:
        manifest["exit"] = manifest["exit"] or EXIT["failed"]
        write_manifest(folder, manifest)
    tell("run_end", {"folder": folder, "manifest": manifest})
    return manifest


def _warm(plan: Plan) -> contextlib.AbstractContextManager[Any]:
    """Let a server import for the kernels while this process imports for itself."""
    notebooks = [step.stage.path for step in plan.steps if step.action in ("run", "wait")]
    server: contextlib.AbstractContextManager[Any] = lend_server(notebooks, plan.root)
    if notebooks and plan.caching:
        threading.Thread(target=list_owners, daemon=True).start()  # wanted when the first stage has passed
    return server


def _begin(plan: Plan, folder: Path, before: dict[str, Any], storage: Storage | None) -> dict[str, Any]:
    kept = {entry["stage"]: entry for entry in before.get("stages", [])}
    scrubber = Scrubber.of(plan.secrets)
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
        "storage": storage.url if storage else "",
        "command": scrubber.clean_inside(["nbkit", *sys.argv[1:]]),
        "files": [name_path(path, plan.root) for path in plan.resolved.files],
        "settings": scrubber.clean_inside(list(plan.settings)),
        "parameters": scrubber.clean_inside(deepcopy(plan.resolved.values)),
        "defaults": plan.defaults,
        "secrets": list(plan.secrets),  # by name
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


def _note_interruption(manifest: dict[str, Any], interruption: KeyboardInterrupt) -> None:
    """Say of the stages at work, or else of the one that was about to run, that they were interrupted."""
    entries = manifest["stages"]
    found = [entry for entry in entries if entry["status"] == "running"]
    if not found and not any(entry["status"] == "interrupted" for entry in entries):
        found = [entry for entry in entries if entry["status"] == "pending"][:1]
    for entry in found:
        entry.update(
            status="interrupted", kind=name_kind(interruption), message="interrupted between two cells", ended=now()
        )


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
