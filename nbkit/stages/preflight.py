"""What a params file says must also make sense to the libraries that will read it: checked before a kernel starts."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from nbkit.errors import BadParameter, NbkitError
from nbkit.wording import suggest

Values = dict[str, Any]
Check = Callable[[Any, Values, Path], object]
COLUMNS = {  # the keys that name columns
    "01_frame": ("target", "rule", "protected"),
    "02_ingest": ("target", "time", "group", "keys"),
    "03_validate": ("target", "time", "keys"),
    "04_explore": ("target", "time"),
    "05_features": ("target", "time", "group", "features"),
    "06_train": ("target", "time", "group"),
    "07_evaluate": ("target", "time", "group", "slice_by"),
    **dict.fromkeys(("08_explain", "09_register", "10_deploy"), ("target",)),
}


def check_sense(
    values: dict[str, Values], chosen: list[str], root: Path, places: Mapping[str, str] | None = None
) -> None:
    """Let the libraries read what types and ranges cannot judge: metrics, criteria, costs, the contract, columns.

    Where 03_validate names a contract, every column that the params name has to be in it.

    Parameters
    ----------
    values
        Stage to its parameters.
    chosen
        The stages that will run.
    root
        The project.
    places
        ``STAGE.KEY`` to the file and line that give it.

    Raises
    ------
    BadParameter
        Naming the place, the stage and the parameter.
    """
    for (stage, key), check in CHECKS.items():
        given = values.get(stage, {})
        if stage in chosen and given.get(key):
            try:
                check(given[key], given, root)
            except NbkitError as error:
                raise BadParameter(f"{_name_place(stage, key, places)}: {error}") from None
    _check_columns(values, chosen, root, places)


def _name_place(stage: str, key: str, places: Mapping[str, str] | None) -> str:
    place = (places or {}).get(f"{stage}.{key}", "")
    return f"{place}: {stage}.{key}" if place else f"{stage}.{key}"


def _check_columns(values: dict[str, Values], chosen: list[str], root: Path, places: Mapping[str, str] | None) -> None:
    """Refuse a column that neither the contract nor the query knows; a contract that allows others tells nothing."""
    path = values.get("03_validate", {}).get("contract", "")
    named = [
        (stage, key, column)
        for stage in chosen
        for key in COLUMNS.get(stage, ())
        for column in _list_columns(values.get(stage, {}).get(key))
    ]
    if not path or not named or not (root / path).is_file():
        return
    known = _read_columns(root / path, (root / path).stat().st_mtime_ns)
    query = str(values.get("02_ingest", {}).get("query", ""))
    for stage, key, column in named:
        if known and column not in known and not re.search(rf"(?<!\w){re.escape(column)}(?!\w)", query):
            raise BadParameter(
                f"{_name_place(stage, key, places)}: no column {column!r} in {path} (where the table has it, add it "
                f"there){suggest(column, known)}"
            )


@lru_cache(maxsize=8)
def _read_columns(path: Path, changed: int) -> tuple[str, ...]:
    """Return the columns of a contract; none if it allows others, or cannot be read, which `CHECKS` tells."""
    from nbkit.data import read_contract

    try:
        agreed = read_contract(path)
    except NbkitError:
        return ()
    return () if agreed.others == "allow" else tuple(rule.name for rule in agreed.columns)


def _list_columns(given: Any) -> list[str]:
    """List the columns that a value names; of declared features not those that the declaration itself makes."""
    if not isinstance(given, dict):
        return [str(name) for name in _listed(given) if name]
    spec, pairs = given, [pair for pair in given.get("interactions") or [] if isinstance(pair, list)]
    made = {f"{column}_{part}" for column, parts in (spec.get("datetime") or {}).items() for part in _listed(parts)}
    made |= {f"{column}_{wave}" for column in spec.get("cyclical") or {} for wave in ("sin", "cos")}
    made |= {"_x_".join(map(str, pair)) for pair in pairs}
    groups = [_listed(spec.get(key)) for key in ("numeric", "categorical", "target_encoded", "drop")]
    groups += [list(spec.get(key) or {}) for key in ("datetime", "cyclical", "ordinal")]
    groups += pairs + [_listed(one.get("columns")) for one in spec.get("custom") or [] if isinstance(one, dict)]
    return [str(name) for group in groups for name in group if str(name) not in made]


def _listed(value: Any) -> list[Any]:
    return [] if value in (None, "auto") else list(value) if isinstance(value, list | tuple) else [value]


def _check_metrics(names: Any, given: Values, root: Path) -> None:
    from nbkit.model.metrics import find_metric

    for name in [names] if isinstance(names, str) else names:
        find_metric(str(name), given["task"])


def _check_criteria(criteria: Any, given: Values, root: Path) -> object:
    from nbkit.model import read_criteria

    return read_criteria(criteria, given["task"])


def _check_requirements(requirements: Any, given: Values, root: Path) -> None:
    from nbkit.model.criteria import check_requirements

    check_requirements(requirements)


def _check_costs(costs: Any, given: Values, root: Path) -> object:
    from nbkit.model.costs import read_costs

    return None if given["task"] == "multiclass" else read_costs(costs, given["task"])


def _check_split(spec: Any, given: Values, root: Path) -> object:
    from nbkit.data import check_split

    return check_split(spec, time=given.get("time", ""), group=given.get("group", ""))


def _check_features(spec: Any, given: Values, root: Path) -> object:
    from nbkit.data import check_features

    return check_features(spec)


def _check_contract(path: Any, given: Values, root: Path) -> object:
    from nbkit.data import read_contract

    return read_contract(root / path)


def _check_lead(lead: Any, given: Values, root: Path) -> object:
    from nbkit.data.leaks import read_lead

    return read_lead(lead)


CHECKS: dict[tuple[str, str], Check] = {
    ("01_frame", "metrics"): _check_metrics,
    ("01_frame", "criteria"): _check_criteria,
    ("01_frame", "costs"): _check_costs,
    ("01_frame", "nonfunctional"): _check_requirements,
    ("02_ingest", "split"): _check_split,
    ("03_validate", "contract"): _check_contract,
    ("05_features", "features"): _check_features,
    ("05_features", "lead"): _check_lead,
    ("06_train", "metric"): _check_metrics,
}
