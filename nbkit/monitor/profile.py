"""The reference, kept as a small table: per column its bins, shares and quantiles, and no raw rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api import types

from nbkit.errors import BadParameter
from nbkit.wording import suggest

BINS = 10
QUANTILES = 1_000  # points of the reference kept for distances between distribution functions
MIN_SHARE = 0.01  # rarer categories share the bin OTHER
MAX_BINS = 50
MAX_CATEGORIES = 10_000  # names kept so that an unseen one can be told
OTHER = "(other)"
KINDS = ("numeric", "categorical")
COLUMNS = ["column", "kind", "part", "bin", "lower", "upper", "category", "count", "share", "n"]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pair:
    """One column, reference against window, on the same bins.

    Attributes
    ----------
    column, kind
        Which column; numeric or categorical.
    labels
        A name per bin; the last is ``missing``.
    reference, window
        Counts per bin.
    quantiles, values
        Numeric only: evenly spaced quantiles of the reference, and the finite values of the window, sorted.
    unseen
        Categorical only: counts of the window's categories that the reference does not hold.
    once
        Categorical only: how many categories the reference holds exactly once.
    """

    column: str
    kind: str
    labels: list[str]
    reference: Floats
    window: Floats
    quantiles: Floats
    values: Floats
    unseen: pd.Series
    once: int


def make_profile(
    reference: pd.DataFrame, *, columns: Sequence[str] | None = None, kinds: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Summarise a reference table, column by column.

    Parameters
    ----------
    reference
        Rows of the time when all was well, as the model sees them raw; a column of predictions may be among them.
    columns
        Which; all by default. Columns of times are left out: they always move.
    kinds
        Column to ``numeric`` or ``categorical`` where its dtype says otherwise (numbers that are codes).

    Returns
    -------
    DataFrame
        column, kind, part (``bin``, ``category``, ``quantile``, ``missing``), bin, lower, upper, category, count,
        share (of all rows), n (all rows). Numeric bins are (lower, upper] with the reference's deciles as edges;
        categories under 1 % of the rows, or beyond the 50 largest, share the bin ``(other)``.

    Raises
    ------
    BadParameter
        An unknown column or kind, or no rows.
    """
    if reference.empty:
        raise BadParameter("a profile needs rows; the reference is empty")
    names = list(reference.columns) if columns is None else list(columns)
    for name in [*names, *(kinds or {})]:
        if name not in reference.columns:
            raise BadParameter(f"the reference has no column {name!r}{suggest(str(name), reference.columns)}")
    parts = []
    for name in names:
        kind = (kinds or {}).get(name) or find_kind(reference[name])
        if kind == "time":
            continue
        if kind not in KINDS:
            raise BadParameter(f"column {name!r} cannot be {kind!r}; a kind is {' or '.join(KINDS)}")
        part = _profile_numeric(reference[name]) if kind == "numeric" else _profile_categories(reference[name])
        parts.append(part.assign(column=str(name), kind=kind, n=len(reference)))
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)
    table["share"] = table["count"] / table["n"]
    return table.reindex(columns=COLUMNS).astype({"category": "str", "bin": "int64", "n": "int64"})


def find_kind(column: pd.Series) -> str:
    """Return ``numeric``, ``categorical`` or ``time`` for a column."""
    if types.is_datetime64_any_dtype(column.dtype) or types.is_timedelta64_dtype(column.dtype):
        return "time"
    if types.is_bool_dtype(column.dtype) or not types.is_numeric_dtype(column.dtype):
        return "categorical"
    return "numeric"


def pair_column(profile: pd.DataFrame, window: pd.Series) -> Pair:
    """Count a window's column on the bins of its profile.

    Parameters
    ----------
    profile
        The rows of `make_profile` of this column.
    window
        The column now. What cannot be read as a number, in a numeric column, counts as missing.
    """
    kind, name = str(profile["kind"].iloc[0]), str(profile["column"].iloc[0])
    bins = profile[profile["part"] == "bin"].sort_values("bin")
    missing = profile.loc[profile["part"] == "missing", "count"].to_numpy(float)
    reference = np.append(bins["count"].to_numpy(float), missing)
    nothing, empty = pd.Series(dtype="int64"), np.empty(0)
    if kind == "numeric":
        numbers = _numbers(window)
        present = numbers[~np.isnan(numbers)]
        edges = bins["upper"].to_numpy(float)[:-1]
        counts = np.bincount(np.searchsorted(edges, present, side="left"), minlength=len(bins)).astype(float)
        quantiles = profile.loc[profile["part"] == "quantile", "upper"].to_numpy(float)
        labels = [_label(low, high) for low, high in zip(bins["lower"], bins["upper"], strict=True)]
        values, unseen, once = np.sort(present[np.isfinite(present)]), nothing, 0
    else:
        known = profile[profile["part"] == "category"]
        names = _names(window)
        place = dict(zip(known["category"], known["bin"], strict=True))
        seen = names.map(place)
        other = int(bins["bin"].iloc[-1])
        counts = np.bincount(seen.fillna(other).astype("int64"), minlength=len(bins)).astype(float)
        strange = names[seen.isna()] if len(known) < MAX_CATEGORIES else names[:0]
        quantiles, values, labels = empty, empty, bins["category"].tolist()
        unseen, once = strange.value_counts(), int((known["count"] == 1).sum())
    lost = float(len(window) - counts.sum())
    return Pair(
        name, kind, [*labels, "missing"], reference, np.append(counts, lost), quantiles, values, unseen, once
    )  # fmt: skip


def _profile_numeric(column: pd.Series) -> pd.DataFrame:
    numbers = _numbers(column)
    ordered = np.sort(numbers[~np.isnan(numbers)])
    edges = np.unique(ordered[[place * len(ordered) // BINS for place in range(1, BINS)]]) if len(ordered) else ordered
    if len(edges) and edges[0] == ordered[0]:  # else a value below the smallest would fall into the smallest's bin
        edges = np.insert(edges, 0, np.nextafter(edges[0], -np.inf))
    counts = np.bincount(np.searchsorted(edges, ordered, side="left"), minlength=len(edges) + 1)
    lower, upper = np.append(-np.inf, edges), np.append(edges, np.inf)
    bins = pd.DataFrame({"part": "bin", "bin": range(len(counts)), "lower": lower, "upper": upper, "count": counts})
    finite = ordered[np.isfinite(ordered)]
    count = min(QUANTILES, len(finite))
    kept = finite[((np.arange(count) + 0.5) / max(count, 1) * len(finite)).astype(int)]
    quantiles = pd.DataFrame({"part": "quantile", "bin": range(len(kept)), "upper": kept})
    return pd.concat([bins, quantiles, _missing(len(numbers) - len(ordered))], ignore_index=True)


def _profile_categories(column: pd.Series) -> pd.DataFrame:
    counts = _names(column).value_counts()
    counts = counts.sort_index().sort_values(ascending=False, kind="stable")
    large = counts[counts >= MIN_SHARE * len(column)].index[:MAX_BINS]
    place = pd.Series(range(len(large)), index=large)
    category = pd.DataFrame({"part": "category", "category": counts.index, "count": counts.to_numpy()})
    category["bin"] = place.reindex(counts.index).fillna(len(large)).to_numpy(int)
    bins = pd.DataFrame({"part": "bin", "bin": range(len(large) + 1), "category": [*large, OTHER]})
    bins["count"] = category.groupby("bin")["count"].sum().reindex(range(len(large) + 1), fill_value=0)
    lost = _missing(len(column) - int(counts.sum()))
    return pd.concat([bins, category.head(MAX_CATEGORIES), lost], ignore_index=True)


def _label(lower: float, upper: float) -> str:
    if np.isinf(lower) and np.isinf(upper):
        return "any number"
    if np.isinf(lower):
        most, below = f"up to {upper:.4g}", f"below {np.nextafter(upper, np.inf) + 0.0:.4g}"
        return min(most, below, key=lambda words: len(words.split()[-1]))  # an edge just below 0 reads as "below 0"
    if np.isinf(upper):
        return f"above {lower:.4g}"
    return f"{upper:.4g}" if np.nextafter(lower, np.inf) == upper else f"{lower:.4g} to {upper:.4g}"


def _missing(count: int) -> pd.DataFrame:
    return pd.DataFrame({"part": ["missing"], "bin": [-1], "count": [count]})


def _numbers(column: pd.Series) -> Floats:
    if types.is_datetime64_any_dtype(column.dtype) or types.is_timedelta64_dtype(column.dtype):
        return np.full(len(column), np.nan)
    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)


def _names(column: pd.Series) -> pd.Series:
    """Return what is there as text; 3.0 and 3 are one category."""
    return column.dropna().map(_name).astype("str")


def _name(value: Any) -> str:
    whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value)) if whole else str(value)
