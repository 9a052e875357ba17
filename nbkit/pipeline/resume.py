"""Decides how an unfinished run goes on."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nbkit.errors import BadParameter, CorruptArtifact, UnknownRun
from nbkit.pipeline.cache import Cache, Step
from nbkit.pipeline.plan import Plan, find_changes, find_steps, is_unstored, read_defaults
from nbkit.pipeline.runs import find_run, has_side_files
from nbkit.pipeline.storage import open_storage
from nbkit.project import find_notebooks
from nbkit.record import RECORD, StageRecord, iterate_runs, name_sweep, read_record
from nbkit.scraps import check_artifacts
from nbkit.stages.graph import check_graph
from nbkit.stages.notebooks import ALWAYS, Stage, read_stages
from nbkit.stages.params import resolve_params


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
    record = read_record(folder)
    if not (record.project and record.files and record.stages):
        raise UnknownRun(f"{folder / RECORD} is damaged, so what passed is unknown: `nbkit run PARAMS` makes a new run")
    check_graph(stages)
    resolved = resolve_params([root / path for path in record.files], record.settings, stages)
    known = {each.stage: each for each in record.stages}
    again = [stages[each] for each in known if each in stages]
    storage = storage or record.storage
    cache = Cache(root, open_storage(root, storage))
    found = find_steps(cache, again, resolved, folder.name)
    steps: list[Step] = []
    for stage in again:
        before, step = known[stage.name], found[stage.name]
        if before.status != "passed" or not (folder / f"{stage.name}.ipynb").is_file():
            steps.append(step if step.trace else replace(step, why=f"{before.status} before"))
            continue
        if changes := find_changes(record.parameters, {stage.name: resolved.values[stage.name]}):
            raise BadParameter(
                f"{stage.name} passed, and {changes[0]}: `nbkit run PARAMS --from {stage.name}` makes a new run with it"
            )
        steps.append(_keep(step, before, folder, steps))
    plan = Plan(
        root=root,
        name=folder.name,
        resolved=resolved,
        steps=tuple(steps),
        folder=folder,
        settings=tuple(record.settings),
        defaults=read_defaults(stages),
        storage=storage,
        lacking=is_unstored(record, root, storage),
    )
    if plan.nothing_to_do:
        raise UnknownRun(f"nothing is left to do: every stage of {folder.name} passed")
    return plan


def _find_unfinished(root: Path, stages: dict[str, Stage]) -> Path:
    """Return the latest run of the lifecycle that is not finished; if all are, the latest of them, or of any kind."""
    usual = []
    for folder, record in iterate_runs(root):
        names = [each.stage for each in record.stages]
        watches = names and all(name in stages and stages[name].cadence != "run" for name in names)
        if name_sweep(folder) or watches:
            continue
        if record.status != "passed" or record.not_stored:
            return folder
        usual.append(folder)
    return usual[0] if usual else find_run(root)


def _keep(step: Step, record: StageRecord, folder: Path, before: Sequence[Step]) -> Step:
    """Keep what passed in this run and still holds."""
    if step.source == folder:
        return replace(step, why="passed before") if step.action == "skip" else step
    stage = step.stage
    if record.traced and stage.cadence == "run" and stage.effects != ALWAYS:
        return step
    changed = [each for each in before if each.action != "skip" or each.source != folder]
    if changed:
        return Step(stage, "run", f"it comes after {changed[0].stage.name}, which runs again")
    if record.code not in ("", stage.code):
        return Step(stage, "run", f"{stage.path.name} has changed since it passed")
    if has_side_files(folder):
        return Step(stage, "run", "a stage wrote files into the run's folder, and what failed may have changed them")
    try:
        check_artifacts(folder / f"{stage.name}.ipynb")
    except CorruptArtifact as error:
        return Step(stage, "run", str(error))
    return Step(stage, "skip", "passed before", folder)
