"""Windows by columns, from what the monitor's runs handed over."""

import json

import pandas as pd
import pytest

from nbkit.desk import DriftExplorer
from tests.conftest import glue

WEIGHTS = pd.DataFrame({"feature": ["temp", "hour"], "share": [0.2, 0.7]})


def make_drift(level, column="temp"):
    rows = [
        {"column": column, "test": "psi", "value": 0.3, "level": level, "detail": "moved up"},
        {"column": column, "test": "missing", "value": 0.0, "level": "ok", "detail": ""},
        {"column": "hour", "test": "psi", "value": 0.01, "level": "ok", "detail": ""},
    ]
    return pd.DataFrame(rows)


def make_shares(column="temp"):
    return pd.DataFrame(
        {
            "column": column,
            "bin": ["low", "high"] * 2,
            "when": ["reference"] * 2 + ["window"] * 2,
            "share": [0.5, 0.5, 0.2, 0.8],
        }
    )


def look(project, window, level, *, name="late", started="2026-01-01"):
    folder = project / "runs" / f"{name}-monitor-{window}-{started}"
    reasons = pd.DataFrame(
        [{"finding": f"temp moved in {window}", "severity": "high", "evidence": "psi", "action": "look"}]
    )
    values = {
        "window": window,
        "drift": make_drift(level),
        "shares": make_shares(),
        "decision": "look",
        "version": f"{name}@1",
    }
    glue(folder / "11_monitor.ipynb", reasons=reasons, **values)
    record = {"run": folder.name, "status": "passed", "started": started, "parameters": {"11_monitor": {"name": name}}}
    record["stages"] = [{"stage": "11_monitor", "status": "passed"}]
    (folder / "run.json").write_text(json.dumps(record))


@pytest.fixture
def root(project):
    (project / "pyproject.toml").write_text("")
    look(project, "2013-06", "watch")
    look(project, "2013-07", "drift")
    look(project, "2013-07", "ok", name="other")
    return project


def test_windows_stand_side_by_side_and_the_most_influential_column_first(root):
    face = DriftExplorer(root, "late", weights=WEIGHTS)
    assert face.lay_out().to_dict("split") == {
        "index": ["hour", "temp"], "columns": ["2013-06", "2013-07"], "data": [["ok", "ok"], ["watch", "drift"]],
    }  # fmt: skip
    html = face.html()
    assert "○ watch" in html  # a sign and a word, not colour alone
    assert "● drift" in html
    assert "temp moved in 2013-07" in html
    assert "70 %" in html


def test_the_latest_look_at_a_window_counts(root):
    look(root, "2013-06", "ok", started="2026-02-02")
    assert DriftExplorer(root, "late").lay_out().loc["temp", "2013-06"] == "ok"


def test_a_column_of_a_window_is_told_and_drawn(root):
    face = DriftExplorer(root, "late", weights=WEIGHTS)
    said = face.say("2013-07", "temp")
    assert (
        said
        == "temp in 2013-07: psi 0.3, drift (moved up); missing 0, ok; it makes 20 % of all movement of predictions."
    )
    assert "reference" in face.draw("2013-07", "temp").alt
    assert face.draw("2013-07", "hour") is None
    window, column = face.widget.children[1:3]
    shown = face.widget.children[3]
    assert "No histogram was kept" in shown.value
    column.value = "temp"
    assert "<svg" in shown.value
    window.value = "2013-07"
    assert "temp in 2013-07" in shown.value
    assert "temp moved in 2013-07" in shown.value


def test_a_window_that_no_run_holds_yet_stands_beside_the_others_or_alone(root):
    own = {"drift": make_drift("ok"), "shares": make_shares(), "reasons": pd.DataFrame(), "decision": "ok"}
    assert list(DriftExplorer(root, "late", now={"2013-08": own}).windows) == ["2013-06", "2013-07", "2013-08"]
    alone = DriftExplorer(root, "late", now={"2013-08": own}, earlier=False)
    assert list(alone.windows) == ["2013-08"]
    assert "2013-08: ok; nothing was found" in alone.html()


def test_without_a_window_it_says_how_to_get_one(root):
    face = DriftExplorer(root, "nobody")
    assert "No window of nobody has been looked at yet: `nbkit monitor" in face.html()
    assert "nbkit monitor" in face.widget.value


def test_of_many_columns_the_most_influential_are_shown_and_the_rest_can_be_searched(root):
    drift = pd.concat([make_drift("ok", f"x{n}") for n in range(300)])
    weights = pd.DataFrame({"feature": [f"x{n}" for n in range(300)], "share": [n / 50_000 for n in range(300)]})
    own = {"drift": drift, "shares": make_shares(), "reasons": pd.DataFrame(), "decision": "ok"}
    face = DriftExplorer(root, "late", now={"w": own}, earlier=False, weights=weights)
    assert face.html().count("<th>x") == 30
    assert face.html().index("<th>x299") < face.html().index("<th>x298")
    assert "Shown are 30 of 301 columns, by influence" in face.html()
    assert len(face.widget.children[2].options) == 301
