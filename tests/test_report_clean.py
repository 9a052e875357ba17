import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.formatters import DisplayFormatter

from nbkit.report.clean import clean_html
from nbkit.tables import caption, format_number, format_table, show_tables
from tests.page_checks import Page

EVIL = "<img src=x onerror=alert(1)>"
MARKUP = st.lists(
    st.sampled_from(
        [
            "<b>",
            "</b>",
            "<table>",
            "</table>",
            "<tr>",
            "<td>",
            "<th>",
            "</tr>",
            "<thead>",
            "<script>",
            "</script>",
            "<a href='http://x'>",
            "<p onclick=x>",
            "</p>",
            "</div>",
            "<div>",
            "<svg onload=x>",
            "<!--",
            "-->",
            "<![x",
            "<?",
            "&lt;",
            "&#0;",
            "<",
            "0",
            "text",
            "NaN",
            "<style>",
            "</style>",
            "<h1>",
            "</h1>",
            "<br/>",
            "<math>",
            '<td colspan="2">',
            "<template>",
            "\x00",
            "é",
        ]
    )
    | st.text(max_size=5),
    max_size=25,
).map("".join)


def shown(frame):
    return clean_html(format_table(frame))


def test_a_table_of_pandas_becomes_a_plain_one():
    html = shown(pd.DataFrame({"who": ["a", "b"], "auc": [0.7417321, 2.0]}))
    assert html.startswith('<div class="scroll" tabindex="0" role="region" aria-label="Table"><table>')
    assert html.count('scope="col"') == 2
    assert '<td class="number">0.741732</td>' in html
    assert "<td>a</td>" in html
    assert "style" not in html
    assert "dataframe" not in html


def test_an_index_that_only_counts_rows_goes_with_its_corner():
    html = shown(pd.DataFrame({"who": ["a", "b"]}))
    assert 'scope="row"' not in html
    assert html.count("<th ") == 1
    long = shown(pd.DataFrame({"who": np.arange(500)}))
    assert 'scope="row"' not in long
    assert "500 rows" in long


def test_no_value_is_shown_as_python_writes_it():
    frame = pd.DataFrame(
        {"from": [["a", "b"], ("c",), (), None], "min": [None, 0.1, 24.166379999999997, 7]}, dtype=object
    )
    cells = re.findall(r"<td[^>]*>(.*?)</td>", shown(frame))
    assert cells == ["a, b", "–", "c", "0.1", "", "24.1664", "–", "7"]
    assert frame.loc[0, "from"] == ["a", "b"]  # the table itself stays as it is


def test_a_table_has_the_words_above_it_that_it_was_given():
    plain = pd.DataFrame({"a": [1]})
    assert "<caption>By how much</caption>" in shown(caption(plain, "By how much"))
    assert plain.attrs == {}
    assert "<caption>" not in shown(plain)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"who": ["a", "b"]}, index=["x", "y"]),
        pd.DataFrame({"who": ["a", "b"]}, index=[1, 2]),
        pd.DataFrame({"who": ["a", "b"]}, index=[0, 2]),
        pd.DataFrame({"who": ["a", "b"]}, index=pd.Index([0, 1], name="day")),
        pd.DataFrame({"who": ["a", "b"]}, index=pd.MultiIndex.from_tuples([(0, 0), (0, 1)])),
        pd.DataFrame({"who": np.arange(500)}, index=np.arange(500)[::-1]),
    ],
)
def test_an_index_that_says_something_stays(frame):
    assert shown(frame).count('scope="row"') >= 2


def test_the_name_of_an_index_stands_in_the_corner_and_those_of_several_in_a_row_below():
    one = pd.DataFrame({"value": [0.5]}, index=pd.Index(["auc"], name="metric"))
    assert re.findall(r'<th scope="col">(.*?)</th>', shown(one)) == ["metric", "value"]
    two = pd.DataFrame({"value": [0.5]}, index=pd.MultiIndex.from_tuples([("a", "auc")], names=["model", "<metric>"]))
    assert re.findall(r'<th scope="col">(.*?)</th>', shown(two)) == ["", "", "value", "model", "&lt;metric&gt;", ""]
    both = one.rename_axis(columns="what")
    assert re.findall(r'<th scope="col">(.*?)</th>', shown(both)) == ["metric", "value"]


def test_tables_without_columns_or_rows_stand():
    for frame in (
        pd.DataFrame(),
        pd.DataFrame(index=[0, 1]),
        pd.DataFrame({"a": []}),
        pd.DataFrame(columns=["a", "b"]),
    ):
        assert not Page(shown(frame)).wrong
    assert "<p>No rows.</p>" in shown(pd.DataFrame(columns=["a", "b"]))
    assert "No rows" not in shown(pd.DataFrame({"a": [1]}))


def test_two_levels_of_columns_keep_their_heads():
    frame = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")]))
    html = shown(frame)
    assert 'colspan="2"' in html
    assert 'scope="row"' not in html
    assert html.count("<th ") == 3


def test_a_head_without_words_goes():
    html = clean_html(
        "<table><thead><tr><th></th><th> </th></tr></thead><tbody><tr><td><b>who</b></td><td>x</td></tr></tbody></table>"
    )
    assert "<th " not in html
    assert "<td><b>who</b></td>" in html


def test_missing_values_are_dashes_and_words_are_not():
    html = shown(pd.DataFrame({"a": [np.nan, 1.5], "b": [None, "None of them"], "c": [pd.NaT, pd.Timestamp("2013-01-01")], "d": pd.array([None, 3], dtype="Int64")}))  # fmt: skip
    assert html.count('<td class="number">–</td>') == 4
    assert "None of them" in html


def test_a_kernel_shows_its_tables_so(monkeypatch):
    shell = SimpleNamespace(display_formatter=DisplayFormatter())
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    table = pd.DataFrame({"auc": [0.7417321]})
    show_tables()
    data, _ = shell.display_formatter.format(table)
    assert data["text/html"] == format_table(table)
    assert "<td>0.741732</td>" in data["text/html"]


@pytest.mark.parametrize(
    ("number", "short"),
    [(0.123456789, "0.123457"), (-0.00001234567, "-1.23457e-05"), (1e6, "1000000"), (-20145.512345, "-20,146"), (1.5e300, "1.5e+300"),
     (2013.5, "2013.5"), (2013.0, "2013"), (0.5, "0.5"), (float("inf"), "inf"), (1e-3, "0.001")],
)  # fmt: skip
def test_numbers_are_shortened(number, short):
    assert format_number(number) == short


@given(st.floats(-1e300, 1e300))
def test_a_shortened_number_is_nearly_the_number(number):
    assert abs(float(format_number(number).replace(",", "")) - number) <= 6e-4 * abs(number)


@pytest.mark.parametrize(
    "evil",
    ["<script>alert(1)</script>", EVIL, '<iframe src="http://x"></iframe>', '<a href="javascript:alert(1)">x</a>', "<svg onload=alert(1)>",
     '<object data="http://x">', '<link rel=stylesheet href="http://x">', "<style>*{display:none}</style>", "<base href=http://x>",
     '<b style="background:url(http://x)">x</b>', "<math><mtext></table></math>", '<form action="http://x"><input></form>', "<meta http-equiv=refresh>",
     "<b><script>x</b>", "</script><script>alert(1)", '<p id="main">x</p>', "<template><b>x</b></template>", "<video src=http://x>", "<A HREF=HTTP://X>x</A>"],
)  # fmt: skip
def test_nothing_that_acts_or_fetches_is_left(evil):
    page = Page(clean_html(f"<p>before</p>{evil}"))
    assert "before" in page.text
    assert not page.wrong
    assert {tag for tag, _ in page.elements} <= {"p", "b", "a"}
    assert [attrs for _, attrs in page.elements if attrs] == []


def test_what_a_table_holds_is_text():
    html = shown(pd.DataFrame({EVIL: [EVIL, "</td></table><script>alert(1)</script>"]}))
    page = Page(html)
    assert page.text.count("onerror=alert(1)") == 2
    assert "<script>alert(1)</script>" in page.text
    assert {tag for tag, _ in page.elements} == {"div", "table", "thead", "tbody", "tr", "th", "td"}


def test_what_is_left_open_is_closed_and_what_was_not_open_is_not():
    assert clean_html("</table></div></b>x") == "x"
    assert clean_html("<b><i>x</b>y") == "<b><i>x</i></b><i>y</i>"
    assert clean_html("<table><tr><td>x").endswith("x</td></tr></tbody></table></div>")
    assert clean_html("<h1>big</h1>") == "<h2>big</h2>"
    assert clean_html("a<br/>b<hr>") == "a<br>b<hr>"


@given(MARKUP)
def test_any_text_becomes_closed_tags_of_the_list(text):
    page = Page(clean_html(text))
    assert not page.wrong
    assert {name for _, attrs in page.elements for name in attrs} <= {
        "class",
        "scope",
        "tabindex",
        "role",
        "aria-label",
        "colspan",
        "rowspan",
    }
    assert "script" not in {tag for tag, _ in page.elements}
