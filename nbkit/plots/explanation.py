"""Charts of what moves predictions: influence beside usefulness, effects with their rows, swarms, and single cases."""

from typing import Any

import numpy as np
import pandas as pd

from nbkit.columns import column_kind
from nbkit.pictures import Picture
from nbkit.plots import picture
from nbkit.plots.picture import COLOURS, INK, MARKERS, SHOWN, clip, finish, format_value, new_figure
from nbkit.wording import format_estimate

MOST, PANELS, POINTS = 16, 6, 150  # columns of a chart, panels of a picture, rows of a swarm
HALVES = ("a category, or missing", "lower half", "upper half")
ALARMS = ("hurts on new rows", "out of the training range", "useful only in train")


def draw_pairs(table: pd.DataFrame, title: str, *, metric: str) -> Picture:
    """Draw `nbkit.explanation.pair_influence`: each column's influence, and beside it how much it helps.

    Parameters
    ----------
    table
        Columns `feature`, `share`, `share_low`, `share_high`, `drop`, `low`, `high`, `finding`.
    title
        The finding.
    metric
        In whose units the loss is.
    """
    part = table.head(MOST)
    places = np.arange(len(part))
    looks = [_choose_look(finding) for finding in part["finding"]]
    with new_figure(title, width=7.6, height=0.27 * len(part) + 1.2) as (figure, axes):
        figure.delaxes(axes)
        left, right = figure.subplots(1, 2, sharey=True)
        sides = ((left, "share", "share_low", "share_high", 100), (right, "drop", "low", "high", 1))
        for axes, value, low, high, scale in sides:
            for place, (colour, marker) in enumerate(looks):
                row = part.iloc[place]
                axes.hlines(place, scale * row[low], scale * row[high], color=colour, linewidth=1.3)
                (dot,) = axes.plot(scale * row[value], place, marker, color=colour, markersize=5)
                ends = (scale * row[name] for name in (value, low, high))
                more = f", {row['finding']}" if scale == 1 else " %"
                picture.tell(dot, [f"{row['feature']} {format_estimate(*ends)}{more}"])
            axes.tick_params(labelsize=8)
        left.set_yticks(places, [clip(name) for name in part["feature"]])
        left.invert_yaxis()
        left.set_xlim(left=0)
        right.axvline(0, color=INK, linewidth=0.8)
        left.set_xlabel("influence: share of all movement, %", fontsize=9)
        right.set_xlabel(f"use: loss of {picture.in_words(metric)} without it", fontsize=9)
        words = [
            f"{row['feature']} moves {row['share']:.0%}, "
            f"without it {format_estimate(row['drop'], row['low'], row['high'])}, {row['finding']}"
            for row in part.head(SHOWN).to_dict("records")
        ]
        return finish(figure, title, "; ".join(words), len(table) - SHOWN)


def _choose_look(finding: str) -> tuple[str, str]:
    """Return colour and marker: what helps, what alarms, and what is open."""
    return (COLOURS[0], "o") if finding == "helps" else (COLOURS[1], "s") if finding in ALARMS else ("#888888", "D")


def draw_effects(table: pd.DataFrame, title: str, *, unit: str = "points") -> Picture:
    """Draw `nbkit.explanation.measure_effects`: a panel a column, with bars for how many rows stand behind each dot.

    Parameters
    ----------
    table
        Columns `feature`, `slice`, `n`, `effect`, `low`, `high`, and `class` where there are several.
    title
        The finding.
    unit
        Of the effects.
    """
    table = table.assign(slice=table["slice"].map(str), feature=table["feature"].map(str))
    names, by = list(dict.fromkeys(table["feature"]))[:PANELS], "class" if "class" in table else ""
    parts, words = [table[table["feature"] == name] for name in names], []
    with picture.new_panels(title, [part["slice"].nunique() for part in parts]) as (figure, grid, _):
        for name, part, axes in zip(names, parts, grid, strict=True):
            counts = part.groupby("slice", sort=False)["n"].first()
            levels, behind = list(counts.index), axes.twiny()
            behind.barh(range(len(levels)), counts, height=0.8, color="#888888", alpha=0.18)
            behind.set_xlim(0, 2.5 * counts.max())
            behind.set_axis_off()
            for number, (label, own) in enumerate(picture.split_levels(part, by)):
                look, down = number % len(COLOURS), [levels.index(each) for each in own["slice"]]
                middle, *ends = (picture.to_floats(own[each]) for each in ("effect", "low", "high"))
                axes.hlines(down, *ends, color=COLOURS[look], linewidth=1.2)
                style: Any = {"marker": MARKERS[look], "color": COLOURS[look], "markersize": 4, "linestyle": "none"}
                (dots,) = axes.plot(middle, down, label=label if name == names[0] else "", **style)
                picture.tell(dots, [f"{label} {each}".strip() for each in picture.tell_numbers(own, "slice", "effect")])
                words.append(f"{f'{name} {label}'.strip()}: {picture.describe_course(own, 'slice', 'effect')}")
            axes.set_yticks(range(len(levels)), [clip(level, 22) for level in levels], fontsize=8)
            axes.set_ylim(len(levels) - 0.5, -0.5)
            axes.axvline(0, color=INK, linewidth=0.8)
            axes.set_title(clip(name, 36), fontsize=9, loc="left", y=1.0, pad=4)
            axes.tick_params(axis="x", labelsize=8)
        figure.supxlabel(f"mean movement in {unit}; grey bars: how many rows" if unit else "mean movement", fontsize=9)
        if by and len(table):
            figure.legend(loc="outside upper right", ncols=5, fontsize=8)
        return finish(figure, title, "; ".join(words[:SHOWN]), len(words) - SHOWN)


def draw_swarm(values: pd.DataFrame, data: pd.DataFrame, title: str, *, unit: str = "points") -> Picture:
    """Draw a dot a row for each column: how far it moves the prediction, and by colour whether its value is high.

    Parameters
    ----------
    values
        Movements, rows by columns, the first columns on top.
    data
        The raw rows of the same index, whose values are told; categories and gaps are drawn grey.
    title
        The finding.
    unit
        Of the movements.
    """
    names, words = list(values.columns[:8]), []
    part = values.iloc[np.unique(np.linspace(0, len(values) - 1, min(len(values), POINTS)).astype(int))]
    with new_figure(title, width=7.6, height=0.42 * len(names) + 1.1) as (figure, axes):
        for place, name in enumerate(names):
            moved, column = part[name].to_numpy(), data.loc[part.index, name]
            order = np.argsort(moved, kind="stable")
            bins = np.round((moved - moved.min()) / max(float(np.ptp(moved)), 1e-12) * 60).astype(int)
            turn = pd.Series(bins[order]).groupby(bins[order]).cumcount().to_numpy()
            lift = np.zeros(len(moved))
            lift[order] = np.where(turn % 2, 1, -1) * ((turn + 1) // 2)
            lift = lift / max(np.abs(lift).max(), 8.0) * 0.38
            number = column_kind(column) == "number"
            rank = column.astype(float).rank(pct=True).to_numpy() if number else np.full(len(moved), np.nan)
            pairs = zip(column, moved, strict=True)
            words = [f"{clip(name)} {format_value(own)}: {format_value(far)} {unit}".strip() for own, far in pairs]
            told = np.array(words)
            looks = (("#888888", np.isnan(rank)), (COLOURS[0], rank <= 0.5), (COLOURS[1], rank > 0.5))
            for (colour, mask), label in zip(looks, HALVES, strict=True):
                shown = label if name == names[0] else ""
                (dots,) = axes.plot(moved[mask], place + lift[mask], "o", c=colour, ms=2.6, alpha=0.8, label=shown)
                picture.tell(dots, told[mask])
            words.append(f"{name} from {format_value(moved.min())} to {format_value(moved.max())}")
        axes.set_yticks(range(len(names)), [clip(name) for name in names])
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_xlabel(f"movement in {unit}, one dot a row" if unit else "movement, one dot a row")
        if names:
            style: Any = {"loc": "outside lower center", "ncols": 3, "fontsize": 8, "title_fontsize": 8}
            figure.legend(title="value of the column", **style)
        return finish(figure, title, "; ".join(words[:SHOWN]), len(words) - SHOWN)


def draw_cases(table: pd.DataFrame, title: str, *, unit: str = "points") -> Picture:
    """Draw `nbkit.explanation.explain_rows`: a waterfall a case, from where all rows start to the prediction.

    Parameters
    ----------
    table
        Columns `case`, `start`, `prediction`, `feature`, `value`, `contribution`.
    title
        The finding.
    unit
        Of the movements.
    """
    cases = list(dict.fromkeys(table["case"]))[:PANELS]
    lines, words = max(-(-len(cases) // 2), 1), []
    with new_figure(title, width=7.6, height=2.2 * lines + 0.8) as (figure, axes):
        figure.delaxes(axes)
        grid = figure.subplots(lines, 2, sharex=True, squeeze=False).ravel()
        for spare in grid[len(cases) :]:
            figure.delaxes(spare)
        for case, axes in zip(cases, grid, strict=False):
            part = table[table["case"] == case]
            moved, start = part["contribution"].to_numpy(dtype=float), float(part["start"].iloc[0])
            ends = start + np.cumsum(moved)
            colours = [COLOURS[1] if step > 0 else COLOURS[0] for step in moved]
            bars = axes.barh(range(len(part)), moved, left=np.r_[start, ends[:-1]], color=colours, height=0.7)
            axes.axvline(start, color=INK, linewidth=0.8, linestyle=":")
            axes.axvline(ends[-1], color=INK, linewidth=1.0)
            labels = [clip(f"{f} = {v}" if v else f, 32) for f, v in zip(part["feature"], part["value"], strict=True)]
            axes.set_yticks(range(len(part)), labels, fontsize=7)
            axes.invert_yaxis()
            axes.set_title(f"{case}: {format_value(start)} → {format_value(ends[-1])}", fontsize=9, loc="left")
            axes.tick_params(axis="x", labelsize=8, labelbottom=True)
            steps = [f"{name} {format_value(step)}" for name, step in zip(part["feature"], moved, strict=True)]
            for bar, step, end in zip(bars, steps, ends, strict=True):
                picture.tell(bar, [f"{step}, to {format_value(end)}"])
            words.append(f"{case}, from {format_value(start)} to {format_value(ends[-1])}: {', '.join(steps)}")
        ends_at = "dotted where all rows start, solid where this one ends"
        figure.supxlabel(f"prediction{f' in {unit}' if unit else ''}: {ends_at}", fontsize=9)
        return finish(figure, title, "; ".join(words))
