"""One value of a column, or its absence, that stands almost only for one class; or that equals part of a target."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from nbkit.columns import column_kind

Code = tuple[str, float, str]  # reason, score, evidence
LIKELIER = 30  # how many times as likely a value must be where the target is of a class
SHARE, SHARE_MISSING = 0.15, 0.1  # the share of the class that has the value, or no value
RARE = 0.5  # classes with a larger share are stood for by many honest values
LEAST = 10  # rows
MODE = 0.3  # a value of so many rows has a group of rows that differ from it
TOKENS, LONG = 500, 50
DIGITS = 3  # after the first, in which a constant factor must agree: amounts are rounded
EQUAL = 0.2  # the share of rows in which a number may equal a continuous target


def find_pure_value(column: "pd.Series[Any]", values: "pd.Series[Any]", outcome: np.ndarray) -> Code | None:
    """Find a value that is at least thirty times as likely in one class as in the others.

    Parameters
    ----------
    column, values
        The column, and the target, of the same rows.
    outcome
        An indicator of each class, from `nbkit.leakage.learn.outcome_columns`.

    Returns
    -------
    tuple or None
        Reason, the share of the class that has the value, and evidence; None if there is no such value. A number whose
        neighbours stand for the class as well does not count: an honest measure is sure of itself far from the middle.

    Examples
    --------
    >>> y = pd.Series(np.tile([0, 0, 0, 1], 250))
    >>> flag = ((y == 1) & (np.arange(1000) % 8 == 3)).astype(int)
    >>> find_pure_value(flag, y, np.eye(2)[y])[2]
    'it is 1 in 50% of the rows whose target is 1, and in 0.0% of the others'
    """
    sizes = outcome.sum(axis=0)
    rest = len(outcome) - sizes
    told: list[Code] = []
    for words, codes, ordered, least in _list_groupings(column):
        known = codes >= 0
        inside = np.array([np.bincount(codes[known], weights=each[known]) for each in outcome.T]).T
        total = np.bincount(codes[known])[:, None]
        share = inside / np.maximum(sizes, 1)
        likelier = share / ((total - inside + 1) / (rest + 1))
        pure = (likelier >= LIKELIER) & (share >= least) & (inside >= LEAST) & (sizes <= RARE * len(outcome))
        for code, place in np.argwhere(pure):
            if ordered and _is_gradual(codes, int(code), outcome[:, place]):
                continue
            level = pd.factorize(values, sort=False)[1][place]
            other = float((total[code] - inside[code, place])[0] / rest[place])
            said = f"{words(int(code))} in {share[code, place]:.0%} of the rows whose target is {level}"
            said = f"{said}, and in {other:.1%} of the others"
            told.append(("stands almost only for one class", float(share[code, place]), said))
    return max(told, key=lambda one: one[1], default=None)


def _list_groupings(column: "pd.Series[Any]") -> Iterator[tuple[Any, np.ndarray, bool, float]]:
    """Yield ways to group rows: words for a group, codes (-1: in none), whether they are ordered, the least share."""
    missing = column.isna().to_numpy()
    if missing.any():
        yield (lambda _: "it is missing"), np.where(missing, 0, -1), False, SHARE_MISSING
    kind = column_kind(column)
    plain = column.astype("str") if kind == "text" else column
    codes, levels = pd.factorize(plain.where(~missing), sort=kind != "text")
    counts = np.bincount(codes[codes >= 0], minlength=1)
    yield (lambda code: f"it is {levels[code]}"), codes, kind != "text", SHARE
    top = int(counts.argmax())
    if counts[top] >= MODE * len(column) and len(levels) > 2:
        yield (lambda _: f"it is not {levels[top]}"), np.where((codes != top) & ~missing, 0, -1), False, SHARE
    if kind == "datetime":
        yield (lambda code: f"its hour is {code}"), column.dt.hour.fillna(-1).to_numpy().astype(int), True, SHARE
    elif kind == "text" and len(levels) > LONG:
        yield from _list_tokens(plain.where(~missing, ""))


def _list_tokens(texts: "pd.Series[Any]") -> Iterator[tuple[Any, np.ndarray, bool, float]]:
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(binary=True, min_df=LEAST, max_features=TOKENS)
    try:
        held = counter.fit_transform(texts).tocsc()
    except ValueError:  # no word is in so many rows
        return
    for place, token in enumerate(counter.get_feature_names_out()):
        codes = np.full(len(texts), -1)
        codes[held.indices[held.indptr[place] : held.indptr[place + 1]]] = 0
        yield (lambda _, token=token: f"it contains {token!r}"), codes, False, SHARE


def _is_gradual(codes: np.ndarray, code: int, indicator: np.ndarray) -> bool:
    """Return whether the rows with the nearest values stand for a class as well, on one side at least."""
    size = max(LEAST, int((codes == code).sum()) // 2)
    for side in (np.flatnonzero((codes >= 0) & (codes < code)), np.flatnonzero(codes > code)):
        towards = codes[side] if side.size and codes[side[0]] > code else -codes[side]
        near = side[np.argsort(towards, kind="stable")[:size]]
        if len(near) >= LEAST and indicator[near].mean() >= (1 + indicator.mean()) / 2:
            return True
    return False


def find_equal_part(column: "pd.Series[Any]", values: "pd.Series[Any]") -> Code | None:
    """Find out whether a number equals a continuous target, or a constant times it, in part of the rows.

    Parameters
    ----------
    column, values
        The column, and a target of numbers.

    Examples
    --------
    >>> y = pd.Series(np.random.default_rng(0).normal(100, 9, 400))
    >>> find_equal_part(y.where(y.index % 2 == 0, 0.0), y)[2]
    'in 50% of the rows it is the target'
    """
    if column_kind(column) != "number" or values.nunique() < len(values) / 4:
        return None
    with np.errstate(all="ignore"):
        ratio = column.to_numpy(dtype="float64", na_value=np.nan) / values.to_numpy(dtype="float64")
    ratio = ratio[np.isfinite(ratio) & (ratio != 0)]
    if len(ratio) < EQUAL * len(values):
        return None
    unit = 10.0 ** (np.floor(np.log10(np.abs(ratio))) - DIGITS)
    levels, counts = np.unique(np.round(ratio / unit) * unit, return_counts=True)
    usual, count = levels[counts.argmax()], int(counts.max())
    share = count / len(values)
    if share < EQUAL or column.nunique() < count / 4:
        return None
    times = "" if usual == 1 else f" times {usual:g}"
    return "is the target in part of the rows", float(share), f"in {share:.0%} of the rows it is the target{times}"
