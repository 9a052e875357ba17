"""The candidates: one entry each, from the dummy and today's rule to boosted trees."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from nbkit.errors import BadModel
from nbkit.model.grouprate import GroupRateClassifier, GroupRateRegressor
from nbkit.model.intervals import Array
from nbkit.model.outcome import check_task
from nbkit.wording import suggest


@dataclass(frozen=True)
class Candidate:
    """A kind of model that can be trained.

    Attributes
    ----------
    name
        As in params files.
    words
        What it is, for a layman.
    make
        Function of the problem (`task`, `seed`, `class_weight`, `rule` by name) that returns an unfitted estimator.
    reads
        "raw" (the rows as they are), "encoded" (the recipe's columns) or "onehot" (those, codes spread out, scaled).
    grid
        Parameter of the estimator to the values that a search tries.
    """

    name: str
    words: str
    make: Callable[..., Any]
    reads: str = "encoded"
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)


class OneHotRecipe(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A recipe for linear models: codes become one column per level, gaps are filled, numbers are scaled.

    Parameters
    ----------
    recipe
        An unfitted transformer from raw rows to a table of floats; its `categorical_` names the columns of codes.
    min_frequency
        Levels rarer than this share are pooled.
    """

    def __init__(self, recipe: Any, min_frequency: float = 0.01) -> None:
        self.recipe = recipe
        self.min_frequency = min_frequency

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:
        """Fit the recipe, then the encoding of its columns."""
        self.fit_transform(X, y)
        return self

    def fit_transform(self, X: pd.DataFrame, y: Any = None, **_: Any) -> Array:
        """Fit on the recipe's own training output, which is cross-fitted where a feature uses the target."""
        self.recipe_ = clone(self.recipe)
        encoded = as_table(self.recipe_.fit_transform(X, y), self.recipe_)
        codes = [name for name in encoded.columns if name in set(getattr(self.recipe_, "categorical_", ()))]
        numbers = [name for name in encoded.columns if name not in codes]
        onehot = OneHotEncoder(
            handle_unknown="infrequent_if_exist", min_frequency=self.min_frequency, sparse_output=False
        )
        scaled = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
        self.encoder_ = ColumnTransformer([("code", onehot, codes), ("number", scaled, numbers)])
        filled = np.asarray(self.encoder_.fit_transform(encoded), dtype=float)
        levels = [] if not codes else self.encoder_.named_transformers_["code"].get_feature_names_out(codes)
        owners = [name for name in codes for _ in range(self._width(name, codes))] + numbers
        self.names_ = [*map(str, levels), *numbers]
        raw = getattr(self.recipe_, "sources_", {})
        self.sources_ = {new: list(raw.get(old, [old])) for new, old in zip(self.names_, owners, strict=True)}
        return filled

    def _width(self, name: str, codes: list[str]) -> int:
        encoder = self.encoder_.named_transformers_["code"]
        place = codes.index(name)
        rare = encoder.infrequent_categories_[place]
        return len(encoder.categories_[place]) - (0 if rare is None else len(rare) - 1)

    def transform(self, X: pd.DataFrame) -> Array:
        """Return a matrix of floats without gaps."""
        return np.asarray(self.encoder_.transform(as_table(self.recipe_.transform(X), self.recipe_)), dtype=float)

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Return the names of the columns."""
        return np.asarray(self.names_, dtype=object)


class FillEmpty(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Put 0 into columns that had no value in training, which boosted trees cannot bin; other gaps stay."""

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:
        """Find the columns without any value."""
        table = as_table(X)
        self.empty_ = [str(name) for name in table.columns if table[name].isna().all()]
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return the table, those columns filled."""
        return as_table(X).assign(**dict.fromkeys(self.empty_, 0.0))


def as_table(encoded: Any, recipe: Any = None) -> pd.DataFrame:
    """Return a transformer's output with column names."""
    if isinstance(encoded, pd.DataFrame):
        return encoded
    names = recipe.get_feature_names_out() if hasattr(recipe, "get_feature_names_out") else range(encoded.shape[1])
    return pd.DataFrame(np.asarray(encoded), columns=[str(name) for name in names])


def make_candidate(
    name: str,
    recipe: Any,
    *,
    task: str,
    seed: int = 0,
    class_weight: Any = None,
    rule: Any = None,
    params: Mapping[str, Any] | None = None,
) -> Pipeline:
    """Make an unfitted pipeline from raw rows to predictions.

    Parameters
    ----------
    name
        One of `CANDIDATES`.
    recipe
        An unfitted transformer; it is copied.
    task
        "binary", "multiclass" or "regression".
    seed
        For what the estimator draws at random.
    class_weight
        For classifiers: None, "balanced" or a dict; with weights, probabilities are no longer those of the data.
    rule
        Of the candidate ``rule``: the columns to group by, or a dict with `by` and perhaps `shrink` and `bins`. Without
        columns it says the same for every row.
    params
        Parameters of the estimator, as in its grid.

    Raises
    ------
    BadModel
        If there is no such candidate, or no such parameter.
    """
    check_task(task)
    candidate = find_candidate(name)
    estimator = candidate.make(task=task, seed=seed, class_weight=class_weight, rule=rule)
    known = estimator.get_params()
    for key in params or {}:
        if key not in known:
            raise BadModel(f"candidate {name!r} has no parameter {key!r}{suggest(key, known, most=40)}")
    estimator.set_params(**(params or {}))
    if candidate.reads == "raw":
        return Pipeline([("model", estimator)])
    if candidate.reads == "onehot":
        return Pipeline([("recipe", OneHotRecipe(clone(recipe))), ("model", estimator)])
    return Pipeline([("recipe", clone(recipe)), ("gaps", FillEmpty()), ("model", estimator)])


def find_candidate(name: str) -> Candidate:
    """Return a candidate, or say which is nearest."""
    if name in CANDIDATES:
        return CANDIDATES[name]
    raise BadModel(f"no candidate {name!r}{suggest(name, CANDIDATES)}")


def _make_dummy(*, task: str, **_: Any) -> Any:
    return DummyRegressor() if task == "regression" else DummyClassifier(strategy="prior")


def _make_rule(*, task: str, rule: Any, **_: Any) -> Any:
    spec: dict[str, Any] = (
        dict(rule) if isinstance(rule, Mapping) else {"by": [rule] if isinstance(rule, str) else list(rule or ())}
    )
    unknown = sorted(set(spec) - {"by", "shrink", "bins"})
    if unknown:
        raise BadModel(f"a rule has `by` (columns), shrink and bins, not {', '.join(unknown)}")
    if not spec.get("by"):  # no rule is in use: the same answer for every row
        return _make_dummy(task=task)
    return (GroupRateRegressor if task == "regression" else GroupRateClassifier)(**spec)


def _make_linear(*, task: str, seed: int, class_weight: Any, **_: Any) -> Any:
    if task == "regression":
        return Ridge()
    return LogisticRegression(max_iter=1000, class_weight=class_weight, random_state=seed)


def _make_forest(*, task: str, seed: int, class_weight: Any, **_: Any) -> Any:
    if task == "regression":
        return RandomForestRegressor(n_estimators=100, min_samples_leaf=3, max_features=0.5, random_state=seed)
    return RandomForestClassifier(n_estimators=100, min_samples_leaf=5, class_weight=class_weight, random_state=seed)


def _make_boosting(*, task: str, seed: int, class_weight: Any, **_: Any) -> Any:
    # categorical_features=None: codes are numbers, which loses nothing (and shap reads such trees exactly)
    if task == "regression":
        return HistGradientBoostingRegressor(categorical_features=None, random_state=seed)
    return HistGradientBoostingClassifier(categorical_features=None, class_weight=class_weight, random_state=seed)


CANDIDATES: dict[str, Candidate] = {
    candidate.name: candidate
    for candidate in (
        Candidate("dummy", "says the same for every row: what the target is on average", _make_dummy, "raw"),
        Candidate("rule", "the rule in use today: the average of each group", _make_rule, "raw"),
        Candidate("linear", "a weighted sum of the features", _make_linear, "onehot", {}),
        Candidate(
            "forest",
            "the mean of many trees, each grown on a sample",
            _make_forest,
            grid={"min_samples_leaf": (1, 3, 10, 30), "max_features": (0.2, 0.5, 1.0), "max_depth": (None, 8, 16)},
        ),
        Candidate(
            "boosting",
            "many small trees, each mending what the ones before got wrong",
            _make_boosting,
            grid={
                "learning_rate": (0.03, 0.06, 0.1, 0.2),
                "max_leaf_nodes": (7, 15, 31, 63),
                "min_samples_leaf": (10, 20, 50, 200),
                "l2_regularization": (0.0, 1.0, 10.0),
                "max_iter": (100, 200, 400),
            },
        ),
    )
}
