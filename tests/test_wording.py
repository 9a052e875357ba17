"""What a notebook displays of data and params is text: in no HTML made of it does anything run."""

import re
from html.parser import HTMLParser

import nbformat
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from nbconvert import HTMLExporter
from nbconvert.filters import markdown2html

from nbkit import Markdown
from nbkit.pipeline import Chosen, execute_plan, plan_run
from nbkit.plots.picture import list_numbers
from nbkit.report.blocks import render_markdown
from nbkit.report.clean import clean_html
from nbkit.report.readable import make_readable
from nbkit.tables import format_table
from nbkit.wording import JOINER, format_estimate, format_score
from tests.test_cli_new import call

NAMES = {
    "number": "<script>alert(1)</script>",
    "level": "<img src=x onerror=alert(2)>",
    "link": "[x](javascript:alert(3))",
    "tick": "`a` <b onmouseover=alert(4)>",
    "target": "<svg/onload=alert(5)>",
}
PIECES = [*NAMES.values(), "<javascript:alert(6)>", "![", "](", "[r]: javascript:alert(7)", "[r]", "\n", "\n\n", "`", "```", "\\", " ", "|", "&lt;",
          "<", ">", "<!--", "-->", "<?", "<![CDATA[", "]", "(", ")", "[", "    ", "- ", "# ", "*", "$", "$$", "\\href{javascript:alert(8)}{x}",
          "<a href='javascript:alert(9)'>", "</td>", "~~~", "&#60;script&#62;", "data:text/html,<script>alert(10)</script>", "javascript&#58;"]  # fmt: skip

PLACES = ("href", "src", "action", "formaction", "xlink:href", "data", "srcdoc", "poster", "background")


class Live(HTMLParser):
    """Collects what would run, in a page whose own scripts hold no ``alert``."""

    def __init__(self, text):
        super().__init__()
        self.found, self.script = [], False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.script = tag == "script"
        places = [re.sub(r"[\s\x00-\x20]", "", value or "").lower() for name, value in attrs if name in PLACES]
        live = [name for name, _ in attrs if name.startswith("on")]
        live += [place for place in places if place.startswith(("javascript:", "data:text", "vbscript:"))]
        if live or (tag in ("iframe", "object", "embed", "form", "svg") and "alert" in str(attrs)):
            self.found.append((tag, attrs))

    def handle_endtag(self, tag):
        self.script = False

    def handle_data(self, data):
        if self.script and "alert(" in data:
            self.found.append(data)


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join))
@example("\n\n".join(PIECES))
def test_no_text_of_data_runs_whoever_renders_it(text):
    shown = Markdown(text)._repr_markdown_()
    for html in (markdown2html(shown), render_markdown(shown)):
        assert Live(html).found == []


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        ((0.74216, 0.713, 0.7664), "0.742 (0.713 to 0.766)"),
        ((55021.3, 35111.0, 74002.0), "55,000 (35,000 to 74,000)"),
        ((41.6136, 36.9031, 46.9252), "42 (37 to 47)"),
    ],
)
def test_a_number_has_the_same_digits_in_a_sentence_in_a_table_in_a_picture_and_in_the_terminal(ends, told):
    row = dict(zip(("value", "low", "high"), ends, strict=True))
    table = pd.DataFrame([{"metric": "x", **row}])
    cells = re.findall(
        r'class="number">([^<]*)', make_readable(clean_html(format_table(table))).partition("<tbody>")[2]
    )
    assert format_estimate(*ends) == told
    assert f"{cells[0]} ({cells[1]})" == told
    assert f"x {told}" in list_numbers(table, "metric", "value")
    assert format_score({"metric": "x", "before": row, "after": row})["before"] == told


def test_what_is_shown_reads_as_it_was():
    text = "a < b, `x[0]`, **bold**, [link] (see), R&D, 5 $"
    assert Markdown(text).text == text
    assert Markdown(NAMES["number"]).text.replace(JOINER, "") == NAMES["number"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # nbconvert says much of scraps and of texts that look like names of files
def test_names_levels_and_params_are_text_in_html_made_of_the_notebooks(project):
    (project / "notebooks").rmdir()
    (project / "params").rmdir()
    rows = range(240)
    table = {
        NAMES["number"]: [(each * 37) % 101 for each in rows],
        NAMES["level"]: [list(NAMES.values())[each % 5] for each in rows],
        NAMES["link"]: [None if each % 9 == 0 else (each * 17) % 23 for each in rows],
        NAMES["tick"]: [(each * 29) % 13 for each in rows],
        NAMES["target"]: [("no", NAMES["number"])[(each * 37) % 101 > 60 - each % 7] for each in rows],
    }
    pd.DataFrame(table).to_csv(project / "d.csv", index=False)
    assert call("new", "odd", "--data", "d.csv", "--target", NAMES["target"]).exit_code == 0
    text = "\\n".join(NAMES.values())
    lines = [f'  {name}: "{text}"' for name in ("objective", "decision", "owner", "rule_in_words")]
    (project / "more.yaml").write_text(
        "\n".join(["01_frame:", *lines, f'  rule: ["{NAMES["level"]}"]', f'  protected: ["{NAMES["level"]}"]'])
    )
    files = [project / "params" / "odd.yaml", project / "more.yaml"]
    folder, record = execute_plan(plan_run(project, files, stages=Chosen(last="05")))
    assert record.status == "passed", record.stages
    unsafe = []
    for path in sorted(folder.glob("0*.ipynb")):
        text = path.read_text()
        assert Live(HTMLExporter().from_notebook_node(nbformat.reads(text, as_version=4))[0]).found == [], path.name
        naive = text.replace("\\u2060", "").replace(JOINER, "")
        unsafe += Live(HTMLExporter().from_notebook_node(nbformat.reads(naive, as_version=4))[0]).found
    assert len(unsafe) > 2  # what the check would have found
