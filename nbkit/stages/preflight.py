"""What a params file says must also make sense to the libraries that will read it: checked before a kernel starts."""

import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from nbkit.contract import Contract, doubt_contract
from nbkit.errors import BadParameter, NbkitError
from nbkit.extend import import_modules
from nbkit.lifecycle import COLUMNS, EVALUATE, FEATURES, FRAME, INGEST, VALIDATE
from nbkit.problem import Problem
from nbkit.stages.params import read_params
from nbkit.wording import suggest

Values = dict[str, Any]
Check = Callable[[Any, Values], object]


JUDGED = {FRAME, INGEST, VALIDATE, FEATURES, EVALUATE}


def import_used(limits: dict[str, Values], chosen: list[str], root: Path, places: Mapping[str, str]) -> None:
    """Import the modules of the project that stages use, whose metrics may stand in the params.

    Parameters
    ----------
    limits
        Stage to its ``use`` (among others).
    chosen, root, places
        As for `check_sense`.

    Raises
    ------
    BadParameter
        Naming the place, and the module that is missing or broken.
    """
    for stage in chosen:
        try:
            import_modules(limits[stage]["use"], root)
        except BadParameter as error:
            raise BadParameter(f"{_name_place(stage, 'use', places)}: {error}") from None


def list_used(root: Path) -> list[str]:
    """Return the modules that the params files of a project `use`; a file that cannot be read names none."""
    found: list[str] = []
    for path in sorted((root / "params").glob("*.yaml")):
        with contextlib.suppress(BadParameter):
            found += [str(name) for entry in read_params(path) if entry.key == "use" for name in entry.value or ()]
    return list(dict.fromkeys(found))


def check_sense(
    values: dict[str, Values], chosen: list[str], root: Path, places: Mapping[str, str] | None = None
) -> str:
    """Let the libraries read what types and ranges cannot judge: metrics, criteria, costs, the contract, columns.

    Where 03_validate names a contract, every column that the params name has to be in it, and those that 05_features
    names have to be known when the prediction is due.

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

    Returns
    -------
    str
        What is odd and stops no run: that the contract has changed since it was confirmed; empty if nothing is.

    Raises
    ------
    BadParameter
        Naming the place, the stage and the parameter.
    """
    from nbkit.data.contract_file import find_contract

    frame, path = values.get(FRAME, {}), values.get(VALIDATE, {}).get("contract", "")
    agreed = find_contract(root / path) if path else None
    for (stage, key), check in _list_checks(root, agreed).items() if JUDGED.intersection(chosen) else ():
        given = values.get(stage, {})
        if stage in chosen and given.get(key):
            try:
                check(given[key], {**frame, **given})
            except NbkitError as error:
                raise BadParameter(f"{_name_place(stage, key, places)}: {error}") from None
    if agreed is None:
        return ""
    _check_columns(values, chosen, agreed, places)
    doubt = doubt_contract(agreed) if agreed.confirmed else ""
    return doubt and f"{doubt}: `nbkit contract confirm {path} --by 'YOUR NAME'`, else a gate of 09 asks for it"


def _list_checks(root: Path, agreed: Contract | None) -> dict[tuple[str, str], Check]:
    """Return what judges a parameter, given its value and those of its stage and of 01_frame."""
    from nbkit.data import check_split, read_contract, refuse_leaks
    from nbkit.evaluation.behaviour import read_behaviour
    from nbkit.evaluation.criteria import check_requirements, read_criteria
    from nbkit.features import check_features
    from nbkit.model.costs import read_costs
    from nbkit.model.metrics import find_metric

    def check_metrics(names: Any, given: Values) -> None:
        for name in [names] if isinstance(names, str) else names:
            find_metric(str(name), given["task"])

    def check_names(kind: str, names: Any, given: Values) -> None:
        check_features({kind: names})
        if agreed and kind != "drop":  # what the contract does not know is told by `_check_columns`
            known = {rule.name for rule in agreed.columns}.intersection(map(str, _listed(names)))
            refuse_leaks(sorted(known), agreed, lead=given.get("lead", ""))

    def check_problem(target: Any, given: Values) -> None:
        Problem(**{each.name: given[each.name] for each in fields(Problem) if each.name in given})

    return {
        (FRAME, "metrics"): check_metrics,
        (FRAME, "criteria"): lambda criteria, given: read_criteria(criteria, given["task"]),
        (FRAME, "costs"): lambda costs, given: given["task"] == "multiclass" or read_costs(costs, given["task"]),
        (FRAME, "nonfunctional"): lambda requirements, given: check_requirements(requirements),
        (EVALUATE, "behaviour"): lambda tests, given: read_behaviour(tests),
        (INGEST, "split"): lambda spec, given: check_split(
            spec, time=given.get("time", ""), group=given.get("group", "")
        ),
        **{(FEATURES, kind): partial(check_names, kind) for kind in COLUMNS[FEATURES]},
        (VALIDATE, "contract"): lambda path, given: read_contract(root / path),
        (FRAME, "lead"): lambda lead, given: Problem("target", lead=lead),
        (FRAME, "target"): check_problem,
        (FRAME, "metric"): check_metrics,
    }


def _name_place(stage: str, key: str, places: Mapping[str, str] | None) -> str:
    place = (places or {}).get(f"{stage}.{key}", "")
    return f"{place}: {stage}.{key}" if place else f"{stage}.{key}"


def _check_columns(
    values: dict[str, Values], chosen: list[str], agreed: Contract, places: Mapping[str, str] | None
) -> None:
    """Refuse a column that neither the contract nor the query knows; a contract that allows others tells nothing."""
    named = [
        (stage, key, column)
        for stage in chosen
        for key in COLUMNS.get(stage, ())
        for column in map(str, filter(None, _listed(values.get(stage, {}).get(key))))
    ]
    for test in (values.get(EVALUATE, {}).get("behaviour") or ()) if EVALUATE in chosen else ():
        columns = [*test.get("row", ()), *_listed(test.get("column"))]
        named += [(EVALUATE, "behaviour", str(column)) for column in columns]
    known = [] if agreed.others == "allow" else [rule.name for rule in agreed.columns]
    query = str(values.get(INGEST, {}).get("query", ""))
    for stage, key, column in named:
        if known and column not in known and not re.search(rf"(?<!\w){re.escape(column)}(?!\w)", query):
            raise BadParameter(
                f"{_name_place(stage, key, places)}: no column {column!r} in {values[VALIDATE]['contract']} (where the "
                f"table has it, add it there){suggest(column, known)}"
            )


def _listed(value: Any) -> list[Any]:
    return [] if value in (None, "auto") else list(value) if isinstance(value, list | tuple) else [value]
