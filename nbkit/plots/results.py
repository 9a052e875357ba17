"""Charts of what a model leads to: calibration, thresholds, confusion, outcomes."""

from typing import Any

import numpy as np
import pandas as pd

from nbkit.formats import Picture
from nbkit.plots.charts import draw_heatmap, draw_scatter
from nbkit.plots.picture import (
    COLOURS,
    INK,
    LINES,
    MARKERS,
    SHOWN,
    draw_diagonal,
    finish,
    label_axes,
    lend_sheet,
    say_number,
    split_levels,
)


def draw_calibration(table: pd.DataFrame, title: str) -> Picture:
    """Draw `nbkit.model.calibration_table`: observed over predicted, with intervals and the diagonal."""
    words = [
        f"{say_number(a)} predicted, {say_number(b)} observed" for a, b in table[["predicted", "observed"]].to_numpy()
    ]
    with lend_sheet(title, width=4.6, height=4.2) as (figure, axes):
        for place, (name, part) in enumerate(split_levels(table, "class" if "class" in table else "")[: len(COLOURS)]):
            off = [(part["observed"] - part["low"]).clip(lower=0), (part["high"] - part["observed"]).clip(lower=0)]
            style: Any = {"color": COLOURS[place], "linestyle": LINES[place], "marker": MARKERS[place], "capsize": 2}
            axes.errorbar(part["predicted"], part["observed"], yerr=off, markersize=4, label=name, **style)
        draw_diagonal(axes, table[["predicted", "observed"]])
        label_axes(axes, "predicted", "observed", legend="class" in table)
        return finish(figure, title, "; ".join(words[:SHOWN]), len(words) - SHOWN)


def draw_threshold(
    curve: pd.DataFrame, title: str, *, threshold: float, low: float = np.nan, high: float = np.nan, currency: str = ""
) -> Picture:
    """Draw the cost per row over the threshold, with the chosen one and its interval.

    Parameters
    ----------
    curve, threshold, low, high
        From `nbkit.model.choose_threshold`.
    title
        The finding.
    currency
        Of the costs.
    """
    inside, costs = curve[curve["threshold"] <= 1], curve["cost_per_row"]
    with lend_sheet(title) as (figure, axes):
        axes.plot(inside["threshold"].to_numpy(), inside["cost_per_row"].to_numpy(), color=COLOURS[0])
        axes.axvline(min(threshold, 1), color=INK, linestyle="--", linewidth=1)
        if np.isfinite(low) and np.isfinite(high):
            axes.axvspan(min(low, 1), min(high, 1), color=COLOURS[1], alpha=0.2, linewidth=0)
        label_axes(axes, "threshold", f"cost per row {currency}".strip())
        place = int(np.argmin(np.abs(curve["threshold"] - threshold)))
        words = f"at threshold {say_number(threshold)} a row costs {say_number(costs.iloc[place])} {currency}".strip()
        words += f"; the lowest measured is {say_number(costs.min())}"
        words += f"; selecting every row costs {say_number(costs.iloc[0])}, selecting none {say_number(costs.iloc[-1])}"
        return finish(figure, title, words)


def draw_confusion(table: pd.DataFrame, title: str) -> Picture:
    """Draw `nbkit.model.confusion_table`: rows true, columns predicted, counts in the cells."""
    return draw_heatmap(table, "predicted", "actual", "n", title, unit="rows")


def draw_outcomes(outcomes: pd.DataFrame, y: Any, p: Any, *, task: str) -> Picture:
    """Draw what was predicted against what was true: counts per class, or a point per row of a regression.

    Parameters
    ----------
    outcomes
        From `nbkit.model.tabulate_outcomes`.
    y, p
        Truth and predictions (regression).
    task
        "binary", "multiclass" or "regression".
    """
    if task != "regression":
        right = outcomes.loc[outcomes["actual"] == outcomes["predicted"], "n"].sum() / max(outcomes["n"].sum(), 1)
        return draw_confusion(outcomes, f"{right:.0%} of the rows are given their class")
    low = outcomes.set_index("outcome")["share"].get("too low", np.nan)
    table = pd.DataFrame({"true": np.asarray(y, dtype=float), "predicted": np.asarray(p, dtype=float)})
    return draw_scatter(table, "true", "predicted", f"{low:.0%} of the predictions are too low", diagonal=True)
