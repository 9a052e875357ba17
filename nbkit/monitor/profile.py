"""The reference, kept as a small table: per column its bins, shares, cells and moments, and no raw rows."""

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api import types

from nbkit.columns import spell_level
from nbkit.errors import BadParameter

BINS = 10
EVEN, TAIL = 600, 200  # cells of equal size, and ever smaller ones towards each end, for distances
MIN_SHARE, MIN_ROWS = 0.01, 30  # rarer categories share the bin OTHER; fewer rows would be picked by luck
MAX_BINS = 50
MAX_CATEGORIES = 10_000  # names kept so that an unseen one can be told; of more, a share drawn by hash
BUCKETS = 4_096  # by a hash of the name, in which rare categories are counted
OTHER = "(other)"
ALIKE = ("mean", "square", "largest", "missing")
KINDS = ("numeric", "categorical")
COLUMNS = ["column", "kind", "part", "bin", "lower", "upper", "category", "count", "blocks", "share", "n"]
FILL: dict[str, Any] = {"bin": -1, "lower": np.nan, "upper": np.nan, "category": None, "count": 0.0, "blocks": np.nan}
TYPES = dict.fromkeys(("column", "kind", "part", "category"), "str") | {"bin": "int64"}
TYPES |= dict.fromkeys(("lower", "upper", "count", "blocks"), "float64")
Floats = NDArray[np.float64]
Blocks = NDArray[np.int64] | None
Chunk = dict[str, Any]  # the rows of one part: its name, and a value a row of what it has


def make_profile(reference: pd.DataFrame, *, groups: Any = None) -> pd.DataFrame:
    """Summarise a reference table, column by column.

    Parameters
    ----------
    reference
        Rows of the time when all was well, as the model sees them raw; a column of predictions may be among them.
        Columns of times are left out: they always move.
    groups
        The block of each row, as from `nbkit.Problem.blocks`, where rows of one are alike; a test then counts how
        alike they are.

    Returns
    -------
    DataFrame
        column, kind, part, bin, lower, upper, category, count, blocks, share (of all rows), n (all rows). Parts:
        ``bin`` (numeric bins are (lower, upper] with the reference's deciles as edges; categories under 1 % of the
        rows, or beyond the 50 largest, share the bin ``(other)``), ``category`` (blocks: in how many it is met),
        ``bucket`` (rare categories by a hash of their names), ``cell`` (neighbouring values: lower is their mean, upper
        the largest), ``fact`` (mean, sd, resolution; the share of names that are kept), ``missing``, ``alike`` (how
        alike rows of a block are, 0 where rows count one by one).

    Raises
    ------
    BadParameter
        No rows, or groups of other rows.
    """
    if reference.empty:
        raise BadParameter("a profile needs rows; the reference is empty")
    blocks = code_blocks(groups, len(reference))
    chunks: list[Chunk] = []
    for name in reference.columns:
        column = reference[name]
        if column.dtype.kind in "mM":
            continue
        numeric = types.is_numeric_dtype(column.dtype) and not types.is_bool_dtype(column.dtype)
        kind, make = ("numeric", _profile_numeric) if numeric else ("categorical", _profile_categories)
        chunks += [{**FILL, **chunk, "column": str(name), "kind": kind} for chunk in make(column, blocks)]
    return _assemble(chunks, len(reference))


def code_blocks(groups: Any, rows: int) -> "NDArray[np.int64] | None":
    """Return the block of each row as a number, or None where rows count one by one.

    Raises
    ------
    BadParameter
        If there are not as many as rows.
    """
    if groups is None:
        return None
    if len(groups) != rows:
        raise BadParameter(f"{len(groups)} blocks for {rows} rows: they must be of the same rows")
    return pd.factorize(np.asarray(groups), use_na_sentinel=False)[0].astype(np.int64)


def _assemble(chunks: list[Chunk], n: int) -> pd.DataFrame:
    """Put the parts together, each a value or several a column."""
    table: dict[str, list[Any]] = {name: [] for name in COLUMNS if name not in ("share", "n")}
    for chunk in chunks:
        size = np.size(chunk["count"] if np.ndim(chunk["count"]) else chunk["upper"])
        for name, values in table.items():
            values += np.broadcast_to(np.asarray(chunk[name], dtype=object), size).tolist()
    frame = pd.DataFrame(table, dtype=object).astype(TYPES).assign(n=n)
    frame["share"] = frame["count"] / n
    return frame[COLUMNS].astype({"n": "int64"})


@np.errstate(over="ignore")  # the number before infinity is the largest
def _profile_numeric(column: pd.Series, blocks: Blocks) -> list[Chunk]:
    numbers = read_numbers(column)
    ordered = np.sort(numbers[~np.isnan(numbers)])
    edges = np.unique(ordered[[place * len(ordered) // BINS for place in range(1, BINS)]]) if len(ordered) else ordered
    if len(edges) and edges[0] == ordered[0]:  # else a value below the smallest would fall into the smallest's bin
        edges = np.insert(edges, 0, np.nextafter(edges[0], -np.inf))
    codes, bins = find_bins(numbers, edges), np.arange(len(edges) + 1)
    counts, lower, upper = count_rows(codes, len(bins)), np.append(-np.inf, edges), np.append(edges, np.inf)
    cut = {"part": "bin", "bin": bins, "lower": lower, "upper": upper, "count": counts}
    missing = {"part": "missing", "count": [len(numbers) - len(ordered)]}
    return [cut, *_make_cells(ordered[np.isfinite(ordered)]), missing, measure_alike(codes, blocks)]


def _make_cells(finite: Floats) -> list[Chunk]:
    """Return cells of neighbouring values, small ones in the tails, and the moments."""
    n = len(finite)
    if not n:
        return [{"part": "fact", "category": ["mean", "sd", "resolution"], "upper": [np.nan, np.nan, 0.0]}]
    steps = np.geomspace(1, max(n / EVEN, 1), TAIL)
    starts = np.unique(np.concatenate([np.linspace(0, n, EVEN + 1), steps, n - steps]).round().astype(int))
    starts = starts[starts < n]
    counts = np.diff(np.append(starts, n))
    unit = max(float(np.abs(finite).max()), np.finfo(float).tiny)  # sums of huge values overflow
    scaled = finite / unit
    means = np.add.reduceat(scaled, starts) / counts
    resolution = float(np.abs(scaled - np.repeat(means, counts)).mean())
    moments = [scaled.mean() * unit, scaled.std() * unit, resolution * unit]
    ends = finite[np.append(starts[1:], n) - 1]
    cells = {"part": "cell", "bin": np.arange(len(starts)), "lower": means * unit, "upper": ends, "count": counts}
    return [cells, {"part": "fact", "category": ["mean", "sd", "resolution"], "upper": moments}]


def _profile_categories(column: pd.Series, blocks: Blocks) -> list[Chunk]:
    codes, levels = read_names(column)
    counts = count_rows(codes, len(levels))
    order = sorted(range(len(levels)), key=lambda place: (-counts[place], levels[place]))
    counts, names = counts[order], [levels[place] for place in order]
    ranks = np.append(np.argsort(order), -1)[codes].astype(int)  # of the category of each row; -1 where it is missing
    large = min(int((counts >= max(MIN_SHARE * len(column), MIN_ROWS)).sum()), MAX_BINS)
    hashes = hash_names(names)
    tracked = min(1.0, MAX_CATEGORIES / max(len(names), 1))
    kept = (np.arange(len(names)) < large) | is_tracked(hashes, tracked)
    spread = np.bincount(hashes[large:] % BUCKETS, weights=counts[large:], minlength=BUCKETS)
    bins = np.append(counts[:large], counts[large:].sum())
    met = count_blocks(ranks, len(names), blocks)
    return [
        {"part": "bin", "bin": np.arange(large + 1), "category": [*names[:large], OTHER], "count": bins},
        {
            "part": "category",
            "bin": np.minimum(np.flatnonzero(kept), large),
            "category": np.array(names, dtype=object)[kept],
            "count": counts[kept],
            "blocks": met[kept],
        },
        {"part": "bucket", "bin": np.flatnonzero(spread), "count": spread[spread > 0]},
        {"part": "fact", "category": ["tracked"], "upper": [tracked]},
        {"part": "missing", "count": [int((codes < 0).sum())]},
        measure_alike(np.minimum(ranks, large), blocks),
    ]


def measure_alike(codes: NDArray[Any], blocks: Blocks) -> Chunk:
    """Return how alike the rows of a block are: correlations within blocks, the mean size of a row's block, and blocks.

    Of the bins the mean over all contrasts (``mean``), the root mean square (``square``) and the strongest contrast
    (``largest``), and that of missing values (``missing``).
    """
    size, count = mean_size(blocks, len(codes)), float(len(codes)) if blocks is None else float(blocks.max() + 1)
    found = np.zeros(len(ALIKE))
    if blocks is not None and 1 < size < len(codes):
        values = (_effects(codes - codes.min(), blocks) - 1) / (size - 1)
        gaps = (_effects((codes == -1).astype(int), blocks) - 1) / (size - 1)
        found[:3] = values.mean(), np.sqrt((values**2).mean()), values.max()
        found[3] = gaps.mean()
    both = {"count": np.full(len(ALIKE), size), "blocks": np.full(len(ALIKE), count)}
    return {"part": "alike", "category": list(ALIKE), "upper": np.clip(found, 0, 1), **both}


def _effects(codes: NDArray[Any], blocks: NDArray[np.int64]) -> Floats:
    """Return by how much blocks make each contrast of the bins vary more than rows drawn one by one (eigenvalues).

    References
    ----------
    Rao, J. N. K. and Scott, A. J. (1984). On chi-squared tests for multiway contingency tables with cell proportions
    estimated from survey data. The Annals of Statistics 12, 46-60.
    """
    count, width = int(blocks.max()) + 1, int(codes.max()) + 1
    table = np.bincount(blocks * width + codes, minlength=count * width).reshape(count, width).astype(float)
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:
        return np.ones(1)
    share = table.sum(axis=0) / len(codes)
    off = (table - table.sum(axis=1, keepdims=True) * share) / np.sqrt(len(codes) * share)
    return np.asarray(np.linalg.eigvalsh(off.T @ off * count / (count - 1))[1:], dtype=float)


def mean_size(blocks: Blocks, rows: int) -> float:
    """Return how many rows the block of a row has, on average over rows."""
    return 1.0 if blocks is None or not rows else float((np.bincount(blocks).astype(float) ** 2).sum() / rows)


def count_blocks(codes: NDArray[Any], levels: int, blocks: Blocks) -> Floats:
    """Return in how many blocks each level is met; code -1 is none of them."""
    if blocks is None:
        return count_rows(codes, levels)
    there, size = codes >= 0, int(blocks.max(initial=0)) + 1
    return count_rows(np.unique(codes[there].astype(np.int64) * size + blocks[there]) // size, levels)


def find_bins(numbers: Floats, edges: Floats) -> NDArray[np.int64]:
    """Return the bin (lower, upper] between edges of each number; -1 where it is missing."""
    return np.where(np.isnan(numbers), -1, np.searchsorted(edges, numbers, side="left"))


def count_rows(codes: NDArray[Any], levels: int) -> Floats:
    """Return how many rows have each code; -1 is none of them."""
    return np.bincount(codes[codes >= 0], minlength=levels).astype(float)


def hash_names(names: Sequence[str]) -> NDArray[np.int64]:
    """Return a number below 2³² for each name, the same in every process."""
    return np.array([zlib.crc32(name.encode("utf-8", "surrogatepass")) for name in names], dtype=np.int64)


def is_tracked(hashes: NDArray[np.int64], share: float) -> NDArray[np.bool_]:
    """Return whether names belong to the share of all names that is kept."""
    return hashes // BUCKETS < share * 2**32 / BUCKETS


def read_numbers(column: pd.Series) -> Floats:
    """Return a column as numbers, NaN where it holds none."""
    if column.dtype.kind in "mM":
        return np.full(len(column), np.nan)
    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)


def read_names(column: pd.Series) -> tuple[NDArray[np.int64], list[str]]:
    """Return the category of each row as a number, -1 where it is missing, and their names.

    What reads the same is one category: 3.0 and 3, True and 1.
    """
    try:
        codes, values = pd.factorize(column)
    except TypeError:  # lists and the like
        codes, values = pd.factorize(column.where(column.isna(), column.map(str)))
    places: dict[str, int] = {}
    merged = [places.setdefault(spell_level(value), len(places)) for value in values]
    return np.append(merged, -1).astype(np.int64)[codes], list(places)
