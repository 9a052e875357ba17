"""Data frames as tables for people."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbkit.report.clean import clean_html
from nbkit.report.readable import make_readable
from nbkit.tables import format_table
from tests.page_checks import Page


def read(table):
    """Return heads and rows of a table as people see them."""
    html = make_readable(clean_html(format_table(table)))
    assert Page(html).wrong == []
    heads, *rows = ([cell.strip() for cell in Page(row).texts] for row in html.split("<tr>")[1:])
    return heads, rows, html


def test_an_interval_stands_in_one_column_beside_its_value_with_the_digits_that_it_allows():
    table = pd.DataFrame(
        {"metric": ["roc_auc", "cost_per_row"], "value": [0.741732, 10.7213], "low": [0.70951, 9.8], "high": [0.7727, 11.7], "n": 28128}
    )  # fmt: skip
    heads, rows, html = read(table)
    assert heads == ["Metric", "Value", "95 % interval"]
    assert rows[0] == ["ROC AUC", "0.742", "0.710 to 0.773"]
    assert rows[1][:3] == ["cost per row", "10.7", "9.8 to 11.7"]
    assert "The same in every row: rows 28,128." in html


def test_intervals_with_a_name_go_to_their_column():
    table = pd.DataFrame(
        {"slice": ["a", "b"], "gap": [0.06621, 0.01], "gap_low": [0.0286, 0.004], "gap_high": [0.112, 0.02]}
    )
    assert read(table)[:2] == (
        ["Slice", "Gap", "95 % interval"],
        [["a", "0.066", "0.029 to 0.112"], ["b", "0.010", "0.004 to 0.020"]],
    )


def test_a_verdict_has_a_sign_and_is_never_left_out():
    heads, rows, html = read(pd.DataFrame({"gate": ["x", "y"], "verdict": ["pass", "pass"], "note": ["", ""]}))
    assert (heads, rows) == (["Gate", "Verdict"], [["x", "✓ pass"], ["y", "✓ pass"]])
    assert html.count('class="status good"') == 2


@pytest.mark.parametrize(
    "html",
    [
        "<table><tbody><tr><td>no head</td></tr></tbody></table>",
        '<table><thead><tr><th colspan="2">x</th></tr></thead><tbody><tr><td>1</td><td>2</td></tr></tbody></table>',
        "<table><thead><tr><th>a</th></tr></thead><tbody><tr><td><table></table></td></tr></tbody></table>",
        "<table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table>",
    ],
)
def test_what_is_no_plain_grid_stays_as_it_is(html):
    assert make_readable(html) == html


@pytest.mark.parametrize("empty", [["a"], ["a", "b"]])
def test_a_table_without_rows_keeps_its_heads(empty):
    assert "No rows." in read(pd.DataFrame(columns=empty))[2]


NAMES = st.sampled_from(["low", "high", "gap_low", "gap_high", "value", "n", "note", "verdict", "gap", "<b>x"])
CELLS = st.none() | st.floats() | st.integers(-(10**12), 10**12) | st.text(max_size=8) | st.booleans()


@given(st.lists(st.tuples(NAMES, st.lists(CELLS, min_size=3, max_size=3)), max_size=6))
def test_any_table_stays_a_table_of_as_many_rows(columns):
    table = pd.DataFrame({place: pd.Series(cells, dtype=object) for place, (_, cells) in enumerate(columns)})
    table.columns = [name for name, _ in columns]
    html = make_readable(clean_html(format_table(table)))
    assert Page(html).wrong == []
    assert html.count("<tr>") == (1 + 3 if columns else html.count("<tr>"))


def test_the_columns_of_the_users_own_table_stay_as_they_are():
    own = pd.DataFrame({
        "open": [5.25, 5.5], "low": [4.97, 5.1], "high": [5.59, 5.8], "temp_low": [1.5, 2.5], "temp_high": [9.5, 8.5],
        "zip": ["01234", "90210"], "status": ["fail", "pass"], "kind": ["n", "mae"], "day": [20240101, 20240102],
    })  # fmt: skip
    heads, rows, _ = read(own)
    assert heads == ["Open", "Low", "High", "Temp low", "Temp high", "Zip", "Status", "Kind", "Day"]
    assert rows[0] == ["5.25", "4.97", "5.59", "1.50", "9.50", "01234", "fail", "n", "20240101"]


def test_texts_that_look_like_numbers_stay_as_they_are():
    codes = {"price": ["250.00", "1.5"], "code": ["00123", "45"], "big": ["1e5", "12345.678"], "rows": ["1200", "7"]}
    _, rows, _ = read(pd.DataFrame(codes))
    assert rows == [["250.00", "00123", "1e5", "1200"], ["1.5", "45", "12345.678", "7"]]
    assert read(pd.DataFrame({"n": [1200, 7]}, index=["00123", "250.00"]))[1] == [["00123", "1,200"], ["250.00", "7"]]
    mixed = pd.DataFrame({"what": ["00123", 0.741732, None, "<b>", 7]}, dtype=object)
    assert read(mixed)[1] == [["00123"], ["0.741732"], ["–"], ["<b>"], ["7"]]
    assert "<span>" not in format_table(pd.DataFrame({"seed": ["2", "3"]}))
    assert read(pd.DataFrame({"text": ["None", "<NA>", None]}))[1] == [["None"], ["<NA>"], ["–"]]
    long = pd.DataFrame({"code": ["00123"] * 100, "share": [0.123456] * 100})
    assert ["00123", "0.123456"] in read(long)[1]


def test_small_numbers_do_not_become_nothing_and_a_count_is_no_estimate():
    _, rows, _ = read(pd.DataFrame({"p": [0.000005, 0.000049]}))
    assert [float(row[0]) for row in rows] == [0.000005, 0.000049]
    heads, rows, _ = read(pd.DataFrame({"slice": ["a", "b"], "n": [12345, 99], "low": [0.1, 0.2], "high": [0.2, 0.4]}))
    assert heads == ["Slice", "Rows", "Low", "High"]
    assert rows[0][:2] == ["a", "12,345"]


def test_an_index_of_numbers_that_mean_something_stays():
    assert read(pd.DataFrame({"rate": [0.1, 0.2]}, index=[2013, 2014]))[1] == [["2013", "0.100"], ["2014", "0.200"]]
