"""The page that the desk opens on: its tables, and that it reads well with nobody there and nothing run yet."""

import json
from pathlib import Path

from nbkit.desk import Home, find_place
from nbkit.registry import Registry
from nbkit.report import write_report
from tests.conftest import make_notebook
from tests.registry_helpers import fill
from tests.test_report_overview import PASSED, write_run

PAGE = Path(__file__).parents[1] / "notebooks" / "00_desk.ipynb"


def test_the_page_reads_well_where_nothing_has_been_run(project, monkeypatch):
    make_notebook(project / "notebooks" / "01_a.ipynb", "1")
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.delenv("VSCODE_PID", raising=False)
    space, shown = {}, []
    for cell in json.loads(PAGE.read_text())["cells"]:
        if cell["cell_type"] == "code":
            *body, last = "".join(cell["source"]).splitlines()
            exec("\n".join(body), space)
            shown.append(eval(last, space) if last.startswith("home.") else exec(last, space))
    tables, (launcher, comparison, browser) = shown[2:7], shown[7:]
    assert [len(table) for table in tables] == [0, 0, 0, 0, 1]
    assert tables[4].to_dict("records") == [
        {"stage": "01_a", "latest result": "", "saved": "", "freshness": "it has not run"}
    ]
    assert "`nbkit new NAME --data FILE --target COLUMN` writes one" in launcher._repr_mimebundle_()["text/html"]
    assert "Two runs are needed to compare them" in comparison._repr_mimebundle_()["text/html"]
    assert "there is no registry in" in browser._repr_mimebundle_()["text/html"]
    assert not (project / "registry").exists()


def test_runs_have_their_verdicts_and_windows_that_are_ok_need_no_look(project):
    make_notebook(project / "notebooks" / "01_a.ipynb", "1")
    (project / "params" / "toy.yaml").write_text("shared: {name: toy}\n")
    write_report(write_run(project, "toy-1"))
    look = {"version": "toy@1", "headline": "Rows have moved."}
    for name, window, decision in (("w1", "2013-06", "look"), ("w2", "2013-07", "ok")):
        values = look | {"window": window, "decision": decision}
        write_run(project, name, stages={"11_monitor": PASSED}, **{"11_monitor": values})
    home = Home(project)
    (row,) = home.runs().to_dict("records")
    assert (row["run"], row["verdict"]) == ("toy-1", "NOT DECIDED")
    assert home.windows()[["version", "window", "decision", "what was found", "run"]].to_numpy().tolist() == [
        ["toy@1", "2013-06", "look", "Rows have moved.", "w1"]
    ]
    assert home.projects()["to run it"].tolist() == ["nbkit run params/toy.yaml"]


def test_versions_are_those_of_the_registry(project):
    fill(Registry(project / "registry"))
    versions = Home(project).versions().set_index("version")
    assert versions.loc["toy@1"].drop("registered").tolist() == ["production", "production", "ann"]
    assert versions.at["toy@2", "approved by"] == "nobody"


def test_the_desk_opens_on_it(project):
    make_notebook(project / "notebooks" / "00_desk.ipynb", nbkit={"cadence": "desk"})
    make_notebook(project / "notebooks" / "01_a.ipynb", "1")
    for name in ("", "desk", "00"):
        assert find_place(project, name).notebook == "notebooks/00_desk.ipynb"
