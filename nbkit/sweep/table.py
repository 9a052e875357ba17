"""One table over all points of a sweep, and what may be said of the best of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from nbkit.errors import NbkitError
from nbkit.pipeline.manifest import read_status
from nbkit.project import read_manifest
from nbkit.run import read_value
from nbkit.sweep.plan import SCORES, Sweep
from nbkit.sweep.work import Answer
from nbkit.wording import say_count

if TYPE_CHECKING:
    from nbkit.model import Selection

FEATURES = "05_features"  # where the rows that judge are handed over, as `valid`
SCORED = ["metric", "value", "low", "high", "n", "better"]


@dataclass(frozen=True)
class Verdict:
    """What may be said of the best point.

    Attributes
    ----------
    table
        The rows of `tabulate_points`, the best first, with `difference` (by how much the best is better),
        `difference_low`, `difference_high` and `verdict` ("best", "worse", "cannot tell"; empty without a score).
    best
        The run of the best point; empty if none has a score.
    alike
        The runs that cannot be told apart from it.
    optimism
        By how much its value is flattered by having been picked, in units of the metric; None if unknown.
    basis
        ``"paired"`` (bootstrap on the same rows) or ``"overlap"`` (of intervals).
    claim
        All of it in sentences.
    """

    table: pd.DataFrame
    best: str = ""
    alike: tuple[str, ...] = ()
    optimism: float | None = None
    basis: str = "overlap"
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
    folder = sweep.root / "runs" / name
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
        extra = dict.fromkeys(("difference", "difference_low", "difference_high"), float("nan"))
        return Verdict(table.assign(**extra, verdict=""), claim="No point has a score.")
    better = str(scored["better"].iloc[0])
    selection = None if quick or len(scored) < 2 else compare_models(sweep, scored)
    if selection is None:
        judged, best, optimism, basis = _overlap(scored, better), "", None, "overlap"
        best = str(judged["run"].iloc[0])
    else:
        judged, best, optimism, basis = _pair(scored, selection), selection.best, selection.optimism, "paired"
    whole = pd.concat([judged, table[table["value"].isna()].assign(verdict="")], ignore_index=True)
    alike = tuple(judged.loc[judged["verdict"] == "cannot tell", "run"])
    claim = explain_best(judged, best, alike, optimism, basis, len(sweep.points))
    return Verdict(whole, best, alike, optimism, basis, claim)


def compare_models(sweep: Sweep, scored: pd.DataFrame) -> "Selection | None":
    """Compare the models of the points on the rows that all of them were scored on; None if that cannot be done."""
    from nbkit.model import compare_with_best, mark_blocks, predict

    truths, said, given = [], {}, {}
    try:
        for run in scored["run"]:
            folder = sweep.root / "runs" / run
            given = read_manifest(folder)["parameters"][sweep.judge]
            target, task, positive = given["target"], given["task"], given.get("positive")
            valid = read_value(folder, FEATURES, "valid")
            valid = valid[valid[target].notna()]
            said[run] = predict(read_value(folder, sweep.judge, "model"), valid.drop(columns=target), task, positive)
            truths.append(valid[target].reset_index(drop=True))
        if not all(truth.equals(truths[0]) for truth in truths):
            return None
        blocks = {"time": given.get("time", ""), "group": given.get("group", ""), "every": given.get("block", "row")}
        facts = {
            "task": task,
            "positive": positive,
            "seed": given.get("seed", 0),
            "groups": mark_blocks(valid, **blocks),
        }
        return compare_with_best(valid[target], said, str(scored["metric"].iloc[0]), **facts)
    except (NbkitError, OSError, KeyError, ValueError, TypeError):
        return None


def _pair(scored: pd.DataFrame, selection: "Selection") -> pd.DataFrame:
    found = selection.table[["difference", "low", "high", "verdict"]]
    found = found.rename(columns={"low": "difference_low", "high": "difference_high"})
    joined: pd.DataFrame = found.join(scored.set_index("run")).rename_axis("run").reset_index()
    return joined.reindex(columns=[*scored.columns, *found.columns])


def _overlap(scored: pd.DataFrame, better: str) -> pd.DataFrame:
    """Call alike what has an interval that meets the best one's: two that do not meet differ, two that do may."""
    turned = turn_value(scored["value"], better)
    judged = scored.assign(difference=turned.max() - turned).sort_values("difference", kind="stable")
    top = judged.iloc[0]
    meets = (judged["low"] <= top["high"]) & (judged["high"] >= top["low"]) | judged[["low", "high"]].isna().any(axis=1)
    verdict = meets.map({True: "cannot tell", False: "worse"})
    verdict.iloc[0] = "best"
    return judged.assign(difference_low=float("nan"), difference_high=float("nan"), verdict=verdict)


def explain_best(
    judged: pd.DataFrame, best: str, alike: tuple[str, ...], optimism: float | None, basis: str, points: int
) -> str:
    """Say which point is best and how far that can be believed.

    Parameters
    ----------
    judged
        The points that have a score.
    best, alike, optimism, basis
        As in `Verdict`.
    points
        How many there are in all.
    """
    row = judged.set_index("run").loc[best]
    said = [
        f"{best} is best of {say_count(points, 'point')}: {row['metric']} {row['value']:.4g} "
        f"({row['low']:.4g} to {row['high']:.4g})."
    ]
    if len(judged) < 2:
        return said[0]
    how = "by a bootstrap on the same rows" if basis == "paired" else "as their intervals overlap"
    others = len(judged) - 1
    if alike:
        said.append(f"{len(alike)} of the {say_count(others, 'other')} cannot be told apart from it, {how}.")
    elif basis == "paired":
        said.append("Every other point is worse, by a bootstrap on the same rows.")
    else:
        said.append("No other interval meets its own.")
    if optimism:
        said.append(f"Picked as the best, its value is flattered by about {optimism:.2g}.")
    else:
        said.append(
            "Picked as the best of many, its value is flattered; the test rows, not read here, will say by how much."
        )
    return " ".join(said)
