"""Pictures: valid, small, the same twice, readable in the dark, and told in words."""

import re
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from array_helpers import align, calibration_table, choose_threshold
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbkit import formats, plots
from nbkit.plots.distributions import _cut
from nbkit.plots.picture import clip, finish, new_figure, tell
from nbkit.problem import Problem
from nbkit.report.figures import clean_svg

RNG = np.random.default_rng(0)
P = RNG.random(3000)
Y = (RNG.random(3000) < P).astype(int)
ROWS = pd.DataFrame(
    {
        "name": ["hour", "Zürich $5 & <b>", None],
        "size": [3.0, -1.0, np.nan],
        "low": [2.0, -2, np.nan],
        "high": [4.0, 0, np.nan],
    }
)
MONTHS = pd.DataFrame({"month": pd.date_range("2013-01-01", periods=12, freq="MS"), "auc": np.linspace(0.75, 0.64, 12)})
POINTS = pd.DataFrame({"x": P, "y": RNG.normal(size=3000), "group": np.where(Y, "late", "on time")})
CELLS = pd.DataFrame({"actual": "case", "predicted": ["case", "other"], "share": [0.8, -0.2]})
CELLS["cell"] = ["5 rows\n10 USD", "1 rows\n60 USD"]
FOREST = pd.DataFrame({"group": ["a", "b"] * 2, "what": ["mae", "mae", "share", "share"], "rate": [1.0, 2.0] * 2})
FOREST = FOREST.assign(low=FOREST["rate"] - 0.2, high=FOREST["rate"] + 0.2, least=[np.nan, np.nan, 0.9, 0.9], most=1.5)
DECISION = choose_threshold(Y, P, {"false_positive": 1, "false_negative": 3}, draws=50)
PICTURES = {
    "bars": lambda: plots.draw_bars(ROWS, "name", "size", "Hour counts", unit="log-odds"),
    "dots": lambda: plots.draw_dots(ROWS, "name", "size", "One is worse"),
    "lines": lambda: plots.draw_lines(MONTHS, "month", "auc", "It falls"),
    "bands": lambda: plots.draw_lines(
        MONTHS.assign(low=0.6, high=0.8, part=["a", "b"] * 6, month=MONTHS["month"].dt.strftime("%Y-%m")),
        "month",
        "auc",
        "It falls",
        by="part",
    ),
    "effects": lambda: plots.draw_effects(
        pd.concat(
            [
                ROWS.assign(feature=f, slice=ROWS["name"], n=9, effect=ROWS["size"], **{"class": k})
                for f in "abc"
                for k in "uv"
            ]
        ),
        "It pushes",
        unit="log-odds",
    ),
    "distributions": lambda: plots.draw_distributions(
        POINTS.assign(late=Y, word=POINTS["group"].str[:2], gone=np.nan),
        ["x", "word", "gone"],
        Problem("late"),
        "They differ",
    ),
    "thirds": lambda: plots.draw_distributions(POINTS, ["x", "group"], Problem("y", "regression"), "They differ"),
    "long line": lambda: plots.draw_lines(POINTS.assign(x=range(3000)), "x", "y", "Noise"),
    "calibration": lambda: plots.draw_calibration(calibration_table(Y, P), align(Y, P), "It is right"),
    "threshold": lambda: plots.draw_threshold(DECISION, "Cheapest", currency="USD"),
    "confusion": lambda: plots.draw_heatmap(CELLS, "predicted", "actual", "share", "Two cells", label="cell"),
    "forest": lambda: plots.draw_dots(FOREST, "group", "rate", "One is outside", panel="what", lines=[0.5]),
    "heatmap": lambda: plots.draw_heatmap(
        pd.DataFrame([(x, y, x * y / 7 - 3) for x in range(24) for y in range(7)], columns=["hour", "day", "v"]),
        "hour",
        "day",
        "v",
        "Evenings",
    ),
    "map": lambda: plots.draw_map(pd.DataFrame([[0, 0.5, 1], [0, 0, 0.1]], index=["seats", "a<b"]), "Gaps"),
    "scatter": lambda: plots.draw_scatter(POINTS, "x", "y", "No relation", diagonal=True, points=2000),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_valid_small_and_the_same_twice(name):
    picture = PICTURES[name]()
    ET.fromstring(picture.svg)
    assert len(picture.svg) < 60_000 * (2 if name == "scatter" else 1)
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.hashsalt": "other"}):
        assert PICTURES[name]() == picture
    assert plots.INK not in picture.svg
    assert "currentColor" in picture.svg
    assert not re.search(r"#(000000|ffffff)\b|<style|<metadata", picture.svg)
    assert formats.load("figure", formats.dump(picture)[2]) == picture


@pytest.mark.parametrize("name", PICTURES)
def test_words_carry_the_numbers(name):
    picture = PICTURES[name]()
    assert picture.alt.startswith(picture.title + ". ")
    assert len(re.findall(r"\d", picture.alt)) > 3
    assert ET.fromstring(picture.svg).get("aria-label") == picture.alt
    data, metadata = picture._repr_mimebundle_()
    assert metadata["image/svg+xml"]["alt"] == data["text/plain"] == picture.alt


def test_what_is_referred_to_is_there():
    for draw in PICTURES.values():
        svg = draw().svg
        ids = re.findall(r' id="([^"]+)"', svg)
        assert len(ids) == len(set(ids))
        assert set(re.findall(r"#([\w.-]+)\)|href=\"#([\w.-]+)\"", svg)) <= {(i, "") for i in ids} | {
            ("", i) for i in ids
        }


def test_cells_say_what_they_are_given_to_say():
    alt = PICTURES["confusion"]().alt
    assert (
        alt == "Two cells. actual case, predicted case: 5 rows, 10 USD; actual case, predicted other: 1 rows, 60 USD."
    )
    assert "5 rows" in PICTURES["confusion"]().svg


def test_a_forest_has_panels_bands_and_words_for_each():
    picture = PICTURES["forest"]()
    assert picture.alt.startswith("One is outside. mean absolute error (MAE): a 1.00 (0.80 to 1.20); b 2.00")
    assert picture.svg.count("opacity: 0.15") == 1
    assert plots.draw_dots(FOREST.head(0), "group", "rate", "None", panel="what").alt == "None. No rows."


def test_marks_are_drawn_over_a_histogram_and_of_one_beyond_it_the_name_stands_there_without_a_line():
    given = {}, {"half": 0.3, "limit": 9.0}
    plain, marked = (
        plots.draw_distributions(POINTS, ["x"], Problem("group"), "They differ", marks=each).svg for each in given
    )
    assert marked.count("stroke-dasharray") == plain.count("stroke-dasharray") + 1
    assert ">half<" in marked.replace(" ", "")
    assert "limit, beyond this axis →" in marked


def test_bins_begin_at_round_numbers_and_the_last_says_that_it_holds_all_above():
    skewed = pd.DataFrame({"delay": RNG.exponential(30, 3000), "time": RNG.integers(500, 2400, 3000), "y": Y})
    labels, places, ticks, edges = _cut(skewed["delay"])
    assert list(edges[:3]) == [0, 10, 20]
    assert labels[-1] == f"{edges[-2]:.0f} and above"
    assert (places == len(labels) - 1).sum() == (skewed["delay"] >= edges[-2]).sum()
    assert {float(text.strip("≥<")) % 10 for text in ticks.values()} == {0}
    assert len(set(ticks.values())) == len(ticks)
    picture = plots.draw_distributions(skewed, ["delay"], Problem("y"), "Skewed")
    assert f">≥{edges[-2]:.0f}<" in picture.svg
    assert f"delay {edges[-2]:.0f} and above, " in picture.svg
    assert "share of each class" in picture.svg
    assert all(edge % 100 == 0 for edge in _cut(skewed["time"])[3])
    for values in (
        [1.0, np.inf, *range(20)],
        [-1e-9 * each for each in range(20)],
        [1e12 + each for each in range(20)],
    ):
        labels, places, ticks, _ = _cut(pd.Series(values))
        assert len(set(labels)) == len(labels)
        assert places.max() < len(labels)


@pytest.mark.parametrize("names", [["recent_delay_carrier", "recent_delay_origin"], ["a" * 40 + "x", "a" * 40 + "y"]])
def test_names_that_begin_alike_stay_apart_where_they_are_cut(names):
    for width in (12, 14, 22, 28):
        assert len({clip(name, width) for name in names}) == 2
        assert all(len(clip(name, width)) <= width for name in names)


def test_bars_tell_values_and_intervals():
    assert PICTURES["bars"]().alt.startswith("Hour counts. hour 3.0 (2.0 to 4.0); Zürich $5 & <b> -1.0 (-2.0 to 0.0)")
    assert "auc from 0.75 at 2013-01-01 to 0.64 at 2013-12-01, lowest 0.64" in PICTURES["lines"]().alt


def list_titles(picture):
    return re.findall(r"<title>(.*?)</title>", clean_svg(picture.svg, "f"))


def test_a_mark_says_what_it_shows_where_somebody_points_at_it_also_where_a_line_has_no_marks():
    assert list_titles(PICTURES["bars"]())[0] == "hour 3.0 (2.0 to 4.0)"
    table = pd.DataFrame({"x": np.linspace(0, 1, 300), "found": np.linspace(0, 1, 300) ** 2})
    titles = list_titles(plots.draw_lines(table, "x", "found", "A curve"))
    assert (titles[0], titles[-1], len(titles)) == ("x 0, found 0", "x 1, found 1", 30)
    gap = pd.DataFrame({"x": [1.0, 2.0, 3.0], "found": [1.0, np.nan, 3.0]})  # no mark, and so no words, for the second
    assert list_titles(plots.draw_lines(gap, "x", "found", "A gap")) == ["x 1, found 1", "x 3, found 3"]
    for name in ("forest", "heatmap", "effects", "calibration", "threshold", "distributions", "map"):
        assert list_titles(PICTURES[name]()), name


def test_dots_of_rows_say_what_they_are_unless_they_are_too_many():
    titles = list_titles(plots.draw_scatter(POINTS, "x", "y", "No relation"))
    assert len(titles) == 600
    assert re.fullmatch(r"x 0\.\d+, y -?\d\S*", titles[0])
    assert not list_titles(PICTURES["scatter"]())  # 2,000
    rows = pd.DataFrame({"hour": [5.0, np.nan, 9.0], "who": ["Ann", "withheld", "Bo & Co"]})
    moved = pd.DataFrame({"hour": [1.25, -2.0, 0.5], "who": [0.0, 3.0, -1.0]})
    told = list_titles(plots.draw_swarm(moved, rows, "How far", unit="points"))
    assert sorted(told) == [
        "hour 5: 1.25 points", "hour 9: 0.5 points", "hour unknown: -2 points",
        "who Ann: 0 points", "who Bo &amp; Co: -1 points", "who withheld: 3 points",
    ]  # fmt: skip


def test_an_artist_with_other_marks_than_words_says_nothing_rather_than_something_wrong():
    with new_figure("Cut") as (figure, axes):
        for bar, words in zip(axes.barh([0, 1], [2, 3]), (["two"], ["three", "four"]), strict=True):
            tell(bar, words)
        assert list_titles(finish(figure, "Cut", "")) == ["two"]


def luminance(colour):
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("colour", plots.COLOURS)
@pytest.mark.parametrize("page", ["#ffffff", "#111111"])
def test_colours_stand_out_on_light_and_dark(colour, page):
    dark, light = sorted([luminance(colour), luminance(page)])
    assert (light + 0.05) / (dark + 0.05) >= 3


def test_lines_differ_by_more_than_colour():
    assert len(set(plots.MARKERS)) == len(set(map(str, plots.LINES))) == len(plots.COLOURS)


def test_a_figure_of_ones_own():
    from matplotlib.figure import Figure

    figure = Figure()
    figure.add_subplot().set_title("Mine")
    picture = plots.to_picture(figure, "Nothing in it")
    assert (picture.title, picture.alt) == ("Mine", "Nothing in it")
    assert ET.fromstring(picture.svg).tag.endswith("svg")


EMPTY = {
    "bars": lambda t: plots.draw_bars(t, "x", "y", "t"),
    "dots": lambda t: plots.draw_dots(t.assign(low=t["y"], high=t["y"]), "x", "y", "t"),
    "lines": lambda t: plots.draw_lines(t, "x", "y", "t"),
    "groups": lambda t: plots.draw_lines(t, "x", "y", "t", by="x"),
    "effects": lambda t: plots.draw_effects(
        t.assign(feature=t["x"], slice=t["x"].astype(str), n=1, effect=t["y"], low=t["y"], high=t["y"]), "t"
    ),
    "heatmap": lambda t: plots.draw_heatmap(t, "x", "x2", "y", "t"),
    "scatter": lambda t: plots.draw_scatter(t, "y", "y2", "t", diagonal=True),
}
STRANGE = {
    "empty": pd.DataFrame({"x": pd.Series([], dtype=object), "y": pd.Series([], dtype=float)}),
    "one": pd.DataFrame({"x": ["a"], "y": [1.0]}),
    "missing": pd.DataFrame({"x": ["a", None], "y": [np.nan, np.nan]}),
    "constant": pd.DataFrame({"x": ["a", "b"], "y": [2.0, 2.0]}),
    "category": pd.DataFrame({"x": pd.Categorical(["a", "b"], categories=["b", "a", "c"]), "y": [1, 2]}),
    "nullable": pd.DataFrame({"x": ["a", "b"], "y": pd.array([1, None], dtype="Int64")}),
    "times": pd.DataFrame({"x": pd.to_datetime(["2013-01-01", "2013-02-01"], utc=True), "y": [1.0, 2.0]}),
    "infinite": pd.DataFrame({"x": ["a", "b"], "y": [np.inf, 1.0]}),
}


@pytest.mark.parametrize("draw", EMPTY)
@pytest.mark.parametrize("data", STRANGE)
def test_strange_tables_still_give_a_picture(draw, data):
    table = STRANGE[data].assign(x2=lambda t: t["x"], y2=lambda t: t["y"])
    ET.fromstring(EMPTY[draw](table).svg)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=60))
def test_any_words_can_be_drawn(text):
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph|.*font")  # the reader's font draws it, not matplotlib's
        picture = plots.draw_bars(pd.DataFrame({"n": [text, "b"], "v": [1, 2]}), "n", "v", text)
    ET.fromstring(picture.svg)


def test_times_are_drawn_along_time_and_one_that_is_missing_is_in_no_bin():
    times = pd.date_range("2023-01-01", periods=200, tz="Europe/Berlin").to_series(index=range(200))
    table = pd.DataFrame({"at": times.mask(times.index == 7), "y": np.tile([0, 1], 100)})
    picture = plots.draw_distributions(table, ["at"], Problem("y"), "When")
    assert "2023-01-0" in picture.svg
    assert "NaT" not in picture.svg + picture.alt
    assert re.search(r"at, y 0: most often 2023-\d\d-\d\d to 2023-\d\d-\d\d \(\d%\)", picture.alt), picture.alt
