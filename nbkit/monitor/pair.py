"""A column of the window on the bins of its profile: what a drift test is given."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from nbkit.monitor.profile import (
    BUCKETS,
    OTHER,
    Blocks,
    Floats,
    count_blocks,
    count_rows,
    find_bins,
    hash_names,
    is_tracked,
    mean_size,
    measure_alike,
    read_names,
    read_numbers,
)

ROWS_PER_BIN = 4  # effective rows that each bucket of rare categories needs
Parts = Mapping[str, Mapping[str, NDArray[Any]]]


@dataclass(frozen=True, eq=False)
class Pair:
    """One column, reference against window, on the same bins.

    Attributes
    ----------
    column, kind
        Which column; numeric or categorical.
    labels
        A name per bin; the last is ``missing``. Rare categories are spread over bins by a hash of their names, as many
        as the rows allow.
    reference, window
        Counts per bin.
    n, m
        Effective rows of both: fewer than the rows where those of a block are alike.
    n_missing, m_missing
        The same for the share of missing values.
    uneven
        By how much blocks blur a chi square law beyond that: its degrees of freedom are divided by it.
    strict
        Effective rows of both together, n m / (n + m), of the contrast in which rows of a block are most alike.
    cells
        Numeric only: the reference in cells of neighbouring values; columns lower (their mean), upper (the largest),
        count.
    facts
        Numeric only: mean, sd and resolution of the reference (how far values lie from the mean of their cell).
    values
        Numeric only: the finite values of the window, sorted.
    unseen
        Categorical only: counts of the window's categories that the reference does not hold.
    expected
        Categorical only: mean, variance and third cumulant of the number of such rows, if both samples have one law.
    tracked
        Categorical only: the share of the categories whose names are kept.
    """

    column: str
    kind: str
    labels: list[str]
    reference: Floats
    window: Floats
    n: float
    m: float
    n_missing: float
    m_missing: float
    cells: pd.DataFrame = field(default_factory=pd.DataFrame)
    facts: Mapping[str, float] = field(default_factory=dict)
    values: Floats = field(default_factory=lambda: np.empty(0))
    uneven: float = 1.0
    strict: float = 0.0
    unseen: "pd.Series[Any]" = field(default_factory=lambda: pd.Series(dtype="int64"))
    expected: tuple[float, float, float] = (0.0, 0.0, 0.0)
    tracked: float = 1.0


def pair_column(profile: pd.DataFrame, window: pd.Series, blocks: Blocks = None) -> Pair:
    """Count a window's column on the bins of its profile.

    Parameters
    ----------
    profile
        The rows of `make_profile` of this column.
    window
        The column now. What cannot be read as a number, in a numeric column, counts as missing.
    blocks
        From `code_blocks`, for the rows of the window.
    """
    names, kind = profile["part"].to_numpy(), str(profile["kind"].iloc[0])
    columns = {name: profile[name].to_numpy() for name in ("lower", "upper", "category", "count", "blocks", "bin")}
    parts = {part: {name: values[names == part] for name, values in columns.items()} for part in dict.fromkeys(names)}
    alike = dict(zip(parts["alike"]["category"], parts["alike"]["upper"], strict=True))
    total, rows = int(profile["n"].iloc[0]), len(window)
    if kind == "numeric":
        numbers, levels = read_numbers(window), list[str]()
        codes = bins = find_bins(numbers, parts["bin"]["upper"][:-1])
    else:
        codes, levels = read_names(window)
        place = {name: number for number, name in enumerate(parts["bin"]["category"][:-1])}
        bins = np.append([place.get(name, len(place)) for name in levels], -1).astype(int)[codes]
    if blocks is not None and rows:  # what never happened in the reference shows in the window how alike its blocks are
        now = measure_alike(bins, blocks)
        alike = {name: max(alike[name], value) for name, value in zip(now["category"], now["upper"], strict=True)}
    sizes = {"n": (total, float(parts["alike"]["count"][0])), "m": (rows, mean_size(blocks, rows))}
    facts: dict[str, Any] = {"column": str(profile["column"].iloc[0]), "kind": kind}
    for side, (number, size) in sizes.items():
        facts |= {side: number / (1 + (size - 1) * alike["mean"])}
        facts |= {f"{side}_missing": number / (1 + (size - 1) * alike["missing"])}
    if rows:
        more = total * rows / (total + rows) * sum((size - 1) / number for number, size in sizes.values())
        mean = 1 + more * alike["mean"]
        facts["uneven"] = max((1 + 2 * more * alike["mean"] + (more * alike["square"]) ** 2) / mean**2, 1.0)
        facts["strict"] = total * rows / (total + rows) / (1 + more * alike["largest"])
    if kind == "numeric":
        return _pair_numbers(parts, numbers, bins, facts)
    return _pair_names(parts, (codes, levels), bins, blocks, facts)


def _pair_numbers(parts: Parts, numbers: Floats, codes: NDArray[Any], facts: dict[str, Any]) -> Pair:
    bins = parts["bin"]
    labels = [_label(low, high) for low, high in zip(bins["lower"], bins["upper"], strict=True)]
    return Pair(
        **facts,
        labels=[*labels, "missing"],
        reference=np.append(bins["count"], parts["missing"]["count"]),
        window=np.append(count_rows(codes, len(labels)), (codes < 0).sum()),
        cells=pd.DataFrame(parts.get("cell", {"lower": [], "upper": [], "count": []}), dtype=float),
        facts=dict(zip(parts["fact"]["category"], parts["fact"]["upper"], strict=True)),
        values=np.sort(numbers[np.isfinite(numbers)]),
    )


def _pair_names(
    parts: Parts, window: tuple[NDArray[Any], list[str]], bins: NDArray[Any], blocks: Blocks, facts: dict[str, Any]
) -> Pair:
    (codes, levels), large = window, parts["bin"]["category"].tolist()[:-1]
    tracked, hashes = float(parts["fact"]["upper"][0]), hash_names(levels)
    now = np.bincount(hashes[codes[bins == len(large)]] % BUCKETS, minlength=BUCKETS)
    then = np.zeros(BUCKETS)
    if "bucket" in parts:
        then[parts["bucket"]["bin"]] = parts["bucket"]["count"]
    effective = facts["n"] * facts["m"] / max(facts["n"] + facts["m"], 1)
    width = _fold(effective / ROWS_PER_BIN - len(large) - 1)
    then, now = (part.reshape(-1, width).sum(axis=0) for part in (then, now))
    used = (then + now > 0) | (width == 1)
    labels = [OTHER if width == 1 else f"{OTHER}, part {number + 1} of {width}" for number in np.flatnonzero(used)]
    known = parts.get("category", {"category": [], "count": np.empty(0), "blocks": np.empty(0)})
    unseen, expected = _find_unseen(known, parts["alike"]["blocks"][0], (codes, levels, hashes, tracked), blocks)
    return Pair(
        **facts,
        labels=[*large, *labels, "missing"],
        reference=np.concatenate([parts["bin"]["count"][:-1], then[used], parts["missing"]["count"]]),
        window=np.concatenate([count_rows(bins, len(large) + 1)[:-1], now[used], [(codes < 0).sum()]]),
        unseen=unseen,
        expected=expected,
        tracked=tracked,
    )


def _find_unseen(
    known: Mapping[str, Any], outside: float, now: tuple[Any, list[str], Any, float], blocks: Blocks
) -> "tuple[pd.Series[Any], tuple[float, float, float]]":
    """Return the window's categories that the reference lacks, and the law of such rows without drift.

    Both samples together are one set of blocks (of rows, where these count one by one) that was cut at random: a
    category of c blocks is unseen if all of them fell into the window. So the chance of what was never met (Good and
    Turing) is counted with the noise of both sides.
    """
    codes, levels, hashes, tracked = now
    rows = count_rows(codes, len(levels))
    met = count_blocks(codes, len(levels), blocks)
    place = {name: number for number, name in enumerate(known["category"])}
    where = np.array([place.get(name, -1) for name in levels], dtype=int)
    new = (where < 0) & is_tracked(hashes, tracked)
    weight, taken = np.array(known["count"], dtype=float), np.array(known["blocks"], dtype=float)
    weight[where[where >= 0]] += rows[where >= 0]
    taken[where[where >= 0]] += met[where >= 0]
    weight, taken = np.append(weight, rows[new]), np.append(taken, met[new])
    inside = float((codes >= 0).sum()) if blocks is None else float(np.unique(blocks).size)
    chance = np.exp(_log_choose(taken, inside, inside + outside))
    unseen = pd.Series(rows[new], index=np.array(levels, dtype=object)[new], dtype=float).astype("int64")
    unseen = unseen.sort_index().sort_values(ascending=False, kind="stable")
    variance = chance * (1 - chance)
    mean, third = float((weight * chance).sum()), float((weight**3 * variance * (1 - 2 * chance)).sum())
    return unseen, (mean, float((weight**2 * variance).sum()), third)


def _log_choose(taken: Floats, inside: float, whole: float) -> Floats:
    """Return the log of the chance that so many blocks, drawn from the whole, all come from inside."""
    fits = taken <= inside
    few = np.where(fits, taken, 0)
    chance = special.gammaln(inside + 1) - special.gammaln(inside - few + 1)
    chance -= special.gammaln(whole + 1) - special.gammaln(whole - few + 1)
    return np.where(fits, np.minimum(chance, 0), -np.inf)


def _fold(room: float) -> int:
    """Return the largest power of two that fits, at most BUCKETS and at least 1.

    Examples
    --------
    >>> _fold(100.0), _fold(0.5), _fold(1e9)
    (64, 1, 4096)
    """
    return 1 if room < 2 else min(BUCKETS, 1 << int(np.log2(room)))


@np.errstate(over="ignore")  # the number after the largest is infinity
def _label(lower: float, upper: float) -> str:
    if np.isinf(lower) and np.isinf(upper):
        return "any number"
    if np.isinf(lower):
        most, below = f"up to {upper:.4g}", f"below {np.nextafter(upper, np.inf) + 0.0:.4g}"
        return min(most, below, key=lambda words: len(words.split()[-1]))  # an edge just below 0 reads as "below 0"
    if np.isinf(upper):
        return f"above {lower:.4g}"
    return f"{upper:.4g}" if np.nextafter(lower, np.inf) == upper else f"{lower:.4g} to {upper:.4g}"
