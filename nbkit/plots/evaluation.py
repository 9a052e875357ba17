"""Pictures of an evaluation: scores by class, what decisions lead to, groups and slices as a forest, residuals."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from nbkit.pictures import Picture
from nbkit.plots.picture import COLOURS, INK, LINES, SHOWN, clip, finish, format_value, in_words, new_figure, to_floats

BINS, ROWS = 40, 30


def draw_scores(predictions: Any, title: str) -> Picture:
    """Draw how the probabilities of cases and of all others are distributed, with the threshold (binary).

    Parameters
    ----------
    predictions
        Truth and prediction of the same rows.
    title
        The finding.
    """
    edges, words = np.linspace(0, 1, BINS + 1), []
    with new_figure(title, height=3.0) as (figure, axes):
        for place, (name, own) in enumerate((("others", ~predictions.truth), ("cases", predictions.truth))):
            scores = predictions.score[own]
            share = np.histogram(scores, edges)[0] / max(len(scores), 1)
            style: Any = {"color": COLOURS[place], "linestyle": LINES[place]}
            axes.stairs(share, edges, label=f"{name} ({len(scores):,})", linewidth=1.4, **style)
            middle = format_value(float(np.median(scores))) if len(scores) else "unknown"
            above = np.mean(scores >= predictions.threshold) if len(scores) else 0.0
            words.append(f"{name}: half are given less than {middle}, {above:.0%} reach the threshold")
        axes.axvline(min(predictions.threshold, 1), color=INK, linestyle="--", linewidth=1)
        axes.set_xlabel("predicted probability (dashed: the threshold)")
        axes.set_ylabel("share of rows")
        axes.legend(loc="best")
        return finish(figure, title, "; ".join(words))


def draw_outcomes(errors: pd.DataFrame, title: str) -> Picture:
    """Draw what decisions lead to (binary): two by two cells with their rows, their share and their money.

    Parameters
    ----------
    errors
        From `nbkit.evaluation.tabulate_errors`.
    title
        The finding.
    """
    names = {"negative": ("no case", "not acted on"), "positive": ("case", "acted on")}
    words = []
    with new_figure(title, width=5.2, height=2.9) as (figure, axes):
        for row in errors.to_dict("records"):
            down, across = (int(row[side] == "positive") for side in ("actual", "predicted"))
            axes.barh(down, 0.96, 0.92, across - 0.48, color=COLOURS[down != across], alpha=0.08 + 0.4 * row["share"])
            money = f"{row['cost']:,.0f} {row['currency']}".strip()
            cell = f"{row['n']:,} rows ({row['share']:.0%})".replace("%", " %")
            axes.text(across, down, f"{cell}\n{money}", ha="center", va="center", fontsize=10)
            words.append(f"{names[row['actual']][0]}, {names[row['predicted']][1]}: {cell}, {money}")
        axes.set_xticks([0, 1], [each[1] for each in names.values()])
        axes.set_yticks([0, 1], [each[0] for each in names.values()])
        axes.set_xlim(-0.5, 1.5)
        axes.set_ylim(1.5, -0.5)
        axes.tick_params(length=0)
        for side in axes.spines.values():
            side.set_visible(False)
        return finish(figure, title, "; ".join(words))


def draw_forest(
    table: pd.DataFrame, label: str, title: str, *, panel: str = "", limits: Sequence[float] = (), unit: str = ""
) -> Picture:
    """Draw a dot with its interval a row, in panels with scales of their own.

    Parameters
    ----------
    table
        Columns `value`, `low`, `high`; and, if there is a tolerance, `least` and `most`: where it begins and ends in
        the panel, drawn as a band.
    label, panel
        Columns that name a row, and its panel.
    title
        The finding.
    limits
        Numbers at which a line is drawn in every panel.
    unit
        What the numbers are.
    """
    part = table.head(ROWS)
    groups = list(part.groupby(panel, sort=False)) if panel else [("", part)]
    columns = min(len(groups), 2) or 1
    lines, words = -(-len(groups) // columns) or 1, []
    tallest = max((len(own) for _, own in groups), default=1)
    with new_figure(title, width=7.2, height=lines * (0.26 * tallest + 0.75) + 0.6) as (figure, axes):
        figure.delaxes(axes)
        for place, (name, own) in enumerate(groups):
            axes = figure.add_subplot(lines, columns, place + 1)
            down = np.arange(len(own))
            if "least" in own and own["least"].notna().any():
                axes.axvspan(own["least"].iloc[0], own["most"].iloc[0], color=COLOURS[2], alpha=0.15, linewidth=0)
            axes.hlines(down, to_floats(own["low"]), to_floats(own["high"]), color=COLOURS[0], linewidth=1.4)
            axes.plot(to_floats(own["value"]), down, "o", markersize=5, color=COLOURS[0])
            for limit in limits:
                axes.axvline(limit, color=INK, linestyle="--", linewidth=0.8)
            axes.set_yticks(down, [clip(each, 34) for each in own[label]], fontsize=8)
            axes.set_ylim(len(own) - 0.5, -0.5)
            axes.tick_params(axis="x", labelsize=8)
            axes.set_title(clip(in_words(str(name)), 36), fontsize=9, loc="left")
            for row in own.to_dict("records"):
                span = f"{format_value(row['low'])} to {format_value(row['high'])}"
                words.append(f"{in_words(str(name))} {row[label]}: {format_value(row['value'])} ({span})".strip())
        figure.supxlabel(unit, fontsize=9)
        return finish(figure, title, "; ".join(words[:SHOWN]), len(words) + len(table) - len(part) - SHOWN)


def draw_residuals(predictions: Any, calibration: pd.DataFrame, title: str) -> Picture:
    """Draw the error of a sample of rows over what was predicted, with the mean error of each bin (regression).

    Parameters
    ----------
    predictions
        Truth and prediction of the same rows.
    calibration
        From `nbkit.evaluation.calibration_table`: the bins.
    title
        The finding.
    """
    error, step = predictions.score - predictions.truth, -(-len(predictions) // 600)
    mean = to_floats(calibration["predicted"] - calibration["observed"])
    ends = [to_floats(calibration["predicted"] - calibration[name]) for name in ("high", "low")]
    words = [
        f"predicted {format_value(x)}: off by {format_value(y)} on average"
        for x, y in zip(calibration["predicted"], mean, strict=True)
    ]
    with new_figure(title) as (figure, axes):
        axes.plot(predictions.score[::step], error[::step], "o", markersize=3, alpha=0.5, color=COLOURS[0])
        axes.vlines(to_floats(calibration["predicted"]), *ends, color=COLOURS[1], linewidth=1.6)
        axes.plot(to_floats(calibration["predicted"]), mean, "s", markersize=5, color=COLOURS[1], label="mean of a bin")
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.set_xlabel("predicted")
        axes.set_ylabel("predicted minus true")
        axes.legend(loc="best")
        return finish(figure, title, "; ".join(words[:SHOWN]), len(words) - SHOWN)
