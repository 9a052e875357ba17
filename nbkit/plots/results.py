"""Charts of what a model leads to: calibration and thresholds."""

from typing import Any

import numpy as np
import pandas as pd

from nbkit.pictures import Picture
from nbkit.plots import picture
from nbkit.plots.picture import COLOURS, INK, LINES, MARKERS, SHOWN, finish, format_value, new_figure


def draw_calibration(table: pd.DataFrame, predictions: Any, title: str) -> Picture:
    """Draw observed over predicted, with intervals and the diagonal, and below it where the predictions lie.

    Parameters
    ----------
    table
        From `nbkit.evaluation.calibration_table`.
    predictions
        Of its rows; of several classes the strip shows the highest probability.
    title
        The finding.
    """
    pairs = table[["predicted", "observed"]].map(format_value).to_numpy()
    words = [f"{predicted} predicted, {observed} observed" for predicted, observed in pairs]
    with new_figure(title, width=4.8, height=4.8) as (figure, axes):
        figure.delaxes(axes)
        axes, strip = figure.subplots(2, 1, sharex=True, height_ratios=[6, 1])
        levels = picture.split_levels(table, "class" if "class" in table else "")
        for place, (name, part) in enumerate(levels[: len(COLOURS)]):
            off = [(part["observed"] - part["low"]).clip(lower=0), (part["high"] - part["observed"]).clip(lower=0)]
            style: Any = {"color": COLOURS[place], "linestyle": LINES[place], "marker": MARKERS[place], "capsize": 2}
            dots = axes.errorbar(part["predicted"], part["observed"], yerr=off, markersize=4, label=name, **style)[0]
            picture.tell(dots, picture.tell_points(part, "predicted", "observed", name))
        picture.draw_diagonal(axes, table[["predicted", "observed"]])
        picture.label_axes(axes, "", "observed", legend="class" in table)
        picture.label_axes(strip, "predicted", "rows")
        shown = predictions.score.max(axis=1) if predictions.score.ndim == 2 else predictions.score
        strip.hist(shown, bins=60, color=COLOURS[0], alpha=0.6)
        strip.set_yticks([])
        return finish(figure, title, "; ".join(words[:SHOWN]), len(words) - SHOWN)


def draw_threshold(decision: Any, title: str, *, currency: str = "") -> Picture:
    """Draw the cost per row over the threshold, with the chosen one and its interval.

    Parameters
    ----------
    decision
        From `nbkit.evaluation.choose_threshold`: its threshold, low, high and curve.
    title
        The finding.
    currency
        Of the costs.
    """
    curve, threshold = decision.curve, decision.threshold
    inside, costs = curve[curve["threshold"] <= 1], curve["cost_per_row"]
    with new_figure(title) as (figure, axes):
        across, down = inside["threshold"].to_numpy(), inside["cost_per_row"].to_numpy()
        axes.plot(across, down, color=COLOURS[0])
        told = inside[["threshold", "cost_per_row"]]
        picture.tell_line(axes, across, down, picture.tell_points(told, *told))
        axes.axvline(min(threshold, 1), color=INK, linestyle="--", linewidth=1)
        if np.isfinite(decision.low) and np.isfinite(decision.high):
            axes.axvspan(min(decision.low, 1), min(decision.high, 1), color=COLOURS[1], alpha=0.2, linewidth=0)
        picture.label_axes(axes, "threshold", f"cost per row in {currency}" if currency else "cost per row")
        place = int(np.argmin(np.abs(curve["threshold"] - threshold)))
        here, least, every, none = map(format_value, (costs.iloc[place], costs.min(), costs.iloc[0], costs.iloc[-1]))
        words = f"at threshold {format_value(threshold)} a row costs {f'{here} {currency}'.strip()}; "
        words += f"the lowest measured is {least}; selecting every row costs {every}, selecting none {none}"
        return finish(figure, title, words)
