"""What an operator and a data scientist may do to break it: damaged manifests, strange params, names that lead elsewhere."""

import contextlib
import json
import os
import re
import signal
import sys
import time

import pandas as pd
import pytest
from click.testing import CliRunner
from rich.console import Console

from nbkit.cli import main
from nbkit.cli.run import carry_out
from nbkit.errors import BadParameter, UnknownRun
from nbkit.pipeline import Chosen, engine, execute_plan, list_runs, plan_resume, plan_run
from nbkit.project import find_root
from nbkit.record import Listener, RunRecord, read_record
from nbkit.stages.notebooks import read_stage
from nbkit.store import Store
from tests.conftest import glue, make_notebook
from tests.pipeline_helpers import Ended

GARBAGE = {
    "empty": b"", "text": b"garbage", "bytes": b"\xff\xfe", "list": b"[]", "null": b"null", "deep": b"[" * 100_000,
    "stages": b'{"stages": 3}', "entries": b'{"stages": ["01_first"]}', "no status": b'{"stages": [{"stage": "01_first"}]}',
    "numbers": b'{"project": "p", "files": [3], "settings": [{}], "parameters": {"01_first": 5}, "stages": []}',
    "seconds": b'{"stages": [{"stage": "01_first", "status": "passed", "seconds": "x"}]}',
    "started": b'{"started": 5}', "root": b'{"root": 5}', "parameters": b'{"parameters": []}',
}  # fmt: skip


@pytest.fixture
def toy(project):
    """A project of two stages that have passed in the run `good` with x = 2."""
    path = project / "params" / "toy.yaml"
    path.write_text("shared: {x: 2}\n")
    cell = 'run_dir: str = "."  # folder\nx: int = 1  # a number [0, 9]'
    make_notebook(project / "notebooks" / "01_first.ipynb", "run.save('y', x)", parameters=cell)
    make_notebook(project / "notebooks" / "02_second.ipynb", "run.load('01_first', 'y')")
    stages = [{"stage": "01_first", "status": "passed"}, {"stage": "02_second", "status": "failed"}]
    manifest = {"run": "good", "project": "toy", "status": "failed", "started": "2026-01-01", "stages": stages,
                "files": ["params/toy.yaml"], "settings": [], "parameters": {"01_first": {"x": 2}}}  # fmt: skip
    glue(project / "runs" / "good" / "01_first.ipynb", y=2)
    (project / "runs" / "good" / "run.json").write_text(json.dumps(manifest))
    return path


def nbkit(*words):
    """Run a command; an exception that reaches the top is a failure of the test."""
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE)
def test_a_damaged_manifest_hides_no_other_run(project, toy, content):
    damaged = project / "runs" / "zzz" / "run.json"
    damaged.parent.mkdir()
    damaged.write_bytes(content)
    assert {row["run"]: row["status"] for row in list_runs(project)} == {"good": "failed", "zzz": "unreadable"}
    assert find_root(damaged.parent) == project
    assert plan_run(project, [toy], stages=Chosen("02")).steps[0].source == project / "runs" / "good"
    with pytest.raises(UnknownRun, match=r"zzz.run\.json is damaged.*`nbkit run PARAMS` makes a new run"):
        plan_resume(project, "zzz")
    for words in (["runs"], ["compare", "zzz", "good"], ["report", "zzz"]):
        assert "unexpected error" not in nbkit(*words).output


def test_a_manifest_that_is_a_folder_is_unreadable(project):
    (project / "runs" / "odd" / "run.json").mkdir(parents=True)
    assert read_record(project / "runs" / "odd") == RunRecord(status="unreadable")


@pytest.mark.parametrize(
    "name", ["../../evil", "a/b", "/abs", "..", ".", ".hidden", "a\\b", "a\nb", "a\0b", "x" * 300, "é" * 101]
)
def test_a_name_that_is_no_folder_is_refused(project, toy, name):
    with pytest.raises(BadParameter, match="is not a run name"):
        plan_run(project, [toy], name=name)


def test_names_of_people_are_allowed(project, toy):
    assert plan_run(project, [toy], name="größere Bäume, 2. Versuch").name == "größere Bäume, 2. Versuch"


@pytest.mark.parametrize(
    "text",
    ["shared: {x: \0}", f"shared: {{x: {'9' * 5000}}}", f"shared: {'[' * 3000}{']' * 3000}", "shared: {x: \ud800}"],
)
def test_what_yaml_chokes_on_is_a_bad_parameter(project, toy, text):
    toy.write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(BadParameter, match=r"toy\.yaml"):
        plan_run(project, [toy])


def test_merged_keys_are_read_and_placed(project, toy):
    toy.write_text("01_first: &first {x: 3}\nshared:\n  <<: *first\n")
    assert plan_run(project, [toy]).resolved.values["01_first"] == {"x": 3}
    toy.write_text("01_first: &first\n  x: 3\nshared:\n  <<: *first\n  y: 3\n")
    with pytest.raises(KeyError, match=r"toy\.yaml:5: no key of shared is called 'y'"):
        plan_run(project, [toy])


def test_stages_are_named_in_one_way(project, toy):
    done = nbkit("run", toy, "--only", "01", "--from", "02")
    assert (done.exit_code, "use one or the other" in done.stderr) == (2, True)


def test_what_other_params_made_is_not_borrowed(project, toy):
    with pytest.raises(BadParameter, match=r"01_first\.x is now 3, not 2, as in good"):
        plan_run(project, [toy], ["01_first.x=3"], stages=Chosen("02"))
    assert (
        plan_run(project, [toy], ["02_second.retries=3"], stages=Chosen("02")).steps[0].source
        == project / "runs" / "good"
    )


def test_serving_makes_no_registry(project, toy):
    done = nbkit("serve", "toy@1")
    assert (done.exit_code, "there is no registry" in done.stderr) == (2, True)
    assert not (project / "registry").exists()


def test_brackets_with_words_in_a_meaning_are_no_range(project):
    path = make_notebook(project / "notebooks" / "01_a.ipynb", parameters="x: list = []  # the ends (low, high)")
    assert read_stage(path).parameters["x"].meaning == "the ends (low, high)"
    path = make_notebook(project / "notebooks" / "01_a.ipynb", parameters="x: float = .5  # a share (0, 1e0]")
    assert (read_stage(path).parameters["x"].high, read_stage(path).parameters["x"].closed) == (1.0, (False, True))


@pytest.mark.parametrize(
    "text", ["x" * 2_000_000, "a\rb\rc\n" * 3, "a\r\nb\r\r\n\rc", "10%\r20%\r30%", "\r\r\n", "é\r" * 9]
)
def test_a_long_line_is_tidied_at_once_and_as_nbclient_would(text):
    quick, slow = engine.nbclient.client._RGX_CARRIAGERETURN, re.compile(r".*\r(?=[^\n])")
    began = time.perf_counter()
    tidied = quick.sub("", text)
    assert time.perf_counter() - began < 5
    assert tidied == (text if "\r" not in text else slow.sub("", text))


def find_artifact(folder):
    return next(path for path in (folder / "artifacts").rglob("*.parquet"))


@pytest.mark.parametrize("damage", ["gone", "flipped", "notebook"])
def test_resume_runs_again_what_was_damaged(project, toy, damage):
    good = project / "runs" / "good"
    glue(good / "01_first.ipynb", y=pd.DataFrame({"a": [1, 2]}))
    assert [step.action for step in plan_resume(project).steps] == ["skip", "run"]
    artifact = find_artifact(good)
    if damage == "gone":
        artifact.unlink()
    elif damage == "flipped":
        artifact.write_bytes(artifact.read_bytes()[:-1] + b"X")
    else:
        (good / "01_first.ipynb").write_text('{"cells')
    step = plan_resume(project).steps[0]
    assert (step.action, "run" in step.why) == ("run", True)


@pytest.mark.parametrize("damage", ["gone", "flipped", "notebook"])
def test_what_was_damaged_is_not_taken_over(project, toy, damage):
    test_resume_runs_again_what_was_damaged(project, toy, damage)
    folder, record = execute_plan(plan_run(project, [toy], stages=Chosen("02"), name="next"))
    assert (record.status, record.exit) == ("failed", 1)
    assert record.stages[0].message.startswith("nothing can be taken over: ")
    assert read_record(folder).status == "failed"
    assert [step.action for step in plan_resume(project, "next").steps] == ["run", "run"]


def test_saving_again_puts_changed_bytes_right(tmp_path):
    store = Store(tmp_path)
    key = store.put(b"abc")
    store.path(key).write_bytes(b"abd")
    assert store.get(store.put(b"abc")) == b"abc"


@pytest.fixture
def fake(monkeypatch):
    """Executes no kernel: every stage passes."""

    def execute_stage(task, kernel, on_late):
        glue(task.target, y=1)
        return Ended().fill(task)

    monkeypatch.setattr(engine, "execute_stage", execute_stage)


@pytest.mark.parametrize(
    "trouble", [BrokenPipeError(32, "Broken pipe"), OSError(5, "Input/output error"), SystemExit(1)]
)
def test_a_run_that_nobody_watches_any_more_goes_on(project, toy, fake, monkeypatch, trouble):
    def tell(self, *words, **style):
        raise trouble

    monkeypatch.setattr(Console, "print", tell)
    assert nbkit("run", toy, "--name", "alone").exit_code == 0
    assert read_record(project / "runs" / "alone").status == "passed"


def test_a_pipe_that_closes_does_not_end_the_run(project, toy, fake, monkeypatch):
    """rich leaves the process on a broken pipe."""
    read, write = os.pipe()
    os.close(read)
    with open(write, "w") as pipe:  # noqa: PTH123 - a descriptor
        monkeypatch.setattr(sys, "stdout", pipe)
        monkeypatch.setattr(Console, "on_broken_pipe", lambda self: sys.exit(1))
        folder, code = carry_out(plan_run(project, [toy], name="head"))
        with contextlib.suppress(BrokenPipeError):
            pipe.close()
    assert (code, read_record(folder).status) == (0, "passed")


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal")
def test_nohup_is_respected(project, toy, fake, monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        plan = plan_run(project, [toy], name="nohup")
        seen = set()

        class Watching(Listener):
            def on_stage_end(self, stage, folder):
                seen.add(signal.getsignal(signal.SIGHUP))

        execute_plan(plan, Watching())
    finally:
        signal.signal(signal.SIGHUP, before)
    assert seen == {signal.SIG_IGN}


@pytest.mark.parametrize("port", [-1, 65536, 99999])
def test_a_port_that_is_none_is_refused(project, port):
    """99999 would wrap around to 34463."""
    assert nbkit("serve", "toy@1", "--port", port).exit_code == 2
