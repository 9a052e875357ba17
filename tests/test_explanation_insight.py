"""Insight: cases are what they are called, drivers say what is true, and a reason is named only where it is earned."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from model_helpers import BINARY, binary_recipe, load_table, make_binary, make_candidate, make_recipe
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from nbkit import plots
from nbkit.contract import ColumnRule, Contract
from nbkit.errors import BadModel
from nbkit.explanation import (
    compare_influence,
    describe_cases,
    describe_check,
    describe_firmness,
    explain,
    explain_rows,
    group_correlated,
    list_drivers,
    list_movements,
    measure_effects,
    pair_influence,
    permute_features,
)
from nbkit.explanation.cases import _approach
from nbkit.explanation.effects import _tell_threshold, cut_rounded
from nbkit.features import name_date_parts, to_date_parts
from nbkit.model import Predictions, predict
from nbkit.model.search import fit
from nbkit.problem import Problem

FRAME = make_binary(900)
X, Y = FRAME.drop(columns="late"), FRAME["late"]
MODEL = fit(make_candidate("linear", binary_recipe()), X, Y)
SAID = predict(MODEL, FRAME, BINARY)
FOUND = explain(MODEL, FRAME, BINARY, limit=400)
NUMBER = Problem("y", "regression", seed=1)


def learn(frame, target="y"):
    steps = [("as it is", "passthrough"), ("model", LinearRegression())]
    return Pipeline(steps).fit(frame.drop(columns=target), frame[target])


def of_task(name, task):
    frame, problem = load_table(name), Problem("target", task)
    columns = list(frame.columns.drop("target"))
    model = fit(
        make_candidate("boosting", make_recipe(columns), problem, params={"max_iter": 20}),
        frame[columns],
        frame["target"],
    )
    return frame, problem, model, explain(model, frame, problem)


def test_cases_are_what_they_are_called():
    table = explain_rows(FOUND, SAID, top=2)
    assert table["case"].unique().tolist() == [
        "confident and right",
        "confident and wrong",
        "at the threshold",
        "typical",
    ]
    first = table.drop_duplicates("case").set_index("case")
    right = {name: (row["prediction"] >= 50) == (row["truth"] == "1") for name, row in first.iterrows()}
    assert (right["confident and right"], right["confident and wrong"]) == (True, False)
    assert abs(first.at["at the threshold", "prediction"] - 50) < 3
    for _, part in table.groupby("case"):
        assert part["start"].iloc[0] + part["contribution"].sum() == pytest.approx(part["prediction"].iloc[0])
        assert part["prediction"].iloc[0] == pytest.approx(100 * SAID.score[SAID.index.get_loc(part["row"].iloc[0])])


def test_points_keep_the_sign_and_add_up_to_the_probability():
    points, unit, base = FOUND.in_points()
    assert unit == "points"
    p = 100 * MODEL.predict_proba(X.loc[points.index])[:, 1]
    np.testing.assert_allclose(points.sum(axis=1) + base.iloc[0], p, atol=1e-8)
    assert (np.sign(points) == np.sign(FOUND.values)).all(axis=None)


@pytest.mark.parametrize(("name", "task"), [("wine", "multiclass"), ("diabetes", "regression")])
def test_other_tasks_are_told_and_drawn(name, task):
    frame, problem, model, found = of_task(name, task)
    said = predict(model, frame, problem)
    cases = explain_rows(found, said)
    assert cases["case"].nunique() >= 3
    effects = measure_effects(found, features=2)
    assert ("class" in effects) == (task == "multiclass")
    drivers = list_drivers(found)
    assert len(drivers) == 5
    assert drivers["sentence"].str.contains("or more: [+−]").any()
    movements, of_class = list_movements(found)
    assert bool(of_class) == (task == "multiclass")
    stories = describe_cases(cases, found, said, model, actionable=[drivers.at[0, "feature"]])
    assert ("change" in stories) == (task != "regression")  # a number is no decision
    assert task == "regression" or stories["change"].str.len().min() > 20
    unit = found.in_points()[1]
    drawn = [plots.draw_cases(cases, "Cases", unit=unit), plots.draw_effects(effects, "Effects", unit=unit)]
    drawn.append(plots.draw_swarm(movements, found.data, "Swarm", unit=unit))
    assert all(each.svg.startswith("<svg") and each.alt for each in drawn)
    assert drawn[0] == plots.draw_cases(cases, "Cases", unit=unit)


def test_effects_follow_the_truth():
    effects = measure_effects(FOUND)
    hour = effects.query("feature == 'hour'")["effect"]
    assert hour.is_monotonic_increasing
    carrier = effects.query("feature == 'carrier'").set_index("slice")["effect"]
    assert carrier.idxmax() == "B6"
    assert effects.groupby("feature")["n"].sum().eq(400).all()
    assert "missing" in set(effects["slice"])


def test_edges_are_round_and_every_row_has_a_bin():
    rng = np.random.default_rng(0)
    for column in (rng.normal(0, 1e-3, 500), rng.exponential(40, 500), rng.integers(0, 2400, 500), np.full(500, 7.0)):
        labels = cut_rounded(pd.Series(column))
        assert labels.notna().all()
        words = " ".join(labels.cat.categories)
        assert max(len(part.lstrip("-0.").replace(".", "")) for part in words.split()) <= 5
    many = cut_rounded(pd.Series([f"name {n % 300}" for n in range(900)]))
    assert len(many.cat.categories) <= 11


def test_drivers_are_told_in_the_words_of_the_contract_with_threshold_unit_and_points():
    contract = Contract((ColumnRule("hour", description="hour of departure; local", unit="h"), ColumnRule("carrier")))
    drivers = list_drivers(FOUND, contract).set_index("feature")
    assert drivers.at["hour", "sentence"].startswith("Hour of departure. ")
    assert " h or more: +" in drivers.at["hour", "sentence"]
    assert "; less: −" in drivers.at["hour", "sentence"]
    assert drivers.at["carrier", "sentence"].startswith("Carrier. Highest for B6 (+")
    edge = float(drivers.at["hour", "sentence"].split(". ")[1].split(" ")[0])
    assert 11 <= edge <= 17


def test_a_column_without_direction_is_not_given_one():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=300), "b": rng.normal(size=300)})
    found = explain(learn(frame.assign(y=frame["a"])), frame, NUMBER)
    noise = found.values.assign(a=rng.normal(size=300))
    from dataclasses import replace

    assert "no direction" in list_drivers(replace(found, values=noise)).set_index("feature").at["a", "sentence"]


def test_the_firmness_of_an_order_is_said():
    from dataclasses import replace

    five = pd.DataFrame({"feature": list("abcdef")})
    said = [
        describe_firmness(replace(FOUND, importance=five, check=pd.DataFrame({"top5_stable": [s]})))
        for s in (0.52, 0.8, 1.0)
    ]
    assert said[0] == "The five strongest are the same columns in 52% of resamples: the choice is not firm."
    assert said[1].endswith("fairly firm.")
    assert said[2].endswith("the choice is firm.")
    assert describe_firmness(FOUND) == "The model reads only 3 columns."
    assert "Each value is exact. More time would buy nothing" in describe_check(explain(MODEL, FRAME, BINARY))


def test_a_column_the_model_ignores_costs_nothing():
    table = permute_features(MODEL, FRAME, BINARY, limit=500)
    assert table["feature"].iloc[0] == "hour"
    assert set(table["feature"]) == {"hour", "temp", "carrier"}  # the day is not read
    assert table["drop"].is_monotonic_decreasing
    assert ((table["low"] < table["drop"]) & (table["drop"] < table["high"])).all()
    pd.testing.assert_frame_equal(table, permute_features(MODEL, FRAME, BINARY, limit=500))


def test_a_lower_metric_drops_upwards():
    gappy = FRAME.assign(late=Y.astype(float).where(Y.index % 7 > 0))
    table = permute_features(MODEL, gappy, Problem("late", metric="brier"), limit=500)
    assert table["drop"].iloc[0] > 0
    assert np.isfinite(table["low"]).all()


def test_a_column_that_does_not_matter_is_rarely_said_to_help_or_to_hurt():
    """Of 120 models that learned from noise, at most a twentieth each way: 95 % intervals, half of the rest a side."""
    rng, helps, hurts = np.random.default_rng(7), 0, 0
    for seed in range(120):
        frame = pd.DataFrame(rng.normal(size=(230, 2)), columns=["a", "noise"])
        frame["y"] = frame["a"] + rng.normal(size=230)
        model = learn(frame.head(30))
        table = permute_features(model, frame.tail(200), Problem("y", "regression", seed=seed), columns=[["noise"]])
        helps += table.at[0, "low"] > 0
        hurts += table.at[0, "high"] < 0
    assert helps <= 6
    assert hurts <= 6


def test_each_planted_reason_is_found_and_its_picture_drawn():
    rng = np.random.default_rng(5)
    n = 1200
    old, new = (pd.DataFrame(rng.normal(size=(n, 4)), columns=["real", "turned", "late_range", "noise"]) for _ in "ab")
    for frame in (old, new):
        frame["twin"] = frame["real"] + rng.normal(0, 0.05, n)
    old["y"] = 2 * old["real"] + 2 * old["turned"] + old["late_range"] + rng.normal(size=n)
    new["y"] = 2 * new["real"] - 2 * new["turned"] + rng.normal(size=n)
    model = learn(old)
    found = explain(model, new, NUMBER)
    permuted = permute_features(model, new, NUMBER)
    pairs = pair_influence(found, permuted, model, old, NUMBER).set_index("feature")
    assert pairs.at["turned", "finding"] == "hurts on new rows"
    shifted = new.assign(late_range=new["late_range"] + 20)
    far = pair_influence(explain(model, shifted, NUMBER), permute_features(model, shifted, NUMBER), model, old, NUMBER)
    assert far.set_index("feature").at["late_range", "finding"] == "out of the training range"
    assert pairs.at["noise", "finding"] == "little influence"
    assert pairs.at["real", "finding"] == "helps"
    groups = group_correlated(found, (model, new, NUMBER))
    assert set(groups.at[0, "feature"].split(", ")) == {"real", "twin"}
    assert groups.at[0, "low"] > 0
    picture = plots.draw_pairs(pairs.reset_index(), "Title", metric="mae")
    assert "hurts on new rows" in picture.alt


def test_a_twin_stands_in_and_what_was_learned_by_heart_is_useful_only_in_train():
    rng, n = np.random.default_rng(2), 500
    frame = pd.DataFrame(rng.normal(size=(2 * n, 3)), columns=["real", "heart", "other"])
    frame["y"] = frame["real"] + rng.normal(size=2 * n) * 2
    steps = [("as it is", "passthrough"), ("model", RandomForestRegressor(20, random_state=0))]
    model = Pipeline(steps).fit(frame.head(n).drop(columns="y"), frame["y"].head(n))
    found = explain(model, frame.tail(n), NUMBER)
    permuted = permute_features(model, frame.tail(n), NUMBER)
    pairs = pair_influence(found, permuted, model, frame.head(n), NUMBER).set_index("feature")
    assert pairs.at["heart", "finding"] in ("useful only in train", "hurts on new rows")
    assert pairs.at["other", "finding"] in ("useful only in train", "hurts on new rows")
    assert "useful only in train" in set(pairs["finding"])


def test_a_change_of_an_actionable_column_turns_the_decision_as_told():
    cases = explain_rows(FOUND, SAID)
    stories = describe_cases(cases, FOUND, SAID, MODEL, actionable=["hour"]).set_index("case")
    told = stories.at["at the threshold", "change"]
    value = int(told.split("With hour ")[1].split(" ")[0])
    row = X.loc[[cases.set_index("case").at["at the threshold", "row"].iloc[0]]]
    before, after = (MODEL.predict_proba(each)[0, 1] for each in (row, row.assign(hour=value)))
    assert (before >= 0.5) != (after >= 0.5)
    none = describe_cases(cases, FOUND, SAID, MODEL)
    assert none.columns.tolist() == ["case", "sentence"]  # the notebook says once that none is named
    contract = Contract((ColumnRule("hour", description="hour of departure; local time", unit="o'clock"),))
    sentences = " ".join(describe_cases(cases, FOUND, SAID, MODEL, contract=contract)["sentence"])
    assert re.search(r"hour of departure: \d+ o'clock \([+−]\d+ points?\)", sentences)
    with pytest.raises(BadModel, match="did you mean 'hour'"):
        describe_cases(cases, FOUND, SAID, MODEL, actionable=["hours"])


def test_what_gained_and_lost_since_another_version():
    before = FOUND.weights.assign(share=FOUND.weights["share"] * np.where(FOUND.weights["feature"] == "hour", 0.3, 1.0))
    table = compare_influence(FOUND, before).set_index("feature")
    assert table.at["hour", "finding"] == "gained"
    assert table.at["temp", "finding"] == "inconclusive"
    assert len(compare_influence(FOUND, None)) == 0


def test_odd_columns_do_not_stop_it():
    odd = FRAME.assign(empty=np.nan, same=3.0, wide=[f"n{i}" for i in range(900)])
    recipe = make_recipe(["hour", "temp", "empty", "same"], ["carrier", "wide"])
    model = fit(make_candidate("forest", recipe, params={"n_estimators": 5}), odd.drop(columns="late"), odd["late"])
    found = explain(model, odd, BINARY, limit=200)
    assert len(list_drivers(found, top=6)) == 6
    measure_effects(found, features=6)
    permuted = permute_features(model, odd, BINARY, limit=200)
    pairs = pair_influence(found, permuted, model, odd, BINARY)
    assert len(pairs) == 6
    group_correlated(found, (model, odd, BINARY))
    few = explain(model, odd.head(3), BINARY)
    list_drivers(few)
    assert len(explain(model, odd.head(5), BINARY, budget_s=0).values) == 5


def test_the_class_that_is_told_is_that_of_the_value_that_is_told():
    """From b to a the answer passes through c: the nearest change leads to another class than the farther one."""

    class Steps:
        def __init__(self):
            self.classes_ = np.array(["a", "b", "c"])

        def predict_proba(self, rows):
            x = rows["x"].to_numpy()
            place = np.where(x < 1, 1, np.where(x < 2, 2, 0))
            return np.where(np.arange(3) == place[:, None], 0.8, 0.1)

    own = pd.DataFrame({"x": [0.0]})
    problem = Problem("y", "multiclass")
    told = Predictions.align(["b"], pd.DataFrame([[0.1, 0.8, 0.1]], columns=list("abc")), problem)
    nearest, _, turned = _approach(Steps(), own, ("x", 5.0), told)
    assert (round(nearest, 2), told.classes[turned]) == (1.0, "c")


def learn_by_hour(parts, column):
    """A model of the hour of 08:00 to 17:00 in spring, and rows of May: what is new about their moments is the date."""
    rng, n = np.random.default_rng(4), 1500
    frame = pd.DataFrame({"at": pd.Timestamp("2013-01-01") + pd.to_timedelta(rng.integers(0, 90 * 24, n), "h")})
    frame.loc[n // 2 :, "at"] += pd.Timedelta(120, "D")
    frame["hour"] = frame["at"].dt.hour + rng.normal(0, 0.1, n)
    old, new = frame.head(n // 2), frame.tail(n // 2).reset_index(drop=True)
    old, new = old.assign(y=getattr(old["at"].dt, column) + 0.0), new.assign(y=rng.normal(size=len(new)))
    dates = FunctionTransformer(to_date_parts, kw_args={"parts": parts}, feature_names_out=name_date_parts)
    recipe = ColumnTransformer(
        [("dates", dates, ["at"]), ("rest", "passthrough", ["hour"])], verbose_feature_names_out=False
    )
    model = Pipeline([("recipe", recipe), ("model", RandomForestRegressor(20, max_features=1, random_state=0))])
    return model.fit(old[["at", "hour"]], old["y"]), old, new


def test_a_moment_is_judged_by_what_the_recipe_makes_of_it():
    """Every moment of May is after train; its hour is none that train never had, and is the same as another column."""
    model, old, new = learn_by_hour(["hour", "weekday"], "hour")
    found, permuted = explain(model, new, NUMBER), permute_features(model, new, NUMBER)
    found_at = pair_influence(found, permuted, model, old, NUMBER).set_index("feature").loc["at"]
    assert found_at["finding"] in ("useful only in train", "stands in for another column")
    assert set(group_correlated(found, (model, new, NUMBER)).at[0, "feature"].split(", ")) == {"at", "hour"}
    model, old, new = learn_by_hour(["month"], "month")
    found, permuted = explain(model, new, NUMBER), permute_features(model, new, NUMBER)
    pairs = pair_influence(found, permuted, model, old, NUMBER).set_index("feature")
    assert pairs.at["at", "finding"] == "out of the training range"
    assert pairs.at["at", "detail"] == "at_month, made of it: 100% of the new rows have values that train never had"


@pytest.mark.parametrize(
    "values",
    [20230100 + np.arange(200) % 31, 2.0**53 + 2 * np.arange(200), 1e9 + np.linspace(0, 1e-3, 200), 1000 + np.linspace(0, 0.01, 200)],
)  # fmt: skip
def test_bins_of_numbers_that_lie_close_together_have_names_of_their_own(values):
    """Dates as 20230301 made two bins of one name, and 08 stopped."""
    found = cut_rounded(pd.Series(values))
    assert len(found.cat.categories) >= 2


SIZES = [5e-324, 1e-300, 1e-15, 1e-3, 1.0, 1e9, 1e153, 1.7e308]
SPREAD = st.sampled_from(SIZES).flatmap(lambda size: st.floats(-1, 1).map(lambda share: share * size))
ONE_SCALE = st.sampled_from(SIZES).flatmap(
    lambda size: st.lists(st.floats(-1, 1).map(lambda share: share * size), min_size=11, max_size=80)
)
COLUMNS = ONE_SCALE | st.lists(SPREAD | st.floats() | st.integers(-99, 99).map(float), min_size=11, max_size=80)


@settings(max_examples=300, deadline=None)
@given(COLUMNS, st.sampled_from([3, 8, 12]), st.booleans())
@example([*np.linspace(-1.0, 1.0, 50) * 1.7e308], 8, False)
@example([1.7976931348623157e308 * share for share in np.linspace(0.9, 1, 50)], 8, False)
@example([1e-15 * n for n in range(-40, 40)], 8, True)
@example([*range(1, 21)], 8, True)
def test_bins_hold_their_rows_and_none_is_empty_doubled_or_without_a_name(values, bins, mostly_zeros):
    """Of ±1.7e308 there was one bin, "under nan"; values about 1e-15, or zeros in nine of ten rows, made one, too."""
    column = pd.Series([*values, *[0.0] * (9 * len(values) if mostly_zeros else 0)])
    labels = cut_rounded(column, bins)
    names = list(labels.cat.categories)
    assert labels.notna().all()
    assert len(set(names)) == len(names)
    assert labels.value_counts().min() > 0
    known = column[np.isfinite(column)]
    if column.nunique() <= 10 or known.nunique() < 2:
        return
    assert len(set(names) - {"missing"}) >= 2
    assert (labels.eq("missing") == column.isna()).all()
    assert labels[known.sort_values(kind="stable").index].cat.codes.is_monotonic_increasing
    for name, rows in column.dropna().groupby(labels.dropna(), observed=True):
        if name != "missing":
            ends = [float(end) for end in name.removeprefix("under ").removesuffix(" and above").split(" to ")]
            assert np.isfinite(ends).all()
            low = -np.inf if name.startswith("under") else ends[0]
            high = np.inf if name.endswith("above") else ends[-1]
            slack = max(map(abs, ends)) * 1e-5  # an edge is written in six digits
            assert rows.min() >= low - slack, name
            assert rows.max() <= high + slack, name


def test_a_threshold_of_a_huge_number_is_written_shortly():
    column = pd.Series(np.linspace(1, 1.7e38, 300))
    own = pd.Series(np.where(column > 8e37, 5.0, -5.0) + np.arange(300) % 7 / 100)
    told, clear = _tell_threshold(column, own, "points", "km")
    assert (told, clear) == ("8.5e+37 km or more: +5.0 points; less: −4.4 points", True)
