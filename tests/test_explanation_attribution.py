"""Explanations add up to the model that is served, are the true Shapley values, and are refused where they are not."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from model_helpers import BINARY, binary_recipe, load_table, make_binary, make_candidate, make_recipe
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from nbkit.errors import BadModel
from nbkit.explanation import ensembles, explain
from nbkit.model.search import fit
from nbkit.problem import Problem

FRAME = make_binary(500)
X, Y = FRAME.drop(columns="late"), FRAME["late"]
NUMBER = Problem("y", "regression")
FEW = {"forest": {"n_estimators": 8}, "boosting": {"max_iter": 15}}
METHODS = {"dummy": "permutation", "rule": "permutation", "linear": "weights", "forest": "trees", "boosting": "trees"}


def train(name, task="binary", frame=FRAME, target="late", recipe=None):
    problem = Problem(target, task, 1)
    raw, y = problem.separate(frame)
    options = {"rule": [raw.columns[0]], "params": FEW.get(name)}
    return fit(make_candidate(name, recipe or binary_recipe(), problem, **options), raw, y)


@pytest.mark.parametrize("name", METHODS)
def test_values_add_up_to_the_served_model(name):
    model = train(name)
    found = explain(model, X, BINARY, limit=60)
    p = model.predict_proba(X.loc[found.values.index])[:, 1]
    served = np.log(p / (1 - p)) if found.unit == "log-odds" else p
    np.testing.assert_allclose(found.values.sum(axis=1) + found.base.iloc[0], served, atol=1e-6)
    assert found.check.loc[0, "method"] == METHODS[name]
    assert found.check.loc[0, "relative"] < 1e-3


@pytest.mark.parametrize("name", ["linear", "forest", "boosting", "rule"])
@pytest.mark.parametrize(("table", "task"), [("wine", "multiclass"), ("diabetes", "regression")])
def test_other_tasks_add_up(name, table, task):
    frame = load_table(table)
    columns = list(frame.columns.drop("target"))
    model = train(name, task, frame, "target", make_recipe(columns))
    found = explain(model, frame, Problem("target", task), limit=30)
    one = found.values.query("`class` == '1'").drop(columns="class") if task == "multiclass" else found.values
    rows = frame.loc[one.index, columns]
    served = model.predict(rows)
    if task == "multiclass":
        served = model.decision_function(rows)[:, 1] if found.unit == "log-odds" else model.predict_proba(rows)[:, 1]
    base = found.base["1"] if task == "multiclass" else found.base[""]
    np.testing.assert_allclose(one.sum(axis=1) + base, served, atol=1e-5)
    assert found.importance["share"].sum() == pytest.approx(1)


def test_the_other_class_has_the_opposite_values():
    for name in ("linear", "boosting", "forest"):
        model = train(name)
        late, punctual = (explain(model, X, Problem("late", positive=p), limit=30).values for p in (1, 0))
        np.testing.assert_allclose(late, -punctual, atol=1e-9)


def test_permutation_gives_the_shapley_values():
    """Compared with the definition: the mean over all orders, on a model of three raw columns."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.integers(0, 3, (40, 3)).astype(float), columns=["a", "b", "c"])
    y = frame["a"] * frame["b"] + frame["c"]
    model = fit(make_candidate("rule", None, NUMBER, rule={"by": ["a", "b", "c"], "shrink": 0}), frame, y)
    found = explain(model, frame, NUMBER, limit=40)
    row, off = frame.iloc[0], []

    def worth(known):
        return model.predict(frame.assign(**{name: row[name] for name in known})).mean()

    for name in "abc":
        others = [n for n in "abc" if n != name]
        value = 0.0
        for size in range(3):
            for known in itertools.combinations(others, size):
                weight = math.factorial(size) * math.factorial(2 - size) / math.factorial(3)
                value += weight * (worth((*known, name)) - worth(known))
        off.append(found.values[name].iloc[0] - value)
    sampling = found.check.at[0, "sampling"]
    assert 0 < sampling < 0.35  # few orders and rows are drawn: the error is there, and it is said
    assert np.abs(off).max() < 4 * sampling
    assert found.values.iloc[0].sum() + found.base.iloc[0] == pytest.approx(model.predict(frame.iloc[[0]])[0])


def test_one_hot_columns_are_summed_with_their_sign():
    model = train("linear")
    found = explain(model, X, BINARY, limit=100)
    assert list(found.values.columns) == ["carrier", "hour", "temp"] or set(found.values) == {"carrier", "hour", "temp"}
    mean = found.values.abs().mean()
    np.testing.assert_allclose(found.importance.set_index("feature")["mean_abs"].sort_index(), mean.sort_index())


def test_values_that_do_not_add_up_are_refused(monkeypatch):
    wrong = lambda parts, seed, background: (np.ones((len(parts.matrix), parts.matrix.shape[1], 1)), np.zeros(1))  # noqa: E731
    monkeypatch.setattr(ensembles, "list_methods", lambda last: [wrong])
    with pytest.raises(BadModel, match="adds up to its output"):
        explain(train("boosting"), X, BINARY, limit=20)


def test_a_column_made_of_two_is_shared_between_them():
    def add(table):
        return pd.DataFrame({"both": table["x1"] + table["x2"]})

    recipe = ColumnTransformer([("sum", FunctionTransformer(add), ["x1", "x2"]), ("rest", "passthrough", ["x3"])])
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(200, 3)), columns=["x1", "x2", "x3"])
    y = frame.sum(axis=1)
    model = make_pipeline(recipe, Ridge()).fit(frame, y)
    found = explain(model, frame, NUMBER)
    np.testing.assert_allclose(found.values["x1"], found.values["x2"])


@pytest.mark.parametrize(("table", "task"), [("wine", "multiclass"), ("diabetes", "regression")])
def test_it_is_given_to_the_plots_of_shap(table, task):
    frame, problem = load_table(table), Problem("target", task)
    columns = list(frame.columns.drop("target"))
    found = explain(train("boosting", task, frame, "target", make_recipe(columns)), frame, problem, limit=30)
    told = found.to_shap()
    assert told.shape == ((30, 13, 3) if task == "multiclass" else (30, 10))
    assert list(told.feature_names) == [name for name in found.values if name != "class"]
    one = found.values[found.values["class"] == "1"].drop(columns="class") if task == "multiclass" else found.values
    values = told.values[:, :, 1] if task == "multiclass" else told.values
    np.testing.assert_array_equal(values, one)
    np.testing.assert_array_equal(told.data.astype(float), frame.loc[found.data.index, told.feature_names])
    assert told.base_values[0].tolist() == (found.base.tolist() if task == "multiclass" else found.base.iloc[0])


def test_the_same_twice_and_small_tables():
    model = train("boosting")
    one, two = (explain(model, X, Problem("late", positive=1, seed=3), limit=50) for _ in range(2))
    pd.testing.assert_frame_equal(one.values, two.values)
    pd.testing.assert_frame_equal(one.importance, two.importance)
    assert len(explain(model, X.iloc[:1], BINARY).values) == 1
    with pytest.raises(BadModel, match="no rows"):
        explain(model, X.iloc[:0], BINARY)


def test_intervals_of_importance_hold_the_mean():
    table = explain(train("boosting"), X, BINARY).importance
    assert (table["low"] <= table["mean_abs"]).all()
    assert (table["mean_abs"] <= table["high"]).all()
    assert table["mean_abs"].is_monotonic_decreasing
