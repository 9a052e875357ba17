"""A sweep before it happens, and as it is kept in ``sweep.json``: its points, and what they share."""

import contextlib
import copy
import json
import sys
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nbkit.errors import BadParameter, UnknownRun
from nbkit.pipeline.manifest import check_run_name, now
from nbkit.pipeline.plan import plan_run
from nbkit.pipeline.storage import open_storage
from nbkit.pipeline.work import name_path
from nbkit.project import SWEEP, find_notebooks
from nbkit.stages.graph import check_graph
from nbkit.stages.notebooks import Stage, read_stages
from nbkit.stages.params import Resolved, resolve_params
from nbkit.stages.preflight import check_sense
from nbkit.store import write_atomic
from nbkit.sweep.points import Point, say_point
from nbkit.wording import suggest

SCORES = "scores"  # what the stage that judges hands over: metric, value, low, high, n, better (and candidate)


@dataclass(frozen=True)
class Sweep:
    """What a sweep is to do; its runs are ``<name>-shared`` and ``<name>-001`` and so on.

    Attributes
    ----------
    root, project, name
        The project's folder, what it is called, and what the sweep is called.
    files, settings
        As for `nbkit.pipeline.plan_run`, the same for all points; files as seen from `root`.
    points
        Key to value, one dict a point.
    own
        The settings of each point.
    first, last
        The first stage in which points differ, and the last that they run.
    shared
        The last stage that all points share; empty if there is none.
    judge
        The stage whose scores say which point is best.
    metric
        What they are sorted by; empty for the stage's own choice.
    threads
        Of each point.
    command, started
        How and when it was asked for.
    token
        Tells a worker on another machine that it sees the same folder.
    storage
        The URL through which workers that do not see the folder hand their points over; empty for none.
    """

    root: Path
    project: str
    name: str
    files: tuple[str, ...]
    settings: tuple[str, ...]
    points: tuple[Point, ...]
    own: tuple[tuple[str, ...], ...]
    first: str
    last: str
    shared: str
    judge: str
    metric: str = ""
    threads: int = 1
    command: tuple[str, ...] = ()
    started: str = field(default_factory=now)
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    storage: str = ""

    def find_run(self, number: int) -> Path:
        """Return the folder of a point (0: what all share), brought here if it was made elsewhere."""
        name = self.name_point(number)
        folder = self.root / "runs" / name
        storage = None if folder.exists() else open_storage(self.root, self.storage)
        if storage:
            with contextlib.suppress(FileNotFoundError):
                return storage.fetch_run(name)
        return folder

    @property
    def folder(self) -> Path:
        """Where its table and its report lie."""
        return self.root / "runs" / self.name

    def name_point(self, number: int) -> str:
        """Return the name of the run of a point, counted from 1; 0 is what all points share."""
        return f"{self.name}-{number:03}" if number else f"{self.name}-shared"

    def say_point(self, number: int) -> dict[str, str]:
        """Return the values of a point, counted from 1, as they are written in a params file."""
        return say_point(self.points[number - 1])


def plan_sweep(
    root: Path,
    files: Sequence[Path],
    points: Sequence[Point],
    settings: Sequence[str] = (),
    *,
    name: str = "",
    last: str = "",
    metric: str = "",
    threads: int = 1,
    storage: str = "",
) -> Sweep:
    """Decide what a sweep would do, and refuse what cannot work, before any kernel starts.

    Parameters
    ----------
    root, files, settings
        As for `nbkit.pipeline.plan_run`.
    points
        From `list_points` or `draw_points`.
    name
        What it is called; its folder must be free when it starts.
    last
        The stage to end each point with; by default the first one that hands over `scores`, which is where validation
        data judge. A sweep is not sorted by test data: who picks the best of many points by the test rows has learned
        from them, and no row is left that could say how good it is.
    metric
        What to sort by, as in the scores.
    threads
        That each point computes with, given as ``shared.threads``.
    storage
        An fsspec URL that the points are copied to, for workers that do not see the project's folder.

    Raises
    ------
    BadParameter, UnknownParameter, BadNotebook, UnknownStage
        Each says what and where.
    """
    check_run_name(f"{name}-shared" if name else "")
    stages = read_stages(find_notebooks(root))
    check_graph(stages)
    settings = (f"shared.threads={threads}", *settings)
    base = resolve_params(files, settings, stages)
    own = tuple(_make_settings(point, base, stages) for point in points)
    judge = _find_judge(stages)
    names = [step.stage.name for step in plan_run(root, files, settings, last=last or judge).steps]
    _check_stages(names, judge, stages)
    resolved = [resolve_params(files, [*settings, *more], stages) for more in own]
    first = _find_first(resolved, names, points)
    check_sense(base.values, names, root, base.places)
    for each in resolved:
        check_sense(each.values, [stage for stage in names if stage >= first], root, each.places)
    _check_metric(metric, base.values[judge], [each.values[judge] for each in resolved])
    return Sweep(
        root=root.resolve(),
        project=base.project,
        name=name,
        files=tuple(name_path(path, root.resolve()) for path in files),
        settings=settings,
        points=tuple(points),
        own=own,
        first=first,
        last=names[-1],
        shared=max((stage for stage in names if stage < first), default=""),
        judge=judge,
        metric=metric,
        threads=threads,
        command=("nbkit", *sys.argv[1:]),
        storage=storage,
    )


def find_sweep(root: Path, name: str) -> Path | None:
    """Return the folder of a sweep, or None if none is called so."""
    folder = root / "runs" / name
    return folder if name and (folder / SWEEP).is_file() else None


def read_sweep(root: Path, name: str) -> Sweep:
    """Read a sweep that was begun.

    Raises
    ------
    UnknownRun
        If there is none of that name, or its file is damaged.
    """
    folder = find_sweep(root, name)
    if folder is None:
        known = sorted(path.parent.name for path in (root / "runs").glob(f"*/{SWEEP}"))
        raise UnknownRun(f"no sweep is called {name!r}{suggest(name, known)}")
    import msgspec

    try:
        content = {**json.loads((folder / SWEEP).read_bytes()), "root": str(root.resolve()), "name": folder.name}
        sweep: Sweep = msgspec.convert(content, Sweep, dec_hook=lambda kind, value: kind(value))
    except (ValueError, msgspec.ValidationError) as error:
        raise UnknownRun(f"{folder / SWEEP} is damaged ({error}): begin a new sweep") from None
    return sweep


def write_sweep(sweep: Sweep, **found: object) -> None:
    """Write ``sweep.json`` whole: what is to be done, and what was found."""
    content = {**asdict(sweep), **found}
    text = json.dumps(content, indent=1, ensure_ascii=False, default=str)
    write_atomic(sweep.folder / SWEEP, text.encode())


def _make_settings(point: Point, base: Resolved, stages: dict[str, Stage]) -> tuple[str, ...]:
    """Write a point as settings; ``STAGE.KEY.INNER`` replaces one entry of a dict."""
    whole: dict[str, Any] = {}
    for key, value in point.items():
        section, _, path = key.partition(".")
        name, *inner = path.split(".")
        stage = next((each for each in stages if section in (each, each[:2], each[3:])), section)
        target = f"{stage}.{name}"
        if not inner:
            if target in whole:
                raise BadParameter(f"--grid {key}: {target} is given twice")
            whole[target] = value
            continue
        known = whole.get(target, copy.deepcopy(base.values.get(stage, {}).get(name)))
        if not isinstance(known, dict):
            raise BadParameter(f"--grid {key}: {target} is no dict, so {'.'.join(inner)} is no entry of it")
        _put(known, inner, value, key)
        whole[target] = known
    return tuple(f"{target}={json.dumps(value)}" for target, value in whole.items())


def _put(known: dict[str, Any], inner: list[str], value: Any, key: str) -> None:
    for part in inner[:-1]:
        known = known.setdefault(part, {})
        if not isinstance(known, dict):
            raise BadParameter(f"--grid {key}: {part} is no dict")
    known[inner[-1]] = value


def _find_judge(stages: dict[str, Stage]) -> str:
    judges = [stage.name for stage in stages.values() if SCORES in stage.saves and stage.cadence == "run"]
    if not judges:
        raise BadParameter(f"no notebook hands over {SCORES!r}, so nothing says which point is best")
    return judges[0]


def _check_stages(names: list[str], judge: str, stages: dict[str, Stage]) -> None:
    if judge not in names:
        raise BadParameter(f"--until {names[-1]} ends before {judge}, whose scores say which point is best")
    if outside := [name for name in names if stages[name].effects]:
        raise BadParameter(
            f"the points of a sweep do not come to {outside[0]}, which changes what is not its run's: end earlier"
        )


def _check_metric(metric: str, given: dict[str, Any], points: Sequence[dict[str, Any]]) -> None:
    asked = sorted({str(each["metric"]) for each in points if "metric" in each})
    if not metric and len(asked) > 1:
        raise BadParameter(f"the points choose by {', '.join(asked)}: say with --metric by which they are compared")
    if metric and given.get("task"):
        from nbkit.model.metrics import find_metric

        find_metric(metric, given["task"])


def _find_first(resolved: Sequence[Resolved], names: list[str], points: Sequence[Point]) -> str:
    """Return the first stage that gets other parameters at some point than at another."""
    for name in names:
        if len({json.dumps([each.values[name], each.limits[name]]) for each in resolved}) > 1:
            return name
    if len(points) == 1:
        return names[-1]
    keys = ", ".join(points[0]) or "--grid"
    raise BadParameter(
        f"{keys}: the points do not differ in any of the stages that they run ({names[0]} to {names[-1]})"
    )
