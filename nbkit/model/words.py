"""Sentences that read the tables of training, evaluation and explanation; every number comes from the table."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from nbkit.model.decide import Decision, choose_threshold
from nbkit.model.metrics import METRICS
from nbkit.model.train import Training
from nbkit.wording import say_count


def explain_costs(costs: Mapping[str, Any], task: str, *, currency: str = "units") -> str:
    """Say in Markdown what the costs mean for a decision."""
    if not costs:
        return "No costs are stated, so every error counts the same; give `costs` to decide by money."
    if task != "binary":
        return "07 prices every prediction with these costs."
    balance = choose_threshold([0, 1], [0.0, 1.0], costs, draws=0).theoretical
    return (
        f"With these costs it pays to act from a probability of **{balance:.0%}** on, if probabilities are exact. 07 looks "
        f"for the threshold that really costs least, in {currency}, on data that nothing was learned from."
    )


def explain_training(training: Training, metric: str, *, rows: int) -> str:
    """Say in Markdown which candidate is best on the valid split and by how much it beats the rule."""
    best = _score(training.scores, training.best, metric)
    said = f"**{training.best}** does best: {metric} {_interval(best)} on {int(best['n']):,} rows of the valid split."
    if training.best != "rule" and "rule" in training.models:
        rule = _score(training.scores, "rule", metric)
        said += f" The rule in use today gives {_interval(rule)}. 07 compares them on the same rows of the test split."
    tried = len(training.search)
    return f"{said} {say_count(tried, 'setting')} went through cross-validation on {rows:,} rows of train or a sample of them."


def summarize_training(training: Training, metric: str) -> str:
    """Return the headline of a training."""
    best = _score(training.scores, training.best, metric)
    rule = _score(training.scores, "rule", metric) if "rule" in training.models else None
    against = f", today's rule {rule['value']:.3f}" if rule is not None and training.best != "rule" else ""
    return (
        f"{training.best.capitalize()} is the best of {say_count(len(training.models), 'candidate')}: {metric} {best['value']:.3f} "
        f"({best['low']:.3f} to {best['high']:.3f}) on {int(best['n']):,} validation rows{against}."
    )


def explain_learning(curve: pd.DataFrame, metric: str) -> str:
    """Say in Markdown whether more data would help."""
    out = curve[curve["split"] == "cross-validation"].dropna(subset="value")
    if len(out) < 2:
        return "There are too few rows for a learning curve."
    before, last = out.iloc[-2], out.iloc[-1]
    change = (last["value"] - before["value"]) * (1 if METRICS[metric].better == "higher" else -1)
    noise = last["std"] if last["std"] > 0 else abs(last["value"]) * 0.01
    reading = (
        "more rows would probably still help" if change > 0.5 * noise else
        "more rows of the same kind would hardly help"
    )  # fmt: skip
    return (
        f"From {int(before['rows']):,} to {say_count(last['rows'], 'row')} {metric} goes from {before['value']:.3f} to "
        f"{last['value']:.3f} (spread over folds {last['std']:.3f}): {reading}."
    )


def explain_comparison(comparison: pd.DataFrame, name: str) -> str:
    """Say in Markdown how the model compares with `name` (columns of `compare`: a is it, b the model)."""
    sentences = [
        f"{metric}: {row['value_b']:.3f} against {row['value_a']:.3f}, difference {row['difference']:+.3f} "
        f"({row['low']:+.3f} to {row['high']:+.3f}), {_read_verdict(row['verdict'], name)}"
        for metric, row in comparison.iterrows()
    ]
    return f"Model against {name}, on the same rows:\n" + "".join(f"\n- {sentence}" for sentence in sentences)


def explain_decision(decision: Decision, outcomes: pd.DataFrame, *, task: str, currency: str = "units") -> str:
    """Say in Markdown what to do with a prediction and what it then costs."""
    total = f"{outcomes['cost'].sum():,.0f} {currency}" if "cost" in outcomes else "an amount nobody stated"
    if task != "binary":
        return f"The prediction itself is the decision. Its errors on the test split cost {total}."
    nothing = decision.curve["cost_per_row"].iloc[-1]
    everything = decision.curve["cost_per_row"].iloc[0]
    counts = outcomes.set_index("outcome")["n"]
    return (
        f"Act from a probability of **{decision.threshold:.2g}** on ({decision.low:.2g} to {decision.high:.2g} if the valid "
        f"split were drawn again). There it costs {decision.cost:.2f} {currency} a row, against {nothing:.2f} for never "
        f"acting and {everything:.2f} for always acting. On the test split that is {counts['true positive']:,} rightly "
        f"warned, {counts['false positive']:,} warned for nothing, {counts['false negative']:,} missed, "
        f"{total} in all."
    )


def explain_calibration(table: pd.DataFrame) -> str:
    """Say in Markdown how far predicted and observed lie apart."""
    gap = (table["observed"] - table["predicted"]).abs()
    inside = ((table["predicted"] >= table["low"]) & (table["predicted"] <= table["high"])).mean()
    worst = table.iloc[int(gap.to_numpy().argmax())]
    return (
        f"Over {len(table)} bins the prediction is off by {(gap * table['n']).sum() / table['n'].sum():.3g} on average, most "
        f"where it says {worst['predicted']:.3g} and {worst['observed']:.3g} is seen ({say_count(worst['n'], 'row')}). "
        f"In {inside:.0%} of the bins what was predicted lies inside the interval of what was observed."
    )


def explain_slices(slices: pd.DataFrame, worst: pd.DataFrame, metric: str) -> str:
    """Say in Markdown where the model is weakest."""
    judged = int(slices["judged"].sum())
    if not len(worst):
        return f"None of {judged} slices with enough rows is certainly worse than the whole."
    first = worst.iloc[0]
    return (
        f"{len(worst)} of {judged} slices with enough rows are certainly worse than the whole, most of all "
        f"**{first['column']} {first['slice']}**: {metric} {first['value']:.3f} on {say_count(first['n'], 'row')}."
    )


def explain_groups(groups: pd.DataFrame) -> str:
    """Say in Markdown how far apart the groups of the protected columns are."""
    judged = groups[groups["judged"].astype(bool)] if len(groups) else groups
    if not len(judged):
        return (
            "No protected column is named, or no group has enough rows to judge: nothing is said about fairness here."
        )
    sentences = []
    for (column, rate), part in judged.groupby(["column", "rate"], sort=False):
        values = part["value"].to_numpy()
        low, high = part.iloc[int(values.argmin())], part.iloc[int(values.argmax())]
        apart = "apart" if low["high"] < high["low"] else "not certainly apart"
        name = str(rate).replace("_", " ")
        sentences.append(
            f"{name} by `{column}`: from {low['value']:.3f} ({low['group']}) to {high['value']:.3f} ({high['group']}), {apart}"
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


def summarize_evaluation(verdicts: pd.DataFrame, scores: pd.DataFrame, comparison: pd.DataFrame, metric: str) -> str:
    """Return the headline of an evaluation."""
    score: Any = scores.loc[metric]
    against: Any = comparison.loc[metric]
    met = (
        f"{(verdicts['verdict'] == 'pass').sum()} of {say_count(len(verdicts), 'criterion')} met"
        if len(verdicts)
        else "no criteria"
    )
    return (
        f"On {int(score['n']):,} test rows {metric} is {score['value']:.3f} ({score['low']:.3f} to {score['high']:.3f}), "
        f"today's rule {against['value_a']:.3f}, difference {against['difference']:+.3f} ({against['low']:+.3f} to "
        f"{against['high']:+.3f}); {met}."
    )


def explain_importance(importance: pd.DataFrame, permuted: pd.DataFrame, unit: str) -> str:
    """Say in Markdown what moves the predictions most and whether it also helps on unseen rows."""
    first = ", ".join(f"`{row.feature}` ({row.share:.0%})" for row in importance.head(3).itertuples())
    drops = permuted.set_index("feature")["drop"]
    idle = [f"`{name}`" for name in importance["feature"].head(8) if drops.get(name, 0) <= 0]
    said = f"What moves predictions most, as a share of all movement in {unit}: {first}."
    if idle:
        said += f" Yet shuffling {', '.join(idle)} on test rows costs nothing: large influence is not the same as use."
    return said + " These say what the model does, not what causes the outcome."


def explain_check(check: pd.DataFrame) -> str:
    """Say in Markdown whether the attributions add up to what the model says."""
    row = check.iloc[0]
    return (
        f"The attributions of {say_count(row['rows'], 'row')} ({row['method']}) add up to the served model's output within "
        f"{row['error']:.2g}, on a spread of {row['spread']:.3g}."
    )


def _score(scores: pd.DataFrame, candidate: str, metric: str) -> Any:
    return scores[(scores["candidate"] == candidate) & (scores["metric"] == metric)].iloc[0]


def _interval(row: Any) -> str:
    return f"{row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})"


def _read_verdict(verdict: str, name: str) -> str:
    return {"b is better": "the model is better", "a is better": f"{name} is better"}.get(verdict, "cannot tell")


def summarize_explanation(importance: pd.DataFrame, check: pd.DataFrame) -> str:
    """Return the headline of an explanation."""
    first = ", ".join(f"{row.feature} ({row.share:.0%})" for row in importance.head(3).itertuples())
    row = check.iloc[0]
    return (
        f"Predictions move most with {first}; checked on {say_count(row['rows'], 'row')}, the attributions add up to the model's "
        f"output within {row['error']:.1g}."
    )
