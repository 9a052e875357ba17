"""The headline of an evaluation: one sentence, every number from the tables."""

import pandas as pd

from nbkit.model.headlines import BASELINES, say_interval, say_limits
from nbkit.wording import say_count


def summarize_evaluation(scores: pd.DataFrame, comparison: pd.DataFrame, verdicts: pd.DataFrame) -> str:
    """Return the headline of an evaluation.

    Parameters
    ----------
    scores
        From `nbkit.model.score`, the metric that decides first.
    comparison
        From `nbkit.model.compare`, with what is done today; its `name` in `attrs`, "today's rule" if it has none.
    verdicts
        From `nbkit.evaluation.judge`.
    """
    metric, score, against = scores.index[0], scores.iloc[0], comparison.loc[scores.index[0]]
    passed = (verdicts["verdict"] == "pass").sum()
    met = f"{passed} of {say_count(len(verdicts), 'criterion')} met" if len(verdicts) else "no criteria"
    said = f"On {int(score['n']):,} test rows {metric} is {say_interval(score)}"
    if pd.notna(against["difference"]):
        today = comparison.attrs.get("name", BASELINES["rule"])
        said += f", {today} {against['reference']:.3f}, difference {against['difference']:+.3f}"
        said += say_limits(against, " (", "+.3f", ")")
    return f"{said}; {met}."
