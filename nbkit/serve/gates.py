"""What was seen of a service, held against what was asked of it: requirements and gates."""

from collections.abc import Mapping

import pandas as pd

from nbkit.evaluation.criteria import REQUIREMENTS, check_requirements
from nbkit.wording import describe, format_value


def judge_requirements(measured: pd.DataFrame, requirements: Mapping[str, float]) -> pd.DataFrame:
    """Hold what was measured against what was asked for.

    Parameters
    ----------
    measured
        From `measure_latency`. Of several rows the slowest counts, and the largest throughput: what it can carry.
    requirements
        Of ``latency_p50_ms``, ``latency_p95_ms``, ``latency_p99_ms``, ``latency_max_ms``, ``errors`` (at most), and
        ``throughput_rps`` (at least).

    Returns
    -------
    DataFrame
        requirement, limit, measured, passed.

    Raises
    ------
    BadCriterion
        An unknown requirement.

    Examples
    --------
    >>> judge_requirements(pd.DataFrame({"p95_ms": [20.0, 30.0]}), {"latency_p95_ms": 25}).values.tolist()
    [['latency_p95_ms', 25.0, 30.0, False]]
    """
    rows = []
    check_requirements(requirements)
    for name, limit in requirements.items():
        column, worst = REQUIREMENTS[name]
        value = float(measured[column].max(skipna=False))
        rows.append((name, float(limit), value, value <= limit if worst == "max" else value >= limit))
    return pd.DataFrame(rows, columns=["requirement", "limit", "measured", "passed"])


def judge_service(agreement: pd.DataFrame, bad: pd.DataFrame, required: pd.DataFrame) -> pd.DataFrame:
    """Turn what was seen of a running service into gates.

    Parameters
    ----------
    agreement
        From `compare_answers`.
    bad
        From `bad_requests`.
    required
        From `judge_requirements`.

    Returns
    -------
    DataFrame
        gate, passed, blocking, detail.
    """
    first = agreement.iloc[0]
    wrong = bad[~bad["ok"]]
    missed = required[~required["passed"]]
    rows = [
        ("service_agrees", bool(first["equal"]), True,
         f"{int(first['rows'])} answers, {int(first['different'])} differ, largest gap {first['max_difference']:.2g}"),
        ("service_refuses_bad_requests", not len(wrong), True,
         f"{len(bad) - len(wrong)} of {len(bad)} faulty or unusual requests are met as they should be, "
         f"{int(bad['status'].between(400, 499).sum())} of them refused"
         + "".join(f"; {row.case}: {row.status}" for row in wrong.itertuples())),
        ("service_meets_requirements", not len(missed), True,
         "; ".join(f"{describe(name)} {format_value(measured)} (limit {format_value(limit)})"
                   for name, limit, measured, _ in required.to_numpy())
         or "none were stated"),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["gate", "passed", "blocking", "detail"])
