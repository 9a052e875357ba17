"""What an explanation tells: telling rows, the direction of effects, and what a model loses without a column."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from nbkit.explanation.attribution import Explanation
from nbkit.lineage import read_columns
from nbkit.model.predictions import Predictions
from nbkit.model.search import Scorer
from nbkit.model.train import draw_rows
from nbkit.problem import Problem
from nbkit.slicing import cut_slices


def explain_rows(explanation: Explanation, predictions: Predictions, *, top: int = 6) -> pd.DataFrame:
    """Pick telling rows among those explained, and list what moved their predictions most.

    Parameters
    ----------
    explanation
        From `explain`.
    predictions
        With the raw rows.
    top
        Columns per row.

    Returns
    -------
    DataFrame
        Columns `case` ("true positive", "false positive", "false negative", "most uncertain"; for other tasks
        "confident and right" …, "most too high" …), `row` (index label), `truth`, `prediction`, `feature`, `value` (as
        text) and `contribution` (in the explanation's unit), the largest first.
    """
    values, o = explanation.values, predictions
    places = pd.Series(np.arange(len(o)), index=o.index)
    names = values.index[~values.index.duplicated()]
    told = o.take(places.loc[names[names.isin(o.index)]].to_numpy())
    raw = pd.DataFrame() if told.rows is None else told.rows
    rows = []
    for case, place, said, column in _pick_cases(told):
        own = values.loc[[told.index[place]]]
        own = own[own["class"] == str(column)].drop(columns="class") if o.task == "multiclass" else own
        moved = own.iloc[0].sort_values(key=lambda v: -v.abs(), kind="stable").head(top)
        facts = (case, told.index[place], str(raw[o.problem.target].iloc[place]), said)
        rows += [(*facts, name, str(raw[name].iloc[place]), float(moved[name])) for name in moved.index]
    columns = ["case", "row", "truth", "prediction", "feature", "value", "contribution"]
    return pd.DataFrame(rows, columns=columns)


def measure_effects(explanation: Explanation, X: pd.DataFrame, *, features: int = 6, bins: int = 10) -> pd.DataFrame:
    """Average what a column does over its range: the direction of its effect.

    Parameters
    ----------
    explanation
        From `explain`.
    X
        The raw rows, with the same index.
    features
        So many columns, the most important first.
    bins
        Of a number.

    Returns
    -------
    DataFrame
        Columns `feature`, `slice`, `n`, `effect` (mean, in the explanation's unit) and, for multi-class, `class`.
    """
    parts = []
    keys = ["class", "slice"] if "class" in explanation.values else ["slice"]
    names = explanation.values.index
    rows = X[~X.index.duplicated()].loc[names[~names.duplicated()]]
    for name in explanation.importance["feature"].head(features):
        labels = cut_slices(rows[name], bins=bins)
        table = explanation.values[[*keys[:-1], name]].rename(columns={name: "effect"})
        table = table.assign(slice=labels.reindex(table.index).to_numpy())
        table["slice"] = pd.Categorical(table["slice"], categories=labels.cat.categories)
        grouped = table.groupby(keys, observed=True)["effect"].agg(n="size", effect="mean").reset_index()
        parts.append(grouped.assign(feature=name, slice=grouped["slice"].astype(str)))
    table = pd.concat(parts, ignore_index=True)
    return table[["feature", "slice", "n", "effect", *keys[:-1]]]


def permute_features(
    model: Any, rows: pd.DataFrame, problem: Problem, *, repeats: int = 5, limit: int = 5000
) -> pd.DataFrame:
    """Measure how much worse a model scores when one raw column is shuffled.

    Parameters
    ----------
    model
        A fitted pipeline from raw rows.
    rows
        Rows that it has not learned from, with the target.
    problem
        What is predicted; its metric is measured.
    repeats
        Shuffles per column.
    limit
        So many rows are drawn if there are more.

    Returns
    -------
    DataFrame
        Columns `feature`, `drop` (in units of the metric; above 0 the column helps), `low`, `high` (least and most over
        the shuffles), `rank`; the most useful first.

    References
    ----------
    Breiman, L. (2001). Random forests. Machine Learning 45, 5-32.
    """
    seed = problem.seed
    X, y = problem.separate(draw_rows(rows[rows[problem.target].notna()], limit, seed))
    used = read_columns(model, X)
    widen = FunctionTransformer(lambda part: X.assign(**{name: part[name].to_numpy() for name in used}))
    narrow = Pipeline([("widen", widen), ("model", model)])  # asked with some columns only
    found = permutation_importance(narrow, X[used], y, scoring=Scorer(problem), n_repeats=repeats, random_state=seed)
    drops = found.importances
    limits = {"low": drops.min(axis=1), "high": drops.max(axis=1)}
    table = pd.DataFrame({"feature": used, "drop": drops.mean(axis=1), **limits})
    table = table.sort_values("drop", ascending=False, kind="stable", ignore_index=True)
    return table.assign(rank=np.arange(1, len(table) + 1))


def _pick_cases(o: Predictions) -> list[tuple[str, int, float, Any]]:
    """Return (case, place, prediction, class) of the telling rows."""
    every = np.ones(len(o), dtype=bool)
    if o.task == "regression":
        off = o.score - o.truth
        wanted = {"most too high": off, "most too low": -off, "typical": -np.abs(np.abs(off) - np.median(np.abs(off)))}
        masks = {name: (every, key) for name, key in wanted.items()}
    elif o.task == "binary":
        hit, said, sure = o.truth, o.label, np.abs(o.score - o.threshold)
        masks = {"true positive": (hit & said, sure), "false positive": (~hit & said, sure)}
        masks |= {"false negative": (hit & ~said, sure), "most uncertain": (every, -sure)}
    else:
        right, top = o.label == o.truth, o.score.max(axis=1)
        masks = {"confident and right": (right, top), "confident and wrong": (~right, top)}
        masks["most uncertain"] = every, -top
    cases = []
    for name, (mask, key) in masks.items():
        if mask.any():
            place = int(np.argmax(np.where(mask, key, -np.inf)))
            said = o.score[place] if o.task != "multiclass" else o.score[place].max()
            column = o.classes[o.label[place]] if o.task == "multiclass" else ""
            cases.append((name, place, float(said), column))
    return cases
