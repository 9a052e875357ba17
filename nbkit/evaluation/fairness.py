"""What treating groups alike would take: whether features give a group away, and what equal rates cost."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from nbkit.evaluation.costs import compare_costs
from nbkit.evaluation.errors import encode, split_rows
from nbkit.evaluation.groups import compare_groups, list_rates, rates_by_group
from nbkit.evaluation.words import SURE
from nbkit.model.costs import price_rows
from nbkit.model.metrics import score
from nbkit.model.predictions import Predictions
from nbkit.problem import Problem
from nbkit.slicing import cut_slices
from nbkit.stats import Array
from nbkit.wording import format_estimate

GRID = 201  # thresholds that are tried
FEW = 50  # rows of a group below which it keeps the single threshold
RATES = ("selection_rate", "true_positive_rate")
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
        `column`, `roc_auc` (of a small forest on rows that it was not fitted on, averaged over groups) with
        `low`, `high`, `n` and `sentence`; no row where fewer than two groups have enough rows.
    """
    from sklearn.ensemble import RandomForestClassifier  # boosting would depend on the number of threads

    rows: list[tuple[Any, ...]] = []
    for name in protected:
        labels = _cut(predictions, name)
        levels = [str(level) for level, n in pd.Series(labels).value_counts().items() if n >= 2 * min_rows]
        o = predictions.take(np.flatnonzero(np.isin(labels, levels)))
        labels, fitted = labels[np.isin(labels, levels)], split_rows(o)
        X, names = encode(o, [each for each in columns if each != name])
        if len(levels) < 2 or not names:
            continue
        some = np.flatnonzero(fitted)[:: -(-int(fitted.sum()) // SAMPLE)]
        small = RandomForestClassifier(50, min_samples_leaf=10, random_state=o.problem.seed)
        said = pd.DataFrame(small.fit(X[some], labels[some]).predict_proba(X[~fitted]), columns=small.classes_)
        asked = Problem("group", "multiclass", seed=o.problem.seed)
        blocks = None if o.blocks is None else o.blocks[~fitted]
        seen = score(Predictions.align(labels[~fitted], said, asked, blocks=blocks), "roc_auc", draws=1).iloc[0]
        area = float(seen["value"]), float(seen["low"]), float(seen["high"])
        how = "give {} away" if area[1] > SURE else "tell something about {}" if area[1] > 0.5 else "hardly tell {}"
        words = f"The other features {how.format(name)}: ROC AUC {format_estimate(*area)}"
        words += "; to leave it out would not hide it" if area[1] > SURE else ""
        rows.append((name, *area, len(said), words))
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
    o, limit = predictions, min(float(tolerance[1]), 1 / float(tolerance[0]))
    rows: list[tuple[Any, ...]] = []
    for name, rate in product(protected, RATES) if o.task == "binary" else ():
        before, after = _cut(chosen_on, name), _cut(o, name)
        cuts = _choose(chosen_on, before, costs, limit, rate)
        if len(cuts) < 2:
            continue
        level = pd.Series(after).map(cuts).fillna(o.threshold).to_numpy()
        changed = replace(o, label=o.score >= level)
        spreads = [_spread(each, name, rate) for each in (o, changed)]
        if not limit < spreads[0] or not spreads[1] < spreads[0]:  # within the tolerance, not known, or no help
            continue
        row = compare_costs(changed, {SINGLE: o}, costs).to_dict("index")[SINGLE]
        paid = float(row["difference"]), float(row["low"]), float(row["high"])
        text = ", ".join(f"{group} {cut:.2g}" for group, cut in cuts.items())
        price = "costs" if paid[1] > 0 else "saves" if paid[2] < 0 else "is not shown to cost or save anything:"
        paid_or_saved = paid if paid[2] >= 0 else (-paid[0], -paid[2], -paid[1])
        told = f"the ratio of the {rate.replace('_', ' ')}s from {spreads[0]:.2f} to {spreads[1]:.2f}"
        words = f"A threshold for each {name} ({text}) brings {told} on the test split and {price} "
        words += format_estimate(*paid_or_saved, currency, "a row" if paid[2] < 0 else "more a row")
        words = f"The same thresholds bring {told}" if (name, text) in [(row[0], row[2]) for row in rows] else words
        rows.append((name, rate, text, *spreads, *paid, len(o), words))
    columns = ["column", "rate", "thresholds", "before", "after", "extra", "low", "high", "n", "sentence"]
    return pd.DataFrame(rows, columns=columns)


def _cut(o: Predictions, column: str) -> Array:
    return np.asarray(cut_slices(o.column(column, "to compare groups by")).astype(object))


def _choose(o: Predictions, groups: Array, costs: Mapping[str, Any], limit: float, rate: str) -> dict[str, float]:
    """Return group to threshold: the cheapest thresholds whose rates are within the limit of each other."""
    levels, among = np.quantile(o.score, np.linspace(0, 1, GRID)), list_rates(o)[rate][1]
    on, off = (price_rows(replace(o, label=np.full(len(o), acts)), costs) for acts in (True, False))
    tried: dict[str, tuple[Array, Array]] = {}  # cost and rate at each level
    for name in np.unique(groups):
        inside = groups == name
        if inside.sum() >= FEW and (inside & among).any():
            acted = o.score[inside, None] >= levels
            tried[str(name)] = off[inside].sum() + (on - off)[inside] @ acted, acted[among[inside]].mean(axis=0)
    best: tuple[float, dict[str, float]] = (np.inf, {})
    for least in np.linspace(0.01, 1.0, 100):
        prices = {name: np.where((r >= least) & (r <= least * limit), c, np.inf) for name, (c, r) in tried.items()}
        total = sum(float(price.min()) for price in prices.values())
        if total < best[0]:
            best = total, {name: float(levels[price.argmin()]) for name, price in prices.items()}
    return best[1]


def _spread(o: Predictions, column: str, rate: str) -> float:
    found = compare_groups(rates_by_group(o, column, min_rows=FEW)).set_index("rate")["ratio"].to_dict()
    return 1 / float(found[rate]) if found[rate] > 0 else np.nan
