"""What a params file says must also make sense to the libraries that will read it: checked before a kernel starts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from nbkit.errors import BadParameter, NbkitError

Values = dict[str, Any]
Check = Callable[[Any, Values, Path], object]


def check_sense(values: dict[str, Values], chosen: list[str], root: Path) -> None:
    """Let the libraries read what types and ranges cannot judge: metrics, criteria, costs, the contract.

    Parameters
    ----------
    values
        Stage to its parameters.
    chosen
        The stages that will run.
    root
        The project.

    Raises
    ------
    BadParameter
        Naming the stage and the parameter.
    """
    for (stage, key), check in CHECKS.items():
        given = values.get(stage, {})
        if stage in chosen and given.get(key):
            try:
                check(given[key], given, root)
            except NbkitError as error:
                raise BadParameter(f"{stage}.{key}: {error}") from None


def _check_metrics(names: Any, given: Values, root: Path) -> None:
    from nbkit.model.metrics import find_metric

    for name in [names] if isinstance(names, str) else names:
        find_metric(str(name), given["task"])


def _check_criteria(criteria: Any, given: Values, root: Path) -> object:
    from nbkit.model import read_criteria

    return read_criteria(criteria, given["task"])


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
    ("02_ingest", "split"): _check_split,
    ("03_validate", "contract"): _check_contract,
    ("05_features", "features"): _check_features,
    ("05_features", "lead"): _check_lead,
    ("06_train", "metric"): _check_metrics,
}
