from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbkit.data import list_windows, pin_split, read_rows, split_table
from nbkit.errors import BadSplit
from nbkit.problem import Problem


def make(n=400, seed=0):
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "id": np.arange(n),
            "t": pd.Timestamp("2020-01-01") + pd.to_timedelta(np.sort(random.integers(0, 365, n)), "D"),
            "g": random.integers(0, n // 8, n),
            "x": random.normal(size=n),
            "y": random.integers(0, 2, n),
        }
    )


def parts(splits):
    return {"train": splits.train, "valid": splits.valid, "test": splits.test, **splits.windows}


def test_dates_end_before_themselves_and_windows_follow():
    spec = {"by": "time", "train_until": "2020-04-01", "valid_until": "2020-05-01", "test_until": "2020-06-01"}
    splits = split_table(make(), {**spec, "windows": "month"}, Problem("y", time="t"))
    assert splits.train["t"].max() < pd.Timestamp("2020-04-01") <= splits.valid["t"].min()
    assert splits.test["t"].max() < pd.Timestamp("2020-06-01")
    assert list(splits.windows) == [f"2020-{month:02d}" for month in range(6, 13)]
    assert splits.summary["rows"].sum() == 400
    assert splits.summary["share"].sum() == pytest.approx(1)
    assert splits.summary.loc[0, "target_mean"] == splits.train["y"].mean()
    assert next(iter(split_table(make(), {**spec, "windows": "week"}, Problem("y", time="t")).windows)) == "2020-W23"
    assert next(iter(split_table(make(), {**spec, "windows": "day"}, Problem("y", time="t")).windows)) >= "2020-06-01"
    rest = split_table(make(), {k: v for k, v in spec.items() if k != "test_until"}, Problem("y", time="t"))
    assert not rest.windows
    assert rest.test["t"].max() == make()["t"].max()


def test_shares_of_time_never_cut_a_moment():
    spec = {"by": "time", "valid": 0.15, "test": 0.15, "production": 0.3, "windows": 3}
    splits = split_table(make(), spec, Problem("y", time="t"))
    moments = [set(part["t"]) for part in parts(splits).values()]
    assert all(max(a) < min(b) for a, b in pairwise(moments))
    assert splits.summary["share"].to_numpy() == pytest.approx([0.4, 0.15, 0.15, 0.1, 0.1, 0.1], abs=0.02)


def test_time_zones():
    table = make()
    zoned = table.assign(t=table["t"].dt.tz_localize("America/New_York"))
    spec = {"by": "time", "train_until": "2020-04-01", "valid_until": "2020-05-01"}
    assert (
        split_table(zoned, spec, Problem("y", time="t"))
        .train["id"]
        .equals(split_table(table, spec, Problem("y", time="t")).train["id"])
    )
    late = {**spec, "train_until": "2020-04-01T00:00:00-12:00"}
    assert len(split_table(zoned, late, Problem("y", time="t")).train) >= len(
        split_table(zoned, spec, Problem("y", time="t")).train
    )
    with pytest.raises(BadSplit, match="offset"):
        split_table(table, late, Problem("y", time="t"))
    text = table.assign(t=table["t"].dt.strftime("%Y-%m-%d"))
    assert len(split_table(text, spec, Problem("y", time="t")).train) == len(
        split_table(table, spec, Problem("y", time="t")).train
    )


def test_shares_are_exact_and_do_not_depend_on_row_order():
    spec = {"by": "random", "valid": 0.2, "test": 0.2, "production": 0.2, "windows": 2}
    splits = split_table(make(), spec, Problem("y", keys=["id"], seed=3))
    assert splits.summary["rows"].tolist() == [160, 80, 80, 40, 40]
    again = split_table(make().sample(frac=1, random_state=1), spec, Problem("y", keys=["id"], seed=3))
    assert set(again.test["id"]) == set(splits.test["id"])
    other = split_table(make(), spec, Problem("y", keys=["id"], seed=4))
    assert set(other.test["id"]) != set(splits.test["id"])
    assert splits.train["id"].is_monotonic_increasing
    grown = split_table(make(440).assign(id=range(440)), spec, Problem("y", keys=["id"], seed=3))
    assert len(set(grown.train["id"]) & set(splits.train["id"])) > 140


def test_identical_rows_stay_together():
    table = pd.concat([make(100).drop(columns="id")] * 2)
    splits = split_table(table, {"by": "random"}, Problem("y"))
    seen = [set(part["x"]) for part in parts(splits).values()]
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]


def test_stratified_keeps_rates():
    table = make(1000).assign(y=lambda t: (t["id"] < 100).astype(int))
    splits = split_table(table, {"by": "stratified", "production": 0.2}, Problem("y", keys=["id"]))
    parts = [splits.train, splits.valid, splits.test, *splits.windows.values()]
    assert [part["y"].mean() for part in parts] == pytest.approx([0.1] * 4, abs=0.011)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(["random", "stratified", "group"]), st.integers(0, 99), st.integers(60, 300), st.integers(1, 3))
def test_every_row_falls_into_exactly_one_part(by, seed, n, windows):
    spec = {"by": by, "valid": 0.2, "test": 0.2, "production": 0.3, "windows": windows}
    splits = split_table(make(n, seed), spec, Problem("y", group="g", seed=seed))
    ids = pd.concat([part["id"] for part in parts(splits).values()])
    assert sorted(ids) == list(range(n))
    if by == "group":
        groups = [set(part["g"]) for part in parts(splits).values()]
        assert sum(map(len, groups)) == make(n, seed)["g"].nunique()


def test_summary_of_other_tasks():
    table = make().assign(z=lambda t: t["id"] % 3)
    many = split_table(table, {"by": "stratified"}, Problem("z", "multiclass")).summary
    assert many["target_mean"].isna().all()
    assert many.loc[0, "classes"].startswith("0: 33")
    numbers = split_table(table, {"by": "random"}, Problem("x", "regression")).summary
    assert numbers["classes"].eq("").all()
    positive = split_table(
        table.assign(y=table["y"].map({0: "no", 1: "yes"})), {"by": "random"}, Problem("y", positive="no")
    )
    assert positive.summary.loc[0, "target_mean"] == (positive.train["y"] == "no").mean()


TIME = {"by": "time", "train_until": "2020-04-01", "valid_until": "2020-05-01"}


@pytest.mark.parametrize(
    ("spec", "change", "words"),
    [
        ({"by": "tme"}, {}, "did you mean 'time'"),
        ({**TIME, "valid_untl": "x"}, {}, "did you mean 'valid_until'"),
        ({**TIME, "train_until": "soon"}, {}, "not a date"),
        ({**TIME, "valid_until": "2020-03-01"}, {}, "must rise"),
        ({"by": "time", "train_until": "2020-04-01"}, {}, "needs valid_until"),
        ({**TIME, "valid": 0.2}, {}, "not both"),
        ({**TIME, "train_until": "2019-01-01"}, {}, "train would be empty"),
        ({**TIME, "test_until": "2020-06-01", "windows": "year"}, {}, "choose one of month"),
        (TIME, {"time": "tt"}, "time 'tt' is not a column"),
        (TIME, {"time": ""}, "needs the time column"),
        ({"by": "random", "valid": 0.6, "test": 0.5}, {}, "leave some for train"),
        ({"by": "random", "valid": -0.1}, {}, "negative"),
        ({"by": "random", "valid": float("nan")}, {}, "negative"),
        ({"by": "random", "valid": "many"}, {}, "shares such as"),
        ({"by": "random", "production": 0.2, "windows": "month"}, {}, "number of windows"),
        ({"by": "random"}, {"target": "yy"}, "did you mean 'y'"),
        ({"by": "random"}, {"positive": "yes"}, "no row of train has y 'yes'"),
        ({"by": "random"}, {"keys": ["idd"]}, "did you mean 'id'"),
        ({"by": "group"}, {}, "needs the group column"),
        (None, {}, "must be a mapping"),
    ],
)
def test_what_cannot_be_split_is_said(spec, change, words):
    with pytest.raises(BadSplit, match=words):
        split_table(make(), spec, Problem(**{"target": "y", "time": "t", **change}))


def test_bad_rows_are_counted():
    table = make()
    with pytest.raises(BadSplit, match="2 of 400 rows have no t"):
        split_table(table.assign(t=table["t"].where(table["id"] > 1)), TIME, Problem("y", time="t"))
    with pytest.raises(BadSplit, match="have no y"):
        split_table(table.assign(y=table["y"].where(table["id"] > 1)), TIME, Problem("y", time="t"))
    with pytest.raises(BadSplit, match="has classes that train has not: 2"):
        split_table(table.assign(y=table["y"].where(table["id"] < 390, 2)), TIME, Problem("y", time="t"))
    with pytest.raises(BadSplit, match="not a finite number"):
        split_table(table.assign(x=np.inf), TIME, Problem("x", "regression", time="t"))
    with pytest.raises(BadSplit, match="nothing to learn"):
        split_table(table.assign(y=0), TIME, Problem("y", time="t"))
    with pytest.raises(BadSplit, match="no rows"):
        split_table(table.iloc[:0], TIME, Problem("y", time="t"))
    with pytest.raises(BadSplit, match="empty"):
        split_table(table.iloc[:1], {"by": "random"}, Problem("y"))
    with pytest.raises(BadSplit, match="no dates"):
        split_table(table.assign(t="soon"), TIME, Problem("y", time="t"))


def test_five_groups_are_enough_for_three_parts():
    table = make().assign(g=lambda t: t["id"] % 5)
    for seed in range(5):
        assert split_table(table, {"by": "group"}, Problem("y", group="g", seed=seed)).summary["rows"].tolist() == [
            240,
            80,
            80,
        ]


def test_odd_tables_can_be_split():
    table = make().assign(o=[[1]] * 400, c=pd.Categorical(["a"] * 400), n=pd.array([None] * 400, "Int64"))
    table.index = [0] * 400
    assert len(split_table(table, {"by": "random"}, Problem("y")).train) > 200
    table = make().rename(columns={"x": 7, "y": "zïel ☃"})
    assert len(split_table(table, {"by": "stratified"}, Problem("zïel ☃")).train) > 200


@pytest.mark.parametrize("kind", ["plain", "zoned", "text"])
@pytest.mark.parametrize("production", [0.2, 0.0])
def test_rows_that_come_later_move_no_part(production, kind):
    table = make()
    table["t"] = table["t"].dt.tz_localize("Europe/Berlin" if kind == "zoned" else None)
    spec = {"by": "time", "valid": 0.2, "test": 0.2, "production": production, "windows": "month"}
    late = table.assign(t=table["t"] + (table["t"].max() - table["t"].min()) + pd.Timedelta("1D"))
    if kind == "text":
        table, late = (each.assign(t=each["t"].astype("str")) for each in (table, late))
    before = split_table(table, spec, Problem("y", time="t"))
    pinned = pin_split(spec, before, "t")
    after = split_table(pd.concat([table, late]), pinned, Problem("y", time="t"))
    for part in ("train", "valid", "test"):
        pd.testing.assert_frame_equal(getattr(before, part), getattr(after, part))
    *whole, _ = before.windows or [""]  # the last month may get more rows
    assert all(before.windows[name].equals(after.windows[name]) for name in whole if name)
    assert sum(map(len, after.windows.values())) == sum(map(len, before.windows.values())) + len(late)
    assert pin_split(pinned, after, "t") is pinned
    assert pin_split({"by": "random"}, before, "t") == {"by": "random"}


def test_windows_are_read_again(tmp_path):
    make().to_csv(tmp_path / "d.csv", index=False)
    spec = {"by": "time", "valid": 0.2, "test": 0.2, "production": 0.2, "windows": 2}
    ingest = {"sources": {"d": "d.csv"}, "query": "", "split": spec, "rows": 0, "unused": 1}
    problem = Problem("y", time="t")
    assert list_windows(ingest, problem, root=tmp_path) == ["rows-1", "rows-2"]
    window = read_rows(ingest, problem, "rows-2", root=tmp_path)
    assert window["t"].min() > read_rows(ingest, problem, "rows-1", root=tmp_path)["t"].max()
    assert len(read_rows(ingest, problem, "train", root=tmp_path)) > 100
    with pytest.raises(BadSplit, match="did you mean 'rows-2'"):
        read_rows(ingest, problem, "rows-3x", root=tmp_path)
    with pytest.raises(BadSplit, match="lack split"):
        read_rows({"sources": {"d": "d.csv"}}, problem, "x", root=tmp_path)
    with pytest.raises(BadSplit, match="no windows"):
        read_rows({**ingest, "split": {"by": "random"}}, problem, "2013-09", root=tmp_path)


def test_what_the_target_is_like_in_test_and_windows_is_not_shown():
    splits = split_table(make(400), {"by": "random", "production": 0.2, "windows": 2}, Problem("y", keys=["id"]))
    shown = splits.summary.set_index("split")
    assert shown.loc[["train", "valid"], "target_mean"].notna().all()
    assert shown.drop(index=["train", "valid"])["target_mean"].isna().all()
    assert set(shown.drop(index=["train", "valid"])["classes"]) == {""}


def test_a_split_by_position_keeps_the_order_of_the_file():
    table = make(100).sample(frac=1, random_state=0).reset_index(drop=True)
    spec = {"by": "position", "valid": 0.2, "test": 0.2, "production": 0.2, "windows": 2}
    splits = split_table(table, spec, Problem("y"))
    parts = [splits.train, splits.valid, splits.test, *splits.windows.values()]
    assert [len(part) for part in parts] == [40, 20, 20, 10, 10]
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), table)
    assert splits.positions.tolist() == list(range(40))
    pinned = pin_split(spec, splits, "")
    assert pinned == {"by": "position", "train_until": 40, "valid_until": 60, "test_until": 80, "windows": 2}
    longer = pd.concat([table, make(20)], ignore_index=True)
    again = split_table(longer, pinned, Problem("y"))
    pd.testing.assert_frame_equal(again.test, splits.test)
    assert sum(len(part) for part in again.windows.values()) == 40


@pytest.mark.parametrize(
    "spec",
    [
        {"by": "position", "train_until": 60, "valid_until": 40, "test_until": 80},
        {"by": "position", "train_until": 60, "valid_until": 70},
        {"by": "position", "train_until": 10, "valid_until": 20, "test_until": 30, "valid": 0.2},
        {"by": "position", "windows": "month"},
    ],
)
def test_places_that_do_not_rise_are_refused(spec):
    with pytest.raises(BadSplit):
        split_table(make(100), spec, Problem("y"))


@pytest.mark.parametrize("by", ["time", "random"])
def test_a_column_of_words_is_no_time_whatever_the_split(by):
    table = pd.DataFrame({"plan": ["basic", "gold"] * 50, "y": [0, 1] * 50})
    with pytest.raises(BadSplit, match="time 'plan' holds no dates \\(but 'basic'\\)"):
        split_table(table, {"by": by}, Problem("y", "binary", positive=1, time="plan"))


def test_a_table_without_rows_speaks_of_its_source():
    with pytest.raises(BadSplit, match="the table has no rows: look at its source"):
        split_table(pd.DataFrame({"y": []}), {"by": "random"}, Problem("y", "binary", positive=1))
