"""What a monitor keeps of a reference, and the sentences that read what it found in a window."""

from typing import Any

import pandas as pd

from nbkit.monitor.check import Monitoring
from nbkit.monitor.performance import fit_calibration
from nbkit.monitor.profile import make_profile
from nbkit.wording import say_count

DECISIONS = {
    "ok": "The model may stay as it is.",
    "look": "A person should look before anything is done.",
    "retrain": "Train again on recent rows, and let it compete with the model in use.",
}


def profile_reference(rows: pd.DataFrame, p: Any, *, task: str) -> pd.DataFrame:
    """Make the profile of reference rows and of the model's answers to them, which `check_window` compares with.

    Parameters
    ----------
    rows
        Raw rows of the time when all was well.
    p
        The model's predictions for them.
    task
        For several classes the answers are left out of the profile.
    """
    return make_profile(rows if task == "multiclass" else rows.assign(prediction=p))


def fit_reference(y: Any, p: Any, *, task: str, positive: Any = None) -> dict[str, pd.DataFrame]:
    """Return the bundle's ``calibration`` where performance can be estimated without labels (binary), else nothing."""
    return {"calibration": fit_calibration(y, p, positive=positive)} if task == "binary" else {}


def explain_window(found: Monitoring) -> str:
    """Say in Markdown what to do about a window and why."""
    decision = found.decision
    reasons = "".join(f"\n- {sentence}" for sentence in say_reasons(decision.reasons))
    return f"**{decision.decision.upper()}**: {DECISIONS[decision.decision]}{reasons}"


def say_reasons(reasons: pd.DataFrame, most: int = 5) -> list[str]:
    """Say each finding with its evidence and what to do: the table of a `Decision` in sentences."""
    return [
        f"{row['finding']}: {row['evidence']}; to do: {row['action']}" for row in reasons.head(most).to_dict("records")
    ]


def summarize_window(found: Monitoring, version: str, window: str, *, metric: str) -> str:
    """Return the headline of a monitored window."""
    row: Any = found.summary.iloc[0]
    measured = found.performance[found.performance.index == metric]
    said = ""
    if len(measured):
        score: Any = measured.iloc[0]
        said = (
            f" {metric} {score['value']:.3f} ({score['low']:.3f} to {score['high']:.3f}), reference "
            f"{score['reference']:.3f};"
        )
    return (
        f"{found.decision.decision}: {version} on {int(row['rows']):,} rows of {window or 'the first window'}:{said} "
        f"{say_count(row['drifted'], 'column')} drifted{' and so did the prediction' if row['moved'] else ''}, "
        f"{say_count(row['violations'], 'violation')}."
    )
