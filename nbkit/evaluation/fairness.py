"""What treating groups alike would take: whether features give a group away, and what equal rates cost."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from nbkit.evaluation.costs import compare_costs
from nbkit.evaluation.errors import encode, split_rows
from nbkit.evaluation.words import describe_guess, describe_price
from nbkit.model.costs import price_rows
from nbkit.model.metrics import score
from nbkit.model.predictions import Predictions
from nbkit.problem import Problem
from nbkit.slicing import cut_slices
from nbkit.stats import Array

GRID = 41  # rates and thresholds that are tried
SAMPLE = 10_000  # rows that the guesser learns from
SINGLE = "one threshold"


def guess_groups(
    predictions: Predictions, protected: Sequence[str], columns: Sequence[str], *, min_rows: int = 100
) -> pd.DataFrame:
    """Measure whether the features give a protected column away: then leaving it out blinds nobody.

    Parameters
    ----------
    predictions
        With the raw rows.
    protected
        Columns to be guessed, each from all of `columns` but itself.
    columns
        What the model sees.
    min_rows
        Groups with fewer rows are left out.

    Returns
    -------
    DataFrame
        `column`, `roc_auc` (of a small boosted model on rows that it was not fitted on, averaged over groups) with
        `low`, `high`, `n` and `sentence`; NaN where fewer than two groups have enough rows.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows = []
    for name in protected:
        labels = np.asarray(cut_slices(predictions.column(name, "to guess")).astype(object))
        levels = [str(level) for level, n in pd.Series(labels).value_counts().items() if n >= 2 * min_rows]
        o, labels = predictions.take(kept := np.flatnonzero(np.isin(labels, levels))), labels[kept]
        X, names = encode(o, [each for each in columns if each != name])
        fitted, seen = split_rows(o), pd.Series({"value": np.nan, "low": np.nan, "high": np.nan, "n": 0})
        if len(levels) > 1 and names:
            some = np.flatnonzero(fitted)[:: -(-int(fitted.sum()) // SAMPLE)]
            small = HistGradientBoostingClassifier(max_iter=40, max_leaf_nodes=15, random_state=o.problem.seed)
            small.fit(X[some], labels[some])
            said = pd.DataFrame(small.predict_proba(X[~fitted]), columns=small.classes_)
            blocks = None if o.blocks is None else o.blocks[~fitted]
            asked = Problem("group", "multiclass", seed=o.problem.seed)
            seen = score(Predictions.align(labels[~fitted], said, asked, blocks=blocks), "roc_auc", draws=1).iloc[0]
        found = (seen["value"], seen["low"], seen["high"])
        rows.append((name, *found, int(seen["n"]), describe_guess(name, *found)))
    return pd.DataFrame(rows, columns=["column", "roc_auc", "low", "high", "n", "sentence"])


def price_equal_rates(
    chosen_on: Predictions, predictions: Predictions, protected: Sequence[str], costs: Mapping[str, Any],
    tolerance: Sequence[float] = (0.8, 1.25), *, currency: str = "units",
) -> pd.DataFrame:  # fmt: skip
    """Price one remedy: thresholds by group that bring a rate within the tolerance.

    Parameters
    ----------
    chosen_on
        Rows on which the thresholds are chosen (valid), at the single threshold.
    predictions
        Rows on which they are priced (test), at the same threshold.
    protected, costs, tolerance, currency
        As in `judge_groups` and `price_rows`. Groups with fewer than 50 rows keep the single threshold.

    Returns
    -------
    DataFrame
        One row a column and rate (selection_rate, true_positive_rate): `column`, `rate`, `thresholds` (group to
        threshold, as text), `before`, `after` (the ratio highest / lowest on `predictions`), `extra` (what a row costs
        more than with one threshold) with `low`, `high` (95 %, paired), `n` and `sentence`. No row unless binary.

    Notes
    -----
    For each level of the rate, every group takes the threshold that costs least among those whose rate lies between
    the level and the level times the limit; the cheapest level is taken. The limits are met on the rows of the choice
    and need not be on others: `after` says what came.

    References
    ----------
    Hardt, M., Price, E. and Srebro, N. (2016). Equality of opportunity in supervised learning. NeurIPS 29.
    """
    limit, rows = min(float(tolerance[1]), 1 / float(tolerance[0])), []
    binary = predictions.task == "binary"
    for name in protected if binary else ():
        groups = [np.asarray(cut_slices(o.column(name, "to price")).astype(object)) for o in (chosen_on, predictions)]
        for rate in ("selection_rate", "true_positive_rate"):
            cuts = _choose(chosen_on, groups[0], costs, limit, of_cases=rate == "true_positive_rate")
            if len(cuts) < 2:
                continue
            level = pd.Series(groups[1]).map(cuts).fillna(predictions.threshold).to_numpy()
            after = replace(predictions, label=predictions.score >= level)
            spreads = [_spread(o, groups[1], cuts, of_cases=rate == "true_positive_rate") for o in (predictions, after)]
            extra = compare_costs(after, {SINGLE: predictions}, costs).to_dict("index")[SINGLE]
            paid = float(extra["difference"]), float(extra["low"]), float(extra["high"])
            text = ", ".join(f"{group} {cut:.2g}" for group, cut in cuts.items())
            words = describe_price(name, rate, spreads, paid, currency)
            rows.append((name, rate, text, *spreads, *paid, len(predictions), words))
    columns = ["column", "rate", "thresholds", "before", "after", "extra", "low", "high", "n", "sentence"]
    return pd.DataFrame(rows, columns=columns)


def _choose(
    o: Predictions, groups: Array, costs: Mapping[str, Any], limit: float, *, of_cases: bool
) -> dict[str, float]:
    """Return group to threshold: the cheapest thresholds whose rates are within the limit of each other."""
    names = [str(name) for name, n in pd.Series(groups).value_counts().items() if n >= 50]
    levels = np.quantile(o.score, np.linspace(0, 1, 5 * GRID))
    table = {}
    for name in sorted(names):
        part = o.take(np.flatnonzero(groups == name))
        among = part.truth.astype(bool) if of_cases else np.ones(len(part), dtype=bool)
        if not among.any():
            continue
        tried = [(price_rows(part.at(level), costs).sum(), (part.score[among] >= level).mean()) for level in levels]
        table[name] = np.array(tried)
    best: tuple[float, dict[str, float]] = (np.inf, {})
    for least in np.linspace(0.02, 1.0, 2 * GRID):
        within = {name: (part[:, 1] >= least) & (part[:, 1] <= least * limit) for name, part in table.items()}
        if not all(ok.any() for ok in within.values()):
            continue
        places = {name: int(np.where(within[name], part[:, 0], np.inf).argmin()) for name, part in table.items()}
        total = sum(float(table[name][place, 0]) for name, place in places.items())
        if total < best[0]:
            best = total, {name: float(levels[place]) for name, place in places.items()}
    return best[1]


def _spread(o: Predictions, groups: Array, names: Mapping[str, float], *, of_cases: bool) -> float:
    among = o.truth.astype(bool) if of_cases else np.ones(len(o), dtype=bool)
    rates = [float(o.label[inside].mean()) for name in names if (inside := among & (groups == name)).any()]
    return max(rates) / min(rates) if rates and min(rates) > 0 else np.nan
