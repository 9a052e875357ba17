"""Influence beside usefulness: what a model loses without a column, and why a column that moves it may not help."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from nbkit.columns import column_kind
from nbkit.explanation.attribution import Explanation
from nbkit.explanation.served import ask_together
from nbkit.lineage import encode_rows, read_columns
from nbkit.model.metrics import find_metric
from nbkit.model.predictions import Predictions, predict, predict_values
from nbkit.model.train import draw_rows
from nbkit.model.uncertainty import find_freedom, find_lack
from nbkit.problem import Problem
from nbkit.stats import Array, bootstrap, t_quantile

NOTABLE, ALIKE, OUTSIDE = 0.02, 0.7, 0.5  # share of influence; rank correlation; share of rows out of train's range
LEFT = 0.25  # the share of what a column is worth in train of which less is left on new rows
DRAWS = 200


def permute_features(
    model: Any,
    rows: pd.DataFrame,
    problem: Problem,
    *,
    columns: Sequence[Sequence[str]] | None = None,
    repeats: int = 2,
    limit: int = 2000,
) -> pd.DataFrame:
    """Measure how much worse a model scores when columns are shuffled.

    Parameters
    ----------
    model
        A fitted pipeline from raw rows.
    rows
        Rows with the target.
    problem
        What is predicted; its metric is measured.
    columns
        What is shuffled together, one list a line of the result; each column that the model reads if None.
    repeats
        Shuffles of each.
    limit
        So many rows are drawn if there are more.

    Returns
    -------
    DataFrame
        Columns `feature` (names joined by commas), `drop` (in units of the metric; above 0 it helps), `low`, `high`
        (95 %; NaN where rows are too few), `rank`; the most useful first. An interval counts rows and blocks of alike
        rows, as each is resampled together with its shuffled values.

    References
    ----------
    Breiman, L. (2001). Random forests. Machine Learning 45, 5-32.
    """
    rows = draw_rows(rows[rows[problem.target].notna()], limit, problem.seed)
    sets = [[name] for name in read_columns(model, problem.features(rows))] if columns is None else list(columns)
    said, metric = predict(model, rows, problem), find_metric(problem.metric, problem.task)
    rng = np.random.default_rng(problem.seed)
    orders = [(names, rng.permutation(len(rows))) for names in sets for _ in range(repeats)]
    changed = (rows.assign(**{name: rows[name].array[order] for name in names}) for names, order in orders)
    answers = ask_together(lambda other: predict_values(model, problem.features(other), problem), changed, len(rows))
    asked = [Predictions.align(rows[problem.target], each.set_axis(rows.index), problem) for each in answers]
    found = _bound([metric.function(each) for each in (said, *asked)], repeats, metric, said) if sets else []
    table = pd.DataFrame(found, columns=["drop", "low", "high"])
    table.insert(0, "feature", [", ".join(names) for names in sets])
    ranks = np.arange(1, len(table) + 1)
    return table.sort_values("drop", ascending=False, kind="stable", ignore_index=True).assign(rank=ranks)


def pair_influence(
    explanation: Explanation,
    permuted: pd.DataFrame,
    model: Any,
    train: pd.DataFrame,
    problem: Problem,
    *,
    limit: int = 2000,
) -> pd.DataFrame:
    """Lay influence beside usefulness, and name a reason where a column moves predictions and is not shown to help.

    Parameters
    ----------
    explanation, permuted
        Of new rows, from `explain` and `permute_features`.
    model
        The fitted pipeline.
    train
        The rows that it learned from, with the target.
    problem
        What is predicted.
    limit
        So many rows of train are drawn if there are more.

    Returns
    -------
    DataFrame
        Columns `feature`, `share`, `share_low`, `share_high` (of all movement), `drop`, `low`, `high`, `finding`:
        "helps" (the whole interval is above 0), "hurts on new rows" (below 0), "out of the training range", "useful
        only in train" (for certain there, and less than a quarter of it is left), "stands in for another column",
        "little influence",
        or "inconclusive"; and `detail`, with numbers.
    """
    table = explanation.importance.assign(scale=lambda t: t["share"] / t["mean_abs"].where(t["mean_abs"] > 0))
    table = table.assign(share_low=table["low"] * table["scale"], share_high=table["high"] * table["scale"])
    table = table[["feature", "share", "share_low", "share_high"]].merge(permuted.drop(columns="rank"), on="feature")
    helps, hurts, little = table["low"] > 0, table["high"] < 0, table["share"] < NOTABLE
    words = ["helps", "hurts on new rows", "little influence"]
    table["finding"] = np.select([helps, hurts, little], words, "inconclusive")
    names, alike = table.loc[table["finding"] == "inconclusive", "feature"].tolist(), find_alike(explanation, model)
    told: Any = {"columns": [[name] for name in names], "repeats": 1, "limit": limit}
    inside = permute_features(model, train, problem, **told).set_index("feature")
    outside = _find_outside(explanation, model, problem.features(train), names)
    reasons = [_find_reason(row, outside, alike, inside) for row in table.itertuples()]
    return table.drop(columns="finding").join(pd.DataFrame(reasons, columns=["finding", "detail"]))


def group_correlated(explanation: Explanation, permuted_with: Any, **shuffled: int) -> pd.DataFrame:
    """Take correlated columns together: what a group moves, and what the model loses without all of it.

    Parameters
    ----------
    explanation
        From `explain`.
    permuted_with
        Model, rows and problem, as `permute_features` takes them.
    **shuffled
        Its `repeats` and `limit`.

    Returns
    -------
    DataFrame
        One row a group of columns whose rank correlation is 0.7 or more on average: `feature` (names joined by
        commas), `share` (of all movement, of the summed values), `drop`, `low`, `high`. Categories are ranked by what
        they move. Empty where no columns are correlated.
    """
    alike = find_alike(explanation, permuted_with[0])
    if len(alike) < 2:
        return pd.DataFrame(columns=["feature", "share", "drop", "low", "high"])
    far = squareform(1 - alike.to_numpy(), checks=False)
    label = fcluster(linkage(far, "average"), 1 - ALIKE, "distance")
    groups = [list(part.index) for _, part in alike.groupby(label, sort=False) if len(part) > 1]
    values = explanation.values.drop(columns="class", errors="ignore")
    whole = max(float(values.abs().mean().sum()), 1e-12)
    share = {", ".join(names): float(values[names].sum(axis=1).abs().mean()) / whole for names in groups}
    model, rows, problem = permuted_with
    table = permute_features(model, rows, problem, columns=groups, **shuffled).drop(columns="rank")
    table.insert(1, "share", table["feature"].map(share).astype(float))
    return table.sort_values("share", ascending=False, kind="stable", ignore_index=True)


def find_alike(explanation: Explanation, model: Any) -> pd.DataFrame:
    """Return the sizes of rank correlations between the raw columns.

    Categories are ranked by what they move, a moment by that of its parts which moves most.
    """
    parts = split_moments(explanation)
    made = encode_rows(model, explanation.data) if parts else pd.DataFrame()
    values = explanation.values.drop(columns="class", errors="ignore")
    values = values[~values.index.duplicated()]
    ranks = {}
    for name in values.columns:
        strongest = str(parts[name].idxmax()) if name in parts else ""
        column = made[strongest] if strongest in made else explanation.data[name]
        levels = values[name].groupby(column.astype(str))
        ranks[name] = column.astype(float) if column_kind(column) == "number" else levels.transform("mean")
    table = pd.DataFrame(ranks).rank().corr().abs().fillna(0.0)
    np.fill_diagonal(values_ := table.to_numpy(copy=True), 1.0)
    return pd.DataFrame(values_, table.index, table.columns)


def _bound(asked: list[Any], repeats: int, metric: Any, said: Any) -> list[tuple[float, float, float]]:
    """Return the mean loss over the shuffles of each set, with an interval over resampled rows, the same for all."""

    def lose(w: Array) -> Array:
        base, *others = (metric.turn(each(w)) for each in asked)
        return np.asarray(base - np.reshape(others, (-1, repeats, len(w))).mean(axis=1)).T

    drawn = bootstrap({"d": lose}, len(said), draws=DRAWS, seed=said.problem.seed, groups=said.blocks)["d"]
    values, found = lose(np.ones((1, len(said))))[0], []
    for value, own in zip(values, drawn.T.reshape(len(values), -1), strict=True):
        known = own[np.isfinite(own)]
        lacking = find_lack(metric.name, said) or len(known) < DRAWS / 2
        half = np.nan if lacking else t_quantile(find_freedom(said)) * float(known.std(ddof=1))
        found.append((float(value), float(value) - half, float(value) + half))
    return found


def split_moments(explanation: Explanation) -> dict[str, "pd.Series[Any]"]:
    """Return, of each column of moments, the columns that the recipe makes of it, and what share each moves."""
    made = explanation.engineered.assign(source=lambda t: t["sources"].astype("str").str.split(", ")).explode("source")
    times = [str(name) for name, column in explanation.data.items() if column.dtype.kind in "mM"]
    moved = {name: made[made["source"] == name].set_index("feature")["mean_abs"] for name in times}
    return {name: own / own.sum() for name, own in moved.items() if own.sum() > 0}


def _find_outside(
    explanation: Explanation, model: Any, train: pd.DataFrame, names: Sequence[str]
) -> dict[str, tuple[float, str]]:
    """Return which share of each column is outside of what train had, and a sentence.

    Of a moment its parts are judged, each by its share of what they move: every new moment is after train.
    """
    parts, data, found = split_moments(explanation), explanation.data, {}
    new, old = (encode_rows(model, rows) if set(parts) & set(names) else pd.DataFrame() for rows in (data, train))
    for name in names:
        out, what = _count_outside(data[name], train[name]), ""
        if name in parts and set(parts[name].index) <= set(new.columns):
            outs = parts[name] * [_count_outside(new[part], old[part]) for part in parts[name].index]
            out, what = float(outs.sum()), f"{outs.idxmax()}, made of it: "
        found[name] = out, f"{what}{out:.0%} of the new rows have values that train never had"
    return found


def _find_reason(row: Any, outside: dict[str, Any], alike: pd.DataFrame, inside: pd.DataFrame) -> tuple[str, str]:
    """Name why a column that moves predictions is not shown to help on new rows."""
    name = row.feature
    if row.finding != "inconclusive":
        return row.finding, ""
    if outside[name][0] >= OUTSIDE:
        return "out of the training range", outside[name][1]
    learned = inside.loc[name]
    if learned["low"] > 0 and row.high < LEFT * learned["drop"]:
        return "useful only in train", f"worth {learned['drop']:.2g} in train, at most {row.high:.2g} on new rows"
    others = alike[name].drop(name)
    if len(others) and others.max() >= ALIKE:
        return "stands in for another column", f"correlated with {others.idxmax()} ({others.max():.2f})"
    return "inconclusive", "the rows cannot tell whether it helps"


def _count_outside(new: "pd.Series[Any]", old: "pd.Series[Any]") -> float:
    """Return the share of values that lie outside of the range, or the levels, of others."""
    known = new.dropna()
    if not len(known) or not old.notna().any():
        return 0.0
    if pd.api.types.is_numeric_dtype(old) or pd.api.types.is_datetime64_any_dtype(old):
        return float(((known < old.min()) | (known > old.max())).mean())
    return float((~known.isin(old.unique())).mean())
