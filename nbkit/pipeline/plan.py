"""Decides what a run would do, and refuses what cannot work, before anything is executed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbkit.errors import BadParameter, CorruptArtifact, UnknownRun, UnknownStage
from nbkit.pipeline.graph import check_graph
from nbkit.pipeline.manifest import check_run_name, find_run
from nbkit.pipeline.notebooks import Stage, read_stages
from nbkit.pipeline.params import Resolved, resolve_params
from nbkit.pipeline.preflight import check_sense
from nbkit.project import MANIFEST, find_notebooks, iterate_runs, read_manifest
from nbkit.run import check_artifacts
from nbkit.wording import suggest


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
    settings = tuple(manifest["settings"])
    defaults = _read_defaults(stages)
    return Plan(root, manifest["project"], folder.name, resolved, tuple(steps), folder, settings, defaults)


def check_plan(plan: Plan) -> None:
    """Let the libraries read what the stages that will run are given; apart from planning, as it loads them.

    Raises
    ------
    BadParameter
        Naming the stage and the parameter.
    """
    check_sense(plan.resolved.values, [step.stage.name for step in plan.steps if step.action == "run"], plan.root)


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
