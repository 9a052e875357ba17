"""Columns that repeat the target of another row, or follow from the targets of the rows near by."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from nbkit.columns import column_kind
from nbkit.leakage.encodings import find_made_of, list_levels, may_name
from nbkit.leakage.learn import outcome_columns
from nbkit.problem import Problem

Found = tuple[list[str], bool, str, float, str]  # columns, suspect, reason, score, evidence
SAME = 0.7  # the share of rows that must hold the target of another row for a copy
SHIFTS = 50
NEAR = 7  # rows before and after, whose targets a column may be computed from
EXACT, STEPS = 0.995, 0.98  # R2 of what is computed, and of its steps
GROUPS = 4
ROWS = 1_500  # in their order, on which such sums are fitted
LAGGED = 20_000  # rows in their order, in which copies of another row's target are looked for
LIKELY = 0.3  # what a plain fit must explain, for the trimmed one to be tried


def find_copies(table: pd.DataFrame, problem: Problem) -> list[Found]:
    """Find columns that repeat the target of another row, or hold the mean of the target over rows like their own."""
    target, task = problem.target, problem.task
    orders = _list_orders(table, problem)
    truth = outcome_columns(table[target], task)[:, :6]
    near_by = [_spread_near(order, truth[:, :1] if task == "binary" else truth) for order in orders.values()]
    levels = list_levels(table.drop(columns=target))
    found: list[Found] = []
    for name in table.columns.drop([one for one in (target, problem.time, problem.group) if one in table]):
        column = table[name]
        shifts = []
        for words, (order, *_) in orders.items():
            first = order[:LAGGED]
            shifts.append((words, *_find_shift(column.iloc[first], table[target].iloc[first], task)))
        order, shift, share = max(shifts, key=lambda one: one[2])
        if shift:
            which, side = ("an earlier", "before") if shift > 0 else ("a later", "after")
            words = f"in {share:.0%} of rows it is {target} of the row {abs(shift)} {side} {order}"
            found.append(([name], True, f"repeats the target of {which} row", share, words))
        elif (words := _find_made_along(column, target, dict(zip(orders, near_by, strict=True)))) or (
            words := find_made_of(column, table[target], levels, truth, problem)
        ):
            found.append(([name], True, "is made of the target", 1.0, words))
    return found


def _spread_near(way: tuple[np.ndarray, ...], truth: np.ndarray) -> tuple[Any, ...]:
    """Return the first rows of an order, the targets near each of them, and an orthonormal base of these."""
    order, count, first = way
    some = truth[order[:ROWS]]
    near = np.column_stack([np.roll(some, lag, axis=0) for lag in range(-NEAR, NEAR + 1)])
    spanned = np.linalg.qr(near - near.mean(axis=0))[0]
    return order, count[:ROWS], first[:ROWS], near, spanned


def _find_made_along(column: "pd.Series[Any]", target: str, orders: dict[str, Any]) -> str:
    """Say in which order a column is computed from the target of a row and its neighbours; empty if it is not.

    Lags, moving means, running counts and means so far are sums of the targets near a row, or become such by a
    difference. They are fitted by least squares on the four fifths of the rows that fit best, as starts of groups
    differ.
    """
    if column_kind(column) != "number" or column.nunique() < 2 or len(column) < 60:
        return ""
    for words, (order, count, first, near, spanned) in orders.items():
        made = column.to_numpy(dtype="float64", na_value=np.nan)[order[:ROWS]]
        before = np.where(first, 0.0, np.r_[0.0, made[:-1]])
        ways = {"": made, "running count": made - before, "mean so far": made * count - before * (count - 1)}
        for way, values in ways.items():
            centred = np.nan_to_num(values - np.nanmean(values)) if np.isfinite(values).any() else np.zeros(len(values))
            if ((spanned.T @ centred) ** 2).sum() <= LIKELY * (centred**2).sum():
                continue
            if _fit_trimmed(near, values) >= EXACT and (way or _follows(near, values)):
                return f"it follows from {target} of this and neighbouring rows, {words}" + (way and f", as a {way}")
    return ""


def _follows(near: np.ndarray, values: np.ndarray) -> bool:
    """Return whether steps of a column follow from neighbours too: any mean of them predicts what moves slowly."""
    classes = near.shape[1] // (2 * NEAR + 1)
    own = near[:, NEAR * classes : (NEAR + 1) * classes]
    whole, alone = (_fit_trimmed(np.diff(inputs, axis=0), np.diff(values)) for inputs in (near, own))
    return whole >= STEPS and (1 - whole) <= (1 - alone) / 2


def _fit_trimmed(inputs: np.ndarray, values: np.ndarray) -> float:
    """Return R2 of a linear fit on the four fifths of rows that fit best; 0 where hardly any spread is left there."""
    known = np.isfinite(values)
    known[: NEAR + 1] = known[-NEAR - 1 :] = False
    if known.sum() < max(40, 4 * inputs.shape[1]) or not (total := float(values[known].var())):
        return 0.0
    x, y = np.column_stack([inputs[known], np.ones(known.sum())]), values[known]
    kept, share = np.ones(len(y), dtype=bool), 0.0
    for _ in range(4):
        gaps = np.abs(y - x @ np.linalg.lstsq(x[kept], y[kept], rcond=None)[0])
        kept = gaps <= np.quantile(gaps, 0.8)
        spread = float(y[kept].var())
        share = 1 - float((gaps[kept] ** 2).mean()) / spread if spread > total / 10 else 0.0
    return share


def _list_orders(table: pd.DataFrame, problem: Problem) -> dict[str, Any]:
    """List orders of the rows: positions, the number of each row in its group from 1, and whether it is the first."""
    time, n = problem.time, len(table)
    plain = np.arange(n)
    found: dict[str, Any] = {"in the file": (plain, plain + 1, plain == 0)}
    by_time = plain
    if time in table:
        by_time = np.asarray(table[time].argsort(kind="stable"))
        found[f"by {time}"] = (by_time, plain + 1, plain == 0)
    rest = table.drop(columns=[problem.target, time], errors="ignore")
    several = [name for name in rest if n / 100 < rest[name].nunique() < n / 2 and may_name(rest[name])]
    for name in list(dict.fromkeys([*([problem.group] if problem.group in table else []), *several]))[:GROUPS]:
        codes = pd.factorize(table[name])[0][by_time]
        inner = np.argsort(codes, kind="stable")
        count = pd.Series(codes[inner]).groupby(codes[inner]).cumcount().to_numpy() + 1
        found[f"of the same {name}"] = (by_time[inner], count, count == 1)
    return found


def _find_shift(column: "pd.Series[Any]", values: "pd.Series[Any]", task: str) -> tuple[int, float]:
    """Return by how many rows a column repeats the target (0: it does not), and in which share of rows."""
    kinds = column_kind(column), column_kind(values)
    if "datetime" in kinds or (kinds[0] == "text") != (kinds[1] == "text") or len(column) < 20:
        return 0, 0.0
    shifts = [each for shift in range(1, min(SHIFTS, len(column) // 4) + 1) for each in (shift, -shift)]
    if task == "regression":
        mine, truth = column.to_numpy(dtype="float64", na_value=np.nan), values.to_numpy(dtype="float64")
        if pd.Series(truth).nunique() >= len(truth) / 4:  # else equal by chance too often
            shifts = _list_steps(mine, truth)
        return _find_best(mine, truth, shifts, lambda one, other: float((one == other).mean()))
    plain: Any = "str" if kinds[1] == "text" else "float64"
    levels = pd.Index(values.astype(plain).unique())
    codes, truth = (levels.get_indexer(pd.Index(each.astype(plain))) for each in (column, values))
    if (codes >= 0).mean() < SAME:
        return 0, 0.0
    return _find_best(codes, truth, shifts, lambda one, other: _kappa(one, other, len(levels)))


def _find_best(
    mine: np.ndarray, truth: np.ndarray, shifts: list[int], agree: Callable[[np.ndarray, np.ndarray], float]
) -> tuple[int, float]:
    """Return the shift at which a column agrees best with the target, and far more than the target with itself."""
    best = (0, 0.0)
    for shift in shifts:
        ahead, back = slice(abs(shift), None), slice(None, -abs(shift))
        parts = (mine[ahead], truth[back]) if shift > 0 else (mine[back], truth[ahead])
        share = agree(*parts)
        if share >= SAME and share > best[1] and share > agree(truth[ahead], truth[back]) + 0.1:
            best = (shift, share)
    return best


def _list_steps(column: np.ndarray, truth: np.ndarray) -> list[int]:
    """List the three shifts at which most values of a column stand in the target; none if too few do."""
    first = pd.Series(np.arange(len(truth)), index=truth)
    places = first[~first.index.duplicated()].reindex(column).to_numpy(dtype="float64", na_value=np.nan)
    steps = (np.arange(len(truth)) - places)[~np.isnan(places)]
    if len(steps) < SAME * len(truth):
        return []
    return [int(each) for each in pd.Series(steps).value_counts().index[:3] if each]


def _kappa(a: np.ndarray, b: np.ndarray, levels: int) -> float:
    """Return Cohen's kappa of two codings; -1 of a code counts as disagreement."""
    same = float((a == b).mean())
    shares = [np.bincount(codes[codes >= 0], minlength=levels) / len(codes) for codes in (a, b)]
    by_chance = float(shares[0] @ shares[1])
    return (same - by_chance) / (1 - by_chance) if by_chance < 1 else 0.0
