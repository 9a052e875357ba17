"""Calibration: of the cases that were said to happen in 30 %, 30 % should happen."""

import numpy as np
import pandas as pd

from nbkit.model.ece import bin_scores
from nbkit.model.predictions import Predictions
from nbkit.stats import Array, bound_shares, t_quantile

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
    n, observed, _, low, high = bound_shares(truth, place, int(place.max(initial=-1)) + 1, blocks)
    if not len(n):
        return pd.DataFrame(columns=COLUMNS, dtype=float)
    predicted = np.bincount(place, weights=score) / n
    if not share:
        alike = np.arange(len(truth)) if blocks is None else blocks
        cells = pd.Series(truth - observed[place]).groupby([place, alike]).sum()
        units = cells.groupby(level=0).size().to_numpy()
        errors = np.array([t_quantile(free) if free > 0 else np.nan for free in units - 1.0])
        square = (cells**2).groupby(level=0).sum().to_numpy() * units / np.maximum(units - 1, 1)
        half = errors * np.sqrt(square) / n
        low, high = observed - half, observed + half
    parts = (np.arange(1, len(n) + 1), predicted, observed, low, high, n)
    return pd.DataFrame(dict(zip(COLUMNS, parts, strict=True)))
