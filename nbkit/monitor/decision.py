"""From findings to a decision: explicit rules that name the number that fired them and what to do."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nbkit.monitor.distances import ALWAYS_NEW, NO_VALUES
from nbkit.monitor.drift import GONE
from nbkit.stats import DETECTABLE, Z
from nbkit.wording import describe, format_count, format_estimate, format_value

IMPORTANT = 0.05  # share of the model's attributions from which a feature's drift matters
RECALIBRATE = ("ece", "brier", "log_loss", "bias")  # what can be put right without a new model
BASE_RATE = ("accuracy", "precision", "recall", "f1", "average_precision")  # move with the base rate alone
ESTIMATED_LOSS = 0.02  # of ROC AUC
FIX = "fix the data pipeline; do not retrain on this window"
RETRAIN, MORE = "retrain on recent labels", "get more rows or labels, and look again"
DECIDES, BLIND = "the measured performance decides", "could not be judged"
JUDGED = ("ok", "watch", "worse")
LOOKS = 0.05  # chance that any of the other metrics asks for a look where nothing changed
SEVERITIES = ("critical", "warning", "unsure", "note")

Finding = tuple[str, str, str, str]


@dataclass(frozen=True, eq=False)
class Decision:
    """What to do about a window.

    Attributes
    ----------
    decision
        ``ok``, ``look`` (a person must look before anything is done), ``retrain`` or ``inconclusive`` (nothing bad was
        found, but the rows could not have shown a loss or a drift that matters).
    reasons
        finding, severity (critical, warning, unsure, note), evidence, action; the worst first.
    """

    decision: str
    reasons: pd.DataFrame


def decide(
    integrity: pd.DataFrame | None,
    drift: pd.DataFrame | None,
    performance: pd.DataFrame | None,
    importance: pd.DataFrame | None = None,
    *,
    metric: str,
    estimated: pd.DataFrame | None = None,
    criteria: pd.DataFrame | None = None,
) -> Decision:
    """Turn what was found in a window into a decision.

    The rules, in order of weight:

    1. a blocking violation of the contract, or a feature that is gone: **look** (retraining on broken data teaches the
       fault);
    2. a measured loss, beyond chance and tolerance, of the deciding `metric`, or a declared criterion that fails:
       **retrain**. No other metric can ask for it;
    3. a measured loss of another metric: **look**. For calibration (ECE, Brier, log loss, bias) recalibrate; for what
       moves with the base rate alone (accuracy, precision, recall, F1) choose the threshold again. It is a note where
       the deciding metric became better and it is neither of the two;
    4. drift of an important feature (5 % of the attributions or more; all count whose importance is unknown) or of the
       prediction: **look** until the deciding metric is judged, else a note (the measured performance has the last
       word);
    5. an estimated ROC AUC 0.02 below the reference together with drift: **look** as long as labels are missing;
    6. a deciding metric whose loss may be more than is bearable; or, until it is judged, important columns with too few
       rows to see a drift; or nothing that was looked at: **inconclusive**;
    7. all else (warnings of the contract, a loss within tolerance, drift of unimportant features, too few rows to see
       that of important ones once the deciding metric is judged) is a note.

    Parameters
    ----------
    integrity
        Violations from `nbkit.data.check_contract`.
    drift
        From `measure_drift`.
    performance
        From `measure_performance`, or None where no labels have come.
    importance
        feature, share, from `nbkit.explain`.
    metric
        The metric that the project is judged by.
    estimated
        From `estimate_performance`.
    criteria
        The declared criteria as `nbkit.evaluation.judge` judged them on the window.
    """
    broken, losses, failed, moved, likely = (
        pd.DataFrame() if table is None else table for table in (integrity, performance, criteria, drift, estimated)
    )
    level = str(losses["level"].get(metric, "not judged")) if len(losses) else "not judged"
    findings = [*_violations(broken), *_losses(losses, metric), *_failures(failed), *_drifts(moved, importance, level)]
    if level == "not judged":
        findings += _estimates(likely, moved)
    findings += _gaps(moved, importance, level)
    findings.sort(key=lambda each: (SEVERITIES.index(each[1]), each[1] == "note" and not each[0].endswith(BLIND)))
    reasons = pd.DataFrame(findings, columns=["finding", "severity", "evidence", "action"])
    severities = set(reasons["severity"])
    if "critical" in severities:
        return Decision("look" if (reasons["action"] == FIX).any() else "retrain", reasons)
    if "warning" in severities:
        return Decision("look", reasons)
    return Decision("inconclusive" if "unsure" in severities else "ok", reasons)


def _violations(table: pd.DataFrame) -> Iterator[Finding]:
    for row in table.to_dict("records"):
        blocking = row["severity"] == "blocking"
        action = FIX if blocking else "tell the owner of the data"
        yield "the contract is broken", "critical" if blocking else "note", str(row["message"]), action


def _losses(table: pd.DataFrame, own: str) -> Iterator[Finding]:
    if len(table) and own not in table.index and (table["level"] != "not judged").any():
        yield f"{describe(own)} was not measured", "unsure", "it is the metric that decides, and labels have come", MORE
    gained = "gain" in table and table["gain"].get(own, 0.0) > 0
    for row in table.rename_axis("metric").reset_index().to_dict("records"):
        metric, level = str(row["metric"]), row["level"]
        name = describe(metric)
        if level == "worse" and metric != own and row.get("p_value", 0.0) * (len(table) - 1) >= LOOKS:
            level = "watch"  # of so many metrics one falls by chance
        ends = row.get("low", np.nan), row.get("high", np.nan)
        now, then = (format_value(row[name], *ends) for name in ("value", "reference"))
        words = f"{now} against {then} at registration, on {row['n']:,.0f} labelled rows"
        if metric == own and level in ("worse", "inconclusive"):
            words += _describe_loss(row)
        if level == "watch":
            yield f"{name} is a little worse", "note", words, "watch the next window"
        elif level == "worse" and metric == own:
            yield f"{name} is worse", "critical", words, RETRAIN
        elif level == "inconclusive" and metric == own:
            better = row.get("gain", np.nan) >= 0
            finding = f"a loss of {name} cannot be ruled out" if better else f"{name} may be worse"
            yield finding, "unsure", words, MORE
        elif level == "worse":
            yield f"{name} is worse", *_weigh_other(metric, words, gained=gained)


def _weigh_other(metric: str, words: str, *, gained: bool) -> tuple[str, str, str]:
    if metric in RECALIBRATE:
        return "warning", words, "recalibrate on recent labels"
    if metric in BASE_RATE:
        return "warning", words, "look at the base rate; choose the threshold again"
    if gained:
        return "note", words, "no action: the metric that decides became better"
    return "warning", words, "see what it counts; it does not decide about retraining"


def _describe_loss(row: dict[Any, Any]) -> str:
    """Describe how large the loss is, from which loss on to act, and which loss so many rows would have shown."""
    gain, bearable, seen = (float(row.get(name, np.nan)) for name in ("gain", "bearable", "detectable"))
    if np.isnan([gain, seen]).any():
        return "; too few rows for an interval, so no loss could have been seen"
    error = Z * seen / DETECTABLE
    said = f"; lost: {format_estimate(-gain, -gain - error, -gain + error)}" if gain < 0 else ""
    said += f"; a loss of more than {bearable:.2g} calls for retraining"
    if row["level"] == "worse":
        return said
    only = f"only a loss of {seen:.2g} or more would" if seen > bearable else f"a loss of {seen:.2g} would mostly"
    return f"{said}; with {row['n']:,.0f} rows {only} show"


def _failures(table: pd.DataFrame) -> Iterator[Finding]:
    for row in table.to_dict("records"):
        if row["verdict"] != "pass":
            failed = row["verdict"] == "fail"
            how, weight = ("fails", "critical") if failed else ("is not shown to be met", "note")
            yield f"criterion {row['name']} {how}", weight, str(row["why"]), RETRAIN if failed else MORE


def _weigh_columns(importance: pd.DataFrame | None) -> dict[Any, float]:
    """Return the share of the attributions of each column that is known."""
    return {} if importance is None else importance.set_index("feature")["share"].astype(float).to_dict()


def _drifts(table: pd.DataFrame, importance: pd.DataFrame | None, own: str) -> Iterator[Finding]:
    """Describe what drifted; `own` is the level of the metric that decides."""
    judged, labels = own in JUDGED, "; get labels for this window first" if own == "not judged" else ""
    weights = _weigh_columns(importance)
    for row in table.to_dict("records"):
        if row["level"] != "drift":
            continue
        column, weight = row["column"], weights.get(row["column"], np.nan)
        words = (
            f"{describe(row['test'])} {row['value']:.3g}, {row['detail']}"
            if pd.notna(row["value"])
            else str(row["detail"])
        )
        words += "" if column == "prediction" else "; importance unknown" if np.isnan(weight) else ""
        words += f"; {weight:.{0 if weight >= 0.1 else 1}%} of the attributions" if weight >= 0 else ""
        if row["detail"] == GONE and weight != 0:
            yield f"{column} is gone", "critical", words, FIX
        elif not weight < IMPORTANT and not judged:
            yield f"{column} drifted", "warning", words, f"look at its source{labels}"
        else:
            why = DECIDES if judged else f"less than {IMPORTANT:.0%} of the attributions"
            yield f"{column} drifted", "note", words, f"no action: {why}"


def _gaps(drift: pd.DataFrame, importance: pd.DataFrame | None, own: str) -> Iterator[Finding]:
    """Describe what could not be judged: a note where the metric that decides was judged, whose level is `own`."""
    if drift.empty:
        if own not in JUDGED:
            yield "nothing could be judged", "unsure", "neither drift nor performance was measured", MORE
        return
    known = drift[~(drift["column"].map(_weigh_columns(importance)).astype(float) < IMPORTANT)]
    blind = known[(known["level"] == "not judged") & ~known["detail"].isin([NO_VALUES, ALWAYS_NEW])]
    if len(blind):
        names = list(dict.fromkeys(map(str, blind["column"])))
        columns, all_columns = (set(table["column"]) - {"prediction"} for table in (blind, known))
        who = [f"{len(columns)} of {format_count(len(all_columns), 'important column')}"] if columns else []
        who += ["the prediction"] if "prediction" in names else []
        words = f"{', '.join(names[:3])}{', …' if len(names) > 3 else ''}: {blind['detail'].iloc[0]}"
        weight, action = ("note", f"no action: {DECIDES}") if own in JUDGED else ("unsure", MORE)
        yield f"{' and '.join(who)} {BLIND}", weight, words, action


def _estimates(table: pd.DataFrame, drift: pd.DataFrame) -> Iterator[Finding]:
    row = table.loc["roc_auc"].to_dict() if len(table) else {"change": 0.0}
    if row["change"] <= -ESTIMATED_LOSS and len(drift) and (drift["level"] == "drift").any():
        words = f"ROC AUC {row['naive']:.3f} → {row['estimated']:.3f} (CBPE)"
        yield "estimated performance is lower", "warning", words, "get labels for this window"
