"""Measured and estimated performance, the decision's rules, and one window looked at from all sides."""

import functools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from array_helpers import align, score_predictions
from hypothesis import given, settings
from hypothesis import strategies as st
from model_helpers import make_candidate
from sklearn import metrics
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_wine
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, PolynomialFeatures, StandardScaler

from nbkit import monitor
from nbkit.data import infer_contract
from nbkit.errors import BadCriterion
from nbkit.evaluation import read_criteria
from nbkit.explanation import explain
from nbkit.features import name_date_parts, to_date_parts
from nbkit.model import predict, score
from nbkit.monitor import (
    check_window,
    decide,
    describe_reasons,
    estimate_performance,
    explain_window,
    make_profile,
    profile_reference,
    summarize_window,
)
from nbkit.problem import Problem

LATE = Problem("late", positive=1)


def measure_performance(y, p, reference, *, metrics=None, **facts):
    return monitor.measure_performance(align(y, p, **facts), reference, metrics=metrics)


def fit_calibration(y, p, **facts):
    return monitor.fit_calibration(align(y, p, task="binary", **facts))


def simulate(n, seed, slope=1.0, shift=0.0):
    """Scores that are true probabilities where slope is 1 and shift 0."""
    rng = np.random.default_rng(seed)
    x = rng.normal(shift, 1.5, n)
    p = 1 / (1 + np.exp(-x))
    truth = rng.random(n) < 1 / (1 + np.exp(-slope * x))
    return pd.Series(truth.astype(int)), pd.Series(p)


@functools.cache
def reference(n=5_000):
    return score_predictions(*simulate(n, 0), task="binary", positive=1)


class TestMeasured:
    @pytest.mark.parametrize("seed", range(5))
    def test_nothing_changed(self, seed):
        y, p = simulate(3_000, seed + 1)
        table = measure_performance(y, p, reference(), task="binary", positive=1)
        assert set(table["level"]) <= {"ok", "watch", "inconclusive"}
        assert table.at["roc_auc", "level"] == "ok"

    def test_rows_that_are_alike_do_not_raise_an_alarm(self):
        y, p = simulate(60, 3)
        told = {"y": pd.concat([y] * 50, ignore_index=True), "p": pd.concat([p] * 50, ignore_index=True)}
        alike = measure_performance(**told, reference=reference(), task="binary", groups=pd.Series([*range(60)] * 50))
        once = measure_performance(y, p, reference(), task="binary")
        naive = measure_performance(**told, reference=reference(), task="binary")
        width = (once["high"] - once["low"])["roc_auc"]
        assert (alike["high"] - alike["low"])["roc_auc"] == pytest.approx(width, rel=0.2)
        assert (naive["high"] - naive["low"])["roc_auc"] < width / 3

    def test_the_relation_broke(self):
        y, p = simulate(5_000, 1, slope=0.2)
        table = measure_performance(y, p, reference(), task="binary", positive=1)
        assert table.at["roc_auc", "level"] == "worse"
        assert table.at["ece", "level"] == "worse"
        assert table.at["roc_auc", "value"] == pytest.approx(metrics.roc_auc_score(y, p))
        assert table.at["brier", "gain"] < 0  # lower is better: a rise is a loss

    def test_labels_that_come_late(self):
        y, p = simulate(1_000, 1)
        late = y.astype(float).where(np.arange(1_000) < 400)
        table = measure_performance(late, p, reference(), task="binary", positive=1, metrics=["roc_auc"])
        assert table["n"].tolist() == [400]
        none = measure_performance(late * np.nan, p, reference(), task="binary", positive=1)
        assert set(none["level"]) == {"not judged"}
        one_class = measure_performance(y * 0, p, reference(), task="binary", positive=1, metrics=["roc_auc"])
        assert one_class["level"].tolist() == ["inconclusive"]  # labels came, and cannot show a loss

    def test_bias_is_better_near_zero(self):
        then = pd.DataFrame({"value": [-1.0], "low": [-1.1], "high": [-0.9], "better": ["zero"]}, index=["bias"])
        rng = np.random.default_rng(0)
        for offset, level in ((3.0, "worse"), (-3.0, "worse"), (0.0, "ok"), (1.0, "inconclusive")):
            y = rng.normal(size=500)
            table = measure_performance(y, y + offset, then, task="regression")
            assert table["level"].tolist() == [level], offset

    def test_a_cost_among_the_scores_is_left_to_others(self):
        then = pd.concat([reference(), pd.DataFrame({"value": [12.0], "better": ["lower"]}, index=["cost_per_row"])])
        table = measure_performance(*simulate(500, 1), then, task="binary", positive=1)
        assert table.index.tolist() == reference().index.tolist()

    def test_unknown_metrics(self):
        with pytest.raises(BadCriterion, match="hold"):
            measure_performance([0, 1], [0.1, 0.9], reference(100), task="binary", positive=1, metrics=["rmse"])

    @pytest.mark.parametrize("n", [500, 3_000])
    def test_few_rows_alone_do_not_break_calibration(self, n):
        levels = []
        for seed in range(20):
            y, p = simulate(n, seed + 100)
            levels += measure_performance(y, p, reference(), task="binary", positive=1, metrics=["ece"])[
                "level"
            ].tolist()
        assert set(levels) <= {"ok", "inconclusive"}


class TestEstimated:
    def test_true_probabilities_estimate_truly(self):
        calibration = fit_calibration(*simulate(30_000, 0))
        y, p = simulate(30_000, 1, shift=0.7)  # other rows, the same relation
        table = estimate_performance(p, calibration, reference(), threshold=0.4)
        said = p >= 0.4
        true = {
            "roc_auc": metrics.roc_auc_score(y, p),
            "accuracy": metrics.accuracy_score(y, said),
            "precision": metrics.precision_score(y, said),
            "recall": metrics.recall_score(y, said),
            "f1": metrics.f1_score(y, said),
        }
        assert table["estimated"].to_dict() == pytest.approx(true, abs=0.015)
        assert table["change"].abs().max() > 0.02

    def test_it_cannot_see_that_the_relation_broke(self):
        calibration = fit_calibration(*simulate(30_000, 0))
        y, p = simulate(30_000, 1, slope=0.2)
        assert estimate_performance(p, calibration).at["roc_auc", "estimated"] > metrics.roc_auc_score(y, p) + 0.1

    @settings(deadline=None, max_examples=40)
    @given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=4, max_size=40))
    def test_certain_labels_give_the_ordinary_area(self, rows):
        """With probabilities of 0 and 1 the expected counts are the counts, ties included."""
        from nbkit.monitor.performance import _expected_scores

        y, scores = np.array([row[0] for row in rows], float), np.array([row[1] for row in rows], float) / 5
        found = _expected_scores(scores, y, 0.5)["roc_auc"]
        if len(np.unique(y)) == 1:
            assert np.isnan(found)
        else:
            assert found == pytest.approx(metrics.roc_auc_score(y, scores))

    def test_the_positive_class_by_any_name(self):
        y, p = simulate(500, 0)
        named = y.map({0: "no", 1: "yes"}).where(y.index > 50)
        found = fit_calibration(named, p, positive="yes")
        pd.testing.assert_frame_equal(found, fit_calibration(y[51:], p[51:]))

    def test_nothing_to_estimate(self):
        calibration = fit_calibration(*simulate(100, 0))
        assert estimate_performance([], calibration)["estimated"].isna().all()
        assert estimate_performance([np.nan], calibration)["estimated"].isna().all()


def losses(**levels):
    rows = {name: {"reference": 0.7, "value": 0.6, "n": 900, "level": level} for name, level in levels.items()}
    return pd.DataFrame(rows).T.rename_axis("metric")


def drifts(*columns, level="drift"):
    rows = [{"column": name, "test": "psi", "value": 0.3, "level": level, "detail": "moved"} for name in columns]
    return pd.DataFrame(rows, columns=["column", "test", "value", "level", "detail"])


IMPORTANCE = pd.DataFrame({"feature": ["hour", "seats"], "share": [0.4, 0.01]})
BLOCKING = pd.DataFrame([{"column": "hour", "severity": "blocking", "message": "hour is text"}])
FAILS = pd.DataFrame([{"name": "brier", "verdict": "fail", "why": "brier is 0.2: none of it is <= 0.19"}])
WARNING = BLOCKING.assign(severity="warning")
ESTIMATED = pd.DataFrame({"estimated": [0.6], "naive": [0.7], "change": [-0.1]}, index=["roc_auc"])


@pytest.mark.parametrize(
    ("evidence", "decision", "first"),
    [
        ({}, "inconclusive", "unsure"),
        ({"integrity": BLOCKING}, "look", "critical"),
        ({"integrity": WARNING, "performance": losses(roc_auc="ok")}, "ok", "note"),
        ({"integrity": BLOCKING, "performance": losses(roc_auc="worse")}, "look", "critical"),
        ({"performance": losses(roc_auc="worse")}, "retrain", "critical"),
        ({"performance": losses(roc_auc="ok", ece="worse")}, "look", "warning"),
        ({"performance": losses(roc_auc="ok", accuracy="worse")}, "look", "warning"),
        ({"performance": losses(mae="ok", mape="worse"), "metric": "mae"}, "look", "warning"),
        ({"performance": losses(mae="ok", mape="worse").assign(gain=0.1), "metric": "mae"}, "ok", "note"),
        ({"performance": losses(mape="worse"), "metric": "mae"}, "look", "warning"),
        ({"performance": losses(roc_auc="inconclusive")}, "inconclusive", "unsure"),
        ({"performance": losses(roc_auc="ok", ece="inconclusive")}, "ok", None),
        ({"performance": losses(brier="worse", roc_auc="inconclusive")}, "look", "warning"),
        ({"performance": losses(roc_auc="inconclusive"), "drift": drifts("hour")}, "look", "warning"),
        ({"performance": losses(roc_auc="ok"), "criteria": FAILS}, "retrain", "critical"),
        ({"performance": losses(roc_auc="ok"), "criteria": FAILS.assign(verdict="inconclusive")}, "ok", "note"),
        ({"drift": drifts("strange")}, "look", "warning"),
        (
            {"drift": drifts("seats"), "estimated": ESTIMATED, "performance": losses(roc_auc="inconclusive")},
            "inconclusive",
            "unsure",
        ),
        ({"drift": drifts("hour", level="not judged")}, "inconclusive", "unsure"),
        ({"drift": drifts("seats", level="not judged")}, "ok", None),
        ({"drift": drifts("hour", level="not judged"), "performance": losses(roc_auc="ok")}, "ok", "note"),
        ({"drift": drifts("seats", level="not judged"), "performance": losses(roc_auc="ok")}, "ok", None),
        ({"performance": losses(accuracy="worse"), "metric": "accuracy"}, "retrain", "critical"),
        ({"performance": losses(roc_auc="watch")}, "ok", "note"),
        ({"performance": losses(roc_auc="ok")}, "ok", None),
        ({"drift": drifts("hour")}, "look", "warning"),
        ({"drift": drifts("seats")}, "ok", "note"),
        ({"drift": drifts("seats"), "importance": None}, "look", "warning"),
        ({"drift": drifts("prediction")}, "look", "warning"),
        ({"drift": drifts("hour", level="watch")}, "ok", None),
        ({"drift": drifts("hour"), "performance": losses(roc_auc="ok")}, "ok", "note"),
        ({"drift": drifts("hour"), "performance": losses(roc_auc="not judged")}, "look", "warning"),
        ({"drift": drifts("hour").assign(value=np.nan, detail="the column is gone")}, "look", "critical"),
        ({"drift": drifts("seats"), "estimated": ESTIMATED}, "look", "warning"),
        ({"drift": drifts("hour", level="ok"), "estimated": ESTIMATED}, "ok", None),
        ({"drift": drifts("seats"), "estimated": ESTIMATED, "performance": losses(roc_auc="ok")}, "ok", "note"),
    ],
)
def test_the_rules(evidence, decision, first):
    given = {
        "integrity": None,
        "drift": None,
        "performance": None,
        "importance": IMPORTANCE,
        "metric": "roc_auc",
        **evidence,
    }
    found = decide(**given)
    assert found.decision == decision, found.reasons.to_string()
    assert (found.reasons["severity"].iloc[0] if len(found.reasons) else None) == first
    assert found.reasons.columns.tolist() == ["finding", "severity", "evidence", "action"]


@pytest.fixture(scope="module")
def binary():
    rng = np.random.default_rng(0)

    def draw(n, hour=12.0, slope=0.5):
        table = pd.DataFrame({"hour": rng.normal(hour, 3, n), "noise": rng.normal(size=n)})
        table["late"] = (rng.random(n) < 1 / (1 + np.exp(-slope * (table["hour"] - 12)))).astype(int)
        return table

    train, test = draw(4_000), draw(4_000)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(train.drop(columns="late"), train["late"])
    said = predict(model, test, LATE)
    bundle = {
        "model": model,
        "problem": LATE,
        "reference": make_profile(test.drop(columns="late").assign(prediction=said.score)),
        "scores": score(said),
        "contract": infer_contract(train, LATE),
        "calibration": monitor.fit_calibration(said),
        "importance": pd.DataFrame({"feature": ["hour", "noise"], "share": [0.9, 0.1]}),
    }
    return draw, bundle


def test_a_loss_that_is_larger_than_bearable_and_just_short_of_proven_is_never_ok():
    """As in August 2013: 0.055 lost, 0.037 bearable, p = 0.0102 was "ok, the model may stay"."""
    y, p = simulate(1_500, 4)
    now = score_predictions(y, p, ["roc_auc"], task="binary", positive=1).iloc[0]
    error = np.sqrt((0.0545 / 2.319) ** 2 - ((now["high"] - now["low"]) / 3.92) ** 2)  # of the reference
    then = {"value": now["value"] + 0.0545, "low": now["value"] - 1.96 * error, "high": now["value"] + 1.96 * error}
    august = pd.DataFrame([{**then, "better": "higher"}], index=["roc_auc"])
    table = measure_performance(y, p, august, task="binary", positive=1)
    row = table.loc["roc_auc"]
    assert row["p_value"] == pytest.approx(0.0102, abs=2e-4)
    assert -row["gain"] > row["bearable"]
    assert row["level"] == "inconclusive"
    found = decide(None, None, table, metric="roc_auc")
    assert found.decision == "inconclusive"
    said = found.reasons["evidence"].iloc[0]
    assert f"{row['value']:.3f} against {row['reference']:.3f} at registration, on 1,500 labelled rows; lost: " in said
    assert f"; a loss of more than {row['bearable']:.2g} calls for retraining; with 1,500 rows only a loss of " in said


def test_a_metric_that_is_better_is_never_called_worse():
    """As on 71 rows: 0.668 → 0.802 was "roc_auc may be worse", "loss -0.127, bearable 0.0334"."""
    few = {"reference": 0.668, "value": 0.802, "gain": 0.134, "bearable": 0.0334, "detectable": 0.327, "n": 71}
    table = pd.DataFrame([{**few, "level": "inconclusive"}], index=pd.Index(["roc_auc"], name="metric"))
    found = decide(None, None, table, metric="roc_auc").reasons.iloc[0]
    assert found["finding"] == "a loss of ROC AUC cannot be ruled out"
    assert found["evidence"] == (
        "0.802 against 0.668 at registration, on 71 labelled rows; a loss of more than 0.033 calls for retraining; with "
        "71 rows only a loss of 0.33 or more would show"
    )


def test_findings_that_are_left_out_are_counted():
    table = decide(WARNING.loc[[0] * 8], None, None, metric="roc_auc").reasons
    said = describe_reasons(table)
    assert len(said) == 6
    assert said[-1] == f"{len(table) - 5} more findings of less weight in the table of 11_monitor."
    assert len(describe_reasons(table.head(5))) == 5


def test_what_a_model_makes_of_a_time_is_shown_in_units_of_the_data():
    """A month was "0.09268 to 0.405: 11.0% → 100.0%", as the scaled model reads it."""
    rng = np.random.default_rng(0)
    at = pd.date_range("2025-01-01", periods=2_000, freq="4h")
    rows = pd.DataFrame({"at": at, "x": rng.normal(size=2_000)})
    late = (rows["x"] + rng.normal(size=2_000) > 0).astype(int)
    month = FunctionTransformer(to_date_parts, kw_args={"parts": ["month"]}, feature_names_out=name_date_parts)
    recipe = ColumnTransformer([("n", "passthrough", ["x"]), ("c", month, ["at"])], verbose_feature_names_out=False)
    model = make_candidate("linear", recipe)
    model.set_params(prepare__transformers=[("levels", StandardScaler(), [])])
    model.fit(rows, late)
    profile = profile_reference(model, predict(model, rows.assign(late=late), LATE))
    bundle = {"model": model, "problem": LATE, "reference": profile}
    window = rows.assign(at=pd.date_range("2025-07-01", periods=2_000, freq="1min"))
    found = check_window(bundle, window).drift.set_index(["column", "test"])
    assert found.loc[("at_month", "psi"), "detail"].startswith("6 to 7: ")
    assert found.loc[("at_month", "missing"), "detail"] == "missing: 0.0% → 0.0%"


@pytest.mark.parametrize("n", [1, 2, 5, 20])
def test_a_handful_of_labels_is_inconclusive_and_nothing_is_printed_as_nan(binary, n):
    draw, bundle = binary
    found = check_window(bundle, draw(n))
    assert found.decision.decision in ("inconclusive", "look")
    said = explain_window(found) + summarize_window(found, "demo@1", "", metric="roc_auc")
    assert "nan" not in said


def test_a_window_that_is_ok_by_its_score_says_which_columns_had_too_few_rows(binary):
    draw, bundle = binary
    small = make_profile(draw(60).drop(columns="late"))
    found = check_window({**bundle, "reference": small}, draw(20_000))
    assert found.decision.decision == "ok"
    said = "2 of 2 important columns could not be judged"
    assert summarize_window(found, "demo@1", "2013-06", metric="roc_auc").startswith(
        "OK: demo@1 on 20,000 rows of 2013-06: "
    )
    assert f"; {said}: too few rows; 0 columns drifted" in summarize_window(found, "demo@1", "", metric="roc_auc")
    first = explain_window(found).splitlines()[1]
    assert first.startswith(
        f"- {said}: hour, noise: too few rows (20,000) to see a drift; a larger reference is needed."
    )
    weights = bundle["importance"].assign(share=[0.99, 0.01])
    found = check_window({**bundle, "reference": small, "importance": weights}, draw(20_000))
    assert found.decision.reasons["finding"].tolist() == ["1 of 1 important column could not be judged"]


def test_a_prediction_that_could_not_be_judged_is_no_column():
    table = pd.concat([drifts("hour", level="ok"), drifts("prediction", level="not judged")])
    assert decide(None, table, None, metric="roc_auc").reasons["finding"].tolist() == [
        "the prediction could not be judged"
    ]


def test_labels_without_an_interval_decide_nothing():
    then = reference()[["value", "better"]]
    y, p = simulate(3, 0)
    table = measure_performance(y, p, then, task="binary", positive=1, metrics=["roc_auc", "brier"])
    assert set(table["level"]) == {"inconclusive"}


def test_only_the_deciding_metric_and_criteria_ask_for_retraining():
    rng = np.random.default_rng(0)
    y = pd.Series(rng.lognormal(3, 1, 3_000))
    then = score_predictions(y, y + rng.normal(0, 10, 3_000), task="regression")
    y = pd.Series(rng.lognormal(3, 1, 3_000).clip(0.05))
    now = measure_performance(y, y + rng.normal(0, 6, 3_000) * np.where(y < 3, 4, 1), then, task="regression")
    if "mape" in now.index:
        assert now.at["mape", "level"] in ("worse", "inconclusive")
    assert now.at["mae", "gain"] > 0
    assert decide(None, None, now, metric="mae").decision != "retrain"


def test_declared_criteria_are_judged_on_the_window(binary):
    draw, bundle = binary
    criteria = read_criteria({"brier": "<= 0.05", "roc_auc": "> rule"}, "binary")
    found = check_window({**bundle, "criteria": criteria}, draw(3_000))
    assert found.decision.decision == "retrain"
    assert found.decision.reasons["finding"].tolist()[0] == "criterion brier fails"
    assert check_window({**bundle, "criteria": criteria}, draw(3_000).drop(columns="late")).decision.decision == "ok"


def test_what_a_model_makes_of_several_columns_is_watched():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(3_000, 2)), columns=["u", "v"])
    late = (rows["u"] * rows["v"] + rng.normal(size=3_000) > 0.5).astype(int)
    model = make_pipeline(PolynomialFeatures(2, interaction_only=True, include_bias=False), LogisticRegression()).fit(
        rows, late
    )
    found = explain(model, rows, LATE, limit=200)
    profile = profile_reference(model, predict(model, rows.assign(late=late), LATE))
    bundle = {"model": model, "problem": LATE, "reference": profile, "importance": found.weights}
    now = rng.normal(size=(3_000, 2))
    now[:, 1] = np.sign(now[:, 0]) * np.abs(now[:, 1])  # each column as before, the two of them not
    seen = check_window(bundle, pd.DataFrame(now, columns=["u", "v"]))
    drifted = set(seen.drift.loc[seen.drift["level"] == "drift", "column"])
    assert {"u v"} <= drifted
    assert not {"u", "v"} & drifted
    assert seen.decision.decision == "look"


def test_a_dominant_column_behind_any_transformer_is_never_called_unused():
    """Explained in encoded names such as '4', the monitor said of it: the model hardly uses it."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {"name": rng.choice(list("abc"), 2_000), "x": rng.normal(size=2_000), "z": rng.normal(size=2_000)}
    )
    late = (rows["x"] + rng.normal(size=2_000) > 0).astype(int)
    steps = ColumnTransformer([("c", OneHotEncoder(), [0]), ("n", StandardScaler(), [1, 2])])
    model = make_pipeline(steps, LogisticRegression()).fit(rows, late)
    found = explain(model, rows, LATE, limit=200)
    profile = profile_reference(model, predict(model, rows.assign(late=late), LATE))
    for importance in (found.weights, pd.DataFrame({"feature": ["4", "2"], "share": [0.9, 0.1]}), None):
        bundle = {"model": model, "problem": LATE, "reference": profile, "importance": importance}
        window = rows.assign(x=rows["x"] + 2)
        assert check_window(bundle, window).decision.decision == "look"


class TestCheckWindow:
    def test_a_quiet_window(self, binary):
        draw, bundle = binary
        found = check_window(bundle, draw(3_000))
        assert found.decision.decision == "ok", found.decision.reasons.to_string()
        assert found.summary.loc[0, ["rows", "labelled", "drifted", "worse"]].tolist() == [3000, 3000, 0, 0]
        assert "prediction" in set(found.drift["column"])
        assert explain_window(found).startswith("**OK**: The model may stay")
        said = summarize_window(found, "demo@1", "2013-06", metric="roc_auc")
        assert said.startswith("OK: demo@1 on 3,000 rows of 2013-06: ROC AUC 0.")
        assert "0 columns drifted" in said

    def test_a_version_that_always_acts_is_judged_as_it_decides(self, binary):
        draw, bundle = binary
        scores = bundle["scores"].loc[["accuracy"]]
        given = {**bundle, "scores": scores, "params": {"threshold": 0.0}}
        window = draw(1_000)
        found = check_window(given, window)
        assert found.performance.loc["accuracy", "value"] == window["late"].mean()
        half = check_window({**given, "params": {}}, window)
        assert half.performance.loc["accuracy", "value"] > window["late"].mean()

    def test_a_relation_that_broke(self, binary):
        draw, bundle = binary
        found = check_window(bundle, draw(3_000, slope=0.05))
        assert found.decision.decision == "retrain"
        assert "- ROC AUC is worse" in explain_window(found)

    def test_rows_that_moved_before_labels_came(self, binary):
        draw, bundle = binary
        found = check_window(bundle, draw(3_000, hour=15).drop(columns="late"))
        assert found.performance.empty
        assert "roc_auc" not in summarize_window(found, "demo@1", "", metric="roc_auc")
        assert found.decision.decision == "look"
        assert {"hour", "prediction"} <= set(found.drift.loc[found.drift["level"] == "drift", "column"])

    def test_the_same_window_gives_the_same_answer(self, binary):
        draw, bundle = binary
        window = draw(1_000)
        one, two = check_window(bundle, window), check_window(bundle, window)
        for name in ("integrity", "drift", "performance", "estimated", "summary"):
            pd.testing.assert_frame_equal(getattr(one, name), getattr(two, name))

    def test_a_reference_as_rows(self, binary):
        draw, bundle = binary
        rows = draw(500)
        given = {**bundle, "contract": infer_contract(rows, LATE), "reference": rows}
        found = check_window(given, rows)
        assert found.integrity.empty
        assert "late" not in set(found.drift["column"])

    def test_odd_windows(self, binary):
        draw, bundle = binary
        empty = check_window(bundle, draw(3).head(0))
        assert set(empty.drift["level"]) == {"not judged"}
        one = check_window(bundle, draw(1))
        assert one.summary.at[0, "rows"] == 1
        gone = check_window(bundle, draw(500).drop(columns="hour"))
        assert gone.decision.decision == "look"
        assert "hour is gone" in gone.decision.reasons["finding"].tolist()
        broken = check_window(bundle, draw(500).assign(hour=np.nan))
        assert broken.decision.decision == "look"

    def test_several_classes_and_a_regression(self):
        wine = load_wine(as_frame=True).frame
        model = make_pipeline(StandardScaler(), LogisticRegression()).fit(wine.drop(columns="target"), wine["target"])
        problem = Problem("target", "multiclass")
        said = predict(model, wine, problem)
        scores = score(said, draws=50)
        bundle = {"model": model, "problem": problem, "reference": profile_reference(model, said), "scores": scores}
        found = check_window(bundle, wine.head(120))
        assert found.performance["n"].tolist() == [120] * len(scores)
        table = load_diabetes(as_frame=True).frame
        forest = RandomForestRegressor(20, random_state=0).fit(table.drop(columns="target"), table["target"])
        problem = Problem("target", "regression")
        scores = score(predict(forest, table, problem), draws=50)
        bundle = {"model": forest, "problem": problem, "reference": table, "scores": scores}
        found = check_window(bundle, table.assign(target=table["target"] * 2))
        assert found.decision.decision == "retrain"


def test_of_a_personal_column_it_is_not_said_which_values_moved(binary):
    draw, bundle = binary
    late = draw(2_000).assign(hour=lambda table: table["hour"] + 6)
    marked = [replace(rule, personal=rule.name == "hour") for rule in bundle["contract"].columns]
    hidden = check_window({**bundle, "contract": replace(bundle["contract"], columns=tuple(marked))}, late)
    told = check_window(bundle, late)
    of_hour = hidden.drift["column"] == "hour"
    assert set(hidden.drift.loc[of_hour & hidden.drift["value"].notna(), "detail"]) == {"withheld"}
    assert hidden.drift.drop(columns="detail").equals(told.drift.drop(columns="detail"))
    assert hidden.drift.loc[~of_hour, "detail"].tolist() == told.drift.loc[~of_hour, "detail"].tolist()
    assert hidden.decision.decision == told.decision.decision
    gone = check_window({**bundle, "contract": replace(bundle["contract"], columns=tuple(marked))}, late[["noise"]])
    assert "the column is gone" in set(gone.drift["detail"])
