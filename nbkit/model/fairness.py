"""How groups fare: the rates that fairness is about, with intervals, and how far apart they are."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from nbkit.model.intervals import Array, Z, wilson_interval
from nbkit.model.outcome import check_length, prepare
from nbkit.model.slices import cut_slices

RATES: dict[
    str, tuple[Callable[[Array, Array], Array], Callable[[Array, Array], Array]]
] = {  # name: (which rows are counted, among which), from truth and label
    "base_rate": (lambda truth, label: truth, lambda truth, label: truth | ~truth),
    "selection_rate": (lambda truth, label: label, lambda truth, label: truth | ~truth),
    "true_positive_rate": (lambda truth, label: label & truth, lambda truth, label: truth),
    "false_positive_rate": (lambda truth, label: label & ~truth, lambda truth, label: ~truth),
    "precision": (lambda truth, label: label & truth, lambda truth, label: label),
}


def rates_by_group(
    y: Any,
    p: Any,
    groups: pd.Series,
    *,
    threshold: float = 0.5,
    positive: Any = None,
    min_rows: int = 100,
) -> pd.DataFrame:
    """Compare the rates that fairness is about between groups (binary).

    Parameters
    ----------
    y, p
        Truth and probability of the positive class.
    groups
        The group of each row; missing is a group, levels beyond the 30 most frequent are pooled.
    threshold
        From this probability on a row is selected.
    positive
        The positive class.
    min_rows
        Groups in which fewer rows stand under a rate are shown and not judged.

    Returns
    -------
    DataFrame
        Columns `group`, `rate` (base_rate, selection_rate, true_positive_rate, false_positive_rate, precision),
        `value`, `low`, `high` (Wilson, 95 %), `count`, `n` (rows under the rate), `difference` and `ratio` (to the
        largest group), `judged`.
    """
    check_length(groups, len(y), "groups")
    outcome = prepare(y, p, task="binary", positive=positive, threshold=threshold)
    labels = cut_slices(pd.Series(np.asarray(groups)) if not isinstance(groups, pd.Series) else groups)
    codes, names = labels.cat.codes.to_numpy()[outcome.kept], labels.cat.categories
    largest = int(np.argmax(np.bincount(codes, minlength=len(names)))) if len(codes) else 0
    parts = []
    for rate, (part, whole) in RATES.items():
        count, n = (
            np.bincount(codes[which(outcome.truth, outcome.label)], minlength=len(names)) for which in (part, whole)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            value = count / n
            low, high = wilson_interval(count, n)
            columns = {"group": names, "rate": rate, "value": value, "low": low, "high": high, "count": count, "n": n}
            base = value[[largest]] if len(names) else value
            columns |= {"difference": value - base, "ratio": value / base, "judged": n >= min_rows}
        parts.append(pd.DataFrame(columns))
    table = pd.concat(parts, ignore_index=True)
    return table.replace([np.inf, -np.inf], np.nan)


def compare_groups(rates: pd.DataFrame) -> pd.DataFrame:
    """Say how far apart the judged groups are in each rate.

    Parameters
    ----------
    rates
        From `rates_by_group`.

    Returns
    -------
    DataFrame
        Columns `rate`, `lowest`, `highest` (groups), `difference` (highest − lowest) with `difference_low`,
        `difference_high` (95 %, Newcombe), `ratio` (lowest / highest) with `ratio_low`, `ratio_high` (95 %, Katz's
        logarithmic interval), `groups` (judged).

    References
    ----------
    Newcombe, R. G. (1998). Interval estimation for the difference between independent proportions. Statistics in
    Medicine 17, 873-890. Katz, D. et al. (1978). Obtaining confidence intervals for the risk ratio in cohort studies.
    Biometrics 34, 469-474.
    """
    rows = []
    for rate, part in rates.groupby("rate", sort=False):
        judged = part[part["judged"] & part["value"].notna()]
        if len(judged) < 2:
            rows.append((rate, "", "", *[np.nan] * 6, len(judged)))
            continue
        least, most = (judged.iloc[int(place)] for place in (judged["value"].argmin(), judged["value"].argmax()))
        rows.append((rate, least["group"], most["group"], *_newcombe(least, most), *_katz(least, most), len(judged)))
    columns = ["rate", "lowest", "highest", "difference", "difference_low", "difference_high"]
    return pd.DataFrame(rows, columns=[*columns, "ratio", "ratio_low", "ratio_high", "groups"])


def _newcombe(least: pd.Series, most: pd.Series) -> tuple[float, float, float]:
    gap = most["value"] - least["value"]
    down = np.hypot(most["value"] - most["low"], least["high"] - least["value"])
    up = np.hypot(most["high"] - most["value"], least["value"] - least["low"])
    return gap, gap - down, gap + up


def _katz(least: pd.Series, most: pd.Series) -> tuple[float, float, float]:
    if most["value"] == 0:
        return np.nan, np.nan, np.nan
    ratio = least["value"] / most["value"]
    if least["count"] == 0:
        return 0.0, 0.0, np.nan
    spread = np.sqrt((1 - least["value"]) / least["count"] + (1 - most["value"]) / most["count"])
    return ratio, ratio * np.exp(-Z * spread), ratio * np.exp(Z * spread)
