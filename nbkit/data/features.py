"""What the model sees: one transformer from raw rows to named numbers."""

import importlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.model_selection import KFold
from sklearn.preprocessing import TargetEncoder
from sklearn.utils.validation import check_is_fitted

from nbkit.errors import BadFeature
from nbkit.wording import suggest

DATE_PARTS: dict[str, Callable[[Any], Any]] = {
    "year": lambda dates: dates.year,
    "quarter": lambda dates: dates.quarter,
    "month": lambda dates: dates.month,
    "week": lambda dates: dates.isocalendar().week,
    "day": lambda dates: dates.day,
    "dayofyear": lambda dates: dates.day_of_year,
    "weekday": lambda dates: dates.day_of_week,
    "is_weekend": lambda dates: dates.day_of_week >= 5,
    "hour": lambda dates: dates.hour,
    "minute": lambda dates: dates.minute,
}


class Recipe(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Turn raw rows into a DataFrame of floats; declare it with `declare_features`.

    One column in gives one column out, but for cyclical and custom features. Text becomes ordinal codes, the
    commonest level 0; a level that was not seen in training, a missing value and infinity become NaN. One row alone
    gives the same numbers as among many. Columns that are not named are ignored.

    Parameters
    ----------
    numeric, categorical, target_encoded
        Lists of columns.
    datetime
        Column to parts of the date.
    cyclical
        Column, or a part such as ``when_hour``, to its period.
    ordinal
        Column to its levels in order.
    interactions
        Lists of columns: the product of numbers, the combination of categories.
    custom
        Dicts ``{class:, columns:, args:}`` of transformers, in modules that are installed or lie in the project's root.
        Outputs are named by ``get_feature_names_out``; without it, by the DataFrame that ``transform`` returns, or like
        the columns where there are as many, or by the class and a number. A name that is taken gets the class in front.
    seed
        Of the folds in which the target encoding is fitted.

    Attributes
    ----------
    sources_ : dict
        Output column to the raw columns that it is made of.
    categorical_ : dict
        Output column of codes to its levels: code 0 is the first.
    """

    def __init__(
        self,
        numeric: Sequence[str] = (),
        categorical: Sequence[str] = (),
        datetime: Mapping[str, Sequence[str]] | None = None,
        cyclical: Mapping[str, float] | None = None,
        ordinal: Mapping[str, Sequence[Any]] | None = None,
        target_encoded: Sequence[str] = (),
        interactions: Sequence[Sequence[str]] = (),
        custom: Sequence[Mapping[str, Any]] = (),
        seed: int = 0,
    ) -> None:
        self.numeric = numeric
        self.categorical = categorical
        self.datetime = datetime
        self.cyclical = cyclical
        self.ordinal = ordinal
        self.target_encoded = target_encoded
        self.interactions = interactions
        self.custom = custom
        self.seed = seed

    def fit(self, X: pd.DataFrame, y: Any = None) -> "Recipe":
        """Learn levels and encodings.

        Parameters
        ----------
        X
            Raw rows.
        y
            The target; needed only for target encoding.
        """
        self._learn(X, y)
        return self

    def fit_transform(self, X: pd.DataFrame, y: Any = None, **_: Any) -> pd.DataFrame:
        """Learn, and transform the same rows: a target encoding is then cross-fitted, so no row sees its own target."""
        encoded = self._learn(X, y)
        return self._build(X, encoded)

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Turn raw rows into numbers.

        Parameters
        ----------
        X
            Raw rows; may hold more columns.

        Returns
        -------
        DataFrame
            Floats, with the index of ``X``; NaN where a value is missing or new.

        Raises
        ------
        BadFeature
            If a column is not there or holds what cannot be read.
        """
        check_is_fitted(self, "names_")
        encoded = None
        if self.target_encoded and isinstance(X, pd.DataFrame) and set(self.target_encoded) <= set(X.columns):
            empty = np.empty((0, len(self.target_encoded) * len(self.rates_)))  # which the encoder would refuse
            encoded = self.encoder_.transform(_stack(X, self.target_encoded)) if len(X) else empty
        return self._build(X, encoded)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Name the output columns."""
        check_is_fitted(self, "names_")
        return np.array(self.names_, dtype=object)

    def plan(self, rates: Sequence[str] = ("",)) -> dict[str, list[str]]:
        """Map each output column to its raw columns, before fitting; custom features are known only after it.

        Parameters
        ----------
        rates
            The classes of a target encoding; with many classes there is a column for each.
        """
        named = {name: [name] for name in (*self.numeric, *(self.ordinal or {}), *self.categorical)}
        for column, parts in (self.datetime or {}).items():
            named |= {f"{column}_{part}": [column] for part in parts}
        for column in self.cyclical or {}:
            named |= {f"{column}_{wave}": named.get(column, [column]) for wave in ("sin", "cos")}
        for pair in self.interactions:
            named["_x_".join(pair)] = list(dict.fromkeys(raw for name in pair for raw in named.get(name, [name])))
        return named | {f"{name}_rate{level}": [name] for name in self.target_encoded for level in rates}

    @property
    def raw_columns(self) -> list[str]:
        """The raw columns that the recipe reads."""
        custom = [column for one in self.custom for column in one.get("columns", [])]
        return list(dict.fromkeys([*(raw for raws in self.plan().values() for raw in raws), *custom]))

    def _learn(self, X: pd.DataFrame, y: Any) -> np.ndarray | None:
        plain = self._read(X)
        self.categorical_ = {name: [_text(level) for level in levels] for name, levels in (self.ordinal or {}).items()}
        self.categorical_ |= {name: _levels(_texts(X[name])) for name in self.categorical}
        for pair in self.interactions:
            if any(name in self.categorical or (name not in plain and _is_text(X[name])) for name in pair):
                self.categorical_["_x_".join(pair)] = _levels(_cross(X, plain, pair))
        encoded, self.rates_ = None, [""]
        if self.target_encoded:
            if y is None:
                raise BadFeature(f"target encoding of {', '.join(self.target_encoded)} needs y: call fit(X, y)")
            self.encoder_ = TargetEncoder(cv=KFold(5, shuffle=True, random_state=self.seed))
            encoded = self.encoder_.fit_transform(_stack(X, self.target_encoded), np.asarray(y))
            self.encoder_.cv = 5  # no longer used; a plain value can be saved anywhere
            if self.encoder_.target_type_ == "multiclass":
                self.rates_ = [f"_{level}" for level in self.encoder_.classes_]
        self.custom_ = []
        self.sources_ = self.plan(self.rates_)
        for one in self.custom:
            part = X[list(one["columns"])]
            fitted = _make(one).fit(part, y)
            names = _name_outputs(fitted, part, self.sources_)
            self.custom_.append((fitted, names))
            self.sources_ |= {name: list(part.columns) for name in names}
        self.names_ = list(self.sources_)
        self.feature_names_in_ = np.array(self.raw_columns, dtype=object)
        self.n_features_in_ = len(self.feature_names_in_)
        return encoded

    def _read(self, X: pd.DataFrame) -> dict[str, np.ndarray]:
        """Read numbers and date parts: what needs no learning."""
        if not isinstance(X, pd.DataFrame):
            raise BadFeature(f"the recipe reads a DataFrame with named columns, not a {type(X).__name__}")
        absent = [name for name in self.raw_columns if name not in X.columns]
        if absent:
            raise BadFeature(f"the table lacks {', '.join(absent)}{suggest(absent[0], X.columns)}")
        values = {name: _numbers(X[name]) for name in self.numeric}
        for name, parts in (self.datetime or {}).items():
            dates = _dates(X[name])
            values |= {f"{name}_{part}": _part(dates, part) for part in parts}
        return values

    def _build(self, X: pd.DataFrame, encoded: np.ndarray | None) -> pd.DataFrame:
        values = self._read(X)
        plain = dict(values)
        for name in (*(self.ordinal or {}), *self.categorical):
            values[name] = _codes(_texts(X[name]), self.categorical_[name])
        for name, period in (self.cyclical or {}).items():
            angle = 2 * np.pi * (values[name] if name in values else _numbers(X[name])) / period
            values |= {f"{name}_sin": np.sin(angle), f"{name}_cos": np.cos(angle)}
        for pair in self.interactions:
            name = "_x_".join(pair)
            if name in self.categorical_:
                values[name] = _codes(_cross(X, plain, pair), self.categorical_[name])
            else:
                values[name] = np.prod([values[one] if one in values else _numbers(X[one]) for one in pair], axis=0)
        if encoded is not None:
            rates = [f"{name}_rate{level}" for name in self.target_encoded for level in self.rates_]
            values |= dict(zip(rates, encoded.T, strict=True))
        for one, (fitted, names) in zip(self.custom, self.custom_, strict=True):
            out = _as_floats(fitted.transform(X[list(one["columns"])]), fitted) if len(X) else np.empty((0, len(names)))
            if out.shape[1] != len(names):
                raise BadFeature(f"custom feature {one['class']!r} gave {out.shape[1]} columns, not {', '.join(names)}")
            values |= dict(zip(names, out.T, strict=True))
        stacked = np.column_stack([values[name] for name in self.names_])
        stacked[np.isinf(stacked)] = np.nan
        return pd.DataFrame(stacked, index=X.index, columns=self.names_)


def _is_text(column: "pd.Series[Any]") -> bool:
    return not pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)


def _text(value: Any) -> str:
    whole = isinstance(value, bool | np.bool_) or (isinstance(value, float | np.floating) and float(value).is_integer())
    return str(int(value)) if whole else str(value)


def _texts(column: "pd.Series[Any]") -> "pd.Series[str]":
    """Write values as text, 3.0 as 3 and true as 1, so that a level reads the same whatever the column's type."""
    if isinstance(column.dtype, pd.StringDtype):
        return column.astype("str")
    missing = column.isna()
    return pd.Series(
        [None if gone else _text(value) for value, gone in zip(column, missing, strict=True)], column.index, dtype="str"
    )


def _levels(texts: "pd.Series[str]") -> list[str]:
    counts = texts.value_counts().sort_index()
    return [str(level) for level in counts.sort_values(ascending=False, kind="stable").index]


def _codes(texts: "pd.Series[str]", levels: list[str]) -> np.ndarray:
    known = {level: float(place) for place, level in enumerate(levels)}
    return texts.map(known).to_numpy(dtype="float64", na_value=np.nan)


def _stack(X: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    return np.column_stack([_texts(X[name]).fillna("").to_numpy(dtype=object) for name in names])


def _cross(X: pd.DataFrame, plain: Mapping[str, np.ndarray], names: Sequence[str]) -> "pd.Series[str]":
    first, *rest = (_texts(pd.Series(plain[name], X.index) if name in plain else X[name]) for name in names)
    for other in rest:
        first = first + " × " + other
    return first


def _numbers(column: "pd.Series[Any]") -> np.ndarray:
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_complex_dtype(column.dtype):
        return column.to_numpy(dtype="float64", na_value=np.nan)
    try:
        return pd.to_numeric(column).to_numpy(dtype="float64", na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise BadFeature(
            f"numeric feature {column.name!r} holds no number: {error}; clean it, or list it as categorical"
        ) from None


def _dates(column: "pd.Series[Any]") -> pd.DatetimeIndex:
    try:
        return pd.DatetimeIndex(column if column.dtype.kind == "M" else pd.to_datetime(column, format="ISO8601"))
    except (ValueError, TypeError) as error:
        raise BadFeature(f"datetime feature {column.name!r} cannot be read: {error}") from None


def _part(dates: pd.DatetimeIndex, part: str) -> np.ndarray:
    values = np.asarray(pd.Series(DATE_PARTS[part](dates)).to_numpy(dtype="float64", na_value=np.nan))
    return np.where(dates.isna(), np.nan, values)


def _make(one: Mapping[str, Any]) -> Any:
    path, args = str(one["class"]), dict(one.get("args") or {})
    module, _, name = path.partition(":")
    if not module or not name.isidentifier():
        raise BadFeature(f"custom feature {path!r}: write it as module:Class")
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        place = "the project's root (the folder that holds params/ and notebooks/, not in params/ itself)"
        absent = f"{module}.".startswith(f"{error.name}.")  # and not what the module itself imports
        where = f"; it must be installed, or lie in {place}" if absent else ""
        raise BadFeature(f"custom feature {path!r} cannot be made: {error}{where}") from None
    if not hasattr(found, name):
        known = [each for each, value in vars(found).items() if isinstance(value, type) and each[0] != "_"]
        raise BadFeature(f"custom feature {path!r}: {module} has no {name!r}{suggest(name, known)}")
    kind = getattr(found, name)
    if not (isinstance(kind, type) and hasattr(kind, "fit") and hasattr(kind, "transform")):
        raise BadFeature(f"custom feature {path!r} cannot be made: it is not a class with fit and transform")
    try:
        return clone(kind(**args))
    except (AttributeError, TypeError, ValueError) as error:
        raise BadFeature(f"custom feature {path!r} cannot be made: {error}") from None


def _name_outputs(fitted: Any, part: pd.DataFrame, taken: Collection[str]) -> list[str]:
    """Name what a custom transformer gives, as `Recipe` says; no name is in ``taken``, and none comes twice."""
    kind = type(fitted).__name__
    if hasattr(fitted, "get_feature_names_out"):
        names = fitted.get_feature_names_out(list(part.columns))
    else:
        out = fitted.transform(part)
        width = _as_floats(out, fitted).shape[1]
        made = part.columns if width == part.shape[1] else [f"{kind}_{place + 1}" for place in range(width)]
        names = out.columns if isinstance(out, pd.DataFrame) else made
    free: list[str] = []
    for name in map(str, names):
        while name in taken or name in free:
            name = f"{kind}_{name}"
        free.append(name)
    return free


def _as_floats(out: Any, fitted: Any) -> np.ndarray:
    """Read what a transformer gives, dense or sparse, as columns of numbers."""
    try:
        numbers = np.asarray(out.toarray() if hasattr(out, "toarray") else out, dtype="float64")
    except (ValueError, TypeError) as error:
        raise BadFeature(f"custom feature {type(fitted).__name__} gives no numbers: {error}") from None
    return numbers[:, None] if numbers.ndim == 1 else numbers
