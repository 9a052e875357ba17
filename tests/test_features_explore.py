import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbkit.errors import BadSource
from nbkit.features import (
    find_oddities,
    map_missing,
    measure_associations,
    measure_missing,
    rank_relations,
    summarize_columns,
    summarize_target,
)
from nbkit.leakage import find_leakage
from nbkit.problem import Problem

ODD = {
    "lists": [[1], [2], None] * 10,
    "mixed": [1, "x", None] * 10,
    "bool": pd.array([True, False, None] * 10, "boolean"),
    "Int": pd.array([1, 2, None] * 10, "Int64"),
    "cat": pd.Categorical(["a", "b", None] * 10),
    "time": pd.to_datetime(["2020-01-01", "2020-01-02", None] * 10),
    "zoned": pd.to_datetime(["2020-01-01", "2020-01-02", None] * 10).tz_localize("UTC"),
    "delta": pd.to_timedelta([1, 2, None] * 10, "D"),
    "period": pd.PeriodIndex(["2020-01", "2020-02", None] * 10, freq="M"),
    "complex": [1j, 2j, None] * 10,
    "inf": [np.inf, -np.inf, np.nan] * 10,
    "none": [None] * 30,
    "constant": [1] * 30,
    "naïve ☃": ["ä", "ö", ""] * 10,
    7: range(30),
}


def odd(task):
    table = pd.DataFrame(ODD)
    table["y"] = {"binary": [0, 1, 1] * 10, "multiclass": list("abc") * 10, "regression": np.arange(30.0)}[task]
    return table


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_odd_tables_are_explored_without_a_crash(task):
    table = odd(task)
    for rows in (table, table.iloc[:1], table.iloc[:12], table.iloc[:0], table.assign(y=table["y"].iloc[0])):
        assert len(summarize_columns(rows, "y")) == 16
        assert len(rank_relations(rows, Problem("y", task))) == 15
        measure_missing(rows)
        find_oddities(rows)
        find_leakage(rows, Problem("y", task))
        if len(rows):
            assert summarize_target(rows, Problem("y", task))["n"].sum() > 0
            assert summarize_target(rows, Problem("y", task, time="time"))["n"].sum() > 0


def test_columns_are_summarized_as_pandas_does():
    table = pd.DataFrame({"x": [1.0, 2, 2, None], "s": ["a", "b", "b", "b"], "y": [0, 1, 1, 1]})
    result = summarize_columns(table, "y").set_index("column")
    assert list(result.index) == ["y", "x", "s"]
    assert result.loc["x", "mean"] == pytest.approx(table["x"].mean())
    assert result.loc["x", "std"] == pytest.approx(table["x"].std())
    assert result.loc["x", ["missing", "distinct", "min", "max", "top"]].tolist() == [0.25, 2, "1", "2", "2"]
    assert result.loc["s", ["type", "top", "top_share", "min"]].tolist() == ["text", "b", 0.75, ""]


def test_target_over_time():
    times = pd.date_range("2020-01-01", periods=730, freq="D")
    table = pd.DataFrame({"t": times, "y": (times.month == 7).astype(int)})
    result = summarize_target(table, Problem("y", time="t")).set_index("period")
    assert len(result) == 24
    assert result.loc["2020-07", "value"] == 1
    assert result.loc["2020-08", "value"] == 0
    assert 0 < result.loc["2020-08", "high"] < 0.2
    assert summarize_target(table.iloc[:40], Problem("y", time="t"))["period"].iloc[0] == "2020-01-01"
    assert summarize_target(table.iloc[:120], Problem("y", time="t"))["period"].iloc[0] == "2020-W01"
    many = summarize_target(table.assign(y=times.quarter), Problem("y", "multiclass"))
    assert many["value"].sum() == pytest.approx(1)
    numbers = summarize_target(
        table.assign(y=times.dayofyear if False else times.day * 1.0), Problem("y", "regression")
    ).iloc[0]
    assert numbers["low"] < numbers["value"] < numbers["high"]
    text = summarize_target(table.assign(y=table["y"].map({0: "no", 1: "yes"})), Problem("y", positive="no")).iloc[0]
    assert (text["class"], text["n"]) == ("no", 730)


@pytest.mark.parametrize("look", [summarize_target, rank_relations, find_leakage])
def test_odd_targets(look):
    table = odd("binary")
    for target in ("inf", "delta", "none", "complex", "constant"):
        look(table, Problem(target, "regression"))
    for target in ("lists", "mixed", "bool", "cat", "none", "constant", 7):
        look(table, Problem(target, "multiclass"))
    with pytest.raises(BadSource, match="target 'yy' is not a column; did you mean 'y'"):
        look(table, Problem("yy"))


def test_missing_together():
    table = pd.DataFrame({"a": [1, None, 3], "b": [None, None, 3], "c": [1, None, 3], "d": [1, 2, 3]})
    result = measure_missing(table)
    assert result["column"].tolist() == ["b", "a", "c"]
    assert result["together"].tolist() == ["", "c", "a"]


def test_relations_share_one_scale_and_know_their_noise():
    random = np.random.default_rng(0)
    n = 3000
    x = random.normal(size=n)
    y = (x + random.normal(size=n) > 0).astype(int)
    table = pd.DataFrame({"x": x, "c": np.where(x > 0, "high", "low"), "noise": random.normal(size=n), "y": y})
    table["id"] = [f"i{i}" for i in range(n)]
    table["gone"] = np.where(y == 1, np.nan, 1.0)
    result = rank_relations(table, Problem("y")).set_index("column")
    assert result.index[0] == "gone"
    assert result.loc["gone", "strength"] == pytest.approx(1, abs=0.001)
    assert result.loc["x", "strength"] > result.loc["c", "strength"] > 0.4
    assert result.loc["c", "strength"] == pytest.approx(abs(np.corrcoef(x > 0, y)[0, 1]), abs=0.001)
    for name in ("noise", "id"):
        assert result.loc[name, "strength"] < 0.06
    assert result.loc["noise", "noise"] < 0.06
    assert rank_relations(table, Problem("y", seed=1)).equals(rank_relations(table, Problem("y", seed=1)))


def test_strength_is_the_correlation_ratio():
    table = pd.DataFrame({"g": list("aabbcc") * 50, "y": [1.0, 2, 3, 4, 9, 8] * 50})
    groups = [part["y"] for _, part in table.groupby("g")]
    between = sum(len(part) * (part.mean() - table["y"].mean()) ** 2 for part in groups)
    eta = between / ((table["y"] - table["y"].mean()) ** 2).sum()
    epsilon = 1 - (1 - eta) * 299 / 297
    assert rank_relations(table, Problem("y", "regression")).loc[0, "strength"] == pytest.approx(np.sqrt(epsilon))


@pytest.mark.parametrize("scale", [1e-200, 1e-9, 1, 1e152, 1e300])
def test_the_scale_of_a_number_does_not_matter(scale):
    random = np.random.default_rng(0)
    x = random.normal(size=500)
    table = pd.DataFrame({"x": x, "word": np.where(x > 0, "high", "low"), "gone": np.where(x > 0, np.nan, 1)})
    told = [
        look(table.assign(y=(x + random.normal(size=500) * 0.01) * scale), Problem("y", "regression"))
        for look in (rank_relations, find_leakage)
    ]
    assert told[0]["strength"].tolist() == pytest.approx([0.97, 0.8, 0.8], abs=0.01)
    assert told[1]["columns"].tolist() == [["word"], ["x"], ["gone"]]  # each level of word is a range of the target
    assert told[1]["score"].tolist() == pytest.approx([1, 1, 0.8], abs=0.01)


def test_oddities():
    table = pd.DataFrame(
        {
            "id": [f"i{i}" for i in range(30)],
            "row": range(30),
            "measure": np.linspace(0, 1, 30),
            "one": ["x"] * 29 + [None],
            "none": [None] * 30,
            "copy": np.linspace(0, 1, 30),
        }
    )
    found = find_oddities(table).set_index("column")["finding"]
    assert found.to_dict() == {
        "id": "id-like",
        "row": "id-like",
        "one": "constant",
        "none": "empty",
        "copy": "duplicate column",
    }
    assert find_oddities(pd.DataFrame({"a": [1, 1, 2]}))["finding"].tolist() == ["duplicate rows"]


def findings(**columns):
    return find_oddities(pd.DataFrame(columns)).query("finding in ('sentinel', 'spellings')")


AGES = [*range(18, 91)] * 3
DIRTY = {
    "nines": ([*AGES, 999, 999, 999], "999 in 3 rows, all others from 18 to 90: this may mean missing"),
    "minus nines": ([*AGES, *[-99.0] * 5], "-99 in 5 rows, all others from 18 to 90: this may mean missing"),
    "the only negative": ([*range(12)] * 9 + [-1] * 7, "-1 in 7 rows, all others from 0 to 11: this may mean missing"),
    "most rows": ([*range(9)] * 3 + [999] * 500, "999 in 500 rows, all others from 0 to 8: this may mean missing"),
    "no usual code": ([*AGES, *[-4000] * 4], "-4000 in 4 rows, all others from 18 to 90: this may mean missing"),
    "few others": ([1, 2, 3, 4] * 9 + [99] * 3, "99 in 3 rows, all others from 1 to 4: this may mean missing"),
}
CLEAN = {
    "once": [*AGES, 999, 999],
    "in reach": [*range(95), 99, 99, 99],
    "flag": [0, 1, 1] * 30,
    "sign": [-1, 0, 1] * 30,
    "fee": [0, 29, 39, 49] * 30,
    "differences": [*range(-12, 12)] * 9,
    "scale of ten": [-1, *range(9)] * 30,
    "skewed": [round(2 ** (place / 4)) for place in range(60)] * 3,
    "none or much": [0] * 900 + [*range(500, 1500)],
    "constant": [999] * 50,
    "infinite": [*AGES, *[np.inf] * 9],
    "missing": [None] * 40,
}


@pytest.mark.parametrize("name", DIRTY)
def test_numbers_that_stand_for_missing_ones_are_found(name):
    values, words = DIRTY[name]
    for column in (values, pd.array(values, "Float64"), [*values, None]):
        assert findings(x=column)["evidence"].tolist() == [words]


@pytest.mark.parametrize("name", CLEAN)
def test_honest_numbers_are_left_alone(name):
    assert findings(x=CLEAN[name]).empty


@given(st.lists(st.integers(-1000, 1000), min_size=10, max_size=80), st.integers(3, 9), st.sampled_from([-1, 1]))
def test_a_number_far_enough_away_is_always_found_and_one_alone_never(values, times, sign):
    values = [*range(10), *values]
    far = sign * 10_000
    assert f"{far} in {times} rows" in " ".join(findings(x=[*values, *[far] * times])["evidence"])
    assert f"{far} in" not in " ".join(findings(x=[*values, far, far])["evidence"])


@given(st.integers(0, 2**32 - 1))
def test_numbers_drawn_at_random_are_left_alone(seed):
    random = np.random.default_rng(seed)
    drawn = [random.normal(size=200), random.exponential(9, 200), random.poisson(4, 200), random.integers(0, 100, 200)]
    assert findings(**{f"c{place}": column for place, column in enumerate(drawn)}).empty


def test_texts_that_differ_in_case_or_blanks_only_are_found():
    words = ["Basic"] * 9 + ["basic "] * 5 + ["plus"] * 4 + ["New\xa0 York", "new york"] * 2
    told = "'Basic' (9), 'basic ' (5); 'New\\xa0 York' (2), 'new york' (2) differ in case or blanks only"
    for column in (words, pd.Categorical(words), [*words, None]):
        assert findings(x=column)["evidence"].tolist() == [told]
    assert findings(x=["Basic", "plus"] * 9).empty
    assert findings(x=[f"{'aA'[place % 2]}{place // 2}" for place in range(40)]).empty  # names of rows


def test_the_mean_of_a_period_of_few_rows_lies_in_its_interval_as_often_as_said():
    days = pd.date_range("2024-01-01", periods=50, freq="D")
    held = []
    for seed in range(20):
        values = np.random.default_rng(seed).normal(size=150)
        table = pd.DataFrame({"y": values, "t": np.repeat(days, 3)})
        found = summarize_target(table, Problem("y", "regression", time="t", block="row"))
        held += ((found["low"] <= 0) & (found["high"] >= 0)).tolist()
    assert len(held) == 1000
    assert 0.93 <= np.mean(held) <= 0.97


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_week_of_days_that_are_alike_is_worth_days_and_not_rows(task):
    days, held, ignoring, widths = pd.date_range("2024-01-01", periods=140, freq="D"), [], [], []
    for seed in range(25):
        random = np.random.default_rng(seed)
        rates = np.repeat(random.beta(4, 4, len(days)), 200)  # good days and bad ones, half late in the long run
        table = pd.DataFrame({"y": (random.random(len(rates)) < rates).astype(int), "t": np.repeat(days, 200)})
        found, blind = (summarize_target(table, Problem("y", task, time="t", block=each)) for each in ("day", "row"))
        held += ((found["low"] <= 0.5) & (found["high"] >= 0.5)).tolist()
        ignoring += ((blind["low"] <= 0.5) & (blind["high"] >= 0.5)).tolist()
        widths.append(((found["high"] - found["low"]) / (blind["high"] - blind["low"])).median())
    assert len(held) == 500
    assert 0.92 <= np.mean(held) <= 0.98
    assert np.mean(ignoring) < 0.4
    assert min(widths) > 3
    alone = summarize_target(table.iloc[: 40 * 200], Problem("y", task, time="t"))  # a day is one block
    assert alone["low"].isna().all()
    assert alone["value"].notna().all()


def test_the_map_shows_since_when_values_are_missing_and_which_together():
    rows = pd.DataFrame({"full": range(100), "a": 1.0, "alone": 1.0, "b": 1.0})
    rows.loc[50:, ["a", "b"]] = np.nan
    rows.loc[::4, "alone"] = np.nan
    found = map_missing(rows, stretches=10)
    assert found.index.tolist() == ["a", "b", "alone"]
    assert found.loc["a"].tolist() == [0.0] * 5 + [1.0] * 5
    assert map_missing(rows[["full"]]).empty
    assert map_missing(rows.head(0)).empty


def test_numbers_and_texts_are_associated_on_one_scale_and_what_is_alike_stands_together():
    random = np.random.default_rng(0)
    x = random.normal(size=2000)
    rows = pd.DataFrame({
        "x": x, "noise": random.normal(size=2000), "squared": -(x**3), "sign": np.where(x > 0, "up", "down"),
        "other": random.choice(list("abc"), 2000), "gaps": np.where(random.random(2000) < 0.3, np.nan, x),
    })  # fmt: skip
    found = measure_associations(rows, Problem("x", "regression"), list(rows))
    table = found.pivot(index="column", columns="with", values="association")
    assert table.at["x", "squared"] > 0.95
    assert table.at["x", "sign"] == table.at["sign", "x"] > 0.7
    assert table.loc["noise", ["x", "other", "sign"]].max() < 0.15
    assert table.at["x", "gaps"] > 0.6
    assert found["column"].unique()[:2].tolist() == ["x", "squared"]
