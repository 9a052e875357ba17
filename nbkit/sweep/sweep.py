"""Runs a sweep: what all points share once, then each point, and one table over all, true at every moment."""

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from nbkit.errors import RunInUse
from nbkit.pipeline.manifest import hold_run, make_run_dir, now
from nbkit.pipeline.signals import catch_signals
from nbkit.project import read_manifest
from nbkit.store import write_atomic
from nbkit.sweep.executors import Executor
from nbkit.sweep.plan import Sweep, write_sweep
from nbkit.sweep.table import find_best, judge_points, read_point, tabulate_points
from nbkit.sweep.work import Answer, Task, describe_code, describe_project, has_passed

Tell = Callable[[str, dict[str, Any]], None]
INTERRUPTED, TERMINATED = 130, 143


def execute_sweep(
    sweep: Sweep, execute: Executor, tell: Tell = lambda event, facts: None, *, resume: bool = False
) -> dict[str, Any]:
    """Run a sweep, or what is left of it; a point that fails does not stop the others.

    Parameters
    ----------
    sweep
        From `plan_sweep` or `read_sweep`.
    execute
        From `lend_executor`.
    tell
        Called as ``tell(event, facts)`` for ``sweep_start``, ``step``, ``shared_end``, ``points_start``, ``point_end``,
        ``judge`` and ``sweep_end``.
    resume
        Go on with a sweep that was begun: what has passed, as it would be run now, is kept.

    Returns
    -------
    dict
        What was found: ``status``, ``exit`` (0 if every point passed), ``best``, ``claim`` and ``rows``.

    Raises
    ------
    RunInUse
        If a run or a sweep of that name exists, or is being worked on.
    """
    if not resume:
        sweep = _begin(sweep)
    with hold_run(sweep.folder):
        write_sweep(sweep, status="running")
        answers: dict[str, Answer] = {}
        tell("sweep_start", {"sweep": sweep})
        stopped = 0
        try:
            with catch_signals():
                _work(sweep, execute, answers, tell)
        except KeyboardInterrupt as interruption:
            stopped = INTERRUPTED if type(interruption) is KeyboardInterrupt else TERMINATED
        return _conclude(sweep, answers, tell, stopped)


def _begin(sweep: Sweep) -> Sweep:
    """Make the sweep's folder, and give it a name if it has none."""
    sweep = replace(sweep, name=make_run_dir(sweep.root, f"{sweep.project}-sweep", sweep.name).name)
    names = [sweep.name_point(number) for number in range(len(sweep.points) + 1)]
    if taken := [name for name in names if (sweep.root / "runs" / name).exists()]:
        sweep.folder.rmdir()
        raise RunInUse(f"a run is called {taken[0]} already, as one of this sweep would be: take another --name")
    return sweep


def _work(sweep: Sweep, execute: Executor, answers: dict[str, Answer], tell: Tell) -> None:
    """Do what all points share, and if that passed, the points."""
    shared, *tasks = [make_task(sweep, number) for number in range(len(sweep.points) + 1)]

    def on_step() -> None:
        tell("step", {"sweep": sweep})

    if sweep.shared and not has_passed(shared):
        with contextlib.closing(execute([shared], on_step)) as done:
            answers.update({answer["name"]: answer for answer in done})
        tell("shared_end", {"sweep": sweep, "name": shared["name"]})
        if answers[shared["name"]]["exit"]:
            return
    left = [task for task in tasks if not has_passed(task)]
    names = [task["name"] for task in tasks]
    tell("points_start", {"sweep": sweep, "left": [task["name"] for task in left]})
    rows = [read_point(sweep, number, answers) for number, task in enumerate(tasks, start=1) if task not in left]
    with contextlib.closing(execute(left, on_step)) as done:
        for answer in done:
            name = answer["name"]
            answers[name] = answer
            rows.append(read_point(sweep, names.index(name) + 1, answers))
            tell("point_end", {"sweep": sweep, "name": name, "row": rows[-1], "best": find_best(rows)})


def make_task(sweep: Sweep, number: int) -> Task:
    """Return what a worker is told of a point, counted from 1, or of what all points share (0)."""
    return {
        "root": str(sweep.root),
        "sweep": sweep.name,
        "token": sweep.token,
        "storage": sweep.storage,
        "project": describe_project(sweep.root, sweep.files) if sweep.storage else "",
        "code": describe_code(),
        "name": sweep.name_point(number),
        "files": list(sweep.files),
        "settings": [*sweep.settings, *(sweep.own[number - 1] if number else ())],
        "last": sweep.last if number else sweep.shared,
        "threads": sweep.threads,
    }


def _conclude(sweep: Sweep, answers: dict[str, Answer], tell: Tell, stopped: int) -> dict[str, Any]:
    """Put the table together, say what may be said of the best, and write both; quickly if we were told to stop."""
    table = tabulate_points(sweep, answers)
    tell("judge", {"sweep": sweep})
    try:
        verdict = judge_points(sweep, table, quick=bool(stopped))
    except KeyboardInterrupt:
        stopped, verdict = INTERRUPTED, judge_points(sweep, table, quick=True)
    passed = bool((table["status"] == "passed").all())
    found = {
        "status": "interrupted" if stopped else "passed" if passed else "failed",
        "exit": stopped or int(not passed),
        "ended": now(),
        "best": verdict.best,
        "alike": verdict.alike,
        "optimism": verdict.optimism,
        "basis": verdict.basis,
        "why": verdict.why,
        "claim": _find_problem(sweep, answers) or verdict.claim,
        "rows": json.loads(verdict.table.to_json(orient="records")),
    }
    write_sweep(sweep, **found)
    found["sweep"] = sweep.name
    write_atomic(sweep.folder / "sweep.csv", verdict.table.to_csv(index=False).encode())
    tell("sweep_end", {"sweep": sweep, "found": found, "table": verdict.table})
    return found


def _find_problem(sweep: Sweep, answers: dict[str, Answer]) -> str:
    """Say what stopped the stages that all points share; empty if nothing did."""
    name = sweep.name_point(0)
    if not answers.get(name, {}).get("exit"):
        return ""
    entries = read_manifest(sweep.find_run(0)).get("stages", [])
    stopped: dict[str, Any] = next((entry for entry in entries if entry["status"] not in ("passed", "pending")), {})
    why = answers[name].get("error") or f"{stopped.get('stage', '')}: {stopped.get('message', '')}"
    return f"No point could begin, since what all points share did not pass: {why}"
