"""A value put into a params file: only its line changes, nothing without a yes."""

import asyncio
from types import SimpleNamespace

import pandas as pd
import pytest
from ruamel.yaml import YAML

from nbkit.desk.change import find_params, make_asker, plan_change
from nbkit.desk.face import Face
from nbkit.desk.parts import Later, make_page, tabulate, thin
from nbkit.errors import BadParameter
from nbkit.model import Predictions
from nbkit.problem import Problem

PARAMS = """# what it is for
shared:
  name: churn      # kept

01_frame:
  costs: {false_positive: 25, false_negative: 60}   # per call
  criteria:
    # the bound of the board
    roc_auc: "> rule"

    brier: "<= 0.2"   # as before
# the end
02_ingest:
"""


@pytest.fixture
def params(tmp_path):
    path = tmp_path / "params" / "churn.yaml"
    path.parent.mkdir()
    path.write_text(PARAMS)
    return path


@pytest.mark.parametrize(
    ("keys", "value", "lines"),
    [
        (("01_frame", "costs", "false_positive"), 30,
         "-  costs: {false_positive: 25, false_negative: 60}   # per call\n"
         "+  costs: {false_positive: 30, false_negative: 60}   # per call"),
        (("01_frame", "costs", "true_positive"), -5,
         "-  costs: {false_positive: 25, false_negative: 60}   # per call\n"
         "+  costs: {false_positive: 25, false_negative: 60, true_positive: -5}   # per call"),
        (("01_frame", "criteria", "brier"), "<= 0.1",
         "-    brier: \"<= 0.2\"   # as before\n+    brier: <= 0.1   # as before"),
        (("01_frame", "criteria", "ece"), 1, "+    ece: 1"),
        (("07_evaluate", "threshold"), 0.3, "+\n+07_evaluate:\n+  threshold: 0.3"),
        (("02_ingest", "sample"), 10, "+  sample: 10"),
        (("01_frame", "name"), "lapse", "-  name: churn      # kept\n+  name: lapse      # kept"),
        (("07_evaluate", "cohorts", "late: eve"), [{"column": "hour", "op": ">=", "value": 18}],
         "+\n+07_evaluate:\n+  cohorts: {'late: eve': [{column: hour, op: '>=', value: 18}]}"),
    ],
)  # fmt: skip
def test_only_the_lines_of_the_value_change(params, keys, value, lines):
    change = plan_change(params, [(keys, value)])
    assert change.lines == lines
    assert params.read_text() == PARAMS
    change.write()
    kept = [line for line in PARAMS.splitlines() if f"-{line}" not in lines.splitlines()]
    assert [line for line in kept if line not in params.read_text().splitlines()] == []


def test_what_is_written_is_what_is_read_again(params):
    plan_change(
        params,
        [(("07_evaluate", "threshold"), 0.25), (("07_evaluate", "cohorts", "a"), [{"column": "x", "op": "known"}])],
    ).write()
    found = YAML(typ="safe").load(params.read_text())
    assert found["07_evaluate"] == {"threshold": 0.25, "cohorts": {"a": [{"column": "x", "op": "known"}]}}


def test_a_section_that_is_written_otherwise_is_found(params):
    params.write_text("evaluate:\n  threshold: 0.2\n")
    assert plan_change(params, [(("07_evaluate", "threshold"), 0.3)]).after == "evaluate:\n  threshold: 0.3\n"


def test_a_file_that_cannot_be_changed_here_says_what_to_write(params):
    params.write_text("a: &x {costs: {false_positive: 1}}\n01_frame: *x\n")
    with pytest.raises(BadParameter, match=r"write 01_frame\.costs\.false_positive: 2 into it"):
        plan_change(params, [(("01_frame", "costs", "false_positive"), 2)])


@pytest.mark.parametrize(
    "text",
    [
        "07_evaluate:\n  threshold: &t 0.5\n08_explain: {t: *t}\n",
        "07_evaluate:\n  threshold: >-\n    0.5\n  draws: 3\n",
        "07_evaluate: {draws: 3, }\n",
    ],
)
def test_what_would_no_longer_be_yaml_is_said_in_plain_words(params, text):
    params.write_text(text)
    with pytest.raises(BadParameter, match=r"cannot be changed from here: write 07_evaluate\.threshold: 0\.3 into it"):
        plan_change(params, [(("07_evaluate", "threshold"), 0.3)])


def test_line_ends_links_and_modes_stay_as_they_are(params, tmp_path):
    params.write_bytes(b"07_evaluate:\r\n  draws: 3  # few\r\n")
    params.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to(params)
    plan_change(link, [(("07_evaluate", "threshold"), 0.3), (("01_frame", "seed"), 1)]).write()
    written = b"07_evaluate:\r\n  draws: 3  # few\r\n  threshold: 0.3\r\n\r\n01_frame:\r\n  seed: 1\r\n"
    assert params.read_bytes() == written
    assert (link.is_symlink(), params.stat().st_mode & 0o777) == (True, 0o640)


def test_a_file_that_is_read_only_stays_as_it_is(params):
    params.chmod(0o444)
    use, said, choice = make_asker(lambda: plan_change(params, [(("02_ingest", "sample"), 10)])).children
    use.click()
    choice.children[0].click()
    assert "✕ churn.yaml is read-only: make it writable, then say yes again" in said.value
    assert params.read_text() == PARAMS
    params.chmod(0o644)
    choice.children[0].click()
    assert "sample: 10" in params.read_text()


def test_the_second_half_of_a_double_click_says_nothing(params):
    use, said, choice = make_asker(lambda: plan_change(params, [(("02_ingest", "sample"), 10)])).children
    use.click()
    for _ in range(2):
        choice.children[0].click()
    assert "churn.yaml is changed" in said.value


def test_a_file_that_was_changed_meanwhile_is_left_alone(params):
    change = plan_change(params, [(("02_ingest", "sample"), 10)])
    params.write_text(PARAMS + "# mine\n")
    with pytest.raises(BadParameter, match="changed meanwhile"):
        change.write()
    assert params.read_text() == PARAMS + "# mine\n"


def test_the_file_that_gives_a_parameter_is_taken_the_last_one_first(params, tmp_path):
    other = tmp_path / "more.yaml"
    other.write_text("shared: {seed: 1}\n")
    assert find_params([params, other], "01_frame", "costs") == params
    assert find_params([params, other], "01_frame", "seed") == other
    assert find_params([params, other], "07_evaluate", "threshold") == params
    with pytest.raises(BadParameter, match="nbkit run"):
        find_params([tmp_path / "gone.yaml"], "01_frame", "costs")


def test_nothing_is_written_without_a_yes(params):
    box = make_asker(lambda: plan_change(params, [(("02_ingest", "sample"), 10)]))
    use, said, choice = box.children
    yes, no = choice.children
    assert choice.layout.visibility == "hidden"
    use.click()
    assert "sample: 10" in said.value
    assert (choice.layout.visibility, params.read_text()) == ("visible", PARAMS)
    no.click()
    assert (choice.layout.visibility, params.read_text()) == ("hidden", PARAMS)
    use.click()
    yes.click()
    assert "  sample: 10" in params.read_text()
    assert "nbkit run params/churn.yaml" in said.value


def test_what_keeps_it_from_being_planned_is_said_in_the_widget():
    def refuse():
        raise BadParameter("nothing was moved")

    use, said, choice = make_asker(refuse).children
    use.click()
    assert "✕ nothing was moved" in said.value
    assert choice.layout.visibility == "hidden"


def test_a_widget_that_cannot_be_told_stops_no_notebook(monkeypatch):
    class Broken(Face):
        def html(self):
            raise BadParameter("a run is damaged")

    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.delenv("VSCODE_PID", raising=False)
    assert Broken()._repr_mimebundle_()["text/html"] == '<p role="alert">✕ a run is damaged</p>'


def test_slow_work_waits_until_a_hand_is_still(monkeypatch):
    monkeypatch.setattr("nbkit.desk.parts.STILL", 0.01)
    done, place = [], SimpleNamespace(value="")
    later = Later(lambda: done.append(1), place)
    later()
    assert done == [1]

    async def move():
        for _ in range(5):
            later()
        assert "working…" in place.value
        assert done == [1]
        await asyncio.sleep(0.1)

    asyncio.run(move())
    assert done == [1, 1]


def test_a_long_table_is_sampled_and_says_so():
    o = Predictions.align([0, 1] * 500, [0.2, 0.7] * 500, Problem("late", positive=1))
    few, said = thin(o, 100)
    assert (len(few), said) == (100, "Shown is a sample of 100 of 1,000 rows.")
    assert thin(o)[1] == ""


def test_a_name_of_200_characters_leaves_a_table_readable():
    table = pd.DataFrame({"feature": ["x" * 200, "many words " * 20], "y" * 200: [1, 2]}, index=["z" * 200, "b"])
    page = tabulate(table)
    assert all(f"{each * 48}…" in page and each * 49 not in page for each in "xyz")
    assert "many words many words many words many words many words" in page


def test_what_does_not_fit_scrolls_also_by_keyboard():
    page = make_page("3em")
    assert (page.layout.height, page.layout.overflow, page.layout.flex) == ("3em", "auto", "0 0 auto")
    assert page.layout.display == "block"  # so that a wide table widens no sentence
    assert page.tabbable
