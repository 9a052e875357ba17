"""Where it errs, in rules that a person can act on: a tree grown on one half of the rows and measured on the other."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from nbkit.columns import column_kind
from nbkit.contract import Contract, describe_column
from nbkit.model.predictions import Predictions
from nbkit.model.uncertainty import BLOCKS
from nbkit.stats import LEVEL, Array, t_quantile

LEAVES, DEPTH, LEVELS = 6, 3, 20
HOUR = "hour of "
Names = list[tuple[str, str | None]]
COLUMNS = ["rule", "n", "error", "lift", "low", "high", "share_of_rows", "share_of_errors", "verdict"]


def grow_error_tree(
    predictions: Predictions, columns: Sequence[str], *, min_rows: int = 100, contract: Contract | None = None
) -> pd.DataFrame:
    """Find the parts of the table where errors gather.

    Parameters
    ----------
    predictions
        With the raw rows.
    columns
        What rules may be made of.
    min_rows
        Smaller parts are not looked for, and not judged.
    contract
        Its descriptions and units name the columns in the rules; without it their own names do.

    Returns
    -------
    DataFrame
        One row a part, which share no row; the most errors a row first: `rule`, `n` (rows measured), `error` (the share
        of wrong decisions; of a regression the mean absolute error), `lift` (over that of the whole) with `low`, `high`
        (95 % for all parts at once), `share_of_rows`, `share_of_errors` and `verdict`: **worse** if all of the interval
        of the lift is above 1, **not worse** or **too few**.

    Notes
    -----
    The rules are those of a shallow regression tree of the errors, fitted on half of the rows (of the blocks, where
    rows of one are alike). All numbers are of the other half, so that what was found by chance is not there again.

    References
    ----------
    Singla, S. et al. (2021). Understanding failures of deep networks via robust feature extraction. CVPR. Athey, S. and
    Imbens, G. (2016). Recursive partitioning for heterogeneous causal effects. PNAS 113, 7353-7360.
    """
    from sklearn.tree import DecisionTreeRegressor

    o = predictions
    error = np.abs(o.score - o.truth) if o.task == "regression" else (o.label != o.truth).astype(float)
    X, names = encode(o, [name for name in columns if name != o.problem.target])
    grown = split_rows(o)
    if min(grown.sum(), (~grown).sum()) < 2 * min_rows or not len(names):
        return pd.DataFrame(columns=COLUMNS)
    size: Any = {"max_depth": DEPTH, "max_leaf_nodes": LEAVES, "min_samples_leaf": min_rows}
    tree = DecisionTreeRegressor(**size, random_state=o.problem.seed).fit(X[grown], error[grown])
    lacking = {names[place][0] for place in np.flatnonzero(np.isnan(X).any(axis=0))}
    leaves, rules = tree.apply(X[~grown]), _read_rules(tree.tree_, names, lacking, contract)
    blocks = np.arange((~grown).sum()) if o.blocks is None else o.blocks[~grown]
    rows = [(rules[leaf], *_measure(error[~grown], leaves == leaf, blocks, len(rules), min_rows)) for leaf in rules]
    return pd.DataFrame(rows, columns=COLUMNS).sort_values(["lift", "rule"], ascending=[False, True], ignore_index=True)


def split_rows(o: Predictions) -> Array:
    """Return which rows are in the first half: whole blocks, where rows of one are alike."""
    units = np.arange(len(o)) if o.blocks is None else o.blocks
    order = np.random.default_rng(o.problem.seed).permutation(int(units.max(initial=-1)) + 1)
    return np.asarray(order[units] % 2 == 0)


def encode(o: Predictions, columns: Sequence[str]) -> tuple[Array, Names]:
    """Return columns as numbers, and what each is: its name and, of one that says whether a row has it, the level."""
    parts, names = [], Names()
    for name in columns:
        column = o.column(name, "to find errors by")
        if (kind := column_kind(column)) in ("number", "datetime"):
            values = (column if kind == "number" else column.dt.hour).to_numpy(dtype=float, na_value=np.nan)
            parts.append(np.where(np.isfinite(values), values, np.nan)[:, None])
            names.append((name if kind == "number" else f"{HOUR}{name}", None))
            continue
        texts = column.astype(object).where(column.notna(), "(missing)").astype(str).replace("", "(empty)")
        for level in texts.value_counts().index[:LEVELS]:
            parts.append((texts == level).to_numpy(dtype=float)[:, None])
            names.append((name, str(level)))
    return (np.hstack(parts) if parts else np.empty((len(o), 0))), names


def _read_rules(tree: Any, names: Names, lacking: set[str], contract: Contract | None) -> dict[int, str]:
    """Return the rule of each leaf in words; `lacking` are columns with gaps, which are named where they came to."""
    found: dict[int, str] = {}
    stack: list[tuple[int, dict[tuple[str, str], str], set[str]]] = [(0, {}, lacking)]
    while stack:
        node, path, gaps = stack.pop()
        if tree.children_left[node] < 0:
            told = [f"{words}{' or missing' if name in gaps else ''}" for (name, _), words in path.items()]
            found[node] = " and ".join(told) or "all rows"
            continue
        (name, level), cut = names[tree.feature[node]], tree.threshold[node]
        lost = bool(tree.missing_go_to_left[node])
        for child, left in ((tree.children_left[node], True), (tree.children_right[node], False)):
            edge = f"{cut:,.4g}" if abs(cut) < 100 else f"{cut:,.6g}" if abs(cut) < 1e5 else f"{cut:,.0f}"
            edge = edge.replace(",", "") if 1000 <= abs(cut) < 10000 else edge  # may be a year
            said, unit = describe_column(contract, name.removeprefix(HOUR))
            said, unit = (f"{HOUR}{said}", "") if name.startswith(HOUR) else (said, unit)
            said += "," if ", " in said else ""
            words = f"{said} is {'at most' if left else 'above'} {edge} {unit}".strip()
            words = f"{said} is {'not ' if left else ''}{level}" if level is not None else words
            side = (name, level if level is not None else str(left))  # a second cut on the same side replaces the first
            stack.append((int(child), {**path, side: words}, gaps if lost == left else gaps - {name}))
    return found


def _measure(error: Array, inside: Array, blocks: Array, parts: int, min_rows: int) -> tuple[Any, ...]:
    n, whole = int(inside.sum()), float(error.mean())
    mean = float(error[inside].mean()) if n else np.nan
    lift, share = (mean / whole, float(error[inside].sum() / error.sum())) if whole > 0 else (np.nan, np.nan)
    shown = n, mean, lift
    if n < min_rows or len(np.unique(blocks[inside])) < BLOCKS or not whole:
        return *shown, np.nan, np.nan, n / len(error), share, "too few"
    pull = inside * (error - mean) / n / whole - (error - whole) * lift / len(error) / whole  # of each row on the lift
    sums = np.bincount(blocks, weights=pull)
    held = len(np.unique(blocks[inside]))
    half = t_quantile(held - 1, 1 - (1 - LEVEL) / parts) * np.sqrt((sums**2).sum() * held / (held - 1))
    verdict = "worse" if lift - half > 1 else "not worse"
    return *shown, max(lift - half, 0.0), lift + half, n / len(error), share, verdict
