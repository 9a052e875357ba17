"""Decides what a run would do, and refuses what cannot work, before anything is executed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nbkit.errors import BadParameter, CorruptArtifact, UnknownRun, UnknownStage
from nbkit.pipeline.cache import Cache
from nbkit.pipeline.manifest import check_run_name, find_run, has_side_files
from nbkit.pipeline.storage import open_storage
from nbkit.pipeline.trace import Handed, Trace, begin_trace
from nbkit.project import MANIFEST, find_notebooks, iterate_runs, name_sweep, read_manifest
from nbkit.run import check_artifacts
from nbkit.scrub import find_names
from nbkit.stages.graph import check_graph
from nbkit.stages.notebooks import ALWAYS, Stage, read_stages
from nbkit.stages.params import Resolved, resolve_params
from nbkit.stages.preflight import check_sense
from nbkit.wording import suggest


@dataclass(frozen=True)
class Step:
    """What is to be done with one stage, and why.

    Attributes
    ----------
    stage
        The notebook.
    action
        ``"run"``, ``"keep"`` (it passed in this run before), ``"borrow"`` (taken over from `source`, as asked),
        ``"reuse"`` (taken over from `source`, since nothing that it depends on has changed) or ``"wait"`` (run or
        reuse: that depends on what an earlier stage will hand over).
    why
        In words.
    source
        The run folder to take it from.
    trace
        What is reused.
    forced
        Whether it runs whatever earlier runs have.
    """

    stage: Stage
    action: str
    why: str
    source: Path | None = None
    trace: Trace | None = None
    forced: bool = False


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
    defaults
        The parameters cells' own values.
    caching
        Whether traces are left, for later runs to take stages over.
    storage
        The URL that the run is copied to; empty for none.
    lacking
        Whether the storage lacks some of a run that has passed.
    """

    root: Path
    project: str
    name: str
    resolved: Resolved
    steps: tuple[Step, ...]
    folder: Path | None = None
    settings: tuple[str, ...] = ()
    defaults: dict[str, dict[str, Any]] = field(default_factory=dict)
    caching: bool = True
    storage: str = ""
    lacking: bool = False

    @property
    def secrets(self) -> tuple[str, ...]:
        """The environment variables that the params name as ``${NAME}``, in the section of any stage."""
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in self.resolved.files if path.is_file()]
        return find_names([texts, self.settings, self.resolved.values, self.defaults])

    @property
    def nothing_to_do(self) -> bool:
        """Whether all of it has passed in an earlier run and still holds."""
        return all(step.action == "keep" for step in self.steps) and not self.lacking


def plan_run(
    root: Path,
    files: Sequence[Path],
    settings: Sequence[str] = (),
    *,
    first: str = "",
    last: str = "",
    only: Sequence[str] = (),
    name: str = "",
    force: bool = False,
    caching: bool = True,
    storage: str = "",
) -> Plan:
    """Decide what a run would do, and refuse what cannot work, before any kernel starts.

    A stage is taken over from any earlier run if nothing that it depends on has changed. If that holds for all stages
    and one passed run has them all, there is nothing to do, and the plan is that run.

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
        The run's name; with one, there is a new run in any case.
    force
        Run each stage, changed or not; so do the stages that `first` and `only` ask for.
    caching
        Whether stages are taken over and leave traces.
    storage
        An fsspec URL that the run is copied to, and in which the runs of other machines are found.

    Raises
    ------
    BadParameter, UnknownParameter, BadNotebook, UnknownStage, UnknownRun
        Each says what and where, and what to do.
    """
    check_run_name(name)
    root = root.resolve()
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
    steps: list[Step] = []
    taken = {}
    if caching and not (force or first or only):
        cache = Cache(root, open_storage(root, storage))
        taken = _take_over(cache, [stages[each] for each in chosen], resolved, name)
    for stage in stages.values():
        if stage.name in taken:
            steps.append(taken[stage.name])
        elif stage.name in chosen:
            steps.append(Step(stage, "run", "asked for", forced=True))
        elif stage.name in borrowed and source:
            steps.append(Step(stage, "borrow", f"passed in {source.name}", source))
    folder = steps[0].source if steps and all(step.action == "keep" for step in steps) else None
    name = folder.name if folder else name
    defaults = _read_defaults(stages)
    facts = (root, resolved.project, name, resolved, tuple(steps), folder, tuple(settings), defaults)
    lacking = folder is not None and _is_unstored(read_manifest(folder), root, storage)
    return Plan(*facts, caching=caching, storage=storage, lacking=lacking)


def _take_over(cache: Cache, chosen: list[Stage], resolved: Resolved, name: str) -> dict[str, Step]:
    """Find what is unchanged since an earlier run; all steps are ``"keep"`` if one passed run has everything."""
    prefer = cache.newest_run(begin(chosen[-1], resolved))
    steps = _find_steps(cache, chosen, resolved, prefer)
    sources = {step.source for step in steps.values() if step.action == "reuse"}
    whole = sources.pop() if len(sources) == 1 and all(step.action == "reuse" for step in steps.values()) else None
    if name or whole is None or not _is_whole(read_manifest(whole), list(steps), resolved.project):
        return steps
    return {each: replace(step, action="keep") for each, step in steps.items()}


def _find_steps(cache: Cache, stages: Sequence[Stage], resolved: Resolved, prefer: str) -> dict[str, Step]:
    handed: dict[str, dict[str, str] | None] = {}
    steps: dict[str, Step] = {}
    for stage in stages:
        step = steps[stage.name] = find_step(cache, stage, resolved, handed, prefer)
        handed[stage.name] = step.trace.saves if step.trace and step.action == "reuse" else None
    cache.memo.save()
    return steps


def find_step(cache: Cache, stage: Stage, resolved: Resolved, handed: Handed, prefer: str) -> Step:
    """Ask the traces what is to be done with a stage; arguments as for `Cache.find`."""
    found = cache.find(stage, begin(stage, resolved), handed, prefer)
    source = cache.find_folder(found.trace) if found.trace else None
    return Step(stage, found.action, found.why, source, found.trace)


def _is_whole(manifest: dict[str, Any], stages: list[str], project: str) -> bool:
    """Tell whether a run passed with exactly these stages."""
    same = [entry["stage"] for entry in manifest.get("stages", [])] == stages
    return same and manifest.get("status") == "passed" and manifest.get("project") == project


def begin(stage: Stage, resolved: Resolved) -> Trace:
    """Return what is known of a stage before it runs."""
    return begin_trace(stage, resolved.values[stage.name], resolved.limits[stage.name]["threads"])


def plan_resume(root: Path, name: str = "", storage: str = "") -> Plan:
    """Decide how an unfinished run goes on: what passed is kept, the rest runs.

    Raises
    ------
    UnknownRun
        If there is no such run, or nothing of it is left to do.
    BadParameter
        If a stage that passed would now get other parameters.
    """
    root = root.resolve()
    stages = read_stages(find_notebooks(root))
    folder = find_run(root, name) if name or storage else _find_unfinished(root, stages)
    manifest = read_manifest(folder)
    if lacking := {"project", "files", "settings", "parameters", "stages"} - manifest.keys():
        raise UnknownRun(
            f"{folder / MANIFEST} is damaged (no {', '.join(sorted(lacking))}), so nobody knows what has passed: "
            "`nbkit run PARAMS` makes a new run"
        )
    check_graph(stages)
    files = [root / path for path in manifest["files"]]
    resolved = resolve_params(files, manifest["settings"], stages)
    entries = {entry["stage"]: entry for entry in manifest["stages"]}
    again = [stages[each] for each in entries if each in stages]
    storage = storage or manifest.get("storage", "")
    cache = Cache(root, open_storage(root, storage))
    found = _find_steps(cache, again, resolved, folder.name)
    steps: list[Step] = []
    for stage in again:
        entry, step = entries[stage.name], found[stage.name]
        if entry["status"] != "passed" or not (folder / f"{stage.name}.ipynb").is_file():
            steps.append(step if step.trace else replace(step, why=f"{entry['status']} before"))
            continue
        _check_unchanged(stage.name, manifest["parameters"].get(stage.name, {}), resolved.values[stage.name])
        steps.append(_keep(step, entry, folder, steps))
    unstored = _is_unstored(manifest, root, storage)
    if all(step.action == "keep" for step in steps) and not unstored:
        raise UnknownRun(f"nothing is left to do: every stage of {folder.name} passed")
    settings = tuple(manifest["settings"])
    defaults = _read_defaults(stages)
    facts = (root, manifest["project"], folder.name, resolved, tuple(steps), folder, settings, defaults)
    return Plan(*facts, storage=storage, lacking=unstored)


def _find_unfinished(root: Path, stages: dict[str, Stage]) -> Path:
    """Return the latest run of the lifecycle that is not finished; if all are, the latest of them, or of any kind."""
    usual = []
    for folder, manifest in iterate_runs(root):
        names = [entry["stage"] for entry in manifest.get("stages", [])]
        watches = names and all(name in stages and stages[name].cadence != "run" for name in names)
        if name_sweep(folder) or watches:
            continue
        if manifest.get("status") != "passed" or "not_stored" in manifest:
            return folder
        usual.append(folder)
    return usual[0] if usual else find_run(root)


def _is_unstored(manifest: dict[str, Any], root: Path, url: str) -> bool:
    """Tell whether a run is still to be copied to where it is asked for."""
    storage = open_storage(root, url)
    return storage is not None and (storage.url != manifest.get("storage") or "not_stored" in manifest)


def _keep(step: Step, entry: dict[str, Any], folder: Path, before: Sequence[Step]) -> Step:
    """Keep what passed in this run and still holds."""
    if step.source == folder:
        return replace(step, action="keep", why="passed before") if step.action == "reuse" else step
    stage = step.stage
    if entry.get("traced") and stage.cadence == "run" and stage.effects != ALWAYS:
        return step
    changed = [each for each in before if each.action != "keep"]
    if changed:
        return Step(stage, "run", f"it comes after {changed[0].stage.name}, which runs again")
    if entry.get("code", stage.code) != stage.code:
        return Step(stage, "run", f"{stage.path.name} has changed since it passed")
    if has_side_files(folder):
        return Step(stage, "run", "a stage wrote files into the run's folder, and what failed may have changed them")
    try:
        check_artifacts(folder / f"{stage.name}.ipynb")
    except CorruptArtifact as error:
        return Step(stage, "run", str(error))
    return Step(stage, "keep", "passed before")


def check_plan(plan: Plan) -> None:
    """Let the libraries read what the stages that will run are given; apart from planning, as it loads them.

    Raises
    ------
    BadParameter
        Naming the stage and the parameter.
    """
    running = [step.stage.name for step in plan.steps if step.action in ("run", "wait")]
    check_sense(plan.resolved.values, running, plan.root, plan.resolved.places)


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
    if len(found) > 1:
        raise UnknownStage(f"{name!r} may be {' or '.join(found)}: write out which")
    if not found:
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
