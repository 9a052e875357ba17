import json

import pandas as pd
import pytest

from nbkit.pictures import Picture
from nbkit.plots import draw_bars
from nbkit.report.blocks import UNDESCRIBED, Block, read_blocks, render_markdown
from nbkit.report.figures import clean_svg
from tests.conftest import make_notebook
from tests.page_checks import Page

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
SVG = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">{}</svg>'


@pytest.fixture
def write(tmp_path):
    """Write a notebook whose last cell has these outputs, and return its blocks without the code."""

    def write(*outputs, cells=()):
        path = make_notebook(tmp_path / "01_first.ipynb", "code")
        notebook = json.loads(path.read_text())
        notebook["cells"][-1]["outputs"] = list(outputs)
        notebook["cells"] += cells
        path.write_text(json.dumps(notebook))
        return [block for block in read_blocks(path) if block.kind != "code"][1:]

    return write


def display(metadata=None, **data):
    return {"output_type": "display_data", "data": {name.replace("_", "/", 1).replace("svg", "svg+xml"): value for name, value in data.items()}, "metadata": metadata or {}}  # fmt: skip


def test_prose_tables_figures_and_code_come_in_order(tmp_path):
    path = make_notebook(tmp_path / "01_first.ipynb", "x = 1\nx")
    blocks = read_blocks(path)
    assert [block.kind for block in blocks] == ["prose", "code", "code"]
    assert blocks[0].html == "<p>A question?</p>"
    assert blocks[2] == Block("code", "x = 1\nx")


def test_scraps_and_hidden_cells_are_left_out(write):
    scrap = {
        "output_type": "display_data",
        "data": {"application/scrapbook.scrap.json+json": {}, "text/plain": "x"},
        "metadata": {},
    }
    hidden = {
        "cell_type": "markdown",
        "id": "h",
        "metadata": {"tags": ["papermill-error-cell-tag"]},
        "source": "An error",
    }
    assert write(scrap, cells=[hidden]) == []
    widget = {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "FloatProgress(value=0.0)"}
    assert write({**scrap, "data": widget}) == []
    assert [each.kind for each in write({**scrap, "data": {**widget, "text/html": "<p>its twin</p>"}})] == ["table"]


def test_what_was_printed_stays_with_the_code(write, tmp_path):
    write({"output_type": "stream", "name": "stdout", "text": ["a\n", "\x1b[31mb\x1b[0m"]})
    code = read_blocks(tmp_path / "01_first.ipynb")[-1]
    assert (code.kind, code.words) == ("code", "a\nb")


def test_the_folder_on_this_machine_is_not_told(tmp_path):
    folder = tmp_path / 'a "b" ü'
    blocks = read_blocks(make_notebook(folder / "01_first.ipynb", f"run_dir = {str(folder)!r}"))
    assert blocks[-1].html == "run_dir = '.'"


def test_an_error_is_shown_without_colours(write):
    error = {
        "output_type": "error",
        "ename": "ValueError",
        "evalue": "\x1b[1m<b>",
        "traceback": ["\x1b[31mline 1\x1b[0m", "line 2"],
    }
    assert write(error) == [Block("error", "ValueError: <b>", "line 1\nline 2")]


def test_the_richest_form_is_taken(write):
    assert write(display(text_html="<b>x</b>", text_plain="x")) == [Block("table", "<b>x</b>")]
    assert write(display(text_markdown="**x**", text_plain="x")) == [Block("prose", "<p><strong>x</strong></p>")]
    assert write(display(text_plain=["a", "b"])) == [Block("text", "ab")]
    assert write(display(text_html="<script>draw()</script>", text_plain="a chart")) == [Block("text", "a chart")]
    assert write(display(text_html="<script>draw()</script>")) == []


@pytest.mark.parametrize("text", ["<svg", "no svg", "<svg><path>", "<html/>"])
def test_a_broken_picture_is_told_in_words(write, text):
    assert write(display(image_svg=text, text_plain="bars")) == [Block("text", "bars")]


def test_broken_base64_is_told_in_words(write):
    assert write(display(image_png="!!", text_plain="bars")) == [Block("text", "bars")]


def test_every_figure_has_words(write):
    words = {"image/svg+xml": {"alt": "Two bars."}}
    assert write(display(image_svg=SVG.format(""), metadata=words))[0].words == "Two bars."
    assert write(display(image_svg=SVG.format(""), text_plain="Bars"))[0].words == "Bars"
    assert write(display(image_svg=SVG.format("")))[0].words == UNDESCRIBED
    (block,) = write(display(image_png=PIXEL, text_plain="<Figure size 640x480 with 1 Axes>"))
    assert block.words == UNDESCRIBED
    assert block.html == f'<img src="data:image/png;base64,{PIXEL}" alt="">'


def test_our_own_pictures_pass_unharmed(write):
    table = pd.DataFrame({"column": ["a", "<b>"], "strength": [0.5, 0.2]})
    picture = draw_bars(table, "column", "strength", "What tells `late`", unit="strength")
    assert isinstance(picture, Picture)
    data, metadata = picture._repr_mimebundle_()
    (block,) = write({"output_type": "execute_result", "data": data, "metadata": metadata})
    page = Page(block.html)
    assert not page.wrong
    assert block.words == picture.alt
    assert "http" not in block.html
    drawn = [attrs["d"].split() for attrs in page.all("path")]
    assert [attrs["d"].split() for attrs in Page(picture.svg).all("path")] == drawn
    assert "<b>" in page.text
    assert 'viewBox="' in block.html


def test_ids_of_a_picture_get_a_prefix_and_its_references_follow():
    body = '<defs><clipPath id="a"/></defs><g clip-path="url(#a)" style="fill: url(\'#a\')"/><use xlink:href="#a"/><use href="#a"/>'
    page = Page(clean_svg(SVG.format(body), "c2-0"))
    assert page.all("clippath") == [{"id": "c2-0-a"}]
    assert list(page.all("g")) == [{"clip-path": "url(#c2-0-a)", "style": "fill: url(#c2-0-a)"}]
    assert page.all("use") == [{"xlink:href": "#c2-0-a"}, {"href": "#c2-0-a"}]


@pytest.mark.parametrize(
    "evil",
    ["<script>alert(1)</script>", '<path onclick="alert(1)"/>', '<image href="http://x/y.png"/>', '<image xlink:href="https://x"/>',
     '<use xlink:href="http://x#a"/>', "<style>@import url(http://x)</style>", "<style>body{display:none}</style>",
     '<foreignObject><b xmlns="http://www.w3.org/1999/xhtml">x</b></foreignObject>', '<g style="fill:url(http://x)"/>', "<metadata>x</metadata>",
     '<a xlink:href="javascript:alert(1)"><path/></a>', '<set attributeName="href" to="javascript:alert(1)"/>', '<g fill="url( http://x )"/>',
     '<image href="data:text/html,x"/>', '<image href="data:image/svg+xml;base64,x"/>', '<g style="fill:\\75rl(http://x)"/>', '<g ONLOAD="x"/>'],
)  # fmt: skip
def test_a_picture_neither_acts_nor_fetches(evil):
    html = clean_svg(SVG.format(f'<path id="ok"/>{evil}'), "f")
    page = Page(html)
    assert page.all("path")[0] == {"id": "f-ok"}
    assert {tag for tag, _ in page.elements} <= {"svg", "path", "image", "use", "g"}
    assert [attrs for _, attrs in page.elements[2:] if attrs] == []
    assert not any(word in html for word in ("http", "alert", "javascript", "display"))


def test_entities_of_a_prolog_do_not_grow():
    bomb = '<!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>' + SVG.format("<text>&b;</text>")
    assert clean_svg(bomb, "f") == "<svg><text>&amp;b;</text></svg>"
    deep = "<svg>" + "<g>" * 100_000 + "</g>" * 100_000 + "</svg>"
    assert len(clean_svg(deep, "f")) <= len(deep)


def test_matplotlib_styles_its_own_lines_only():
    html = clean_svg(SVG.format("<defs><style>*{stroke-linejoin: round; stroke-linecap: butt}</style></defs>"), "f")
    assert html == '<svg style="stroke-linejoin: round; stroke-linecap: butt"><defs></defs></svg>'


def test_markdown_is_text_not_markup():
    assert "<script" not in render_markdown("<script>alert(1)</script> and [a](javascript:x) ![b](http://x/y.png)")
    assert render_markdown("[out](https://example.com)") == "<p><a>out</a></p>"
    assert render_markdown("") == ""
    table = render_markdown("| a | b |\n|---|---|\n| 1 | <img src=x> |")
    assert table.count('scope="col"') == 2
    assert "<img" not in table


def test_what_is_printed_is_cut_with_a_word_on_how_much_and_where_it_is(write, tmp_path):
    write({"output_type": "stream", "name": "stdout", "text": "x" * 50_000_000 + "the end"})
    words = read_blocks(tmp_path / "01_first.ipynb")[-1].words
    assert len(words) < 50_000
    assert "49,960,007 characters are left out here: see code cell 2 of 01_first.ipynb" in words
    assert words.endswith("the end")


@pytest.mark.parametrize("mime", ["text_html", "text_markdown", "text_plain", "image_svg", "image_png"])
def test_an_output_of_10_mb_makes_a_page_of_less_than_one(write, mime):
    rows = "<tr><td>1</td><td>two</td></tr>\n" * 350_000
    content = {"text_html": f"<table>{rows}</table>", "text_markdown": "- a point\n" * 1_000_000}
    blocks = write(display(**{mime: content.get(mime, "A" * 10_000_000)}))
    assert sum(len(block.html) + len(block.words) for block in blocks) < 1_000_000
    said = " ".join(block.html for block in blocks)
    assert "characters are left out here" in said
    assert "code cell 2 of 01_first.ipynb" in said
    if mime == "text_html":
        assert len(Page(said).all("td")) > 1000


def test_many_outputs_make_no_endless_page_either(write):
    blocks = write(*[display(text_html=f"<p>{'x' * 300_000}</p>") for _ in range(60)])
    assert sum(len(block.html) for block in blocks) < 9_000_000
    assert "a page would be too long; all of it is in 01_first.ipynb" in blocks[-1].html


def test_a_picture_brings_its_own_ground_and_leaves_it_at_the_door_of_a_page(write):
    picture = draw_bars(pd.DataFrame({"name": ["a", "b"], "value": [1.0, 2.0]}), "name", "value", "Title")
    shown, metadata = picture._repr_mimebundle_()
    assert 'style="color: #1f2328; background: #ffffff; ' in shown["image/svg+xml"].split(">")[0]
    [block] = write(display(metadata, image_svg=shown["image/svg+xml"]))
    assert "background" not in block.html
    assert "currentColor" in block.html
    assert "stroke-linejoin" in block.html
