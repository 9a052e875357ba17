"""How the model must behave, whatever its scores: declared in params, tried on the pipeline that will be served."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from nbkit.errors import BadParameter
from nbkit.model.predictions import predict_values
from nbkit.problem import Problem, find_class
from nbkit.stats import Array, wilson_interval
from nbkit.wording import suggest

KINDS = {  # kind of test: (the keys that it needs, those that it may have)
    "invariance": (("column", "to", "at_most"), ("share",)),
    "direction": (("column", "add", "answer"), ("share", "slack", "class")),
    "minimum": (("row",), ("at_least", "at_most", "class")),
}
COLUMNS = ["test", "kind", "rows", "share", "low", "high", "needed", "worst", "worst_row", "verdict", "sentence"]
SHARE = 0.95  # of the rows that must hold where a test does not say


def read_behaviour(tests: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> list[dict[str, Any]]:
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
    >>> read_behaviour([{"kind": "direction", "column": "age", "add": 10, "answer": "up"}])[0]["name"]
    'age plus 10: the answer goes up'
    """
    return [_read(place, test, columns) for place, test in enumerate(tests, start=1)]


def _read(place: int, test: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    kind, who = test.get("kind"), f"behaviour test {test.get('name') or place}"
    if kind not in KINDS:
        raise BadParameter(f"{who}: no kind {kind!r}{suggest(kind, KINDS)}")
    needs, may = KINDS[kind]
    if lacking := [key for key in needs if key not in test]:
        raise BadParameter(f"{who}: {kind} needs {', '.join(needs)}; {', '.join(lacking)} is missing")
    for key in test:
        if key not in (known := ("kind", "name", *needs, *may)):
            raise BadParameter(f"{who}: {kind} has no key {key!r}{suggest(key, known)}")
    if wrong := _find_wrong(test, columns):
        raise BadParameter(f"{who}: {wrong}")
    read = {**test, "to": test["to"] if isinstance(test.get("to"), list) else [test.get("to")]}
    return {**read, "name": str(test.get("name") or _name(read))}


def _find_wrong(test: Mapping[str, Any], columns: Sequence[str]) -> str:
    """Return what is wrong with the values of a test; empty if nothing is."""
    for key in ("add", "at_most", "at_least", "slack", "share"):
        if isinstance(test.get(key, 0), bool) or not isinstance(test.get(key, 0), int | float):
            return f"{key} must be a number, not {test[key]!r}"
    if not 0 < test.get("share", SHARE) <= 1:
        return f"share lies above 0 and is at most 1, not {test['share']!r}"
    if test.get("answer", "up") not in ("up", "down"):
        return f"answer is up or down, not {test['answer']!r}"
    if test["kind"] == "minimum" and not (isinstance(test["row"], Mapping) and {"at_least", "at_most"} & set(test)):
        return "give a row (column: value) and what the answer is at_least or at_most"
    named = list(test["row"]) if test["kind"] == "minimum" else [test["column"]]
    unknown = [name for name in named if columns and name not in columns]
    return f"no column {unknown[0]!r}{suggest(unknown[0], columns)}" if unknown else ""


def _name(test: Mapping[str, Any]) -> str:
    if test["kind"] == "invariance":
        return f"{test['column']} set to {', '.join(map(str, test['to']))}: the answer stays"
    if test["kind"] == "direction":
        sign = "plus" if test["add"] >= 0 else "minus"
        return f"{test['column']} {sign} {abs(test['add']):g}: the answer goes {test['answer']}"
    return "a row with " + ", ".join(f"{name} {value}" for name, value in test["row"].items())


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
        share of 1 is needed, one row that does not hold fails it) and `sentence`.

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


def _try(
    model: Any, some: pd.DataFrame, before: Any, problem: Problem, test: Mapping[str, Any], whole: int
) -> tuple[Any, ...]:
    if test["kind"] == "minimum":
        answer = float(_answer(model, _change(_typical(some), test["row"]), problem, test)[0, 0])
        low, high = test.get("at_least", -np.inf), test.get("at_most", np.inf)
        beyond, names, whole = np.array([max(low - answer, answer - high, 0.0)]), ["the row"], 1
    else:
        names, start = list(some.index), _pick(before, problem, test)
        if test["kind"] == "invariance":
            moved = [_answer(model, _change(some, {test["column"]: to}), problem, test) - start for to in test["to"]]
            beyond = np.abs(np.stack(moved)).max(axis=(0, 2)) - test["at_most"]
        else:
            column = some[test["column"]]
            if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
                raise BadParameter(f"behaviour test {test['name']}: {column.name!r} is {column.dtype}, not a number")
            shifted = some.assign(**{test["column"]: column + test["add"]})
            move = (_answer(model, shifted, problem, test) - start)[:, 0]
            beyond = (-move if test["answer"] == "up" else move) - test.get("slack", 0.0)
    held = beyond <= 1e-12
    n, share, needed = len(held), float(held.mean()), test.get("share", 1.0 if test["kind"] == "minimum" else SHARE)
    low, high = (share, share) if n == whole else map(float, wilson_interval(held.sum(), n))
    verdict = "pass" if low >= needed else "fail" if high < needed else "inconclusive"
    verdict = ("pass" if held.all() else "fail") if needed == 1 else verdict
    worst = max(float(beyond.max()), 0.0)
    where = str(names[int(beyond.argmax())]) if worst > 0 else ""
    if test["kind"] == "minimum":
        bounds = [
            f"{word} {test[key]:g}" for key, word in (("at_least", "at least"), ("at_most", "at most")) if key in test
        ]
        words = f"{test['name']}: the answer is {answer:.3g}, it has to be {' and '.join(bounds)}"
    else:
        span = f" ({low:.1%} to {high:.1%})" if n < whole else ""
        words = f"{test['name']}: holds for {share:.1%}{span} of rows, {needed:.0%} needed".replace("%", " %")
    return test["name"], test["kind"], n, share, low, high, needed, worst, where, verdict, words


def _answer(model: Any, rows: pd.DataFrame, problem: Problem, test: Mapping[str, Any]) -> Array:
    return _pick(predict_values(model, rows, problem), problem, test)


def _pick(values: Any, problem: Problem, test: Mapping[str, Any]) -> Array:
    """Return the answers as columns: one, or one a class."""
    if problem.task != "multiclass":
        return np.asarray(values, dtype=float)[:, None]
    if "class" in test:
        return np.asarray(values[[find_class(test["class"], list(values.columns))]], dtype=float)
    if test["kind"] != "invariance":
        raise BadParameter(
            f"behaviour test {test['name']}: name the class, one of {', '.join(map(str, values.columns))}"
        )
    return np.asarray(values, dtype=float)


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
