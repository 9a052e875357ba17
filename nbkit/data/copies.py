"""Columns that repeat the target of another row, or hold means of the target."""

from typing import Any

import numpy as np
import pandas as pd

from nbkit.data.explore import column_kind
from nbkit.data.learn import outcome_columns

Found = tuple[list[str], bool, str, float, str]  # columns, suspect, reason, score, evidence
SAME = 0.7  # the share of rows that must hold the target of another row for a copy
SHIFTS = 50


def find_copies(table: pd.DataFrame, target: str, task: str, *, time: str = "", group: str = "") -> list[Found]:
    """Find columns that repeat the target of another row, or hold the mean of the target over rows like their own."""
    orders = {"in the file": table}
    if time in table.columns:
        orders[f"by {time}"] = table.sort_values(time, kind="stable")
        if group in table.columns:
            orders[f"of the same {group}"] = table.sort_values([group, time], kind="stable")
    found: list[Found] = []
    for name in table.columns:
        if name in (target, time, group):
            continue
        shifts = ((order, *_find_shift(rows[name], rows[target], task)) for order, rows in orders.items())
        order, shift, share = max(shifts, key=lambda one: one[2])
        if shift:
            which = "an earlier" if shift > 0 else "a later"
            side = "before" if shift > 0 else "after"
            words = f"in {share:.0%} of rows it is {target} of the row {abs(shift)} {side} {order}"
            found.append(([name], True, f"repeats the target of {which} row", share, words))
        elif _is_target_mean(table[name], table[target], task):
            words = f"each of its values is the mean of {target} over the rows that have it"
            found.append(([name], True, "is made of the target", 1.0, words))
    return found


def _find_shift(column: "pd.Series[Any]", values: "pd.Series[Any]", task: str) -> tuple[int, float]:
    """Return by how many rows a column repeats the target (0: it does not), and in which share of rows."""
    kinds = column_kind(column), column_kind(values)
    if "datetime" in kinds or (kinds[0] == "text") != (kinds[1] == "text") or len(column) < 20:
        return 0, 0.0
    if task == "regression":
        return _find_number_shift(column.to_numpy(dtype="float64", na_value=np.nan), values.to_numpy(dtype="float64"))
    plain: Any = "str" if column_kind(values) == "text" else "float64"
    levels = pd.Index(values.astype(plain).unique())
    codes, truth = (levels.get_indexer(pd.Index(each.astype(plain))) for each in (column, values))
    best = (0, 0.0)
    if (codes >= 0).mean() < SAME:
        return best
    for shift in range(1, min(SHIFTS, len(codes) // 4) + 1):
        for signed, (mine, theirs) in {
            shift: (codes[shift:], truth[:-shift]),
            -shift: (codes[:-shift], truth[shift:]),
        }.items():
            agreement = _kappa(mine, theirs, len(levels))
            still = _kappa(truth[shift:], truth[:-shift], len(levels))
            if agreement >= SAME and agreement > best[1] and agreement > still + 0.1:
                best = (signed, agreement)
    return best


def _kappa(a: np.ndarray, b: np.ndarray, levels: int) -> float:
    """Return Cohen's kappa of two codings; -1 of a code counts as disagreement."""
    same = float((a == b).mean())
    shares = [np.bincount(codes[codes >= 0], minlength=levels) / len(codes) for codes in (a, b)]
    by_chance = float(shares[0] @ shares[1])
    return (same - by_chance) / (1 - by_chance) if by_chance < 1 else 0.0


def _find_number_shift(column: np.ndarray, truth: np.ndarray) -> tuple[int, float]:
    if pd.Series(truth).nunique() < len(truth) / 4:  # equal by chance too often
        shifts = range(1, min(SHIFTS, len(truth) // 4) + 1)
        signed = [each for shift in shifts for each in (shift, -shift)]
    else:
        first = pd.Series(np.arange(len(truth)), index=truth)
        first = first[~first.index.duplicated()]
        places = first.reindex(column).to_numpy(dtype="float64", na_value=np.nan)
        steps = (np.arange(len(truth)) - places)[~np.isnan(places)]
        if len(steps) < SAME * len(truth):
            return 0, 0.0
        signed = [int(each) for each in pd.Series(steps).value_counts().index[:3] if each]
    best = (0, 0.0)
    for shift in signed:
        mine, theirs = (column[shift:], truth[:-shift]) if shift > 0 else (column[:shift], truth[-shift:])
        still = truth[abs(shift) :] == truth[: -abs(shift)]
        share = float((mine == theirs).mean())
        if share >= SAME and share > best[1] and share > float(still.mean()) + 0.1:
            best = (shift, share)
    return best


def _is_target_mean(column: "pd.Series[Any]", values: "pd.Series[Any]", task: str) -> bool:
    """Tell whether a column of few values holds, for each of them, the mean of the target where it stands."""
    if column_kind(column) != "number" or not 2 <= column.nunique() <= len(column) / 2:
        return False
    truths = outcome_columns(values, task) if task != "regression" else values.to_numpy(dtype="float64")[:, None]
    for truth in truths.T:
        parts = pd.Series(truth).groupby(column.to_numpy(dtype="float64", na_value=np.nan)).agg(["mean", "size"])
        alike = np.isclose(parts["mean"], parts.index.to_numpy(dtype="float64"), rtol=1e-6, atol=1e-12)
        trivial = np.isin(parts.index, (0.0, 1.0)).all()
        if not trivial and parts.loc[alike, "size"].sum() >= 0.9 * len(column):
            return True
    return False
