"""Which rows a query leaves out: each of its filters is taken away in turn, and the rows of the result are counted."""

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import duckdb
import pandas as pd

from nbkit.wording import format_count

COLUMNS = ["what", "left_out", "why"]
CLAUSES = {"where_clause": "WHERE", "having": "HAVING", "qualify": "QUALIFY", "sample": "USING SAMPLE"}
MODIFIERS = {"LIMIT_MODIFIER": "LIMIT", "LIMIT_PERCENT_MODIFIER": "LIMIT", "DISTINCT_MODIFIER": "DISTINCT"}
PLACES = re.compile(r'"query_location": (\d+), "query_location_length": (\d+)')
COMMENT = re.compile(r"[ \t);]*--(.*)")
EXPRESSIONS = ("select_list", "condition", "group_expressions", "modifiers", *CLAUSES)  # no rows of the result in them


class Filter(NamedTuple):
    """What may leave rows out, where in the tree of the query it stands, and what to put there (or take) instead."""

    what: str
    why: str
    node: dict[str, Any]
    key: str
    instead: Any
    countable: bool = True


def count_left_out(con: duckdb.DuckDBPyConnection, query: str, rows: int) -> pd.DataFrame:
    """Count the rows that a query leaves out of its result.

    Parameters
    ----------
    con
        Where the sources are known.
    query
        One SELECT.
    rows
        Of its result.

    Returns
    -------
    DataFrame
        One row for each WHERE, HAVING, QUALIFY, DISTINCT, LIMIT, sample or inner join without which the result would
        have more rows, also inside of a WITH: `what`, `left_out` (how many more; missing where that cannot be counted)
        and `why` (the comment right behind it in the query). Where the numbers do not add up, as a row may be left out
        twice, another row takes all of them away at once.
    """
    tree = json.loads(con.execute("SELECT json_serialize_sql(?)", [query]).fetchall()[0][0])
    top = tree["statements"][0]["node"]
    filters = list(_find_filters(top, query.encode()))
    known = not filters or _count(con, tree, [], rows) == 0  # else the query does not come out of the tree as it was
    alone = [(one.what, _count(con, tree, [one], rows) if known else math.nan, one.why) for one in filters]
    found = [each for each in alone if not each[1] <= 0]
    together = _count(con, tree, filters, rows) if len(filters) > 1 and known else 0.0
    if together > 0 and together != sum(more for _, more, _ in found):
        found.append(("all filters of the query together", together, ""))
    if top.get("group_expressions") or top.get("aggregate_handling") == "FORCE_AGGREGATES":
        found.append(("GROUP BY", math.nan, "a row of the result stands for several of the sources"))
    return pd.DataFrame(found, columns=COLUMNS)


def describe_left_out(what: str, left_out: float, why: str) -> str:
    """Describe what left out how many rows and why.

    Examples
    --------
    >>> describe_left_out("WHERE age > 17", 9430, "minors are not asked.")
    '9,430 rows left out by WHERE age > 17: minors are not asked'
    """
    many = "an unknown number of rows" if math.isnan(left_out) else format_count(left_out, "row")
    return f"{many} left out by {what}{': ' if why else ''}{why.rstrip('.')}"


def _count(con: duckdb.DuckDBPyConnection, tree: dict[str, Any], without: Sequence[Filter], rows: int) -> float:
    """Return how many rows more a query gives without some of its filters; missing if that cannot be told."""
    if not all(one.countable for one in without):
        return math.nan
    before = [one.node[one.key] for one in without]
    for one in without:
        rest = [each for each in one.node.get("modifiers", ()) if each is not one.instead]
        one.node[one.key] = rest if one.key == "modifiers" else one.instead
    try:
        text = con.execute("SELECT json_deserialize_sql(?)", [json.dumps(tree)]).fetchall()[0][0]
        return float(con.sql(f"SELECT count(*) FROM ({text})").fetchall()[0][0] - rows)  # noqa: S608
    except duckdb.Error:  # what the filter kept away may be what cannot be computed
        return math.nan
    finally:
        for one, kept in zip(without, before, strict=True):
            one.node[one.key] = kept


def _find_filters(node: dict[str, Any], query: bytes) -> Iterator[Filter]:
    """Find what may leave rows out, but not inside of expressions."""
    crossed = '"ref_type": "CROSS"' in json.dumps(node.get("from_table"))  # without its WHERE it is a product
    for key, word in CLAUSES.items():
        if clause := node.get(key):
            text, comment = _quote(clause, query)
            yield Filter(f"{word} {text}".strip(), comment, node, key, None, not crossed)
    for one in node.get("modifiers", ()):
        if word := MODIFIERS.get(one["type"], ""):
            yield Filter(word, "", node, "modifiers", one)
    if node.get("type") == "JOIN" and node["ref_type"] != "CROSS" and node["join_type"] in ("INNER", "SEMI", "ANTI"):
        words = f"{node['join_type']} JOIN {node['right'].get('table_name') or node['right'].get('alias', '')}"
        yield Filter(words, "", node, "join_type", "LEFT", node["join_type"] == "INNER")
    for key, inner in node.items():
        for each in inner if isinstance(inner, list) else [inner]:
            if key not in EXPRESSIONS and isinstance(each, dict):
                yield from _find_filters(each, query)


def _quote(clause: Any, query: bytes) -> tuple[str, str]:
    """Return a condition as it stands in the query, and the comment right behind it."""
    ends = [(int(start), int(start) + int(size)) for start, size in PLACES.findall(json.dumps(clause))]
    if not (ends := [each for each in ends if each[0] < len(query)]):
        return "", ""
    first, last = min(start for start, _ in ends), max(end for _, end in ends)
    comment = COMMENT.match(query[last:].decode(errors="replace"))
    return " ".join(query[first:last].decode(errors="replace").split()), comment[1].strip() if comment else ""
