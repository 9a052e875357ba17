"""What was seen of a service, as gates and in sentences."""

import pandas as pd


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
        ("service_agrees", bool(first["equal"]),
         f"{int(first['rows'])} answers, {int(first['different'])} differ, largest gap {first['max_difference']:.2g}"),
        ("service_refuses_bad_requests", not len(wrong),
         f"{len(bad) - len(wrong)} of {len(bad)} requests are answered as they should be"
         + "".join(f"; {row.case}: {row.status}" for row in wrong.itertuples())),
        ("service_meets_requirements", not len(missed),
         "; ".join(f"{row.requirement} {row.measured:.4g} (limit {row.limit:.4g})" for row in required.itertuples())
         or "none were stated"),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["gate", "passed", "detail"]).assign(blocking=True)[
        ["gate", "passed", "blocking", "detail"]
    ]


def explain_service(agreement: pd.DataFrame, bad: pd.DataFrame, latency: pd.DataFrame, required: pd.DataFrame) -> str:
    """Say in Markdown how the service did."""
    first, one, many = agreement.iloc[0], latency.iloc[0], latency.iloc[-1]
    said = (
        f"All {int(first['rows']):,} answers are those given offline"
        if first["equal"]
        else f"**{int(first['different'])} of {int(first['rows']):,} answers differ from those given offline**"
    )
    met = (
        f"{int(required['passed'].sum())} of {len(required)} requirements are met"
        if len(required)
        else "no limit was stated"
    )
    return (
        f"{said}. {int(bad['ok'].sum())} of {len(bad)} wrong or unusual requests are answered as they should be. One client "
        f"waits {one['p50_ms']:.1f} ms as a rule and {one['p95_ms']:.1f} ms in one case of twenty; "
        f"{int(many['clients'])} clients together get {many['throughput_rps']:.0f} answers a second. {met}."
    )


def summarize_service(version: str, agreement: pd.DataFrame, required: pd.DataFrame, gates: pd.DataFrame) -> str:
    """Return the headline of a deployment: limits and verdicts, which stay the same where times do not."""
    first = agreement.iloc[0]
    held = "all" if gates["passed"].all() else f"{int(gates['passed'].sum())} of {len(gates)}"
    limits = [
        f"{row['requirement']} {row['limit']:g} {'met' if row['passed'] else 'missed'}"
        for row in required.to_dict("records")
    ]
    return (
        f"{version} as a service: {int(first['rows'] - first['different']):,} of {int(first['rows']):,} answers equal offline "
        f"ones; {', '.join(limits) or 'no limit was stated'}; {held} checks hold."
    )
