"""Training: the search is scikit-learn's, follows time and groups, and gives the same twice."""

import json

import numpy as np
import pandas as pd
import pytest
from model_helpers import Codes, binary_recipe, load_table, make_binary
from sklearn.model_selection import cross_val_score

from nbkit import formats
from nbkit.errors import BadCriterion, BadModel
from nbkit.model import compare, learning_curve, make_candidate, predict, train_candidates
from nbkit.model.search import Scorer, make_folds
from nbkit.model.train import _choose

FRAME = make_binary(400)
TRAIN, VALID = FRAME.iloc[:300], FRAME.iloc[300:]
BINARY = {"target": "late", "task": "binary", "positive": 1, "candidates": ["dummy", "linear"]}
SMALL = {"boosting": {"max_iter": [5, 10], "learning_rate": [0.1, 0.3]}}


@pytest.fixture(autouse=True)
def _trust(monkeypatch):
    monkeypatch.setenv("NBKIT_TRUSTED", "model_helpers.Codes")


def test_the_table_of_trials_is_cross_validation(capsys):
    training = train_candidates(
        binary_recipe(),
        TRAIN,
        VALID,
        **BINARY | {"candidates": ["dummy", "boosting"]},
        grids=SMALL,
        search="grid",
        seed=1,
    )
    assert training.search["candidate"].tolist() == ["dummy"] + ["boosting"] * 5
    row = training.search.iloc[2]
    model = make_candidate("boosting", binary_recipe(), task="binary", seed=1, params=json.loads(row["params"]))
    folds = make_folds(TRAIN, "late", "binary", 3, "", "", 1)
    seen = cross_val_score(model, TRAIN.drop(columns="late"), TRAIN["late"], cv=folds, scoring="roc_auc")
    assert row["mean"] == pytest.approx(seen.mean(), abs=0.02)  # boosted trees depend on the threads
    assert training.best == "boosting"
    assert capsys.readouterr().out.startswith("dummy: roc_auc 0.5 on the valid split\nboosting: roc_auc")


def test_twice_the_same_bytes():
    options = BINARY | {"candidates": ["linear", "boosting"], "grids": SMALL, "trials": 3}
    one, two = (train_candidates(binary_recipe(), TRAIN, VALID, **options) for _ in range(2))
    for name in ("search", "scores"):
        assert formats.dump(getattr(one, name))[2] == formats.dump(getattr(two, name))[2]
    assert formats.dump(one.models["boosting"])[2] == formats.dump(two.models["boosting"])[2]


@pytest.mark.parametrize("search", ["random", "grid", "halving", "none"])
def test_every_search(search):
    training = train_candidates(
        binary_recipe(),
        TRAIN,
        VALID,
        **BINARY | {"candidates": ["boosting"]},
        grids=SMALL,
        search=search,
        trials=3,
        sample=200,
        metric="log_loss",
    )
    assert (training.search["mean"] > 0).all()  # in the metric's own sign
    assert {"random": 3, "grid": 5, "none": 1}.get(search, len(training.search)) == len(training.search)
    assert 190 < training.search["rows"].max() <= 200
    assert training.search["params"][0] == "{}"


@pytest.mark.parametrize(("table", "task"), [("wine", "multiclass"), ("diabetes", "regression")])
def test_small_tables_of_other_tasks(table, task):
    frame = load_table(table).sample(frac=1, random_state=0)
    cut = len(frame) * 3 // 4
    columns = list(frame.columns.drop("target"))
    training = train_candidates(
        Codes(columns),
        frame.iloc[:cut],
        frame.iloc[cut:],
        target="target",
        task=task,
        trials=2,
        candidates=["dummy", "rule", "linear", "boosting"],
        rule={"by": [columns[0]]},
        grids=SMALL,
        folds=3,
    )
    scores = training.scores.pivot(index="candidate", columns="metric", values="value")
    assert scores.at["linear", "r2" if task == "regression" else "accuracy"] > (0.4 if task == "regression" else 0.9)
    assert training.best in ("linear", "boosting")
    assert set(training.timings["candidate"]) == set(training.models)


def test_time_is_followed():
    late = FRAME.sample(frac=1, random_state=0)
    folds = make_folds(late.sort_values("day", kind="stable"), "late", "binary", 3, "day", "", 0)
    ordered = late.sort_values("day", kind="stable")
    for before, after in folds:
        assert ordered["day"].iloc[before].max() <= ordered["day"].iloc[after].min()
    one = train_candidates(binary_recipe(), late, VALID, **BINARY, time="day")
    two = train_candidates(binary_recipe(), ordered, VALID, **BINARY, time="day")
    assert one.scores["value"].tolist() == pytest.approx(two.scores["value"].tolist(), abs=1e-3, nan_ok=True)


def test_a_moment_never_straddles_the_edge_of_a_fold():
    shuffled = FRAME.sample(frac=1, random_state=0)  # 60 days, many rows each
    folds = make_folds(shuffled, "late", "binary", 3, "day", "", 0)
    assert len(folds) == 3
    for before, after in folds:
        assert shuffled["day"].iloc[before].max() < shuffled["day"].iloc[after].min()
    assert sum(len(after) for _, after in folds) == pytest.approx(0.75 * len(FRAME), rel=0.1)
    with pytest.raises(BadModel, match="the same 'day'"):
        make_folds(FRAME.assign(day=FRAME["day"].iloc[0]), "late", "binary", 3, "day", "", 0)


def test_time_and_group_are_both_respected_or_refused():
    visits = FRAME.assign(guest=np.arange(len(FRAME)) // 7, day=np.arange(len(FRAME)) // 10)
    for before, after in make_folds(visits, "late", "binary", 3, "day", "guest", 0):
        assert visits["day"].iloc[before].max() < visits["day"].iloc[after].min()
        assert not set(visits["guest"].iloc[before]) & set(visits["guest"].iloc[after])
    with pytest.raises(BadModel, match="each group goes on through time"):
        make_folds(FRAME.assign(day=np.arange(len(FRAME)) // 10), "late", "binary", 3, "day", "carrier", 0)


def test_groups_stay_together():
    groups = FRAME["carrier"]
    for inside, outside in make_folds(FRAME, "late", "binary", 3, "", "carrier", 0):
        assert not set(groups.iloc[inside].fillna("")) & set(groups.iloc[outside].fillna(""))
    with pytest.raises(BadModel, match="one value only"):
        make_folds(FRAME.assign(carrier="a"), "late", "binary", 3, "", "carrier", 0)


def test_the_valid_split_is_never_learned_from():
    other = VALID.assign(late=1 - VALID["late"], hour=0)
    one, two = (train_candidates(binary_recipe(), TRAIN, v, **BINARY) for v in (VALID, other))
    assert formats.dump(one.models["linear"])[2] == formats.dump(two.models["linear"])[2]


def test_text_classes_and_missing_truth():
    def turn(table):
        truth = table["late"].map({0: "on time", 1: "late"}).where(np.arange(len(table)) % 10 > 0)
        return table.assign(late=truth)

    training = train_candidates(binary_recipe(), turn(TRAIN), turn(VALID), **BINARY | {"positive": "late"})
    assert training.scores["n"].unique().tolist() == [90]
    assert predict(training.models["linear"], VALID.drop(columns="late"), "binary", "late").between(0, 1).all()


def test_folds_with_one_class_are_not_counted():
    rare = TRAIN.assign(late=(np.arange(len(TRAIN)) > 290).astype(int))
    training = train_candidates(binary_recipe(), rare, VALID, **BINARY, time="day", folds=4)
    assert training.search["folds"].max() < 4
    assert np.isnan(training.search["mean"]).sum() + (training.search["folds"] > 0).sum() == len(training.search)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"target": "lat"}, BadModel, "no column 'lat'"),
        ({"time": "when"}, BadModel, "no column 'when'"),
        ({"search": "bayes"}, BadModel, "no search 'bayes'"),
        ({"metric": "rocauc"}, BadCriterion, "roc_auc"),
        ({"candidates": ["forrest"]}, BadModel, "did you mean 'forest'"),
        ({"grids": {"linear": {"c": [1]}}}, BadModel, "grid of 'linear' has a parameter 'c'"),
        ({"grids": {"boostin": {}}}, BadModel, "did you mean 'boosting'"),
        ({"positive": "lat"}, BadModel, "no class 'lat'"),
        ({"candidates": []}, BadModel, "no candidates"),
        ({"task": "binry"}, BadModel, "'binary'"),
        ({"prefer": "simpel"}, BadModel, "did you mean 'simple'"),
    ],
)
def test_what_cannot_be_trained_is_explained(change, error, words):
    with pytest.raises(error, match=words):
        train_candidates(binary_recipe(), TRAIN, VALID, **BINARY | change)


def test_a_recipe_that_fails_says_so_itself():
    with pytest.raises(KeyError, match="nope"):
        train_candidates(Codes(["nope"]), TRAIN, VALID, **BINARY)


def test_a_single_value_is_a_grid_too():
    grid = {"boosting": {"max_iter": 5, "max_depth": None}}
    training = train_candidates(binary_recipe(), TRAIN, VALID, **BINARY | {"candidates": ["boosting"]}, grids=grid)
    assert training.search["params"].tolist() == ["{}", '{"max_depth": null, "max_iter": 5}']


def test_nothing_to_learn_is_said():
    with pytest.raises(BadModel, match="nothing to learn"):
        train_candidates(binary_recipe(), TRAIN.assign(late=1), VALID, **BINARY)
    with pytest.raises(BadModel, match="no row with a value"):
        train_candidates(binary_recipe(), TRAIN.assign(late=np.nan), VALID, **BINARY)
    with pytest.raises(BadModel, match="too few"):
        train_candidates(binary_recipe(), TRAIN.sort_values("late").iloc[[0, 1, -1]], VALID, **BINARY)


def test_more_rows_help():
    frame = make_binary(900)
    model = make_candidate("linear", binary_recipe(), task="binary")
    table = learning_curve(model, frame, target="late", task="binary", positive=1, sizes=(0.05, 1.0), metric="log_loss")
    left_out = table[table["split"] == "cross-validation"]
    assert left_out["value"].iloc[1] < left_out["value"].iloc[0]
    assert table["rows"].tolist() == [30, 600] * 2
    pd.testing.assert_frame_equal(
        table,
        learning_curve(model, frame, target="late", task="binary", positive=1, sizes=(0.05, 1.0), metric="log_loss"),
    )


def test_a_scorer_turns_what_is_better_when_lower():
    assert Scorer("mae", "regression").turn(3.0) == -3
    assert Scorer("bias", "regression").turn(-3.0) == -3
    assert Scorer("r2", "regression").turn(0.5) == 0.5


def test_every_candidate_is_compared_with_the_best_on_the_same_rows():
    options = BINARY | {"candidates": ["dummy", "rule", "linear", "boosting"], "grids": SMALL, "rule": ["carrier"]}
    training = train_candidates(binary_recipe(), TRAIN, VALID, **options, time="day", trials=2)
    value = training.scores.query("metric == 'roc_auc'").set_index("candidate")["value"]
    assert training.best == training.top == value.idxmax()
    against = training.against.set_index("candidate")
    assert set(against.index) == set(training.models) - {training.top}
    for name, row in against.iterrows():
        assert row["difference"] == pytest.approx(value[training.top] - value[name])
        a, b = (
            predict(training.models[each], VALID.drop(columns="late"), "binary", 1) for each in (name, training.top)
        )
        days = VALID["day"].dt.floor("D")
        seen = compare(VALID["late"], a, b, "roc_auc", task="binary", positive=1, groups=days).iloc[0]
        assert row["low"] < seen["low"] < seen["high"] < row["high"]  # these hold for all pairs together
    assert against.loc["dummy", "verdict"] == "worse"


@pytest.mark.parametrize(
    ("top", "verdicts", "chosen"),
    [
        ("boosting", {"linear": "cannot tell", "forest": "cannot tell"}, "linear"),
        ("boosting", {"linear": "worse", "forest": "cannot tell"}, "forest"),
        ("boosting", {"linear": "worse", "forest": "worse"}, "boosting"),
        ("boosting", {"dummy": "cannot tell", "rule": "cannot tell", "linear": "worse"}, "boosting"),
        ("linear", {"boosting": "cannot tell"}, "linear"),
        ("rule", {"linear": "cannot tell"}, "rule"),
    ],
)
def test_the_simplest_that_is_not_told_apart(top, verdicts, chosen):
    against = pd.DataFrame({"candidate": list(verdicts), "difference": 0.1, "verdict": list(verdicts.values())})
    assert _choose(top, against) == chosen
    assert _choose(top, against.assign(difference=np.nan)) == top


def test_simple_is_preferred_if_asked():
    options = BINARY | {"candidates": ["linear", "boosting"], "grids": {"boosting": {}}, "search": "none"}
    best, simple = (
        train_candidates(binary_recipe(), TRAIN, VALID.iloc[:40], **options, prefer=prefer)
        for prefer in ("best", "simple")
    )
    assert best.best == best.top == simple.top
    assert simple.best == "linear"  # 40 rows tell nothing
    assert simple.against["verdict"].tolist() == ["cannot tell"]


def test_folds_of_rows_split_by_position_go_forward():
    folds = make_folds(FRAME, "late", "binary", 3, "", "", 0, ordered=True)
    assert len(folds) == 3
    assert all(before.max() < after.min() for before, after in folds)
