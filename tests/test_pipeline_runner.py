"""Every way for a run to die, with real kernels: what the record, the notebook and the exit code say, and resume."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import papermill
import psutil
import pytest
import scrapbook

from nbkit.errors import BadNotebook, BadParameter, RunInUse, UnfinishedStage, UnknownRun, UnknownStage
from nbkit.pipeline import Chosen, execute_plan, find_run, list_runs, plan_resume, plan_run
from nbkit.pipeline.cache import Cache
from nbkit.pipeline.runs import lock_run, take_over
from nbkit.record import read_record, write_record
from nbkit.run import Run
from nbkit.scraps import read_scraps, read_value
from tests.conftest import make_notebook
from tests.pipeline_helpers import Heard

IMPORTS = "import nbkit\nrun = nbkit.Run(run_dir)"
DEATHS = {
    "raises": ("print('so far so good')\n1 / 0", {}, "failed", "error", "ZeroDivisionError: division by zero", 1),
    "exits": ("import sys\nsys.exit(0)", {}, "failed", "exit", "before the notebook's end", 1),
    "killed": ("import os\nos.kill(os.getpid(), 9)", {}, "failed", "dead_kernel", "killed or crashed", 1),
    "segfault": ("import ctypes\nctypes.string_at(0)", {}, "failed", "dead_kernel", "killed or crashed", 1),
    "cell_timeout": ("import time\ntime.sleep(90)", {"cell_timeout": 6}, "failed", "cell_timeout", "of 6 s", 1),
    "stage_timeout": ("import time\ntime.sleep(90)", {"stage_timeout": 12}, "failed", "stage_timeout", "of 12 s", 1),
    "deaf": (
        "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\ntime.sleep(90)",
        {"cell_timeout": 6}, "failed", "cell_timeout", "of 6 s", 1,
    ),
    "memory": (
        "import time\nhoard = bytearray(700_000_000)\ntime.sleep(60)",
        {"memory_gb": 0.4}, "failed", "out_of_memory", "more than its memory_gb of 0.4", 1,
    ),
    "memory_error": ("raise MemoryError", {}, "failed", "out_of_memory", "ran out of memory", 1),
    "refused": ("raise nbkit.errors.GateClosed('not good enough')", {}, "refused", "refused", "not good enough", 3),
}  # fmt: skip


@pytest.fixture
def params(project):
    path = project / "params" / "toy.yaml"
    path.write_text("shared: {x: 2}\n")
    notebooks = project / "notebooks"
    number = 'run_dir: str = "."  # folder\nx: int = 1  # a number'
    make_notebook(
        notebooks / "01_first.ipynb",
        IMPORTS,
        "run.save('y', x + 1)\nrun.save('none', None)\nrun.save('pair', (2.0, float('nan')))\nrun.save('headline', 'One.')",
        parameters=number,
    )
    make_notebook(
        notebooks / "02_second.ipynb", IMPORTS, "y = run.load('01_first', 'y')", "run.save('z', y * 10)", "'the end'"
    )
    make_notebook(notebooks / "03_third.ipynb", IMPORTS, "run.save('w', run.load('02_second', 'z') + 1)")
    return path


def spoil(project, source):
    path = project / "notebooks" / "02_second.ipynb"
    good = path.read_text()
    make_notebook(path, IMPORTS, "run.save('z', 0)", source, "'the end'")
    return path, good


def kernels():
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has just ended
            if "ipykernel" in " ".join(process.cmdline()):
                found.append(process)
    return found


@pytest.mark.slow
def test_a_run_that_passes(project, params):
    heard = Heard()
    folder, record = execute_plan(plan_run(project, [params]), heard)
    assert (record.status, record.exit) == ("passed", 0)
    assert read_record(folder) == record
    assert [entry.status for entry in record.stages] == ["passed"] * 3
    assert record.stages[0].headline == "One."
    assert record.stages[0].peak_gb > 0
    assert read_value(folder, "03_third", "w") == 31
    assert read_value(folder, "01_first", "none") is None
    assert repr(read_value(folder, "01_first", "pair")) == "(2.0, nan)"
    assert heard.events == ["run_start", *["stage_start", "stage_end"] * 3, "run_end"]
    assert sorted(path.name for path in folder.iterdir() if path.suffix == ".ipynb") == [
        "01_first.ipynb", "02_second.ipynb", "03_third.ipynb"
    ]  # fmt: skip
    assert "outputs" in (project / "notebooks" / "01_first.ipynb").read_text()
    assert '"execution_count": 1' not in (project / "notebooks" / "01_first.ipynb").read_text()
    book = scrapbook.read_notebooks(str(folder))
    assert book["01_first"].scraps["y"].data == 3
    assert book["01_first"].scraps["headline"].data == "One."


@pytest.mark.slow
@pytest.mark.parametrize("end", ["", "\nimport os, signal\nos.kill(os.getpid(), signal.SIGKILL)"])
def test_no_process_outlives_its_stage(project, params, end):
    start = "import subprocess\nsleeper = subprocess.Popen(['sleep', '300'], start_new_session=True)\n"
    keep = f"open(r'{project / 'pid'}', 'w').write(str(sleeper.pid))"
    spoil(project, start + keep + end)
    _, record = execute_plan(plan_run(project, [params], stages=Chosen(last="02")))
    assert record.exit == (1 if end else 0)
    pid = int((project / "pid").read_text())
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.slow
def test_a_kernel_that_a_user_calls_python3_is_not_taken(project, params, monkeypatch):
    folder = project / "share" / "kernels" / "python3"
    folder.mkdir(parents=True)
    spec = {"argv": ["false"], "display_name": "mine", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(project / "share"))
    assert execute_plan(plan_run(project, [params], stages=Chosen(last="01")))[1].exit == 0


@pytest.mark.slow
@pytest.mark.parametrize("death", DEATHS)
def test_a_stage_that_dies_says_how_and_can_be_resumed(project, params, death, caplog):
    source, limits, status, kind, words, code = DEATHS[death]
    path, good = spoil(project, source)
    settings = [f"02_second.{key}={value}" for key, value in limits.items()]
    folder, record = execute_plan(plan_run(project, [params], settings))
    entry = record.stages[1]
    assert (record.status, record.exit) == (status, code)
    assert (entry.status, entry.kind, entry.cell) == (status, kind, 4)
    assert words in entry.message
    assert source.splitlines()[0] in entry.source
    assert [each.status for each in record.stages] == ["passed", status, "pending"]
    assert read_record(folder).exit == code

    executed = json.loads((folder / "02_second.ipynb").read_text())
    assert executed["metadata"]["nbkit"]["status"] == status
    cells = [cell for cell in executed["cells"] if cell["cell_type"] == "code"]
    assert [cell["metadata"]["papermill"]["status"] for cell in cells] == ["completed"] * 4 + ["failed", "pending"]
    assert any(output["output_type"] == "error" for output in cells[4]["outputs"])
    assert any("papermill-error-cell" in "".join(cell["source"]) for cell in executed["cells"]) or death == "exits"
    assert not list(folder.glob(".*.ipynb"))
    assert not kernels()
    assert "Kernel died" not in caplog.text
    with pytest.raises(UnfinishedStage, match=f"nbkit resume {folder.name}"):
        Run(folder).load("02_second", "z")

    path.write_text(good)
    before = (folder / "01_first.ipynb").stat().st_mtime_ns
    again, record = execute_plan(plan_resume(project))
    assert again == folder
    assert record.status == "passed"
    assert (folder / "01_first.ipynb").stat().st_mtime_ns == before
    assert read_value(folder, "03_third", "w") == 31


@pytest.mark.slow
def test_a_kernel_that_does_not_start_is_told(project, params, monkeypatch):
    monkeypatch.setenv("PYTHONSTARTUP", "")
    monkeypatch.setenv("IPYTHONDIR", "/proc/nowhere")
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", "/proc/nowhere")
    _, record = execute_plan(plan_run(project, [params]))
    assert (record.status, record.exit) == ("failed", 1)
    assert record.stages[0].kind in ("kernel_start", "system")
    assert record.stages[0].message


@pytest.mark.slow
def test_retries_are_tried(project, params):
    spoil(project, "import pathlib\nmark = pathlib.Path('mark')\nseen = mark.exists()\nmark.touch()\nassert seen")
    _, record = execute_plan(plan_run(project, [params], ["02_second.retries=2"]))
    assert record.status == "passed"
    assert record.stages[1].attempt == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("which", "kind", "code"), [(signal.SIGINT, "interrupted", 130), (signal.SIGTERM, "terminated", 143)]
)
def test_ctrl_c_and_sigterm_are_told_and_can_be_resumed(project, params, which, kind, code):
    path, good = spoil(project, "import time, pathlib\npathlib.Path('asleep').touch()\ntime.sleep(60)")
    runner = start_runner(project, params)
    wait_for(project / "notebooks" / "asleep")
    runner.send_signal(which)
    exit_code = runner.wait(30)
    folder = find_run(project)
    record = read_record(folder)
    assert exit_code == code, record.stages
    assert (record.status, record.exit) == ("interrupted", code)
    assert (record.stages[1].kind, record.stages[1].cell) == (kind, 4)
    assert json.loads((folder / "02_second.ipynb").read_text())["metadata"]["nbkit"]["kind"] == kind
    path.write_text(good)
    assert execute_plan(plan_resume(project))[1].status == "passed"


@pytest.mark.slow
def test_a_runner_that_is_killed_leaves_nothing_half_written(project, params):
    path, good = spoil(project, "import time, pathlib\npathlib.Path('asleep').touch()\ntime.sleep(60)")
    runner = start_runner(project, params)
    wait_for(project / "notebooks" / "asleep")
    runner.kill()
    runner.wait()
    folder = find_run(project)
    assert read_record(folder).status == "running"
    assert list_runs(project)[0]["status"] == "interrupted"
    assert not (folder / "02_second.ipynb").exists()
    path.write_text(good)
    assert execute_plan(plan_resume(project))[1].status == "passed"
    assert not list(folder.glob(".*.ipynb"))


@pytest.mark.slow
def test_two_runs_at_once_get_two_folders_and_compute_each_stage_once(project, params):
    meet = (
        "import pathlib, time\nuntil = time.monotonic() + 60\n"
        "while len(list(pathlib.Path('../runs').glob('*/run.json'))) < 2:\n"
        "    assert time.monotonic() < until\n    time.sleep(0.05)"
    )
    make_notebook(project / "notebooks" / "01_first.ipynb", IMPORTS, meet, "run.save('y', 3)")
    params.write_text("")
    runners = [start_runner(project, params) for _ in range(2)]
    assert [runner.wait(120) for runner in runners] == [0, 0]
    runs = list_runs(project)
    assert len({row["run"] for row in runs}) == 2
    assert {row["status"] for row in runs} == {"passed"}
    entries = [entry for row in runs for entry in read_record(project / "runs" / row["run"]).stages]
    assert sorted(entry.stage for entry in entries if not entry.borrowed) == [
        "01_first",
        "02_second",
        "03_third",
    ]
    assert not list((project / "runs" / ".traces").rglob("*.lock"))


@pytest.mark.slow
def test_a_stage_has_passed_by_the_record_before_another_run_can_find_its_trace(project, params, monkeypatch):
    seen, keep = [], Cache.keep

    def look(cache, trace):
        folder = project / "runs" / trace.run
        seen.append((trace.stage, read_record(folder).find(trace.stage).status))
        other = project / "runs" / f"other{len(seen)}"
        other.mkdir()
        assert take_over(folder, other, trace.stage).status == "passed"
        keep(cache, trace)

    monkeypatch.setattr(Cache, "keep", look)
    assert execute_plan(plan_run(project, [params]))[1].exit == 0
    make_notebook(project / "notebooks" / "03_third.ipynb", IMPORTS, "run.save('w', run.load('02_second', 'z') + 2)")
    assert execute_plan(plan_run(project, [params]))[1].exit == 0  # takes two stages over
    assert seen == [(stage, "passed") for stage in ("01_first", "02_second", "03_third")] * 2


@pytest.mark.slow
def test_what_is_still_running_elsewhere_is_not_taken_over(project, params):
    folder, record = execute_plan(plan_run(project, [params]))
    record.stages[0].status = "running"
    write_record(folder, record)
    with pytest.raises(BadNotebook, match="did not pass"):
        take_over(folder, project / "runs" / "other", "01_first")
    assert execute_plan(plan_run(project, [params]))[1].exit == 0


@pytest.mark.slow
def test_earlier_stages_are_borrowed(project, params):
    first, _ = execute_plan(plan_run(project, [params], stages=Chosen(last="02")))
    second, record = execute_plan(plan_run(project, [params], stages=Chosen("third")))
    assert [entry.borrowed for entry in record.stages] == [first.name, first.name, ""]
    assert read_value(second, "03_third", "w") == 31
    assert read_scraps(second / "01_first.ipynb") == read_scraps(first / "01_first.ipynb")


@pytest.mark.slow
def test_secrets_are_scrubbed(project, params, monkeypatch):
    monkeypatch.setenv("TOY_PASSWORD", 'pa"ss\\word')
    cell = 'run_dir: str = "."  # folder\nurl: str = ""  # where'
    make_notebook(
        project / "notebooks" / "02_second.ipynb", IMPORTS, "import os\nrun.save('z', 1)",
        "secret = os.environ['TOY_PASSWORD']\nprint(secret)\nraise ValueError(secret)", parameters=cell,
    )  # fmt: skip
    folder, record = execute_plan(plan_run(project, [params], ["02_second.url=sql://u:${TOY_PASSWORD}@h"]))
    text = "".join(path.read_text() for path in folder.rglob("*") if path.suffix in (".ipynb", ".json", ".log"))
    assert "***" in text
    assert "ss\\\\word" not in text
    assert "ss\\\\\\\\word" not in text
    assert record.stages[1].message == "ValueError: ***"


@pytest.mark.slow
def test_a_full_disk_is_told(project, params, monkeypatch):
    import nbformat

    def fail(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nbformat, "writes", fail)
    folder, record = execute_plan(plan_run(project, [params]))
    assert (record.status, record.exit) == ("failed", 1)
    assert "No space left on device" in record.stages[0].message
    monkeypatch.undo()
    os.chdir(project)
    assert execute_plan(plan_resume(project, folder.name))[1].status == "passed"


@pytest.mark.slow
def test_any_stage_runs_under_plain_papermill(project, params):
    out = project / "elsewhere"
    out.mkdir()
    source = project / "notebooks"
    for name, given in (("01_first", {"x": 4}), ("02_second", {})):
        papermill.execute_notebook(
            str(source / f"{name}.ipynb"),
            str(out / f"{name}.ipynb"),
            {**given, "run_dir": str(out)},
            progress_bar=False,
        )
    assert scrapbook.read_notebook(str(out / "02_second.ipynb")).scraps["z"].data == 50
    assert read_value(out, "02_second", "z") == 50


@pytest.mark.slow
def test_braces_and_blanks_in_the_path_do_no_harm(tmp_path, monkeypatch):
    place = tmp_path / "a {b} c"
    (place / "params").mkdir(parents=True)
    monkeypatch.chdir(place)
    (place / "params" / "toy.yaml").write_text("")
    make_notebook(place / "notebooks" / "01_first.ipynb", IMPORTS, "run.save('y', 1)")
    folder, record = execute_plan(plan_run(place, [place / "params" / "toy.yaml"]))
    assert record.status == "passed"
    assert read_value(folder, "01_first", "y") == 1


def test_a_run_in_use_is_refused(project, params):
    folder = project / "runs" / "toy-1"
    folder.mkdir(parents=True)
    with lock_run(folder):
        code = "import sys, pathlib; from nbkit.pipeline.runs import lock_run\nwith lock_run(pathlib.Path(sys.argv[1])): pass"
        done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True)
    assert "RunInUse" in done.stderr


def test_a_name_that_is_taken_is_refused(project, params):
    (project / "runs" / "mine").mkdir(parents=True)
    with pytest.raises(RunInUse, match="nbkit resume mine"):
        execute_plan(plan_run(project, [params], name="mine"))


def test_planning_refuses_what_cannot_work(project, params):
    with pytest.raises(UnknownStage, match="there are 01_first, 02_second, 03_third"):
        plan_run(project, [params], stages=Chosen("04"))
    with pytest.raises(UnknownStage, match="no stage lies between"):
        plan_run(project, [params], stages=Chosen("03", "01"))
    with pytest.raises(UnknownRun, match="no run of toy has passed 01_first"):
        plan_run(project, [params], stages=Chosen("02"))
    with pytest.raises(UnknownRun, match="`nbkit run PARAMS` makes one"):
        plan_resume(project)


def test_resume_refuses_other_parameters_for_what_has_passed(project, params):
    folder = project / "runs" / "toy-1"
    folder.mkdir(parents=True)
    (folder / "01_first.ipynb").write_text("{}")
    stages = [{"stage": "01_first", "status": "passed"}, {"stage": "02_second", "status": "failed"}]
    manifest = {"project": "toy", "files": ["params/toy.yaml"], "settings": [], "stages": stages,
                "parameters": {"01_first": {"x": 7}}, "started": "2026-01-01"}  # fmt: skip
    (folder / "run.json").write_text(json.dumps(manifest))
    with pytest.raises(BadParameter, match=r"01_first passed, and 01_first\.x is now 2, not 7"):
        plan_resume(project)


def test_resume_without_a_name_takes_the_latest_unfinished_run_of_the_lifecycle(project, params):
    """It took the monitor's run, and said that nothing is left to do."""
    make_notebook(project / "notebooks" / "11_monitor.ipynb", nbkit={"cadence": "window"})
    facts = {"project": "toy", "files": ["params/toy.yaml"], "settings": [], "parameters": {}}
    runs = [("old", "01_first", "failed"), ("broken", "02_second", "failed"), ("fine", "01_first", "passed"),
            ("watch", "11_monitor", "failed")]  # fmt: skip
    for day, (name, stage, status) in enumerate(runs, 1):
        folder = project / "runs" / name
        folder.mkdir(parents=True)
        stages = [{"stage": stage, "status": status}]
        manifest = {**facts, "stages": stages, "status": status, "started": f"2026-01-0{day}"}
        (folder / "run.json").write_text(json.dumps(manifest))
    assert plan_resume(project).name == "broken"


def start_runner(project: Path, params: Path) -> subprocess.Popen:
    code = (
        "import sys; from pathlib import Path; from nbkit.pipeline import Chosen, execute_plan, plan_run\n"
        f"sys.exit(execute_plan(plan_run(Path({str(project)!r}), [Path({str(params)!r})]))[1].exit)"
    )
    return subprocess.Popen([sys.executable, "-c", code], cwd=project)


def wait_for(path: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.05)
