"""Calibration: of the cases that were said to happen in 30 %, 30 % should happen."""

import numpy as np
import pandas as pd

from nbkit.model.ece import bin_scores
from nbkit.model.predictions import Predictions
from nbkit.stats import Array, bound_means, bound_shares

COLUMNS = ["bin", "predicted", "observed", "low", "high", "n"]


def calibration_table(predictions: Predictions, *, bins: int = 10) -> pd.DataFrame:
    """Compare what was predicted with what was observed, in bins of equally many rows.

    Parameters
    ----------
    predictions
        Rows of one block are alike: the intervals allow for it.
    bins
        At most so many; equal predictions stay in one bin. The calibration error (ece) uses the same bins, always 10.

    Returns
    -------
    DataFrame
        Columns `bin` (from 1, rising predictions), `predicted`, `observed` (means), `low`, `high` (of `observed`, 95 %
        each: Wilson's interval for shares, Student's for a regression, of as many blocks as there are; NaN for a single
        one), `n`; multi-class also `class`, each against the rest.

    References
    ----------
    Korn, E. L. and Graubard, B. I. (1998). Confidence intervals for proportions with small expected number of positive
    counts estimated from survey data. Survey Methodology 24, 193-201.
    """
    o = predictions
    if o.task != "multiclass":
        return _bin(o.truth.astype(float), o.score, bins, o.blocks, share=o.task == "binary")
    parts = []
    for code, name in enumerate(o.classes):
        part = _bin((o.truth == code).astype(float), o.score[:, code], bins, o.blocks, share=True)
        parts.append(part.assign(**{"class": str(name)}))
    return pd.concat(parts, ignore_index=True)


def _bin(truth: Array, score: Array, bins: int, blocks: Array | None, *, share: bool) -> pd.DataFrame:
    place = bin_scores(score, bins)
    bound = bound_shares if share else bound_means
    n, observed, _, low, high = bound(truth, place, int(place.max(initial=-1)) + 1, blocks)
    if not len(n):
        return pd.DataFrame(columns=COLUMNS, dtype=float)
    predicted = np.bincount(place, weights=score) / n
    parts = (np.arange(1, len(n) + 1), predicted, observed, low, high, n)
    return pd.DataFrame(dict(zip(COLUMNS, parts, strict=True)))
