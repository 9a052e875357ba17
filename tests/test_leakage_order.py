"""Whether rows depend on their place in the file; issue 10, A2."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine

from benchmarks.truth.order import (
    draw_exchangeable,
    in_runs,
    is_respected,
    jumping,
    rare_and_rising,
    rising,
    seasonal,
)
from nbkit.leakage import judge_order, measure_order
from nbkit.leakage.order import list_sorters
from nbkit.problem import Problem


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_exchangeable_rows_are_seldom_called_dependent(task):
    alarms = [not is_respected(draw_exchangeable(seed, 150, task), task=task) for seed in range(20)]
    assert sum(alarms) <= 2


@pytest.mark.parametrize("make", [rising, seasonal, in_runs, rare_and_rising, jumping])
def test_an_order_in_the_target_is_found(make):
    random = np.random.default_rng(1)
    rows = 4000 if make is rare_and_rising else 1000
    table = pd.DataFrame({"x": random.normal(size=rows), "y": make(random, rows)})
    tests = measure_order(table, Problem("y"))
    assert judge_order(tests, "stratified")["respected"] is False
    assert "Split by position or time" in judge_order(tests, "stratified")["sentence"]
    assert judge_order(tests, "position")["respected"] is True


def test_the_words_name_the_rates_of_both_ends():
    random = np.random.default_rng(1)
    table = pd.DataFrame({"x": random.normal(size=2000), "y": rising(random, 2000)})
    assert (
        "between the first and the last tenth of the file"
        in judge_order(measure_order(table, Problem("y")), "random")["sentence"]
    )


def test_what_is_learned_may_depend_on_the_order_though_the_target_does_not():
    random = np.random.default_rng(0)
    rows = 2000
    sign = np.sign(np.sin(np.arange(rows) / 100))
    place = np.arange(rows) // 40 + random.normal(0, 0.1, rows)
    x = random.normal(size=rows)
    table = pd.DataFrame({"x": x, "batch": place, "y": (x * sign + random.normal(0, 0.3, rows) > 0).astype(int)})
    tests = measure_order(table, Problem("y"))
    assert tests.loc[tests["depends"], "test"].tolist() == ["order of learning"]


def as_year_and_month(month):
    return {"year": 2019 + month // 12, "month": month % 12 + 1}


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda month: {"made": 1_600_000_000 + month * 2_600_000 + np.arange(len(month))}, "made"),
        (lambda month: {"made_ms": 1_600_000_000_000 + month * 2_600_000_000 + np.arange(len(month))}, "made_ms"),
        (lambda month: {"period": (2019 + month // 12) * 100 + month % 12 + 1}, "period"),
        (lambda month: {"week": [f"{2019 + each // 12}-W{each % 12 + 1:02}" for each in month]}, "week"),
        (lambda month: {"invoice": [f"R-{each:07}" for each in np.arange(len(month)) * 7]}, "invoice"),
        (lambda month: {"number": np.cumsum(np.random.default_rng(2).integers(1, 60, len(month)))}, "number"),
        (as_year_and_month, "year, month"),
        (
            lambda month: {"year": 2019 + month // 12, "mon": pd.Series(month % 12).map(dict(enumerate(MONTHS)))},
            "year, mon",
        ),
    ],
)
def test_a_shuffled_table_is_put_in_the_order_of_a_column_that_is_no_date(make, name):
    random = np.random.default_rng(5)
    month = np.sort(random.integers(0, 48, 2500))
    risk = np.cumsum(random.normal(0, 0.5, 48))[month]
    y = (random.random(2500) < 1 / (1 + np.exp(-risk))).astype(int)
    table = pd.DataFrame({"x": random.normal(size=2500), **make(month), "y": y}).sample(frac=1, random_state=3)
    judged = judge_order(measure_order(table, Problem("y")), "random")
    assert judged["respected"] is False
    assert f"in the order of {name}, " in judged["sentence"]
    assert f"ORDER BY {name}" in judged["sentence"]
    calm = judge_order(measure_order(table.assign(y=random.permutation(y)), Problem("y")), "random")
    assert calm["respected"] is True


MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def test_an_honest_number_is_no_order():
    random = np.random.default_rng(6)
    income, age = random.lognormal(10, 0.6, 2000).round(), random.integers(18, 90, 2000)
    y = (random.random(2000) < 1 / (1 + np.exp(-(np.log(income) - 10) * 3 - (age - 50) / 15))).astype(int)
    table = pd.DataFrame({"income": income, "age": age, "built": random.integers(1950, 2020, 2000), "y": y})
    table["quality"] = 1 + (table["age"] > 40) + (table["age"] > 60)
    table["messages"] = 1 + table["age"] // 10
    assert judge_order(measure_order(table, Problem("y")), "random")["respected"] is True


@pytest.mark.parametrize("name", [lambda unit: [f"M{each}" for each in unit], lambda unit: 1000 + unit * 7])
def test_rows_of_one_unit_that_agree_are_split_by_it(name):
    random = np.random.default_rng(8)
    unit = random.permutation(np.arange(2000) // 5)
    sick = (random.random(400) < 0.4)[unit] ^ (random.random(2000) < 0.1)
    table = pd.DataFrame(
        {"x": random.normal(size=2000), "unit": name(unit), "income": random.lognormal(9, 1, 2000).round()}
    )
    judged = judge_order(measure_order(table.assign(y=sick.astype(int)), Problem("y")), "random")
    assert judged["respected"] is False
    assert "rows of the same unit agree in y" in judged["sentence"]
    smooth = (np.log(table["income"]) + random.normal(0, 0.3, 2000) > 9).astype(int)
    assert judge_order(measure_order(table.assign(y=smooth), Problem("y")), "random")["respected"] is True


def test_a_table_sorted_by_named_levels_has_no_order_of_its_own():
    random = np.random.default_rng(7)
    table = pd.DataFrame(
        {"region": random.choice(["north", "south", "west"], 2000), "kind": random.choice(["p", "q"], 2000)}
    )
    rate = 0.2 + 0.3 * (table["region"] == "south") + 0.2 * (table["kind"] == "q")
    table = table.assign(x=random.normal(size=2000), y=(random.random(2000) < rate).astype(int))
    table = table.replace({"region": {"west": None}}).sort_values(["region", "kind"], kind="stable")
    assert list_sorters(table.drop(columns="y")) == ["region", "kind"]
    assert judge_order(measure_order(table, Problem("y")), "random")["respected"] is True
    batches = table.assign(region=table["region"].map({"north": "B1", "south": "B2"}).fillna("B3"))
    assert (
        judge_order(measure_order(batches, Problem("y")), "random")["respected"] is False
    )  # batches follow one another


def test_features_that_move_along_the_file_are_named_and_decide_nothing():
    table = draw_exchangeable(3).assign(row=range(400))
    tests = measure_order(table, Problem("y"))
    assert tests.loc[tests["test"] == "feature", "column"].tolist() == ["row"]
    assert not tests["depends"].any()


def test_a_file_sorted_by_class_is_called_so():
    table = load_wine(as_frame=True).frame.rename(columns={"target": "y"})
    said = judge_order(measure_order(table, Problem("y", "multiclass")), "stratified")
    assert said["respected"] is None
    assert "sorted by y itself" in said["sentence"]


def test_groups_that_stay_together_are_tested_as_such():
    random = np.random.default_rng(0)
    who = np.repeat(np.arange(200), 5)
    y = (random.random(200) < 0.4)[who].astype(int)
    table = pd.DataFrame({"who": who, "x": random.normal(size=1000), "y": y})
    assert is_respected(table) is False  # neighbours are alike
    assert is_respected(table, "group", group="who") is True


def test_without_an_order_nothing_can_be_said():
    tests = measure_order(draw_exchangeable(0), Problem("y"))
    assert judge_order(tests, "random", ordered=False)["respected"] is None
    assert judge_order(measure_order(draw_exchangeable(0, 10), Problem("y")), "random")["respected"] is None
    assert judge_order(tests, "time", ordered=False)["respected"] is True


def test_left_out_rows_keep_their_places():
    random = np.random.default_rng(1)
    whole = pd.DataFrame({"x": random.normal(size=3000), "y": rising(random, 3000)})
    places = np.sort(random.choice(3000, 1500, replace=False))
    assert is_respected(whole.iloc[places].reset_index(drop=True), positions=places) is False


def draw_people(repeats, people=240, seed=0):
    random = np.random.default_rng(seed)
    one = pd.DataFrame(
        {
            "age": random.normal(45, 12, people).round(1),
            "pay": random.lognormal(10, 1, people).round(),
            "x": random.normal(size=people),
        }
    )
    one["zip"], one["y"] = random.integers(10_000, 99_999, people), random.integers(0, 2, people)
    table = pd.concat([one] * repeats, ignore_index=True)
    return table.sample(frac=1, random_state=seed).reset_index(drop=True), random


@pytest.mark.parametrize("blur", [0.0, 0.003])
def test_several_rows_of_one_person_are_noticed_though_nothing_names_them(blur):
    table, random = draw_people(3)
    table["x"] = random.normal(size=len(table))
    for name in ("age", "pay"):
        table[name] += blur * table[name].std() * random.normal(size=len(table))
    if blur:
        table = table.drop(columns=["x", "zip"]).assign(z=draw_people(3)[0]["x"])
    tests = measure_order(table, Problem("y", "binary"))
    for by in ("random", "stratified", "position"):
        order = judge_order(tests, by)
        assert order["respected"] is False
        assert "twin" in order["sentence"]
    assert judge_order(tests, "time")["respected"]


def test_people_that_come_once_or_whose_target_is_their_own_each_time_have_no_twins():
    table, _ = draw_people(1, people=600)
    assert "twins" not in set(measure_order(table, Problem("y", "binary"))["test"])
    table, random = draw_people(3)
    table["y"] = random.integers(0, 2, len(table))
    assert judge_order(measure_order(table, Problem("y", "binary")), "random")["respected"]


def test_twins_of_one_group_stay_together():
    table, _ = draw_people(3)
    table["who"] = pd.factorize(table["zip"])[0]
    tests = measure_order(table, Problem("y", "binary", group="who"))
    assert judge_order(tests, "group")["respected"]


def test_a_shuffled_file_is_tested_in_the_order_of_the_column_that_numbers_it():
    random = np.random.default_rng(0)
    table = pd.DataFrame({"ticket": np.arange(1000) + 500, "x": random.normal(size=1000)})
    table["y"] = (random.random(1000) < np.linspace(0.05, 0.45, 1000)).astype(int)
    order = judge_order(measure_order(table.sample(frac=1, random_state=0), Problem("y", "binary")), "random")
    assert order["respected"] is False
    assert "ORDER BY ticket" in order["sentence"]
