"""What the model sees: which columns may be used, the functions recipes are made of, and the catalogue of features."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from nbkit.columns import column_kind
from nbkit.data.availability import refuse_leaks, usable_columns
from nbkit.errors import BadFeature
from nbkit.features.encoders import LARGEST
from nbkit.formats import check_loadable
from nbkit.lineage import find_types, read_columns, trace_columns
from nbkit.problem import Problem
from nbkit.wording import suggest

if TYPE_CHECKING:
    from nbkit.contract import Contract

KINDS = ("numeric", "categorical", "datetime", "target_encoded", "drop")
AUTO = ("numeric", "categorical")
MANY_LEVELS = 1000
CATALOGUE = ["feature", "type", "source", "description", "available_at", "unit"]


def choose_columns(
    train: pd.DataFrame, problem: Problem, contract: "Contract", wanted: Mapping[str, Any]
) -> dict[str, list[str]]:
    """Choose the columns that become features, by kind, and refuse what is not known in time.

    Parameters
    ----------
    train
        Raw rows; only their columns and types are looked at.
    problem
        What is predicted, and how long before the event.
    contract
        Says when each column becomes known.
    wanted
        ``numeric`` and ``categorical``: lists, or ``auto`` for every usable column of that kind that is not named
        elsewhere; ``datetime``, ``target_encoded``: lists; ``drop``: what ``auto`` leaves out.

    Returns
    -------
    dict
        Kind (numeric, categorical, datetime, target_encoded) to its columns.

    Raises
    ------
    BadFeature
        If a column is unknown, named twice, or the target, or nothing is left.
    LeakedFeature
        If a column is not known at prediction time.
    """
    check_features(wanted)
    lists = {kind: [] if wanted.get(kind) == "auto" else [*(wanted.get(kind) or [])] for kind in KINDS}
    named = [name for kind in KINDS for name in lists[kind]]
    for name in named:
        if name not in train.columns:
            raise BadFeature(f"feature {name!r} is not a column of the data{suggest(name, train.columns)}")
        if name == problem.target:
            raise BadFeature(f"the target {name!r} cannot be a feature: take it out of 05_features")
    if twice := [name for name in named if named.count(name) > 1]:
        raise BadFeature(f"{twice[0]!r} is named twice in 05_features: keep one")
    usable = usable_columns(contract, lead=problem.lead)
    single = contract.keys[0] if len(contract.keys) == 1 else ""
    taken = {*named, problem.target, single}
    free = [name for name in train.columns if name in usable and name not in taken]
    kinds = {name: column_kind(train[name]) for name in free}
    if wanted.get("numeric") == "auto":
        numbers = [name for name, kind in kinds.items() if kind in ("number", "boolean")]
        lists["numeric"] = [name for name in numbers if train[name].nunique() > 1]
    if wanted.get("categorical") == "auto":
        texts = [name for name, kind in kinds.items() if kind == "text"]
        lists["categorical"] = [name for name in texts if 1 < train[name].astype("str").nunique() <= MANY_LEVELS]
    del lists["drop"]
    chosen = [name for names in lists.values() for name in names]
    if not chosen:
        raise BadFeature("no features: name some columns in 05_features, or set numeric: auto")
    refuse_leaks(chosen, contract, lead=problem.lead)
    return lists


def check_features(wanted: Mapping[str, Any]) -> None:
    """Check what can be said of chosen columns without a table.

    Raises
    ------
    BadFeature
        If a kind is unknown, or its columns are no list.
    """
    for kind, names in wanted.items():
        if kind not in KINDS:
            raise BadFeature(f"features have no {kind!r}{suggest(kind, KINDS)}")
        if isinstance(names, str) and not (kind in AUTO and names == "auto"):
            raise BadFeature(f"{kind} must be a list{' or auto' if kind in AUTO else ''}, not {names!r}")
        if not isinstance(names, str | list | tuple) and names is not None:
            raise BadFeature(f"{kind} must be a list of columns, not {names!r}")


def list_refused(contract: "Contract", problem: Problem) -> pd.DataFrame:
    """List the columns that become known too late to be features, the target aside: column, known, meaning."""
    usable = set(usable_columns(contract, lead=problem.lead))
    late = [rule for rule in contract.columns if rule.name not in usable and rule.available_at != "target"]
    rows = [(rule.name, rule.available_at, rule.description) for rule in late]
    return pd.DataFrame(rows, columns=["column", "known", "meaning"])


def fit_recipe(
    recipe: Any, train: pd.DataFrame, problem: Problem, contract: "Contract", *, raw: Sequence[str] = ()
) -> tuple[Any, pd.DataFrame]:
    """Fit a copy of a recipe to look at it; refuse what later stages could not use.

    Parameters
    ----------
    recipe
        An unfitted transformer of scikit-learn from raw rows to numbers, such as a `ColumnTransformer`.
    train
        Raw rows with the target.
    problem
        What is predicted.
    contract
        Says when each column becomes known.
    raw
        The columns of the data as they were ingested; those of `train` if empty.

    Returns
    -------
    tuple
        The fitted copy, and the features of `train` as numbers, one row a row.

    Raises
    ------
    BadFeature
        If it reads a column that the data do not have or whose numbers are too large, drops or adds rows, or makes
        other numbers of one row alone than of the same row among many.
    LeakedFeature
        If it reads a column that is not known at prediction time.
    UntrustedType
        If it holds code that this project does not vouch for: later stages could not load the model.
    """
    X, y = problem.separate(train)
    fitted = clone(recipe)
    made = fitted.fit_transform(X, y)
    read = read_columns(fitted, X)
    if absent := [name for name in read if name not in (raw or train.columns)]:
        raise BadFeature(
            f"{absent[0]!r} is not a column of the data: was it added in a cell? The service would not have it. Write "
            "it as a function of the table in a module of the project (features.py), and use that in the recipe "
            "through FunctionTransformer"
        )
    refuse_leaks(read, contract, lead=problem.lead)
    for name in (each for each in read if column_kind(X[each]) == "number"):
        sizes = X[name].abs().astype("float64")
        if far := int(((sizes > LARGEST) & np.isfinite(sizes)).sum()):
            raise BadFeature(
                f"column {name!r} holds numbers beyond {LARGEST:.1e} in {far:,} of {len(X):,} rows, too large to learn "
                "from: correct them, divide the column in the query of 02_ingest, or take it out of 05_features' lists"
            )
    if np.shape(made)[0] != len(X):
        raise BadFeature(f"the recipe makes {np.shape(made)[0]} rows of {len(X)}: a feature table has one row a row")
    encoded = trace_columns(fitted, X.head(min(len(X), 200))).matrix
    if encoded is None:
        raise BadFeature("the recipe does not make plain numbers of every row: encode texts and dates in it")
    alone = np.vstack([_as_array(fitted.transform(X.iloc[[place]])) for place in range(min(len(X), 3))])
    if not np.array_equal(alone, _as_array(fitted.transform(X))[: len(alone)], equal_nan=True):
        raise BadFeature(
            "the recipe makes other numbers of one row alone than of the same row among many: the service, which is "
            "asked about single rows, would predict something else"
        )
    check_loadable(fitted, "the recipe")
    return fitted, pd.DataFrame(_as_array(made), columns=encoded.columns, index=X.index)


def catalogue_features(fitted: Any, train: pd.DataFrame, problem: Problem, contract: "Contract") -> pd.DataFrame:
    """List what the model sees.

    Parameters
    ----------
    fitted
        From `fit_recipe`.
    train, problem, contract
        As there.

    Returns
    -------
    DataFrame
        One row a feature, in the recipe's order: feature, type (number, categorical, level, rate, derived), source (a
        list of raw columns), description, available_at, unit.
    """
    rules = {rule.name: rule for rule in contract.columns}
    traced, types = trace_columns(fitted, problem.features(train)), find_types(fitted)
    lines = []
    for place, (feature, sources) in enumerate(traced.sources.items()):
        known = [rules[name] for name in sources if name in rules]
        kind = types[place] if place < len(types) else "derived"
        if kind == "number" and sources != [feature]:
            kind = "derived"
        words = "; ".join(dict.fromkeys(rule.description for rule in known if rule.description))
        moments = ", ".join(dict.fromkeys(rule.available_at for rule in known))
        unit = known[0].unit if len(known) == 1 and kind == "number" else ""
        plain = kind in ("number", "categorical") or not words
        lines.append((feature, kind, list(sources), words if plain else f"{kind} of: {words}", moments, unit))
    return pd.DataFrame(lines, columns=CATALOGUE)


def keep_columns(recipe: Any, table: pd.DataFrame, problem: Problem, others: Sequence[str] = ()) -> list[str]:
    """List the raw columns that training needs, in the table's order: the recipe's, the problem's, and `others`.

    Raises
    ------
    BadFeature
        If one of `others` is not a column.
    """
    needed = [name for name in (problem.target, problem.time, problem.group, *others) if name]
    for name in needed:
        if name not in table.columns:
            raise BadFeature(f"no column {name!r}{suggest(name, table.columns)}; correct it in the params")
    wanted = {*read_columns(recipe, table), *needed}
    return [str(name) for name in table.columns if name in wanted]


def _as_array(made: Any) -> np.ndarray:
    return np.asarray(made.toarray() if hasattr(made, "toarray") else made, dtype=float)
