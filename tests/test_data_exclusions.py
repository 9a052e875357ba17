"""Which rows a query leaves out: every filter that does is found, and the number is that of the rows."""

import math

import pandas as pd
import pytest

from nbkit.data import take_snapshot

DATA = pd.DataFrame({"a": range(1000), "b": [each % 7 for each in range(1000)]})
OTHER = pd.DataFrame({"a": range(500), "c": [None if each % 2 else 1.0 for each in range(500)]})
JOINED = "WITH g AS (SELECT * FROM data WHERE a > 10) SELECT g.* FROM g JOIN other USING (a) LIMIT 20"


@pytest.fixture
def ask(tmp_path):
    DATA.to_parquet(tmp_path / "data.parquet")
    OTHER.to_parquet(tmp_path / "other.parquet")

    def run(query, **more):
        sources = {name: f"{name}.parquet" for name in ("data", "other") if name in query or name == "data"}
        return take_snapshot(sources, query, root=tmp_path, **more)

    return run


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("SELECT a FROM data", []),
        ("SELECT * FROM data WHERE a >= 0", []),
        ("SELECT * FROM data\nWHERE a >= 100 AND b < 9  -- too early.\nORDER BY a", [("WHERE a >= 100 AND b < 9", 100, "too early.")]),
        ("SELECT DISTINCT b FROM data ORDER BY b LIMIT 3", [("LIMIT", 4, ""), ("all filters of the query together", 997, "")]),
        ("SELECT DISTINCT b FROM data", [("DISTINCT", 993, "")]),
        ("SELECT d.* FROM (SELECT * FROM data WHERE a < 7) d WHERE ('ü' = 'ü' AND d.a > 3) -- ü", [("WHERE 'ü' = 'ü' AND d.a > 3", 4, "ü"), ("WHERE a < 7", 993, "")]),
        ("SELECT data.* FROM data JOIN other USING (a)", [("INNER JOIN other", 500, "")]),
        ("SELECT * FROM data QUALIFY row_number() OVER (PARTITION BY b ORDER BY a) = 1", [("QUALIFY row_number() OVER (PARTITION BY b ORDER BY a) = 1", 993, "")]),
        (JOINED, [("LIMIT", 469, ""), ("all filters of the query together", 980, "")]),
        ("WITH x AS (SELECT * FROM data WHERE a > 500) SELECT * FROM x WHERE a > 500", [("all filters of the query together", 501, "")]),
        ("SELECT * FROM data WHERE a IN (SELECT a FROM other WHERE c > 0)", [("WHERE a IN (SELECT a FROM other WHERE c > 0)", 750, "")]),
    ],
)  # fmt: skip
def test_each_filter_is_counted_by_taking_it_away(ask, query, found):
    told = ask(query).exclusions
    assert [tuple(row) for row in told[["what", "left_out", "why"]].to_numpy()] == found
    assert told["left_out"].dtype == "int64"


@pytest.mark.parametrize(
    "query",
    [
        "SELECT data.* FROM data, other WHERE data.a = other.a",  # without it: every row with every row
        "SELECT * FROM data SEMI JOIN other USING (a)",
        "SELECT b, count(*) AS n FROM data GROUP BY b",
    ],
)
def test_what_cannot_be_counted_is_not_said_to_be_nothing(ask, query):
    told = ask(query).exclusions
    assert [math.isnan(each) for each in told["left_out"]] == [True]
    assert told["sentence"][0].startswith("an unknown number of rows left out by ")


def test_a_filter_of_rows_that_are_only_looked_up_leaves_nothing_out(ask):
    query = "WITH o AS (SELECT a, c FROM other WHERE c > 0) SELECT data.*, o.c FROM data LEFT JOIN o USING (a)"
    assert len(ask(query).exclusions) == 0


def test_a_sample_is_left_out_as_well(ask):
    told = ask("SELECT * FROM data WHERE a < 900 -- old", rows=50).exclusions
    assert told["sentence"].tolist() == [
        "100 rows left out by WHERE a < 900: old",
        "850 rows left out by the sample: a sample of 50 of 900 rows (seed 0)",
    ]
    assert len(ask("").exclusions) == 0
