"""nbkit run, resume, runs, compare: what is printed, what the exit code says; most of it without a kernel."""

import json
import os
import re
import signal
import subprocess
import sys
from types import SimpleNamespace

import pandas as pd
import pytest
from click.testing import CliRunner

from nbkit.cli import main
from nbkit.pipeline import engine
from tests.conftest import glue, make_notebook
from tests.pipeline_helpers import Ended
from tests.test_pipeline_runner import wait_for

IMPORTS = "import nbkit\nrun = nbkit.Run(run_dir)"


PARAMETERS = 'run_dir: str = "."  # folder\nx: int = 1  # a number [0, 9]'


def nbkit(*words):
    """Run a command; an exception that reaches the top is a failure of the test."""
    done = CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)
    assert "Traceback" not in done.output
    return done


@pytest.fixture
def toy(project):
    """A project of two stages and a window stage."""
    (project / "params" / "toy.yaml").write_text("shared: {x: 2}\n")
    make_notebook(project / "notebooks" / "01_first.ipynb", IMPORTS, "run.save('y', x)", parameters=PARAMETERS)
    make_notebook(project / "notebooks" / "02_second.ipynb", IMPORTS, "run.save('z', run.load('01_first', 'y'))")
    make_notebook(project / "notebooks" / "11_monitor.ipynb", IMPORTS, nbkit={"cadence": "window"})
    return project


@pytest.fixture
def fake(monkeypatch):
    """Executes no kernel: every stage hands over what stands here, or ends as it says here."""
    given = {"01_first": {"y": 1, "headline": "One."}, "02_second": {"z": 2, "headline": "Two."}}

    def execute_stage(task, kernel, on_late):
        task.on_cell(1, 2)
        found = given[task.source.stem]
        if isinstance(found, BaseException):
            raise found
        if isinstance(found, signal.Signals):
            signal.raise_signal(found)
            found = {}
        if isinstance(found, Ended):
            make_notebook(task.target, "1 / 0")
            return found.fill(task)
        glue(task.target, **found)
        return Ended(seconds=1.5, headline=found.get("headline", "")).fill(task)

    monkeypatch.setattr(engine, "execute_stage", execute_stage)
    return given


@pytest.mark.parametrize(
    "command", [[], *([name] for name in main.commands), ["contract", "infer"], ["contract", "check"]]
)
def test_every_command_has_help(command):
    for flag in ("--help", "-h"):
        done = nbkit(*command, flag)
        assert done.exit_code == 0
        assert done.stdout.startswith("Usage: ")
        assert done.stderr == ""


def test_the_help_groups_every_command_and_cuts_no_sentence():
    said = nbkit("--help").stdout
    assert "…" not in said.replace("`nbkit --debug …`", "")
    assert "..." not in said.partition("Options:")[2]
    listed = re.findall(r"^  ([a-z]+)  +[A-Z]", said.partition("Begin a project:")[2], re.MULTILINE)
    assert sorted(listed) == sorted(main.commands)
    assert "More:" not in said


def test_something_is_on_the_screen_before_the_params_are_read(toy, monkeypatch):
    told = []
    monkeypatch.setattr("nbkit.cli.run.sys.stderr", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("nbkit.cli.run.click.secho", lambda words, **_: told.append(words))
    monkeypatch.setattr("nbkit.cli.run.root_of", lambda params: 1 / (not told))
    with pytest.raises(ZeroDivisionError):
        main.commands["run"].callback((), (), "", "", (), False, False, 1, "", "", False, False)
    assert told == ["reading the params and the notebooks …"]


def test_the_help_comes_at_once():
    code = "import sys, nbkit.cli; print([m for m in ('pandas', 'numpy', 'papermill', 'sklearn', 'rich', 'ruamel') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["rnu"], "Did you mean 'run'?"),
        (["run"], "Missing argument 'PARAMS...'"),
        (["run", "params/toy.yaml", "--untill", "1"], "--until"),
        (["run", "params/toi.yaml"], "did you mean 'params/toy.yaml'?"),
        (["run", "params/toy.yaml", "--set", "x"], "write it as STAGE.KEY=VALUE"),
        (["run", "params/toy.yaml", "--set", "01_frist.x=1"], "did you mean '01_first'?"),
        (["run", "params/toy.yaml", "--set", "01_first.y=1"], "no key of 01_first is called 'y'"),
        (["run", "params/toy.yaml", "--set", "01_first.x=many"], "x = 'many' is not of type int"),
        (["run", "params/toy.yaml", "--set", "01_first.x=10"], "at most 9"),
        (["run", "params/toy.yaml", "--only", "07"], "no stage is called '07'; there are 01_first, 02_second"),
        (["run", "params/toy.yaml", "--from", "02", "--until", "01"], "no stage lies between"),
        (["run", "params/toy.yaml", "--from", "02"], "run all stages first"),
        (["resume"], "there are no runs"),
        (["resume", "toy-1"], "there are no runs"),
        (["compare", "a"], "Missing argument 'RUN'"),
        (["compare", "a", "b"], "there are no runs"),
        (["run", "params"], "it is a folder; those in it: params/toy.yaml"),
        (["run", "params/toy.yaml", "--storage", "s3//team"], "did you mean s3://team?"),
    ],
)
def test_wrong_usage_is_told_in_a_line_with_the_nearest_name(toy, words, told):
    done = nbkit(*words)
    assert done.exit_code == 2
    assert told in done.stderr
    assert done.stdout == ""
    assert not (toy / "runs").exists()


def test_a_dry_run_says_what_would_run_and_runs_nothing(toy):
    done = nbkit("run", "params/toy.yaml", "--dry-run")
    assert done.exit_code == 0
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        ["stage", "action"],
        ["01_first", "run"],
        ["02_second", "run"],
    ]
    rows = json.loads(nbkit("run", "params/toy.yaml", "--dry-run", "--json", "--until", "first").stdout)
    why = "there is no earlier run of it to take over"
    assert rows == [{"stage": "01_first", "action": "run", "why": why, "parameters": {"x": 2}}]
    assert not (toy / "runs").exists()


def test_a_dry_run_and_a_check_tell_of_a_contract_that_was_edited_after_it_was_confirmed(toy):
    make_notebook(toy / "notebooks" / "03_validate.ipynb", IMPORTS, parameters="contract: str = ''")
    (toy / "params" / "toy.yaml").write_text("03_validate: {contract: params/toy.contract.yaml}\n")
    (toy / "params" / "toy.contract.yaml").write_text(
        "columns: {a: }\nconfirmed: {by: Ann Lee, on: 2026-11-30, digest: '0'}\n"
    )
    done, told = nbkit("run", "params/toy.yaml", "--dry-run"), "the contract has changed since Ann Lee confirmed it"
    assert (done.exit_code, told in done.stderr) == (0, True)
    done = nbkit("check", "params/toy.yaml")
    assert (done.exit_code, f"hint: params fit, but {told}" in done.stdout) == (0, True)


def test_a_run_prints_a_line_a_stage_and_where_the_report_is(toy, fake):
    done = nbkit("run", "params/toy.yaml", "--name", "one")
    assert done.exit_code == 0
    assert re.sub(r"in \d+ s", "in 3 s", done.stdout).splitlines() == [
        "toy → runs/one",
        "✓ 01_first        1.5 s  One.",
        "✓ 02_second       1.5 s  Two.",
        "passed in 3 s, report: runs/one/report/index.html",
    ]
    assert done.stderr == ""
    assert (toy / "runs" / "one" / "report" / "02_second.html").is_file()


def test_json_is_alone_on_stdout(toy, fake):
    done = nbkit("run", "params/toy.yaml", "--json")
    manifest = json.loads(done.stdout)
    assert (manifest["status"], manifest["exit"], manifest["project"]) == ("passed", 0, "toy")
    assert [entry["headline"] for entry in manifest["stages"]] == ["One.", "Two."]
    assert "✓ 01_first" in done.stderr
    (row,) = json.loads(nbkit("runs", "--json").stdout)
    assert (row["run"], row["status"], row["stages"], row["headline"]) == (manifest["run"], "passed", "2/2", "Two.")


@pytest.mark.parametrize(
    ("outcome", "code", "mark"),
    [
        (
            Ended("failed", "error", "ZeroDivisionError: division by zero", 3, "1 / 0", "last words", "the traceback"),
            1,
            "✗",
        ),
        (Ended("failed", "error", "BadSplit: no rows", 3, "cut()", "", "a library's frames"), 1, "✗"),
        (Ended("refused", "refused", "toy@1 may not move on", 3, "stop()", "", "the traceback"), 3, "■"),
        (Ended("interrupted", "interrupted", "interrupted from the keyboard", 3, "sleep()"), 130, "◼"),
        (Ended("interrupted", "terminated", "the run was told to terminate", 3, "sleep()"), 143, "◼"),
    ],
)
def test_how_a_run_ended_shows_in_the_code_and_in_words(toy, fake, outcome, code, mark):
    fake["02_second"] = outcome
    log = toy / "runs" / "one" / "logs" / "02_second.log"
    done = nbkit("run", "params/toy.yaml", "--name", "one")
    assert done.exit_code == code
    out = done.stdout
    assert f"{mark} 02_second" in out
    assert f"{outcome.status} at 02_second, code cell 3\n" in out
    assert out.count(outcome.message) == 1
    assert f"--- the cell\n{outcome.source}\n" in out
    assert ("--- its last output\nlast words" in out) == bool(outcome.tail)
    assert ("--- the error\nthe traceback" in out) == outcome.message.startswith("ZeroDivisionError")
    assert "nbkit lab --failed --run one" in out
    assert "nbkit resume one" in out
    assert re.fullmatch(rf"{outcome.status} in \d+ s, report: runs/one/report/index.html", out.splitlines()[-1])
    assert not log.exists()
    assert json.loads(nbkit("runs", "--json").stdout)[0]["stages"] == "1/2"

    fake["02_second"] = {"z": 3, "headline": "Two."}
    done = nbkit("resume")
    assert done.exit_code == 0
    assert "· 01_first     passed before" in done.stdout
    assert "✓ 02_second" in done.stdout
    done = nbkit("resume", "one")
    assert done.exit_code == 2
    assert "nothing is left to do" in done.stderr


def test_a_stage_that_was_changed_runs_again_and_so_does_what_comes_after(toy, fake):
    fake["02_second"] = Ended("failed", "error", "no", 1)
    nbkit("run", "params/toy.yaml", "--name", "one")
    first = toy / "notebooks" / "01_first.ipynb"
    make_notebook(first, IMPORTS, "run.save('y', x + 1)", parameters=PARAMETERS)
    fake["02_second"] = {"z": 2}
    done = nbkit("resume", "one")
    assert "✓ 01_first" in done.stdout
    assert "passed before" not in done.stdout
    text = json.loads(first.read_text())
    text["cells"][0]["source"] = ["# Other words"]
    first.write_text(json.dumps(text))  # prose is no change
    assert "01_first   skip    passed in one" in nbkit("run", "params/toy.yaml", "--from", "02", "--dry-run").stdout
    make_notebook(first, IMPORTS, "run.save('y', x + 2)", parameters=PARAMETERS)
    done = nbkit("run", "params/toy.yaml", "--from", "02")
    assert done.exit_code == 2
    assert "01_first.ipynb has changed since, as in one" in done.stderr


def test_a_mend_in_the_run_s_copy_is_not_lost(toy, fake):
    fake["02_second"] = Ended("failed", "error", "no", 1)
    out = nbkit("run", "params/toy.yaml", "--name", "one").stdout
    assert "at that cell of notebooks/02_second.ipynb" in out
    copy = toy / "runs" / "one" / "02_second.ipynb"
    copy.write_text("edited here")
    later = copy.stat().st_mtime + 60
    os.utime(copy, (later, later))
    fake["02_second"] = {"z": 2}
    begun = json.loads((copy.parent / "run.json").read_text())["command"]
    out = nbkit("resume", "one").stdout
    assert json.loads((copy.parent / "run.json").read_text())["command"] == begun
    assert "was edited after it ran; that is kept as runs/one/logs/02_second.edited.ipynb" in out
    assert (copy.parent / "logs" / "02_second.edited.ipynb").read_text() == "edited here"


def test_a_stage_after_the_window_stages_runs_as_well(toy, fake):
    make_notebook(toy / "notebooks" / "12_memo.ipynb", IMPORTS, "run.load('02_second', 'z')")
    fake["12_memo"] = {"headline": "Told."}
    out = nbkit("run", "params/toy.yaml").stdout
    assert "✓ 12_memo" in out
    assert "01_first   skip" in nbkit("run", "params/toy.yaml", "--only", "12", "--dry-run").stdout


def test_compare_tells_that_a_notebook_is_gone(toy, fake):
    for name in ("one", "two"):
        nbkit("run", "params/toy.yaml", "--name", name)
    (toy / "runs" / "two" / "02_second.ipynb").unlink()
    out = nbkit("compare", "one", "two").stdout
    assert "02_second.ipynb itself" in out
    assert "byte for byte" not in out


def test_a_report_is_made_also_of_what_cannot_be_read(toy, fake):
    nbkit("run", "params/toy.yaml", "--name", "one")
    (toy / "runs" / "one" / "02_second.ipynb").write_text("garbage")
    (toy / "runs" / "one" / "01_first.ipynb").unlink()
    assert nbkit("report", "one").exit_code == 0
    pages = toy / "runs" / "one" / "report"
    assert "02_second.ipynb cannot be read any more" in (pages / "02_second.html").read_text()
    assert not (pages / "01_first.html").exists()


@pytest.mark.parametrize("content", ["[]", "null", "3", '{"cells": 3}', '{"cells": [{}]}', '{"cells": [[]]}'])
def test_what_is_no_notebook_is_refused(toy, content):
    (toy / "notebooks" / "02_second.ipynb").write_text(content)
    done = nbkit("run", "params/toy.yaml", "--dry-run")
    assert done.exit_code == 2
    assert "02_second.ipynb is not a notebook" in done.stderr


def test_a_folder_is_no_notebook(toy):
    (toy / "notebooks" / "03_third.ipynb").mkdir()
    assert "03_third.ipynb is not a notebook" in nbkit("run", "params/toy.yaml", "--dry-run").stderr


def test_the_log_is_named_if_it_holds_anything(toy, fake):
    fake["01_first"] = Ended("failed", "dead_kernel", "killed", 1)
    log = toy / "runs" / "one" / "logs" / "01_first.log"
    log.parent.mkdir(parents=True)
    log.write_text("Segmentation fault")
    (toy / "runs" / "one" / "run.json").write_text(json.dumps({"files": ["params/toy.yaml"], "settings": [], "project": "toy", "stages": [{"stage": "01_first", "status": "failed"}], "parameters": {}}))  # fmt: skip
    assert "the kernel's log: runs/one/logs/01_first.log" in nbkit("resume", "one").stdout


@pytest.mark.parametrize(("which", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_between_two_stages_is_told(toy, fake, which, code):
    fake["01_first"] = which
    done = nbkit("run", "params/toy.yaml", "--name", "one")
    assert done.exit_code == code
    assert "interrupted before it began" in done.stdout
    assert json.loads(nbkit("runs", "--json").stdout)[0]["stages"] == "1/2"
    fake["01_first"] = {"y": 1}
    assert nbkit("resume", "one").exit_code == 0


def test_ctrl_c_before_the_run_is_told(toy, monkeypatch):
    def interrupt(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("nbkit.pipeline.plan_run", interrupt)
    done = nbkit("run", "params/toy.yaml")
    assert (done.exit_code, done.stderr) == (130, "nbkit: interrupted from the keyboard\n")


def test_an_unexpected_error_is_a_line_and_with_debug_a_traceback(toy, monkeypatch):
    def fail(*args, **options):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("nbkit.pipeline.plan_run", fail)
    done = nbkit("run", "params/toy.yaml")
    assert done.exit_code == 1
    assert (
        done.stderr == "nbkit: ZeroDivisionError: by zero (unexpected error: `nbkit --debug …` shows the traceback)\n"
    )
    with pytest.raises(ZeroDivisionError):
        nbkit("--debug", "run", "params/toy.yaml")


def test_a_folder_that_cannot_be_written_is_told_before_anything_runs(toy, fake):
    (toy / "runs").write_text("a file")
    done = nbkit("run", "params/toy.yaml")
    assert done.exit_code == 2
    assert f"no run can be made in {toy / 'runs'}" in done.stderr


def test_a_disk_that_fills_up_is_told_and_earlier_runs_stay(toy, fake, monkeypatch):
    nbkit("run", "params/toy.yaml", "--name", "one")
    before = {path: path.read_bytes() for path in (toy / "runs" / "one").rglob("*") if path.is_file()}
    fake["02_second"] = OSError(28, "No space left on device")
    done = nbkit("run", "params/toy.yaml", "--name", "two")
    assert done.exit_code == 1
    assert "No space left on device" in done.stdout

    def full(folder, record):
        raise OSError(28, "No space left on device", str(folder))

    fake["02_second"] = {"z": 2}
    monkeypatch.setattr("nbkit.pipeline.ledger.write_record", full)
    done = nbkit("run", "params/toy.yaml", "--name", "three")
    assert done.exit_code == 2
    assert "No space left on device" in done.stderr
    assert {path: path.read_bytes() for path in before} == before


def test_a_report_that_cannot_be_made_changes_no_exit_code(toy, fake, monkeypatch):
    def fail(folder):
        raise ValueError("no ink")

    monkeypatch.setattr("nbkit.report.write_report", fail)
    done = nbkit("run", "params/toy.yaml", "--name", "one")
    assert done.exit_code == 0
    assert "the report of one could not be written: no ink" in done.stderr
    assert re.fullmatch(r"passed in \d+ s", done.stdout.splitlines()[-1])


def test_a_name_that_is_taken_is_refused(toy, fake):
    nbkit("run", "params/toy.yaml", "--name", "one")
    done = nbkit("run", "params/toy.yaml", "--name", "one")
    assert done.exit_code == 2
    assert "nbkit resume one" in done.stderr


def test_a_part_is_taken_over_from_the_latest_run(toy, fake):
    nbkit("run", "params/toy.yaml", "--name", "one")
    done = nbkit("run", "params/toy.yaml", "--from", "second", "--name", "two")
    assert done.exit_code == 0
    assert "· 01_first     passed in one" in done.stdout


def test_the_project_is_found_from_its_params_file(toy, fake, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    done = nbkit("run", toy / "params" / "toy.yaml", "--name", "one")
    assert done.exit_code == 0
    assert (toy / "runs" / "one" / "run.json").is_file()
    assert str(toy / "runs" / "one") in done.stdout


def test_runs_lists_the_newest_first(toy, fake):
    assert nbkit("runs").stdout == "No runs yet: `nbkit run PARAMS` makes one.\n"
    assert json.loads(nbkit("runs", "--json").stdout) == []
    nbkit("run", "params/toy.yaml", "--name", "one")
    fake["02_second"] = Ended("failed", "error", "no")
    nbkit("run", "params/toy.yaml", "--name", "two")
    lines = nbkit("runs").stdout.splitlines()
    assert lines[0].split()[:7] == ["run", "project", "status", "stages", "verdict", "started", "seconds"]
    assert [line.split()[:5] for line in lines[1:]] == [
        ["two", "toy", "failed", "1/2", "STOPPED"],
        ["one", "toy", "passed", "2/2", "NOT"],
    ]
    assert lines[1].rstrip().endswith("no")  # what stopped it
    assert [row["verdict"] for row in json.loads(nbkit("runs", "--json").stdout)] == ["STOPPED", "NOT DECIDED"]


def test_compare_says_what_differs(toy, fake):
    scores = pd.DataFrame({"metric": ["auc"], "value": [0.7], "low": [0.6], "high": [0.8]})
    fake["01_first"] = {"y": 1, "scores": scores, "headline": "One."}
    nbkit("run", "params/toy.yaml", "--name", "one")
    nbkit("run", "params/toy.yaml", "--name", "two")
    done = nbkit("compare", "one", "two")
    assert done.exit_code == 0
    assert done.stdout == "The two runs handed over the same, byte for byte, with the same parameters.\n"
    fake["01_first"] = {"y": 2, "scores": scores.assign(value=0.75), "headline": "1."}
    nbkit("run", "params/toy.yaml", "--set", "01_first.x=3", "--name", "three")
    rows = json.loads(nbkit("compare", "one", "three", "--json").stdout)
    assert [(row["what"], row["where"]) for row in rows] == [
        ("parameter", "01_first.x"), ("value", "01_first.y"), ("artifact", "01_first.scores"), ("headline", "01_first.headline")
    ]  # fmt: skip
    assert "parameter" in nbkit("compare", "one", "three").stdout
    done = nbkit("compare", "one", "thre")
    assert done.exit_code == 0, "a unique beginning is enough"
    done = nbkit("compare", "one", "tree")
    assert done.exit_code == 2
    assert "did you mean 'three'?" in done.stderr


def test_a_number_that_two_stages_share_is_ambiguous(toy):
    make_notebook(toy / "notebooks" / "02_beside.ipynb", IMPORTS)
    done = nbkit("run", "params/toy.yaml", "--only", "02")
    assert done.exit_code == 2
    assert "'02' may be 02_beside or 02_second: write out which" in done.stderr


@pytest.mark.slow
def test_a_real_kernel_that_fails_is_explained_and_resumed(toy):
    path = toy / "notebooks" / "02_second.ipynb"
    good = path.read_text()
    make_notebook(path, IMPORTS, "print('so far')\nraise ValueError('no such thing')")
    command = [sys.executable, "-m", "nbkit", "run", "params/toy.yaml", "--name", "one"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=toy)
    assert done.returncode == 1
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    for words in (
        "✓ 01_first",
        "✗ 02_second",
        "ValueError: no such thing\n\nfailed at 02_second, code cell 3\n",
        "--- the cell\nprint('so far')",
        "--- its last output\nso far",
        "raise ValueError('no such thing')",
        "nbkit lab --failed --run one    # at that cell of notebooks/02_second.ipynb, those above it executed",
        "nbkit resume one    # go on from 02_second once notebooks/02_second.ipynb, its params or its data are corrected",
        "report: runs/one/report/index.html",
    ):
        assert words in done.stdout
    assert "STOPPED" in (toy / "runs" / "one" / "report" / "index.html").read_text()
    path.write_text(good)
    done = nbkit("resume", "--json")
    assert done.exit_code == 0
    assert [entry["status"] for entry in json.loads(done.stdout)["stages"]] == ["passed", "passed"]
    assert "STOPPED" not in (toy / "runs" / "one" / "report" / "index.html").read_text()


@pytest.mark.slow
def test_ctrl_c_ends_a_real_run_with_130(toy):
    make_notebook(
        toy / "notebooks" / "02_second.ipynb", "import pathlib, time\npathlib.Path('asleep').touch()\ntime.sleep(60)"
    )
    command = [sys.executable, "-m", "nbkit", "run", "params/toy.yaml", "--name", "one"]
    done = subprocess.Popen(command, cwd=toy, stdout=subprocess.PIPE, text=True)
    wait_for(toy / "notebooks" / "asleep")
    done.send_signal(signal.SIGINT)
    out, _ = done.communicate(timeout=30)
    assert done.returncode == 130
    assert "interrupted at 02_second" in out
    assert "nbkit resume one" in out
