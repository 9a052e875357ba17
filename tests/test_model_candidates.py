"""Candidates: the rule is a group-by, pipelines read raw rows, survive a round trip and are the same twice."""

import numpy as np
import pandas as pd
import pytest
from model_helpers import Codes, binary_recipe, load_table, make_binary

from nbkit import formats
from nbkit.errors import BadModel
from nbkit.model import CANDIDATES, GroupRateClassifier, GroupRateRegressor, make_candidate, predict
from nbkit.model.candidates import OneHotRecipe
from nbkit.model.search import fit

FRAME = make_binary(300)
X, Y = FRAME.drop(columns="late"), FRAME["late"]


@pytest.fixture(autouse=True)
def _trust(monkeypatch):
    monkeypatch.setenv("NBKIT_TRUSTED", "model_helpers.Codes")


def build(name, **options):
    options = {"task": "binary", "rule": {"by": ["carrier", "hour"]}} | options
    if name == "forest":
        options["params"] = {"n_estimators": 10}
    return make_candidate(name, binary_recipe(), **options)


@pytest.mark.parametrize("name", CANDIDATES)
def test_a_candidate_reads_raw_rows_and_survives_a_round_trip(name):
    model = fit(build(name), X, Y)
    _, _, content = formats.dump(model)
    assert content == formats.dump(fit(build(name), X, Y))[2], "the same data give the same bytes"
    again = formats.load("model", content)
    strange = X.assign(carrier="never seen", temp=np.nan, extra=1)
    for rows in (X, strange, X.iloc[:1], X.iloc[:0]):
        p = predict(model, rows, "binary", 1)
        pd.testing.assert_series_equal(p, predict(again, rows, "binary", 1))
        assert p.between(0, 1).all()


@pytest.mark.parametrize("name", CANDIDATES)
@pytest.mark.parametrize(("table", "task"), [("wine", "multiclass"), ("diabetes", "regression")])
def test_every_task(name, table, task):
    frame = load_table(table)
    raw, y = frame.drop(columns="target"), frame["target"]
    recipe = Codes(list(raw.columns))
    model = fit(make_candidate(name, recipe, task=task, rule={"by": [raw.columns[0]]}), raw, y)
    p = predict(model, raw, task)
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
    overall = fit(make_candidate("rule", None, task="binary", rule=[]), X, Y)
    assert predict(overall, X, "binary", 1).unique().tolist() == [Y.mean()]
    with pytest.raises(BadModel, match="not shrnk"):
        make_candidate("rule", None, task="binary", rule={"by": ["a"], "shrnk": 3})
    with pytest.raises(BadModel, match=r"groups by 'nope', .* in 01_frame write rule: \[column, …\]; there are"):
        fit(make_candidate("rule", None, task="binary", rule="nope"), X, Y)


def test_unknown_names_get_the_nearest():
    with pytest.raises(BadModel, match="did you mean 'boosting'"):
        make_candidate("boostin", binary_recipe(), task="binary")
    with pytest.raises(BadModel, match="did you mean 'learning_rate'"):
        make_candidate("boosting", binary_recipe(), task="binary", params={"learningrate": 1})
    with pytest.raises(BadModel, match="no task"):
        make_candidate("boosting", binary_recipe(), task="class")


def test_one_hot_columns_know_where_they_come_from():
    recipe = OneHotRecipe(binary_recipe(), min_frequency=0.01)
    matrix = recipe.fit_transform(X, Y)
    assert matrix.shape[1] == len(recipe.get_feature_names_out()) == len(recipe.sources_)
    assert np.isfinite(matrix).all()
    np.testing.assert_array_equal(matrix, recipe.transform(X))
    assert {raw for names in recipe.sources_.values() for raw in names} == {"hour", "temp", "carrier"}
    pooled = OneHotRecipe(binary_recipe(), min_frequency=0.4).fit(X, Y)
    assert len(pooled.sources_) == pooled.transform(X).shape[1]


def test_columns_without_any_value_do_not_stop_a_linear_model():
    empty = X.assign(temp=np.nan)
    for name in ("linear", "forest", "boosting"):
        assert np.isfinite(predict(fit(build(name), empty, Y), empty, "binary", 1)).all()


def test_a_model_of_one_class_is_sure():
    from sklearn.dummy import DummyClassifier

    model = DummyClassifier().fit(X, ["yes"] * len(X))
    assert predict(model, X, "binary", "yes").eq(1).all()
    assert predict(model, X, "binary", "no").eq(0).all()


def test_a_model_without_probabilities_is_refused():
    from sklearn.svm import LinearSVC

    with pytest.raises(BadModel, match="CalibratedClassifierCV"):
        predict(LinearSVC().fit([[0], [1]], [0, 1]), X, "binary", 1)
