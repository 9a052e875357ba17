"""From findings to a decision: explicit rules that name the number that fired them and what to do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

IMPORTANT = 0.05  # share of the model's attributions from which a feature's drift matters
RECALIBRATE = ("ece", "brier", "log_loss", "bias")  # what can be mended without a new model
BASE_RATE = ("accuracy", "precision", "recall", "f1", "average_precision")  # move with the base rate alone
ESTIMATED_LOSS = 0.02  # of ROC AUC
FIX = "fix the data pipeline; do not retrain on this window"
SEVERITIES = ("critical", "warning", "note")

Finding = tuple[str, str, str, str]


@dataclass(frozen=True, eq=False)
class Decision:
    """What to do about a window.

    Attributes
    ----------
    decision
        ``ok``, ``look`` (a person must look before anything is done) or ``retrain``.
    reasons
        finding, severity (critical, warning, note), evidence, action; the worst first.
    """

    decision: str
    reasons: pd.DataFrame


def decide(
    integrity: pd.DataFrame | None,
    drift: pd.DataFrame | None,
    performance: pd.DataFrame | None,
    importance: pd.DataFrame | None = None,
    *,
    metric: str = "",
    estimated: pd.DataFrame | None = None,
) -> Decision:
    """Turn what was found in a window into a decision.

    The rules, in order of weight:

    1. a blocking violation of the contract, or a feature that is gone: **look** (retraining on broken data teaches the
       fault);
    2. a measured loss, beyond chance and tolerance, of the project's own `metric`, or of one that says how well the
       model tells rows apart (ROC AUC, balanced accuracy, errors of a regression): **retrain**;
    3. a measured loss of calibration only (ECE, Brier, log loss, bias), or of what moves with the base rate alone
       (accuracy, precision, recall, F1): **look** (recalibrate, choose the threshold again; the ranking still holds);
    4. drift of an important feature (5 % of the attributions or more; all count where importance is unknown) or of the
       prediction: **look** as long as labels are missing, else a note (the measured performance has the last word);
    5. an estimated ROC AUC 0.02 below the reference together with drift: **look** as long as labels are missing;
    6. all else (warnings of the contract, a loss within tolerance, drift of unimportant features) is a note.

    Parameters
    ----------
    integrity
        Violations from `nbkit.data.check_contract`.
    drift
        From `measure_drift`.
    performance
        From `measure_performance`, or None where no labels have come.
    importance
        feature, share, from `nbkit.model.explain`.
    metric
        The metric that the project is judged by.
    estimated
        From `estimate_performance`.
    """
    judged = performance is not None and bool((performance["level"] != "not judged").any())
    findings = [
        *_look_at(integrity, _violations),
        *_look_at(performance, lambda table: _losses(table, metric)),
        *_look_at(drift, lambda table: _drifts(table, importance, judged)),
        *([] if judged or drift is None else _look_at(estimated, lambda table: _estimates(table, drift))),
    ]
    findings.sort(key=lambda finding: SEVERITIES.index(finding[1]))
    reasons = pd.DataFrame(findings, columns=["finding", "severity", "evidence", "action"])
    severities = set(reasons["severity"])
    broken = (reasons["action"] == FIX).any()
    if "critical" in severities:
        return Decision("look" if broken else "retrain", reasons)
    return Decision("look" if "warning" in severities else "ok", reasons)


def _look_at(table: pd.DataFrame | None, rule: Callable[[pd.DataFrame], Iterator[Finding]]) -> list[Finding]:
    return [] if table is None or table.empty else list(rule(table))


def _violations(table: pd.DataFrame) -> Iterator[Finding]:
    for row in table.to_dict("records"):
        blocking = row["severity"] == "blocking"
        action = FIX if blocking else "tell the owner of the data"
        yield "the contract is broken", "critical" if blocking else "note", str(row["message"]), action


def _losses(table: pd.DataFrame, own: str) -> Iterator[Finding]:
    for row in table.rename_axis("metric").reset_index().to_dict("records"):
        metric, level = str(row["metric"]), row["level"]
        words = f"{row['reference']:.4g} → {row['value']:.4g} on {row['n']:.0f} labelled rows"
        if level == "watch":
            yield f"{metric} is a little worse", "note", words, "watch the next window"
        elif level == "worse" and metric != own and metric in RECALIBRATE:
            yield f"{metric} is worse", "warning", words, "recalibrate on recent labels"
        elif level == "worse" and metric != own and metric in BASE_RATE:
            yield f"{metric} is worse", "warning", words, "look at the base rate; choose the threshold again"
        elif level == "worse":
            yield f"{metric} is worse", "critical", words, "retrain on recent labels"


def _drifts(table: pd.DataFrame, importance: pd.DataFrame | None, judged: bool) -> Iterator[Finding]:  # noqa: FBT001
    share = {} if importance is None else dict(zip(importance["feature"], importance["share"], strict=True))
    for row in table[table["level"] == "drift"].to_dict("records"):
        column = row["column"]
        weight = share.get(column, 1.0 if column == "prediction" or not share else 0.0)
        words = f"{row['test']} {row['value']:.3g}, {row['detail']}" if pd.notna(row["value"]) else str(row["detail"])
        words += f"; {weight:.0%} of the attributions" if column in share else ""
        if row["detail"] == "the column is gone" and weight > 0:
            yield f"{column} is gone", "critical", words, FIX
        elif weight >= IMPORTANT and not judged:
            yield f"{column} drifted", "warning", words, "look at its source; get labels for this window first"
        else:
            action = "none: the measured performance decides" if judged else "none: the model hardly uses it"
            yield f"{column} drifted", "note", words, action


def _estimates(table: pd.DataFrame, drift: pd.DataFrame) -> Iterator[Finding]:
    row: dict[str, Any] = {str(key): value for key, value in table.loc["roc_auc"].items()}
    if row["change"] <= -ESTIMATED_LOSS and (drift["level"] == "drift").any():
        words = f"ROC AUC {row['naive']:.3f} → {row['estimated']:.3f} (CBPE)"
        yield "estimated performance is lower", "warning", words, "get labels for this window"
