"""Columns that repeat the target of another row, or hold means of the target."""

from typing import Any

import numpy as np
import pandas as pd

from nbkit.data.explore import column_kind
from nbkit.data.learn import outcome_columns

Found = tuple[list[str], bool, str, float, str]  # columns, suspect, reason, score, evidence
SAME = 0.7  # the share of rows that must hold the target of another row for a copy
SHIFTS = 50
NEAR = 7  # rows before and after, whose targets a column may be computed from
EXACT = 0.995
GROUPS = 4


def find_copies(table: pd.DataFrame, target: str, task: str, *, time: str = "", group: str = "") -> list[Found]:
    """Find columns that repeat the target of another row, or hold the mean of the target over rows like their own."""
    orders = _list_orders(table, target, time, group)
    found: list[Found] = []
    for name in table.columns:
        if name in (target, time, group):
            continue
        shifts = (
            (words, *_find_shift(table[name].iloc[order], table[target].iloc[order], task))
            for words, (order, *_) in orders.items()
        )
        order, shift, share = max(shifts, key=lambda one: one[2])
        if shift:
            which = "an earlier" if shift > 0 else "a later"
            side = "before" if shift > 0 else "after"
            words = f"in {share:.0%} of rows it is {target} of the row {abs(shift)} {side} {order}"
            found.append(([name], True, f"repeats the target of {which} row", share, words))
        elif (words := _find_made_along(table, name, target, task, orders)) or (
            words := _find_encoding(table, name, target, task)
        ):
            found.append(([name], True, "is made of the target", 1.0, words))
        elif _is_target_mean(table[name], table[target], task):
            words = f"each of its values is the mean of {target} over the rows that have it"
            found.append(([name], True, "is made of the target", 1.0, words))
    return found


def _find_made_along(table: pd.DataFrame, name: str, target: str, task: str, orders: dict[str, Any]) -> str:
    """Say in which order a column is computed from the target of a row and its neighbours; empty if it is not.

    Lags, moving means, running counts and means so far are sums of the targets near a row, or become such by a
    difference. They are fitted by least squares on the four fifths of the rows that fit best, as starts of groups
    differ.
    """
    if column_kind(table[name]) != "number" or table[name].nunique() < 2 or len(table) < 60:
        return ""
    outcome = outcome_columns(table[target], task)
    for words, (order, count, first) in orders.items():
        made = table[name].to_numpy(dtype="float64", na_value=np.nan)[order]
        truth = outcome[order, : 1 if task == "binary" else 20]
        before = np.where(first, 0.0, np.r_[0.0, made[:-1]])
        ways = {"": made, "running count": made - before, "mean so far": made * count - before * (count - 1)}
        for way, values in ways.items():
            near = [np.roll(truth, lag, axis=0) for lag in range(-NEAR, NEAR + 1)]
            alone, whole = (_fit_trimmed(np.column_stack(each), values) for each in ([truth], near))
            if whole >= EXACT and ((1 - whole) <= (1 - alone) / 2 or way):
                return f"it follows from {target} of this and neighbouring rows, {words}" + (
                    f", as a {way}" if way else ""
                )
    return ""


def _fit_trimmed(inputs: np.ndarray, values: np.ndarray) -> float:
    """Return R2 of a linear fit on the four fifths of rows that fit best; 0 where hardly any spread is left there."""
    known = np.isfinite(values)
    known[: NEAR + 1] = known[-NEAR - 1 :] = False
    if known.sum() < 40 or not (total := float(values[known].var())):
        return 0.0
    x, y = np.column_stack([inputs[known], np.ones(known.sum())]), values[known]
    kept, share = np.ones(len(y), dtype=bool), 0.0
    for _ in range(4):
        gaps = np.abs(y - x @ np.linalg.lstsq(x[kept], y[kept], rcond=None)[0])
        kept = gaps <= np.quantile(gaps, 0.8)
        spread = float(y[kept].var())
        share = 1 - float((gaps[kept] ** 2).mean()) / spread if spread > total / 10 else 0.0
    return share


def _list_orders(table: pd.DataFrame, target: str, time: str, group: str) -> dict[str, Any]:
    """List orders of the rows: positions, the number of each row in its group from 1, and whether it is the first."""
    rows, n = table.reset_index(drop=True), len(table)
    plain = np.arange(n)
    by_time = rows[time].argsort(kind="stable").to_numpy() if time in rows else plain
    start = plain == 0
    found: dict[str, Any] = {"in the file": (plain, plain + 1, start)} | (
        {f"by {time}": (by_time, plain + 1, start)} if time in rows else {}
    )
    several = [
        name
        for name in rows
        if name not in (target, time) and n / 100 < rows[name].nunique() < n / 2 and _names(rows[name])
    ]
    for name in list(dict.fromkeys([*([group] if group in rows else []), *several]))[:GROUPS]:
        codes = pd.factorize(rows[name])[0][by_time]
        inner = np.argsort(codes, kind="stable")
        count = pd.Series(codes[inner]).groupby(codes[inner]).cumcount().to_numpy() + 1
        found[f"of the same {name}"] = (by_time[inner], count, count == 1)
    return found


def _names(column: "pd.Series[Any]") -> bool:
    """Tell whether a column may name what rows belong to: text, or whole numbers."""
    kind = column_kind(column)
    return kind == "text" or (kind == "number" and bool(column.notna().all() and (column == column.round()).all()))


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


def _find_encoding(table: pd.DataFrame, name: str, target: str, task: str) -> str:
    """Say of which column's levels a column holds the mean of the target, drawn to the mean of all or not."""
    if task == "multiclass" or column_kind(table[name]) != "number" or table[name].nunique() < 5:
        return ""
    truth = outcome_columns(table[target], task)[:, -1]
    values, whole = table[name].to_numpy(dtype="float64", na_value=np.nan), float(truth.mean())
    for other in table.columns:
        if other in (name, target) or not 8 <= table[other].nunique() < len(table) * 0.9 or not _names(table[other]):
            continue
        parts = pd.DataFrame({"value": values, "truth": truth}).groupby(pd.factorize(table[other])[0])
        means, size = parts.mean(), parts.size()
        if parts["value"].std().max() > 1e-9 * np.nanstd(values) or means["value"].std() == 0:
            continue
        within = float(parts["truth"].var().mul(size - 1).sum() / max(len(table) - len(size), 1))
        for weight in (0, 1, 2, 3, 5, 10, 20, 50, 100):
            drawn = (size * means["truth"] + weight * whole) / (size + weight)
            chance = float((within * size / (size + weight) ** 2).mean())  # by which an honest value of a level differs
            rest = (1 - float(np.corrcoef(drawn, means["value"])[0, 1]) ** 2) * float(drawn.var())
            if rest < 0.02 * chance:
                more = f", drawn to that of all by {weight} rows" if weight else ""
                return f"it is the mean of {target} for each {other}{more}"
    return ""


def _is_target_mean(column: "pd.Series[Any]", values: "pd.Series[Any]", task: str) -> bool:
    """Tell whether a column of few values holds, for each of them, the mean of the target where it stands."""
    if column_kind(column) != "number" or not 2 <= column.nunique() <= len(column) / 2:
        return False
    truths = outcome_columns(values, task) if task != "regression" else values.to_numpy(dtype="float64")[:, None]
    for truth in truths.T:
        parts = pd.Series(truth).groupby(column.to_numpy(dtype="float64", na_value=np.nan)).agg(["mean", "size"])
        alike = np.isclose(
            parts["mean"],
            parts.index.to_numpy(dtype="float64"),
            rtol=1e-6,
            atol=5.1e-4 if task != "regression" else 1e-12,
        )
        trivial = np.isin(parts.index, (0.0, 1.0)).all()
        if not trivial and parts.loc[alike, "size"].sum() >= 0.9 * len(column):
            return True
    return False
