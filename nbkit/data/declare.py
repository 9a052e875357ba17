"""A declaration of features becomes a recipe, once it is known to be sound and free of leaks."""

from typing import Any

import pandas as pd
from sklearn.base import clone

from nbkit.data.contract import Contract
from nbkit.data.explore import column_kind
from nbkit.data.features import DATE_PARTS, Recipe
from nbkit.data.leaks import refuse_leaks, usable_columns
from nbkit.errors import BadFeature
from nbkit.wording import suggest

SPEC = ("numeric", "categorical", "datetime", "cyclical", "ordinal", "target_encoded", "interactions", "custom", "drop")
MANY_LEVELS = 1000


def declare_features(
    spec: dict[str, Any],
    train: pd.DataFrame,
    *,
    contract: Contract | None = None,
    lead: str = "",
    target: str = "",
    seed: int = 0,
) -> Recipe:
    """Make the unfitted recipe that a spec describes.

    Parameters
    ----------
    spec
        ``numeric`` and ``categorical``: lists, or ``auto`` for every usable column of that kind that is not named
        elsewhere. ``datetime: {column: [hour, weekday, …]}``, ``cyclical: {column or part: period}``,
        ``ordinal: {column: [levels in order]}``, ``target_encoded``: list, ``interactions: [[a, b], …]``,
        ``custom: [{class: module:Class, columns: [a, b], args: {…}}]``, where ``module:Class`` alone takes every
        number in the table; see `Recipe` for where the module lies. ``drop``: what ``auto`` leaves out.
    train
        The training rows; only their columns and types are looked at.
    contract
        Says when each column becomes known.
    lead
        How long before the event the prediction is made, such as ``2h``.
    target
        Left out by ``auto`` (needed only without a contract) and refused as a feature.
    seed
        Of the target encoding.

    Returns
    -------
    Recipe
        A scikit-learn transformer.

    Raises
    ------
    BadFeature
        If a key or a column is unknown, or a declaration cannot be built.
    LeakedFeature
        If a feature is not known at prediction time.
    """
    check_features(spec)
    full = {key: spec.get(key) or [] for key in ("target_encoded", "interactions", "drop", "custom")}
    for pair in full["interactions"]:
        if not isinstance(pair, list | tuple) or len(pair) < 2:
            raise BadFeature(f"an interaction is a list of two or more columns, not {pair!r}")
    mappings = {key: dict(spec.get(key) or {}) for key in ("datetime", "cyclical", "ordinal")}
    named = _named(spec)
    usable = _usable(train, contract, lead, target)
    free = [name for name in usable if name not in named and name not in full["drop"]]
    numeric = [n for n in free if column_kind(train[n]) in ("number", "boolean") and train[n].nunique() > 1]
    texts = [n for n in free if column_kind(train[n]) == "text" and 1 < train[n].astype("str").nunique() <= MANY_LEVELS]
    recipe = Recipe(
        numeric=numeric if spec.get("numeric") == "auto" else list(spec.get("numeric") or []),
        categorical=texts if spec.get("categorical") == "auto" else list(spec.get("categorical") or []),
        datetime={name: _as_list(parts) for name, parts in mappings["datetime"].items()},
        cyclical=mappings["cyclical"],
        ordinal={name: _as_list(levels) for name, levels in mappings["ordinal"].items()},
        target_encoded=list(full["target_encoded"]),
        interactions=[list(pair) for pair in full["interactions"]],
        custom=[_read_custom(one, train, target) for one in full["custom"]],
        seed=seed,
    )
    _check_columns(recipe, train, target)
    if contract is not None:
        whole = [one for one in full["custom"] if not _names_columns(one)]
        listed = [made for one, made in zip(full["custom"], recipe.custom, strict=True) if one not in whole]
        refuse_leaks(clone(recipe).set_params(custom=listed).raw_columns, contract, lead=lead)
        forms = ", ".join(f"{{class: {_class_of(one)}, columns: [...]}}" for one in whole)
        remedy = f"`custom` takes every number where it names no columns: name them, as in custom: [{forms}]"
        refuse_leaks(recipe.raw_columns, contract, lead=lead, remedy=remedy)
    return recipe


def catalogue_features(recipe: Recipe, contract: Contract | None = None) -> pd.DataFrame:
    """List what the model sees.

    Parameters
    ----------
    recipe
        Fitted or not; custom features are listed only when it is fitted.
    contract
        Gives descriptions, units, and when a value becomes known.

    Returns
    -------
    DataFrame
        feature, type (number, code, rate, date part, cycle, interaction, custom), source, description, available_at,
        unit.
    """
    rules = {rule.name: rule for rule in contract.columns} if contract else {}
    lines = []
    for feature, sources in getattr(recipe, "sources_", recipe.plan()).items():
        known = [rules[name] for name in sources if name in rules]
        kind = _kind(recipe, feature)
        moments = dict.fromkeys(rule.available_at for rule in known)
        words = "; ".join(dict.fromkeys(rule.description for rule in known if rule.description))
        lines.append(
            {
                "feature": feature,
                "type": kind,
                "source": ", ".join(sources),
                "description": words if kind in ("number", "code") or not words else f"{kind} of: {words}",
                "available_at": ", ".join(moments),
                "unit": known[0].unit if len(known) == 1 and kind == "number" else "",
            }
        )
    return pd.DataFrame(lines, columns=["feature", "type", "source", "description", "available_at", "unit"])


def _kind(recipe: Recipe, feature: str) -> str:
    if feature in recipe.numeric:
        return "number"
    if feature in recipe.categorical or feature in (recipe.ordinal or {}):
        return "code"
    if any(feature == "_x_".join(pair) for pair in recipe.interactions):
        return "interaction"
    if any(feature == f"{column}_{part}" for column, parts in (recipe.datetime or {}).items() for part in parts):
        return "date part"
    if any(feature in (f"{column}_sin", f"{column}_cos") for column in recipe.cyclical or {}):
        return "cycle"
    return "rate" if any(feature.startswith(f"{name}_rate") for name in recipe.target_encoded) else "custom"


def _as_list(value: Any) -> list[Any]:
    return [value] if isinstance(value, str) else list(value)


def check_features(spec: dict[str, Any]) -> None:
    """Check what can be said of declared features without a table.

    Raises
    ------
    BadFeature
        If a key is unknown, or its value is of the wrong shape.
    """
    for key, value in spec.items():
        if key not in SPEC:
            raise BadFeature(f"features have no {key!r}{suggest(key, SPEC)}")
        if isinstance(value, str) and not (key in ("numeric", "categorical") and value == "auto"):
            raise BadFeature(f"{key} must be a list{' or auto' if key in SPEC[:2] else ''}, not {value!r}")
        wanted = dict if key in ("datetime", "cyclical", "ordinal") else list | tuple
        if value is not None and not isinstance(value, str) and not isinstance(value, wanted):
            raise BadFeature(f"{key} must be a {'mapping of columns' if wanted is dict else 'list'}, not {value!r}")


def _named(spec: dict[str, Any]) -> set[str]:
    """Collect the columns that a spec names, which ``auto`` then leaves alone."""
    lists = [spec.get(key) for key in ("numeric", "categorical", "target_encoded") if isinstance(spec.get(key), list)]
    mappings = [list(spec.get(key) or {}) for key in ("datetime", "ordinal", "cyclical")]
    return {str(name) for names in (*lists, *mappings) for name in names or []}


def _usable(train: pd.DataFrame, contract: Contract | None, lead: str, target: str) -> list[str]:
    known = usable_columns(contract, lead=lead) if contract is not None else list(train.columns)
    single = contract.keys[0] if contract is not None and len(contract.keys) == 1 else ""
    return [name for name in train.columns if name in known and name not in (target, single)]


def _names_columns(one: Any) -> bool:
    return not isinstance(one, str) and bool(dict(one).get("columns"))


def _class_of(one: Any) -> str:
    return one if isinstance(one, str) else str(one["class"])


def _read_custom(one: Any, train: pd.DataFrame, target: str) -> dict[str, Any]:
    full: dict[str, Any] = {"class": one} if isinstance(one, str) else dict(one)
    if "class" not in full or set(full) - {"class", "columns", "args"}:
        raise BadFeature(f"custom feature {one!r}: write module:Class, or class, columns and args")
    numbers = [name for name in train.columns if name != target and column_kind(train[name]) == "number"]
    return {
        "class": full["class"],
        "columns": list(full.get("columns") or numbers),
        "args": dict(full.get("args") or {}),
    }


def _check_columns(recipe: Recipe, train: pd.DataFrame, target: str) -> None:
    made, known = recipe.plan(), [str(name) for name in train.columns]
    if not made and not recipe.custom:
        raise BadFeature("no features: name some columns, or set numeric: auto")
    for name in recipe.raw_columns:
        if name not in known:
            sound = [new for new, raws in made.items() if set(raws) <= set(known)]
            raise BadFeature(f"feature {name!r} is no column{suggest(name, [*known, *sound])}")
        if name == target:
            raise BadFeature(f"the target {name!r} cannot be a feature: take it out of `features`")
    for part in [part for parts in (recipe.datetime or {}).values() for part in parts if part not in DATE_PARTS]:
        raise BadFeature(f"a date has no part {part!r}{suggest(part, DATE_PARTS)}")
    for column, period in (recipe.cyclical or {}).items():
        if not isinstance(period, int | float) or period <= 0:
            raise BadFeature(f"cyclical {column}: the period must be a positive number, not {period!r}")
    several = [*recipe.numeric, *recipe.categorical, *(recipe.ordinal or {})]
    if twice := [name for name in several if several.count(name) > 1]:
        raise BadFeature(f"{twice[0]!r} is declared twice among numeric, categorical and ordinal: keep one")
