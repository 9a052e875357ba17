"""Runs stages one after the other, each in a fresh kernel, and keeps the manifest true at every moment."""

import contextlib
import datetime as dt
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nbkit.errors import BadNotebook, BadParameter, CorruptArtifact, UnknownRun, UnknownStage
from nbkit.pipeline.manifest import (
    check_run_name,
    describe_surroundings,
    find_run,
    hold_run,
    make_run_dir,
    now,
    write_manifest,
)
from nbkit.pipeline.notebooks import Stage, check_graph, read_stages
from nbkit.pipeline.params import Resolved, resolve_params
from nbkit.pipeline.preflight import check_sense
from nbkit.project import MANIFEST, find_notebooks, iterate_runs, read_manifest
from nbkit.run import STORE, check_artifacts
from nbkit.wording import suggest

EXIT = {"passed": 0, "failed": 1, "refused": 3, "interrupted": 130}
SECRET = re.compile(r"\$\{(\w+)\}")

Tell = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True)
class Step:
    """What is to be done with one stage, and why.

    Attributes
    ----------
    stage
        The notebook.
    action
        ``"run"``, ``"keep"`` (it passed in this run before) or ``"borrow"`` (taken over from `source`).
    why
        In words.
    source
        The run folder to borrow from.
    """

    stage: Stage
    action: str
    why: str
    source: Path | None = None


@dataclass(frozen=True)
class Plan:
    """A run before it happens.

    Attributes
    ----------
    root, project, name
        Where it belongs and how it is to be called; an empty name is made from project and time.
    resolved
        The parameters of every stage.
    steps
        In order.
    folder
        The run folder if it exists already (resume).
    settings
        The ``--set`` texts, kept for resume.
    """

    root: Path
    project: str
    name: str
    resolved: Resolved
    steps: tuple[Step, ...]
    folder: Path | None = None
    settings: tuple[str, ...] = ()
    defaults: dict[str, dict[str, Any]] = field(default_factory=dict)


def plan_run(
    root: Path,
    files: Sequence[Path],
    settings: Sequence[str] = (),
    *,
    first: str = "",
    last: str = "",
    only: Sequence[str] = (),
    name: str = "",
) -> Plan:
    """Decide what a run would do, and refuse what cannot work, before any kernel starts.

    Parameters
    ----------
    root
        The project.
    files, settings
        As for `resolve_params`.
    first, last
        The stages to begin and end with; what comes before `first` is borrowed from the latest run that has it.
    only
        Exactly these stages.
    name
        The run's name.

    Raises
    ------
    BadParameter, UnknownParameter, BadNotebook, UnknownStage, UnknownRun
        Each says what and where, and what to do.
    """
    check_run_name(name)
    if only and (first or last):
        raise BadParameter("--only names the stages one by one, --from and --until the ends: use one or the other")
    stages = read_stages(find_notebooks(root))
    check_graph(stages)
    resolved = resolve_params(files, settings, stages)
    chosen = _choose(stages, first, last, only)
    check_sense(resolved.values, chosen, root)
    usual = [name for name, stage in stages.items() if stage.cadence == "run"]
    before = [name for name in usual if name < max(chosen)] if chosen[0] in usual else []
    borrowed = [each for each in before if each not in chosen]
    source = _find_source(root, resolved, [stages[each] for each in borrowed]) if borrowed else None
    steps = []
    for stage in stages.values():
        if stage.name in chosen:
            steps.append(Step(stage, "run", "asked for" if only or first or last else "part of every run"))
        elif stage.name in borrowed and source:
            steps.append(Step(stage, "borrow", f"passed in {source.name}", source))
    defaults = _read_defaults(stages)
    return Plan(root, resolved.project, name, resolved, tuple(steps), None, tuple(settings), defaults)


def plan_resume(root: Path, name: str = "") -> Plan:
    """Decide how an unfinished run goes on: what passed is kept, the rest runs.

    Raises
    ------
    UnknownRun
        If there is no such run, or nothing of it is left to do.
    BadParameter
        If a stage that passed would now get other parameters.
    """
    folder = find_run(root, name)
    manifest = read_manifest(folder)
    if lacking := {"project", "files", "settings", "parameters", "stages"} - manifest.keys():
        raise UnknownRun(
            f"{folder / MANIFEST} is damaged (no {', '.join(sorted(lacking))}), so nobody knows what has passed: "
            "`nbkit run PARAMS` makes a new run"
        )
    stages = read_stages(find_notebooks(root))
    check_graph(stages)
    files = [root / path for path in manifest["files"]]
    resolved = resolve_params(files, manifest["settings"], stages)
    entries = {entry["stage"]: entry for entry in manifest["stages"]}
    steps: list[Step] = []
    changed = ""
    for stage in (stages[each] for each in entries if each in stages):
        entry = entries[stage.name]
        if entry["status"] != "passed" or not (folder / f"{stage.name}.ipynb").is_file():
            steps.append(Step(stage, "run", f"{entry['status']} before"))
            continue
        if changed or entry.get("code", stage.code) != stage.code:
            steps.append(Step(stage, "run", changed or f"{stage.path.name} has changed since it passed"))
            changed = changed or f"it comes after {stage.name}, which has changed"
            continue
        _check_unchanged(stage.name, manifest["parameters"].get(stage.name, {}), resolved.values[stage.name])
        try:
            check_artifacts(folder / f"{stage.name}.ipynb")
        except CorruptArtifact as error:
            steps.append(Step(stage, "run", str(error)))
            continue
        steps.append(Step(stage, "keep", "passed before"))
    if all(step.action == "keep" for step in steps):
        raise UnknownRun(f"nothing is left to do: every stage of {folder.name} passed")
    check_sense(resolved.values, [step.stage.name for step in steps if step.action == "run"], root)
    settings = tuple(manifest["settings"])
    defaults = _read_defaults(stages)
    return Plan(root, manifest["project"], folder.name, resolved, tuple(steps), folder, settings, defaults)


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
    folder = plan.folder or make_run_dir(plan.root, plan.project, plan.name)
    with hold_run(folder):
        manifest = _begin(plan, folder)
        tell("run_start", {"folder": folder, "manifest": manifest})
        try:
            with _signals():
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


# --- planning


def _choose(stages: dict[str, Stage], first: str, last: str, only: Sequence[str]) -> list[str]:
    if only:
        return [_match(each, stages) for each in only]
    usual = [name for name, stage in stages.items() if stage.cadence == "run"]
    begin = _match(first, stages) if first else usual[0]
    end = _match(last, stages) if last else usual[-1]
    chosen = [name for name in usual if begin <= name <= end]
    if not chosen:
        raise UnknownStage(f"no stage lies between {begin} and {end}; they run as {', '.join(usual)}")
    return chosen


def _match(name: str, stages: dict[str, Stage]) -> str:
    """Find a stage by its name, its number or the word after it."""
    found = [each for each in stages if name in (each, each[:2], each[3:])]
    if len(found) != 1:
        raise UnknownStage(f"no stage is called {name!r}{suggest(name, stages)}")
    return found[0]


def _find_source(root: Path, resolved: Resolved, stages: list[Stage]) -> Path:
    """Return the latest run of the project in which these stages passed as they are now: same code, same parameters."""
    project, differing, names = resolved.project, "", ", ".join(stage.name for stage in stages)
    for folder, manifest in iterate_runs(root):
        entries = {entry["stage"]: entry for entry in manifest.get("stages", [])}
        passed = all(entries.get(stage.name, {}).get("status") == "passed" for stage in stages)
        if manifest.get("project") != project or not passed:
            continue
        now = {stage.name: resolved.values[stage.name] for stage in stages}
        changes = _find_changes(manifest.get("parameters", {}), now)
        changes += [
            f"{stage.path.name} has changed since"
            for stage in stages
            if entries[stage.name].get("code", stage.code) != stage.code
        ]
        if not changes:
            return folder
        differing = differing or f"{changes[0]}, as in {folder.name}"
    if differing:
        raise BadParameter(
            f"no run of {project} has what {names} would hand over now: {differing}. "
            "Give the same params as that run, or begin with the stage that changed"
        )
    raise UnknownRun(f"no run of {project} has passed {names} yet, so nothing can be taken over: run all stages first")


def _read_defaults(stages: dict[str, Stage]) -> dict[str, dict[str, Any]]:
    return {name: {key: each.default for key, each in stage.parameters.items()} for name, stage in stages.items()}


def _find_changes(before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> list[str]:
    """Say which parameters have another value now; one that a notebook has got since then is none of them."""
    return [
        f"{stage}.{key} is now {value!r}, not {before[stage][key]!r}"
        for stage, values in after.items()
        for key, value in values.items()
        if key in before.get(stage, {}) and json.dumps(before[stage][key]) != json.dumps(value)
    ]


def _check_unchanged(stage: str, before: dict[str, Any], after: dict[str, Any]) -> None:
    changed = [key for key in after if json.dumps(before.get(key)) != json.dumps(after[key])]
    if changed:
        key = changed[0]
        raise BadParameter(
            f"{stage} passed with {key} = {before.get(key)!r}, and it is now {after[key]!r}: "
            f"`nbkit run PARAMS --from {stage}` makes a new run with it"
        )


# --- executing


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
