"""Outcomes and sentences of every task hold numbers, and say so where there are none."""

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
    check(m.explain_learning(curve, metric))
    assert "too few" in m.explain_learning(curve.head(0), metric)


def test_decisions_are_told(case):
    _, _, y, p, options = case
    costs = COSTS[options["task"]]
    decision = m.set_decision(y, p, costs, **options)
    outcomes = m.tabulate_outcomes(y, p, costs, currency="USD", **options)
    assert outcomes["n"].sum() == len(y)
    per_row = m.score_cost(y, p, costs, **options).at["cost_per_row", "value"]
    assert outcomes["cost"].sum() == pytest.approx(per_row * len(y))
    check(m.explain_decision(decision, outcomes, task=options["task"], currency="USD"))
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
    check(m.explain_groups(groups))
    assert "No protected column" in m.explain_groups(m.compare_protected(X, y, p, [], metric=metric, **options))


def test_explanations_are_told(case):
    training, X, y, _, options = case
    model = training.models["linear"]
    found = m.explain(model, X, **options)
    permuted = m.permute_features(model, X, y, metric=m.usual_metric(options["task"]), repeats=2, **options)
    check(m.explain_importance(found.importance, permuted, found.unit))
    check(m.explain_check(found.check))
    check(m.summarize_explanation(found.importance, found.check))
    assert isinstance(permuted, pd.DataFrame)
