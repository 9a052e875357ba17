"""What an explanation tells: telling rows, the direction of effects, and what a model loses without a column."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance

from nbkit.model.explanation import Explanation, used_columns
from nbkit.model.outcome import prepare
from nbkit.model.search import Scorer
from nbkit.model.shapley import draw_rows
from nbkit.model.slices import cut_slices


def explain_rows(
    explanation: Explanation,
    X: pd.DataFrame,
    y: pd.Series,
    p: pd.Series | pd.DataFrame,
    *,
    task: str,
    positive: Any = None,
    threshold: float = 0.5,
    top: int = 6,
) -> pd.DataFrame:
    """Pick telling rows among those explained, and list what moved their predictions most.

    Parameters
    ----------
    explanation
        From `explain`.
    X, y, p
        Raw rows, truth and predictions, indexed alike.
    task, positive, threshold
        Of the problem.
    top
        Columns per row.

    Returns
    -------
    DataFrame
        Columns `case` ("true positive", "false positive", "false negative", "most uncertain"; for other tasks
        "confident and right" …, "most too high" …), `row` (index label), `truth`, `prediction`, `feature`, `value` (as
        text) and `contribution` (in the explanation's unit), the largest first.
    """
    values = explanation.values
    names = values.index[~values.index.duplicated()]
    names = names[names.isin(y.index[y.notna()])]
    rows = []
    for case, label, said, column in _pick_cases(y.loc[names], p.loc[names], task, positive, threshold):
        own = values.loc[[label]]
        own = own[own["class"] == str(column)].drop(columns="class") if task == "multiclass" else own
        moved = own.iloc[0].sort_values(key=lambda v: -v.abs(), kind="stable").head(top)
        rows += [
            (case, label, str(y.loc[label]), said, name, str(X.loc[label, name]), float(moved[name]))
            for name in moved.index
        ]
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
    model: Any,
    X: pd.DataFrame,
    y: pd.Series,
    *,
    metric: str,
    task: str,
    positive: Any = None,
    repeats: int = 5,
    rows: int = 5000,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure how much worse a model scores when one raw column is shuffled.

    Parameters
    ----------
    model
        A fitted pipeline from raw rows.
    X, y
        Rows it has not learned from, and their truth.
    metric, task, positive
        As in `nbkit.model.evaluate`.
    repeats, rows, seed
        Shuffles per column; rows used; for drawing.

    Returns
    -------
    DataFrame
        Columns `feature`, `drop` (in units of the metric; above 0 the column helps), `low`, `high` (least and most over
        the shuffles), `rank`; the most useful first.

    References
    ----------
    Breiman, L. (2001). Random forests. Machine Learning 45, 5-32.
    """
    known = y.notna().to_numpy()
    sample, truth = draw_rows(X.loc[known], rows, seed), draw_rows(y[known], rows, seed)
    used = used_columns(model, sample)
    scorer = Scorer(metric, task, positive)
    narrow = _Narrow(model, sample, used)
    found = permutation_importance(narrow, sample[used], truth, scoring=scorer, n_repeats=repeats, random_state=seed)
    drops = found.importances
    table = pd.DataFrame(
        {"feature": used, "drop": drops.mean(axis=1), "low": drops.min(axis=1), "high": drops.max(axis=1)}
    )
    table = table.sort_values("drop", ascending=False, kind="stable", ignore_index=True)
    return table.assign(rank=np.arange(1, len(table) + 1))


class _Narrow:
    """A fitted model asked with some columns only; the others stay as they were."""

    def __init__(self, model: Any, rows: pd.DataFrame, columns: list[str]) -> None:
        self.model, self.rows, self.columns = model, rows, columns
        self.classes_ = getattr(model, "classes_", None)

    def fit(self, *_: Any) -> Any:  # scikit-learn asks for it and never calls it
        return self

    def _wide(self, X: pd.DataFrame) -> pd.DataFrame:
        return self.rows.assign(**{name: X[name].to_numpy() for name in self.columns})

    def predict(self, X: pd.DataFrame) -> Any:
        return self.model.predict(self._wide(X))

    def predict_proba(self, X: pd.DataFrame) -> Any:
        return self.model.predict_proba(self._wide(X))


def _pick_cases(y: pd.Series, p: Any, task: str, positive: Any, threshold: float) -> list[tuple[str, Any, float, Any]]:
    """Return (case, row, prediction, class) of the telling rows."""
    outcome = prepare(y, p, task=task, positive=positive, threshold=threshold)
    if task == "regression":
        off = outcome.score - outcome.truth
        wanted = {"most too high": off, "most too low": -off, "typical": -np.abs(np.abs(off) - np.median(np.abs(off)))}
        every = np.ones(len(outcome), dtype=bool)
        masks = {name: (every, key) for name, key in wanted.items()}
    elif task == "binary":
        hit, said, sure = outcome.truth, outcome.label, np.abs(outcome.score - threshold)
        masks = {
            "true positive": (hit & said, sure),
            "false positive": (~hit & said, sure),
            "false negative": (hit & ~said, sure),
            "most uncertain": (np.ones(len(hit), dtype=bool), -sure),
        }
    else:
        right, top = outcome.label == outcome.truth, outcome.score.max(axis=1)
        masks = {
            "confident and right": (right, top),
            "confident and wrong": (~right, top),
            "most uncertain": (np.ones(len(top), dtype=bool), -top),
        }
    cases = []
    for name, (mask, key) in masks.items():
        if mask.any():
            place = int(np.argmax(np.where(mask, key, -np.inf)))
            said = outcome.score[place] if task != "multiclass" else outcome.score[place].max()
            column = outcome.classes[outcome.label[place]] if task == "multiclass" else ""
            cases.append((name, y.index[place], float(said), column))
    return cases
