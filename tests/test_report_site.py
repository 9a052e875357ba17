"""The index of a project: every run, version and window, searchable, and readable without the script."""

import base64
import hashlib
import re
from urllib.parse import unquote

import pytest

from nbkit.desk import read_twins
from nbkit.registry import Registry
from nbkit.report import write_report, write_site
from nbkit.report.site import SCRIPT
from tests.page_checks import Page
from tests.registry_helpers import fill
from tests.test_cli_run import nbkit
from tests.test_report_overview import PASSED, write_run
from tests.test_report_pack import check_links, make_report
from tests.test_report_pages import EVIL


def read(path):
    """Parse the page, after checking that its policy allows its script and no other."""
    text = path.read_text(encoding="utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    policy = re.search(r'content="(default-src[^"]*)"', text)[1]
    assert scripts == [SCRIPT.read_text()]
    assert len(scripts[0].encode()) <= 2000
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "unsafe-inline'; img" in policy
    page = Page(text)
    assert page.wrong == []
    return page


def test_runs_versions_and_windows_are_listed_and_linked(project):
    make_report(project)
    write_report(
        write_run(project, "stopped", status="failed", stages={"01_frame": {"status": "failed", "message": EVIL}})
    )
    fill(Registry(project / "registry"))
    record = project / "runs" / "toy-1" / "run.json"
    record.write_text(
        record.read_text().replace('"files"', '"parameters": {"09_register": {"registry": "registry"}}, "files"')
    )
    done = nbkit("site")
    assert (done.exit_code, done.stdout) == (0, f"{project / 'runs' / 'index.html'}\n")
    page = read(project / "runs" / "index.html")
    links = [unquote(attrs["href"]) for attrs in page.all("a") if not attrs["href"].startswith("#")]
    assert sorted(links) == sorted(f"{path.parent.name}/report/index.html" for path in project.glob("runs/*/report"))
    assert all((project / "runs" / link).is_file() for link in links)
    assert EVIL in page.text
    assert "Registry: 5 versions" in page.text
    assert re.search(r"toy@1productionproduction[-\d]{10}ann", page.text)
    assert "nobody has approved it for production" in page.text
    assert "stopped: STOPPED" in page.text
    assert "there is no params file in" in page.text
    assert str(project) not in (project / "runs" / "index.html").read_text()
    assert "2 windows of new rows" in page.text
    assert "■ Needs review" in page.text
    assert "✕" in page.text or "■" in page.text


def test_a_copy_of_the_site_stands_alone(project, tmp_path_factory):
    make_report(project)
    place = tmp_path_factory.mktemp("web") / "site"
    assert write_site(project, place) == place / "index.html"
    for attrs in read(place / "index.html").all("a"):
        if not attrs["href"].startswith("#"):
            assert (place / unquote(attrs["href"])).is_file()
    for folder in place.iterdir():
        assert not folder.is_dir() or check_links(folder)
    assert not (project / "runs" / "index.html").exists()


def test_the_runs_themselves_are_no_place_for_copies(project):
    make_report(project)
    before = sorted(path.name for path in (project / "runs" / "toy-1").iterdir())
    assert write_site(project, project / "runs") == project / "runs" / "index.html"
    assert sorted(path.name for path in (project / "runs" / "toy-1").iterdir()) == before


def test_a_registry_that_is_gone_is_said(project):
    make_report(project)
    record = project / "runs" / "toy-1" / "run.json"
    record.write_text(
        record.read_text().replace('"files"', '"parameters": {"09_register": {"registry": "gone"}}, "files"')
    )
    page = read(write_site(project, twins=read_twins(project)))
    assert f"there is no registry in {project.name}/gone" in page.text


def test_what_the_url_of_a_registry_says_of_a_user_is_on_no_page(project):
    make_report(project)
    record = project / "runs" / "toy-1" / "run.json"
    place = "postgresql://ann:hunter2@localhost:1/models"
    record.write_text(
        record.read_text().replace('"files"', f'"parameters": {{"09_register": {{"registry": "{place}"}}}}, "files"')
    )
    page = read(write_site(project, twins=read_twins(project)))
    assert "Versions in localhost:1/models" in page.text
    assert "cannot be opened" in page.text
    assert "hunter2" not in (project / "runs" / "index.html").read_text()


@pytest.mark.parametrize("runs", [0, 1])
def test_a_project_with_no_runs_or_one_has_a_page(project, runs):
    for _ in range(runs):
        write_run(project, stages={"01_frame": PASSED}, **{"01_frame": {"objective": EVIL}})
    page = read(write_site(project))
    assert ("No runs yet" in page.text) == (not runs)
    assert ("1 run, 0 windows" if runs else "0 runs, 0 windows") in page.text
