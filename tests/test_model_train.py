"""Training: searches are scikit-learn's, with folds that follow time and groups, and give the same twice."""

import json

import numpy as np
import pandas as pd
import pytest
from model_helpers import BINARY, binary_recipe, load_table, make_binary, make_candidate, make_recipe
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, HalvingRandomSearchCV, RandomizedSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC

from nbkit import formats
from nbkit.errors import BadCriterion, BadModel, BadProblem, UntrustedType
from nbkit.model import (
    METRICS,
    Scorer,
    draw_settings,
    fit_each,
    learning_curve,
    make_baselines,
    pick,
    predict,
    score,
    summarize_curve,
)
from nbkit.model.selection import Selection
from nbkit.problem import Problem

FRAME = make_binary(400)
TRAIN, VALID = FRAME.iloc[:300], FRAME.iloc[300:]
SPACE = {"model__max_iter": [5, 10], "model__learning_rate": [0.1, 0.3]}
BY_DAY = Problem("late", positive=1, time="day")


def search(problem=BINARY, trials=5, part=TRAIN, name="boosting", **options):
    model = make_candidate(name, binary_recipe(), problem)
    settings = draw_settings(SPACE if name == "boosting" else {}, trials, problem.seed)
    return GridSearchCV(model, settings, cv=problem.folds(part, 3), scoring=Scorer(problem), **options)


def train(*names, problem=BINARY, frame=TRAIN):
    tried = {name: search(problem, 3, frame, name) for name in names}
    return fit_each(make_baselines(problem) | tried, frame, problem)


def test_the_table_of_trials_is_cross_validation(capsys):
    training = fit_each(make_baselines(BINARY) | {"boosting": search()}, TRAIN, BINARY)
    assert training.trials["candidate"].tolist() == ["boosting"] * 5
    row = training.trials.iloc[2]
    model = make_candidate("boosting", binary_recipe(), params=json.loads(row["params"]))
    X, y = BINARY.separate(TRAIN)
    seen = cross_val_score(model, X, y, cv=BINARY.folds(TRAIN, 3), scoring="roc_auc")
    assert row["mean"] == pytest.approx(seen.mean(), abs=0.02)  # boosted trees depend on the threads
    best = training.trials.loc[training.trials["mean"].idxmax(), "params"]
    kept = training.models["boosting"][-1].get_params()
    assert {name: kept[name] for name in json.loads(best)} == json.loads(best)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("dummy: ")
    assert said[2].startswith("boosting: roc_auc 0.")
    assert said[2].endswith(
        f"in cross-validation, 5 settings, fitted on {len(TRAIN):,} rows"
    )  # and no time: the same twice


def test_twice_the_same_bytes():
    one, two = (train("linear", "boosting") for _ in range(2))
    assert formats.dump(one.trials)[2] == formats.dump(two.trials)[2]
    assert formats.dump(one.models["boosting"])[2] == formats.dump(two.models["boosting"])[2]


def test_settings_begin_with_the_defaults_and_hold_each_once():
    assert draw_settings(SPACE, 1, 0) == draw_settings({}, 9, 0) == [{}]
    every = draw_settings(SPACE, 99, 0)
    assert every[0] == {}
    assert len(every) == 5
    few = draw_settings(SPACE, 3, 0)
    assert len(few) == 3
    assert all(setting in every for setting in few)
    from scipy.stats import loguniform

    drawn = draw_settings({"model__C": loguniform(0.01, 1)}, 4, 0)
    assert len(drawn) == 4
    assert all(0.01 <= setting["model__C"][0] <= 1 for setting in drawn[1:])


@pytest.mark.parametrize("kind", [RandomizedSearchCV, HalvingRandomSearchCV])
def test_any_search_of_scikit_learn_will_do(kind):
    problem = Problem("late", positive=1, metric="log_loss")
    part = TRAIN.iloc[:200]
    model, cv = make_candidate("boosting", binary_recipe(), problem), problem.folds(part, 3)
    more = {"n_iter": 3} if kind is RandomizedSearchCV else {"n_candidates": 3, "min_resources": 60}
    found = kind(
        model, SPACE, cv=3 if more.get("min_resources") else cv, scoring=Scorer(problem), random_state=0, **more
    )
    training = fit_each({"boosting": found}, TRAIN, problem, sample=part)
    assert (training.trials["mean"] > 0).all()  # in the metric's own sign
    assert training.trials["rows"].max() <= 200
    assert predict(training.models["boosting"], VALID, problem).score.size == 100


@pytest.mark.parametrize(("table", "task"), [("wine", "multiclass"), ("diabetes", "regression")])
def test_small_tables_of_other_tasks(table, task):
    frame = load_table(table).sample(frac=1, random_state=0)
    cut, problem = len(frame) * 3 // 4, Problem("target", task)
    columns = list(frame.columns.drop("target"))
    tried = {name: make_candidate(name, make_recipe(columns), problem) for name in ("linear", "boosting")}
    training = fit_each(make_baselines(problem, [columns[0]]) | tried, frame.iloc[:cut], problem)
    scores = {name: score(predict(model, frame.iloc[cut:], problem)) for name, model in training.models.items()}
    assert scores["linear"].at["r2" if task == "regression" else "accuracy", "value"] > (
        0.4 if task == "regression" else 0.9
    )
    assert set(scores) == {"dummy", "rule", "linear", "boosting"}


def test_time_is_followed():
    late = BY_DAY.prepare(FRAME.sample(frac=1, random_state=0))
    for before, after in BY_DAY.folds(late, 3):
        assert late["day"].iloc[before].max() <= late["day"].iloc[after].min()


def test_a_moment_never_straddles_the_edge_of_a_fold():
    shuffled = FRAME.sample(frac=1, random_state=0)  # 60 days, many rows each
    folds = BY_DAY.folds(shuffled, 3)
    assert len(folds) == 3
    for before, after in folds:
        assert shuffled["day"].iloc[before].max() < shuffled["day"].iloc[after].min()
    assert sum(len(after) for _, after in folds) == pytest.approx(0.75 * len(FRAME), rel=0.1)
    with pytest.raises(BadProblem, match="the same 'day'"):
        BY_DAY.folds(FRAME.assign(day=FRAME["day"].iloc[0]), 3)


def test_time_and_group_are_both_respected_or_refused():
    visits = FRAME.assign(guest=np.arange(len(FRAME)) // 7, day=np.arange(len(FRAME)) // 10)
    for before, after in Problem("late", time="day", group="guest").folds(visits, 3):
        assert visits["day"].iloc[before].max() < visits["day"].iloc[after].min()
        assert not set(visits["guest"].iloc[before]) & set(visits["guest"].iloc[after])
    with pytest.raises(BadProblem, match="each group goes on through time"):
        Problem("late", time="day", group="carrier").folds(visits, 3)


def test_groups_stay_together():
    groups, problem = FRAME["carrier"], Problem("late", group="carrier")
    for inside, outside in problem.folds(FRAME, 3):
        assert not set(groups.iloc[inside].fillna("")) & set(groups.iloc[outside].fillna(""))
    with pytest.raises(BadProblem, match="one value only"):
        problem.folds(FRAME.assign(carrier="a"), 3)


def test_folds_of_rows_split_by_position_go_forward():
    folds = BINARY.folds(FRAME, 3, ordered=True)
    assert len(folds) == 3
    assert all(before.max() < after.min() for before, after in folds)
    with pytest.raises(BadProblem, match="too few"):
        BINARY.folds(FRAME.iloc[:3], 3)


def test_text_classes_and_missing_truth():
    def turn(table):
        truth = table["late"].map({0: "on time", 1: "late"}).where(np.arange(len(table)) % 10 > 0)
        return table.assign(late=truth)

    problem = Problem("late", positive="late")
    training = train("linear", problem=problem, frame=problem.prepare(turn(TRAIN)))
    said = predict(training.models["linear"], turn(VALID), problem)
    assert (len(said), said.left_out) == (90, 10)
    assert 0 <= said.score.min() <= said.score.max() <= 1


def test_folds_with_one_class_are_not_counted():
    rare = TRAIN.assign(late=(np.arange(len(TRAIN)) > 290).astype(int))
    found = train("linear", problem=BY_DAY, frame=BY_DAY.prepare(rare)).trials
    assert found["folds"].max() < 3
    assert np.isnan(found["mean"]).sum() + (found["folds"] > 0).sum() == len(found)


def test_what_cannot_be_trained_is_explained_before_anything_is():
    with pytest.raises(BadModel, match="no candidates"):
        fit_each({}, TRAIN, BINARY)
    with pytest.raises(BadCriterion, match="roc_auc"):
        fit_each(make_baselines(BINARY), TRAIN, Problem("late", metric="rocauc"))
    sure = Pipeline([("recipe", binary_recipe()), ("model", LinearSVC())])
    with pytest.raises(BadModel, match="candidate 'sure': LinearSVC gives no probabilities"):
        fit_each({"sure": sure}, TRAIN, BINARY)
    wrapped = GridSearchCV(sure, {}, cv=3)
    with pytest.raises(BadModel, match="candidate 'sure': LinearSVC gives no probabilities"):
        fit_each({"sure": wrapped}, TRAIN, BINARY)
    own = type("Own", (LogisticRegression,), {"__module__": "somewhere"})
    with pytest.raises(UntrustedType, match="candidate 'mine'"):
        fit_each({"mine": Pipeline([("recipe", binary_recipe()), ("model", own())])}, TRAIN, BINARY)


def test_a_candidate_that_is_not_there_is_told_with_the_nearest():
    with pytest.raises(BadModel, match="no candidate 'boostin' in 06_train; did you mean 'boosting'"):
        pick({"linear": 1, "boosting": 2}, ["linear", "boostin"])


def test_a_recipe_that_fails_says_so_itself():
    tried = GridSearchCV(make_candidate("boosting", make_recipe(["nope"])), {}, cv=3, scoring=Scorer(BINARY))
    with pytest.raises(ValueError, match="nope"):
        fit_each({"boosting": tried}, TRAIN, BINARY)


def test_more_rows_help():
    frame = make_binary(900)
    problem = Problem("late", positive=1, metric="log_loss")
    model = make_candidate("linear", binary_recipe())
    table, again = (
        learning_curve(model, frame, problem, cv=problem.folds(frame, 3), sizes=(0.05, 1.0)) for _ in range(2)
    )
    left_out = table[table["split"] == "cross-validation"]
    assert left_out["value"].iloc[1] < left_out["value"].iloc[0]
    assert table["rows"].tolist() == [30, 600] * 2
    pd.testing.assert_frame_equal(table, again)
    gained = left_out.iloc[1]
    assert gained["gain"] == pytest.approx(left_out["value"].iloc[0] - left_out["value"].iloc[1])  # log loss: lower
    assert gained["gain_low"] < gained["gain"] < gained["gain_high"]
    said = summarize_curve(table, problem, 900)
    assert "ends at 600 rows, the most that each fold can learn from (the model has 900): log loss is " in said[0]


CURVES = {  # the last value on other rows, on those learned from, the gain with its interval; and what is said of it
    "helps": (0.7, 0.72, (0.08, 0.05, 0.11), "More rows of the same kind would help: from 50 to 100 rows ROC AUC improved by 0.080 (0.050 to 0.110)"),
    "little": (0.7, 0.93, (0.004, -0.002, 0.01), "More rows of the same kind would help little: "),
    "unknown": (0.7, 0.72, (0.02, -0.05, 0.09), "Whether more rows of the same kind would help cannot be told"),
    "one fold": (0.7, 0.72, (0.02, np.nan, np.nan), "Whether more rows of the same kind would help cannot be told"),
}  # fmt: skip


@pytest.mark.parametrize("name", CURVES)
def test_whether_more_rows_would_help_is_said_as_far_as_the_folds_tell(name):
    value, seen, (gain, low, high), words = CURVES[name]
    lines = [
        {"rows": rows, "split": split, "value": end, "std": 0.03, "gain": gain, "gain_low": low, "gain_high": high}
        for split, end in (("train", seen), ("cross-validation", value))
        for rows in (50, 100)
    ]
    table, problem = pd.DataFrame(lines), Problem("late", positive=1)
    ended, answer = summarize_curve(table, problem, 100)
    assert answer.startswith(words)
    assert "the model has" not in ended
    assert "on the rows it learned from and 0.700 on others" in ended
    assert ended.endswith("those rows only.") == (name == "little")
    assert summarize_curve(table[table["rows"] == 100], problem, 100) == [ended]


def test_a_scorer_turns_what_is_better_when_lower():
    def turn(metric, value):
        return METRICS[metric].turn(value)

    assert (turn("mae", 3.0), turn("bias", -3.0), turn("r2", 0.5)) == (-3, -3, 0.5)


@pytest.mark.parametrize(
    ("top", "verdicts", "chosen"),
    [
        ("boosting", {"linear": "inconclusive", "forest": "inconclusive"}, "linear"),
        ("boosting", {"linear": "worse", "forest": "inconclusive"}, "forest"),
        ("boosting", {"linear": "worse", "forest": "worse"}, "boosting"),
        ("boosting", {"dummy": "inconclusive", "rule": "inconclusive", "linear": "worse"}, "boosting"),
        ("linear", {"boosting": "inconclusive"}, "linear"),
        ("rule", {"linear": "worse"}, "rule"),
    ],
)
def test_the_simplest_that_is_not_told_apart(top, verdicts, chosen):
    told = {top: "best"} | verdicts
    table = pd.DataFrame({"difference": 0.1, "verdict": list(told.values())}, index=list(told))
    simple = ["linear", "forest", "boosting"]
    assert Selection(top, table, 0.0).simplest(simple) == chosen
    unknown = table.assign(difference=np.nan)
    assert Selection(top, unknown, 0.0).simplest(simple) == top


def test_one_setting_is_one(capsys):
    fit_each({"linear": search(name="linear")}, TRAIN, BINARY)
    assert "in cross-validation, 1 setting, fitted on" in capsys.readouterr().out
