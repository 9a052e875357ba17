"""Insight: the rows that are shown are what they are called, effects point where the model points."""

import numpy as np
import pandas as pd
import pytest
from model_helpers import BINARY, binary_recipe, load_table, make_binary, make_candidate, make_recipe

from nbkit.explanation import explain, explain_rows, measure_effects, permute_features
from nbkit.model import predict
from nbkit.model.search import fit
from nbkit.problem import Problem

FRAME = make_binary(900)
X, Y = FRAME.drop(columns="late"), FRAME["late"]
MODEL = fit(make_candidate("linear", binary_recipe()), X, Y)
SAID = predict(MODEL, FRAME, BINARY)
FOUND = explain(MODEL, FRAME, BINARY, limit=400)


def test_cases_are_what_they_are_called():
    table = explain_rows(FOUND, SAID, top=2)
    assert table["case"].unique().tolist() == ["true positive", "false positive", "false negative", "most uncertain"]
    first = table.drop_duplicates("case").set_index("case")
    assert (first.at["false positive", "truth"], first.at["false negative", "truth"]) == ("0", "1")
    assert first.at["false positive", "prediction"] >= 0.5 > first.at["false negative", "prediction"]
    assert table.groupby("case").size().eq(2).all()
    row = table.iloc[0]
    assert row["contribution"] == FOUND.values.at[row["row"], row["feature"]]
    assert row["value"] == str(X.at[row["row"], row["feature"]])


def test_cases_that_do_not_occur_are_left_out():
    table = explain_rows(FOUND, SAID.at(0.0))
    assert "false negative" not in set(table["case"])


@pytest.mark.parametrize(("name", "task"), [("wine", "multiclass"), ("diabetes", "regression")])
def test_cases_and_effects_of_other_tasks(name, task):
    frame = load_table(name)
    problem = Problem("target", task)
    X, y = problem.separate(frame)
    model = fit(make_candidate("linear", make_recipe(list(X.columns)), problem), X, y)
    found = explain(model, frame, problem)
    table = explain_rows(found, predict(model, frame, problem))
    assert table["case"].nunique() >= 2
    effects = measure_effects(found, frame, features=2)
    assert effects["feature"].nunique() == 2
    assert ("class" in effects) == (task == "multiclass")


def test_effects_follow_the_truth():
    effects = measure_effects(FOUND, X)
    hour = effects.query("feature == 'hour'")["effect"]
    assert hour.is_monotonic_increasing
    carrier = effects.query("feature == 'carrier'").set_index("slice")["effect"]
    assert carrier.idxmax() == "B6"
    assert effects.groupby("feature")["n"].sum().eq(400).all()


def test_a_column_the_model_ignores_costs_nothing():
    table = permute_features(MODEL, FRAME, BINARY, limit=500)
    assert table["feature"].iloc[0] == "hour"
    assert set(table["feature"]) == {"hour", "temp", "carrier"}  # the day is not read
    assert table["drop"].is_monotonic_decreasing
    again = permute_features(MODEL, FRAME, BINARY, limit=500)
    pd.testing.assert_frame_equal(table, again)


def test_a_lower_metric_drops_upwards():
    gappy = FRAME.assign(late=Y.astype(float).where(Y.index % 7 > 0))
    table = permute_features(MODEL, gappy, Problem("late", metric="brier"), limit=500)
    assert table["drop"].iloc[0] > 0
    assert np.isfinite(table["low"]).all()
