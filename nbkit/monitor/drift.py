"""Which columns of a window have drifted: every test on every column, and what is beyond chance over all of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from nbkit.errors import BadParameter
from nbkit.monitor.distances import ALPHA, NO_VALUES, TESTS, DriftTest, find_lack
from nbkit.monitor.pair import Pair, pair_column
from nbkit.monitor.profile import code_blocks
from nbkit.wording import suggest

FEWEST = 5  # effective rows below which nothing is judged
GONE = "the column is gone"
COLUMNS = [
    "column", "kind", "test", "value", "debiased", "p_value", "q_value", "level", "n_reference", "n_window", "detail"
]  # fmt: skip


def measure_drift(
    profile: pd.DataFrame, window: pd.DataFrame, tests: Sequence[str] = ("psi",), groups: Any = None
) -> pd.DataFrame:
    """Compare a window with the reference, column by column.

    Parameters
    ----------
    profile
        From `make_profile`.
    window
        The rows now; columns the profile does not hold are ignored.
    tests
        Names of tests, see `nbkit.monitor.distances`.
    groups
        The block of each row of the window, as in `make_profile`.

    Returns
    -------
    DataFrame
        column, kind, test, value, debiased (size beyond what chance alone gives), p_value, q_value (Benjamini and
        Hochberg over all columns and tests together), level, n_reference, n_window, detail. The level is *drift* or
        *watch* only if the debiased size passes the test's threshold **and** q < 0.05, so neither many rows nor few
        raise an alarm; *not judged* where nothing was found but too few rows could have shown it; *drift* where the
        column, or all its values, are gone.

    Raises
    ------
    BadParameter
        An unknown test, or a test that returned no number.

    References
    ----------
    Benjamini, Y. and Hochberg, Y. (1995). Controlling the false discovery rate. J. R. Stat. Soc. B 57, 289-300.
    """
    for name in tests:
        if name not in TESTS:
            raise BadParameter(f"unknown drift test {name!r}{suggest(name, TESTS)}")
    rows, blocks = [], code_blocks(groups, len(window))
    for column, part in profile.groupby("column", sort=False):
        facts = {"column": column, "kind": part["kind"].iloc[0]}
        facts |= {"n_reference": int(part["n"].iloc[0]), "n_window": len(window)}
        wanted = [test for test in map(TESTS.__getitem__, dict.fromkeys(tests)) if facts["kind"] in test.kinds]
        if column not in window.columns:
            rows += [{**facts, "test": test.name, "level": "drift", "detail": GONE} for test in wanted]
            continue
        pair = pair_column(part, window[column], blocks)
        rows += [{**facts, "test": test.name, **_judge(test, pair)} for test in wanted]
    table = pd.DataFrame(rows, columns=[*COLUMNS, "unsure"])
    return _set_levels(table.astype({"value": float, "debiased": float, "p_value": float}))


def _judge(test: DriftTest, pair: Pair) -> dict[str, object]:
    if not pair.window.sum():
        return {"level": "not judged", "detail": "the window has no rows"}
    then, now = pair.reference[:-1].sum(), pair.window[:-1].sum()
    if test.name != "missing" and then == now == 0:
        return {"level": "not judged", "detail": NO_VALUES}
    if test.name != "missing" and min(then, now) == 0:
        return _judge_empty(pair)
    unsure = find_lack(test.name, pair)
    if pair.n * pair.m / (pair.n + pair.m) < FEWEST:
        return {"level": "not judged", "detail": unsure}
    found = test.measure(pair)
    if not np.isfinite([found.debiased if found.debiased != np.inf else 0.0, found.p_value]).all():
        raise BadParameter(f"drift test {test.name!r} gave no number for column {pair.column!r}: {found}")
    facts = {"value": found.value, "debiased": found.debiased, "p_value": found.p_value}
    return {**facts, "detail": found.detail, "unsure": unsure}


def _judge_empty(pair: Pair) -> dict[str, object]:
    """Judge a column that has values on one side only: the chance that as many rows of the other side have none."""
    full, rows, words = pair.reference, pair.m_missing, "all values are missing now"
    if pair.window[:-1].sum():
        full, rows, words = pair.window, pair.n_missing, "the reference holds missing values only"
    usual = (full[-1] + 1) / (full.sum() + 2)
    unsure = f"too few rows ({pair.window.sum():,.0f}) to see that {words}"
    facts = {"value": float(1 - full[-1] / full.sum()), "debiased": 1.0, "p_value": float(usual**rows)}
    return {**facts, "detail": words, "unsure": unsure}


def _set_levels(table: pd.DataFrame) -> pd.DataFrame:
    table["q_value"] = np.nan
    table = table.astype({"level": object, "q_value": float, "detail": "str", "unsure": object})
    judged = table.dropna(subset="p_value")
    if len(judged):
        q = stats.false_discovery_control(judged["p_value"].to_numpy(float))
        size, names = judged["debiased"].to_numpy(float), judged["test"]
        watch, drift = ([getattr(TESTS[name], limit) for name in names] for limit in ("watch", "drift"))
        level = np.where(q < ALPHA, np.where(size >= drift, "drift", np.where(size >= watch, "watch", "ok")), "ok")
        unsure = judged["unsure"].to_numpy(object)
        blind = (level == "ok") & (unsure != "")
        table.loc[judged.index, "q_value"] = q
        table.loc[judged.index, "level"] = np.where(blind, "not judged", level)
        table.loc[judged.index[blind], "detail"] = unsure[blind]
    return table.drop(columns="unsure").astype({"level": "str"})


def compare_shares(profile: pd.DataFrame, window: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Compare how the rows of a window and of the reference are spread over the bins of some columns.

    Parameters
    ----------
    profile
        From `make_profile`.
    window
        The rows now.
    columns
        Which; those that the profile or the window lacks are left out.

    Returns
    -------
    DataFrame
        column, bin, when (reference, window), share (of all rows, missing ones among them), in the order of `columns`.
    """
    parts = []
    for column in columns:
        if column in window.columns and (profile["column"] == column).any():
            pair = pair_column(profile[profile["column"] == column], window[column])
            for when, counts in (("reference", pair.reference), ("window", pair.window)):
                shares = counts / max(counts.sum(), 1)
                parts.append(pd.DataFrame({"column": column, "bin": pair.labels, "when": when, "share": shares}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["column", "bin", "when", "share"])
