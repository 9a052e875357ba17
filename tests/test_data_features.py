import pickle
import sys

import numpy as np
import pandas as pd
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline

from nbkit.data import (
    ColumnRule,
    Contract,
    Recipe,
    catalogue_features,
    declare_features,
    fit_recipe,
    infer_contract,
    list_columns,
    list_refused,
)
from nbkit.errors import BadFeature, LeakedFeature, UntrustedType


def make(n=300, seed=0):
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "x": np.where(random.random(n) < 0.1, np.nan, random.normal(size=n)),
            "k": random.integers(0, 5, n),
            "c": random.choice(["a", "b", "c"], n, p=[0.2, 0.5, 0.3]),
            "s": random.choice(["low", "mid", "high"], n),
            "flag": random.random(n) < 0.5,
            "t": pd.Timestamp("2020-01-01 06:30") + pd.to_timedelta(random.integers(0, 9000, n), "h"),
            "y": random.integers(0, 2, n),
        }
    )


FULL = {
    "numeric": ["x", "flag"],
    "categorical": ["c", "k"],
    "datetime": {
        "t": ["year", "quarter", "month", "week", "day", "dayofyear", "weekday", "is_weekend", "hour", "minute"]
    },
    "cyclical": {"t_hour": 24, "k": 5},
    "ordinal": {"s": ["low", "mid", "high"]},
    "target_encoded": ["c"],
    "interactions": [["c", "s"], ["x", "t_hour"], ["c", "t_weekday"]],
    "custom": [{"class": "sklearn.preprocessing:SplineTransformer", "columns": ["k"], "args": {"n_knots": 3}}],
}


def test_values_are_what_they_say():
    table = make()
    recipe = declare_features(FULL, table, target="y")
    out = recipe.fit(table, table["y"]).transform(table)
    assert (out.dtypes == "float64").all()
    assert list(out) == list(recipe.get_feature_names_out())
    assert out["x"].equals(table["x"])
    assert recipe.categorical_["c"] == ["b", "c", "a"]
    assert (out["c"] == table["c"].map({"b": 0, "c": 1, "a": 2})).all()
    assert (out["s"] == table["s"].map({"low": 0, "mid": 1, "high": 2})).all()
    assert (out["t_hour"] == table["t"].dt.hour).all()
    assert (out["t_weekday"] == table["t"].dt.day_of_week).all()
    assert (out["t_is_weekend"] == (table["t"].dt.day_of_week > 4)).all()
    assert np.allclose(out["t_hour_sin"] ** 2 + out["t_hour_cos"] ** 2, 1)
    assert np.allclose(out["x_x_t_hour"], table["x"] * table["t"].dt.hour, equal_nan=True)
    assert recipe.categorical_["c_x_s"][int(out.loc[0, "c_x_s"])] == f"{table.loc[0, 'c']} × {table.loc[0, 's']}"
    assert recipe.sources_["x_x_t_hour"] == ["x", "t"]
    assert recipe.sources_["c_x_t_weekday"] == ["c", "t"]
    assert out.filter(like="_sp_").shape[1] == 5
    assert recipe.sources_["k_sp_0"] == ["k"]


def test_one_row_gives_the_same_as_many():
    table = make()
    recipe = declare_features(FULL, table, target="y").fit(table, table["y"])
    many = recipe.transform(table)
    for place in (0, 17):
        one = recipe.transform(table.iloc[[place]])
        pd.testing.assert_frame_equal(one, many.iloc[[place]], check_exact=True)
    as_json = pd.DataFrame([{k: None if pd.isna(v) else str(v) if k == "t" else v for k, v in table.iloc[3].items()}])
    assert np.allclose(recipe.transform(as_json), many.iloc[[3]], equal_nan=True)
    assert recipe.transform(table.iloc[:0]).shape == (0, many.shape[1])
    pd.testing.assert_frame_equal(recipe.transform(table[reversed(table.columns)]), many)


def test_unknown_missing_and_infinite_become_nan():
    table = make()
    recipe = declare_features(FULL, table, target="y").fit(table, table["y"])
    new = table.iloc[:3].assign(
        c=["zzz", None, "a"], x=[np.inf, None, 1.0], t=pd.to_datetime([None, "2020-01-01", None])
    )
    out = recipe.transform(new)
    assert out["c"].isna().tolist() == [True, True, False]
    assert out["x"].isna().tolist() == [True, True, False]
    assert out["t_is_weekend"].isna().tolist() == [True, False, True]
    assert out["t_hour_sin"].isna().tolist() == [True, False, True]
    assert out["c_rate"].notna().all()
    assert not np.isinf(out).any(axis=None)


def test_levels_read_the_same_whatever_the_type():
    table = pd.DataFrame({"k": [1, 2, 2, 3], "b": [True, False, False, True]})
    recipe = Recipe(categorical=["k", "b"], numeric=["b"]).fit(table)
    same = [
        pd.DataFrame({"k": [1.0, 2.0, np.nan, 3.0], "b": [1.0, 0.0, np.nan, 1.0]}),
        pd.DataFrame({"k": ["1", "2", None, "3"], "b": ["1", "0", None, "1"]}),
        pd.DataFrame({"k": pd.array([1, 2, None, 3], "Int64"), "b": pd.array([True, False, None, True], "boolean")}),
        pd.DataFrame({"k": pd.Categorical([1, 2, None, 3]), "b": [True, False, None, True]}),
    ]
    first = recipe.transform(same[0])
    assert first["k"].tolist()[:2] == [1.0, 0.0]
    assert first["k"].isna().tolist() == [False, False, True, False]
    for other in same[1:]:
        pd.testing.assert_frame_equal(recipe.transform(other), first)


def test_target_encoding_is_cross_fitted_for_training_only():
    random = np.random.default_rng(0)
    table = pd.DataFrame({"id": [f"i{i % 400}" for i in range(800)], "y": random.integers(0, 2, 800)})
    recipe = Recipe(target_encoded=["id"], seed=1)
    trained = recipe.fit_transform(table, table["y"])["id_rate"]
    applied = recipe.transform(table)["id_rate"]
    assert abs(np.corrcoef(trained, table["y"])[0, 1]) < 0.15
    assert np.corrcoef(applied, table["y"])[0, 1] > 0.5
    again = clone(recipe).fit_transform(table, table["y"])["id_rate"]
    assert again.equals(trained)
    with pytest.raises(BadFeature, match="needs y"):
        recipe.fit(table)


def test_target_encoding_of_other_tasks():
    table = make()
    recipe = Recipe(target_encoded=["c", "s"], numeric=["x"])
    out = clone(recipe).fit_transform(table, table["k"].map(str))
    assert list(out)[1:] == [f"{name}_rate_{level}" for name in "cs" for level in range(5)]
    fitted = clone(recipe).fit(table, table["k"].map(str))
    assert fitted.sources_["s_rate_3"] == ["s"]
    assert np.allclose(fitted.transform(table)[[f"c_rate_{i}" for i in range(5)]].sum(axis=1), 1, atol=0.02)
    assert list(clone(recipe).fit_transform(table, table["x"].fillna(0.123))) == ["x", "c_rate", "s_rate"]
    assert list(clone(recipe).fit_transform(table, table["y"].map({0: "no", 1: "yes"}))) == ["x", "c_rate", "s_rate"]


def test_recipe_travels():
    table = make()
    spec = {key: value for key, value in FULL.items() if key != "custom"}
    recipe = declare_features(spec, table, target="y").fit(table, table["y"])
    data = skops.io.dumps(recipe)
    assert skops.io.get_untrusted_types(data=data) == ["nbkit.data.features.Recipe"]
    expected = recipe.transform(table)
    pd.testing.assert_frame_equal(
        skops.io.loads(data, trusted=["nbkit.data.features.Recipe"]).transform(table), expected
    )
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(recipe)).transform(table), expected)
    pd.testing.assert_frame_equal(clone(recipe).fit(table, table["y"]).transform(table), expected)
    model = make_pipeline(clone(recipe), HistGradientBoostingClassifier(max_iter=5)).fit(table, table["y"])
    assert model.predict_proba(table.iloc[[0]]).shape == (1, 2)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"numerc": ["x"]}, "no 'numerc'; did you mean 'numeric'"),
        ({"numeric": ["xx"]}, "feature 'xx' is no column; did you mean 'x'"),
        ({"numeric": "x"}, "must be a list or auto"),
        ({"categorical": {"c": 1}}, "must be a list"),
        ({"datetime": ["t"]}, "mapping"),
        ({"datetime": {"t": ["hours"]}}, "no part 'hours'; did you mean 'hour'"),
        ({"cyclical": {"k": 0}}, "positive number"),
        ({"cyclical": {"t_hour": 24}}, "'t_hour' is no column"),
        ({"numeric": ["x"], "categorical": ["x"]}, "declared twice"),
        ({"numeric": ["y"]}, "target 'y' cannot be a feature"),
        ({}, "no features"),
        ({"numeric": []}, "no features"),
        ({"interactions": ["xk"]}, "list of two or more"),
        ({"interactions": [["x"]]}, "list of two or more"),
        ({"custom": [{"klass": "a:b"}]}, "class, columns and args"),
        ({"custom": [{"class": "a:b", "columns": ["zz"]}]}, "'zz' is no column"),
    ],
)
def test_bad_declarations_are_explained(spec, words):
    with pytest.raises(BadFeature, match=words):
        declare_features(spec, make(), target="y")


def test_bad_data_are_explained():
    table = make()
    recipe = declare_features({"numeric": ["x"], "datetime": {"t": "hour"}}, table, target="y").fit(table)
    with pytest.raises(BadFeature, match="lacks x"):
        recipe.transform(table[["t"]])
    with pytest.raises(BadFeature, match="'x' holds no number"):
        recipe.transform(table.assign(x="abc"))
    with pytest.raises(BadFeature, match="'t' cannot be read"):
        recipe.transform(table.assign(t="soon"))
    with pytest.raises(BadFeature, match="DataFrame"):
        recipe.transform(table.to_numpy())


OWN = """
import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin


class Plain(TransformerMixin, BaseEstimator):
    def __init__(self, shape="same"):
        self.shape = shape

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        values = np.log1p(X.abs())
        return {
            "same": values.to_numpy(),
            "wide": np.column_stack([values, values]),
            "flat": values.iloc[:, 0].to_numpy(),
            "frame": values.set_axis([f"log {name}" for name in X], axis=1),
            "sparse": sparse.csr_matrix(values),
            "text": np.full((len(X), 1), "a"),
        }[self.shape]
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "params").mkdir()
    (tmp_path / "ownfeat.py").write_text(OWN)
    (tmp_path / "needy.py").write_text("import nowhere_at_all")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("ownfeat", None)


@pytest.mark.parametrize(
    ("shape", "columns", "names"),
    [
        ("same", ["x", "k"], ["Plain_x", "Plain_Plain_x", "k"]),
        ("wide", ["k"], ["Plain_1", "Plain_2"]),
        ("flat", ["k"], ["k"]),
        ("frame", ["x", "k"], ["log x", "log k"]),
        ("sparse", ["k"], ["k"]),
    ],
)
def test_a_plain_transformer_needs_no_names(own, shape, columns, names):
    table = make().assign(x=lambda t: t["x"].fillna(0))
    one = {"class": "ownfeat:Plain", "columns": columns, "args": {"shape": shape}}
    twice = [one, {**one, "columns": ["x"]}] if shape == "same" else [one]
    recipe = declare_features({"numeric": ["x"], "custom": twice}, table, target="y").fit(table)
    out = recipe.transform(table)
    assert sorted(out) == sorted(["x", *names])
    assert out["x"].equals(table["x"])
    assert np.allclose(out[names[-1]], np.log1p(table["k"]))
    assert recipe.sources_[names[-1]] == columns
    pd.testing.assert_frame_equal(recipe.transform(table.iloc[[3]]), out.iloc[[3]])
    assert recipe.transform(table.iloc[:0]).shape == (0, out.shape[1])


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (
            "nowhere:Thing",
            r"No module named 'nowhere'; it must be .* in the project's root \(the folder that holds params/",
        ),
        ("ownfeat.sub:Thing", "cannot be made: No module named 'ownfeat.sub'"),
        ("needy:Thing", "cannot be made: No module named 'nowhere_at_all'$"),
        ("ownfeat:Plane", "ownfeat has no 'Plane'; did you mean 'Plain'"),
        ("ownfeat", "write it as module:Class"),
        ("ownfeat:pd", "cannot be made"),
    ],
)
def test_what_cannot_be_made_is_explained(own, path, words):
    recipe = declare_features({"custom": [{"class": path, "columns": ["k"]}]}, make(), target="y")
    with pytest.raises(BadFeature, match=words):
        recipe.fit(make())


def test_custom_features_that_give_no_numbers_are_explained(own):
    one = {"class": "ownfeat:Plain", "columns": ["k"], "args": {"shape": "text"}}
    with pytest.raises(BadFeature, match="custom feature Plain gives no numbers"):
        declare_features({"custom": [one]}, make(), target="y").fit(make())


def test_a_type_that_nobody_vouches_for_is_refused_before_training(own):
    recipe = declare_features({"custom": [{"class": "ownfeat:Plain", "columns": ["k"]}]}, make(), target="y")
    with pytest.raises(UntrustedType, match=r"'ownfeat:Plain' .* ownfeat.Plain.*params/trusted.txt"):
        fit_recipe(recipe, make(), target="y", positive=1)
    (own / "params" / "trusted.txt").write_text("ownfeat.Plain\n")
    fitted, features = fit_recipe(recipe, make(), target="y", positive=1)
    assert list(features) == catalogue_features(fitted)["feature"].tolist() == ["k"]
    assert not hasattr(recipe, "names_")


def test_auto_takes_what_is_usable():
    table = make().assign(one=1, none=None, day=pd.Timestamp("2020-01-01"), leak=lambda t: t["y"], many=range(300))
    contract = infer_contract(table, target="y", keys=["many"])
    rules = [
        rule if rule.name != "leak" else ColumnRule("leak", "integer", available_at="after")
        for rule in contract.columns
    ]
    contract = Contract(tuple(rules), keys=("many",))
    spec = {"numeric": "auto", "categorical": "auto", "drop": ["flag"], "ordinal": {"s": ["low", "mid", "high"]}}
    recipe = declare_features(spec, table, contract=contract)
    assert (recipe.numeric, recipe.categorical) == (["x", "k"], ["c"])
    plain = declare_features({"numeric": "auto"}, table, target="y")
    assert plain.numeric == ["x", "k", "flag", "leak", "many"]
    assert declare_features({"numeric": "auto"}, table.drop(columns=["y"]), contract=contract).numeric == [
        "x",
        "k",
        "flag",
    ]


def test_leaks_are_refused_also_when_hidden_in_an_interaction():
    rules = [ColumnRule(name, available_at="after" if name == "x" else "known") for name in make()]
    for spec in ({"numeric": ["x"]}, {"interactions": [["k", "x"]]}, {"cyclical": {"x": 2}}, {"target_encoded": ["x"]}):
        with pytest.raises(LeakedFeature, match="x: known only after"):
            declare_features(spec, make(), contract=Contract(tuple(rules)))


def test_a_custom_feature_without_columns_is_told_to_name_them():
    rules = [ColumnRule(name, available_at="after" if name == "x" else "known") for name in make()]
    contract = Contract(tuple(rules))
    for one in ("own:Log", {"class": "own:Log"}):
        with pytest.raises(LeakedFeature) as told:
            declare_features({"numeric": ["k"], "custom": [one]}, make(), contract=contract)
        assert "  x: known only after the event" in str(told.value)
        assert "name them, as in custom: [{class: own:Log, columns: [...]}]" in str(told.value)
        assert "Leave them out" not in str(told.value)
    with pytest.raises(LeakedFeature, match="Leave them out of `features`"):
        declare_features({"custom": [{"class": "own:Log", "columns": ["x"]}, "own:Log"]}, make(), contract=contract)
    fine = {"custom": [{"class": "own:Log", "columns": ["k"]}]}
    assert declare_features(fine, make(), contract=contract).raw_columns == ["k"]


def test_the_target_is_not_among_the_refused():
    moments = {"x": "after", "k": "-1h", "c": "known", "y": "target"}
    contract = Contract(tuple(ColumnRule(name, available_at=moment) for name, moment in moments.items()))
    assert list_refused(contract)["column"].tolist() == ["x"]
    assert list_refused(contract, lead="2h")["column"].tolist() == ["x", "k"]


def test_catalogue_describes_features_before_and_after_fitting():
    table = make()
    rules = [ColumnRule(name, description=f"the {name}", unit="m", available_at="-2h") for name in table]
    recipe = declare_features(FULL, table, contract=Contract(tuple(rules)), lead="2h")
    before = catalogue_features(recipe, Contract(tuple(rules)))
    after = catalogue_features(recipe.fit(table, table["y"]), Contract(tuple(rules))).set_index("feature")
    assert len(after) == len(before) + 5
    assert after.loc["x"].tolist() == ["number", "x", "the x", "-2h", "m"]
    assert after.loc["t_hour_sin", ["type", "source", "unit"]].tolist() == ["cycle", "t", ""]
    assert after["type"].unique().tolist() == ["number", "code", "date part", "cycle", "interaction", "rate", "custom"]
    assert catalogue_features(recipe).loc[0, "description"] == ""


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=4) | st.none(), min_size=1, max_size=20))
def test_codes_are_a_bijection_of_the_levels_whatever_the_order(values):
    table = pd.DataFrame({"naïve ☃": pd.Series(values, dtype="str")})
    recipe = Recipe(categorical=["naïve ☃"]).fit(table)
    codes = recipe.transform(table)["naïve ☃"]
    levels = recipe.categorical_["naïve ☃"]
    assert len(set(levels)) == len(levels)
    back = [None if np.isnan(code) else levels[int(code)] for code in codes]
    assert back == [None if pd.isna(value) else value for value in table["naïve ☃"]]
    assert Recipe(categorical=["naïve ☃"]).fit(table.iloc[::-1]).categorical_ == recipe.categorical_


ODD = {
    "lists": [[1], [2], None],
    "mixed": [1, "x", None],
    "cat": pd.Categorical(["a", "b", None]),
    "time": pd.to_datetime(["2020-01-01", "2020-01-02", None]),
    "Int": pd.array([1, 2, None], "Int64"),
    "none": [None, None, None],
    "constant": [1, 1, 1],
    "period": pd.PeriodIndex(["2020-01", "2020-02", None], freq="M"),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_columns_can_be_categories(name):
    table = pd.DataFrame({name: ODD[name]})
    recipe = Recipe(categorical=[name], target_encoded=[name])
    out = recipe.fit_transform(pd.concat([table] * 4, ignore_index=True), np.array([0, 1, 0] * 4))
    assert out[name].isna().sum() == 4 * table[name].isna().sum()
    assert recipe.transform(table.iloc[[0]]).shape == (1, 2)


def test_a_column_that_goes_on_beside_the_features_must_be_there():
    table = pd.DataFrame({"region": ["N", "S"], "calls": [1, 2]})
    recipe = declare_features({"numeric": ["calls"]}, table)
    assert list_columns(recipe, ["region", ""], table) == ["region", "calls"]
    with pytest.raises(BadFeature, match="no column 'regoin'; did you mean 'region'"):
        list_columns(recipe, ["regoin"], table)
