"""What a model has to beat: the same answer for every row, and today's rule, the mean of the target in each group."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype
from sklearn.base import BaseEstimator, ClassifierMixin, OneToOneFeatureMixin, RegressorMixin, TransformerMixin, clone
from sklearn.dummy import DummyClassifier, DummyRegressor

from nbkit.errors import BadModel
from nbkit.problem import Problem
from nbkit.stats import Array
from nbkit.wording import suggest

LEVELS = 60  # a numeric column with more distinct values is cut at its quantiles
SEPARATOR = "\x1f"


class GroupRate(BaseEstimator):  # type: ignore[misc]
    """Mean of the target per group, drawn to the overall mean where a group is small.

    Parameters
    ----------
    by
        Raw columns that make the groups; a numeric column with more than 60 distinct values is cut into `bins`.
    shrink
        Rows of overall mean that are added to each group; a group not seen in training gets the overall mean.
    bins
        Quantile bins of a numeric column.
    """

    def __init__(self, by: Sequence[str], shrink: float = 20.0, bins: int = 10) -> None:
        self.by = by
        self.shrink = shrink
        self.bins = bins

    def _fit(self, X: pd.DataFrame, target: Array) -> None:
        """Learn the mean of each column of `target` (n, outputs) per group."""
        self.columns_ = [self.by] if isinstance(self.by, str) else list(self.by)
        self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        self._find_columns(X)
        self.edges_ = {name: self._find_edges(X[name]) for name in self.columns_}
        self.overall_ = target.mean(axis=0)
        codes, keys = pd.factorize(self._keys(X))
        count = np.bincount(codes, minlength=len(keys))[:, None]
        total = np.stack([np.bincount(codes, weights=column, minlength=len(keys)) for column in target.T], axis=1)
        self.keys_ = [str(key) for key in keys]
        self.rates_ = (total + self.shrink * self.overall_) / (count + self.shrink)

    def _rates(self, X: pd.DataFrame) -> Array:
        self._find_columns(X)
        place = pd.Index(self.keys_, dtype=object).get_indexer(pd.Index(self._keys(X), dtype=object))
        return np.asarray(np.where((place >= 0)[:, None], self.rates_[place], self.overall_))

    def _find_columns(self, X: pd.DataFrame) -> None:
        if not self.columns_:
            raise BadModel("the rule groups by no column; name some in 01_frame, such as rule: [region, month]")
        missing = [name for name in self.columns_ if name not in X.columns]
        if missing:
            raise BadModel(
                f"the rule groups by {', '.join(map(repr, missing))}, which the table has not; "
                f"in 01_frame write rule: [column, …]{suggest(missing[0], X.columns)}"
            )

    def _find_edges(self, column: pd.Series) -> list[float]:
        if not is_numeric_dtype(column) or column.nunique() <= LEVELS:
            return []
        cuts = np.linspace(0, 1, self.bins + 1)[1:-1]
        return [float(edge) for edge in np.unique(np.nanquantile(column.to_numpy(dtype=float, na_value=np.nan), cuts))]

    def _keys(self, X: pd.DataFrame) -> Array:
        keys = np.full(len(X), "", dtype=object)
        for name in self.columns_:
            column = X[name]
            if self.edges_[name]:
                place = np.digitize(column.to_numpy(dtype=float, na_value=np.nan), np.asarray(self.edges_[name]))
                column = pd.Series(place, index=column.index).where(column.notna())
            if is_numeric_dtype(column):  # 1, 1.0 and True are one group, whatever missing values made of the dtype
                column = column.astype("Float64").astype(object)
            keys = keys + SEPARATOR + column.astype(object).where(column.notna(), "").astype(str).to_numpy(dtype=object)
        return keys


class GroupRateClassifier(ClassifierMixin, GroupRate):  # type: ignore[misc]
    """Class shares per group of raw columns, drawn to the overall shares where a group is small.

    Parameters
    ----------
    by, shrink, bins
        As in `GroupRate`.

    Examples
    --------
    >>> X = pd.DataFrame({"carrier": ["a", "a", "b", "b"]})
    >>> rule = GroupRateClassifier(["carrier"], shrink=2).fit(X, [0, 0, 0, 1])
    >>> rule.predict_proba(pd.DataFrame({"carrier": ["a", "b", "new"]}))[:, 1].tolist()
    [0.125, 0.375, 0.25]
    """

    def fit(self, X: pd.DataFrame, y: Any) -> Self:
        """Learn the share of each class in each group."""
        self.classes_, codes = np.unique(np.asarray(y), return_inverse=True)
        self._fit(X, np.eye(len(self.classes_))[codes])
        return self

    def predict_proba(self, X: pd.DataFrame) -> Array:
        """Return (n, classes) shares."""
        return self._rates(X)

    def predict(self, X: pd.DataFrame) -> Array:
        """Return the most frequent class of each row's group."""
        return np.asarray(self.classes_[self._rates(X).argmax(axis=1)])


class GroupRateRegressor(RegressorMixin, GroupRate):  # type: ignore[misc]
    """Mean target per group of raw columns, drawn to the overall mean where a group is small.

    Parameters
    ----------
    by, shrink, bins
        As in `GroupRate`.
    """

    def fit(self, X: pd.DataFrame, y: Any) -> Self:
        """Learn the mean of each group."""
        self._fit(X, np.asarray(y, dtype=float)[:, None])
        return self

    def predict(self, X: pd.DataFrame) -> Array:
        """Return the mean of each row's group."""
        return self._rates(X)[:, 0]


def make_baselines(problem: Problem, rule: Any = ()) -> dict[str, Any]:
    """Make what every model has to beat.

    Parameters
    ----------
    problem
        What is predicted.
    rule
        The columns of the rule in use today: the usual answer for each combination; or a dict with `by` and perhaps
        `shrink` and `bins`, as in `GroupRate`. Without columns the rule says the same for every row.

    Returns
    -------
    dict
        ``dummy`` and ``rule``, unfitted, from raw rows.

    Raises
    ------
    BadModel
        If the rule cannot be read.
    """
    dummy = DummyClassifier(strategy="prior") if problem.is_classification else DummyRegressor()
    by = [rule] if isinstance(rule, str) else rule
    spec: dict[str, Any] = dict(by) if isinstance(by, Mapping) else {"by": list(by or ())}
    if unknown := sorted(set(spec) - {"by", "shrink", "bins"}):
        raise BadModel(f"a rule has `by` (columns), shrink and bins, not {', '.join(unknown)}")
    if not spec.get("by"):
        return {"dummy": dummy, "rule": clone(dummy)}
    return {"dummy": dummy, "rule": (GroupRateClassifier if problem.is_classification else GroupRateRegressor)(**spec)}


class FillEmpty(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Put 0 into columns that had no value in training, which boosted trees cannot bin; other gaps stay.

    Examples
    --------
    >>> FillEmpty().fit_transform(np.array([[1.0, np.nan], [np.nan, np.nan]])).tolist()
    [[1.0, 0.0], [nan, 0.0]]
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the columns without any value."""
        values = np.asarray(X, dtype=float)
        self.empty_ = np.flatnonzero(np.isnan(values).all(axis=0))
        self.n_features_in_ = values.shape[1]
        return self

    def transform(self, X: Any) -> Array:
        """Return the values, those columns filled."""
        values = np.asarray(X, dtype=float)
        if len(self.empty_):
            values = values.copy()
            values[:, self.empty_] = 0.0
        return values
