"""One window, looked at from all sides: integrity, drift, performance, decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from nbkit.data import check_contract
from nbkit.data.personal import withhold
from nbkit.errors import NbkitError
from nbkit.evaluation import judge
from nbkit.lineage import encode_rows
from nbkit.model import Predictions, predict_values
from nbkit.monitor.decision import Decision, decide
from nbkit.monitor.drift import measure_drift
from nbkit.monitor.performance import estimate_performance, measure_performance
from nbkit.monitor.profile import COLUMNS, make_profile
from nbkit.problem import Problem
from nbkit.registry.golden import find_problem

TESTS = ("psi", "missing", "unseen")


@dataclass(frozen=True, eq=False)
class Monitoring:
    """All that was found in a window.

    Attributes
    ----------
    integrity
        Violations of the contract.
    drift
        Per column and test, see `measure_drift`.
    performance
        Per metric, see `measure_performance`; empty where no labels have come.
    estimated
        Per metric without labels, see `estimate_performance`; empty where it cannot be estimated.
    decision
        What to do and why.
    summary
        One row: rows, labelled, violations, drifted (columns), moved (whether the prediction drifted), watched
        (columns), worse (metrics), unjudged (columns with too few rows), decision.
    """

    integrity: pd.DataFrame
    drift: pd.DataFrame
    performance: pd.DataFrame
    estimated: pd.DataFrame
    decision: Decision
    summary: pd.DataFrame


def check_window(bundle: Mapping[str, Any], window: pd.DataFrame, *, tests: Sequence[str] = TESTS) -> Monitoring:
    """Check a window against the version that answers.

    Parameters
    ----------
    bundle
        From `Registry.load_bundle`: ``model``, ``problem`` and ``reference`` (a profile, or rows to make one of); where
        present ``params`` (its ``threshold``), ``scores``, ``contract``, ``calibration``, ``criteria`` (from
        `nbkit.evaluation.read_criteria`) and ``importance`` (feature, share: the `weights` of `nbkit.explain`).
    window
        Raw rows; with the target's column where labels have come (missing where they have not).
    tests
        Drift tests, see `nbkit.monitor.distances`.
    """
    problem, threshold = find_problem(bundle, {})
    target, blocks = problem.target, problem.blocks(window)
    rows = problem.features(window)
    contract, scores = bundle.get("contract"), bundle.get("scores")
    integrity = pd.DataFrame() if contract is None else check_contract(window, contract)
    reference = bundle["reference"]
    profile = reference if set(COLUMNS) <= set(reference.columns) else make_profile(reference)
    profile = profile[profile["column"] != target]
    answers, trouble = _ask(bundle["model"], rows, problem)
    answered = answers is not None
    if trouble:
        wrong = {"rule": "answer", "column": "the model", "severity": "blocking", "count": len(rows)}
        integrity = pd.concat([integrity, pd.DataFrame([wrong | {"message": trouble}])], ignore_index=True)
    seen = rows
    if isinstance(answers, pd.Series) and "prediction" not in rows:
        seen = rows.assign(prediction=answers)
    profile = profile[(profile["column"] != "prediction") | ("prediction" in seen)]
    made = sorted(set(profile["column"]) - set(seen.columns))
    encoded = encode_rows(bundle["model"], rows) if made and answered else pd.DataFrame()
    seen = seen.assign(**{name: encoded[name].to_numpy() for name in made if name in encoded})
    drift = measure_drift(profile, seen, tests, blocks)
    if contract is not None:  # which levels moved is not said of a personal column
        drift["detail"] = drift["detail"].where(drift["value"].isna(), withhold(drift, contract, "detail")["detail"])
    performance, estimated = pd.DataFrame(), pd.DataFrame()
    if answered and scores is not None and target in window and window[target].notna().any():
        told = Predictions.align(window[target], answers, problem, threshold=threshold, blocks=blocks)
        performance = measure_performance(told, scores)
    if answered and problem.task == "binary" and bundle.get("calibration") is not None:
        estimated = estimate_performance(answers, bundle["calibration"], scores, threshold=threshold)
    declared = _judge_criteria(bundle.get("criteria"), performance)
    weights, own = bundle.get("importance"), problem.metric
    decision = decide(integrity, drift, performance, weights, metric=own, estimated=estimated, criteria=declared)
    by_level = {level: set(part) for level, part in drift.groupby("level")["column"]}
    drifted = by_level.get("drift", set())
    row = {
        "rows": len(window),
        "labelled": int(window[target].notna().sum()) if target in window else 0,
        "violations": len(integrity),
        "drifted": len(drifted - {"prediction"}),
        "moved": "prediction" in drifted,
        "watched": len(by_level.get("watch", ())),
        "worse": 0 if performance.empty else int((performance["level"] == "worse").sum()),
        "unjudged": len(by_level.get("not judged", ())),
        "decision": decision.decision,
    }
    return Monitoring(integrity, drift, performance, estimated, decision, pd.DataFrame([row]))


def _judge_criteria(criteria: pd.DataFrame | None, performance: pd.DataFrame) -> pd.DataFrame | None:
    """Judge the declared criteria that demand a number of a metric, on the window."""
    if criteria is None or criteria.empty or performance.empty or not (performance["level"] != "not judged").any():
        return None
    plain = (criteria["reference"] == "") & criteria["metric"].isin(performance.index)
    known = performance[["low", "high"]].notna().all(axis=1)
    judged: pd.DataFrame = judge(criteria[plain], performance[known])
    return judged


def _ask(model: Any, rows: pd.DataFrame, problem: Problem) -> tuple[Any, str]:
    """Return the model's answers, or None and why it cannot answer: a finding, not the end of the monitor."""
    if rows.empty:
        return None, ""
    try:
        return predict_values(model, rows, problem), ""
    except (NbkitError, ValueError, KeyError, TypeError) as error:
        return None, f"the model cannot answer: {error}"
