"""The problem: refused where it contradicts itself or the table, and its blocks and folds."""

import numpy as np
import pandas as pd
import pytest

from nbkit import formats
from nbkit.errors import BadProblem
from nbkit.problem import Problem, find_class


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"target": ""}, "needs a target"),
        ({"task": "binry"}, "did you mean 'binary'"),
        ({"block": "month"}, "no block 'month'"),
        ({"time": "y"}, "cannot be the time, too"),
        ({"group": "y"}, "cannot be the group, too"),
        ({"lead": "two hours"}, "lead 'two hours' cannot be read"),
        ({"seed": -1}, "seed -1"),
        ({"seed": True}, "seed True"),
    ],
)
def test_what_contradicts_itself_is_refused(facts, words):
    with pytest.raises(BadProblem, match=words):
        Problem(**{"target": "y", **facts})


def test_the_metric_is_the_usual_one_and_a_number_has_no_positive_class():
    assert [Problem("y", task).metric for task in ("binary", "multiclass", "regression")] == [
        "roc_auc",
        "log_loss",
        "mae",
    ]
    assert Problem("y", "regression", 1).positive is None
    assert Problem("y", keys=["a", "b"]).keys == ("a", "b")


def test_it_is_kept_as_it_is():
    problem = Problem("y", "binary", "yes", "at", "who", "week", ("a", "b"), "2h", "brier", 7)
    kind, suffix, content = formats.dump(problem)
    assert (kind, suffix) == ("problem", ".json")
    assert formats.load(kind, content) == problem


@pytest.mark.parametrize(
    ("problem", "table", "words"),
    [
        (Problem("z"), {"y": [0, 1]}, "no column 'z'; did you mean 'y'|no column 'z'"),
        (Problem("y", time="at"), {"y": [0, 1]}, "no column 'at'"),
        (Problem("y"), {"y": [None, None]}, "no row of the train split has a value"),
        (Problem("y"), {"y": [1, 1]}, "nothing to learn"),
        (Problem("y"), {"y": [0, 1, 2]}, "is it multiclass"),
        (Problem("y", positive="yes"), {"y": ["no", "nay"]}, "no class 'yes'"),
        (Problem("y", "regression"), {"y": ["a", "b"]}, "predicts numbers"),
    ],
)
def test_a_table_that_contradicts_it_is_refused(problem, table, words):
    with pytest.raises(BadProblem, match=words):
        problem.prepare(pd.DataFrame(table), "train split")


def test_rows_without_a_target_are_left_out_and_the_rest_stands_in_the_order_of_time():
    table = pd.DataFrame({"y": [1, None, 0], "at": pd.to_datetime(["2013-01-03", "2013-01-02", "2013-01-01"])})
    assert Problem("y", time="at").prepare(table)["y"].tolist() == [0, 1]


def test_features_and_target_are_separated():
    table = pd.DataFrame({"a": [1], "y": [0]})
    X, y = Problem("y").separate(table)
    assert (list(X), y.tolist()) == (["a"], [0])
    assert list(Problem("y").features(X)) == ["a"]
    with pytest.raises(BadProblem, match="no target 'y'"):
        Problem("y").separate(X)


def test_rows_that_are_alike_are_marked():
    table = pd.DataFrame({"at": pd.date_range("2013-01-06", periods=4, freq="12h"), "who": ["a", "b", "a", "b"]})
    assert Problem("y", time="at").blocks(table).nunique() == 2
    assert Problem("y", time="at", block="week").blocks(table).nunique() == 2  # a Sunday and a Monday
    assert Problem("y", time="at", block="hour").blocks(table).nunique() == 4
    assert Problem("y", time="at", group="who").blocks(table).tolist() == ["a", "b", "a", "b"]


@pytest.mark.parametrize("how", [{}, {"time": "at", "block": "row"}, {"time": "gone"}, {"group": "gone"}])
def test_without_a_mark_rows_count_one_by_one(how):
    assert Problem("y", **how).blocks(pd.DataFrame({"at": pd.to_datetime(["2013-01-06"])})) is None


def test_the_positive_class_is_found_by_value_then_by_its_text():
    assert find_class(2, [1, 2]) == 2
    assert find_class("2", [1, 2]) == 2
    assert find_class(None, [0.0, 1.0]) == 1.0
    with pytest.raises(BadProblem, match="which class is the positive one"):
        find_class(None, ["a", "b"])
    with pytest.raises(BadProblem, match="did you mean 'yes'"):
        find_class("yess", np.array(["no", "yes"], dtype=object))
