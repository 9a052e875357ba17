"""Outcomes and sentences of every task hold numbers, and say so where there are none."""

import dataclasses

import pandas as pd
import pytest
from model_helpers import Codes, binary_recipe, load_table, make_binary

import nbkit.model as m

GRIDS = {"boosting": {"max_iter": [5]}}
COSTS = {
    "binary": {"false_positive": 1, "false_negative": 3},
    "multiclass": {"0": {"1": 5}},
    "regression": {"over": 1, "under": 2},
}


@pytest.fixture(scope="module", params=["binary", "multiclass", "regression"])
def case(request):
    task = request.param
    frame = make_binary(500) if task == "binary" else load_table("wine" if task == "multiclass" else "diabetes")
    frame = frame.rename(columns={"late": "target"}).sample(frac=1, random_state=0, ignore_index=True)
    recipe = binary_recipe() if task == "binary" else Codes(list(frame.columns.drop("target")))
    cut = len(frame) * 2 // 3
    options = {"task": task, "positive": 1 if task == "binary" else None}
    training = m.train_candidates(
        recipe,
        frame[:cut],
        frame[cut:],
        target="target",
        rule=[frame.columns[0]],
        grids=GRIDS,
        trials=2,
        **options,
        candidates=["dummy", "rule", "linear", "boosting"],
    )
    X, y = frame[cut:].drop(columns="target"), frame["target"][cut:]
    return training, X, y, m.predict(training.models["linear"], X, **options), options


def check(text):
    assert "nan" not in text.lower()
    assert any(letter.isdigit() for letter in text)


def test_training_is_told(case):
    training, X, y, _, options = case
    metric = m.usual_metric(options["task"])
    for text in (m.explain_training(training, metric, rows=300), m.summarize_training(training, metric)):
        check(text)
        assert training.best in text.lower()
    curve = m.learning_curve(
        training.models["linear"], X.assign(target=y), target="target", sizes=(0.5, 1.0), **options
    )
    said = m.explain_learning(curve, metric, rows=len(y))
    check(said)
    assert f"{curve['rows'].max()} of the {len(y)} rows of train: each fold leaves a part out" in said
    assert "folds follow `day`" in m.explain_learning(curve, metric, rows=len(y), time="day")
    assert "too few" in m.explain_learning(curve.head(0), metric, rows=len(y))


def test_decisions_are_told(case):
    _, _, y, p, options = case
    costs = COSTS[options["task"]]
    decision = m.set_decision(y, p, costs, **options)
    outcomes = m.tabulate_outcomes(y, p, costs, currency="USD", **options)
    assert outcomes["n"].sum() == len(y)
    per_row = m.score_cost(y, p, costs, **options).at["cost_per_row", "value"]
    assert outcomes["cost"].sum() == pytest.approx(per_row * len(y))
    others = {"today's rule": p.sample(frac=1, random_state=0).set_axis(p.index)}
    alternatives = m.compare_costs(y, p, others, costs, **options)
    said = m.explain_decision(decision, outcomes, alternatives, task=options["task"], currency="USD")
    check(said)
    assert "On the same rows the model costs less than" in said
    assert "USD in all" in said
    table = alternatives.assign(verdict="alternative is cheaper")
    said = m.explain_decision(decision, outcomes, table, task=options["task"])
    assert "today's rule would have cost less than the model.**" in said
    table = alternatives.assign(verdict="cannot tell")
    assert "cannot be told apart from" in m.explain_decision(decision, outcomes, table, task=options["task"])
    table = m.describe_costs(costs, options["task"], currency="USD")
    assert table["cost (USD)"].tolist()[-1] in (2, 3, 5)
    check(m.explain_costs(costs, options["task"], currency="USD"))
    assert "No costs" in m.explain_costs({}, options["task"])


def test_evaluations_are_told(case):
    training, X, y, p, options = case
    metric = m.usual_metric(options["task"])
    rule = m.predict(training.models["rule"], X, **options)
    scores, against = m.score_predictions(y, p, **options), m.compare(y, rule, p, metric, **options)
    criteria = m.read_criteria({"win": f"{metric} {'>' if metric == 'roc_auc' else '<'} rule"}, options["task"])
    verdicts = m.judge(criteria, scores, {"rule": against})
    check(m.explain_comparison(against, "the rule"))
    check(m.explain_verdicts(verdicts))
    check(m.summarize_evaluation(verdicts, scores, against, metric))
    check(m.explain_calibration(m.calibration_table(y, p, **options)))
    slices = m.score_slices(X, y, p, list(X.columns[:2]), metric=metric, min_rows=10, **options)
    check(m.explain_slices(slices, m.worst_slices(slices), metric))
    groups = m.compare_protected(X, y, p, [X.columns[0]], metric=metric, min_rows=10, **options)
    gaps = m.compare_groups(groups)
    said = m.explain_groups(gaps)
    check(said)
    assert ("cannot be told apart" in said) == (not gaps["apart"].all())
    none = m.compare_protected(X, y, p, [], metric=metric, **options)
    assert "No protected column" in m.explain_groups(m.compare_groups(none))


def test_explanations_are_told(case):
    training, X, y, _, options = case
    model = training.models["linear"]
    found = m.explain(model, X, **options)
    permuted = m.permute_features(model, X, y, metric=m.usual_metric(options["task"]), repeats=2, **options)
    check(m.explain_importance(found.importance, permuted, found.unit))
    check(m.explain_check(found.check))
    check(m.summarize_explanation(found.importance, found.check))
    assert isinstance(permuted, pd.DataFrame)


def test_only_a_large_influence_is_told_to_be_of_no_use():
    importance = pd.DataFrame({"feature": ["a", "b", "c"], "share": [0.8, 0.19, 0.01]})
    permuted = pd.DataFrame({"feature": ["a", "b", "c"], "drop": [0.1, 0.05, 0.0]})
    assert "shuffling" not in m.explain_importance(importance, permuted, "log-odds")
    said = m.explain_importance(importance, permuted.assign(drop=[0.1, -0.01, 0.0]), "log-odds")
    assert "Yet shuffling `b` on test rows costs nothing" in said


def test_the_bias_of_a_slice_is_named_for_what_it_is_relative_to(case):
    _, X, y, p, options = case
    slices = m.score_slices(X, y, p, [X.columns[0]], metric=m.usual_metric(options["task"]), min_rows=10, **options)
    assert "bias_vs_whole" in slices
    assert "bias" not in slices


def test_without_costs_a_regression_says_nothing_of_money():
    y, p = pd.Series([1.0, 2.0, 3.0]), pd.Series([1.5, 2.5, 2.0])
    options = {"task": "regression"}
    decision, outcomes = m.set_decision(y, p, {}, **options), m.tabulate_outcomes(y, p, {}, **options)
    said = m.explain_decision(decision, outcomes, m.compare_costs(y, p, {"today's rule": p}, {}, **options), **options)
    assert "No costs are stated" in said
    assert "3 rows of the test split" in said


def make_training(best, top, verdicts):
    """A training of which only the words matter."""
    names = ["dummy", "rule", "linear", "forest", "boosting"]
    values = {"dummy": 0.5, "rule": 0.614, "linear": 0.7079, "forest": 0.7076, "boosting": 0.7083}
    scores = pd.DataFrame(
        [(name, "roc_auc", values[name], values[name] - 0.02, values[name] + 0.02, 1500) for name in names],
        columns=["candidate", "metric", "value", "low", "high", "n"],
    )
    rows = [(name, values[top] - values[name], -0.01, 0.01, verdicts.get(name, "worse")) for name in names]
    against = pd.DataFrame(rows, columns=["candidate", "difference", "low", "high", "verdict"])
    against = against[against["candidate"] != top]
    search = pd.DataFrame({"trial": range(12)})
    return m.Training(dict.fromkeys(names), search, scores, best, pd.DataFrame(), top, against)


def test_a_coin_toss_is_not_told_as_a_fact():
    alike = {"linear": "cannot tell", "forest": "cannot tell"}
    training = make_training("boosting", "boosting", alike)
    assert m.summarize_training(training, "roc_auc") == (
        "Boosting does best of linear, forest and boosting: roc_auc 0.708 (0.688 to 0.728) on 1,500 validation rows, "
        "not told apart from linear and forest; today's rule 0.614."
    )
    said = m.explain_training(training, "roc_auc", rows=2750)
    assert "cannot be told apart there from linear (+0.0004, -0.01 to +0.01) and forest (+0.0007" in said
    sure = make_training("boosting", "boosting", {})
    assert "told apart" not in m.summarize_training(sure, "roc_auc") + m.explain_training(sure, "roc_auc", rows=2750)
    close = make_training("boosting", "boosting", {"rule": "cannot tell"})
    assert m.summarize_training(close, "roc_auc").endswith("today's rule 0.614, not told apart either.")


def test_the_simplest_is_told_as_such():
    training = make_training("linear", "boosting", {"linear": "cannot tell", "forest": "cannot tell"})
    assert m.summarize_training(training, "roc_auc") == (
        "Linear is the simplest that is not told apart from boosting and forest: roc_auc 0.708 (0.688 to 0.728) on 1,500 "
        "validation rows; today's rule 0.614."
    )
    assert "**linear** is the simplest and goes on" in m.explain_training(training, "roc_auc", rows=2750)


def test_one_candidate_or_the_rule_is_told_as_such():
    training = make_training("boosting", "boosting", {})
    alone = dataclasses.replace(training, models={"rule": None, "boosting": None})
    assert m.summarize_training(alone, "roc_auc").startswith("Boosting is the only candidate: roc_auc")
    rule = make_training("rule", "rule", {})
    assert m.summarize_training(rule, "roc_auc").startswith(
        "Today's rule does better than linear, forest and boosting: "
    )


@pytest.mark.parametrize("cases", [0, 1, 3, 40])
def test_no_page_prints_a_missing_number(cases):
    y = pd.Series([1] * cases + [0] * (40 - cases))
    p = pd.Series([0.1, 0.7, 0.2, 0.4] * 10)
    options = {"task": "binary", "positive": 1}
    decision, outcomes = m.set_decision(y, p, {}, **options), m.tabulate_outcomes(y, p, {}, **options)
    alternatives = m.compare_costs(y, p, {"today's rule": 1 - p}, {}, **options)
    scores, against = m.score_predictions(y, p, **options), m.compare(y, 1 - p, p, list(m.METRICS)[:10], **options)
    frame = pd.DataFrame({"a": ["x", "y"] * 20})
    slices = m.score_slices(frame, y, p, ["a"], metric="roc_auc", min_rows=5, **options)
    groups = m.compare_groups(m.compare_protected(frame, y, p, ["a"], metric="roc_auc", min_rows=5, **options))
    criteria = m.read_criteria({"roc_auc": "> rule", "ece": "<= 0.05", "brier": "<= 0.2"}, "binary")
    verdicts = m.judge(criteria, scores, {"rule": against})
    said = [
        m.explain_decision(decision, outcomes, alternatives, task="binary"),
        m.explain_comparison(against, "today's rule"),
        m.explain_calibration(m.calibration_table(y, p, **options), scores.loc[["ece"]]),
        m.explain_slices(slices, m.worst_slices(slices), "roc_auc"),
        m.explain_groups(groups),
        m.explain_verdicts(verdicts),
        m.summarize_evaluation(verdicts, scores, against, "roc_auc"),
    ]
    assert [text for text in said if "nan" in text.lower()] == []
    assert any("too few" in text or "one class" in text or "not defined" in text for text in said) == (
        cases < 5 or cases > 35
    )


def test_never_and_always_acting_are_said_in_words():
    y, p = pd.Series([0, 1] * 20), pd.Series([0.4, 0.6] * 10 + [0.6, 0.4] * 10)
    decision = m.set_decision(y, p, {"false_positive": 9, "false_negative": 1}, task="binary", positive=1)
    assert m.say_decision(decision) == "never act"
    assert m.say_decision(dataclasses.replace(decision, threshold=0.0)) == "always act"
    assert m.say_decision(dataclasses.replace(decision, threshold=0.00034)) == "act from a probability of 0.00034 on"
    options = {"task": "binary", "positive": 1, "threshold": decision.threshold}
    outcomes, others = m.tabulate_outcomes(y, p, {}, **options), m.compare_costs(y, p, {}, {}, **options)
    said = m.explain_decision(decision, outcomes, others, task="binary")
    assert "**Never act** (never to never if" in said
    assert "**The model never acts at the threshold that costs least.**" in said
    assert "cannot be told apart from never acting" not in said
    assert "- never acting: 0.5 a row, the same: the model never acts" in said
