"""Columns that repeat the target of another row, or hold means of the target."""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from nbkit.columns import column_kind
from nbkit.leakage.learn import outcome_columns

Found = tuple[list[str], bool, str, float, str]  # columns, suspect, reason, score, evidence
SAME = 0.7  # the share of rows that must hold the target of another row for a copy
SHIFTS = 50
NEAR = 7  # rows before and after, whose targets a column may be computed from
EXACT, STEPS = 0.995, 0.98  # R2 of what is computed, and of its steps
GROUPS = 4
ROWS = 1_500  # in their order, on which such sums are fitted
LAGGED = 20_000  # rows in their order, in which copies of another row's target are looked for
CELLS, PAIRS = 50, 6  # levels of columns that are taken together, and how many pairs
NOISE = 0.3  # the spread within levels, as a share of that between them, up to which a column belongs to levels
WEIGHTS = (0, 1, 2, 3, 5, 10, 20, 50, 100)  # rows of the whole that a mean may be drawn by
NEARNESS = 0.02  # of the variance that chance gives an honest value of a level
FEWEST, LEAST, CHANCE = 4, 20, 1e-4  # values, rows of each, and how seldom an honest column comes so near to a line
LIKELY = 0.3  # what a plain fit must explain, for the trimmed one to be tried


def find_copies(table: pd.DataFrame, target: str, task: str, *, time: str = "", group: str = "") -> list[Found]:
    """Find columns that repeat the target of another row, or hold the mean of the target over rows like their own."""
    orders = _list_orders(table, target, time, group)
    truth = outcome_columns(table[target], task)[:, :6]
    near_by = {
        words: _spread_near(order, truth[:, :1] if task == "binary" else truth) for words, order in orders.items()
    }
    levels = _list_levels(table, target)
    found: list[Found] = []
    for name in table.columns:
        if name in (target, time, group):
            continue
        shifts = (
            (words, *_find_shift(table[name].iloc[order[:LAGGED]], table[target].iloc[order[:LAGGED]], task))
            for words, (order, *_) in orders.items()
        )
        order, shift, share = max(shifts, key=lambda one: one[2])
        if shift:
            which = "an earlier" if shift > 0 else "a later"
            side = "before" if shift > 0 else "after"
            words = f"in {share:.0%} of rows it is {target} of the row {abs(shift)} {side} {order}"
            found.append(([name], True, f"repeats the target of {which} row", share, words))
        elif (words := _find_made_along(table, name, target, near_by)) or (
            words := _find_encoding(table[name], levels, truth, target) or _is_too_exact(table[name], truth)
        ):
            found.append(([name], True, "is made of the target", 1.0, words))
        elif _is_target_mean(table[name], table[target], task):
            words = f"each of its values is the mean of {target} over the rows that have it"
            found.append(([name], True, "is made of the target", 1.0, words))
    return found


def _spread_near(way: tuple[np.ndarray, ...], truth: np.ndarray) -> tuple[Any, ...]:
    """Return the first rows of an order, the targets near each of them, and an orthonormal base of these."""
    order, count, first = way
    some = truth[order[:ROWS]]
    near = np.column_stack([np.roll(some, lag, axis=0) for lag in range(-NEAR, NEAR + 1)])
    spanned = np.linalg.qr(near - near.mean(axis=0))[0]
    return order, count[:ROWS], first[:ROWS], near, spanned


def _find_made_along(table: pd.DataFrame, name: str, target: str, orders: dict[str, Any]) -> str:
    """Say in which order a column is computed from the target of a row and its neighbours; empty if it is not.

    Lags, moving means, running counts and means so far are sums of the targets near a row, or become such by a
    difference. They are fitted by least squares on the four fifths of the rows that fit best, as starts of groups
    differ.
    """
    if column_kind(table[name]) != "number" or table[name].nunique() < 2 or len(table) < 60:
        return ""
    for words, (order, count, first, near, spanned) in orders.items():
        made = table[name].to_numpy(dtype="float64", na_value=np.nan)[order[:ROWS]]
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
    """Tell whether steps of a column follow from neighbours too: what only moves slowly is told by any mean of them."""
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


def _list_levels(table: pd.DataFrame, target: str) -> dict[str, np.ndarray]:
    """List columns, and pairs of those of few levels, whose levels a target may have been averaged for, as codes."""
    names = [name for name in table.columns if name != target and _names(table[name])]
    found: dict[str, np.ndarray] = {
        str(name): pd.factorize(table[name], use_na_sentinel=False)[0]
        for name in names
        if 8 <= table[name].nunique() < len(table) * 0.9
    }
    few = [name for name in names if 2 <= table[name].nunique() <= CELLS and column_kind(table[name]) == "text"]
    few.sort(key=lambda name: -table[name].nunique())
    for one, other in list(combinations(few, 2))[:PAIRS]:
        codes = np.asarray(table.groupby([one, other], dropna=False, sort=False).ngroup())
        if 8 <= codes.max() + 1 < len(table) * 0.9:
            found[f"{one} and {other}"] = codes
    return found


def _find_encoding(column: "pd.Series[Any]", levels: dict[str, np.ndarray], truth: np.ndarray, target: str) -> str:
    """Say for which levels a column holds what is made of the mean of the target, but for a little noise."""
    if column_kind(column) != "number" or column.isna().any() or column.nunique() < 5:
        return ""
    values = column.to_numpy(dtype="float64")
    for other, codes in levels.items():
        few = pd.Series(values[:ROWS]).groupby(codes[:ROWS]).transform("std").mean()
        if other == column.name or few > NOISE * values[:ROWS].std():  # most columns differ within a level
            continue
        size = np.bincount(codes)
        held = np.bincount(codes, weights=values) / size
        within = values - held[codes]
        if np.ptp(held) == 0 or within.std() > NOISE * held[codes].std():
            continue
        for outcome in truth.T:
            if words := _match_encoding(held, size, np.bincount(codes, weights=outcome), outcome, codes):
                return f"it is {words} of {target} for each {other}"
    return ""


def _match_encoding(
    held: np.ndarray, size: np.ndarray, sums: np.ndarray, outcome: np.ndarray, codes: np.ndarray
) -> str:
    """Name what the value of each level is made of: it is nearer to that than chance lets any honest value be."""
    means, whole = sums / size, float(outcome.mean())
    within = ((outcome - means[codes]) ** 2).sum() / max(len(outcome) - len(size), 1)
    for weight in WEIGHTS:
        drawn = (sums + weight * whole) / (size + weight)
        chance = float((within * size / (size + weight) ** 2).mean())  # by which an honest value of a level differs
        if _is_too_near(held, drawn, chance):
            return "the mean" + (f", drawn to that of all by {weight} rows," if weight else "")
    if _is_too_near(held, sums, float((within * size).mean())):
        return "the sum"
    if set(np.unique(outcome)) <= {0.0, 1.0}:
        odds = np.log((sums + 0.5) / (size - sums + 0.5))
        shares = (sums + 0.5) / (size + 1)
        if _is_too_near(held, odds, float((1 / (size * shares * (1 - shares))).mean())):
            return "the log-odds"
    return ""


def _is_too_near(held: np.ndarray, made: np.ndarray, chance: float) -> bool:
    if np.ptp(made) == 0:
        return False
    return (1 - float(np.corrcoef(made, held)[0, 1]) ** 2) * float(made.var()) < NEARNESS * chance


def _is_too_exact(column: "pd.Series[Any]", outcome: np.ndarray) -> str:
    """Tell whether the mean of a target lies on a line of a column's few values, nearer than chance lets any."""
    if column_kind(column) != "number" or column.isna().any() or not FEWEST <= column.nunique() <= len(column) / 20:
        return ""
    codes, levels = pd.factorize(column.to_numpy(dtype="float64"), sort=True)
    size = np.bincount(codes)
    kept = size >= LEAST
    if kept.sum() < FEWEST or np.ptp(outcome) == 0:
        return ""
    for truth in outcome.T:
        every = np.bincount(codes, weights=truth) / size
        means, inside = every[kept], float(((truth - every[codes]) ** 2).mean())
        spread = means * (1 - means) if set(np.unique(truth)) <= {0.0, 1.0} else np.full(kept.sum(), inside)
        fit = np.polynomial.Polynomial.fit(levels[kept], means, 1, w=np.sqrt(size[kept]))
        far = float((size[kept] * (means - fit(levels[kept])) ** 2 / np.maximum(spread, 1e-3)).sum())
        if np.ptp(means) > 0.1 * truth.std() and stats.chi2.cdf(far, kept.sum() - 2) < CHANCE:
            return "the mean of the target is a straight line of it, nearer than chance lets any honest column come"
    return ""


def _is_target_mean(column: "pd.Series[Any]", values: "pd.Series[Any]", task: str) -> bool:
    """Tell whether a column of few values holds, for each of them, the mean of the target where it stands."""
    if column_kind(column) != "number" or not 2 <= column.nunique() <= len(column) / 2:
        return False
    truths = outcome_columns(values, task) if task != "regression" else values.to_numpy(dtype="float64")[:, None]
    if not column.between(truths.min(), truths.max()).mean() >= 0.9:
        return False
    unit = next((0.51 * 10.0**-digits for digits in range(7) if (column.round(digits) == column).all()), 1e-12)
    for truth in truths.T:
        parts = pd.Series(truth).groupby(column.to_numpy(dtype="float64", na_value=np.nan)).agg(["mean", "size"])
        by_chance = float(np.sqrt(truth.var() / parts["size"].mean()))  # by which an honest mean differs
        near = 5.1e-4 if task != "regression" else min(unit, NEARNESS * by_chance)
        alike = np.isclose(parts["mean"], parts.index.to_numpy(dtype="float64"), rtol=1e-6, atol=near)
        trivial = np.isin(parts.index, (0.0, 1.0)).all()
        if not trivial and parts.loc[alike, "size"].sum() >= 0.9 * len(column):
            return True
    return False
