"""Features: what may be used, the functions of recipes, and a recipe that later stages can use."""

import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder, StandardScaler, TargetEncoder

from nbkit import formats
from nbkit.contract import ColumnRule, Contract
from nbkit.data import infer_contract
from nbkit.errors import BadFeature, LeakedFeature, UntrustedType
from nbkit.features import (
    catalogue_features,
    check_features,
    choose_columns,
    fit_recipe,
    keep_columns,
    list_refused,
    name_date_parts,
    to_date_parts,
    to_levels,
    to_numbers,
)
from nbkit.problem import Problem

PROBLEM = Problem("y", time="t")
AS_NUMBERS = FunctionTransformer(to_numbers, feature_names_out="one-to-one")
AS_LEVELS = FunctionTransformer(to_levels, feature_names_out="one-to-one")
CODES = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
PARTS = FunctionTransformer(to_date_parts, kw_args={"parts": ["hour", "weekday"]}, feature_names_out=name_date_parts)


def make(n=300, seed=0):
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "x": np.where(random.random(n) < 0.1, np.nan, random.normal(size=n)),
            "k": random.integers(0, 5, n),
            "c": random.choice(["a", "b", "c"], n, p=[0.2, 0.5, 0.3]),
            "flag": random.random(n) < 0.5,
            "t": pd.Timestamp("2020-01-01 06:30") + pd.to_timedelta(random.integers(0, 9000, n), "h"),
            "y": random.integers(0, 2, n),
        }
    )


TABLE = make()
CONTRACT = infer_contract(TABLE, PROBLEM)
AUTO = {"numeric": "auto", "categorical": "auto"}


def make_recipe(**more):
    parts = {
        "numbers": (AS_NUMBERS, ["x", "flag"]),
        "codes": (make_pipeline(AS_LEVELS, CODES), ["c", "k"]),
        "dates": (PARTS, ["t"]),
        "rates": (make_pipeline(AS_LEVELS, TargetEncoder(cv=KFold(5, shuffle=True, random_state=0))), []),
    } | more
    return ColumnTransformer([(name, *part) for name, part in parts.items()], verbose_feature_names_out=False)


def late(name, when="after"):
    rules = [ColumnRule(each, "number", available_at=when if each == name else "known") for each in TABLE.columns]
    return Contract(tuple(rules))


# --- which columns


def test_auto_takes_every_usable_column_of_its_kind_that_is_not_named_elsewhere():
    chosen = choose_columns(TABLE, PROBLEM, CONTRACT, AUTO | {"datetime": ["t"]})
    assert chosen == {"numeric": ["x", "k", "flag"], "categorical": ["c"], "datetime": ["t"], "target_encoded": []}
    chosen = choose_columns(TABLE, PROBLEM, CONTRACT, AUTO | {"target_encoded": ["c"], "drop": ["k"]})
    assert (chosen["numeric"], chosen["categorical"]) == (["x", "flag"], [])
    constant = TABLE.assign(one=1, many=[f"text {n}" for n in range(len(TABLE))])
    assert choose_columns(constant, PROBLEM, infer_contract(constant, PROBLEM), AUTO)["numeric"] == ["x", "k", "flag"]


def test_what_is_known_too_late_is_left_out_by_auto_and_refused_by_name():
    assert choose_columns(TABLE, PROBLEM, late("x"), AUTO)["numeric"] == ["k", "flag"]
    with pytest.raises(LeakedFeature, match="x"):
        choose_columns(TABLE, PROBLEM, late("x"), {"numeric": ["x"]})
    ahead = Problem("y", lead="2h")
    with pytest.raises(LeakedFeature, match="x"):
        choose_columns(TABLE, ahead, late("x", "-1h"), {"numeric": ["x"]})
    assert choose_columns(TABLE, ahead, late("x", "-3h"), {"numeric": ["x"]})["numeric"] == ["x"]
    refused = list_refused(late("x"), PROBLEM)
    assert refused[["column", "known"]].values.tolist() == [["x", "after"]]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"numeric": ["xx"]}, "'xx' is not a column of the data; did you mean 'x'"),
        ({"numeric": ["y"]}, "the target 'y' cannot be a feature"),
        ({"numeric": ["x"], "categorical": ["x"]}, "'x' is named twice"),
        ({"numeric": []}, "no features"),
        ({"numric": ["x"]}, "did you mean 'numeric'"),
        ({"numeric": "x"}, "must be a list or auto"),
        ({"datetime": "auto"}, "datetime must be a list, not 'auto'"),
        ({"numeric": {"x": 1}}, "must be a list of columns"),
    ],
)
def test_what_cannot_be_a_feature_is_explained(wanted, words):
    with pytest.raises(BadFeature, match=words):
        choose_columns(TABLE, PROBLEM, CONTRACT, wanted)


def test_what_needs_no_table_is_checked_without_one():
    check_features(AUTO | {"datetime": ["t"], "drop": None})
    with pytest.raises(BadFeature, match="features have no"):
        check_features({"custom": []})


# --- the functions of recipes


def test_levels_read_the_same_whatever_the_type():
    table = pd.DataFrame({"k": [1, 2, 2, 3], "b": [True, False, False, True]})
    recipe = make_pipeline(AS_LEVELS, CODES).fit(table)
    same = [
        pd.DataFrame({"k": [1.0, 2.0, np.nan, 3.0], "b": [1.0, 0.0, np.nan, 1.0]}),
        pd.DataFrame({"k": ["1", "2", None, "3"], "b": ["1", "0", None, "1"]}),
        pd.DataFrame({"k": pd.array([1, 2, None, 3], "Int64"), "b": pd.array([True, False, None, True], "boolean")}),
        pd.DataFrame({"k": pd.Categorical([1, 2, None, 3]), "b": [True, False, None, True]}),
    ]
    first = recipe.transform(same[0])
    assert np.isnan(first[2]).all()
    assert first[:, 0].tolist()[:2] == [0.0, 1.0]
    for other in same[1:]:
        np.testing.assert_array_equal(recipe.transform(other), first)


def test_numbers_are_read_from_what_can_be_a_number():
    table = pd.DataFrame({"a": ["1", "2.5", None], "b": pd.array([True, False, None], "boolean"), "c": [1, 2, 3]})
    np.testing.assert_array_equal(to_numbers(table), [[1, 1, 1], [2.5, 0, 2], [np.nan, np.nan, 3]])
    with pytest.raises(BadFeature, match="numeric feature 'a' holds no number"):
        to_numbers(pd.DataFrame({"a": ["one"]}))


def test_parts_of_dates_are_those_of_pandas():
    dates = TABLE[["t"]]
    every = ["year", "quarter", "month", "week", "day", "dayofyear", "weekday", "is_weekend", "hour", "minute"]
    made = pd.DataFrame(to_date_parts(dates, every), columns=every)
    assert (made["hour"] == TABLE["t"].dt.hour).all()
    assert (made["weekday"] == TABLE["t"].dt.day_of_week).all()
    assert (made["is_weekend"] == (TABLE["t"].dt.day_of_week > 4)).all()
    assert (made["week"] == TABLE["t"].dt.isocalendar().week).all()
    np.testing.assert_array_equal(to_date_parts(dates.astype(str), every), made)
    assert np.isnan(to_date_parts(pd.DataFrame({"t": pd.to_datetime([None])}))).all()
    with pytest.raises(BadFeature, match="no part 'hours'; did you mean 'hour'"):
        to_date_parts(dates, ["hours"])
    with pytest.raises(BadFeature, match="'t' cannot be read"):
        to_date_parts(pd.DataFrame({"t": ["soon"]}))


# --- the recipe


def test_values_are_what_they_say():
    fitted, table = fit_recipe(make_recipe(), TABLE, PROBLEM, CONTRACT)
    assert list(table) == ["x", "flag", "c", "k", "t_hour", "t_weekday"] == list(fitted.get_feature_names_out())
    assert (table.dtypes == "float64").all()
    assert table["x"].equals(TABLE["x"])
    assert (table["c"] == TABLE["c"].map({"a": 0, "b": 1, "c": 2})).all()
    assert (table["t_hour"] == TABLE["t"].dt.hour).all()
    new = TABLE.iloc[:3].assign(c=["zzz", None, "a"], x=[np.inf, None, 1.0])
    made = pd.DataFrame(fitted.transform(new), columns=list(table))
    assert made[["c", "x"]].isna().all(axis=1).tolist() == [True, True, False]


@pytest.mark.parametrize("value", [1e300, -1e300, 3.5e38])
def test_numbers_that_no_model_can_compute_with_are_told_with_column_and_rows(value):
    far = TABLE["x"].astype("float64").where(TABLE.index >= 2, value)
    with pytest.raises(
        BadFeature, match=rf"column 'x' .* beyond 3\.4e\+38 in 2 of {len(TABLE)} rows.*divide the column"
    ):
        fit_recipe(make_recipe(), TABLE.assign(x=far), PROBLEM, CONTRACT)
    fitted, _ = fit_recipe(make_recipe(), TABLE, PROBLEM, CONTRACT)
    assert np.isnan(fitted.transform(TABLE.head(1).assign(x=value))[0, 0])  # as what is infinite, in new rows


def test_an_infinite_number_is_a_missing_one_and_integers_are_never_too_large():
    odd = TABLE["x"].astype("float64").where(TABLE.index >= 2, np.inf)
    _, table = fit_recipe(make_recipe(), TABLE.assign(x=odd), PROBLEM, CONTRACT)
    assert table["x"].isna().sum() == 2 + TABLE["x"].iloc[2:].isna().sum()
    whole = pd.Series([2**62] * len(TABLE), dtype="Int64").mask(TABLE.index == 0)
    fit_recipe(make_recipe(), TABLE.assign(x=whole), PROBLEM, CONTRACT)


def test_one_row_gives_the_same_as_many_also_from_json():
    fitted, _ = fit_recipe(make_recipe(), TABLE, PROBLEM, CONTRACT)
    many = fitted.transform(TABLE)
    row = TABLE.iloc[3].items()
    as_json = pd.DataFrame([{k: None if pd.isna(v) else str(v) if k == "t" else v for k, v in row}])
    np.testing.assert_array_equal(fitted.transform(as_json), many[[3]])
    np.testing.assert_array_equal(fitted.transform(TABLE[reversed(TABLE.columns)]), many)


def test_the_catalogue_says_source_type_and_moment():
    recipe = make_recipe(
        rates=(make_pipeline(AS_LEVELS, TargetEncoder(cv=KFold(5, shuffle=True, random_state=0))), ["c"]),
        codes=("drop", []),
    )
    rules = [ColumnRule(name, "number", description=f"the {name}", unit="km") for name in TABLE.columns]
    contract = Contract(tuple(rules))
    fitted, _ = fit_recipe(recipe, TABLE, PROBLEM, contract)
    table = catalogue_features(fitted, TABLE, PROBLEM, contract).set_index("feature")
    assert table["type"].to_dict() == {
        "x": "number", "flag": "number", "t_hour": "derived", "t_weekday": "derived", "c": "rate"
    }  # fmt: skip
    assert table["source"].to_dict() == {"x": ["x"], "flag": ["flag"], "t_hour": ["t"], "t_weekday": ["t"], "c": ["c"]}
    assert table.loc["x", ["description", "available_at", "unit"]].tolist() == ["the x", "known", "km"]
    assert table.loc["t_hour", ["description", "unit"]].tolist() == ["derived of: the t", ""]


def test_target_encoding_is_cross_fitted_for_training_only():
    random = np.random.default_rng(0)
    table = pd.DataFrame({"id": [f"i{i % 400}" for i in range(800)], "y": random.integers(0, 2, 800)})
    recipe = ColumnTransformer(
        [("rates", make_pipeline(AS_LEVELS, TargetEncoder(cv=KFold(5, shuffle=True, random_state=1))), ["id"])]
    )
    fitted, trained = fit_recipe(recipe, table, Problem("y"), infer_contract(table, Problem("y")))
    assert abs(np.corrcoef(trained.iloc[:, 0], table["y"])[0, 1]) < 0.15
    assert np.corrcoef(fitted.transform(table)[:, 0], table["y"])[0, 1] > 0.5


def test_the_raw_columns_that_go_on():
    assert keep_columns(make_recipe(dates=(PARTS, [])), TABLE, PROBLEM, ["k"]) == ["x", "k", "c", "flag", "t", "y"]
    with pytest.raises(BadFeature, match="no column 'kk'; did you mean 'k'"):
        keep_columns(make_recipe(), TABLE, PROBLEM, ["kk"])


@pytest.fixture
def features(tmp_path, monkeypatch):
    """A module of the project with functions of a table."""
    (tmp_path / "features.py").write_text(
        "import pandas as pd\n\n\ndef ratio(table):\n    return pd.DataFrame({'ratio': table['x'] / (1 + table['k'])})\n\n\n"
        "def drop_gaps(table):\n    return table.dropna()\n\n\ndef rank(table):\n    return table.rank()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("NBKIT_TRUSTED", "features.ratio, features.drop_gaps, features.rank")
    sys.modules.pop("features", None)
    import features

    yield features
    sys.modules.pop("features", None)


def test_a_feature_of_several_columns_is_a_function_of_a_table(features):
    recipe = make_recipe(own=(FunctionTransformer(features.ratio), ["x", "k"]))
    fitted, table = fit_recipe(recipe, TABLE, PROBLEM, CONTRACT)
    assert table["ratio"].equals(TABLE["x"] / (1 + TABLE["k"]))
    catalogue = catalogue_features(fitted, TABLE, PROBLEM, CONTRACT).set_index("feature")
    assert catalogue.loc["ratio", ["type", "source"]].tolist() == ["derived", ["x", "k"]]
    kind, _, content = formats.dump(fitted)
    np.testing.assert_array_equal(formats.load(kind, content).transform(TABLE), fitted.transform(TABLE))


def test_what_later_stages_could_not_use_is_refused_here(features, monkeypatch):
    by_hand = TABLE.assign(gap=TABLE["k"] - 1)
    recipe = make_recipe(own=("passthrough", ["gap"]))
    with pytest.raises(BadFeature, match=r"'gap' is not a column of the data: was it added in a cell\?.*features.py"):
        fit_recipe(recipe, by_hand, PROBLEM, CONTRACT, raw=list(TABLE.columns))
    with pytest.raises(LeakedFeature, match="x"):
        fit_recipe(make_recipe(), TABLE, PROBLEM, late("x"))
    shorter = make_pipeline(FunctionTransformer(features.drop_gaps), make_recipe())
    with pytest.raises((BadFeature, ValueError), match=r"rows of 300|inconsistent"):
        fit_recipe(shorter, TABLE, PROBLEM, CONTRACT)
    with pytest.raises(BadFeature, match="other numbers of one row alone"):
        fit_recipe(
            make_recipe(own=(FunctionTransformer(features.rank), ["k"]), codes=("drop", [])), TABLE, PROBLEM, CONTRACT
        )
    with pytest.raises(BadFeature, match="plain numbers"):
        fit_recipe(ColumnTransformer([("all", "passthrough", ["x", "c"])]), TABLE, PROBLEM, CONTRACT)
    monkeypatch.setenv("NBKIT_TRUSTED", "")
    with pytest.raises(UntrustedType, match=r"features\.ratio"):
        fit_recipe(make_recipe(own=(FunctionTransformer(features.ratio), ["x", "k"])), TABLE, PROBLEM, CONTRACT)


def test_any_transformer_of_scikit_learn_is_a_recipe():
    recipe = make_pipeline(make_recipe(dates=("drop", [])), StandardScaler())
    fitted, table = fit_recipe(recipe, TABLE, PROBLEM, CONTRACT)
    assert table.shape == (300, 4)
    model = make_pipeline(
        make_recipe(numbers=(make_pipeline(AS_NUMBERS, StandardScaler()), ["k"])), LogisticRegression()
    )
    model.fit(TABLE, TABLE["y"])
    assert np.array_equal(model.predict_proba(TABLE.iloc[[5]]), model.predict_proba(TABLE)[[5]])
    assert catalogue_features(fitted, TABLE, PROBLEM, CONTRACT)["type"].isin(["derived", "number"]).all()
