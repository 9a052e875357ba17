"""What a run leaves can be shown: JupyterLab trusts it, and a page says the notebook's title, also of a stage that failed."""

import re

import nbformat
import pytest
from nbformat.sign import NotebookNotary

from nbkit.pipeline import Chosen, execute_plan, plan_run
from nbkit.report.pages import write_report
from tests.conftest import make_notebook
from tests.page_checks import check_page

DRAW = "import nbkit, pandas as pd\nrun = nbkit.Run(run_dir)"
CHART = "nbkit.plots.draw_bars(pd.DataFrame({'a': ['x', 'y'], 'b': [1.0, 2.0]}), 'a', 'b', 'Two bars')"


@pytest.fixture
def params(project, monkeypatch):
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(project / "jupyter"))
    make_notebook(project / "notebooks" / "01_first.ipynb", DRAW, CHART)
    make_notebook(project / "notebooks" / "02_second.ipynb", "print('so far')", "1 / 0")
    path = project / "params" / "toy.yaml"
    path.write_text("")
    return path


def is_trusted(path):
    notary = NotebookNotary()
    try:
        return notary.check_signature(nbformat.read(path, as_version=4))
    finally:
        notary.store.close()


@pytest.mark.slow
def test_executed_notebooks_are_trusted_and_a_failed_stage_has_its_own_title(project, params):
    folder, record = execute_plan(plan_run(project, [params]))
    assert record.status == "failed"
    assert [is_trusted(folder / f"{name}.ipynb") for name in ("01_first", "02_second")] == [True, True]
    again, record = execute_plan(plan_run(project, [params], stages=Chosen(last="01"), name="again"))
    assert record.stages[0].borrowed == folder.name
    assert is_trusted(again / "01_first.ipynb")
    write_report(folder)
    for name, title in (("index", ""), ("01_first", "01_first"), ("02_second", "02_second")):
        html = (folder / "report" / f"{name}.html").read_text()
        page = check_page(html)
        assert not title or re.findall(r"<h1>(.*?)</h1>", html) == [title]
        assert "papermill-error-cell" not in html
        assert "<span" not in page.text
    assert "ZeroDivisionError" in html


@pytest.mark.slow
def test_a_run_passes_where_nothing_can_be_signed(project, params, monkeypatch):
    monkeypatch.setenv("JUPYTER_DATA_DIR", "/proc/nowhere")
    assert execute_plan(plan_run(project, [params], stages=Chosen(last="01")))[1].status == "passed"
