"""The launcher without a browser: its form, what it refuses, and a run of its own from beginning to end."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nbkit.desk import Home
from nbkit.desk.form import Form
from nbkit.desk.launcher import Launcher
from nbkit.desk.runs import link_to, list_params
from nbkit.errors import BadParameter
from nbkit.record import RunRecord, read_record
from nbkit.stages import read_stages
from tests.conftest import make_notebook

ROOT = Path(__file__).parents[1]
GIVEN = """run_dir: str = "."  # folder of this run
name: str = "model"  # what it is called
rows: int = 5  # how many rows [1, 100]
way: str = "fast"  # how it is done {fast, slow}
share: float = 0.5  # of the rows (0, 1]
keep: bool = True  # whether they are kept
costs: dict[str, float] = {}  # of an error"""
HEAD = "import nbkit\nrun = nbkit.Run(run_dir, globals())"
PARAMS = """shared:
  name: toy
01_a:
  rows: 7
  costs: {miss: 2.0}
"""


@pytest.fixture
def toy(project):
    folder = project / "notebooks"
    make_notebook(folder / "00_desk.ipynb", nbkit={"cadence": "desk"})
    make_notebook(folder / "01_a.ipynb", HEAD, "run.save(x=rows, headline='It has rows.')", parameters=GIVEN)
    second = 'run_dir: str = "."  # folder\nname: str = "model"  # what it is called\nwait: float = 0.0  # seconds'
    make_notebook(
        folder / "02_b.ipynb",
        HEAD,
        'x = run.load("01_a", "x")',
        "import time",
        "time.sleep(wait)",
        "run.save(y=x + 1, headline='It has one more.')",
        parameters=second,
    )
    (project / "params" / "toy.yaml").write_text(PARAMS)
    (project / "params" / "toy.contract.yaml").write_text("columns: {}\n")
    (project / "params" / "small.yaml").write_text("01_a:\n  rows: 2\n02_b:\n  wait: 0.25\n")
    return project


@pytest.fixture
def launcher(toy):
    made = Launcher(toy / "notebooks")
    assert made.widget
    yield made
    if made.at_work:
        os.kill(made.pid, signal.SIGKILL)
    if made.process:
        made.process.wait()


def wait_for(done, seconds=120):
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_fields_have_the_type_the_value_and_the_meaning_of_their_parameters(launcher):
    assert list(launcher.section.options) == [("01_a (5)", "01_a"), ("02_b (1)", "02_b"), ("shared (1)", "shared")]
    launcher.section.value = "shared"
    launcher.section.value = "01_a"
    fields = launcher.form.fields
    kinds = {place: (type(field).__name__, field.value) for place, field in fields.items()}
    assert kinds == {
        "shared.name": ("Text", "toy"),
        "01_a.rows": ("Text", "7"),
        "01_a.way": ("Dropdown", "fast"),
        "01_a.share": ("Text", "0.5"),
        "01_a.keep": ("Checkbox", True),
        "01_a.costs": ("Text", '{"miss": 2.0}'),
    }
    assert all(field.description for field in fields.values())
    assert "how many rows (at least 1 and at most 100)" in launcher.rows.children[0].children[1].value


def test_what_is_changed_is_shown_against_the_params_file_and_becomes_settings(launcher):
    launcher.section.value = "shared"
    launcher.section.value = "01_a"
    fields = launcher.form.fields
    fields["01_a.rows"].value = "9"
    fields["01_a.keep"].value = False
    fields["01_a.costs"].value = "miss: 3\nalarm: 1"
    fields["shared.name"].value = "other"
    for words in ("01_a.rows: 7 → 9", "01_a.keep: true → false", "shared.name: &quot;toy&quot; → &quot;other&quot;"):
        assert f"<div>{words}</div>" in launcher.changed.value
    assert launcher.form.list_settings() == [
        "01_a.rows=9",
        "01_a.keep=false",
        '01_a.costs={"miss": 3.0, "alarm": 1.0}',
        'shared.name="other"',
    ]
    assert "4 changed against toy.yaml" in launcher.said.value
    fields["01_a.rows"].value = "7"
    assert "01_a.rows" not in launcher.changed.value


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("01_a.rows", "0", "--set 01_a.rows=0: rows = 0 is not allowed: it must be of type int, at least 1"),
        ("01_a.rows", "many", "--set 01_a.rows=many: rows = &#x27;many&#x27; is not of type int"),
        ("01_a.costs", "{miss: [", "this is not YAML"),
        ("01_a.rows", "9" * 400, "9… is not allowed: it must be of type int"),
    ],
)
def test_what_no_notebook_allows_is_said_as_the_command_line_does_and_starts_nothing(launcher, field, value, words):
    launcher.section.value = "01_a"
    launcher.form.fields[field].value = value
    assert 'role="alert"' in launcher.said.value
    assert words in launcher.said.value
    launcher.said.value = ""
    launcher.run_button.click()
    assert words in launcher.said.value
    assert launcher.process is None
    assert not (launcher.root / "runs").exists()


def test_an_unnamed_choice_or_a_name_that_is_none_is_refused_with_the_words_of_the_command(launcher, capsys):
    from click.testing import CliRunner

    from nbkit.cli import main

    launcher.name.value = "../elsewhere"
    launcher.run_button.click()
    told = CliRunner().invoke(main, ["run", "params/toy.yaml", "--name", "../elsewhere"]).stderr
    assert "is not a run name" in told
    assert told.removeprefix("nbkit: ").strip().replace("'", "&#x27;") in launcher.said.value
    launcher.name.value = ""
    launcher.first.value, launcher.last.value = "02_b", "01_a"
    launcher.run_button.click()
    assert "no stage lies between 02_b and 01_a" in launcher.said.value


def test_of_a_list_of_300_columns_what_has_gone_and_come_is_shown_and_a_refusal_stays_short(toy):
    names = [f"a_column_with_a_rather_long_name_{n}" for n in range(300)]
    (toy / "notebooks" / "02_b.ipynb").unlink()
    given = 'run_dir: str = "."  # folder\ncolumns: list[str] = []  # which'
    make_notebook(toy / "notebooks" / "02_b.ipynb", HEAD, "run.save(y=1)", parameters=given)
    (toy / "params" / "toy.yaml").write_text(f"shared: {{name: toy}}\n02_b: {{columns: {json.dumps(names)}}}\n")
    launcher = Launcher(toy, "toy")
    assert launcher.widget
    launcher.section.value = "02_b"
    field = launcher.form.fields["02_b.columns"]
    field.value = json.dumps([*names[:7], *names[8:], "new"])
    assert f"02_b.columns: −{names[7]}, +new" in launcher.changed.value
    field.value = json.dumps([*names, 1])
    assert 'role="alert"' in launcher.said.value
    assert "is not of type" in launcher.said.value
    assert len(launcher.said.value) < 1000


def test_another_params_file_fills_the_form_again(toy):
    (toy / "params" / "other.yaml").write_text("shared: {name: other}\n01_a: {rows: 2}\n")
    launcher = Launcher(toy, "toy")
    assert launcher.widget
    assert list_params(launcher.root) == ["other", "toy"]
    launcher.section.value = "01_a"
    launcher.form.fields["01_a.rows"].value = "9"
    launcher.choose_project.value = "other"
    launcher.section.value = "01_a"
    assert launcher.form.fields["01_a.rows"].value == "2"
    assert launcher.changed.value == ""


def test_a_file_that_only_overrides_lies_over_the_project_that_is_chosen(launcher):
    assert list(launcher.overrides.options) == list_params(launcher.root, overrides=True) == ["small"]
    launcher.section.value = "01_a"
    assert launcher.form.fields["01_a.rows"].value == "7"
    launcher.overrides.value = ["small"]
    assert "toy.yaml and small.yaml: nothing is changed" in launcher.said.value
    launcher.section.value = "01_a"
    assert launcher.form.fields["01_a.rows"].value == "2"
    launcher.form.fields["01_a.rows"].value = "3"
    assert launcher.form.list_settings() == ["01_a.rows=3"]
    assert "1 changed against toy.yaml and small.yaml" in launcher.said.value


def test_a_params_file_that_was_changed_by_hand_is_shown_before_anything_runs(launcher):
    launcher.section.value = "01_a"
    launcher.form.fields["01_a.share"].value = "0.25"
    (launcher.root / "params" / "toy.yaml").write_text(PARAMS.replace("rows: 7", "rows: 8"))
    launcher.run_button.click()
    assert (
        "✕ toy.yaml or a notebook was changed meanwhile: look at the form, and press Run again" in launcher.said.value
    )
    assert launcher.process is None
    launcher.section.value = "01_a"
    assert launcher.form.fields["01_a.rows"].value == "8"
    assert launcher.form.list_settings() == ["01_a.share=0.25"]
    assert "01_a.share: 0.5 → 0.25" in launcher.changed.value


def test_what_ended_early_is_said_in_plain_words(launcher, monkeypatch):
    launcher._stopping = True
    assert "it was cancelled before it began" in launcher._conclude(RunRecord())
    launcher.folder = launcher.root / "runs" / "mine"
    assert "mine passed; its report was not written: `nbkit report mine` does" in launcher._conclude(
        RunRecord(status="passed")
    )


def test_the_second_half_of_a_double_click_on_run_says_nothing(launcher, monkeypatch):
    started = []
    monkeypatch.setattr(launcher, "_start", started.append)
    monkeypatch.setattr(launcher, "tick", lambda: False)
    monkeypatch.setattr(Launcher, "at_work", property(lambda self: bool(started)))
    for _ in range(2):
        launcher.run_button.click()
    assert "toy is being started" in launcher.said.value
    assert len(started) == 1
    started.clear()


def test_a_notebook_that_does_not_parse_is_said_in_place_of_the_form(toy, monkeypatch):
    make_notebook(toy / "notebooks" / "03_c.ipynb", "def (:")
    monkeypatch.setenv("JPY_SESSION_NAME", "somebody")
    bundle = Launcher(toy)._repr_mimebundle_()
    assert "03_c.ipynb: a cell does not parse" in bundle["text/html"]
    assert [*bundle] == ["text/html", "text/plain"]
    assert "03_c.ipynb: a cell does not parse" in Home(toy).stages().at[0, "freshness"]


def test_an_override_that_does_not_fit_is_refused_with_the_words_of_the_command(launcher):
    (launcher.root / "params" / "small.yaml").write_text("09_x:\n  rows: 2\n")
    launcher.overrides.value = ["small"]
    assert "small.yaml:2: no section is called" in launcher.said.value
    launcher.run_button.click()
    assert launcher.process is None
    assert "small.yaml:2: no section is called" in launcher.said.value


def test_a_params_file_that_cannot_be_read_is_offered_and_explained(toy):
    (toy / "params" / "broken.yaml").write_text("shared: [")
    launcher = Launcher(toy, "broken")
    assert launcher.widget
    assert "this is not YAML" in launcher.said.value
    launcher.run_button.click()
    assert "this is not YAML" in launcher.said.value


def test_without_params_it_says_how_to_get_them(project):
    launcher = Launcher(project)
    assert "`nbkit new NAME --data FILE --target COLUMN` writes one" in launcher.html()
    assert "nbkit new" in launcher.widget.value
    with pytest.raises(BadParameter, match=r"there is no params/x\.yaml; there are none"):
        Launcher(project, "x")


def test_the_static_twin_says_what_can_be_run_and_has_no_script(toy):
    told = Launcher(toy).html()
    assert "<code>" not in told
    assert re.search(r"<td>toy</td>\s+<td>nbkit run params/toy.yaml</td>", told)
    assert "No run is at work." in told
    assert "small" not in told
    assert "<script" not in told
    bundle = Launcher(toy)._repr_mimebundle_()
    assert bundle["text/html"] == told


def test_keys_that_are_numbers_are_no_change(toy):
    given = 'run_dir: str = "."  # folder\nsteps: list[object] = []  # which'
    make_notebook(toy / "notebooks" / "02_b.ipynb", HEAD, "run.save(y=1)", parameters=given)
    (toy / "params" / "toy.yaml").write_text("shared: {name: toy}\n02_b: {steps: [{1: a, on: 2024-01-02}]}\n")
    form = Form([toy / "params" / "toy.yaml"], read_stages(toy / "notebooks"))
    form.open("02_b", lambda change: None)
    assert form.list_settings() == []


@pytest.mark.parametrize("name", ["flights", "diabetes", "wine"])
def test_no_params_file_of_ours_is_changed_by_being_shown(name):
    form = Form([ROOT / "params" / f"{name}.yaml"], read_stages(ROOT / "notebooks"))
    for section in form.sections:
        form.open(section, lambda change: None)
    assert form.list_settings() == []
    assert "\n" in form.fields["01_frame.hypotheses"].value
    assert "shared.name" in form.fields
    assert "01_frame.seed" in form.fields


def test_the_report_is_linked_as_the_server_has_it(toy, monkeypatch):
    page = toy / "runs" / "a" / "report" / "index.html"
    monkeypatch.setattr("nbkit.desk.runs._list_servers", lambda: [])
    assert link_to(page) == page.as_uri()
    servers = [{"root_dir": "/elsewhere", "base_url": "/no/"}, {"root_dir": str(toy), "base_url": "/user/ann/"}]
    page = page.parents[2] / "50 % # 1" / "report" / "index.html"
    monkeypatch.setattr("nbkit.desk.runs._list_servers", lambda: servers)
    assert link_to(page) == "/user/ann/files/runs/50%20%25%20%23%201/report/index.html"


@pytest.mark.slow
def test_a_run_is_started_watched_to_its_end_and_not_repeated(launcher):
    launcher.overrides.value = ["small"]
    launcher.section.value = "01_a"
    launcher.form.fields["01_a.rows"].value = "9"
    launcher.name.value = "mine"
    seen = []
    launcher.progress.observe(lambda change: seen.append(change["new"]), "value")
    launcher.run_button.click()
    assert "mine is being started" in launcher.said.value
    assert launcher.run_button.disabled
    assert not launcher.cancel_button.disabled
    wait_for(lambda: launcher.cancel_button.disabled)
    record = read_record(launcher.root / "runs" / "mine")
    assert (record.status, record.exit, record.settings) == ("passed", 0, ["01_a.rows=9"])
    assert record.parameters["02_b"]["wait"] == 0.25
    assert record.pid == launcher.pid != os.getpid()
    assert record.command[:2] == ["nbkit", "run"]
    assert any("… 01_a running" in each for each in seen)
    assert "✓ 01_a passed" in seen[-1]
    assert "✓ 02_b passed" in seen[-1]
    verdict = json.loads(
        (launcher.folder / "report" / "index.html").read_text().partition('id="report">')[2].partition("</script>")[0]
    )["verdict"]
    assert f"mine passed: {verdict}" in launcher.said.value
    assert f'href="{launcher.folder.as_uri()}/report/index.html"' in launcher.said.value
    launcher.name.value = "mine"
    launcher.run_button.click()
    wait_for(lambda: launcher.cancel_button.disabled)
    assert "exists: take another --name, or `nbkit resume mine`" in launcher.said.value
    launcher.name.value = ""
    launcher.run_button.click()
    assert "nothing to do: nothing has changed since mine" in launcher.said.value
    assert "Open the report of mine" in launcher.said.value


@pytest.mark.slow
def test_cancel_interrupts_it_as_ctrl_c_does_though_this_process_ignores_that(launcher):
    launcher.section.value = "02_b"
    launcher.form.fields["02_b.wait"].value = "100"
    launcher.name.value = "long"
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a kernel does between two cells
    try:
        launcher.run_button.click()
        wait_for(lambda: "02_b, cell 6 of 7" in launcher.said.value)
        assert "cell 6 of 7" in launcher.progress.value
        launcher.run_button.click()
        assert launcher.process.poll() is None
        launcher.cancel_button.click()
        assert "it is asked to stop" in launcher.said.value
        wait_for(lambda: launcher.cancel_button.disabled)
    finally:
        signal.signal(signal.SIGINT, before)
    assert "long was interrupted at 02_b, code cell 5" in launcher.said.value
    assert "; `nbkit resume long` goes on" in launcher.said.value
    assert read_record(launcher.folder).exit == 130
    launcher.cancel_button.click()
    assert "no run is at work" in launcher.said.value


@pytest.mark.slow
def test_a_run_that_somebody_else_started_is_watched_and_can_be_cancelled(toy):
    command = [sys.executable, "-m", "nbkit", "run", "params/toy.yaml", "--set", "02_b.wait=100", "--name", "theirs"]
    with subprocess.Popen(command, cwd=toy, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: any(each.status == "running" for each in read_record(toy / "runs" / "theirs").stages))
        launcher = Launcher(toy)
        assert "theirs is at work." in launcher.html()
        assert launcher.widget
        assert launcher.run_button.disabled
        launcher.run()
        assert launcher.process is None
        wait_for(lambda: "02_b" in launcher.said.value)
        launcher.cancel_button.click()
        process.wait(60)
    wait_for(lambda: launcher.cancel_button.disabled)
    assert "theirs was interrupted at 02_b" in launcher.said.value
