"""Which raw columns each column that a model reads is made of: as its recipe declares, else found by changing them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import OneToOneFeatureMixin
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

Array = npt.NDArray[Any]

TYPES = {"OrdinalEncoder": "categorical", "OneHotEncoder": "level", "TargetEncoder": "rate"}
TRIED, VALUES = 100, 300  # rows in which a raw column is changed, and values that are tried
Encode = Callable[[pd.DataFrame], pd.DataFrame]


@dataclass(frozen=True)
class Lineage:
    """The columns that the last step of a pipeline reads.

    Attributes
    ----------
    last
        The last step, an estimator.
    matrix
        What it reads of the given rows: floats; None where the columns cannot be traced.
    sources
        Column of `matrix` to the raw columns it is made of; none where it never changed and its name says nothing.
    way
        How this is known, or why not, in words.
    """

    last: Any
    matrix: pd.DataFrame | None
    sources: dict[str, list[str]]
    way: str


def trace_columns(model: Any, X: pd.DataFrame) -> Lineage:
    """Find out which raw columns each column that the last step of a fitted pipeline reads is made of.

    A `ColumnTransformer` says so itself, as far as its parts read one column or make one column of each. For any other
    transformers (nested pipelines and unions, functions of several columns) each raw column is changed, to each of its
    values and to missing, and what changes behind them is made of it. A column that nothing changes (a level that these
    rows do not hold) goes by its name.

    Parameters
    ----------
    model
        A fitted pipeline from raw rows, a fitted estimator, or a fitted transformer; a search stands for what it found.
    X
        Raw rows.
    """
    steps, last = split_model(model)
    if not steps:
        numeric = all(pd.api.types.is_numeric_dtype(X[name].dtype) for name in X.columns)
        read = [name for name in getattr(last, "feature_names_in_", X.columns) if name in X.columns]
        if not numeric or not read:
            return Lineage(last, None, {}, "the model reads raw rows itself")
        matrix = X[read].astype(float)
        return Lineage(last, matrix, {str(name): [str(name)] for name in read}, "the model reads raw columns")
    encode = _make_encoder(steps)
    try:
        matrix = encode(X)
        sample = X.iloc[np.unique(np.linspace(0, len(X) - 1, min(len(X), TRIED)).astype(int))]
        before = encode(sample)
        if not _equal(before, encode(sample)).all():
            return Lineage(last, None, {}, "the same rows are encoded differently each time")
        if (declared := _read_structure(steps, sample)) is not None:
            return Lineage(last, matrix, dict(zip(matrix.columns, declared, strict=True)), "as the recipe declares")
        found = _find_sources(encode, sample, before)
    except Exception as error:  # the transformers are anybody's
        return Lineage(last, None, {}, f"its columns are no plain numbers ({type(error).__name__}: {error})"[:200])
    names = [str(name) for name in X.columns]
    sources = {name: found[name] or _read_name(name, names) for name in matrix.columns}
    return Lineage(last, matrix, sources, "found by changing each raw column")


def read_columns(model: Any, X: pd.DataFrame) -> list[str]:
    """List the raw columns that a model or a transformer reads, fitted or not, in the order of the table."""
    steps, last = split_model(model)
    first = steps[0] if steps else last
    if isinstance(first, ColumnTransformer):
        parts = getattr(first, "transformers_", first.transformers)
        used = {name for _, part, columns in parts if part != "drop" for name in _name_columns(columns, X)}
    elif hasattr(first, "by"):  # a rule
        used = {first.by} if isinstance(first.by, str) else set(first.by)
    else:
        used = set(getattr(first, "feature_names_in_", ()))
    return [str(name) for name in X.columns if name in used] or [str(name) for name in X.columns]


def find_types(transformer: Any) -> list[str]:
    """Return the type of each column that a fitted transformer makes: number, categorical, level, rate or derived.

    Known of a `ColumnTransformer`, by what made each column; of any other transformer nothing is returned.
    """
    if not isinstance(transformer, ColumnTransformer):
        return []
    types: dict[int, str] = {}
    for name, part, columns in transformer.transformers_:
        made = transformer.output_indices_[name]
        places, last = range(made.start, made.stop), part[-1] if isinstance(part, Pipeline) else part
        plain = "number" if len(places) == np.size(columns) and _is_one_to_one(part) else "derived"
        types |= dict.fromkeys(places, TYPES.get(type(last).__name__, plain))
    return [types[place] for place in sorted(types)]


def encode_rows(model: Any, X: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that the last step of a fitted pipeline reads; none where they are no plain numbers.

    A number is as the recipe makes it, in the units of the data, not as a later step scales it.

    Parameters
    ----------
    model
        A fitted pipeline from raw rows.
    X
        Raw rows.
    """
    steps, _ = split_model(model)
    try:
        made = _make_encoder(steps)(X) if steps and len(X) else pd.DataFrame(index=X.index)
        if len(made) and len(steps) > 1:
            plain = _make_encoder(steps[:1])(X)
            made = made.assign(**{name: plain[name] for name in made.columns if name in plain.columns})
        return made
    except Exception:  # the transformers are anybody's
        return pd.DataFrame(index=X.index)


def list_engineered(sources: dict[str, list[str]], X: pd.DataFrame) -> list[str]:
    """List the columns that are made of several raw columns, or of a time, and are no raw columns themselves."""
    times = {str(name) for name in X.columns if X[name].dtype.kind in "mM"}
    made = [name for name, raw in sources.items() if len(raw) > 1 or set(raw) & times]
    return [name for name in made if name not in X.columns]


def split_model(model: Any) -> tuple[list[Any], Any]:
    """Return the transformers of a fitted pipeline, nested ones in their order, and its estimator."""
    model = getattr(model, "best_estimator_", model)
    if not isinstance(model, Pipeline):
        return ([model], None) if hasattr(model, "transform") and not hasattr(model, "predict") else ([], model)
    more, last = split_model(model.steps[-1][1])
    steps = [step for _, step in model.steps[:-1] if step is not None and step != "passthrough"]
    return [*steps, *more], last


def _read_structure(steps: list[Any], sample: pd.DataFrame) -> list[list[str]] | None:
    """Return the raw columns of each encoded one as a ColumnTransformer declares them; None where it cannot."""
    first = steps[0]
    if not isinstance(first, ColumnTransformer) or not all(_is_one_to_one(step) for step in steps[1:]):
        return None
    found: dict[int, list[str]] = {}
    for _, part, read, places in _iterate_parts(first, sample):
        if len(read) == 1:
            sources = [read] * len(places)
        elif len(read) == len(places) and _is_one_to_one(part):
            sources = [[one] for one in read]
        else:
            encode = _make_encoder([part])
            changed = _find_sources(encode, sample[read], encode(sample[read]))
            sources = [raw or _read_name(made, read) for made, raw in changed.items()]
        found |= dict(zip(places, sources, strict=True))
    return [found[place] for place in sorted(found)]


def _find_sources(encode: Encode, sample: pd.DataFrame, before: pd.DataFrame) -> dict[str, list[str]]:
    """Return the raw columns that change each encoded one."""
    sources: dict[str, list[str]] = {name: [] for name in before.columns}
    for raw in sample.columns:
        for name in before.columns[_find_changed(encode, sample, before, sample[raw])]:
            sources[name].append(str(raw))
    return sources


def _is_one_to_one(step: Any) -> bool:
    """Return whether a transformer makes one column of each, in their order."""
    if isinstance(step, Pipeline):
        return all(_is_one_to_one(part) for _, part in step.steps)
    one_to_one = isinstance(step, OneToOneFeatureMixin) or getattr(step, "feature_names_out", "") == "one-to-one"
    return one_to_one or step in (None, "passthrough")


def _name_columns(columns: Any, X: pd.DataFrame) -> list[str]:
    """Return the names of the columns that a part of a ColumnTransformer was given, however they were chosen."""
    chosen = columns(X) if callable(columns) else columns
    if isinstance(chosen, str):
        return [chosen]
    if isinstance(chosen, slice) or (len(chosen) and not isinstance(next(iter(chosen)), str)):
        return [str(name) for name in X.columns[chosen]]
    return [str(name) for name in chosen]


def _iterate_parts(recipe: ColumnTransformer, X: pd.DataFrame) -> Iterator[tuple[str, Any, list[str], range]]:
    """Yield each part that makes columns: its name, itself, the columns it reads, the places of those it makes."""
    for name, part, columns in recipe.transformers_:
        read, made = _name_columns(columns, X), recipe.output_indices_[name]
        if part != "drop" and read:
            yield name, part, read, range(made.start, made.stop)


def _make_encoder(steps: list[Any]) -> Encode:
    def encode(rows: pd.DataFrame) -> pd.DataFrame:
        out: Any = rows
        for step in steps:
            out = step.transform(out)
        values = (out.toarray() if hasattr(out, "toarray") else np.asarray(out)).reshape(len(rows), -1).astype(float)
        named = isinstance(out, pd.DataFrame)
        names = list(map(str, out.columns)) if named else _name_outputs(steps, rows, values.shape[1])
        return pd.DataFrame(values, columns=names, index=rows.index)

    return encode


def _name_outputs(steps: list[Any], rows: pd.DataFrame, width: int) -> list[str]:
    """Return the names that the steps give, numbers where they give none or the same twice."""
    names: list[Any] = list(rows.columns)
    for step in steps:
        names = _name_step(step, names, rows)
    told = [str(name) for name in names]
    return told if len(told) == width == len(set(told)) else [f"encoded {place}" for place in range(width)]


def _name_step(step: Any, names: list[Any], rows: pd.DataFrame) -> list[Any]:
    for given in ((names,), ()):
        try:
            return list(step.get_feature_names_out(*given))
        except Exception:  # noqa: S112 - it has no names, or takes no others
            continue
    if not isinstance(step, ColumnTransformer):
        return []
    told: dict[int, str] = {}
    for name, part, read, places in _iterate_parts(step, rows):
        made = part.transform(rows[read].head(1))
        own = list(made.columns) if isinstance(made, pd.DataFrame) else _name_step(part, read, rows)
        if len(own) != len(places):
            own = [name] if len(places) == 1 else [f"{name}_{place}" for place in range(len(places))]
        told |= dict(zip(places, own, strict=True))
    return [told[place] for place in sorted(told)]


def _equal(a: pd.DataFrame, b: pd.DataFrame) -> Array:
    left, right = a.to_numpy(), b.to_numpy()
    return np.asarray(((left == right) | (np.isnan(left) & np.isnan(right))).all(axis=0))


def _find_changed(encode: Encode, sample: pd.DataFrame, before: pd.DataFrame, column: "pd.Series[Any]") -> Array:
    """Return which encoded columns change with a raw one."""
    changed = np.zeros(before.shape[1], dtype=bool)
    for values in _vary(column, sample):
        try:
            changed |= ~_equal(before, encode(sample.assign(**{str(column.name): values})))
        except Exception:  # noqa: S112 - a value that the transformers refuse, such as a missing one
            continue
    return changed


def _vary(column: "pd.Series[Any]", sample: pd.DataFrame) -> "Iterator[pd.Series[Any]]":
    """Yield other values of a column: its own in turn, made-up ones where it has one only, and missing."""
    known = column.dropna().drop_duplicates()
    if len(known) > VALUES:
        known = known.sort_values() if known.dtype.kind in "iufmM" else known
        known = known.iloc[np.linspace(0, len(known) - 1, VALUES).astype(int)]
    if len(known) > 1:
        for start in range(0, len(known), len(sample)):
            places = (np.arange(len(sample)) + start) % len(known)
            yield pd.Series(known.iloc[places].array, index=sample.index)
            yield pd.Series(known.iloc[(places + 1) % len(known)].array, index=sample.index)
    else:
        for value in _make_up(known, column.dtype.kind):
            yield pd.Series([value] * len(sample), index=sample.index)
    gaps = sample[column.name].copy()
    with_gaps = gaps.astype(float) if gaps.dtype.kind in "iub" and isinstance(gaps.dtype, np.dtype) else gaps
    yield with_gaps.where(np.arange(len(sample)) % 2 == 1)


def _make_up(known: "pd.Series[Any]", kind: str) -> list[Any]:
    if kind in "mM":
        return [known.iloc[0] + pd.Timedelta(days=days, hours=7) for days in (1, 40, 500)] if len(known) else []
    value = known.iloc[0] if len(known) else 0.0
    if isinstance(value, bool | np.bool_):
        return [not value]
    return [value + 1, value * 2 - 3] if kind in "iuf" else [f"{value}?"]


def _read_name(name: str, raw: list[str]) -> list[str]:
    """Return the raw column that a name begins or ends with, such as ``one__carrier_AA``; the longest counts."""
    bare = name.rsplit("__", 1)[-1]
    near = [one for one in raw if bare == one or bare.startswith(f"{one}_") or bare.endswith(f"_{one}")]
    return [max(near, key=len)] if near else []
