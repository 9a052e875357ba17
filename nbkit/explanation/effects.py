"""In which direction columns move predictions, in points and in words, and how firm their order is."""

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from nbkit.columns import column_kind
from nbkit.contract import Contract, describe_column
from nbkit.explanation.attribution import Explanation
from nbkit.slicing import cut_slices, spell_edges
from nbkit.stats import Array, Z, normal_quantile
from nbkit.wording import capitalize, format_count

FEWEST, SHARE = 20, 0.05  # rows, and their share, on either side of a threshold
LEVELS = 10
NOT_FIRM = "not firm"


def measure_effects(explanation: Explanation, *, features: int = 6, bins: int = 8) -> pd.DataFrame:
    """Average what a column does over its range: direction and shape of its effect, with how many rows stand behind.

    Parameters
    ----------
    explanation
        From `explain`.
    features
        So many columns, the most important first.
    bins
        Of a number; their edges are rounded.

    Returns
    -------
    DataFrame
        Columns `feature`, `slice`, `n`, `effect` (mean, in the unit of `in_points`), `low`, `high` (95 %) and, for
        multi-class, `class`. Of many categories the ten most frequent are shown, and the others together.
    """
    values, _, _ = explanation.in_points()
    keys, parts = (["class", "slice"] if "class" in values else ["slice"]), []
    for name in explanation.importance["feature"].head(features):
        labels = cut_rounded(explanation.data[name], bins)
        table = values[[*keys[:-1], name]].rename(columns={name: "effect"})
        table = table.assign(slice=labels.reindex(table.index).to_numpy())
        table["slice"] = pd.Categorical(table["slice"], categories=labels.cat.categories)
        found = table.groupby(keys, observed=True)["effect"].agg(n="size", effect="mean", sd="std").reset_index()
        half = Z * found["sd"].fillna(0.0) / np.sqrt(found["n"])
        found = found.assign(low=found["effect"] - half, high=found["effect"] + half, feature=name)
        parts.append(found.assign(slice=found["slice"].astype(str)))
    columns = ["feature", "slice", "n", "effect", "low", "high", *keys[:-1]]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def cut_rounded(column: "pd.Series[Any]", bins: int = 8) -> "pd.Series[Any]":
    """Return a categorical column of slices: a number between rounded edges, anything else by its frequent levels.

    Examples
    --------
    >>> cut_rounded(pd.Series(range(3, 100)), 4).cat.categories.tolist()
    ['under 30', '30 to 50', '50 to 80', '80 and above']
    """
    if column_kind(column) != "number" or column.nunique() <= LEVELS:
        return cut_slices(column, levels=LEVELS)
    values = column.to_numpy(dtype=float, na_value=np.nan)
    edges = round_edges(values, bins)
    shown = spell_edges(edges)
    names = [f"under {shown[0]}", *(f"{a} to {b}" for a, b in pairwise(shown)), f"{shown[-1]} and above"]
    told = np.array([*names, "missing"], dtype=object)[
        np.where(np.isnan(values), len(names), np.searchsorted(edges, values, side="right"))
    ]
    found = [name for name in [*names, "missing"] if name in set(told)]
    return pd.Series(pd.Categorical(told, categories=found), index=column.index)


def round_edges(values: Array, bins: int) -> Array:
    """Return inner edges of bins with about as many values each, rounded to a step that people would choose.

    Examples
    --------
    >>> round_edges(np.arange(0.0, 97.0), 4).tolist()
    [20.0, 50.0, 70.0]
    """
    known = values[np.isfinite(values)]
    levels, counts = np.unique(known, return_counts=True)
    most = 2 * counts.max() > len(known) > counts.max()  # rows have one value: it is the others that are parted
    rest = known[known != levels[counts.argmax()]] if most else known
    bins = max(round(bins * len(rest) / len(known)), 2)
    quarters = rest / 4  # of the largest numbers there are no differences
    inner = 4 * np.quantile(quarters, np.linspace(0, 1, bins + 1)[1:-1])
    reach = float(np.subtract(*np.quantile(quarters, [0.95, 0.05]))) or float(np.ptp(quarters)) or 0.25
    rough = max(reach / bins * 2, 1e-300)
    digits = int(np.floor(np.log10(rough)))
    step = max(each for each in (1, 2, 5) if each * 10.0**digits <= rough * 1.0001) * 10.0**digits
    step = max(step, 1.0) if np.all(known == np.round(known)) else step
    with np.errstate(over="ignore", invalid="ignore"):  # rounded beyond the largest number: no edge
        edges = np.unique(np.round(np.round(inner / step) * step, -digits) + 0.0)
    inside = edges[(edges > known.min()) & (edges <= known.max())]
    return inside if len(inside) else levels[len(levels) // 2 :][:1]


def list_drivers(explanation: Explanation, contract: Contract | None = None, *, top: int = 5) -> pd.DataFrame:
    """Say of the strongest columns in which direction they move predictions, from which value on, and by how much.

    Parameters
    ----------
    explanation
        From `explain`.
    contract
        Its descriptions and units name the columns; without it their own names do.
    top
        So many columns.

    Returns
    -------
    DataFrame
        Columns `feature`, `sentence`, `share` (of all movement), `clear` (whether a direction was found). A threshold
        is the rounded value that parts the rows best, with a twentieth of them on either side; means differ for certain
        (95 %, after Bonferroni for the choice).
    """
    values, unit, _ = explanation.in_points()
    unit, rows = unit or describe_column(contract, explanation.target)[1], []
    for row in explanation.importance.head(top).itertuples():
        name = str(row.feature)
        own, of_class = values[name], ""
        if "class" in values:
            strongest = find_class_moved(values, name)
            own, of_class = own[values["class"] == strongest], f" for {explanation.target} {strongest}"
        column = explanation.data[name]
        words, measure = describe_column(contract, name)
        tell = _tell_threshold if column_kind(column) == "number" else _tell_levels
        told, clear = tell(column, own, unit, measure)
        rows.append((name, f"{capitalize(words)}{of_class}. {told}", row.share, clear))
    return pd.DataFrame(rows, columns=["feature", "sentence", "share", "clear"])


def list_movements(explanation: Explanation) -> tuple[pd.DataFrame, str]:
    """Return movements in points, the strongest columns first, and of which class: that which the first moves most."""
    values, _, _ = explanation.in_points()
    names = list(explanation.importance["feature"])
    if "class" not in values or not names:
        return values[names], ""
    strongest = find_class_moved(values, names[0])
    return values.loc[values["class"] == strongest, names], strongest


def find_class_moved(values: pd.DataFrame, name: str) -> str:
    """Return the class that a column moves most."""
    return str(values[name].abs().groupby(values["class"], sort=False).mean().idxmax())


def describe_check(explanation: Explanation) -> str:
    """Say how the explanation was made, how well it meets the model, and what more time would buy."""
    check: Any = explanation.check.iloc[0]
    exact = f"a single value may be off by up to {check['sampling_share']:.1%} of the range of the predictions"
    how = "Each value is exact." if check["sampling"] == 0 else f"The values are sampled: {exact} (in 9 of 10 draws)."
    return (
        f"For {format_count(check['rows'], 'row')} the movements were summed and held against the prediction of the "
        f"served model: they agree to {check['relative']:.0e} of the range of its predictions. {how} {check['more']}"
    )


def describe_pairs(pairs: pd.DataFrame) -> str:
    """Return the title of influence beside usefulness: how many columns that move predictions help on new rows."""
    notable = pairs[pairs["finding"] != "little influence"]
    helping = (notable["finding"] == "helps").sum()
    return f"{helping} of {len(notable)} influential columns are shown to help on new rows"


def judge_firmness(stable: float, columns: int) -> str:
    """Judge how firm it is which columns are the strongest: firm, fairly firm, not firm; empty if there are too few.

    Parameters
    ----------
    stable
        The share of resamples with the same five first columns.
    columns
        How many the model reads.
    """
    if columns < 5 or np.isnan(stable):
        return ""
    return "firm" if stable >= 0.9 else "fairly firm" if stable >= 0.75 else NOT_FIRM


def describe_firmness(explanation: Explanation) -> str:
    """Say how firm it is which columns are the strongest."""
    stable, many = float(explanation.check["top5_stable"].iloc[0]), len(explanation.importance)
    if many < 5:
        return f"The model reads only {many} columns." if many > 1 else "The model reads one column."
    firm = judge_firmness(stable, many)
    return f"The five strongest are the same columns in {stable:.0%} of resamples: the choice is {firm}."


def summarize_explanation(explanation: Explanation) -> str:
    """Return the headline: the strongest columns, how exactly they explain the model, and how firm their order is."""
    top = ", ".join(f"{row.feature} ({row.share:.0%})" for row in explanation.importance.head(3).itertuples())
    check: Any = explanation.check.iloc[0]
    exact = "match the model exactly" if check["sampling"] == 0 else f"are sampled, to {check['sampling_share']:.1%},"
    rows = format_count(check["rows"], "row")
    return f"Strongest drivers: {top}. Explanations {exact} on {rows}. {describe_firmness(explanation)}"


def compare_influence(explanation: Explanation, before: pd.DataFrame | None) -> pd.DataFrame:
    """Compare the influence of columns with that in another version, such as the one in production.

    Parameters
    ----------
    explanation
        Of this model.
    before
        Columns `feature`, `share`: the `weights` that travel with the other version; None if there is none.

    Returns
    -------
    DataFrame
        Columns `feature`, `share`, `before`, `change` and `finding`: "gained", "lost" or "inconclusive"; the largest
        change first. The other share is taken to be as uncertain as this one's.
    """
    columns = ["feature", "share", "before", "change", "finding"]
    if before is None or not len(before):
        return pd.DataFrame(columns=columns)
    old = before.set_index("feature")["share"].astype(float)
    table = explanation.importance.assign(half=lambda t: (t["high"] - t["low"]) / 2 * t["share"] / t["mean_abs"])
    table = table.assign(before=table["feature"].map(old).fillna(0.0), change=lambda t: t["share"] - t["before"])
    sure = table["change"].abs() > np.sqrt(2) * table["half"].fillna(np.inf)
    table["finding"] = np.where(~sure, "inconclusive", np.where(table["change"] > 0, "gained", "lost"))
    return table.sort_values("change", key=lambda c: -c.abs(), kind="stable", ignore_index=True)[columns]


def say_points(value: float, unit: str, half: float = 0.0) -> str:
    """Write a movement with its sign, and no more digits than it is sure of.

    Examples
    --------
    >>> say_points(12.34, "points", 0.8), say_points(-0.312, "points", 0.02), say_points(0.02, "points", 0.3)
    ('+12 points', '−0.3 points', '±0.0 points')
    """
    size = max(half, 0.05 if unit == "points" else abs(value) / 50, 1e-12)
    digits = int(np.clip(-np.floor(np.log10(2 * size)), 0, 4))
    shown = f"{abs(value):,.{digits}f}"
    sign = "±" if not float(shown.replace(",", "")) else "+" if value > 0 else "−"
    noun = "point" if unit == "points" and shown == "1" else unit
    return f"{sign}{shown} {noun}".strip()


def _tell_threshold(column: "pd.Series[Any]", own: "pd.Series[Any]", unit: str, measure: str) -> tuple[str, bool]:
    """Say what a number does above and below the value that parts it best."""
    known = np.isfinite(numbers := column.to_numpy(dtype=float, na_value=np.nan))
    x, moved, least = numbers[known], own.to_numpy(dtype=float)[known], max(FEWEST, SHARE * known.sum())
    tried = round_edges(x, 12) if len(np.unique(x)) > 1 else np.empty(0)
    edges = [edge for edge in tried if least <= (x >= edge).sum() <= len(x) - least]
    if not edges:
        return "Too few rows to tell a direction", False
    means = [(moved[x >= edge].mean(), moved[x < edge].mean()) for edge in edges]
    parted = [(a - b) ** 2 * (x >= e).mean() * (x < e).mean() for (a, b), e in zip(means, edges, strict=True)]
    edge, (above, below) = edges[int(np.argmax(parted))], means[int(np.argmax(parted))]
    halves = [Z * side.std(ddof=1) / np.sqrt(len(side)) for side in (moved[x >= edge], moved[x < edge])]
    if abs(above - below) <= normal_quantile(1 - 0.05 / len(edges)) / Z * np.hypot(*halves):
        return "These rows show no direction", False
    value = f"{edge:,.0f}" if 10_000 <= abs(edge) < 1e15 else spell_edges(edges)[edges.index(edge)]
    ends = [say_points(end, unit, max(halves)) for end in (above, below)]
    return f"{f'{value} {measure}'.strip()} or more: {ends[0]}; less: {ends[1]}", True


def _tell_levels(column: "pd.Series[Any]", own: "pd.Series[Any]", unit: str, measure: str) -> tuple[str, bool]:
    """Say which level moves predictions up most, and which down most."""
    found: Any = own.groupby(cut_slices(column, bins=4), observed=True).agg(["size", "mean", "std"])
    found = found[(found["size"] >= FEWEST) & ~found.index.astype(str).str.startswith("other (")]
    if len(found) < 2:
        return "Too few rows to tell its levels apart", False
    half = Z * found["std"] / np.sqrt(found["size"])
    best, worst = found["mean"].idxmax(), found["mean"].idxmin()
    chosen = normal_quantile(1 - 0.05 / max(len(found) * (len(found) - 1) / 2, 1)) / Z
    if found.at[best, "mean"] - found.at[worst, "mean"] <= chosen * np.hypot(half[best], half[worst]):
        return "These rows show no difference between its levels", False
    ends = [f"{name} ({say_points(found.at[name, 'mean'], unit, half[name])})" for name in (best, worst)]
    return f"Highest for {ends[0]}, lowest for {ends[1]}", True
