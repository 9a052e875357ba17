"""Sentences that read the tables of training, evaluation and explanation; every number comes from the table."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from nbkit.model.costs import read_costs
from nbkit.model.metrics import METRICS
from nbkit.model.threshold import Decision, find_balance
from nbkit.model.train import Training
from nbkit.model.weakness import BIAS
from nbkit.wording import say_count

LARGE = 0.1  # share of all movement from which a column's influence is called large
SAME = "acts at the threshold that costs least"


def explain_costs(costs: Mapping[str, Any], task: str, *, currency: str = "units") -> str:
    """Say in Markdown what the costs mean for a decision."""
    if not costs:
        return "No costs are stated, so every error counts the same; give `costs` to decide by money."
    if task != "binary":
        return "07 prices every prediction with these costs."
    balance = find_balance(read_costs(costs, task))
    if math.isnan(balance):
        return "With these costs acting costs no more than waiting, whatever the probability: check their signs."
    return (
        f"With these costs it pays to act from a probability of **{balance:.2g}** on, if probabilities are exact. 07 chooses "
        f"the threshold with the lowest expected cost, in {currency}, on data that nothing was learned from."
    )


def explain_training(training: Training, metric: str, *, rows: int) -> str:
    """Say in Markdown which candidate goes on, how surely it is the best, and by how much it beats the rule."""
    top, best = _score(training.scores, training.top, metric), _score(training.scores, training.best, metric)
    said = (
        f"{_name(training.top, bold=True)} does best: {metric} {_interval(top)} on {say_count(top['n'], 'row')} of the "
        f"valid split."
    )
    alike = _list_alike(training)
    if len(alike):
        each = _join(
            [f"{_name(row.candidate)} ({row.difference:+.3g}{_limits(row._asdict(), ', ', '+.3g')})" for row in alike]
        )
        said += (
            f" It cannot be told apart there from {each}: differences on the same rows, limits for all pairs together."
        )
    if training.best != training.top:
        said += f" Of these {_name(training.best, bold=True)} is the simplest and goes on: {metric} {_interval(best)}."
    if training.best != "rule" and "rule" in training.models:
        rule = _score(training.scores, "rule", metric)
        said += f" {_name_rule(training, metric).capitalize()} gives {_interval(rule)}. 07 compares them on the same rows of the test split."
    tried = len(training.search)
    return f"{said} {say_count(tried, 'setting')} went through cross-validation on {rows:,} rows of train or a sample of them."


def summarize_training(training: Training, metric: str) -> str:
    """Return the headline of a training."""
    best, alike = _score(training.scores, training.best, metric), [row.candidate for row in _list_alike(training)]
    tried = [name for name in training.models if name not in ("dummy", "rule")]
    name = _name(training.best)
    if training.best != training.top:
        others = [_name(each) for each in alike if each not in ("dummy", "rule", training.best)]
        rest = f" and {_join(others)}" if others else ""
        said = f"{name} is the simplest that is not told apart from {_name(training.top)}{rest}"
    elif training.best in ("dummy", "rule"):
        said = f"{name} does better than {_join(tried)}" if tried else f"{name} does best"
    else:
        said = f"{name} does best of {_join(tried)}" if len(tried) > 1 else f"{name} is the only candidate"
    said += f": {metric} {_interval(best)} on {say_count(best['n'], 'validation row')}"
    if training.best == training.top and len(others := [_name(each) for each in alike if each != "rule"]):
        said += f", not told apart from {_join(others)}"
    if training.best != "rule" and "rule" in training.models:
        said += f"; {_name_rule(training, metric)} {_score(training.scores, 'rule', metric)['value']:.3f}"
        said += ", not told apart either" if "rule" in alike else ""
    return f"{said[0].upper()}{said[1:]}."


def explain_learning(curve: pd.DataFrame, metric: str, *, rows: int, time: str = "") -> str:
    """Say in Markdown whether more data would help, and how much of `rows` in train the curve could reach.

    Parameters
    ----------
    curve
        From `learning_curve`.
    metric
        What it scores.
    rows
        Rows of train.
    time
        The column that folds follow, if they do.
    """
    out = curve[curve["split"] == "cross-validation"].dropna(subset="value")
    if len(out) < 2:
        return "There are too few rows for a learning curve."
    before, last = out.iloc[-2], out.iloc[-1]
    change = (last["value"] - before["value"]) * (1 if METRICS[metric].better == "higher" else -1)
    noise = last["std"] if last["std"] > 0 else abs(last["value"]) * 0.01
    reading = (
        "more rows than that would probably still help" if change > 0.5 * noise else
        "more rows of the same kind would hardly help"
    )  # fmt: skip
    why = (
        f"folds follow `{time}`, each learns from what came before it, and the curve ends with the first, the shortest"
        if time
        else "each fold leaves a part out to score on"
    )
    return (
        f"From {int(before['rows']):,} to {say_count(last['rows'], 'row')} {metric} goes from {before['value']:.3f} to "
        f"{last['value']:.3f} (spread over folds {last['std']:.3f}): {reading}. The curve reaches "
        f"{int(last['rows']):,} of the {say_count(rows, 'row')} of train: {why}. What lies beyond, it does not show."
    )


def explain_comparison(comparison: pd.DataFrame, name: str) -> str:
    """Say in Markdown how the model compares with `name` (columns of `compare`: a is it, b the model)."""
    sentences = [f"{metric}: {_compare(row, name)}" for metric, row in comparison.iterrows()]
    return f"Model against {name}, on the same rows:\n" + "".join(f"\n- {sentence}" for sentence in sentences)


def _compare(row: Any, name: str) -> str:
    if pd.isna(row["difference"]):
        return f"not compared ({row['note'] or 'not defined on these rows'})"
    sizes = " of sizes" if row["better"] == "zero" else ""
    said = f"{row['value_b']:.3f} against {row['value_a']:.3f}, difference{sizes} {row['difference']:+.3f}"
    if pd.isna(row["low"]):
        return f"{said}, cannot tell ({row['note'] or 'too few to say how sure'})"
    return f"{said} ({row['low']:+.3f} to {row['high']:+.3f}), {_read_verdict(row['verdict'], name)}"


def say_decision(decision: Decision) -> str:
    """Say in a few words what to do with a probability.

    Examples
    --------
    >>> from nbkit.model import choose_threshold
    >>> say_decision(choose_threshold([0] * 9, [0.1] * 9, {}, positive=1))
    'never act'
    """
    if decision.threshold > 1:
        return "never act"
    return "always act" if decision.threshold <= 0 else f"act from a probability of {decision.threshold:.2g} on"


def explain_decision(
    decision: Decision, outcomes: pd.DataFrame, alternatives: pd.DataFrame, *, task: str, currency: str = "units"
) -> str:
    """Say in Markdown what to do with a prediction, what it then costs, and whether doing otherwise would cost less.

    Parameters
    ----------
    decision
        From `set_decision`, on valid.
    outcomes, alternatives
        From `tabulate_outcomes` and `compare_costs`, on test.
    task, currency
        Of the problem.
    """
    model, n = alternatives[["model", "n"]].iloc[0]
    spent = f"{_amount(outcomes['cost'].sum())} {currency} in all, {_amount(model)} a row"
    if task == "regression" and not (alternatives[["cost_per_row", "model"]] != 0).any(axis=None):
        return (
            "The predicted value is the decision. No costs are stated for predicting too much or too little, so nothing "
            f"can be said about money on the {say_count(n, 'row')} of the test split; give `costs: {{over: …, under: …}}` in 01."
        )
    if task == "binary":
        counts = outcomes.set_index("outcome")["n"]
        words = say_decision(decision)
        ends = [_say_threshold(end) for end in (decision.low, decision.high)]
        again = f" ({ends[0]} to {ends[1]} if the valid split were drawn again)" if pd.notna(decision.low) else ""
        said = (
            f"**{words[0].upper()}{words[1:]}**{again}: of all scores of the valid split this has the lowest cost to be "
            f"expected on new rows (what was measured there, {_amount(decision.cost)} {currency} a row, and what the "
            f"recalibrated probabilities promise, weighed by the number of cases). Of the {say_count(n, 'row')} of the test "
            f"split {counts['true positive']:,} are then rightly acted on, {counts['false positive']:,} for nothing, and "
            f"{counts['false negative']:,} are missed: {spent}."
        )
    else:
        what = "predicted value" if task == "regression" else "likeliest class"
        said = f"The {what} is the decision. On the {say_count(n, 'row')} of the test split its errors cost {spent}."
    lines = [
        f"{name}: {_amount(row['cost_per_row'])} a row, {_compare_cost(row)}" for name, row in alternatives.iterrows()
    ]
    return f"{said}\n\n{_weigh_alternatives(alternatives)}\n" + "".join(f"\n- {line}" for line in lines)


def _compare_cost(row: Any) -> str:
    if row["note"].endswith(SAME):
        return f"the same: {row['note']}"
    off = f"model minus this {_amount(row['difference'], '+')}{_limits(row, ' (', '+.3g', ')')}"
    return f"{off}, {row['verdict'].replace('alternative', 'this')}"


def _weigh_alternatives(alternatives: pd.DataFrame) -> str:
    same = alternatives["note"].str.endswith(SAME)
    named = {verdict: [str(name) for name in part.index] for verdict, part in alternatives[~same].groupby("verdict")}
    sentences = [f"**{note[0].upper()}{note[1:]}.**" for note in alternatives.loc[same, "note"]]
    if cheaper := named.get("alternative is cheaper"):
        sentences.append(f"**On the same rows {_join(cheaper)} would have cost less than the model.**")
    if unclear := named.get("cannot tell"):
        sentences.append(f"**What the model costs cannot be told apart from {_join(unclear)}.**")
    if dearer := named.get("model is cheaper"):
        sentences.append(f"On the same rows the model costs less than {_join(dearer)}.")
    return " ".join(sentences)


def explain_calibration(table: pd.DataFrame, error: pd.DataFrame | None = None) -> str:
    """Say in Markdown how far predicted and observed lie apart.

    Parameters
    ----------
    table
        From `calibration_table`.
    error
        From `nbkit.model.score_predictions`, the metric ece (binary).
    """
    gap = (table["observed"] - table["predicted"]).abs()
    inside = int(((table["predicted"] >= table["low"]) & (table["predicted"] <= table["high"])).sum())
    worst = table.iloc[int(gap.to_numpy().argmax())]
    said = (
        f"Predicted and observed lie farthest apart where it says {worst['predicted']:.3g} and {worst['observed']:.3g} is seen "
        f"({say_count(worst['n'], 'row')}). In {inside} of {len(table)} bins what was predicted lies inside the 95 % interval "
        f"of what was observed; of right predictions about one bin in twenty lies outside."
    )
    if error is None or pd.isna(error["value"].iloc[0]):
        return said
    row: Any = error.iloc[0]
    if pd.isna(row["low"]):
        return f"The probabilities are off by {row['value']:.3g} on average (ece); {row['note']}. {said}"
    right = (
        "which right probabilities could show as well" if row["low"] <= 0 else "more than chance makes of right ones"
    )
    return (
        f"The probabilities are off by {row['value']:.3g} on average (ece, what chance alone makes is taken off; "
        f"{row['low']:.3g} to {row['high']:.3g}), {right}. {said}"
    )


def explain_slices(slices: pd.DataFrame, worst: pd.DataFrame, metric: str) -> str:
    """Say in Markdown where predictions are off, and what the metric within a slice does not mean."""
    judged = int(slices["judged"].sum())
    warning = (
        f" The {metric} within a slice is shown and judges nothing: where a slice is harder, or holds less of what tells cases "
        "apart, it is worse for a perfect model, too."
    )
    if not judged:
        return f"None of {say_count(len(slices), 'slice')} has enough rows and cases to be judged."
    if not len(worst):
        return (
            f"In none of {say_count(judged, 'slice')} with enough rows predictions are off beyond what they are on the whole and "
            f"chance (5 % for all slices together).{warning}"
        )
    first = worst.iloc[0]
    bias = (
        ""
        if pd.isna(first[BIAS])
        else f", {abs(first[BIAS]):.3g} too {'high' if first[BIAS] > 0 else 'low'} on average, beyond the whole"
    )
    return (
        f"In {len(worst)} of {say_count(judged, 'slice')} with enough rows predictions are off beyond what they are on the whole "
        f"and chance (5 % for all slices together), most of all in **{first['column']} {first['slice']}**: by "
        f"{first['gap']:.3g} ({first['gap_low']:.3g} to {first['gap_high']:.3g}){bias}, on {say_count(first['n'], 'row')}.{warning}"
    )


def explain_groups(gaps: pd.DataFrame) -> str:
    """Say in Markdown how far apart the groups of the protected columns are.

    Parameters
    ----------
    gaps
        From `compare_groups` on several columns.
    """
    judged = gaps[gaps["difference"].notna()]
    if not len(judged):
        return "No protected column is named, or no two groups have enough rows to judge: nothing is said about fairness here."
    sentences = []
    for _, row in judged.iterrows():
        pairs = row["groups"] * (row["groups"] - 1) // 2
        picked = f", interval for the choice among {pairs} pairs" if pairs > 1 else ""
        sentences.append(
            f"{str(row['rate']).replace('_', ' ')} by `{row['column']}`: from {row['lowest_value']:.3f} ({row['lowest']}) to "
            f"{row['highest_value']:.3f} ({row['highest']}), difference {row['difference']:.3f} "
            f"({_limits(row, '', '.3f')}{picked}), {'apart' if row['apart'] else 'cannot be told apart'}"
        )
    return "".join(f"\n- {sentence}" for sentence in sentences)


def explain_verdicts(verdicts: pd.DataFrame) -> str:
    """Say in Markdown how the criteria came out."""
    if not len(verdicts):
        return "No criterion was stated in 01, so nothing can be said about *good enough*."
    counts = verdicts["verdict"].value_counts()
    mix = ", ".join(f"{counts[verdict]} {verdict}" for verdict in ("pass", "fail", "cannot tell") if verdict in counts)
    open_ones = verdicts[verdicts["verdict"] != "pass"]
    return f"**{mix}.**" + "".join(f"\n- {row['name']}: {row['why']}" for _, row in open_ones.iterrows())


def summarize_evaluation(
    verdicts: pd.DataFrame, scores: pd.DataFrame, comparison: pd.DataFrame, metric: str, today: str = "today's rule"
) -> str:
    """Return the headline of an evaluation; `today` is what the model was compared with."""
    score: Any = scores.loc[metric]
    against: Any = comparison.loc[metric]
    met = (
        f"{(verdicts['verdict'] == 'pass').sum()} of {say_count(len(verdicts), 'criterion')} met"
        if len(verdicts)
        else "no criteria"
    )
    said = f"On {int(score['n']):,} test rows {metric} is {_interval(score)}"
    if pd.notna(against["difference"]):
        said += f", {today} {against['value_a']:.3f}, difference {against['difference']:+.3f}"
        said += _limits(against, " (", "+.3f", ")")
    return f"{said}; {met}."


def explain_importance(importance: pd.DataFrame, permuted: pd.DataFrame, unit: str) -> str:
    """Say in Markdown what moves the predictions most and whether it also helps on unseen rows."""
    first = ", ".join(f"`{row.feature}` ({row.share:.0%})" for row in importance.head(3).itertuples())
    drops = permuted.set_index("feature")["drop"]
    strong = importance.loc[importance["share"] >= LARGE, "feature"]
    idle = [f"`{name}`" for name in strong if drops.get(name, 0) <= 0]
    said = f"What moves predictions most, as a share of all movement in {unit}: {first}."
    if idle:
        said += f" Yet shuffling {', '.join(idle)} on test rows costs nothing: large influence is not the same as use."
    return said + " These say what the model does, not what causes the outcome."


def explain_check(check: pd.DataFrame) -> str:
    """Say in Markdown whether the attributions add up to what the model says, how exact each is, and in what terms."""
    row = check.iloc[0]
    said = (
        f"The attributions of {say_count(row['rows'], 'row')} ({row['method']}) add up to the served model's output within "
        f"{row['error']:.2g}, on a spread of {row['spread']:.3g}."
    )
    if row["method"] == "permutation":
        said += (
            " That says nothing about each of them, which are estimates: done several times with other orders and other rows as "
            f"background, a single attribution is off by {row['sampling']:.2g} ({row['sampling_share']:.1%} of the spread; "
            "root mean square, of the column where it is largest)."
        )
    return f"{said} Raw columns: {row['traced']}."


def explain_engineered(engineered: pd.DataFrame) -> str:
    """Say in Markdown what the model makes of several raw columns or of times, and how much that moves."""
    if not len(engineered):
        return "The model reads no column that is made of several raw columns or of a time."
    parts = [f"`{row.feature}` of {row.sources} ({row.share:.0%})" for row in engineered.head(5).itertuples()]
    more = f", and {say_count(len(engineered) - 5, 'more column')}" if len(engineered) > 5 else ""
    return (
        f"Made of several raw columns or of a time, with the share of all movement: {', '.join(parts)}{more}. The monitor watches "
        "these too, and weighs the drift of a raw column by everything that is made of it."
    )


def _list_alike(training: Training) -> list[Any]:
    """List the rows of `Training.against` that cannot be told apart from the best, in the order of training."""
    table = training.against
    return list(table[(table["verdict"] == "cannot tell") & table["difference"].notna()].itertuples())


def _name_rule(training: Training, metric: str) -> str:
    """Name the rule in use today; where none is stated, it gives a constant answer as the dummy does."""
    both = [_score(training.scores, name, metric)["value"] for name in ("rule", "dummy") if name in training.models]
    return "a constant answer (no rule is stated)" if len(both) == 2 and both[0] == both[1] else "today's rule"


def _name(candidate: str, *, bold: bool = False) -> str:
    said = {"rule": "today's rule", "dummy": "the dummy"}.get(candidate, candidate)
    return f"**{said}**" if bold else said


def _join(names: Sequence[str]) -> str:
    """Return names as a sentence lists them."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def _amount(value: float, sign: str = "") -> str:
    """Return money with three digits, or whole."""
    return f"{value:{sign},.0f}" if abs(value) >= 1000 else f"{value:{sign}.3g}"


def _score(scores: pd.DataFrame, candidate: str, metric: str) -> Any:
    return scores[(scores["candidate"] == candidate) & (scores["metric"] == metric)].iloc[0]


def _interval(row: Any) -> str:
    return "not known" if pd.isna(row["value"]) else f"{row['value']:.3f}{_limits(row, ' (', '.3f', ')')}"


def _limits(row: Any, before: str, form: str, after: str = "") -> str:
    """Return the interval in words, or that there are too few to say."""
    if pd.isna(row["low"]) or pd.isna(row["high"]):
        return f"{before}too few to say how sure{after}"
    return f"{before}{row['low']:{form}} to {row['high']:{form}}{after}"


def _say_threshold(value: float) -> str:
    return "never" if value > 1 else "always" if value <= 0 else f"{value:.2g}"


def _read_verdict(verdict: str, name: str) -> str:
    return {"b is better": "the model is better", "a is better": f"{name} is better"}.get(verdict, "cannot tell")


def summarize_explanation(importance: pd.DataFrame, check: pd.DataFrame) -> str:
    """Return the headline of an explanation."""
    first = ", ".join(f"{row.feature} ({row.share:.0%})" for row in importance.head(3).itertuples())
    row = check.iloc[0]
    said = f"Predictions move most with {first}; checked on {say_count(row['rows'], 'row')}, "
    if row["method"] == "permutation":
        return f"{said}a single attribution is off by {row['sampling_share']:.1%} of the output's spread."
    return f"{said}the attributions add up to the model's output within {row['error']:.1g}."
