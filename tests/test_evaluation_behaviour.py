"""Tests of behaviour: read strictly, tried on real models, judged by the share of rows that hold."""

import numpy as np
import pandas as pd
import pytest
from model_helpers import binary_recipe, load_table, make_binary, make_candidate
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nbkit.errors import BadParameter, BadProblem
from nbkit.evaluation import check_behaviour
from nbkit.evaluation.behaviour import read_behaviour
from nbkit.problem import Problem

LATE = make_binary(3000)
MODEL = make_candidate("linear", binary_recipe()).fit(LATE.drop(columns="late"), LATE["late"])
FOREST = make_candidate("forest", binary_recipe(), params={"n_estimators": 20}).fit(
    LATE.drop(columns="late"), LATE["late"]
)
BINARY = Problem("late", positive=1)
WINE = load_table("wine")
GROWERS = make_pipeline(StandardScaler(), LogisticRegression()).fit(WINE.drop(columns="target"), WINE["target"])


def check(*tests, model=MODEL, rows=LATE, problem=BINARY, **options):
    return check_behaviour(model, rows, problem, tests, **options)


def direction(**changes):
    return {"kind": "direction", "column": "hour", "add": 2, "answer": "up", **changes}


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ({"kind": "directoin"}, "Invalid value 'directoin'"),
        ({}, "missing required field `kind`"),
        ({"kind": "invariance", "column": "x", "at_most": 0.1}, "missing required field `to`"),
        ({"kind": "invariance", "column": "x", "to": [1], "atmost": 0.1}, "at_most"),
        (direction(answer="rises"), "Invalid enum value 'rises'"),
        (direction(add="two"), "Expected `float`, got `str`"),
        (direction(share=0), "> 0.0"),
        (direction(share=1.2), "<= 1.0"),
        ({"kind": "minimum", "row": {"x": 1}}, "say what the answer is at_least or at_most"),
        ({"kind": "minimum", "row": {}, "at_most": 1}, "row names no column, so it is no row in particular"),
        (
            {"kind": "minimum", "row": {"x": 1}, "at_least": 0.6, "at_most": 0.4},
            "no answer is at least 0.6 and at most 0.4",
        ),
        (
            {"kind": "invariance", "column": "x", "to": [], "at_most": 0.1},
            "to names no value, so nothing would be tried",
        ),
        (direction(column="huor"), "did you mean 'hour'"),
        ({"kind": "minimum", "row": {"huor": 1}, "at_most": 1}, "did you mean 'hour'"),
    ],
)
def test_what_cannot_be_read_says_which_test_and_why(test, words):
    with pytest.raises(BadParameter, match="behaviour test 2") as error:
        read_behaviour([direction(), test], ["hour", "x"])
    assert words in str(error.value)


def test_none_declared_is_an_empty_table():
    assert len(check()) == 0
    assert "verdict" in check().columns


def test_a_model_that_rises_passes_and_one_that_is_asked_the_wrong_way_fails():
    table = check(direction(), direction(answer="down", name="other way"))
    assert table["verdict"].tolist() == ["pass", "fail"]
    assert table["share"].tolist() == [1, 0]
    assert table["test"].tolist() == ["hour +2: the answer goes up", "other way"]
    assert table["worst"][1] > 0
    assert int(table["worst_row"][1]) in LATE.index
    assert (
        table["sentence"][1] == "other way: holds for 0 % (0.0 to 0.2) of rows, 95 % needed"
        or "holds for" in table["sentence"][1]
    )


def test_a_forest_does_not_rise_everywhere_and_the_share_decides():
    share = check(direction(add=1, share=0.5), model=FOREST)["share"][0]
    assert 0.5 < share < 1
    strict, loose = (check(direction(add=1, share=needed), model=FOREST)["verdict"][0] for needed in (1, 0.5))
    assert (strict, loose) == ("fail", "pass")
    slack = check(direction(add=1, share=1, slack=1.0), model=FOREST)
    assert (slack["verdict"][0], slack["worst"][0]) == ("pass", 0)


def test_the_interval_is_of_the_share_of_all_rows_and_a_share_near_it_is_inconclusive():
    every = check(direction(add=1), model=FOREST, sample=len(LATE)).iloc[0]
    assert every["low"] == every["share"] == every["high"]
    needed = round(float(every["share"]), 3)
    some = check(direction(add=1, share=needed), model=FOREST, sample=300).iloc[0]
    assert some["rows"] == 300
    assert some["low"] < needed < some["high"]
    assert some["verdict"] == "inconclusive"


def test_the_interval_covers_the_share_of_all_rows():
    every = check(direction(add=1), model=FOREST, sample=len(LATE))["share"][0]
    held = []
    for seed in range(60):
        row = check(direction(add=1), model=FOREST, problem=Problem("late", positive=1, seed=seed), sample=150).iloc[0]
        held.append(row["low"] <= every <= row["high"])
    assert np.mean(held) >= 0.88


def test_a_column_that_must_not_matter_is_told_from_one_that_does():
    stays = {"kind": "invariance", "to": ["AA", "B6", None], "at_most": 0.0}
    table = check(
        {**stays, "column": "carrier"}, {"kind": "invariance", "column": "day", "to": ["2013-01-05"], "at_most": 0}
    )
    assert table["verdict"].tolist() == ["fail", "pass"]
    assert table["kind"].tolist() == ["invariance", "invariance"]
    assert check({**stays, "column": "carrier", "at_most": 1})["verdict"].tolist() == ["pass"]


def test_a_named_row_is_asked_alone():
    table = check(
        {"kind": "minimum", "row": {"hour": 22, "carrier": "B6"}, "at_least": 0.5},
        {"kind": "minimum", "row": {"hour": 5, "temp": 90.5}, "at_least": 0.5, "name": "morning"},
        {"kind": "minimum", "row": {"hour": 5}, "at_most": 0.5, "at_least": 0.01},
    )
    assert table["verdict"].tolist() == ["pass", "fail", "pass"]
    assert table["rows"].tolist() == [1, 1, 1]
    assert table["sentence"][0].startswith("a row with hour 22, carrier B6: the answer is 0.")
    assert "it has to be at least 0.5" in table["sentence"][1]
    assert table["worst"][1] > 0


def test_classes_and_numbers():
    wine = Problem("target", "multiclass")
    up = {"kind": "direction", "column": "proline", "add": 200, "answer": "up", "slack": 0.01}
    assert check({**up, "class": 0}, model=GROWERS, rows=WINE, problem=wine)["verdict"].tolist() == ["pass"]
    with pytest.raises(BadParameter, match="name the class, one of 0, 1, 2"):
        check(up, model=GROWERS, rows=WINE, problem=wine)
    with pytest.raises(BadProblem, match="7"):
        check({**up, "class": 7}, model=GROWERS, rows=WINE, problem=wine)
    any_class = {"kind": "invariance", "column": "proline", "to": [300, 1500], "at_most": 0.01}
    assert check(any_class, model=GROWERS, rows=WINE, problem=wine)["verdict"].tolist() == ["fail"]
    table = load_table("diabetes")
    ridge = Ridge().fit(table.drop(columns="target"), table["target"])
    said = check(direction(column="bmi", add=0.01), model=ridge, rows=table, problem=Problem("target", "regression"))
    assert said["verdict"].tolist() == ["pass"]


@pytest.mark.parametrize(
    ("test", "words"),
    [
        (direction(column="carrier", add=1), "'carrier' is .*, not a number"),
        ({"kind": "invariance", "column": "hour", "to": ["noon"], "at_most": 0.1}, "sets 'hour' to 'noon'"),
        (direction(column="late"), "no column 'late'"),
    ],
)
def test_what_only_the_table_can_refuse(test, words):
    with pytest.raises(BadParameter, match=words):
        check(test)


def test_the_same_twice_and_odd_columns():
    rows = LATE.head(50).assign(empty=np.nan, none=None)
    one, two = (check(direction(add=1, share=0.9), model=FOREST) for _ in range(2))
    pd.testing.assert_frame_equal(one, two)
    assert check({"kind": "minimum", "row": {"hour": 6}, "at_most": 1}, rows=rows)["verdict"].tolist() == ["pass"]


def test_a_direction_is_tried_where_there_is_a_value_and_cannot_be_told_where_there_is_none():
    half = LATE.assign(hour=LATE["hour"].astype(float).where(LATE.index % 2 > 0))
    row = check(direction(), rows=half, sample=4000).iloc[0]
    assert row["rows"] == len(LATE) // 2
    assert row["verdict"] == "pass"
    assert row["low"] == row["share"]  # every row that has a value was tried
    wrong = check(direction(answer="down"), rows=half).iloc[0]
    assert (wrong["verdict"], wrong["share"]) == ("fail", 0)  # rows without a value used to hold
    assert half.loc[int(wrong["worst_row"]), "hour"] > 0
    none = check(direction(), rows=LATE.assign(hour=np.nan)).iloc[0]
    assert (none["verdict"], none["rows"]) == ("inconclusive", 0)
    assert none["sentence"] == "hour +2: the answer goes up: cannot tell, as no row has a value of hour"
