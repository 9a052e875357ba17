"""Which raw columns each column that a model reads is made of: as its recipe declares, else found by changing them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from nbkit.model.intervals import Array

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

    nbkit's recipes declare it. For any other transformers (a `ColumnTransformer`, nested pipelines and unions,
    functions of one's own) each raw column is changed, to each of its values and to missing, and what changes behind
    them is made of it. A column that nothing changes (a level that these rows do not hold) goes by its name.

    Parameters
    ----------
    model
        A fitted pipeline from raw rows, or a fitted estimator; a search stands for what it found.
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
        matrix, declared = encode(X), _find_declared(steps)
        if set(matrix.columns) <= set(declared):
            sources = {name: list(declared[name]) for name in matrix.columns}
            return Lineage(last, matrix, sources, "as the recipe declares")
        sample = X.iloc[np.unique(np.linspace(0, len(X) - 1, min(len(X), TRIED)).astype(int))]
        before = encode(sample)
        if not _equal(before, encode(sample)).all():
            return Lineage(last, None, {}, "the same rows are encoded differently each time")
        sources = {name: [] for name in matrix.columns}
        for raw in X.columns:
            for name in matrix.columns[_find_changed(encode, sample, before, X[raw])]:
                sources[name].append(str(raw))
    except Exception as error:  # the transformers are anybody's
        return Lineage(last, None, {}, f"its columns are no plain numbers ({type(error).__name__}: {error})"[:200])
    names = [str(name) for name in X.columns]
    sources = {name: found or _read_name(name, names) for name, found in sources.items()}
    return Lineage(last, matrix, sources, "found by changing each raw column")


def encode_rows(model: Any, X: pd.DataFrame, *, scaled: bool = False) -> pd.DataFrame:
    """Return the columns that the last step of a fitted pipeline reads; none where they are no plain numbers.

    Parameters
    ----------
    model
        A fitted pipeline from raw rows.
    X
        Raw rows.
    scaled
        Whether a number is as the last step reads it; else as the recipe makes it, in the units of the data.
    """
    steps, _ = split_model(model)
    try:
        made = _make_encoder(steps)(X) if steps and len(X) else pd.DataFrame(index=X.index)
        if len(made) and not scaled and hasattr(steps[0], "recipe_"):
            plain = steps[0].recipe_.transform(X)
            own = [name for name in made.columns if name in plain.columns]
            made = made.assign(**{name: plain[name].to_numpy(float) for name in own})
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
        return [], model
    more, last = split_model(model.steps[-1][1])
    steps = [step for _, step in model.steps[:-1] if step is not None and step != "passthrough"]
    return [*steps, *more], last


def _find_declared(steps: list[Any]) -> dict[str, list[str]]:
    first = getattr(steps[0], "sources_", {})
    return first if all(hasattr(step, "sources_") or type(step).__name__ == "FillEmpty" for step in steps) else {}


def _make_encoder(steps: list[Any]) -> Encode:
    def encode(rows: pd.DataFrame) -> pd.DataFrame:
        out: Any = rows
        for step in steps:
            out = step.transform(out)
        width = out.shape[1] if np.ndim(out) == 2 else 1
        names = (
            [str(name) for name in out.columns] if isinstance(out, pd.DataFrame) else _name_outputs(steps, rows, width)
        )
        values = out.toarray() if hasattr(out, "toarray") else np.asarray(out)
        return pd.DataFrame(values.reshape(len(rows), -1).astype(float), columns=names, index=rows.index)

    return encode


def _name_outputs(steps: list[Any], rows: pd.DataFrame, width: int) -> list[str]:
    """Return the names that the steps give, numbers where they give none or the same twice."""
    names: Any = list(rows.columns)
    try:
        for step in steps:
            names = step.get_feature_names_out(names)
    except Exception:  # a step that has no names, or takes no others
        names = getattr(steps[-1], "get_feature_names_out", list)
        try:
            names = names() if callable(names) else names
        except Exception:
            names = []
    told = [str(name) for name in names]
    return told if len(told) == width == len(set(told)) else [f"encoded {place}" for place in range(width)]


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
