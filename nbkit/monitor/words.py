"""What a monitor keeps of a reference, and the sentences that read what it found in a window."""

from typing import Any

import pandas as pd

from nbkit.lineage import encode_rows, list_engineered, trace_columns
from nbkit.model import Predictions
from nbkit.monitor.check import Monitoring
from nbkit.monitor.decision import BLIND
from nbkit.monitor.profile import make_profile
from nbkit.wording import capitalize, describe, format_count, format_interval, format_value

DECISIONS = {
    "ok": "The model may stay as it is.",
    "look": "A person should look; nothing is changed automatically.",
    "retrain": "Train again on recent rows, and let it compete with the model in use.",
    "inconclusive": "Nothing bad was found, but these rows could not have shown it. Get more rows or labels before relying "
    "on the model.",
}
HEADS = {"ok": "OK", "look": "Needs review", "retrain": "Retrain", "inconclusive": "Inconclusive"}
UNLABELLED = " No labels have come: the performance is not measured, only that the columns look as they did."


def profile_reference(model: Any, predictions: Predictions) -> pd.DataFrame:
    """Make the profile of reference rows and of the model's answers to them, which `check_window` compares with.

    Parameters
    ----------
    model
        The fitted pipeline; what it makes of several raw columns, or of times, is watched, too.
    predictions
        The model's, with the raw rows of the time when all was well. The answers for several classes are left out.
    """
    task = predictions.task
    rows = predictions.problem.features(pd.DataFrame() if predictions.rows is None else predictions.rows)
    made: dict[str, Any] = {}
    if (lineage := trace_columns(model, rows)).matrix is not None:
        encoded = encode_rows(model, rows)
        made = {name: encoded[name] for name in list_engineered(lineage.sources, rows) if name in encoded}
    answers = {} if task == "multiclass" else {"prediction": predictions.score}
    return make_profile(rows.assign(**made, **answers), groups=predictions.blocks)


def explain_window(found: Monitoring) -> str:
    """Describe in Markdown what to do about a window and why."""
    decision = found.decision
    reasons = "".join(f"\n- {sentence}" for sentence in describe_reasons(decision.reasons))
    row: Any = found.summary.iloc[0]
    said = DECISIONS[decision.decision] + (UNLABELLED if decision.decision == "ok" and not row["labelled"] else "")
    return f"**{HEADS[decision.decision]}**: {said}{reasons}"


def describe_reasons(reasons: pd.DataFrame, most: int = 5) -> list[str]:
    """Describe each finding with its evidence and what to do: the table of a `Decision` in sentences."""
    said = [
        f"{capitalize(row['finding'])}: {row['evidence']}. {capitalize(row['action'])}."
        for row in reasons.head(most).to_dict("records")
    ]
    rest = len(reasons) - most
    more = f"{format_count(rest, 'more finding')} of less weight in the table of 11_monitor."
    return [*said, more] if rest > 0 else said


def summarize_window(found: Monitoring, version: str, window: str, *, metric: str) -> str:
    """Return the headline of a monitored window."""
    row: Any = found.summary.iloc[0]
    measured = metric in found.performance.index
    grave = found.decision.reasons.query("severity in ['critical', 'warning']")["finding"].tolist()
    known = f" {', '.join(grave[:3])}{', …' if len(grave) > 3 else ''};" if grave else ""
    said = f" {describe(metric)} {_describe_score(found.performance.loc[metric])};" if measured else ""
    blind = [each for each in found.decision.reasons["finding"] if each.endswith(BLIND)]
    said += "".join(f" {each}: too few rows;" for each in blind)
    return (
        f"{HEADS[found.decision.decision]}: {version} on {int(row['rows']):,} rows of {window or 'the first window'}:{known}{said} "
        f"{format_count(row['drifted'], 'column')} drifted{' and so did the prediction' if row['moved'] else ''}, "
        f"{format_count(row['violations'], 'violation')}."
    )


def _describe_score(score: Any) -> str:
    """Write a value with its interval, its reference, and what could have been seen; what is not known is left out."""
    if pd.isna(score["value"]):
        return "could not be measured"
    known, blind = pd.notna(score["low"]), score["level"] == "inconclusive" and pd.notna(score["detectable"])
    ends = score["low"], score["high"]
    span = format_interval(*ends) if known else "too few rows for an interval"
    seen = f"; only a loss of {score['detectable']:.2g} or more would have been detected" if blind else ""
    return f"{format_value(score['value'], *ends)} ({span}), reference {format_value(score['reference'], *ends)}{seen}"
