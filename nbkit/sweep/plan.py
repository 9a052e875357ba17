"""A sweep before it happens: its points are checked against the notebooks, and each gets its settings."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nbkit.errors import BadParameter, UnknownRun
from nbkit.lifecycle import FRAME
from nbkit.pipeline import Chosen, plan_run
from nbkit.project import find_notebooks
from nbkit.record import SWEEP
from nbkit.stages.notebooks import Stage, read_stages
from nbkit.stages.params import resolve_params
from nbkit.stages.preflight import check_sense, import_used
from nbkit.sweep.points import Point
from nbkit.wording import suggest

SCORES = "scores"  # what the stage that judges hands over: metric, value, low, high, n, better (and candidate)


@dataclass(frozen=True)
class Sweep:
    """What a sweep is to do.

    Attributes
    ----------
    root, files, settings
        As for `nbkit.pipeline.plan_run`, the same for all points.
    points
        Key to value, one dict a point; from `list_points` or `draw_points`.
    name
        What it is called; its runs are ``<name>-001`` and so on. Made of project and time if empty.
    last
        The stage that each point ends with; by default the first one that hands over `scores`, which is where
        validation data judge. Who picks the best of many points by the test rows has learned from them, and no row is
        left that could say how good it is.
    metric
        What to sort by, as in the scores; by default what chose the model.
    storage
        An fsspec URL that the runs are copied to.
    project, judge, own
        Filled in by `plan_sweep`: what the project is called, the stage whose scores are compared, and the settings of
        each point.
    """

    root: Path
    files: tuple[Path, ...]
    points: tuple[Point, ...]
    settings: tuple[str, ...] = ()
    name: str = ""
    last: str = ""
    metric: str = ""
    storage: str = ""
    project: str = ""
    judge: str = ""
    own: tuple[tuple[str, ...], ...] = ()

    @property
    def folder(self) -> Path:
        """Where its table and its report lie."""
        return self.root / "runs" / self.name

    def name_point(self, number: int) -> str:
        """Return what the run of a point is called, counted from 1."""
        return f"{self.name}-{number:03}"


def plan_sweep(sweep: Sweep) -> Sweep:
    """Fill in what a sweep would do, and refuse what cannot work, before any kernel starts.

    Raises
    ------
    BadParameter, UnknownParameter, BadNotebook, UnknownStage
        Each says what and where.
    """
    stages = read_stages(find_notebooks(sweep.root))
    own = tuple(tuple(f"{key}={json.dumps(value)}" for key, value in point.items()) for point in sweep.points)
    judge = _find_judge(stages)
    first = sweep.name_point(1) if sweep.name else ""
    plan = plan_run(sweep.root, sweep.files, sweep.settings, stages=Chosen(last=sweep.last or judge), name=first)
    names = [step.stage.name for step in plan.steps]
    if judge not in names:
        raise BadParameter(f"--until {names[-1]} ends before {judge}, whose scores say which point is best")
    if outside := [name for name in names if stages[name].effects and not stages[name].only_reads]:
        raise BadParameter(f"points do not come to {outside[0]}, which changes what is not its run's: end earlier")
    resolved = [resolve_params(sweep.files, [*sweep.settings, *more], stages) for more in own]
    given = {json.dumps([[each.values[name], each.limits[name]] for name in names]) for each in resolved}
    if len(given) == 1 < len(own):
        keys = ", ".join(sweep.points[0])
        raise BadParameter(f"{keys}: the points do not differ in any stage that they run ({names[0]} to {names[-1]})")
    for each in {json.dumps([each.limits[name]["use"] for name in names]): each for each in resolved}.values():
        import_used(each.limits, names, sweep.root, each.places)  # once for all points that use the same
    for each in resolved:
        check_sense(each.values, names, sweep.root, each.places)
    _check_metric(sweep.metric, [each.values.get(FRAME, {}) for each in resolved])
    return replace(sweep, last=names[-1], project=plan.project, judge=judge, own=own)


def find_sweep(root: Path, name: str) -> Path | None:
    """Return the folder of a sweep, or None if none is called so."""
    folder = root / "runs" / name
    return folder if name and (folder / SWEEP).is_file() else None


def read_sweep(folder: Path) -> dict[str, Any]:
    """Read ``sweep.json``: what was asked for, and what was found.

    Raises
    ------
    UnknownRun
        If it is not a sweep, or damaged.
    """
    try:
        content = json.loads((folder / SWEEP).read_bytes())
        if not isinstance(content["rows"], list):
            raise TypeError("no rows")
    except FileNotFoundError:
        known = sorted(path.parent.name for path in folder.parent.glob(f"*/{SWEEP}"))
        raise UnknownRun(f"no sweep is called {folder.name!r}{suggest(folder.name, known)}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnknownRun(f"{folder / SWEEP} is damaged ({error}): run the sweep again under another --name") from None
    return dict(content)


def _find_judge(stages: dict[str, Stage]) -> str:
    judges = [stage.name for stage in stages.values() if SCORES in stage.saves and stage.cadence == "run"]
    if not judges:
        raise BadParameter(f"no notebook hands over {SCORES!r}, so nothing says which point is best")
    return judges[0]


def _check_metric(metric: str, given: Sequence[dict[str, Any]]) -> None:
    asked = sorted({str(each["metric"]) for each in given if "metric" in each})
    if not metric and len(asked) > 1:
        raise BadParameter(f"the points choose by {', '.join(asked)}: say with --metric by which they are compared")
    if metric and given[0].get("task"):
        from nbkit.model.metrics import find_metric

        find_metric(metric, given[0]["task"])
