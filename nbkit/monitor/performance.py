"""Is the model as good as it was: with labels, measured; without, estimated, beside the naive line."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from sklearn.isotonic import IsotonicRegression

from nbkit.errors import BadCriterion
from nbkit.model import Predictions, known_metrics, score
from nbkit.monitor.profile import Floats
from nbkit.stats import ALPHA, DETECTABLE, MATERIAL, TOLERANCE

UPPER = float(stats.norm.ppf(0.95))
KNOTS = ["score", "probability"]


def measure_performance(
    predictions: Predictions, reference: pd.DataFrame, *, metrics: Sequence[str] | None = None
) -> pd.DataFrame:
    """Score a window whose labels have come, and hold it against the scores at registration.

    Parameters
    ----------
    predictions
        Of the window; rows without a label are left out of them.
    reference
        The version's scores: index metric; value, low, high, better.
    metrics
        Of the reference; all that it holds by default.

    Returns
    -------
    DataFrame
        Index metric; reference, value, low, high, gain (how much better; negative: worse), p_value, bearable (the loss
        that is agreed to be), detectable (the loss that as many rows would show in 80 % of cases), level, n. *worse*:
        the loss is beyond chance (z test of the difference, both standard errors counted, p < 0.01) and more than is
        bearable (0.02 for ECE and bias of probabilities); *ok*: the upper end of the loss (95 %) is bearable; *watch*:
        bearable, but beyond chance; *inconclusive*: the loss may be more than is bearable, or there are too few rows
        for an interval; *not judged* where no label has come.

    Raises
    ------
    BadCriterion
        The reference holds none of the metrics.
    """
    task, labelled = predictions.task, len(predictions)
    scored = set(reference.index) & set(known_metrics(task))  # a table of scores may hold costs, too
    names = [name for name in (metrics or reference.index) if name in scored]
    if not names:
        raise BadCriterion(f"the reference scores hold none of {metrics}; they hold {', '.join(reference.index)}")
    nothing = pd.DataFrame(np.nan, index=names, columns=["value", "low", "high"])
    now = score(predictions, names) if labelled else nothing
    then = reference.loc[names]
    value, before = now["value"].reindex(names).to_numpy(float), then["value"].to_numpy(float)
    zero, lower = (then["better"] == "zero").to_numpy(), (then["better"] == "lower").to_numpy()
    bearable = TOLERANCE * np.abs(before)
    if task == "binary" and labelled:
        bearable = np.array([MATERIAL.get(name, size) for name, size in zip(names, bearable, strict=True)])
    change = np.where(lower, before - value, value - before)
    change = np.where(zero, np.abs(before) - np.abs(value), change)
    error = np.hypot(_standard_error(now.reindex(names)), np.nan_to_num(_standard_error(then)))
    p_value, level = _judge_losses(change, error, bearable, zero)
    facts = {"reference": before, "value": value, **now[["low", "high"]].reindex(names)}
    facts |= {"gain": change, "p_value": p_value, "bearable": bearable, "detectable": DETECTABLE * error}
    facts |= {"level": level if labelled else "not judged", "n": labelled}
    return pd.DataFrame(facts, index=pd.Index(names, name="metric"))


def _judge_losses(change: Floats, error: Floats, bearable: Floats, zero: NDArray[np.bool_]) -> tuple[Floats, Any]:
    """Return the p value of each loss, and its level."""
    with np.errstate(invalid="ignore", divide="ignore"):
        certain = np.where(change == 0, 0.0, np.sign(change) * np.inf)
        p_value = stats.norm.cdf(np.where(error > 0, change / error, certain))
        p_value = np.where(zero, np.minimum(1.0, 2 * p_value), p_value)
        most = UPPER * error - change  # the upper end of the loss
        level = np.where(most <= bearable, np.where(p_value < ALPHA, "watch", "ok"), "inconclusive")
        level = np.where((p_value < ALPHA) & (-change > bearable), "worse", level)
    return np.where(np.isnan(error), np.nan, p_value), np.where(np.isnan(change + error), "inconclusive", level)


def fit_calibration(predictions: Predictions) -> pd.DataFrame:
    """Learn from labelled reference rows which probability a score really stands for (binary).

    Returns
    -------
    DataFrame
        score, probability: the knots of an isotonic regression, to be interpolated; kept in the bundle.
    """
    hits, scores = predictions.truth.astype(float), predictions.score
    fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(scores, hits)
    return pd.DataFrame({"score": fitted.X_thresholds_, "probability": fitted.y_thresholds_}, columns=KNOTS)


def estimate_performance(
    p: Any, calibration: pd.DataFrame, reference: pd.DataFrame | None = None, *, threshold: float = 0.5
) -> pd.DataFrame:
    """Estimate a binary model's performance on a window without labels (CBPE).

    Each score is read as the probability that `calibration` gives it, and the confusion table is filled with expected
    counts. **Valid only while P(y|x) holds**: where the relation itself changed (concept drift), the estimate is too
    good. So it stands beside the naive line, *as in the reference*, and never silences a measured loss.

    Parameters
    ----------
    p
        Probability of the positive class in the window.
    calibration
        From `fit_calibration`.
    reference
        The version's scores (index metric; value) for the naive line.
    threshold
        From which probability the positive class is predicted.

    Returns
    -------
    DataFrame
        Index metric (roc_auc, accuracy, precision, recall, f1); estimated, naive, change.

    References
    ----------
    Białek, J., Kuberski, W., Perrakis, N. and Bifet, A. (2024). Estimating model performance under covariate shift
    without labels. arXiv:2401.08348.
    """
    scores = np.asarray(p, float)
    scores = scores[~np.isnan(scores)]
    chance = np.interp(scores, calibration["score"], calibration["probability"])
    table = pd.DataFrame({"estimated": _expected_scores(scores, chance, threshold)}).rename_axis("metric")
    naive = reference["value"] if reference is not None else pd.Series(dtype=float)
    table["naive"] = naive.reindex(table.index).astype(float)
    return table.assign(change=table["estimated"] - table["naive"])


def _expected_scores(scores: Floats, chance: Floats, threshold: float) -> dict[str, float]:
    said = scores >= threshold
    tp, fp = chance[said].sum(), (1 - chance[said]).sum()
    fn, tn = chance[~said].sum(), (1 - chance[~said]).sum()
    groups = pd.DataFrame({"hit": chance, "miss": 1 - chance}).groupby(scores).sum().iloc[::-1]  # ties are one step
    hits, misses = np.append(0, groups["hit"].cumsum()), np.append(0, groups["miss"].cumsum())
    area = float(np.trapezoid(hits, misses))

    parts = {"roc_auc": (area, hits[-1] * misses[-1]), "accuracy": (tp + tn, len(scores)), "precision": (tp, tp + fp)}
    parts |= {"recall": (tp, tp + fn), "f1": (2 * tp, 2 * tp + fp + fn)}
    return {name: float(part / whole) if whole > 0 else float("nan") for name, (part, whole) in parts.items()}


def _standard_error(scores: pd.DataFrame) -> Floats:
    """Read a standard error off a 95 % interval; NaN where there is none."""
    if not {"low", "high"} <= set(scores.columns):
        return np.full(len(scores), np.nan)
    width = (scores["high"] - scores["low"]).to_numpy(float)
    return np.asarray(width / (2 * stats.norm.ppf(0.975)), dtype=float)
