"""The page of a stage: question, findings, sections with numbered figures and tables."""

import json

import pandas as pd
import pytest

from nbkit.report.sections import read_page
from nbkit.tables import format_table
from tests.conftest import make_notebook


@pytest.fixture
def page(tmp_path):
    """Write a notebook that goes on with these cells, and read it as a page."""

    def page(*cells):
        path = make_notebook(tmp_path / "01_first.ipynb", "code")
        notebook = json.loads(path.read_text())
        for number, cell in enumerate(cells):
            base = {"id": f"m{number}", "metadata": {}, "execution_count": 1, "outputs": []}
            notebook["cells"].append({**base, **cell})
        path.write_text(json.dumps(notebook))
        return read_page(path)

    return page


def prose(text):
    return {"cell_type": "markdown", "source": text}


def code(data=None, tags=()):
    shown = [{"output_type": "execute_result", "data": data, "metadata": {}}] if data else []
    return {"cell_type": "code", "source": "x", "metadata": {"tags": list(tags)}, "outputs": shown}


def table(rows):
    return {"text/html": format_table(pd.DataFrame({"a": range(rows), "b": "x"}))}


def test_the_question_stands_apart_and_headings_are_sections(page):
    found = page(
        prose("## Scores\n\nLook at these."),
        code(table(2)),
        prose("## Hand over"),
        code(),
        prose("← 00 · x · 02 · y →"),
    )
    assert found.question == "<p>A question?</p>"
    assert [(each.title, each.is_quiet) for each in found.sections] == [
        ("", True),
        ("Scores", False),
        ("Hand over", True),
    ]
    assert [block.kind for block in found.sections[1].blocks] == ["prose", "code", "table"]


def test_findings_come_first_and_leave_no_heading_behind(page):
    found = page(
        prose("## What we now know"), code({"text/markdown": "- **2** rows"}, ["findings"]), prose("## Hand over")
    )
    assert found.findings == "<ul>\n<li><strong>2</strong> rows</li>\n</ul>"
    assert [each.title for each in found.sections if each.title] == ["Hand over"]


def test_tables_are_numbered_and_named_by_their_heading_and_long_ones_are_folded(page):
    found = page(prose("## Scores"), code(table(2)), code(table(30)), prose("## Rest"), code(table(1)))
    tables = [block for each in found.sections for block in each.blocks if block.kind == "table"]
    assert [(each.caption, each.rows) for each in tables] == [
        ("Table 1. Scores", 0),
        ("Table 2. Scores", 30),
        ("Table 3. Rest", 0),
    ]


def test_a_table_may_bring_its_own_caption(page):
    own = table(1)["text/html"].replace(">", "><caption>Rows by <b>kind</b></caption>", 1)
    found = page(prose("## Scores"), code({"text/html": own}))
    assert found.sections[1].blocks[-1].caption == "Table 1. Rows by <b>kind</b>"
    assert "<caption>" not in found.sections[1].blocks[-1].html
