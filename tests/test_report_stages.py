import json

from nbkit.report.overview import read_overview
from nbkit.report.pages import render_index
from nbkit.report.stages import read_run_stages
from tests.conftest import make_notebook
from tests.test_report_overview import PASSED, write_run


def lay(folder):
    make_notebook(folder / "01_a.ipynb", "run.save('x', 1)")
    make_notebook(folder / "02_b.ipynb", "run.load('01_a', 'x')")


def test_a_run_is_read_from_its_own_notebooks_and_what_it_did_not_come_to_from_the_sources(project):
    folder = write_run(
        project, stages={"01_a": PASSED, "02_b": {"status": "failed", "seconds": 700.0}, "03_c": {"status": "pending"}}
    )
    make_notebook(project / "notebooks" / "02_b.ipynb", "run.save('y', 1)")
    make_notebook(project / "notebooks" / "03_c.ipynb", "run.load('02_b', 'y')")
    make_notebook(project / "notebooks" / "04_d.ipynb", "run.load('02_b', 'y')")
    lay(folder)  # the run's 02_b loads; the source of today does not
    assert list(read_run_stages(folder)) == ["01_a", "02_b", "03_c", "04_d"]
    edges = read_overview(folder).edges
    assert edges[["source", "target"]].values.tolist() == [["01_a", "02_b"], ["02_b", "03_c"]]
    assert '<th scope="row">04_d</th><td class="short">' not in render_index(
        read_overview(folder)
    )  # it is no part of this run


def test_the_front_page_tells_it_as_a_table(project):
    folder = write_run(project, stages={"01_a": PASSED, "02_b": PASSED})
    lay(folder)
    html = render_index(read_overview(folder))
    assert '<th scope="row">02_b</th><td class="short">01_a</td><td>x</td>' in html


def test_a_run_whose_stages_hand_over_nothing_has_no_such_table(project):
    html = render_index(read_overview(write_run(project, stages={"01_a": PASSED})))
    assert 'id="flow"' not in html


def test_a_run_whose_project_is_gone_is_still_told(project):
    folder = write_run(project, stages={"01_a": PASSED, "02_b": PASSED})
    lay(folder)
    (project / "notebooks").rename(project / "elsewhere")
    manifest = json.loads((folder / "run.json").read_text()) | {"root": str(project / "gone")}
    (folder / "run.json").write_text(json.dumps(manifest))
    assert len(read_overview(folder).edges) == 1
