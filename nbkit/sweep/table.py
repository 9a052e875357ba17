"""One table over all points of a sweep, and what can be said of the best of them."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nbkit.errors import BadModel, NbkitError
from nbkit.lifecycle import FEATURES, FRAME
from nbkit.pipeline.runs import describe_end, read_status
from nbkit.record import RunRecord, read_record
from nbkit.scraps import read_value
from nbkit.sweep.plan import SCORES, Sweep
from nbkit.sweep.points import format_point
from nbkit.sweep.pool import Answer, list_attempts
from nbkit.wording import format_count, format_estimate, format_value

UNREADABLE = (NbkitError, OSError, KeyError, ValueError, TypeError)  # what reading a run's scraps may raise

Row = dict[str, Any]


def read_point(sweep: Sweep, number: int, answer: Answer | None = None) -> Row:
    """Read the row of one point.

    Parameters
    ----------
    sweep
        The sweep.
    number
        Of the point, counted from 1.
    answer
        What its worker said; without one, the latest run that was begun for the point counts.

    Returns
    -------
    dict
        point, run, params, status, seconds, headline (or what went wrong), and if it passed, metric, value, low, high,
        n, better.
    """
    attempts = list_attempts(sweep.root, sweep.name_point(number))
    name, error = answer or (attempts[-1] if attempts else "", "")
    folder = sweep.root / "runs" / name
    record = read_record(folder) if name else RunRecord()
    status, score = read_status(folder, record) or "pending", {}
    if status == "passed" and not error:
        try:
            score = read_score(folder, sweep.judge, sweep.metric)
        except UNREADABLE as problem:
            error = f"its scores cannot be read: {problem}"
    elif answer and status == "pending":
        error = error or f"the run {name} is not in {folder.parent}: all workers must share the project's folder"
    said = {
        "status": "failed" if error else status,
        "seconds": record.seconds,
        "headline": error or describe_end(record),
    }
    return {"point": number, "run": name, "params": format_point(sweep.points[number - 1]), **said, **score}


def read_score(folder: Path, stage: str, metric: str = "") -> Row:
    """Read the score that a run is judged by: of the candidate that goes on, in the metric that chose it.

    Parameters
    ----------
    folder
        The run.
    stage
        Which hands over `scores`, and where there are several candidates, `best`.
    metric
        Another one of the scores than the problem's.

    Raises
    ------
    MissingScrap, KeyError
        If there is no such score.
    """
    scores = read_value(folder, stage, SCORES)
    scores = scores.reset_index() if scores.index.name else scores
    if "candidate" in scores:
        scores = scores[scores["candidate"] == read_value(folder, stage, "best")]
    chosen = metric or read_value(folder, FRAME, "problem").metric
    rows = scores[scores["metric"] == chosen]
    if rows.empty:
        raise KeyError(f"{stage} has no score {chosen!r}; it has {', '.join(scores['metric'].unique())}")
    found: Row = json.loads(rows.iloc[0].reindex(["metric", "value", "low", "high", "n", "better"]).to_json())
    return found


def judge_points(sweep: Sweep, rows: Sequence[Row], *, quick: bool = False) -> dict[str, Any]:
    """Sort the points, name the best, and say how sure that is.

    Parameters
    ----------
    sweep
        The sweep.
    rows
        From `read_point`.
    quick
        Sort only, without loading models.

    Returns
    -------
    dict
        ``rows``, the best first, with `verdict` ("best", "worse", "inconclusive"; empty where that is not known) and
        `share` (of the resamples in which a point is the best); ``best`` (its run), ``alike`` (the runs that cannot be
        told apart from it), ``optimism`` (by how much its value is flattered by having been picked) and ``claim``.
    """
    turn = {"higher": lambda value: -value, "lower": lambda value: value, "zero": abs}
    scored = [row for row in rows if row.get("value") is not None]
    scored.sort(key=lambda row: turn[row["better"]](row["value"]))
    if not scored:
        return {"rows": list(rows), "best": "", "alike": [], "optimism": None, "claim": "No point has a score."}
    found, why = None, "the sweep was stopped" if quick else ""
    if not quick and len(scored) > 1:
        try:
            found = compare_points(sweep, scored)
        except UNREADABLE as error:
            why = str(error) or type(error).__name__
    if found:
        scored = [row | found.table.loc[row["point"], ["verdict", "share"]].to_dict() for row in scored]
        scored.sort(key=lambda row: row["verdict"] != "best")  # of equals, the one that the others are compared with
    alike = [row["run"] for row in scored if row.get("verdict") == "inconclusive"]
    optimism = found.optimism if found and math.isfinite(found.optimism) else None
    claim = _claim(scored, len(rows), alike, optimism, why)
    rest = [row for row in rows if row.get("value") is None]
    return {"rows": scored + rest, "best": scored[0]["run"], "alike": alike, "optimism": optimism, "claim": claim}


def compare_points(sweep: Sweep, scored: Sequence[Row]) -> Any:
    """Compare the models of the points on the rows that all of them were scored on.

    Parameters
    ----------
    sweep
        The sweep.
    scored
        The rows of the points that have a score.

    Returns
    -------
    Selection
        Of `nbkit.model.compare_with_best`, by the points' numbers.

    Raises
    ------
    NbkitError, OSError, KeyError, ValueError
        If a point hands over no model or no rows, or points were scored on other rows than others.
    """
    import numpy as np

    from nbkit.model import Predictions, compare_with_best, predict_values

    said: dict[int, Predictions] = {}
    for row in scored:
        folder = sweep.root / "runs" / row["run"]
        problem, valid = read_value(folder, FRAME, "problem"), read_value(folder, FEATURES, "valid")
        values = predict_values(read_value(folder, sweep.judge, "model"), problem.features(valid), problem)
        said[row["point"]] = Predictions.align(valid[problem.target], values, problem, blocks=problem.blocks(valid))
    first, *others = said.values()
    if not all(np.array_equal(each.truth, first.truth) for each in others):
        raise BadModel("the points were scored on different rows")
    return compare_with_best(said, scored[0]["metric"])


def _claim(scored: Sequence[Row], points: int, alike: Sequence[str], optimism: float | None, why: str) -> str:
    """Describe which point is best and how far that can be believed."""
    best, others = scored[0], len(scored) - 1
    known = best["low"] is not None
    reached = format_estimate(best["value"], best["low"], best["high"]) if known else format_value(best["value"])
    said = f"{best['run']} is best of {format_count(points, 'point')}: {best['metric']} {reached}."
    if not others:
        return said
    if optimism is None:
        return f"{said} The models were not compared on the same rows ({why}), so whether others are worse is unknown."
    worse = f"{len(alike)} of the {others} others cannot be told apart from it" if alike else "Every other is worse"
    worse = "No other can be told apart from it" if len(alike) == others else worse
    return (
        f"{said} {worse}, by a bootstrap on the same rows. Picked as the best, its value is flattered by about "
        f"{optimism:.2g}."
    )
