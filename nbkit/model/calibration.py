"""Calibration: of the cases that were said to happen in 30 %, 30 % should happen."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logit
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from nbkit.model.intervals import Array, Z, percentile_interval, wilson_interval
from nbkit.model.outcome import Outcome, prepare

EDGE = 1e-9


def calibration_table(y: Any, p: Any, *, bins: int = 10, task: str | None = None, positive: Any = None) -> pd.DataFrame:
    """Compare what was predicted with what was observed, in bins of equally many rows.

    Parameters
    ----------
    y, p
        Truth and predictions, as `nbkit.model.predict` returns them.
    bins
        At most so many; equal predictions stay in one bin.
    task, positive
        Of the problem; guessed if None.

    Returns
    -------
    DataFrame
        Columns `bin` (from 1, rising predictions), `predicted`, `observed` (means), `low`, `high` (of `observed`, 95 %:
        Wilson's interval for shares, the normal one for a regression), `n`; multi-class also `class`, each against the
        rest.
    """
    outcome = prepare(y, p, task=task, positive=positive)
    if outcome.task != "multiclass":
        return _bin(outcome.truth.astype(float), outcome.score, bins, share=outcome.task == "binary")
    parts = [
        _bin((outcome.truth == code).astype(float), outcome.score[:, code], bins, share=True).assign(
            **{"class": str(name)}
        )
        for code, name in enumerate(outcome.classes)
    ]
    return pd.concat(parts, ignore_index=True)


def ece(y: Any, p: Any, *, bins: int = 10, positive: Any = None) -> float:
    """Return the expected calibration error: the mean gap of predicted and observed over bins of equally many rows.

    Parameters
    ----------
    y, p
        Truth and probabilities (binary).
    bins
        Bins.
    positive
        The positive class.

    Returns
    -------
    float
        In [0, 1]. Even a perfect model has one above 0: `summarize_calibration` says how large.

    References
    ----------
    Naeini, M. P., Cooper, G. F., Hauskrecht, M. (2015). Obtaining well calibrated probabilities using Bayesian
    binning. AAAI 29, 2901-2907.

    Examples
    --------
    >>> ece([0, 1, 0, 1], [0.5, 0.5, 0.5, 0.5], bins=1)
    0.0
    """
    outcome = prepare(y, p, task="binary", positive=positive)
    return float(_ece(outcome.truth[None].astype(float), outcome.score, bins)[0]) if len(outcome) else np.nan


def spiegelhalter_z(y: Any, p: Any, *, positive: Any = None) -> float:
    """Return Spiegelhalter's z, standard normal if the probabilities are right.

    Parameters
    ----------
    y, p, positive
        As in `ece`.

    Returns
    -------
    float
        Beyond ±1.96 the probabilities are off; NaN if every probability is 0, ½ or 1.

    References
    ----------
    Spiegelhalter, D. J. (1986). Probabilistic prediction in patient management and clinical trials. Statistics in
    Medicine 5, 421-433.
    """
    outcome = prepare(y, p, task="binary", positive=positive)
    p, weight = outcome.score, 1 - 2 * outcome.score
    spread = np.sqrt(np.sum(weight**2 * p * (1 - p)))
    return float(np.sum((outcome.truth - p) * weight) / spread) if spread > 0 else np.nan


def calibration_line(y: Any, p: Any, *, positive: Any = None) -> tuple[float, float]:
    """Return slope and intercept of the truth on the log-odds of the predictions.

    Parameters
    ----------
    y, p, positive
        As in `ece`.

    Returns
    -------
    slope, intercept
        1 and 0 if the probabilities are right; a slope below 1 says that they are too extreme. NaN for one class.

    References
    ----------
    Cox, D. R. (1958). Two further applications of a model for binary regression. Biometrika 45, 562-565.
    """
    outcome = prepare(y, p, task="binary", positive=positive)
    odds = logit(np.clip(outcome.score, EDGE, 1 - EDGE))
    if len(np.unique(outcome.truth)) < 2 or np.ptp(odds) == 0:
        return np.nan, np.nan
    line = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(odds[:, None], outcome.truth)
    return float(line.coef_[0, 0]), float(line.intercept_[0])


def summarize_calibration(
    y: Any, p: Any, *, bins: int = 10, positive: Any = None, seed: int = 0, draws: int = 500
) -> pd.DataFrame:
    """Say how well probabilities are calibrated, each number beside what a perfect model would show (binary).

    Parameters
    ----------
    y, p, bins, positive
        As in `ece`.
    seed, draws
        Of the simulation: truths drawn from the predicted probabilities.

    Returns
    -------
    DataFrame
        Index `statistic`: `ece`, `ece_excess` (above the median of a perfect model), `spiegelhalter_z`, `slope`,
        `intercept`, `in_the_large` (mean predicted − observed). Columns `value`, `low`, `high` (the middle 95 % of a
        perfect model), `usual` (is the value within?) and `words`.
    """
    outcome = prepare(y, p, task="binary", positive=positive)
    score, rng = outcome.score, np.random.default_rng(seed)
    step = max(1, 2_000_000 // max(len(score), 1))
    null_ece, null_large = [np.empty(0)], [np.empty(0)]
    for start in range(0, draws if len(score) else 0, step):
        truths = (rng.random((min(step, draws - start), len(score))) < score).astype(float)
        null_ece.append(_ece(truths, score, bins))
        null_large.append(score.mean() - truths.mean(axis=1))
    errors, large = np.concatenate(null_ece), np.concatenate(null_large)
    value = float(_ece(outcome.truth[None].astype(float), score, bins)[0]) if len(score) else np.nan
    middle = float(np.median(errors)) if len(errors) else np.nan
    slope, intercept = calibration_line(outcome.truth, score, positive=True)
    rows = [
        ("ece", value, *percentile_interval(errors), "mean gap of stated and observed share"),
        ("ece_excess", value - middle, *percentile_interval(errors - middle), "that gap beyond what chance makes"),
        (
            "spiegelhalter_z",
            spiegelhalter_z(outcome.truth, score, positive=True),
            -Z,
            Z,
            "0 if probabilities are right",
        ),
        ("slope", slope, *_line_limits(outcome, 1.0), "below 1: too extreme; above 1: too timid"),
        ("intercept", intercept, *_line_limits(outcome, 0.0), "below 0: says too much; above 0: too little"),
        ("in_the_large", _gap(outcome), *percentile_interval(large), "mean predicted minus observed share"),
    ]
    table = pd.DataFrame(rows, columns=["statistic", "value", "low", "high", "words"]).set_index("statistic")
    table.insert(3, "usual", (table["value"] >= table["low"]) & (table["value"] <= table["high"]))
    return table


def _gap(outcome: Outcome) -> float:
    return float(outcome.score.mean() - outcome.truth.mean()) if len(outcome) else np.nan


def _line_limits(outcome: Outcome, expected: float) -> tuple[float, float]:
    """Return the limits of slope (expected 1) or intercept (0) of a perfect model, by its Fisher information."""
    p = outcome.score
    odds, weight = logit(np.clip(p, EDGE, 1 - EDGE)), p * (1 - p)
    information = np.array([[weight.sum(), weight @ odds], [weight @ odds, weight @ odds**2]])
    if not len(p) or np.linalg.cond(information) > 1e12:
        return np.nan, np.nan
    half = norm.ppf(0.975) * np.sqrt(np.linalg.inv(information)[int(expected), int(expected)])
    return float(expected - half), float(expected + half)


def _ece(truths: Array, score: Array, bins: int) -> Array:
    """Return the error of each row of truths (d, n)."""
    order = np.argsort(score, kind="stable")
    starts = np.unique(np.arange(bins) * len(score) // bins)
    gaps = np.add.reduceat((truths - score)[:, order], starts, axis=1)
    return np.asarray(np.abs(gaps).sum(axis=1) / len(score))


def _bin(truth: Array, score: Array, bins: int, *, share: bool) -> pd.DataFrame:
    edges = np.unique(np.quantile(score, np.linspace(0, 1, bins + 1)[1:-1], method="higher")) if len(score) else score
    place = np.searchsorted(edges, score, side="right")
    frame = pd.DataFrame({"bin": place, "predicted": score, "observed": truth})
    table = frame.groupby("bin").agg(
        predicted=("predicted", "mean"),
        observed=("observed", "mean"),
        spread=("observed", "std"),
        n=("observed", "size"),
    )
    if share:
        low, high = wilson_interval(table["observed"] * table["n"], table["n"])
    else:
        half = Z * table["spread"] / np.sqrt(table["n"])
        low, high = (table["observed"] - half).to_numpy(), (table["observed"] + half).to_numpy()
    table = table.assign(bin=np.arange(1, len(table) + 1), low=low, high=high)
    return table[["bin", "predicted", "observed", "low", "high", "n"]].reset_index(drop=True)
