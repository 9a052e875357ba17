"""Charts of any tidy table: bars, dots, lines, panels, cells and points."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb

from nbkit.pictures import Picture
from nbkit.plots import picture
from nbkit.plots.picture import COLOURS, INK, LINES, MARKERS, SHOWN, clip, finish, format_value, new_figure

MOST, PANELS = 25, 6  # rows of a chart, panels of a picture


def draw_bars(table: pd.DataFrame, x: str, y: str, title: str, *, unit: str = "") -> Picture:
    """Draw one horizontal bar for each of the first rows, in the order of the table.

    Parameters
    ----------
    table
        Tidy rows; its columns `low` and `high`, if there, are drawn as intervals.
    x, y
        Columns of names and of lengths.
    title
        The finding.
    unit
        What the lengths are.
    """
    part = table.head(MOST)
    with new_figure(title, height=0.28 * len(part) + 1.0) as (figure, axes):
        colours = [COLOURS[1] if value < 0 else COLOURS[0] for value in picture.to_floats(part[y])]
        bars = axes.barh(np.arange(len(part)), picture.to_floats(part[y]), color=colours, height=0.7)
        for bar, words in zip(bars, picture.tell_numbers(part, x, y), strict=True):
            picture.tell(bar, [words])
        picture.list_names(axes, part, x)
        if (part[y] < 0).any():
            axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_xlabel(unit or picture.in_words(y))
        return finish(figure, title, picture.list_numbers(part, x, y), len(table) - SHOWN)


def draw_dots(
    table: pd.DataFrame, x: str, y: str, title: str, *, unit: str = "", panel: str = "", lines: Sequence[float] = ()
) -> Picture:
    """Draw one dot with its interval for each of the first rows, in panels with scales of their own (a forest plot).

    Parameters
    ----------
    table
        As in `draw_bars`; with columns `least` and `most` a band, from the one to the other of each panel's first row.
    x, y, title, unit
        As in `draw_bars`.
    panel
        A column whose levels are the panels; at most twelve are drawn.
    lines
        Numbers at which every panel has a line.
    """
    groups = picture.split_levels(table, panel)
    shown = groups[: 2 * PANELS]
    rows, columns = -(-len(shown) // 2) or 1, min(len(shown), 2) or 1
    tallest, words = max((min(len(part), MOST) for _, part in groups), default=1), []
    size = {"width": 6.4 if columns == 1 else 7.6, "height": rows * (0.28 * tallest + (0.6 if panel else 0.3)) + 0.7}
    with new_figure(title, **size) as (figure, axes):
        figure.delaxes(axes)
        for place, (name, part) in enumerate((name, part.head(MOST)) for name, part in shown):
            axes = figure.add_subplot(rows, columns, place + 1)
            if "least" in part and part["least"].notna().any():
                axes.axvspan(part["least"].iloc[0], part["most"].iloc[0], color=COLOURS[2], alpha=0.15, linewidth=0)
            for line in lines:
                axes.axvline(line, color=INK, linestyle="--", linewidth=0.8)
            (dots,) = axes.plot(picture.to_floats(part[y]), np.arange(len(part)), "o", markersize=5, color=COLOURS[0])
            picture.tell(dots, picture.tell_numbers(part, x, y))
            picture.list_names(axes, part, x, COLOURS[0])
            axes.set_ylim(max(len(part), 1) - 0.5, -0.5)
            axes.set_title(picture.in_words(name), fontsize=9, loc="left")
            words.append((f"{picture.in_words(name)}: " if name else "") + picture.list_numbers(part, x, y))
        figure.supxlabel(unit or picture.in_words(y), fontsize=10)
        return finish(figure, title, "; ".join(words), len(table) - SHOWN if not panel else len(groups) - len(shown))


def draw_lines(table: pd.DataFrame, x: str, y: str, title: str, *, by: str = "", unit: str = "") -> Picture:
    """Draw lines over an ordered column, with a band where the table has the columns `low` and `high`.

    Parameters
    ----------
    table, title, unit
        As in `draw_bars`.
    x, y
        Columns: numbers, times or ordered names; values.
    by
        Column that names the lines; the first five are drawn.
    """
    groups = picture.split_levels(table, by)
    words = []
    with new_figure(title) as (figure, axes):
        for place, (name, part) in enumerate(groups[: len(COLOURS)]):
            part = part.iloc[np.unique(np.linspace(0, len(part) - 1, 400).astype(int))] if len(part) > 400 else part
            across = picture.place_steps(axes, table[x], part[x])
            marker = MARKERS[place] if len(part) <= 40 else None
            style: Any = {"color": COLOURS[place], "linestyle": LINES[place], "marker": marker}
            (line,) = axes.plot(across, picture.to_floats(part[y]), label=name or None, markersize=4, **style)
            told = picture.tell_points(part, x, y, name)
            picture.tell(line, told) if marker else picture.tell_line(axes, across, picture.to_floats(part[y]), told)
            if {"low", "high"} <= set(part.columns):
                band = (picture.to_floats(part["low"]), picture.to_floats(part["high"]))
                axes.fill_between(across, *band, color=COLOURS[place], alpha=0.2, linewidth=0)
            words.append((f"{name}: " if name else "") + picture.describe_course(part, x, y))
        picture.label_axes(axes, x, unit or y, legend=bool(by))
        return finish(figure, title, "; ".join(words), len(groups) - len(COLOURS))


def draw_panels(
    table: pd.DataFrame, panel: str, x: str, y: str, title: str, *, by: str = "", unit: str = ""
) -> Picture:
    """Draw one panel for each of the first levels of a column, all on one scale: a dot a row, in the table's order.

    Parameters
    ----------
    table
        Tidy rows.
    panel
        The column whose levels are the panels.
    x, y
        Columns of names (down the side) and of numbers (across).
    title
        The finding.
    by
        A column whose levels differ in colour and marker.
    unit
        What the numbers are.
    """
    names = list(dict.fromkeys(table[panel]))[:PANELS]
    parts = [table[table[panel] == name] for name in names] or [table]
    words = []
    with picture.new_panels(title, [part[x].nunique(dropna=False) for part in parts]) as (figure, grid, tallest):
        for place, (part, axes) in enumerate(zip(parts, grid, strict=True)):
            levels = list(dict.fromkeys(map(str, part[x])))
            for number, (name, own) in enumerate(picture.split_levels(part, by)):
                down, look = [levels.index(str(level)) for level in own[x]], number % len(COLOURS)
                numbers = picture.to_floats(own[y])
                style: Any = {"color": COLOURS[look], "marker": MARKERS[look], "markersize": 4, "linewidth": 1}
                if not by:
                    axes.hlines(down, 0, numbers, color=COLOURS[look], linewidth=1)
                style |= {"linestyle": "-" if by else "none", "label": "" if place else name}
                (dots,) = axes.plot(numbers, down, **style)
                picture.tell(dots, picture.tell_points(own, x, y, name))
                label = " ".join(filter(None, (str(names[place]) if names else "", name)))
                words.append(f"{label}: {picture.describe_course(own, x, y)}")
            axes.set_yticks(range(len(levels)), [clip(level, 22) for level in levels], fontsize=8)
            axes.set_ylim(max(tallest[place // 2], 1) - 0.5, -0.5)
            axes.axvline(0, color=INK, linewidth=0.8)
            axes.set_title(clip(names[place], 36) if names else "", fontsize=9, loc="left")
            axes.tick_params(axis="x", labelsize=8, labelbottom=place + 2 >= len(parts))
        figure.supxlabel(unit or picture.in_words(y), fontsize=9)
        if by and len(table):
            figure.legend(loc="outside upper right", ncols=5, fontsize=8)
        return finish(figure, title, "; ".join(words[:SHOWN]), len(words) - SHOWN)


def draw_heatmap(
    table: pd.DataFrame, x: str, y: str, value: str, title: str, *, unit: str = "", label: str = ""
) -> Picture:
    """Draw a table of numbers as cells, each with its number written in it (at most 24 by 24).

    Parameters
    ----------
    table
        Tidy rows, one per cell.
    x, y, value
        Columns across, down, and of the numbers.
    title
        The finding.
    unit
        What the numbers are.
    label
        A column of what is written into the cells in place of the numbers; a text of two lines makes them larger.
    """
    grid = table.pivot_table(index=y, columns=x, values=value, sort=False, aggfunc="first", observed=True)
    grid = grid.iloc[:24, :24]
    cells = table.to_dict("records")
    texts = {(row[y], row[x]): str(row[label]) if label else format_value(row[value]) for row in cells}
    tall = 2.0 if any("\n" in text for text in texts.values()) else 1.0
    numbers, (rows, columns) = grid.to_numpy(dtype=float, na_value=np.nan), grid.shape
    top = float(np.max(np.abs(numbers), where=np.isfinite(numbers), initial=0.0)) or 1.0
    width, height = min(0.62 * tall**1.5 * columns + 2, 9.0), 0.38 * tall * rows + 1.2
    with new_figure(title, width=width, height=height) as (figure, axes):
        for down, across in np.argwhere(np.isfinite(numbers)):
            cell = float(numbers[down, across])
            colour, shade = COLOURS[0 if cell >= 0 else 1], 0.08 + 0.5 * abs(cell) / top
            text = texts.get((grid.index[down], grid.columns[across]), format_value(cell))
            (box,) = axes.barh(down, 0.96, 0.96, across - 0.48, color=colour, alpha=shade, clip_on=False)
            picture.tell(box, [f"{grid.index[down]}, {grid.columns[across]}: {text}".replace("\n", ", ")])
            if columns <= 12 or "\n" in text:  # in a larger table the shades are what is read, and words tell the rest
                axes.text(across, down, text, ha="center", va="center", fontsize=9 if columns < 12 else 7)
        labels = [clip(name, 14) for name in grid.columns]
        turned = max(map(len, labels), default=0) > 8
        turn: Any = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if turned else {}
        axes.set_xticks(range(columns), labels, **turn)
        axes.set_yticks(range(rows), [clip(name) for name in grid.index])
        axes.set_xlim(-0.5, max(columns, 1) - 0.5)
        axes.set_ylim(max(rows, 1) - 0.5, -0.5)
        picture.label_axes(axes, x, y)
        if columns > 12 and rows:
            parts = (0, 0.25, 0.5, 0.75, 1)
            shades: Any = [axes.bar(0, 0, color=COLOURS[0], alpha=0.08 + 0.5 * part) for part in parts]
            named = [format_value(top * part) for part in parts]
            figure.legend(shades, named, title=unit or picture.in_words(value), loc="outside upper right", ncols=5)
        said = [f"{y} {row[y]}, {x} {row[x]}: {texts[row[y], row[x]]} {unit}".strip() for row in cells[:SHOWN]]
        return finish(figure, title, "; ".join(said).replace("\n", ", "), len(table) - SHOWN)


def draw_map(shares: pd.DataFrame, title: str, *, x: str = "rows, in their order") -> Picture:
    """Draw a table of shares as a map: one line a row, the darker the higher.

    Parameters
    ----------
    shares
        From 0 to 1, such as `nbkit.features.map_missing`; the first 25 rows are drawn.
    title
        The finding.
    x
        What runs across.
    """
    part = shares.head(MOST)
    known = part.to_numpy(dtype=float)
    ends = zip(part.index, part.mean(axis="columns"), part.max(axis="columns"), strict=True)
    words = [f"{clip(name)}: {mean:.1%} of all rows, at most {top:.0%} of a stretch" for name, mean, top in ends]
    with new_figure(title, height=0.28 * len(part) + 1.0) as (figure, axes):
        if len(part):
            inked = np.full((*known.shape, 4), (*to_rgb(COLOURS[0]), 0.0))
            inked[..., 3] = np.where(known > 0, 0.15 + 0.85 * known, 0)
            axes.imshow(inked, aspect="auto", interpolation="none", extent=(0, 1, len(part) - 0.5, -0.5))
        for bar, each in zip(axes.barh(range(len(part)), 1, 1, alpha=0), words, strict=True):
            picture.tell(bar, [each])
        axes.set_yticks(range(len(part)), [clip(name) for name in part.index])
        axes.set_xticks([])
        axes.set_xlabel(x)
        return finish(figure, title, "; ".join(words[:SHOWN]), len(shares) - SHOWN)


def draw_scatter(
    table: pd.DataFrame, x: str, y: str, title: str, *, diagonal: bool = False, points: int = 600, seed: int = 0
) -> Picture:
    """Draw a sample of rows as points.

    Parameters
    ----------
    table
        Rows.
    x, y
        Columns of numbers.
    title
        The finding.
    diagonal
        Draw where both are equal.
    points, seed
        At most so many are drawn, at random.
    """
    known = table[[x, y]].astype(float).replace([np.inf, -np.inf], np.nan).dropna()
    sample = known.sample(min(points, len(known)), random_state=seed)
    words = f"{len(table):,} rows" if len(sample) == len(table) else f"{len(sample):,} of {len(table):,} rows are drawn"
    if len(known) > 1 and known.nunique().min() > 1:
        words += f"; correlation {known[x].corr(known[y]):.2f}"
    for name in (x, y) if len(known) else ():
        words += f"; {picture.in_words(name)} {format_value(known[name].min())} to {format_value(known[name].max())}"
    with new_figure(title) as (figure, axes):
        (dots,) = axes.plot(*sample.to_numpy().T, "o", markersize=3, alpha=0.6, color=COLOURS[0])
        picture.tell(dots, picture.tell_points(sample, x, y))
        if diagonal and len(known):
            picture.draw_diagonal(axes, known)
        picture.label_axes(axes, x, y)
        return finish(figure, title, words)
