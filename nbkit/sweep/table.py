"""One table over all points of a sweep, and what may be said of the best of them."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import pandas as pd

from nbkit.errors import BadModel, NbkitError
from nbkit.pipeline.manifest import read_status
from nbkit.project import read_manifest
from nbkit.run import read_scraps, read_value
from nbkit.sweep.plan import SCORES, Sweep
from nbkit.sweep.work import Answer
from nbkit.wording import say_count

if TYPE_CHECKING:
    from nbkit.model import Selection

FEATURES, VALID = "05_features", "valid"  # where the rows that judge are handed over
SCORED = ["metric", "value", "low", "high", "n", "better"]


@dataclass(frozen=True)
class Verdict:
    """What may be said of the best point.

    Attributes
    ----------
    table
        The rows of `tabulate_points`, the best first, with `difference` (by how much the best is better),
        `difference_low`, `difference_high`, `share` (of the resamples in which it is the best) and `verdict` ("best",
        "worse", "cannot tell"; empty without a score).
    best
        The run of the best point; empty if none has a score.
    alike
        The runs that cannot be told apart from it.
    optimism
        By how much its value is flattered by having been picked, in units of the metric; None if unknown.
    basis
        ``"paired"`` (bootstrap on the same rows) or ``"overlap"`` (of intervals).
    why
        Why it is not paired; empty if it is, or there is nothing to pair.
    claim
        All of it in sentences.
    """

    table: pd.DataFrame
    best: str = ""
    alike: tuple[str, ...] = ()
    optimism: float | None = None
    basis: str = "overlap"
    why: str = ""
    claim: str = ""


def tabulate_points(sweep: Sweep, answers: Mapping[str, Answer]) -> pd.DataFrame:
    """Read every point's run.

    Parameters
    ----------
    sweep
        The sweep.
    answers
        Name of a run to what its worker said, for those that were worked on.

    Returns
    -------
    DataFrame
        point (counted from 1), run, one column a varied parameter, metric, value, low, high, n, better, status, seconds
        (of the stages that the point ran itself), headline (or what went wrong).
    """
    rows = [read_point(sweep, number, answers) for number in range(1, len(sweep.points) + 1)]
    columns = ["point", "run", *sweep.points[0], *SCORED, "status", "seconds", "headline"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype(dict.fromkeys(("value", "low", "high", "seconds"), float))


def read_point(sweep: Sweep, number: int, answers: Mapping[str, Answer]) -> dict[str, Any]:
    """Read the row of one point, counted from 1."""
    name = sweep.name_point(number)
    folder = sweep.find_run(number)
    manifest = read_manifest(folder)
    entries = manifest.get("stages", [])
    error = answers.get(name, {}).get("error", "")
    status = "failed" if error else read_status(folder, manifest) or "pending"
    said = [entry.get("headline") or entry.get("message") for entry in entries if entry["status"] != "pending"]
    own = [entry.get("seconds") or 0.0 for entry in entries if not entry.get("borrowed")]
    row = {"point": number, "run": name, **sweep.points[number - 1], "status": status, "seconds": sum(own)}
    row["headline"] = error or next((text for text in reversed(said) if text), "")
    if status == "passed":
        try:
            row |= read_score(folder, sweep.judge, sweep.metric)
        except (NbkitError, OSError, KeyError, ValueError) as problem:
            row |= {"status": "failed", "headline": f"its scores cannot be read: {problem}"}
    return row


def find_best(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the row with the best value so far; empty if none has one.

    Examples
    --------
    >>> find_best([{"value": 2.0, "better": "lower"}, {}, {"value": 1.0, "better": "lower"}])["value"]
    1.0
    """
    known = [row for row in rows if row.get("value") is not None and not math.isnan(row["value"])]
    return max(known, key=lambda row: turn_value(row["value"], row["better"]), default={})


def turn_value(value: Any, better: str) -> Any:
    """Turn a value, or a column of them, so that the higher is the better."""
    return value if better == "higher" else -abs(value) if better == "zero" else -value


def read_score(folder: Path, stage: str, metric: str = "") -> dict[str, Any]:
    """Read the score that a run is judged by: of the candidate that goes on, in the metric that chose it.

    Parameters
    ----------
    folder
        The run.
    stage
        Which hands over `scores`, and where there are several candidates, `best`; and the name of its `metric`.
    metric
        Another one of the scores.

    Raises
    ------
    MissingScrap, KeyError
        If there is no such score.
    """
    scores = read_value(folder, stage, SCORES)
    scores = scores.reset_index() if scores.index.name else scores
    if "candidate" in scores:
        scores = scores[scores["candidate"] == read_value(folder, stage, "best")]
    chosen = metric or read_value(folder, stage, "metric")
    rows = scores[scores["metric"] == chosen]
    if rows.empty:
        raise KeyError(f"{stage} has no score {chosen!r}; it has {', '.join(scores['metric'].unique())}")
    return {name: rows.iloc[0].get(name) for name in SCORED}


def judge_points(sweep: Sweep, table: pd.DataFrame, *, quick: bool = False) -> Verdict:
    """Sort the points, name the best, and say how sure that is.

    Parameters
    ----------
    sweep
        The sweep.
    table
        From `tabulate_points`.
    quick
        Compare intervals only, without loading models.
    """
    scored = table[table["value"].notna()]
    if scored.empty:
        extra = dict.fromkeys(("difference", "difference_low", "difference_high", "share"), float("nan"))
        return Verdict(table.assign(**extra, verdict=""), claim="No point has a score.")
    selection, why = None, "the sweep was stopped" if quick else ""
    if not quick and len(scored) > 1:
        try:
            selection = compare_models(sweep, scored)
        except (NbkitError, OSError, KeyError, ValueError, TypeError) as error:
            why = str(error) or type(error).__name__
    judged = _pair(scored, selection) if selection else _overlap(scored, str(scored["better"].iloc[0]))
    whole = pd.concat([judged, table[table["value"].isna()].assign(verdict="")], ignore_index=True)
    verdict = Verdict(
        table=whole,
        best=str(judged["run"].iloc[0]),
        alike=tuple(judged.loc[judged["verdict"] == "cannot tell", "run"]),
        optimism=selection.optimism if selection else None,
        basis="paired" if selection else "overlap",
        why=why,
    )
    return replace(verdict, claim=explain_best(verdict, judged, len(sweep.points)))


def compare_models(sweep: Sweep, scored: pd.DataFrame) -> "Selection":
    """Compare the models of the points on the rows that all of them were scored on.

    Parameters
    ----------
    sweep
        The sweep.
    scored
        The points that have a score.

    Raises
    ------
    NbkitError, OSError, KeyError, ValueError
        If a point hands over no model or no rows, or points were scored on other rows than others.
    """
    from nbkit.model import compare_with_best, mark_blocks, predict

    said: dict[str, Any] = {}
    rows: dict[str, pd.DataFrame] = {}  # read once where points share them
    for run, number in zip(scored["run"], scored["point"], strict=True):
        folder = sweep.find_run(number)
        if not (folder / f"{FEATURES}.ipynb").is_file():
            raise BadModel(f"there is no {FEATURES}, whose {VALID!r} would hold them")
        given = read_manifest(folder)["parameters"][sweep.judge]
        target, task, positive = (given[name] for name in ("target", "task", "positive"))
        key = json.dumps(read_scraps(folder / f"{FEATURES}.ipynb").get(VALID))
        if key not in rows:
            valid = read_value(folder, FEATURES, VALID)
            rows[key] = valid[valid[target].notna()].reset_index(drop=True)
        said[run] = predict(read_value(folder, sweep.judge, "model"), rows[key].drop(columns=target), task, positive)
    first, *others = [valid[target] for valid in rows.values()]
    if not all(other.equals(first) for other in others):
        raise BadModel("the points were scored on different rows")
    blocks = mark_blocks(
        valid, time=given.get("time", ""), group=given.get("group", ""), every=given.get("block", "row")
    )
    metric = str(scored["metric"].iloc[0])
    return compare_with_best(first, said, metric, task=task, positive=positive, groups=blocks)


def _pair(scored: pd.DataFrame, selection: "Selection") -> pd.DataFrame:
    found = selection.table[["difference", "low", "high", "share", "verdict"]]
    found = found.rename(columns={"low": "difference_low", "high": "difference_high"})
    joined: pd.DataFrame = found.join(scored.set_index("run")).rename_axis("run").reset_index()
    return joined.reindex(columns=[*scored.columns, *found.columns])


def _overlap(scored: pd.DataFrame, better: str) -> pd.DataFrame:
    """Call worse what is farther from the best than chance explains among so many points, by their intervals."""
    turned = turn_value(scored["value"], better)
    judged = scored.assign(difference=turned.max() - turned).sort_values("difference", kind="stable")
    pairs = len(judged) * (len(judged) - 1) / 2
    error = (judged["high"] - judged["low"]) / (2 * NormalDist().inv_cdf(0.975))
    limit = NormalDist().inv_cdf(1 - 0.025 / max(pairs, 1)) * (error**2 + error.iloc[0] ** 2) ** 0.5
    verdict = (judged["difference"] > limit).map({False: "cannot tell", True: "worse"})
    verdict.iloc[0] = "best"
    unknown = dict.fromkeys(("difference_low", "difference_high", "share"), float("nan"))
    return judged.assign(**unknown, verdict=verdict)


def explain_best(verdict: Verdict, judged: pd.DataFrame, points: int) -> str:
    """Say which point is best and how far that can be believed.

    Parameters
    ----------
    verdict
        What was found.
    judged
        The points that have a score, the best first.
    points
        How many there are in all.
    """
    row, others, alike = judged.iloc[0], len(judged) - 1, len(verdict.alike)
    limits = "too few to say how sure" if math.isnan(row["low"]) else f"{row['low']:.4g} to {row['high']:.4g}"
    value = f"{row['metric']} {row['value']:.4g} ({limits})"
    said = f"{verdict.best} is best of {say_count(points, 'point')}: {value}."
    if not others:
        return said
    how = "by a bootstrap on the same rows" if verdict.basis == "paired" else "by their intervals"
    if alike == others:
        said += f" No other point can be told apart from it, {how}."
    elif alike:
        said += f" {alike} of the {others} others cannot be told apart from it, {how}."
    elif verdict.basis == "paired":
        said += " Every other point is worse, by a bootstrap on the same rows."
    else:
        said += " Every other point is worse, by its interval."
    if verdict.optimism is None:
        return (
            f"{said} Picked as the best of many, its value is flattered; rows that did not pick it will say how much."
        )
    return f"{said} Picked as the best, its value is flattered by about {verdict.optimism:.2g}."
