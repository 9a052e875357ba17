"""Baselines and the candidates of 06: the rule is a group-by, pipelines read raw rows and are the same twice."""

import numpy as np
import pandas as pd
import pytest
from model_helpers import BINARY, CANDIDATES, binary_recipe, load_table, make_binary, make_candidate, make_recipe
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from nbkit import formats
from nbkit.errors import BadModel
from nbkit.model import make_baselines, predict_values
from nbkit.model.baselines import GroupRateClassifier, GroupRateRegressor
from nbkit.model.search import fit
from nbkit.problem import Problem

FRAME = make_binary(300)
X, Y = FRAME.drop(columns="late"), FRAME["late"]


def build(name):
    params = {"n_estimators": 10} if name == "forest" else None
    return make_candidate(name, binary_recipe(), rule=["carrier", "hour"], params=params)


@pytest.mark.parametrize("name", CANDIDATES)
def test_a_candidate_reads_raw_rows_and_survives_a_round_trip(name):
    model = fit(build(name), X, Y)
    _, _, content = formats.dump(model)
    assert content == formats.dump(fit(build(name), X, Y))[2], "the same data give the same bytes"
    again = formats.load("model", content)
    strange = X.assign(carrier="never seen", temp=np.nan, extra=1)
    for rows in (X, strange, X.iloc[:1], X.iloc[:0]):
        p = predict_values(model, rows, BINARY)
        pd.testing.assert_series_equal(p, predict_values(again, rows, BINARY))
        assert p.between(0, 1).all()


@pytest.mark.parametrize("name", CANDIDATES)
@pytest.mark.parametrize(("table", "task"), [("wine", "multiclass"), ("diabetes", "regression")])
def test_every_task(name, table, task):
    frame, problem = load_table(table), Problem("target", task)
    raw, y = problem.separate(frame)
    model = fit(make_candidate(name, make_recipe(list(raw.columns)), problem, rule=[raw.columns[0]]), raw, y)
    p = predict_values(model, raw, problem)
    assert np.shape(p) == ((178, 3) if task == "multiclass" else (442,))
    assert (
        formats.load("model", formats.dump(model)[2]).predict(raw.iloc[:3]).tolist()
        == model.predict(raw.iloc[:3]).tolist()
    )


def test_the_rule_is_a_shrunken_group_by():
    rule = GroupRateClassifier(["carrier"], shrink=0).fit(X, Y)
    expected = Y.groupby(X["carrier"]).transform("mean").fillna(Y[X["carrier"].isna()].mean())
    np.testing.assert_allclose(rule.predict_proba(X)[:, 1], expected)
    huge = GroupRateClassifier(["carrier", "hour"], shrink=1e12).fit(X, Y)
    np.testing.assert_allclose(huge.predict_proba(X)[:, 1], Y.mean())
    numbers = GroupRateRegressor("carrier", shrink=0).fit(X, Y)
    np.testing.assert_allclose(numbers.predict(X), expected)


def test_groups_do_not_depend_on_the_dtype():
    rule = GroupRateRegressor(["hour"], shrink=0).fit(X, Y)
    expected = rule.predict(X)
    for dtype in (float, "Int64", "float32"):
        np.testing.assert_array_equal(rule.predict(X.assign(hour=X["hour"].astype(dtype))), expected)
    flag = X.assign(flag=(X["hour"] > 12).astype("boolean"))
    flag.loc[0, "flag"] = pd.NA
    rule = GroupRateRegressor(["flag"]).fit(flag, Y)
    assert np.isfinite(rule.predict(flag)).all()
    np.testing.assert_array_equal(
        rule.predict(flag.iloc[1:]), rule.predict(flag.iloc[1:].assign(flag=lambda t: t["flag"].astype(int)))
    )


def test_many_numbers_are_cut_into_bins():
    rule = GroupRateRegressor(["temp"], bins=4).fit(X, Y)
    assert len(rule.keys_) == 5  # four bins and missing
    assert np.isfinite(rule.predict(X.assign(temp=1e9))).all()


def test_a_rule_needs_its_columns():
    overall = fit(make_baselines(BINARY)["rule"], X, Y)
    assert predict_values(overall, X, BINARY).unique().tolist() == [Y.mean()]
    with pytest.raises(BadModel, match="not shrnk"):
        make_baselines(BINARY, {"by": ["a"], "shrnk": 3})
    with pytest.raises(BadModel, match=r"groups by 'nope', .* in 01_frame write rule: \[column, …\]; there are"):
        fit(make_baselines(BINARY, "nope")["rule"], X, Y)


def test_columns_without_any_value_do_not_stop_a_linear_model():
    empty = X.assign(temp=np.nan)
    for name in ("linear", "forest", "boosting"):
        assert np.isfinite(predict_values(fit(build(name), empty, Y), empty, BINARY)).all()


def test_a_model_of_one_class_is_sure():
    from sklearn.dummy import DummyClassifier

    model = DummyClassifier().fit(X, ["yes"] * len(X))
    assert predict_values(model, X, Problem("y", positive="yes")).eq(1).all()
    assert predict_values(model, X, Problem("y", positive="no")).eq(0).all()


def test_a_model_without_probabilities_is_refused():
    from sklearn.svm import LinearSVC

    with pytest.raises(BadModel, match="CalibratedClassifierCV"):
        predict_values(LinearSVC().fit([[0], [1]], [0, 1]), X, BINARY)


@pytest.mark.parametrize(("task", "last"), [("regression", LinearRegression()), ("binary", LogisticRegression())])
@pytest.mark.parametrize("change", [lambda rows: rows[rows["a"] > 0], lambda rows: pd.concat([rows, rows])])
def test_a_step_that_drops_or_adds_rows_is_named(task, last, change):
    rows = pd.DataFrame({"a": [-1.0, 2.0, 3.0, -4.0]})
    model = Pipeline([("plain", FunctionTransformer()), ("select", FunctionTransformer(change)), ("last", last)])
    model[-1].fit(rows, [0, 1, 1, 0])
    with pytest.raises(
        BadModel, match=r"answers for 4 rows: its step 'select' \(FunctionTransformer\) drops or adds rows"
    ):
        predict_values(model, rows, Problem("y", task))
