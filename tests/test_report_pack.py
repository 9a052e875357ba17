"""A report that is sent: one file, a zip, a PDF, a copy elsewhere; every link in it resolves, and no two ids meet."""

import re
import shutil
import subprocess
import sys
import zipfile
from html import unescape
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest

from nbkit.plots import draw_bars
from nbkit.report import find_browser, refresh_fronts, send_report, write_report
from nbkit.report.pack import join_pages, read_pages, unlink_outside
from tests.conftest import make_notebook
from tests.page_checks import Page, check_page
from tests.test_cli_run import fake, nbkit, toy  # noqa: F401 - fixtures
from tests.test_report_overview import PASSED, write_run
from tests.test_report_pages import EVIL, add_outputs, full_run, show
from tests.test_report_since import look


def make_report(project, words="fine"):
    """Write a run with its registered version, figures that share ids, and two windows, one oddly named."""
    make_notebook(project / "notebooks" / "11_monitor.ipynb", nbkit={"cadence": "window"})
    folder = full_run(project, words)
    more = {
        "gates": pd.DataFrame(columns=["gate", "passed", "blocking", "detail"]),
        "digest": "abc",
        "version": "toy@1",
    }
    write_run(
        project, stages=dict.fromkeys(("01_frame", "07_evaluate", "09_register"), PASSED), **{"09_register": more}
    )
    picture = draw_bars(pd.DataFrame({"a": ["x", "y"], "b": [1.0, 2.0]}), "a", "b", words)
    table = pd.DataFrame({words: [words, np.nan]})
    for stage in ("01_frame", "07_evaluate"):
        add_outputs(folder, stage, show(picture), show(table), show(picture), source=f'x = \'<a id="main" href="#main">\' # {words}')  # fmt: skip
    for name in ("toy-monitor-a", "toy <b> #1? %41"):
        window = look(project, name, name[-1], "look")
        write_report(window)
        refresh_fronts(window)
    return write_report(folder).parent


def check_links(folder):
    """Walk every link of every page in a folder: it leads to a file beside it, and to an id there."""
    pages = {path.name: Page(path.read_text(encoding="utf-8")) for path in folder.glob("*.html")}
    ids = {name: {attrs["id"] for _, attrs in page.elements if "id" in attrs} for name, page in pages.items()}
    walked = 0
    for name, page in pages.items():
        for attrs in page.all("a"):
            file, _, place = attrs.get("href", "#").partition("#")
            assert "/" not in file, (name, attrs)
            assert (folder / unquote(file or name)).is_file(), (name, attrs)
            assert not place or place in ids[unquote(file or name)], (name, attrs)
            walked += 1
    return walked


@pytest.mark.parametrize("words", ["fine", EVIL, "a" * 200])
def test_every_link_of_a_report_resolves_in_a_copy_elsewhere(project, tmp_path_factory, words):
    folder = make_report(project, words)
    elsewhere = tmp_path_factory.mktemp("mail") / "copy"
    shutil.copytree(folder, elsewhere)
    shutil.rmtree(project / "runs")
    assert check_links(elsewhere) > 20
    assert len(list(elsewhere.glob("window_*.html"))) == 2


def test_the_monitors_pages_lead_back_to_the_front_page_and_go_when_the_look_is_gone(project):
    folder = make_report(project)
    page = check_page((folder / "window_2.html").read_text())
    assert "index.html" in [attrs["href"] for attrs in page.all("a")]
    shutil.rmtree(project / "runs" / "toy-monitor-a")
    write_report(folder.parent)
    assert [path.name for path in folder.glob("window_*.html")] == [
        path.name for path in folder.glob("window_*.html") if path.name != "window_2.html"
    ]


@pytest.mark.parametrize("words", ["fine", EVIL])
def test_one_file_holds_all_pages_and_asks_for_nothing(project, words):
    folder = make_report(project, words)
    pages = read_pages(folder)
    text = join_pages(pages)
    page = check_page(text)
    assert [attrs["href"] for attrs in page.all("a") if not attrs["href"].startswith("#")] == []
    assert [attrs["id"] for attrs in page.all("section") if "id" in attrs] == [
        f"page-{name[:-5]}" for name in pages if name != "index.html"
    ]
    listed = Page(re.search(r'<nav aria-label="All pages of this file">.*?</nav>', text, re.DOTALL)[0]).texts
    assert listed == [
        "01_frame",
        "07_evaluate",
        "09_register",
        "Model card",
        "Glossary",
        "Lineage",
        "11_monitor: 1",
        "11_monitor: a",
        " ",
        "Show the code",
    ]
    for name, each in pages.items():
        body = re.search(r"<main[^>]*>(.*)</main>", each, re.DOTALL)[1]
        for words_there in filter(None, (part.strip() for part in Page(re.sub(r"<nav.*?</nav>|<style.*?</style>", "", body, flags=re.DOTALL)).texts)):  # fmt: skip
            assert words_there in page.text or " ".join(words_there.split()) in page.text, name
    assert len(page.all("svg")) == sum(len(Page(each).all("svg")) for each in pages.values())


def test_what_is_written_in_code_stays_as_it_is(project):
    """Only tags are rewritten, not what looks like one in a cell."""
    text = join_pages(read_pages(make_report(project)))
    assert unescape(text).count("""x = '<a id="main" href="#main">' # fine""") == 2


def test_references_inside_a_drawing_follow_its_ids():
    pages = {
        "index.html": '<title>F</title><header></header><main id="main"><a href="a.html#x">a</a><svg><use href="#g"></use><g id="g"></g></svg></main>',
        "a.html": '<title>A · p</title><header><nav>n</nav><h1>A</h1></header><main id="main"><p id="x" aria-labelledby="g x">'
        '<svg><g id="g" fill="url(#g)"></g><use xlink:href="#g"></use></svg><a href="index.html">f</a><a href="#x">x</a></main>',
    }
    text = join_pages(pages)
    assert 'href="#a--x">a</a>' in text
    assert '<use href="#g"></use><g id="g"></g>' in text
    assert '<p id="a--x" aria-labelledby="a--g a--x">' in text
    assert '<g id="a--g" fill="url(#a--g)"></g><use xlink:href="#a--g"></use>' in text
    assert '<a href="#main">f</a><a href="#a--x">x</a>' in text
    assert "<h2>A</h2>" in text


def test_a_link_out_of_the_folder_becomes_its_text():
    html = '<a class="x" href="../../other/report/index.html"><b>o</b></a> <a href="https://example.org">e</a> <a href="gone.html">g</a>'
    assert unlink_outside(html, ["index.html"]) == '<b>o</b> <a href="https://example.org">e</a> g'
    script = '<script>f("<a href=\'x.html\'>", "<a href=\\"x.html\\">k</a>")</script>'
    assert unlink_outside(script, []) == script


def test_a_zip_is_the_folder_and_the_same_each_time(project, tmp_path_factory):
    folder, place = make_report(project), tmp_path_factory.mktemp("mail")
    first = send_report(folder, "zip", place)
    content = first.read_bytes()
    assert first == place / "toy-1.zip"
    assert send_report(folder, "zip", place / "again.zip").read_bytes() == content
    with zipfile.ZipFile(first) as archive:
        archive.extractall(place / "out")
    assert {path.name for path in (place / "out" / "toy-1").iterdir()} == {path.name for path in folder.iterdir()}
    assert check_links(place / "out" / "toy-1") > 20


@pytest.mark.slow
@pytest.mark.skipif(not find_browser(), reason="there is no Chromium or Chrome here")
def test_a_report_is_printed(project, tmp_path_factory):
    pdf = send_report(make_report(project), "pdf", tmp_path_factory.mktemp("mail"))
    assert pdf.name == "toy-1.pdf"
    assert pdf.read_bytes().startswith(b"%PDF")


def test_without_a_browser_one_sentence_says_so(toy, fake, monkeypatch):  # noqa: F811
    nbkit("run", "params/toy.yaml", "--name", "one")
    monkeypatch.setenv("PATH", "/nowhere")
    done = nbkit("report", "one", "--pdf")
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    assert "no Chromium or Chrome" in done.stderr
    assert done.stdout == ""


def test_a_browser_that_prints_nothing_is_told(toy, fake, monkeypatch):  # noqa: F811
    nbkit("run", "params/toy.yaml", "--name", "one")
    browser = toy / "bin" / "chromium"
    browser.parent.mkdir()
    browser.write_text(f"#!{sys.executable}\nimport sys; sys.exit('no display')\n")
    browser.chmod(0o755)
    monkeypatch.setenv("PATH", str(browser.parent))
    done = nbkit("report", "one", "--pdf", "-o", "x.pdf")
    assert done.exit_code == 1
    assert done.stderr == "nbkit: chromium printed nothing: no display\n"
    assert not (toy / "x.pdf").exists()


def test_the_command_writes_where_it_is_told_and_opens_it(toy, fake, monkeypatch):  # noqa: F811
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    nbkit("run", "params/toy.yaml", "--name", "one")
    before = sorted(path.name for path in (toy / "runs" / "one").iterdir())
    done = nbkit("report", "one", "--single-file", "--open")
    assert (done.exit_code, done.stdout) == (0, "one.html\n")
    assert opened == [(toy / "one.html").as_uri()]
    assert nbkit("report", "one", "--zip", "-o", "sent.zip").stdout == "sent.zip\n"
    (toy / "mail").mkdir()
    assert nbkit("report", "one", "--zip", "-o", "mail").stdout == "mail/one.zip\n"
    assert sorted(path.name for path in (toy / "runs" / "one").iterdir()) == before, (
        "a run's folder is not ours to fill"
    )
    done = nbkit("report", "one", "-o", "x.html")
    assert done.exit_code == 2
    assert "-o goes with" in done.stderr
    assert nbkit("report", "one", "--zip", "-o", "no/such/place/x.zip").exit_code in (0, 1)


@pytest.mark.parametrize("stages", [{}, {"01_frame": PASSED}, {"01_frame": {"status": "refused", "message": EVIL}}])
def test_a_run_that_stopped_early_can_be_sent_too(project, stages, tmp_path_factory):
    folder = write_report(write_run(project, status="failed", stages=stages, **{stage: {} for stage in stages})).parent
    check_page(send_report(folder, "html", tmp_path_factory.mktemp("mail")).read_text())


def test_sending_leaves_no_heavy_import_behind():
    code = "import nbkit.report.pack, sys; print([m for m in ('pandas', 'jinja2', 'sklearn') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_run_is_refused(toy):  # noqa: F811
    assert nbkit("report", "nobody", "--zip").exit_code == 2


def test_a_report_of_before_gets_all_that_its_front_page_leads_to_when_the_monitor_looks_again(project):
    folder = make_report(project)
    for page in ("glossary.html", "card.html", "lineage.html"):
        (folder / page).unlink()
    refresh_fronts(project / "runs" / "toy-monitor-a")
    check_links(folder)
