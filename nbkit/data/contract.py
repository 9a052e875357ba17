"""What a table must be like before anything is built on it, and where it is not."""

from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from nbkit.contract import ColumnRule, Contract
from nbkit.data.personal import WITHHELD, looks_personal, withhold
from nbkit.data.tables import register_table
from nbkit.problem import Problem
from nbkit.tables import write_value
from nbkit.wording import format_count, suggest

TYPES = ("integer", "number", "text", "datetime", "boolean")
SEVERITIES = ("blocking", "warning")
LARGEST = 1e307  # the size up to which a limit can be rounded away from the data
RESULT = ["rule", "column", "severity", "count", "share", "rows", "examples", "message"]


def check_contract(table: pd.DataFrame, contract: Contract) -> pd.DataFrame:
    """Find where a table breaks its contract; never raises because of what the table holds.

    Parameters
    ----------
    table
        The rows.
    contract
        The rules.

    Returns
    -------
    DataFrame
        One row a violation: rule, column, severity (blocking, warning), count and share of the rows concerned, rows
        (the first places), examples, message. Empty if all holds. Of personal columns no value is shown.

    Examples
    --------
    >>> contract = Contract((ColumnRule("age", "integer", min=0),))
    >>> check_contract(pd.DataFrame({"age": [3, -1]}), contract)["message"].tolist()
    ['age: 1 of 2 are below 0, such as -1']
    """
    table = table.set_axis([str(name) for name in table.columns], axis=1).reset_index(drop=True)
    found = list(_check_table(table, contract))
    table = table.loc[:, ~table.columns.duplicated()]
    for rule in contract.columns:
        if rule.name in table.columns:
            found += _check_column(table[rule.name], rule)
        elif rule.required and rule.available_at != "target":
            words = f"column {rule.name!r} is not there{suggest(rule.name, table.columns, most=0)}"
            found.append(_violation("required", rule.name, "blocking", words, len(table)))
    found += _check_rules(table, contract)
    result = pd.DataFrame(found, columns=RESULT)
    return result.sort_values("severity", kind="stable", ignore_index=True)


def _violation(
    rule: str, column: str, severity: str, message: str, total: int, places: Any = None, examples: str = ""
) -> dict[str, Any]:
    """Make a row of the result; where no places are given, it concerns the whole table."""
    count = total if places is None else len(places)
    rows = "" if places is None else ", ".join(str(place) for place in places[:5])
    share = count / total if total else 0.0
    return dict(zip(RESULT, (rule, column, severity, count, share, rows, examples, message), strict=True))


def _point_at(
    rule: str, values: "pd.Series[Any]", severity: str, bad: Any, words: str, *, personal: bool = False
) -> Iterator[dict[str, Any]]:
    """Describe the rows where ``bad`` is true."""
    places = np.flatnonzero(np.asarray(bad, dtype=bool))
    if len(places):
        some = list(dict.fromkeys(write_value(values.iloc[place])[:40] for place in places[:1000]))[:3]
        examples = WITHHELD if personal else ", ".join(some)
        message = f"{values.name}: {len(places):,} of {len(values):,} {words}"
        message += " (values withheld)" if personal else f", such as {examples}"
        yield _violation(rule, str(values.name), severity, message, len(values), places, examples)


def _check_table(table: pd.DataFrame, contract: Contract) -> Iterator[dict[str, Any]]:
    total = len(table)
    if total < contract.min_rows:
        words = f"{format_count(total, 'row')}, at least {contract.min_rows:,} are needed"
        yield _violation("min_rows", "", "blocking", words, total)
    known = {rule.name for rule in contract.columns}
    for name in dict.fromkeys(table.columns[table.columns.duplicated()]):
        yield _violation("others", name, "blocking", f"column {name!r} comes twice", total)
    for name in dict.fromkeys(table.columns if contract.others != "allow" else ()):
        if name not in known:
            words = f"column {name!r} has no rule: add it to the contract or leave it out of the query"
            yield _violation("others", name, contract.others, words, total)
    if contract.keys and set(contract.keys) <= set(table.columns):
        parts = table.loc[:, ~table.columns.duplicated()][list(contract.keys)]
        plain = parts.astype({name: "str" for name in parts if parts[name].dtype.kind == "O"})  # lists and the like
        repeated = plain.duplicated()
        shown = pd.Series(" + ".join(contract.keys), index=table.index, name=" + ".join(contract.keys))
        for place in np.flatnonzero(repeated)[:3]:
            shown.iloc[place] = " ".join(str(value) for value in parts.iloc[place])
        withheld = not {*contract.keys}.isdisjoint(contract.personal)
        yield from _point_at("keys", shown, "blocking", repeated, "rows repeat a key", personal=withheld)


def _read_as(column: "pd.Series[Any]", kind: str) -> "pd.Series[Any]":
    """Read values as a type; what cannot be read is missing."""
    if kind == "datetime" and column.dtype.kind == "M":
        return column
    numeric = column.dtype.kind in "iufb" and kind in ("integer", "number")
    texts = column if numeric or isinstance(column.dtype, pd.StringDtype) else column.astype("str")
    if kind in ("integer", "number"):
        numbers = pd.to_numeric(texts, errors="coerce").astype("float64")
        return numbers.where(np.isfinite(numbers) & (numbers == numbers.round())) if kind == "integer" else numbers
    if kind == "datetime":
        dated = texts.where(texts.str.contains("-", regex=False).fillna(value=False).astype(bool))
        return pd.to_datetime(dated, errors="coerce", format="ISO8601", utc=True)
    if kind == "boolean":
        words = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0}
        return texts.str.lower().map(words).astype("float64")
    return texts


def _check_column(column: "pd.Series[Any]", rule: ColumnRule) -> Iterator[dict[str, Any]]:
    missing = column.isna()
    count, total = int(missing.sum()), len(column)
    if rule.available_at == "target" and count == total:
        return  # the labels have not come yet
    values = _read_as(column, rule.type)
    odd = values.isna() & ~missing
    yield from _point_at("type", column, "blocking", odd, f"are not of type {rule.type}", personal=rule.personal)
    if total and count / total > rule.max_missing:
        words = f"{count:,} of {total:,} are missing ({count / total:.1%}), at most {rule.max_missing:.1%} may be"
        places = np.flatnonzero(missing)
        yield _violation("max_missing", rule.name, rule.severity, f"{rule.name}: {words}", total, places)
    for name, words, bad in _find_breaches(rule, values.dropna()):
        bad = bad.reindex(column.index, fill_value=False)
        yield from _point_at(name, column, rule.severity, bad, words, personal=rule.personal)


def _find_breaches(rule: ColumnRule, values: "pd.Series[Any]") -> Iterator[tuple[str, str, Any]]:
    if rule.min is not None:
        yield "min", f"are below {rule.min} {rule.unit}".strip(), values < _bound(rule.min, values)
    if rule.max is not None:
        yield "max", f"are above {rule.max} {rule.unit}".strip(), values > _bound(rule.max, values)
    if rule.categories:
        known = list(_read_as(pd.Series(list(rule.categories), dtype=object), rule.type))
        yield "categories", "are not among the known values", ~values.isin(known)
    if rule.unique:
        yield "unique", "come twice", values.duplicated()


def _bound(bound: Any, values: "pd.Series[Any]") -> Any:
    if values.dtype.kind != "M":
        return bound if values.dtype.kind == "f" else str(bound)
    limit, zone = pd.Timestamp(str(bound)), values.dt.tz
    if zone is None:
        return limit.tz_localize(None)
    return limit.tz_localize(zone) if limit.tz is None else limit.tz_convert(zone)


def _check_rules(table: pd.DataFrame, contract: Contract) -> Iterator[dict[str, Any]]:
    if not contract.rules:
        return
    visible = withhold(table, contract)
    with duckdb.connect(config={"threads": 1}) as con:
        register_table(con, "__rows", table)
        con.execute("CREATE TEMP TABLE data AS SELECT row_number() OVER () - 1 AS __row, * FROM __rows")
        con.execute("SET enable_external_access = false; SET python_enable_replacements = false")
        for rule in contract.rules:
            try:
                broken = con.sql(f"SELECT __row FROM data WHERE NOT ({rule.expression}\n) ORDER BY __row")  # noqa: S608
                places = [row[0] for row in broken.fetchall()]
            except duckdb.Error as error:
                words = f"rule {rule.name!r} cannot be evaluated: {str(error).splitlines()[0]}"
                yield _violation(rule.name, "", "blocking", words, len(table))
                continue
            if places:
                said = rule.description or rule.expression
                words = f"{len(places):,} of {format_count(len(table), 'row')} against {rule.name!r}: {said}"
                shown = (", ".join(str(value)[:20] for value in visible.iloc[place, :6]) for place in places[:2])
                yield _violation(rule.name, "", rule.severity, words, len(table), places, "; ".join(shown))


def infer_contract(table: pd.DataFrame, problem: Problem) -> Contract:
    """Propose a contract that a table keeps, with some slack, for a person to edit.

    Parameters
    ----------
    table
        The rows to learn from.
    problem
        What is predicted.

    Returns
    -------
    Contract
        Ranges reach a quarter of the observed span further, shares of missing values half as far again; few-valued text
        becomes a list of categories, what looks like an identifier does not; all but the target, time and keys only
        warn.
    """
    target, keys = problem.target, problem.keys
    rules = [
        _infer_rule(str(name), column, target=target, strict=name in (target, problem.time, *keys))
        for name, column in table.items()
    ]
    return Contract(tuple(rules), (), keys, min_rows=max(1, len(table) // 10))


def _infer_rule(name: str, column: "pd.Series[Any]", *, target: str, strict: bool) -> ColumnRule:
    values = column.dropna()
    kind = _infer_type(values)
    if kind == "text":
        values = values.astype("str")
    share = float(column.isna().mean()) if len(column) else 0.0
    slack = 0.0 if share == 0 or strict else round(min(share * 1.5 + 0.02, (share + 1) / 2), 2)
    low, high = _infer_range(values, kind)
    distinct = values.nunique()
    personal = looks_personal(name, column)
    listed = kind == "text" and 0 < distinct <= 30 and distinct <= len(values) / 2 and not personal
    classes = name == target and distinct <= 20
    return ColumnRule(
        name, kind, max_missing=slack, min=None if classes else low, max=None if classes else high,
        categories=tuple(sorted(values.unique().tolist(), key=str)) if listed or classes else (),
        available_at="target" if name == target else "known",
        severity="blocking" if strict else "warning", personal=personal,
    )  # fmt: skip


def _infer_type(values: "pd.Series[Any]") -> str:
    if values.dtype.kind not in "iuf":
        return {"b": "boolean", "M": "datetime"}.get(values.dtype.kind, "text")
    numbers = values.to_numpy(dtype="float64")
    whole = np.isfinite(numbers) & (numbers == numbers.round())
    return "integer" if len(numbers) and whole.all() else "number"


def _infer_range(values: "pd.Series[Any]", kind: str) -> tuple[Any, Any]:
    if kind not in ("integer", "number"):
        return None, None
    numbers = values.to_numpy(dtype="float64")
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return None, None
    low, high = float(numbers.min()), float(numbers.max())
    slack = (high - low) / 4 or abs(high) / 2 or 1.0
    least = 0.0 if low >= 0 else _round_out(low - slack, np.floor)
    most = 0.0 if high <= 0 else _round_out(high + slack, np.ceil)
    if kind == "number":
        return least, most
    if low >= 0 and high == 1:
        return 0, 1
    return (None if least is None else int(least)), (None if most is None else int(most))


def _round_out(value: float, away: Callable[[float], float]) -> float | None:
    """Round to two digits, away from the data; None where numbers end, and any is allowed."""
    if abs(value) > LARGEST:
        return None
    step = 10.0 ** (np.floor(np.log10(abs(value))) - 1) if value else 1.0
    return float(f"{away(value / step) * step:.6g}")
