"""Slices: every row in one of them, gaps above zero mean worse, any column can be cut."""

import numpy as np
import pandas as pd
import pytest
from array_helpers import score_predictions, score_slices
from hypothesis import given, settings
from hypothesis import strategies as st
from model_helpers import make_binary

from benchmarks.truth.slices import count_worse, draw_numbers, draw_report
from nbkit.errors import BadModel
from nbkit.evaluation import slice_gap, worst_slices
from nbkit.slicing import cut_slices


def table(n=1200):
    rng = np.random.default_rng(0)
    frame = make_binary(n)
    return frame, frame["late"], pd.Series(rng.random(n), index=frame.index)


def test_a_slice_is_scored_as_if_alone():
    frame, y, p = table()
    slices = score_slices(frame, y, p, ["carrier", "hour", "temp", "day"], metric="brier", draws=20)
    assert (slices.groupby("column")["n"].sum() == len(frame)).all()
    inside = frame["carrier"] == "Ünited"
    row = slices.query("slice == 'Ünited'").iloc[0]
    assert row["value"] == pytest.approx(score_predictions(y[inside], p[inside], "brier", draws=0)["value"].iloc[0])
    assert row["overall"] == pytest.approx(score_predictions(y, p, "brier", draws=0)["value"].iloc[0])
    assert {"missing"} <= set(slices["slice"])


def test_a_slice_in_which_the_model_is_wrong_is_found_and_the_others_are_not_blamed():
    frame, y, _ = table()
    p = np.where(frame["carrier"] == "AA", 1 - y, y) * 0.8 + 0.1  # wrong about one carrier
    slices = score_slices(frame, y, p, ["carrier"], metric="roc_auc", draws=50)
    row = slices.query("slice == 'AA'").iloc[0]
    assert row["gap_low"] > 0.2
    assert worst_slices(slices)["slice"].tolist() == ["AA"]
    gap = slice_gap(slices).loc["slice_gap"]
    assert (gap["value"], gap["note"]) == (row["gap"], "carrier = AA")
    assert gap["low"] <= gap["value"] <= gap["high"]


@pytest.mark.parametrize("kind", ["equal slices", "overconfident everywhere", "the columns drive the risk"])
def test_equal_slices_and_those_of_a_perfect_model_are_not_called_worse(kind):
    rng = np.random.default_rng(1)
    assert count_worse(lambda: draw_report(kind, 3000, rng), "roc_auc", 8) <= 1 / 8
    assert count_worse(lambda: draw_report(kind, 6000, rng, shift=-4.0), "roc_auc", 4) == 0
    assert count_worse(lambda: draw_report(kind, 3000, rng, blocks=20), "roc_auc", 4) == 0


def test_a_slice_of_a_perfect_model_has_a_lower_area_and_is_not_worse():
    rng = np.random.default_rng(0)
    drives = rng.normal(size=8000)
    p = 1 / (1 + np.exp(1 - 2 * drives))
    y = rng.random(8000) < p
    slices = score_slices(pd.DataFrame({"x": drives}), y, p, ["x"], metric="roc_auc", positive=True, draws=0)
    assert (slices["value"] < slices["overall"] - 0.05).all()
    assert (slices["verdict"] == "not worse").all()


def test_numbers_that_vary_more_in_a_slice_are_harder_and_not_worse():
    rng = np.random.default_rng(0)
    assert count_worse(lambda: draw_numbers("equal slices", 4000, rng), "mae", 5) == 0
    assert count_worse(lambda: draw_numbers("wrong in one slice", 4000, rng), "mae", 3, only="3") == 1


def test_too_few_cases_or_blocks_in_a_slice_are_not_judged():
    rng = np.random.default_rng(0)
    p = np.full(1000, 0.01)
    frame = pd.DataFrame({"a": rng.integers(0, 4, 1000).astype(str)})
    slices = score_slices(frame, rng.random(1000) < p, p, ["a"], metric="brier", positive=True, draws=0)
    assert set(slices["verdict"]) == {"too few"}
    few = score_slices(
        frame,
        rng.random(1000) < 0.4,
        p + 0.4,
        ["a"],
        metric="brier",
        positive=True,
        draws=0,
        groups=pd.Series(np.arange(1000) % 4),
    )
    assert set(few["verdict"]) == {"too few"}


def test_rows_that_are_alike_make_a_slice_less_sure():
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, 120), rng.random(120)
    frame = pd.DataFrame({"a": ["x"] * 2400})
    told, again = np.tile(y, 20), np.tile(p, 20)
    options = {"metric": "roc_auc", "task": "binary"}
    naive = score_slices(frame, told, again, ["a"], **options).iloc[0]
    alike = score_slices(frame, told, again, ["a"], **options, groups=pd.Series([*range(120)] * 20)).iloc[0]
    assert alike["value"] == naive["value"]
    assert alike["high"] - alike["low"] > 3 * (naive["high"] - naive["low"])


def test_a_frequent_value_is_a_slice_of_its_own():
    rain = pd.Series([0.0] * 900 + [*np.linspace(0.1, 5, 100)])
    labels = cut_slices(rain, bins=4)
    assert labels.cat.categories.tolist() == ["0", "0.1 to 5"]
    assert (labels[rain == 0] == "0").all()
    both = cut_slices(pd.Series([*np.linspace(-9, -1, 200), *[0.0] * 600, *np.linspace(1, 9, 200)]), bins=10)
    below, above = both.cat.categories.tolist().index("0"), both.value_counts()
    assert both.iloc[:200].cat.codes.max() < below < both.iloc[800:].cat.codes.min()
    assert above["0"] == 600


def test_small_slices_are_shown_and_not_judged():
    frame, y, p = table(200)
    slices = score_slices(frame, y, p, ["carrier"], metric="brier", min_rows=10_000, draws=10)
    assert not slices["judged"].any()
    assert len(worst_slices(slices)) == 0
    assert slice_gap(slices).at["slice_gap", "note"] == "no slice has enough rows"


def test_slices_of_any_task():
    frame, _, _ = table(300)
    rng = np.random.default_rng(0)
    y = rng.choice(["x", "y", "z"], 300)
    p = pd.DataFrame(rng.dirichlet(np.ones(3), 300), columns=["x", "y", "z"])
    assert len(score_slices(frame, y, p, ["carrier"], metric="log_loss", draws=10)) == 4
    y = rng.normal(0, 1, 300)
    off = score_slices(frame, y, y + 1, ["carrier"], metric="bias", draws=10)
    assert off["gap"].abs().max() == pytest.approx(0)  # off everywhere, no slice more than another
    text = frame["late"].map({0: "no", 1: "yes"})
    assert len(score_slices(frame, text, y * 0 + 0.5, ["hour"], metric="roc_auc", positive="yes", draws=10)) == 4
    with pytest.raises(BadModel, match="no column 'carier'"):
        score_slices(frame, y, y, ["carier"], metric="mae")


COLUMNS = {
    "bool": [True, False, None] * 20,
    "boolean": pd.array([True, False, None] * 20, dtype="boolean"),
    "Int64": pd.array([*range(59), None], dtype="Int64"),
    "category": pd.Categorical(["a", "b", None] * 20, categories=["b", "a", "unused"]),
    "time": [*pd.date_range("2013-01-01", periods=59), pd.NaT],
    "zone": pd.date_range("2013-01-01", periods=60, tz="UTC"),
    "timedelta": pd.to_timedelta(range(60), unit="D"),
    "inf": [np.inf, -np.inf, np.nan] + [1.5, 2.5, 3.5] * 19,
    "many infs": [np.inf] * 20 + [float(n) for n in range(40)],
    "constant": [1] * 60,
    "all missing": [None] * 60,
    "all nan": [np.nan] * 60,
    "many names": [f"n{n}" for n in range(60)],
    "mixed": [1, "a", None] * 20,
    "lists": [[1], [2], [3]] * 20,
}


@pytest.mark.parametrize("name", COLUMNS)
def test_any_column_can_be_cut(name):
    column = pd.Series(COLUMNS[name])
    labels = cut_slices(column)
    assert labels.notna().all()
    assert labels.cat.categories.is_unique
    assert len(labels.cat.categories) <= 32
    assert cut_slices(column.iloc[:0]).cat.categories.tolist() == []


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=20, max_size=60))
def test_quantile_slices_follow_the_order(values):
    labels = cut_slices(pd.Series(values))
    codes = labels.cat.codes[np.argsort(values, kind="stable")] if labels.cat.categories.size <= 5 else pd.Series([0])
    assert codes.is_monotonic_increasing


def test_a_level_that_is_called_missing_is_not_laid_together_with_gaps():
    labels = cut_slices(pd.Series(["missing", None, "a", "missing", None, None]))
    assert labels.tolist() == ["missing", "no value", "a", "missing", "no value", "no value"]
    assert labels.cat.categories.tolist() == ["a", "missing", "no value"]
    numbers = cut_slices(pd.Series([1.0, None]))
    assert numbers.tolist() == ["1", "missing"]


def test_without_a_column_to_slice_by_there_are_no_slices_and_their_columns_stay():
    """Such a table could not be asked for its judged slices: 07 stopped on tables of numbers alone."""
    p = np.linspace(0.1, 0.9, 200)
    slices = score_slices(pd.DataFrame({"x": p}), np.tile([0, 1], 100), p, [], metric="brier", positive=True, draws=0)
    assert list(slices[slices["judged"]].columns) == list(slices.columns)
    assert len(worst_slices(slices)) == 0


@pytest.mark.parametrize("start", [1_000_000, 20230100, 2**53])
def test_numbers_that_lie_close_together_far_from_zero_are_different_slices(start):
    slices = cut_slices(pd.Series(start + np.arange(200) % 100 * 4))
    assert len(slices.cat.categories) == 4


@pytest.mark.parametrize(
    ("days", "first"), [(18_000, "1950 to 196"), (400, "1950-01 to 1950-0"), (90, "1950-01-03 to 1950-01-2")]
)
@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_a_slice_of_times_ends_with_a_year_or_a_month_where_it_is_long_and_names_no_birth_date(days, first, zone):
    chance = np.random.default_rng(0)
    born = pd.Series(pd.Timestamp("1950-01-03") + pd.to_timedelta(np.r_[0, chance.integers(1, days, 500)], "D"))
    labels = cut_slices(born.dt.tz_localize(zone).reindex(range(502)))
    names = [each for each in labels.cat.categories if each != "missing"]
    assert names[0].startswith(first)
    assert 3 <= len(names) <= 5
    if days > 90:
        assert not any(f"{day:%Y-%m-%d}" in name for day in born for name in names)
    ends = (
        pd.DataFrame({"born": born, "slice": labels.iloc[:-1]})
        .groupby("slice", observed=True)["born"]
        .agg(["min", "max"])
    )
    assert (ends["min"].sort_values().index == ends["max"].sort_values().index).all()  # they follow on each other
    assert labels.iloc[-1] == "missing"
