"""How the model must behave, whatever its scores: declared in params, tried on the pipeline that will be served."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import pandas as pd

from nbkit.errors import BadParameter
from nbkit.model.predictions import predict_values
from nbkit.problem import Problem, find_class
from nbkit.stats import Array, wilson_interval
from nbkit.wording import format_share, suggest

COLUMNS = ["test", "kind", "rows", "share", "low", "high", "needed", "worst", "worst_row", "verdict", "sentence"]
HELP = (
    "the kinds are invariance (column, to, at_most, share), direction (column, add, answer, slack, share) and minimum "
    "(row, at_least, at_most), all with name and class"
)
Share = Annotated[float, msgspec.Meta(gt=0, le=1)]


class Test(msgspec.Struct, tag_field="kind", forbid_unknown_fields=True, kw_only=True, rename={"label": "class"}):
    """A test of behaviour: what all kinds have."""

    name: str = ""
    label: Any = None


class Invariance(Test, tag="invariance", kw_only=True):
    """A column set to other values moves the answer by at most so much."""

    column: str
    to: list[Any]
    at_most: float
    share: Share = 0.95


class Direction(Test, tag="direction", kw_only=True):
    """A column raised by so much moves the answer one way, or by no more than the slack the other way."""

    column: str
    add: float
    answer: Literal["up", "down"]
    slack: float = 0.0
    share: Share = 0.95


class Minimum(Test, tag="minimum", kw_only=True):
    """A row with these values has an answer within bounds."""

    row: dict[str, Any]
    at_least: float = -np.inf
    at_most: float = np.inf


def read_behaviour(tests: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> list[Any]:
    """Read tests of behaviour.

    Parameters
    ----------
    tests
        Each with `kind` and perhaps `name`, and by kind. **invariance**: `column`, `to` (values that it is set to in
        turn), `at_most` (how far the answer may move). **direction**: `column`, `add` (a number), `answer` (up or
        down: which way it may move), `slack` (how far it may move the other way). **minimum**: `row` (column to
        value; the other columns are those of a typical row), `at_least` and/or `at_most` of the answer. The first two
        have to hold for a `share` of rows (0.95; 1 allows no exception). The answer is a probability, or the value of
        a regression; of several classes name the `class`, else the largest move of any counts.
    columns
        Those that the model takes; not checked if empty.

    Raises
    ------
    BadParameter
        Naming the test, and what is wrong with it.

    Examples
    --------
    >>> read_behaviour([{"kind": "direction", "column": "age", "add": 10, "answer": "up"}])[0].name
    'age +10: the answer goes up'
    """
    return [_read(place, test, columns) for place, test in enumerate(tests, start=1)]


def _read(place: int, given: Mapping[str, Any], columns: Sequence[str]) -> Any:
    who = f"behaviour test {given.get('name') or place}"
    try:
        test: Any = msgspec.convert(dict(given), Invariance | Direction | Minimum)
    except msgspec.ValidationError as error:
        raise BadParameter(f"{who}: {error}; {HELP}") from None
    for column in test.row if isinstance(test, Minimum) else [test.column]:
        if columns and column not in columns:
            raise BadParameter(f"{who}: no column {column!r}{suggest(column, columns)}")
    if isinstance(test, Minimum):
        if not test.row:
            raise BadParameter(f"{who}: row names no column, so it is no row in particular: give it some values")
        if not np.isfinite(test.at_least) and not np.isfinite(test.at_most):
            raise BadParameter(f"{who}: say what the answer is at_least or at_most")
        if test.at_least > test.at_most:
            both = f"at least {test.at_least:g} and at most {test.at_most:g}"
            raise BadParameter(f"{who}: no answer is {both}: swap them")
        name = "a row with " + ", ".join(f"{column} {value}" for column, value in test.row.items())
    elif isinstance(test, Invariance):
        if not test.to:
            raise BadParameter(f"{who}: to names no value, so nothing would be tried: list the values to set it to")
        name = f"{test.column} set to {', '.join(map(str, test.to))}: the answer stays"
    else:
        name = f"{test.column} {test.add:+g}: the answer goes {test.answer}"
    test.name = test.name or name
    return test


def check_behaviour(
    model: Any, rows: pd.DataFrame, problem: Problem, tests: Sequence[Mapping[str, Any]], *, sample: int = 2000
) -> pd.DataFrame:
    """Try how a model behaves when rows are changed.

    Parameters
    ----------
    model
        The pipeline that is served.
    rows
        Raw rows, of the test split; the share that holds is that of these.
    problem
        What is predicted.
    tests
        As in `read_behaviour`.
    sample
        At most so many rows are tried, drawn at random.

    Returns
    -------
    DataFrame
        One row a test: `test` (its name), `kind`, `rows` (tried), `share` (of them that hold) with `low`, `high` (of
        the share of all rows, Wilson, 95 %; none if all were tried), `needed`, `worst` (the largest move that is not
        allowed, or how far the answer of a named row is off its bound, 0 if none), `worst_row` (its name), `verdict`
        (**pass** if the interval is at or above what is needed, **fail** if below, else **inconclusive**; where a
        share of 1 is needed, one row that does not hold fails it) and `sentence`. A direction is tried in rows that
        have a value of the column, and cannot be told where none has.

    Raises
    ------
    BadParameter
        If a test cannot be read, or names a column or a class that there is not.

    References
    ----------
    Ribeiro, M. T. et al. (2020). Beyond accuracy: behavioral testing of NLP models with CheckList. ACL 58, 4902-4912.
    """
    X = problem.features(rows)
    read, some = read_behaviour(tests, list(X.columns)), X.sample(min(sample, len(X)), random_state=problem.seed)
    before = predict_values(model, some, problem) if read and len(some) else None
    table = [_try(model, some, before, problem, test, len(X)) for test in read] if len(some) else []
    return pd.DataFrame(table, columns=COLUMNS)


def _try(model: Any, some: pd.DataFrame, before: Any, problem: Problem, test: Any, whole: int) -> tuple[Any, ...]:
    def ask(rows: pd.DataFrame) -> Array:
        return _pick(predict_values(model, rows, problem), problem, test)

    kind, names, needed = type(test).__name__.lower(), list(some.index), getattr(test, "share", 1.0)
    if isinstance(test, Minimum):
        told = float(ask(_change(_typical(some), test.row))[0, 0])
        beyond, names, whole = np.array([max(test.at_least - told, told - test.at_most)]), ["the row"], 1
    elif isinstance(test, Invariance):
        moves = [ask(_change(some, {test.column: to})) - _pick(before, problem, test) for to in test.to]
        beyond = np.abs(np.stack(moves)).max(axis=(0, 2)) - test.at_most
    else:
        column = some[test.column]
        if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
            raise BadParameter(f"behaviour test {test.name}: {test.column!r} is {column.dtype}, not a number")
        known = column.notna().to_numpy()
        if not known.any():
            words = f"{test.name}: cannot tell, as no row has a value of {test.column}"
            return test.name, kind, 0, np.nan, np.nan, np.nan, needed, 0.0, "", "inconclusive", words
        some, names, whole = some[known], list(some.index[known]), int(known.sum()) if len(some) == whole else whole
        raised = some.assign(**{test.column: column[known] + test.add})
        move = (ask(raised) - _pick(before[known], problem, test))[:, 0]
        beyond = (-move if test.answer == "up" else move) - test.slack
    held = beyond <= 1e-12
    n, share, worst = len(held), float(held.mean()), max(float(beyond.max()), 0.0)
    low, high = (share, share) if n == whole else map(float, wilson_interval(held.sum(), n))
    verdict = "pass" if low >= needed else "fail" if high < needed or needed == 1 > share else "inconclusive"
    verdict = "pass" if needed == share == 1 else verdict
    words = f"{test.name}: holds for {format_share(share, low, high) if n < whole else format_share(share)} of rows, "
    words += f"{format_share(needed)} needed"
    if isinstance(test, Minimum):
        bounds = {"at least": test.at_least, "at most": test.at_most}.items()
        demand = " and ".join(f"{word} {bound:g}" for word, bound in bounds if np.isfinite(bound))
        words = f"{test.name}: the answer is {told:.3g}, it has to be {demand}"
    where = str(names[int(beyond.argmax())]) if worst > 0 else ""
    return test.name, kind, n, share, low, high, needed, worst, where, verdict, words


def _pick(values: Any, problem: Problem, test: Any) -> Array:
    """Return the answers as columns: one, or one a class."""
    if problem.task != "multiclass":
        return np.asarray(values, dtype=float)[:, None]
    if test.label is None and not isinstance(test, Invariance):
        raise BadParameter(f"behaviour test {test.name}: name the class, one of {', '.join(map(str, values.columns))}")
    named = values if test.label is None else values[[find_class(test.label, list(values.columns))]]
    return np.asarray(named, dtype=float)


def _change(rows: pd.DataFrame, values: Mapping[str, Any]) -> pd.DataFrame:
    """Set columns to values, as the type that they have."""
    changed = {}
    for name, value in values.items():
        kind = float if isinstance(value, float) and pd.api.types.is_integer_dtype(rows[name]) else rows[name].dtype
        try:
            changed[name] = pd.Series([value] * len(rows), index=rows.index).astype(kind)
        except (TypeError, ValueError) as error:
            raise BadParameter(f"a behaviour test sets {name!r} to {value!r}, and it is {kind}: {error}") from None
    return rows.assign(**changed)


def _typical(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row of the middle value of each number or time and the commonest of everything else."""
    values = {}
    for name, column in rows.items():
        ordered = pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column)
        known = column.dropna().sort_values() if ordered else column.mode()
        values[name] = (
            known.iloc[[(len(known) - 1) // 2 if ordered else 0]].array if len(known) else column.iloc[[0]].array
        )
    return pd.DataFrame(values)
