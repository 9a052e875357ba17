"""A figure in the house's style becomes an SVG picture with words for who cannot see it."""

import io
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any
from urllib.parse import quote, unquote

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import ScalarFormatter

from nbkit import wording
from nbkit.pictures import Picture
from nbkit.wording import describe, format_estimate

INK = "#010203"  # what is drawn with it takes the text colour of the page
COLOURS = ("#3b82c4", "#c8651b", "#2b9079", "#a95fb0", "#8a7a1f")  # at least 3:1 on white and on #111
MARKERS = ("o", "s", "^", "D", "v")
LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)))
SHOWN = 10  # numbers in the words beside a picture
POINTS, TOLD = 30, 1000  # of a line that say what they show; marks of an artist that may, at some 40 bytes each
TELLING = "telling-"
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


@contextmanager
def new_figure(title: str, *, width: float = 6.4, height: float = 3.4) -> Iterator[tuple[Figure, Axes]]:
    """Lend an empty figure in the house's style, whatever the reader's own settings are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        figure = Figure(figsize=(max(width, 3.0), max(height, 1.6)), layout="constrained")
        axes = figure.add_subplot()
        figure.suptitle(title, fontsize=11, fontweight="bold", x=0.01, ha="left", wrap=True)
        yield figure, axes


@contextmanager
def new_panels(title: str, counts: list[int]) -> Iterator[tuple[Figure, list[Axes], list[int]]]:
    """Lend two columns of panels, each line as tall as its fullest panel, and how many names that one has.

    Parameters
    ----------
    title
        The finding.
    counts
        Panel by panel, how many names stand down its side.
    """
    lines = max(-(-len(counts) // 2), 1)
    tallest = [max(counts[2 * line : 2 * line + 2], default=1) for line in range(lines)]
    heights = [names * 0.19 + 0.5 for names in tallest]
    with new_figure(title, width=7.6, height=sum(heights) + 0.8) as (figure, axes):
        figure.delaxes(axes)
        grid = figure.subplots(lines, 2, sharex=True, squeeze=False, height_ratios=heights).ravel()
        for spare in grid[len(counts) :]:
            figure.delaxes(spare)
        yield figure, list(grid[: len(counts)]), tallest


def finish(figure: Figure, title: str, words: str, more: int = 0) -> Picture:
    """Turn a figure into a picture with its words; large numbers along an axis have commas."""
    for axis in (one for axes in figure.axes for one in (axes.xaxis, axes.yaxis)):
        if type(axis.get_major_formatter()) is ScalarFormatter and max(map(abs, axis.get_view_interval())) >= 1e4:
            axis.set_major_formatter("{x:,.0f}")
    return to_picture(figure, f"{title}. {words or 'No rows'}{f'; and {more} more' if more > 0 else ''}.", title)


def tell(artist: Artist, words: Iterable[str]) -> None:
    """Let each mark of an artist say what it shows where somebody points at it, unless they are too many for a page."""
    told = list(words)
    if isinstance(artist, Line2D):  # what is not finite has no mark
        known = np.isfinite(np.asarray(artist.get_xydata(), dtype=float)).all(axis=1)
        told = [each for each, is_known in zip(told, known, strict=True) if is_known]
    artist.set_gid(TELLING + quote(json.dumps(told)) if len(told) <= TOLD else None)


def tell_line(axes: Axes, across: Any, values: Any, words: Sequence[str]) -> None:
    """Let a line without markers say what it shows, at some points that nobody sees."""
    some = np.unique(np.linspace(0, len(words) - 1, min(len(words), POINTS)).astype(int))
    (marks,) = axes.plot(np.asarray(across)[some], np.asarray(values)[some], "o", color=INK, markersize=7, alpha=0)
    tell(marks, [words[place] for place in some])


def _place_words(svg: str) -> str:
    """Make titles of what marks say; of none of an artist, if it has not as many marks as words."""

    def place(found: re.Match[str]) -> str:
        words, mark = json.loads(unquote(found[1])), r"<use[^>]*/>" if "<use" in found[2] else r"<path[^>]*/>"
        if len(re.findall(mark, found[2])) == len(words):
            titles = (f"<title>{escape(each)}</title>" for each in words)
            return "<g>" + re.sub(mark, lambda drawn: f"<g>{next(titles)}{drawn[0]}</g>", found[2])
        return f"<g>{found[2]}"

    return re.sub(rf'<g id="{TELLING}([^"]*)">(.*?)(?=<g id="|\Z)', place, svg, flags=re.DOTALL)


def _tidy(svg: str, alt: str) -> str:
    """Shorten matplotlib's SVG: two decimals, one style per marker, generic font, no ids that nothing refers to."""
    svg = _place_words(svg[svg.index("<svg") :].strip().replace(INK, "currentColor"))
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


def list_names(axes: Axes, part: pd.DataFrame, x: str, colour: str = INK) -> None:
    """Write the names down the side, and draw the intervals, if there are any."""
    places = np.arange(len(part))
    if {"low", "high"} <= set(part.columns):
        axes.hlines(places, to_floats(part["low"]), to_floats(part["high"]), color=colour, linewidth=1.2)
    axes.set_yticks(places, [clip(name) for name in part[x]])
    axes.invert_yaxis()


def to_floats(values: pd.Series) -> Any:
    """Return values as floats, NaN where there is no finite number."""
    numbers = values.to_numpy(dtype=float, na_value=np.nan)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def label_axes(axes: Axes, x: str, y: str, *, legend: bool = False) -> None:
    """Name both axes."""
    axes.set_xlabel(in_words(x))
    axes.set_ylabel(in_words(y))
    if legend and axes.get_legend_handles_labels()[1]:
        axes.legend(loc="best")


def draw_diagonal(axes: Axes, table: pd.DataFrame) -> None:
    """Draw where both columns are equal."""
    ends = [float(table.min().min()), float(table.max().max())]
    axes.plot(ends, ends, color=INK, linestyle=":", linewidth=1)


def place_steps(axes: Axes, every: pd.Series, own: pd.Series) -> Any:
    """Place numbers and times where they are, names at steps of their order."""
    if pd.api.types.is_numeric_dtype(own):
        return to_floats(own)
    if pd.api.types.is_datetime64_any_dtype(own):
        axes.tick_params(axis="x", rotation=30)
        return own.to_numpy(dtype="datetime64[us]")
    names = list(dict.fromkeys(every.astype(str)))
    shown = range(0, len(names), max(1, len(names) // 10))
    labels = [clip(names[place], 12) for place in shown]
    axes.set_xticks(list(shown), labels)
    if sum(map(len, labels)) > 60:
        axes.tick_params(axis="x", rotation=30)
    return [names.index(name) for name in own.astype(str)]


def split_levels(table: pd.DataFrame, by: str) -> list[tuple[str, pd.DataFrame]]:
    """Return the rows by level of a column, in their order; all of them if none is named."""
    if not by:
        return [("", table)]
    return [(clip(name), part) for name, part in table.groupby(by, sort=False, observed=True, dropna=False)]


def clip(name: Any, width: int = 28) -> str:
    """Cut a text to a width at its end, a name without blanks in its middle, as its end may tell it from others.

    Examples
    --------
    >>> clip("recent_delay_carrier", 14), clip("a late evening", 8)
    ('recent…carrier', 'a late …')
    """
    text = f"{name:g}" if isinstance(name, float) else str(name)
    tail = 0 if " " in text else width // 2
    return text if len(text) <= width else text[: width - 1 - tail] + "…" + text[len(text) - tail :]


def in_words(name: Any) -> str:
    """Write a column's name in words."""
    return describe(str(name))


def format_value(value: Any) -> str:
    """Write a value as it is said: a day, a name or a number."""
    if isinstance(value, pd.Timestamp):
        return str(value.date())
    return value if isinstance(value, str) else wording.format_value(np.nan if pd.isna(value) else value)


def list_numbers(part: pd.DataFrame, x: str, y: str) -> str:
    """Write out the first rows: what each bar or dot shows."""
    return "; ".join(tell_numbers(part.head(SHOWN), x, y))


def tell_numbers(part: pd.DataFrame, x: str, y: str) -> list[str]:
    """Write out each row, with its interval if there is one."""
    return [f"{clip(row[x])} {_tell_value(row, y)}" for row in part.to_dict("records")]


def tell_points(part: pd.DataFrame, x: str, y: str, name: str = "") -> list[str]:
    """Write out where each point of a line lies."""
    head = f"{name}: " if name else ""
    rows, across, up = part.to_dict("records"), in_words(x), in_words(y)
    return [f"{head}{across} {format_value(row[x])}, {up} {_tell_value(row, y)}" for row in rows]


def _tell_value(row: dict[Any, Any], y: str) -> str:
    if not {"low", "high"} <= set(row):
        return format_value(row[y])
    value, low, high = (np.nan if pd.isna(row[name]) else float(row[name]) for name in (y, "low", "high"))
    return format_estimate(value, low, high)


def describe_course(part: pd.DataFrame, x: str, y: str) -> str:
    """Describe where a line starts, ends, and has its lowest and highest value."""
    known = part[part[y].notna()]
    if not len(known):
        return "no values"
    places = {"from": 0, "to": -1, "lowest": int(known[y].argmin()), "highest": int(known[y].argmax())}
    down, across = ([format_value(known[name].iloc[place]) for place in places.values()] for name in (y, x))
    words = [f"{word} {value} at {at}" for word, value, at in zip(places, down, across, strict=True)]
    return f"{in_words(y)} {words[0]} {words[1]}, {words[2]}, {words[3]}"
