"""Two runs side by side, in the words of `nbkit compare`."""

import json

from nbkit.desk import RunComparison
from tests.conftest import glue


def make_run(project, name, *, started, seed=0, status="passed", stages=("01_frame",)):
    folder = project / "runs" / name
    glue(folder / "01_frame.ipynb", headline=f"Seed {seed}.")
    record = {"run": name, "project": name.split("-")[0], "status": status, "started": started}
    record |= {
        "parameters": {"01_frame": {"seed": seed}},
        "stages": [{"stage": each, "status": status} for each in stages],
    }
    (folder / "run.json").write_text(json.dumps(record))


def test_two_runs_are_needed(project):
    assert "Two runs are needed" in RunComparison(project).html()
    make_run(project, "churn-1", started="2026-01-01")
    face = RunComparison(project)
    assert "Two runs are needed" in face.html()
    assert "Two runs are needed" in face.widget.children[-1].value
    make_run(project, "churn-2", started="2026-01-02", seed=1)
    face.widget.children[2].click()
    assert [each.value for each in face.widget.children[:2]] == ["churn-1", "churn-2"]
    assert "01_frame.seed" in face.widget.children[-1].value


def test_a_run_that_failed_is_not_compared_unless_it_is_chosen(project):
    for number, status in enumerate(("passed", "passed", "failed", "interrupted"), 1):
        make_run(project, f"churn-{number}", started=f"2026-01-0{number}", status=status)
    face = RunComparison(project / "runs")
    assert (face.before, face.after) == ("churn-1", "churn-2")
    assert face.runs[0] == "churn-4"


def test_the_two_latest_of_a_project_are_compared_and_others_can_be_chosen(project):
    make_run(project, "churn-1", started="2026-01-01", seed=1)
    make_run(project, "wine-1", started="2026-01-02", seed=2)
    make_run(project, "churn-2", started="2026-01-03", seed=3)
    make_run(project, "churn-monitor", started="2026-01-04", stages=("11_monitor",))
    face = RunComparison(project)
    assert (face.before, face.after) == ("churn-1", "churn-2")
    assert face.runs == ["churn-2", "wine-1", "churn-1"]
    html = face.html()
    assert "01_frame.seed" in html
    assert "(1 difference; 1 more elsewhere)" in html
    assert "The scores cannot be compared" in html
    before, after = face.widget.children[:2]
    before.value = "wine-1"
    shown = face.widget.children[-1].value
    assert "wine-1: " in shown
    assert "<td>2</td>" in shown
    after.value = "wine-1"
    assert "Nothing differs." in face.widget.children[-1].value
    assert RunComparison(project, after="churn-monitor").before == "churn-2"
