"""Decides what a run would do, and refuses what cannot work, before anything is executed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from nbkit.errors import BadParameter, UnknownRun, UnknownStage
from nbkit.pipeline.cache import Cache, Step
from nbkit.pipeline.runs import check_run_name
from nbkit.pipeline.storage import open_storage
from nbkit.pipeline.trace import Trace, begin_trace
from nbkit.project import find_notebooks
from nbkit.record import RunRecord, iterate_runs, read_record
from nbkit.scrub import find_names
from nbkit.stages.graph import check_graph
from nbkit.stages.notebooks import Stage, match_stage, read_stages
from nbkit.stages.params import Resolved, resolve_params
from nbkit.stages.preflight import check_sense, import_used


@dataclass(frozen=True)
class Chosen:
    """Which stages a run is to have: those from `first` to `last`, by default from end to end, or `only` some."""

    first: str = ""
    last: str = ""
    only: Sequence[str] = ()


ALL = Chosen()
Reuse = Literal["unchanged", "nothing", "never"]


@dataclass(frozen=True)
class Plan:
    """A run before it happens.

    Attributes
    ----------
    root, name
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
    def project(self) -> str:
        """The name of the first params file."""
        return self.resolved.project

    @property
    def secrets(self) -> tuple[str, ...]:
        """The environment variables that the params name as ``${NAME}``, in the section of any stage."""
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in self.resolved.files if path.is_file()]
        return find_names([texts, self.settings, self.resolved.values, self.defaults])

    @property
    def nothing_to_do(self) -> bool:
        """Whether all of it has passed in an earlier run and still holds."""
        return _is_kept(self.steps, self.folder) and not self.lacking


def plan_run(
    root: Path,
    files: Sequence[Path],
    settings: Sequence[str] = (),
    *,
    stages: Chosen = ALL,
    name: str = "",
    reuse: Reuse = "unchanged",
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
    stages
        Which stages it has; what comes before its first is borrowed from the latest run that has it.
    name
        The run's name; with one, there is a new run in any case.
    reuse
        Take over what is ``"unchanged"``, or ``"nothing"``: each stage runs, as do those that `stages` asks for by
        name; with ``"never"`` they leave no traces for later runs either.
    storage
        An fsspec URL that the run is copied to, and in which the runs of other machines are found.

    Raises
    ------
    BadParameter, UnknownParameter, BadNotebook, UnknownStage, UnknownRun
        Each says what and where, and what to do.
    """
    check_run_name(name)
    root = root.resolve()
    known = read_stages(find_notebooks(root))
    check_graph(known)
    resolved = resolve_params(files, settings, known)
    chosen = _choose(known, stages)
    usual = [name for name, stage in known.items() if stage.cadence == "run"]
    before = [name for name in usual if name < max(chosen)] if chosen[0] in usual else []
    borrowed = [each for each in before if each not in chosen]
    source = _find_source(root, resolved, [known[each] for each in borrowed]) if borrowed else None
    steps: list[Step] = []
    taken = {}
    if reuse == "unchanged" and not (stages.first or stages.only):
        cache = Cache(root, open_storage(root, storage))
        newest = cache.newest_run(begin(known[chosen[-1]], resolved))
        taken = find_steps(cache, [known[each] for each in chosen], resolved, newest)
    for stage in known.values():
        if stage.name in taken:
            steps.append(taken[stage.name])
        elif stage.name in chosen:
            steps.append(Step(stage, "run", "asked for", forced=True))
        elif stage.name in borrowed and source:
            steps.append(Step(stage, "skip", f"passed in {source.name}", source))
    whole = None if name else _find_whole(list(taken.values()), resolved.project)
    return Plan(
        root=root,
        name=whole.name if whole else name,
        resolved=resolved,
        steps=tuple(steps),
        folder=whole,
        settings=tuple(settings),
        defaults=read_defaults(known),
        caching=reuse != "never",
        storage=storage,
        lacking=whole is not None and is_unstored(read_record(whole), root, storage),
    )


def find_steps(cache: Cache, stages: Sequence[Stage], resolved: Resolved, prefer: str) -> dict[str, Step]:
    """Ask the cache about each stage, as if what is skipped handed over what it did before."""
    handed: dict[str, dict[str, str] | None] = {}
    steps: dict[str, Step] = {}
    for stage in stages:
        step = steps[stage.name] = cache.find(stage, begin(stage, resolved), handed, prefer)
        handed[stage.name] = step.trace.saves if step.trace and step.action == "skip" else None
    cache.memo.save()
    return steps


def _find_whole(steps: Sequence[Step], project: str) -> Path | None:
    """Return the run that passed with exactly these stages, as they are now, if there is one."""
    whole = steps[0].source if steps else None
    if whole is None or not _is_kept(steps, whole):
        return None
    record = read_record(whole)
    same = [each.stage for each in record.stages] == [step.stage.name for step in steps]
    return whole if same and record.status == "passed" and record.project == project else None


def _is_kept(steps: Sequence[Step], folder: Path | None) -> bool:
    """Return whether every step is taken from this run."""
    return all(step.action == "skip" and step.source == folder for step in steps)


def begin(stage: Stage, resolved: Resolved) -> Trace:
    """Return what is known of a stage before it runs."""
    limits = resolved.limits[stage.name]
    used = {"use": limits["use"]} if limits["use"] else {}
    return begin_trace(stage, resolved.values[stage.name] | used, limits["threads"])


def is_unstored(record: RunRecord, root: Path, url: str) -> bool:
    """Return whether a run is still to be copied to where it is asked for."""
    storage = open_storage(root, url)
    return storage is not None and (storage.url != record.storage or bool(record.not_stored))


def check_plan(plan: Plan) -> str:
    """Let the libraries read what the stages that will run are given; apart from planning, as it loads them.

    Returns
    -------
    str
        What is odd and stops no run, as from `check_sense`.

    Raises
    ------
    BadParameter
        Naming the stage and the parameter.
    """
    running = [step.stage.name for step in plan.steps if step.action != "skip"]
    import_used(plan.resolved.limits, running, plan.root, plan.resolved.places)
    return check_sense(plan.resolved.values, running, plan.root, plan.resolved.places)


def _choose(stages: dict[str, Stage], chosen: Chosen) -> list[str]:
    if chosen.only and (chosen.first or chosen.last):
        raise BadParameter("--only names the stages one by one, --from and --until the ends: use one or the other")
    if chosen.only:
        return [match_stage(each, stages) for each in chosen.only]
    usual = [name for name, stage in stages.items() if stage.cadence == "run"]
    begin = match_stage(chosen.first, stages) if chosen.first else usual[0]
    end = match_stage(chosen.last, stages) if chosen.last else usual[-1]
    found = [name for name in usual if begin <= name <= end]
    if not found:
        raise UnknownStage(f"no stage lies between {begin} and {end}; they run as {', '.join(usual)}")
    return found


def _find_source(root: Path, resolved: Resolved, stages: list[Stage]) -> Path:
    """Return the latest run of the project in which these stages passed as they are now: same code, same parameters."""
    project, differing, names = resolved.project, "", ", ".join(stage.name for stage in stages)
    for folder, record in iterate_runs(root):
        known = {each.stage: each for each in record.stages}
        if record.project != project or not all(record.has_passed(stage.name) for stage in stages):
            continue
        now = {stage.name: resolved.values[stage.name] for stage in stages}
        changes = find_changes(record.parameters, now)
        changes += [
            f"{stage.path.name} has changed since" for stage in stages if known[stage.name].code not in ("", stage.code)
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


def read_defaults(stages: dict[str, Stage]) -> dict[str, dict[str, Any]]:
    """Return the values of the parameters cells."""
    return {name: {key: each.default for key, each in stage.parameters.items()} for name, stage in stages.items()}


def find_changes(before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> list[str]:
    """Describe which parameters have another value now; one that a notebook has got since then is none of them."""
    return [
        f"{stage}.{key} is now {value!r}, not {before[stage][key]!r}"
        for stage, values in after.items()
        for key, value in values.items()
        if key in before.get(stage, {}) and json.dumps(before[stage][key]) != json.dumps(value)
    ]
