"""Cohorts: structured conditions, and their place among the slices."""

import numpy as np
import pandas as pd
import pytest

from nbkit.errors import BadParameter
from nbkit.evaluation import find_cohort, score_slices
from nbkit.model import Predictions
from nbkit.problem import Problem

ROWS = pd.DataFrame(
    {
        "hour": [5, 18, 20, 7],
        "seats": [100.0, np.nan, 50, 200],
        "origin": ["EWR", "JFK", None, "LGA"],
        "day": pd.to_datetime(["2013-01-01", "2013-02-01", "2013-03-01", None]),
        "paid": [True, False, True, True],
    }
)


@pytest.mark.parametrize(
    ("column", "op", "value", "found"),
    [
        ("hour", ">=", 18, [0, 1, 1, 0]),
        ("hour", "in", [5, "7"], [1, 0, 0, 1]),
        ("seats", "<", 150, [1, 0, 1, 0]),
        ("seats", "missing", None, [0, 1, 0, 0]),
        ("seats", "known", None, [1, 0, 1, 1]),
        ("origin", "==", "EWR", [1, 0, 0, 0]),
        ("origin", "!=", "EWR", [0, 1, 1, 1]),
        ("origin", "in", ["EWR", "LGA"], [1, 0, 0, 1]),
        ("day", ">", "2013-01-15", [0, 1, 1, 0]),
        ("paid", "==", True, [1, 0, 1, 1]),
    ],
)
def test_conditions_pick_rows(column, op, value, found):
    condition = {"column": column, "op": op} | ({} if value is None else {"value": value})
    assert find_cohort(ROWS, [condition]).astype(int).tolist() == found


def test_all_conditions_have_to_hold():
    both = [{"column": "hour", "op": ">", "value": 6}, {"column": "origin", "op": "known"}]
    assert find_cohort(ROWS, both).tolist() == [False, True, False, True]


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ({"column": "orign", "op": "==", "value": 1}, "did you mean 'origin'"),
        ({"column": "origin", "op": ">", "value": "E"}, "has levels and no order"),
        ({"column": "hour", "op": "~", "value": 1}, "no operator '~'"),
        ({"column": "hour", "op": ">", "value": "__import__('os')"}, "cannot be compared"),
        ("hour > 3", "a condition is written"),
        ({"column": "hour", "value": 3}, "a condition is written"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_way_out(condition, said):
    with pytest.raises(BadParameter, match=said):
        find_cohort(ROWS, [condition])


def test_a_cohort_is_measured_and_judged_beside_the_slices():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.choice(["x", "y"], 2000), "b": rng.integers(0, 10, 2000)})
    chance = np.full(2000, 0.3)
    truth = rng.random(2000) < np.where(table["b"] >= 8, 0.7, 0.2)
    o = Predictions.align(truth, chance, Problem("late", metric="brier", positive=True), rows=table)
    found = score_slices(o, ["a", ("high b", [{"column": "b", "op": ">=", "value": 8}])], draws=10)
    assert found[["column", "slice"]].to_numpy().tolist() == [["a", "x"], ["a", "y"], ["cohort", "high b"]]
    last = found.iloc[-1]
    assert (last["n"], last["verdict"]) == (int((table["b"] >= 8).sum()), "worse")
