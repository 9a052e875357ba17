"""Pictures of tidy tables: SVG that reads on light and dark pages, with words for who cannot see it."""

import io
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from nbkit.formats import Picture

INK = "#010203"  # what is drawn with it takes the text colour of the page
COLOURS = ("#3b82c4", "#c8651b", "#2b9079", "#a95fb0", "#8a7a1f")  # at least 3:1 on white and on #111
MARKERS = ("o", "s", "^", "D", "v")
LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)))
SHOWN = 10  # numbers in the words beside a picture
HEAD = 'role="img" style="stroke-linejoin: round; stroke-linecap: butt; font-family: sans-serif"'
STYLE: Any = {
    "svg.hashsalt": "nbkit",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.frameon": False,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
}


def to_picture(figure: Figure, alt: str, title: str = "") -> Picture:
    """Draw a matplotlib figure as a picture; the same figure gives the same bytes.

    Parameters
    ----------
    figure
        Any figure; what is drawn in `INK` follows the text colour of the page.
    alt
        What a reader who cannot see it is told, numbers included.
    title
        The finding; the figure's own title if empty.
    """
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "nbkit", "svg.fonttype": "none"}):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})  # type: ignore[no-untyped-call]
    if not title:
        title = figure.get_suptitle() or " · ".join(filter(None, (axes.get_title() for axes in figure.axes)))
    return Picture(_tidy(buffer.getvalue(), alt), alt, title)


def draw_bars(
    table: pd.DataFrame, x: str, y: str, title: str, *, low: str = "", high: str = "", unit: str = "", top: int = 20
) -> Picture:
    """Draw one horizontal bar per row, in the order of the table.

    Parameters
    ----------
    table
        Tidy rows.
    x, y
        Columns of names and of lengths.
    title
        The finding.
    low, high
        Columns of an interval.
    unit
        What the lengths are.
    top
        At most so many rows.
    """
    part = table.head(top)
    with _sheet(title, height=0.28 * len(part) + 1.0) as (figure, axes):
        colours = [COLOURS[1] if value < 0 else COLOURS[0] for value in _floats(part[y])]
        axes.barh(np.arange(len(part)), _floats(part[y]), color=colours, height=0.7)
        _list_names(axes, part[x], part[low] if low else None, part[high] if high else None)
        if (part[y] < 0).any():
            axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_xlabel(unit or _say(y))
        return _finish(figure, title, _list_numbers(part, x, y, low, high), len(table) - SHOWN)


def draw_dots(
    table: pd.DataFrame,
    x: str,
    y: str,
    title: str,
    *,
    low: str = "low",
    high: str = "high",
    reference: float | None = None,
    unit: str = "",
    top: int = 25,
) -> Picture:
    """Draw one dot with its interval per row, beside a reference.

    Parameters
    ----------
    table, x, y, title, low, high, unit, top
        As in `draw_bars`.
    reference
        A value to compare with, drawn as a dashed line.
    """
    part = table.head(top)
    with _sheet(title, height=0.28 * len(part) + 1.0) as (figure, axes):
        axes.plot(_floats(part[y]), np.arange(len(part)), "o", markersize=5, color=COLOURS[0])
        _list_names(axes, part[x], part[low], part[high], COLOURS[0])
        words = _list_numbers(part, x, y, low, high)
        if reference is not None:
            axes.axvline(reference, color=INK, linestyle="--", linewidth=1)
            words += f"; the dashed line is {_number(reference)}"
        axes.set_xlabel(unit or _say(y))
        return _finish(figure, title, words, len(table) - SHOWN)


def draw_panels(
    table: pd.DataFrame, panel: str, x: str, y: str, title: str, *, by: str = "", unit: str = "", top: int = 6
) -> Picture:
    """Draw one panel per level of a column, all on one scale: a dot per row, in the order of the table.

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
    top
        At most so many panels.
    """
    names = list(dict.fromkeys(table[panel]))[:top]
    parts = [table[table[panel] == name] for name in names] or [table]
    lines = -(-len(parts) // 2)
    tallest = [max(part[x].nunique(dropna=False) for part in parts[2 * line : 2 * line + 2]) for line in range(lines)]
    heights = [levels * 0.19 + 0.5 for levels in tallest]
    with _sheet(title, width=7.6, height=sum(heights) + 0.8) as (figure, axes):
        figure.delaxes(axes)
        grid = figure.subplots(lines, 2, sharex=True, squeeze=False, height_ratios=heights).ravel()
        for spare in grid[len(parts) :]:
            figure.delaxes(spare)
        words = []
        for place, (part, axes) in enumerate(zip(parts, grid, strict=False)):
            levels = list(dict.fromkeys(map(str, part[x])))
            for number, (name, own) in enumerate(_split(part, by)):
                down, look = [levels.index(str(level)) for level in own[x]], number % len(COLOURS)
                numbers, style = _floats(own[y]), {"color": COLOURS[look], "marker": MARKERS[look], "markersize": 4}
                if not by:
                    axes.hlines(down, 0, numbers, color=COLOURS[look], linewidth=1)
                axes.plot(
                    numbers, down, linestyle="-" if by else "none", linewidth=1, label="" if place else name, **style
                )
                words.append(
                    f"{' '.join(filter(None, (str(names[place]) if names else '', name)))}: {_follow(own, x, y)}"
                )
            axes.set_yticks(range(len(levels)), [_clip(level, 22) for level in levels], fontsize=8)
            axes.set_ylim(max(tallest[place // 2], 1) - 0.5, -0.5)
            axes.axvline(0, color=INK, linewidth=0.8)
            axes.set_title(_clip(names[place], 36) if names else "", fontsize=9, loc="left")
            axes.tick_params(axis="x", labelsize=8, labelbottom=place + 2 >= len(parts))
        figure.supxlabel(unit or _say(y), fontsize=9)
        if by and len(table):
            figure.legend(loc="outside upper right", ncols=5, fontsize=8)
        return _finish(figure, title, "; ".join(words[:SHOWN]), len(words) - SHOWN)


def draw_lines(
    table: pd.DataFrame,
    x: str,
    y: str,
    title: str,
    *,
    by: str = "",
    low: str = "",
    high: str = "",
    unit: str = "",
    limit: float | None = None,
) -> Picture:
    """Draw lines over an ordered column, with a band where an interval is given.

    Parameters
    ----------
    table, title, low, high, unit
        As in `draw_bars`.
    x, y
        Columns: numbers, times or ordered names; values.
    by
        Column that names the lines; the first five are drawn.
    limit
        A bound, drawn as a dotted line.
    """
    groups = _split(table, by)
    words = []
    with _sheet(title) as (figure, axes):
        for place, (name, part) in enumerate(groups[: len(COLOURS)]):
            part = part.iloc[np.unique(np.linspace(0, len(part) - 1, 400).astype(int))] if len(part) > 400 else part
            across = _steps(axes, table[x], part[x])
            marker = MARKERS[place] if len(part) <= 40 else None
            style: Any = {"color": COLOURS[place], "linestyle": LINES[place], "marker": marker}
            axes.plot(across, _floats(part[y]), label=name or None, markersize=4, **style)
            if low and high:
                band = (_floats(part[low]), _floats(part[high]))
                axes.fill_between(across, *band, color=COLOURS[place], alpha=0.2, linewidth=0)
            words.append((f"{name}: " if name else "") + _follow(part, x, y))
        if limit is not None:
            axes.axhline(limit, color=INK, linestyle=":", linewidth=1)
            words.append(f"the dotted line is {_number(limit)}")
        _label(axes, x, unit or y, legend=bool(by))
        return _finish(figure, title, "; ".join(words), len(groups) - len(COLOURS))


def draw_calibration(table: pd.DataFrame, title: str) -> Picture:
    """Draw `nbkit.model.calibration_table`: observed over predicted, with intervals and the diagonal."""
    words = [f"{_number(a)} predicted, {_number(b)} observed" for a, b in table[["predicted", "observed"]].to_numpy()]
    with _sheet(title, width=4.6, height=4.2) as (figure, axes):
        for place, (name, part) in enumerate(_split(table, "class" if "class" in table else "")[: len(COLOURS)]):
            off = [(part["observed"] - part["low"]).clip(lower=0), (part["high"] - part["observed"]).clip(lower=0)]
            style: Any = {"color": COLOURS[place], "linestyle": LINES[place], "marker": MARKERS[place], "capsize": 2}
            axes.errorbar(part["predicted"], part["observed"], yerr=off, markersize=4, label=name, **style)
        _draw_diagonal(axes, table[["predicted", "observed"]])
        _label(axes, "predicted", "observed", legend="class" in table)
        return _finish(figure, title, "; ".join(words[:SHOWN]), len(words) - SHOWN)


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
    with _sheet(title) as (figure, axes):
        axes.plot(inside["threshold"].to_numpy(), inside["cost_per_row"].to_numpy(), color=COLOURS[0])
        axes.axvline(min(threshold, 1), color=INK, linestyle="--", linewidth=1)
        if np.isfinite(low) and np.isfinite(high):
            axes.axvspan(min(low, 1), min(high, 1), color=COLOURS[1], alpha=0.2, linewidth=0)
        _label(axes, "threshold", f"cost per row {currency}".strip())
        words = f"cost per row is lowest at threshold {_number(threshold)}: {_number(costs.min())} {currency}".strip()
        words += f"; selecting every row costs {_number(costs.iloc[0])}, selecting none {_number(costs.iloc[-1])}"
        return _finish(figure, title, words)


def draw_heatmap(table: pd.DataFrame, x: str, y: str, value: str, title: str, *, unit: str = "") -> Picture:
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
    """
    grid = table.pivot_table(index=y, columns=x, values=value, sort=False, aggfunc="first", observed=True)
    grid = grid.iloc[:24, :24]
    numbers, (rows, columns) = grid.to_numpy(dtype=float, na_value=np.nan), grid.shape
    top = float(np.max(np.abs(numbers), where=np.isfinite(numbers), initial=0.0)) or 1.0
    with _sheet(title, width=min(0.62 * columns + 2.0, 9.0), height=0.38 * rows + 1.2) as (figure, axes):
        for down, across in np.argwhere(np.isfinite(numbers)):
            cell = float(numbers[down, across])
            colour, shade = COLOURS[0 if cell >= 0 else 1], 0.08 + 0.5 * abs(cell) / top
            axes.barh(down, 0.96, 0.96, across - 0.48, color=colour, alpha=shade, clip_on=False)
            axes.text(across, down, _number(cell), ha="center", va="center", fontsize=9 if columns < 12 else 7)
        axes.set_xticks(range(columns), [_clip(name, 14) for name in grid.columns])
        axes.set_yticks(range(rows), [_clip(name) for name in grid.index])
        axes.set_xlim(-0.5, max(columns, 1) - 0.5)
        axes.set_ylim(max(rows, 1) - 0.5, -0.5)
        _label(axes, x, y)
        cells = [f"{y} {row[y]}, {x} {row[x]}: {_number(row[value])} {unit}".strip() for row in _records(table)]
        return _finish(figure, title, "; ".join(cells), len(table) - SHOWN)


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
    words = f"{len(sample):,} of {len(table):,} rows"
    if len(known) > 1 and known.nunique().min() > 1:
        words += f"; correlation {known[x].corr(known[y]):.2f}"
    words += "".join(
        f"; {_say(n)} {_number(known[n].min())} to {_number(known[n].max())}" for n in (x, y) if len(known)
    )
    with _sheet(title) as (figure, axes):
        axes.plot(sample[x].to_numpy(), sample[y].to_numpy(), "o", markersize=3, alpha=0.6, color=COLOURS[0])
        if diagonal and len(known):
            _draw_diagonal(axes, known)
        _label(axes, x, y)
        return _finish(figure, title, words)


# --- shared


@contextmanager
def _sheet(title: str, *, width: float = 6.4, height: float = 3.4) -> Iterator[tuple[Figure, Axes]]:
    """Lend an empty figure in the house's style, whatever the reader's own settings are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        figure = Figure(figsize=(max(width, 3.0), max(height, 1.6)), layout="constrained")
        axes = figure.add_subplot()
        figure.suptitle(title, fontsize=11, fontweight="bold", x=0.01, ha="left", wrap=True)
        yield figure, axes


def _finish(figure: Figure, title: str, words: str, more: int = 0) -> Picture:
    return to_picture(figure, f"{title}. {words or 'No rows'}{f'; and {more} more' if more > 0 else ''}.", title)


def _tidy(svg: str, alt: str) -> str:
    """Shorten matplotlib's SVG: two decimals, one style per marker, generic font, no ids that nothing refers to."""
    svg = svg[svg.index("<svg") :].strip().replace(INK, "currentColor")
    svg = re.sub(r"\s*<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)  # style would leak out
    svg = re.sub(r' transform="rotate\(-0 [^"]*"|font-family: [^;"]*sans-serif;? ?', "", svg)
    svg = re.sub(r'( (?:d|x|y|transform)=")([^"]*)', lambda m: m[1] + re.sub(r"(\.\d\d)\d+", r"\1", m[2]), svg)
    used = set(re.findall(r"#([\w.-]+)", svg))
    svg = re.sub(r' id="([^"]*)"', lambda m: m[0] if m[1] in used else "", svg)
    styles: dict[str, set[str]] = defaultdict(set)
    for name, style in re.findall(r'<use xlink:href="#(\w+)"[^>]*? style="([^"]*)"', svg):
        styles[name].add(style)
    for name, (style, *others) in sorted((name, sorted(found)) for name, found in styles.items()):
        if not others:  # every copy looks the same: say so once, where the marker is defined
            svg = re.sub(rf'(<use xlink:href="#{name}"[^>]*?) style="[^"]*"', r"\1", svg)
            svg = re.sub(rf'(<path id="{name}"[^>]*?) style="[^"]*"', r"\1", svg)
            svg = svg.replace(f'<path id="{name}"', f'<path id="{name}" style="{style}"')
    return re.sub(r"\n *", "\n", svg).replace("<svg ", f'<svg {HEAD} aria-label="{escape(alt)}" ', 1)


def _list_names(axes: Axes, names: pd.Series, low: Any, high: Any, colour: str = INK) -> None:
    """Write the names down the side, and draw the intervals."""
    places = np.arange(len(names))
    if low is not None and high is not None:
        axes.hlines(places, _floats(low), _floats(high), color=colour, linewidth=1.2)
    axes.set_yticks(places, [_clip(name) for name in names])
    axes.invert_yaxis()


def _floats(values: pd.Series) -> Any:
    numbers = values.to_numpy(dtype=float, na_value=np.nan)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _label(axes: Axes, x: str, y: str, *, legend: bool = False) -> None:
    axes.set_xlabel(_say(x))
    axes.set_ylabel(_say(y))
    if legend and axes.get_legend_handles_labels()[1]:
        axes.legend(loc="best")


def _draw_diagonal(axes: Axes, table: pd.DataFrame) -> None:
    ends = [float(table.min().min()), float(table.max().max())]
    axes.plot(ends, ends, color=INK, linestyle=":", linewidth=1)


def _steps(axes: Axes, every: pd.Series, own: pd.Series) -> Any:
    """Place numbers and times where they are, names at steps of their order."""
    if pd.api.types.is_numeric_dtype(own):
        return _floats(own)
    if pd.api.types.is_datetime64_any_dtype(own):
        axes.tick_params(axis="x", rotation=30)
        return own.to_numpy(dtype="datetime64[us]")
    names = list(dict.fromkeys(every.astype(str)))
    shown = range(0, len(names), max(1, len(names) // 10))
    labels = [_clip(names[place], 12) for place in shown]
    axes.set_xticks(list(shown), labels)
    if sum(map(len, labels)) > 60:
        axes.tick_params(axis="x", rotation=30)
    return [names.index(name) for name in own.astype(str)]


def _split(table: pd.DataFrame, by: str) -> list[tuple[str, pd.DataFrame]]:
    if not by:
        return [("", table)]
    return [(_clip(name), part) for name, part in table.groupby(by, sort=False, observed=True, dropna=False)]


def _clip(name: Any, width: int = 28) -> str:
    text = f"{name:g}" if isinstance(name, float) else str(name)
    return text if len(text) <= width else text[: width - 1] + "…"


def _say(name: str) -> str:
    return str(name).replace("_", " ")


def _number(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return str(value.date())
    if isinstance(value, str):
        return value
    if pd.isna(value) or not np.isfinite(value):
        return "unknown"
    return f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:.3g}"


def _records(table: pd.DataFrame) -> list[dict[Any, Any]]:
    return table.head(SHOWN).to_dict("records")


def _list_numbers(part: pd.DataFrame, x: str, y: str, low: str, high: str) -> str:
    words = []
    for row in _records(part):
        span = f" ({_number(row[low])} to {_number(row[high])})" if low and high else ""
        words.append(f"{_clip(row[x])} {_number(row[y])}{span}")
    return "; ".join(words)


def _follow(part: pd.DataFrame, x: str, y: str) -> str:
    known = part[part[y].notna()]
    if not len(known):
        return "no values"
    places = {"from": 0, "to": -1, "lowest": int(known[y].argmin()), "highest": int(known[y].argmax())}
    words = [
        f"{word} {_number(known[y].iloc[place])} at {_number(known[x].iloc[place])}" for word, place in places.items()
    ]
    return f"{_say(y)} {words[0]} {words[1]}, {words[2]}, {words[3]}"
