"""Whatever scikit-learn pipeline a model is: its explanation speaks of raw columns, or says that it cannot."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from nbkit.errors import BadModel
from nbkit.explanation import explain, permute_features
from nbkit.lineage import find_types, read_columns, trace_columns
from nbkit.problem import Problem

RNG = np.random.default_rng(0)
N = 300
X = pd.DataFrame(
    {
        "a": RNG.normal(size=N),
        "a_b": RNG.choice(["x", "y", "z"], N),  # its one-hot names look like those of column a
        "kind": RNG.choice(["b_x", "c", "d"], N),
        "n": RNG.integers(0, 5, N),
        "gappy": np.where(RNG.random(N) < 0.2, np.nan, RNG.normal(size=N)),
        "unused": RNG.normal(size=N),
    }
)
Y = pd.Series((X["a"] + 2 * (X["a_b"] == "y") + RNG.normal(size=N) > 1).astype(int), name="y")
BINARY, NUMBER = Problem("y", positive=1), Problem("y", "regression")
NAMES = ["a_b", "kind"]
ONEHOT = OneHotEncoder(handle_unknown="ignore")


def fill(*more):
    return make_pipeline(SimpleImputer(), *more)


def column(frame):
    return np.asarray(frame)[:, :1]


class Nameless(TransformerMixin, BaseEstimator):
    """Sums and differences, without names."""

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        values = X[["a", "n"]].to_numpy(float)
        return np.column_stack([values.sum(axis=1), values[:, 0], (X["a_b"] == "y").to_numpy(float)])


PIPELINES = {
    "one-hot and the rest": ColumnTransformer([("c", ONEHOT, NAMES)], remainder=fill()),
    "ordinal, by place": ColumnTransformer([("c", OrdinalEncoder(), [1, 2]), ("n", fill(), [0, 3, 4])]),
    "sparse": ColumnTransformer([("c", ONEHOT, NAMES), ("n", "passthrough", ["a", "n"])], sparse_threshold=1.0),
    "dropped": ColumnTransformer([("c", OneHotEncoder(drop="first"), NAMES), ("n", "drop", ["n"]), ("s", StandardScaler(), ["a"])]),
    "splines": ColumnTransformer([("s", SplineTransformer(), ["a"]), ("c", ONEHOT, NAMES)]),
    "target": ColumnTransformer([("t", TargetEncoder(cv=KFold(3)), NAMES), ("n", "passthrough", ["a"])], verbose_feature_names_out=False),
    "bins": ColumnTransformer([("b", KBinsDiscretizer(4, quantile_method="averaged_inverted_cdf"), ["a", "n"]), ("c", ONEHOT, NAMES)]),
    "indicator": ColumnTransformer([("n", SimpleImputer(add_indicator=True), ["a", "gappy"]), ("c", ONEHOT, NAMES)]),
    "selector": ColumnTransformer([("n", fill(StandardScaler()), make_column_selector(dtype_include="number")), ("c", ONEHOT, NAMES)]),
    "union": ColumnTransformer([("u", FeatureUnion([("s", StandardScaler()), ("p", PCA(1))]), ["a", "n"]), ("c", ONEHOT, NAMES)]),
    "products": make_pipeline(ColumnTransformer([("n", "passthrough", ["a", "n"]), ("c", ONEHOT, ["a_b"])]), PolynomialFeatures(2)),
    "function": ColumnTransformer([("f", FunctionTransformer(np.abs, feature_names_out="one-to-one"), ["a"]), ("c", ONEHOT, NAMES)]),
    "function without names": ColumnTransformer([("f", FunctionTransformer(column), ["a", "n"]), ("c", ONEHOT, NAMES)]),
    "nested": Pipeline([("one", ColumnTransformer([("c", Pipeline([("o", ONEHOT), ("p", "passthrough")]), NAMES), ("n", "passthrough", ["a"])])), ("two", Pipeline([("s", StandardScaler(with_mean=False))]))]),
    "pandas": ColumnTransformer([("c", OneHotEncoder(sparse_output=False), NAMES), ("n", "passthrough", ["a"])]).set_output(transform="pandas"),
    "nameless": Nameless(),
}  # fmt: skip


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize(
    "last", [LogisticRegression(max_iter=500), RandomForestClassifier(10, random_state=0)], ids=["linear", "forest"]
)
def test_any_pipeline_is_explained_in_raw_columns(name, last):
    model = make_pipeline(PIPELINES[name], last).fit(X, Y)
    found = explain(model, X, BINARY, limit=60)
    assert found.check.at[0, "method"] == ("weights" if last.__class__ is LogisticRegression else "trees")
    assert set(found.values.columns) <= set(X.columns)
    first = found.importance.set_index("feature")["share"]
    assert first["a_b"] > (
        0.05 if name in ("products", "nameless", "ordinal, by place") else 0.25
    )  # mixed with others there
    assert first["a"] > (0.05 if name == "function" else 0.15)  # its size alone says little
    weights = found.weights.set_index("feature")["share"]
    assert set(X.columns) <= set(weights.index)
    assert (weights.reindex(first.index) >= first - 1e-9).all()
    permuted = permute_features(model, X.assign(y=Y), BINARY, repeats=1)
    assert set(permuted["feature"]) <= set(X.columns)


def test_a_name_that_looks_like_another_column_does_not_mislead():
    model = make_pipeline(PIPELINES["one-hot and the rest"], LogisticRegression(max_iter=500)).fit(X, Y)
    sources = trace_columns(model, X).sources
    assert sources["c__a_b_x"] == sources["c__a_b_y"] == ["a_b"]
    assert sources["c__kind_b_x"] == ["kind"]
    assert sources["remainder__a"] == ["a"]
    rare = X.assign(kind="c")  # levels that these rows do not hold go by their names
    assert trace_columns(model, rare).sources == sources


def test_what_is_made_of_several_columns_is_listed_and_weighs_for_each_of_them():
    model = make_pipeline(PIPELINES["union"], LogisticRegression(max_iter=500)).fit(X, Y)
    found = explain(model, X, BINARY, limit=60)
    assert found.engineered["sources"].tolist() == ["a, n"]
    weights = found.weights.set_index("feature")["share"]
    assert weights["u__p__pca0"] == pytest.approx(found.engineered["share"].iloc[0])
    assert weights["n"] > found.engineered["share"].iloc[0]
    assert weights["unused"] == 0


CLASSIFIERS = {
    "vote": VotingClassifier([("l", LogisticRegression()), ("t", RandomForestClassifier(5, random_state=0))], voting="soft"),
    "stack": StackingClassifier([("l", LogisticRegression()), ("t", DecisionTreeClassifier(max_depth=2))], cv=2),
    "calibrated": CalibratedClassifierCV(LogisticRegression(), cv=2),
    "ada": AdaBoostClassifier(n_estimators=5, random_state=0),
    "search": GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=2),
    "bayes": GaussianNB(),
}  # fmt: skip


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_models_of_several_models_are_explained_with_their_error(name):
    pre = ColumnTransformer([("c", OneHotEncoder(sparse_output=False), NAMES), ("n", "passthrough", ["a", "n"])])
    model = make_pipeline(pre, CLASSIFIERS[name]).fit(X, Y)
    found = explain(model, X, BINARY, limit=25)
    assert found.importance["feature"].iloc[0] in ("a", "a_b")
    assert found.unit == ("log-odds" if name in ("search", "stack", "ada") else "probability")
    sampled = found.check.at[0, "method"] == "permutation"
    assert sampled == (name != "search")
    assert (found.check.at[0, "sampling"] > 0) == sampled


@pytest.mark.parametrize(
    "last",
    [
        VotingRegressor([("r", Ridge()), ("t", RandomForestRegressor(5, random_state=0))]),
        StackingRegressor([("r", Ridge())], cv=2),
        TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1),
    ],
    ids=["vote", "stack", "transformed"],
)
def test_regressions_of_several_models_are_explained(last):
    pre = ColumnTransformer([("c", ONEHOT, NAMES), ("n", "passthrough", ["a"])])
    target = np.exp(X["a"])
    found = explain(make_pipeline(pre, last).fit(X, target), X, NUMBER, limit=25)
    assert found.importance["feature"].iloc[0] == "a"
    assert found.unit == "units of the target"


def test_a_voting_of_whole_pipelines_is_explained_from_raw_rows():
    parts = [(str(seed), make_pipeline(PIPELINES["target"], LogisticRegression(C=seed))) for seed in (1, 2)]
    model = VotingClassifier(parts, voting="soft").fit(X, Y)
    found = explain(model, X, BINARY, limit=20)
    assert found.check.at[0, "traced"] == "as a whole, from raw rows"
    assert found.importance["feature"].iloc[0] in ("a", "a_b")


def test_a_margin_that_is_no_log_odds_is_not_called_one():
    pre = ColumnTransformer([("n", StandardScaler(), ["a", "n"])])
    linear = explain(make_pipeline(pre, LinearSVC()).fit(X, Y), X, BINARY, limit=25)
    assert (linear.unit, linear.check.at[0, "method"]) == ("margin", "weights")
    assert explain(make_pipeline(pre, SVC()).fit(X, Y), X, BINARY, limit=10).unit == "margin"


def test_what_has_no_score_is_refused_in_words():
    hard = make_pipeline(PIPELINES["target"], VotingClassifier([("l", LogisticRegression())], voting="hard")).fit(X, Y)
    with pytest.raises(BadModel, match="voting='soft'"):
        explain(hard, X, BINARY, limit=10)
    with pytest.raises(BadModel, match="cannot answer these rows"):
        explain(hard.set_params(votingclassifier__voting="soft"), X.drop(columns="a"), BINARY)


class Noisy(Nameless):
    """Encodes the same rows differently each time."""

    def transform(self, X):
        return super().transform(X) + np.random.default_rng().normal(size=(len(X), 3))


def test_columns_that_cannot_be_traced_are_said_to_be():
    model = make_pipeline(Noisy(), LogisticRegression()).fit(X, Y)
    assert trace_columns(model, X).matrix is None
    assert "differently each time" in trace_columns(model, X).way


def test_the_error_of_the_permutation_method_is_near_the_true_one():
    """Of a product, whose Shapley values are known: against all rows as background."""
    rng = np.random.default_rng(1)
    rows = pd.DataFrame(rng.normal(size=(400, 2)), columns=["u", "v"])
    model = TransformedTargetRegressor(make_pipeline(PolynomialFeatures(2), Ridge(1e-9))).fit(
        rows, rows["u"] * rows["v"]
    )
    found = explain(model, rows, NUMBER)
    u, v = (rows.loc[found.values.index, name] for name in "uv")
    mean, both = rows.mean(), (rows["u"] * rows["v"]).mean()
    true = (u * mean["v"] - both + u * v - v * mean["u"]) / 2
    off = float(np.sqrt(((found.values["u"] - true) ** 2).mean()))
    assert 0.3 < off / found.check.at[0, "sampling"] < 3


def test_a_column_transformer_says_itself_what_it_is_made_of():
    def gap(table):
        return pd.DataFrame({"gap": table["a"] - table["n"], "sum": table["a"] + table["n"]})

    recipe = ColumnTransformer(
        [("n", "passthrough", ["a", "gappy"]), ("c", OrdinalEncoder(), ["a_b", "unused"]), ("f", FunctionTransformer(gap), ["a", "n"]),
         ("t", TargetEncoder(cv=KFold(3)), ["kind"]), ("none", StandardScaler(), [])],
        verbose_feature_names_out=False,
    ).fit(X, Y)  # fmt: skip
    traced = trace_columns(recipe, X)
    assert traced.way == "as the recipe declares"
    assert list(traced.sources.values()) == [["a"], ["gappy"], ["a_b"], ["unused"], ["a", "n"], ["a", "n"], ["kind"]]
    assert find_types(recipe) == ["number"] * 2 + ["categorical"] * 2 + ["derived"] * 2 + ["rate"]
    assert read_columns(recipe, X) == read_columns(clone(recipe), X) == list(X.columns)
    assert [name for name in traced.sources if name in ("gap", "sum")] == ["gap", "sum"]


def test_what_does_not_say_what_it_reads_is_taken_to_read_all():
    assert read_columns(Nameless(), X) == list(X.columns)
    assert find_types(Nameless()) == []
