"""What a model sees of a table: the columns that come too late, those that go on, and the features as numbers."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from sklearn.base import clone

from nbkit.data.contract import Contract
from nbkit.data.features import Recipe
from nbkit.data.leaks import usable_columns
from nbkit.errors import BadFeature, UntrustedType
from nbkit.formats import dump, load
from nbkit.wording import suggest


def list_refused(contract: Contract, *, lead: str = "") -> pd.DataFrame:
    """List the columns that become known too late to be features, the target aside.

    Parameters
    ----------
    contract
        Says of each column when it becomes known.
    lead
        How long before the event the prediction is due, such as ``"2h"``.

    Returns
    -------
    DataFrame
        column, known, meaning.
    """
    usable = set(usable_columns(contract, lead=lead))
    late = [rule for rule in contract.columns if rule.name not in usable and rule.available_at != "target"]
    return pd.DataFrame(
        [(rule.name, rule.available_at, rule.description) for rule in late], columns=["column", "known", "meaning"]
    )


def list_columns(recipe: Recipe, others: Sequence[str], table: pd.DataFrame) -> list[str]:
    """List the raw columns that go on, in the table's order: those of the recipe and `others`.

    Parameters
    ----------
    recipe
        Unfitted, from `declare_features`.
    others
        Columns that are needed beside the features; empty names are ignored.
    table
        Has them all.

    Raises
    ------
    BadFeature
        If one of `others` is no column.
    """
    needed = [name for name in others if name]
    for name in needed:
        if name not in table.columns:
            raise BadFeature(f"no column {name!r}{suggest(name, table.columns)}; correct it in the params")
    wanted = {*recipe.raw_columns, *needed}
    return [str(name) for name in table.columns if name in wanted]


def fit_recipe(
    recipe: Recipe, table: pd.DataFrame, *, target: str, task: str = "binary", positive: Any = None
) -> tuple[Recipe, pd.DataFrame]:
    """Fit a copy of the recipe; return it with the features of the table as numbers, one row a row.

    Parameters
    ----------
    recipe
        Stays unfitted.
    table
        Raw rows with the target.
    target, task, positive
        As elsewhere; a target-encoded feature needs them.

    Raises
    ------
    UntrustedType
        If a custom transformer, once fitted, holds a type that this project does not vouch for: the later stages could
        not load the model.
    """
    outcome = table[target] == positive if task == "binary" else table[target]
    fitted = clone(recipe)
    features: pd.DataFrame = fitted.fit_transform(table.drop(columns=[target]), outcome)
    for one, (transformer, _) in zip(recipe.custom, fitted.custom_, strict=True):
        kind, _, content = dump(transformer)
        try:
            load(kind, content)
        except UntrustedType as error:
            raise UntrustedType(f"custom feature {one['class']!r} could not be loaded again: {error}") from None
    return fitted, features
