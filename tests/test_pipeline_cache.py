"""Nothing is done twice: what is taken over, what runs again, and why, down to the cell."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from nbkit import observe
from nbkit.observe import digest_names, list_names
from nbkit.pipeline import cache, engine, execute_plan, plan_resume, plan_run
from nbkit.record import read_record
from nbkit.registry import Registry
from tests.conftest import glue, make_notebook
from tests.pipeline_helpers import Ended, Heard

RUN = "import nbkit\nimport shop\nrun = nbkit.Run(run_dir)"
PARAMETERS = 'run_dir: str = "."  # folder\nx: int = 1  # a number'
CELLS = {
    "01_first": ["run.save('y', x)", "run.save('table', x)"],
    "02_second": ["y = run.load('01_first', 'y')", "run.save('z', y % 2)"],
    "03_third": ["run.save('w', run.load('02_second', 'z') + 1)"],
    "04_aside": ["run.save('n', 0)"],
}


@pytest.fixture
def shop(project, monkeypatch):
    """A project of four stages: a chain of three and one that stands aside; no kernel is started."""
    for name, cells in CELLS.items():
        make_notebook(project / "notebooks" / f"{name}.ipynb", RUN, *cells, parameters=PARAMETERS)
    (project / "params" / "shop.yaml").write_text("shared: {x: 2}\n")
    (project / "shop.py").write_text("import pandas\nRATE = 1\n")
    (project / "data.csv").write_text("a\n1\n")
    (project / "months").mkdir()
    (project / "months" / "01.csv").write_text("a\n")
    engine_of(project, monkeypatch)
    return project


def engine_of(root, monkeypatch):
    """Stand in for the kernel: hand over what the cells would, and note what they would read."""

    def execute_stage(task, kernel, on_late):
        stage, target, parameters = task.source.stem, task.target, task.parameters
        found = read(target.parent, "01_first", "y") if stage == "02_second" else None
        values = {
            "01_first": lambda: {"y": parameters["x"], "table": pd.DataFrame({"x": [parameters["x"]]})},
            "02_second": lambda: {"z": found % 2},
            "03_third": lambda: {"w": read(target.parent, "02_second", "z") + 1},
            "04_aside": lambda: {"n": 0},
        }[stage]()
        glue(target, headline=f"{stage} ran.", **values)
        loads = {"02_second": [("01_first", "y")], "03_third": [("02_second", "z")]}.get(stage, [])
        notes = {
            "loads": {f"{a}.{b}": digest(target.parent, a, b) for a, b in loads},
            "files": [str(root / "data.csv")] if stage == "01_first" else [],
            "folders": {str(root / "months"): digest_names(list_names(str(root / "months")))}
            if stage == "01_first"
            else {},
            "modules": {"shop": str(root / "shop.py")} if stage in ("01_first", "04_aside") else {},
            "imports": [],
            "notebooks": [],
            "outside": ["sqlite+remote://db"] if parameters["x"] == 9 and stage == "04_aside" else [],
        }
        Path(kernel.environment[observe.VARIABLE]).write_text(json.dumps(notes))
        return Ended(seconds=1.0, headline=f"{stage} ran.").fill(task)

    monkeypatch.setattr(engine, "execute_stage", execute_stage)


def read(folder, stage, name):
    from nbkit.scraps import read_value

    return read_value(folder, stage, name)


def digest(folder, stage, name):
    from nbkit.scraps import digest_scraps, read_scraps

    return digest_scraps(read_scraps(folder / f"{stage}.ipynb"))[name]


def run(root, *settings, **options):
    """Run the project; return the stages that really ran, and the folder."""
    plan = plan_run(root, [root / "params" / "shop.yaml"], settings, **options)
    if plan.nothing_to_do:
        return [], plan.folder
    heard = Heard()
    folder, record = execute_plan(plan, heard)
    assert record.status == "passed", record
    return heard.started, folder


def explain(root, *settings):
    """Return stage to (action, why) of a dry run."""
    plan = plan_run(root, [root / "params" / "shop.yaml"], settings)
    return {step.stage.name: (step.action, step.why) for step in plan.steps}


def edit(root, stage, before, after):
    path = root / "notebooks" / f"{stage}.ipynb"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))


def test_a_second_run_finds_nothing_to_do(shop):
    ran, folder = run(shop)
    assert ran == list(CELLS)
    assert run(shop) == ([], folder)
    assert {action for action, _ in explain(shop).values()} == {"skip"}


@pytest.mark.parametrize(
    "change",
    [
        lambda root: edit(root, "02_second", "y % 2)", "y  %  2)  # the rest"),
        lambda root: edit(root, "02_second", "A question?", "Another question?"),
        lambda root: edit(root, "01_first", "# a number", "# a number that counts"),
        lambda root: (root / "shop.py").write_text("import pandas  # tables\n\nRATE = 1\n"),
        lambda root: os.utime(root / "data.csv", (1, 1)),
        lambda root: (root / "other.csv").write_text("b"),
        lambda root: (root / "months" / ".hidden").write_text("b"),
    ],
    ids=["comment", "markdown", "meaning", "module comment", "touched", "another file", "a hidden file"],
)
def test_what_changes_no_result_runs_nothing(shop, change):
    run(shop)
    change(shop)
    assert run(shop)[0] == []


@pytest.mark.parametrize(
    ("change", "first", "why"),
    [
        (lambda root: edit(root, "02_second", "y % 2", "y % 2 + 0"), "02_second", "cell 4 of 02_second changed"),
        (lambda root: (root / "shop.py").write_text("RATE = 2\n"), "01_first", "shop.py has changed"),
        (lambda root: (root / "data.csv").write_text("a\n2\n"), "01_first", "data.csv has changed"),
        (lambda root: (root / "data.csv").unlink(), "01_first", "data.csv is gone"),
        (lambda root: (root / "months" / "a.csv").write_text(""), "01_first", "months/ holds other files"),
        (lambda root: (root / "months" / "01.csv").unlink(), "01_first", "months/ holds other files"),
    ],
    ids=["cell", "module", "file", "file gone", "another file in a folder", "one file less"],
)
def test_what_changed_runs_again_and_says_why(shop, change, first, why):
    run(shop)
    change(shop)
    told = explain(shop)
    assert told[first] == ("run", why)
    assert told["03_third"] == ("skip?", "skipped if it gets the same from 02_second")
    assert first in run(shop)[0]


def test_what_gets_the_same_as_before_is_skipped(shop):
    """Early cut-off: 01 and 02 run again, 02 hands over the same, so 03 does not run."""
    run(shop)
    ran, folder = run(shop, "01_first.x=4")
    assert ran == ["01_first", "02_second"]
    assert read(folder, "03_third", "w") == 1
    assert run(shop, "01_first.x=3")[0] == ["01_first", "02_second", "03_third"]


def test_a_file_of_the_same_size_and_time_is_another_file(shop):
    run(shop)
    path = shop / "data.csv"
    before = path.stat()
    explain(shop)  # it is known now
    path.write_text("a\n2\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert explain(shop)["01_first"] == ("run", "data.csv has changed")


def test_a_stage_is_taken_from_any_earlier_run(shop):
    first = run(shop)[1]
    run(shop, "shared.x=3")
    assert run(shop) == ([], first)
    assert run(shop, "04_aside.x=3")[0] == []  # each half comes from another run


def test_a_run_that_took_over_everything_is_whole_without_the_others(shop):
    first = run(shop)[1]
    ran, second = run(shop, name="second")
    assert ran == []
    assert second.name == "second"
    shutil.rmtree(first)
    assert run(shop) == ([], second)
    assert read(second, "01_first", "table")["x"].tolist() == [2]


@pytest.mark.parametrize(
    ("settings", "why"), [(["shared.threads=1"], "threads 2 → 1"), (["04_aside.x=7"], "x is now 7, was 2")]
)
def test_parameters_and_threads_are_told_apart(shop, settings, why):
    run(shop, "shared.threads=2")
    told = explain(shop, *({"shared.threads=2", *settings} if "threads" not in settings[0] else settings))
    assert told["04_aside"] == ("run", why)


def test_another_version_of_a_package_runs_its_stages_again(shop, monkeypatch):
    run(shop)
    versions = {**cache.list_versions(), "numpy": "99"}
    monkeypatch.setattr(cache, "list_versions", lambda: versions)
    action, why = explain(shop)["01_first"]
    assert action == "run"
    assert why.startswith("numpy ")
    assert why.endswith(" → 99")
    assert explain(shop)["02_second"][0] == "skip?"


@pytest.mark.parametrize("what", ["changed", "gone", "notebook"])
def test_a_result_that_was_tampered_with_is_not_believed(shop, what):
    folder = run(shop)[1]
    artifact = next(path for path in (folder / "artifacts").rglob("*") if path.is_file())
    if what == "changed":
        artifact.write_bytes(artifact.read_bytes()[:-1] + b"!")
    elif what == "gone":
        artifact.unlink()
    else:
        notebook = folder / "01_first.ipynb"
        notebook.write_text(notebook.read_text().replace("glued", "edited"))
    action, why = explain(shop)["01_first"]
    assert action == "run"
    assert why.endswith("is gone" if what == "gone" else "was changed after it was saved")
    assert run(shop)[0] == ["01_first"]


def test_what_may_have_changed_unnoticed_runs_each_time(shop):
    run(shop, "04_aside.x=9")
    assert explain(shop, "04_aside.x=9")["04_aside"] == ("run", "it read sqlite+remote://db, which may have changed")
    assert run(shop, "04_aside.x=9")[0] == ["04_aside"]


def test_a_stage_with_effects_is_skipped_only_while_they_hold(shop):
    (shop / "effects.py").write_text(
        "def describe(parameters, scraps, root):\n    return (root / 'world.txt').read_text()\n"
    )
    (shop / "world.txt").write_text("as it was")
    path = shop / "notebooks" / "04_aside.ipynb"
    path.write_text(path.read_text().replace('"kernelspec"', '"nbkit": {"effects": "effects:describe"}, "kernelspec"'))
    run(shop)
    assert run(shop)[0] == []
    (shop / "world.txt").write_text("otherwise")
    why = "what it did outside of its run was as it was, and is now otherwise"
    assert explain(shop)["04_aside"] == ("run", why)
    assert run(shop)[0] == ["04_aside"]
    (shop / "world.txt").unlink()  # nobody can tell any more
    assert run(shop)[0] == ["04_aside"]
    assert run(shop)[0] == ["04_aside"]


def test_always_means_always(shop):
    path = shop / "notebooks" / "04_aside.ipynb"
    path.write_text(path.read_text().replace('"kernelspec"', '"nbkit": {"effects": "always"}, "kernelspec"'))
    run(shop)
    assert run(shop)[0] == ["04_aside"]


def test_force_runs_everything_and_no_cache_leaves_nothing(shop):
    assert run(shop, reuse="never")[0] == list(CELLS)
    assert not (shop / "runs" / ".traces").exists()
    assert run(shop)[0] == list(CELLS)
    assert run(shop, reuse="nothing")[0] == list(CELLS)
    assert run(shop)[0] == []


def test_garbage_among_the_traces_is_passed_over(shop):
    run(shop)
    for path in (shop / "runs" / ".traces").rglob("*.json"):
        path.write_text("{")
    assert run(shop)[0] == list(CELLS)


def test_where_no_trace_can_be_kept_no_stage_fails(shop):
    traces = shop / "runs" / ".traces"
    traces.parent.mkdir(exist_ok=True)
    traces.write_text("in the way, as a full disk would be")
    ran, folder = run(shop)
    assert ran == list(CELLS)
    assert not any(entry.traced for entry in read_record(folder).stages)
    traces.unlink()
    assert run(shop)[0] == list(CELLS)
    assert run(shop)[0] == []


def test_resume_keeps_what_holds_and_runs_the_rest(shop, monkeypatch):
    working = engine.execute_stage

    def fail(task, *rest):
        if task.source.stem == "03_third":
            make_notebook(task.target, "1 / 0")
            return Ended("failed", "error", "no", seconds=1.0).fill(task)
        return working(task, *rest)

    monkeypatch.setattr(engine, "execute_stage", fail)
    plan = plan_run(shop, [shop / "params" / "shop.yaml"])
    folder, record = execute_plan(plan)
    assert record.status == "failed"
    monkeypatch.setattr(engine, "execute_stage", working)
    steps = {step.stage.name: (step.action, step.why) for step in plan_resume(shop).steps}
    assert steps["01_first"] == ("skip", "passed before")
    assert steps["03_third"] == ("run", "failed before")
    (shop / "shop.py").write_text("RATE = 2\n")
    steps = {step.stage.name: step.action for step in plan_resume(shop).steps}
    assert steps == {"01_first": "run", "02_second": "skip?", "03_third": "run", "04_aside": "run"}
    heard = Heard()
    execute_plan(plan_resume(shop), heard)
    assert heard.started == ["01_first", "03_third", "04_aside"]
    assert run(shop) == ([], folder)


REAL = {
    "01_first": [
        "import json\nimport pandas as pd\nimport nbkit\nrun = nbkit.Run(run_dir)\nimport shop",
        "table = pd.read_csv(run.root / 'data.csv')\nfactor = json.load(open(run.root / 'factor.json'))",
        "run.save('table', table * factor * shop.RATE)",
    ],
    "02_second": [
        "import nbkit\nrun = nbkit.Run(run_dir)\ntable = run.load('01_first', 'table')",
        "run.save('n', len(table))",
    ],
    "03_third": ["import nbkit\nrun = nbkit.Run(run_dir)", "run.save('m', run.load('02_second', 'n') * 2)"],
}


@pytest.mark.slow
def test_real_kernels_note_what_they_read_and_a_second_run_loads_nothing_heavy(project):
    for name, cells in REAL.items():
        make_notebook(project / "notebooks" / f"{name}.ipynb", *cells)
    (project / "params" / "shop.yaml").write_text("")
    (project / "shop.py").write_text("import deeper\nRATE = deeper.RATE\n")
    (project / "deeper.py").write_text("RATE = 1\n")
    (project / "data.csv").write_text("a\n1\n2\n")
    (project / "factor.json").write_text("3")
    ran, folder = run(project)
    assert ran == list(REAL)
    trace = json.loads(next((project / "runs" / ".traces" / "01_first").glob("*.json")).read_bytes())
    assert set(trace["files"]) == {"data.csv", "factor.json"}
    assert {"shop.py", "deeper.py"} <= set(trace["modules"])
    assert {"pandas", "numpy"} <= set(trace["packages"])
    assert "scikit-learn" not in trace["packages"]
    trace = json.loads(next((project / "runs" / ".traces" / "02_second").glob("*.json")).read_bytes())
    assert set(trace["loads"]) == {"01_first.table"}
    assert trace["files"] == {}
    command = "import sys; from nbkit.cli import main; main(['run', 'params/shop.yaml'], standalone_mode=False)"
    told = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", command], capture_output=True, text=True, check=True
    )
    assert f"nothing has changed since {folder.name}" in told.stdout
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in told.stderr.splitlines()}
    assert loaded.isdisjoint({"papermill", "pandas", "numpy", "sklearn", "shap", "scrapbook", "sqlalchemy"})
    (project / "deeper.py").write_text("RATE = 2\n")
    assert run(project)[0] == ["01_first", "02_second"]  # two rows as before: early cut-off
    edit(project, "03_third", "A question?", "What does it come to?")
    assert run(project)[0] == []


REGISTERING = """
import pandas as pd
from sklearn.linear_model import LogisticRegression
import nbkit
run = nbkit.Run(run_dir)
models = nbkit.Registry(run.locate("registry"))
version = models.register("toy", {"model": LogisticRegression().fit(pd.DataFrame({"a": [0.0, 1.0]}), [0, 1])})
models.set_alias("toy", version.number, "candidate")
models.load_bundle(version)
run.save("version", version.reference)
"""


@pytest.mark.slow
def test_what_the_registry_keeps_is_the_business_of_effects(project):
    effects = {"effects": "nbkit.registry.standing:describe_candidate"}
    registry = 'run_dir: str = "."  # folder\nregistry: str = "registry"  # folder'
    register = project / "notebooks" / "09_register.ipynb"
    make_notebook(register, REGISTERING, parameters=registry, nbkit=effects)
    (project / "params" / "shop.yaml").write_text("")
    assert run(project)[0] == ["09_register"]
    assert run(project)[0] == []
    Registry(project / "registry").set_alias("toy", 1, "shadow")  # the log has another end: no concern of the stage
    assert run(project)[0] == []
    Registry(project / "registry").reject("toy@1", by="ann", why="unfair")
    assert explain(project)["09_register"][1].endswith("is now no candidate of toy")
    make_notebook(register, REGISTERING.replace("toy", "other"), parameters=registry)
    run(project)
    assert "registry/blobs/" in explain(project)["09_register"][1]  # nobody answers for what it read there


SEEN = {
    "scrapbook": (
        "import scrapbook as sb\nv = sb.read_notebook(run_dir + '/01_first.ipynb').scraps['v'].data",
        lambda project: None,
    ),
    "a file that the stage before writes": ("v = int((run.root / 'c.csv').read_text())", lambda project: None),
    "parquet": (
        "import pandas as pd\nv = int(pd.read_parquet(run.root / 't.parquet')['a'][0])",
        lambda project: pd.DataFrame({"a": [2]}).to_parquet(project / "t.parquet"),
    ),
    "duckdb": (
        "import duckdb\nv = duckdb.sql(f\"select a from '{run.root}/t.parquet'\").fetchall()[0][0]",
        lambda project: pd.DataFrame({"a": [2]}).to_parquet(project / "t.parquet"),
    ),
    "another cell's code": ("%run h.py", lambda project: (project / "notebooks" / "h.py").write_text("v = 2\n")),
    "a shell": ("v = int((!cat h.txt)[0])", lambda project: (project / "notebooks" / "h.txt").write_text("2\n")),
    "a new file in a folder that is listed": (
        "import pandas as pd\nv = len(pd.concat(map(pd.read_csv, sorted((run.root / 'months').glob('*.csv')))))",
        lambda project: (project / "months" / "02.csv").write_text("a\n1\n"),
    ),
    "a file below /tmp": (
        "v = int(open(run.root.parent / 'beside.txt').read())",
        lambda project: (project.parent / "beside.txt").write_text("2\n"),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", SEEN)
def test_whatever_reads_a_change_it_is_seen(project, how):
    code, change = SEEN[how]
    code = code.replace("v = int((!cat h.txt)[0])", "text = !cat h.txt\nv = int(text[0])")
    write = "run.save('v', x)\n(run.root / 'c.csv').write_text(str(x))"
    begin = "import nbkit\nrun = nbkit.Run(run_dir)"
    make_notebook(project / "notebooks" / "01_first.ipynb", begin, write, parameters=PARAMETERS)
    make_notebook(project / "notebooks" / "02_second.ipynb", begin, code, "run.save('v', v)")
    (project / "params" / "shop.yaml").write_text("01_first: {x: 1}\n")
    pd.DataFrame({"a": [1]}).to_parquet(project / "t.parquet")
    (project / "notebooks" / "h.py").write_text("v = 1\n")
    (project / "notebooks" / "h.txt").write_text("1\n")
    (project.parent / "beside.txt").write_text("1\n")
    (project / "months").mkdir()
    (project / "months" / "01.csv").write_text("a\n1\n")
    ran, folder = run(project)
    assert (ran, read(folder, "02_second", "v")) == (["01_first", "02_second"], 1)
    assert run(project)[0] == []
    change(project)
    ran, folder = run(project, "01_first.x=2")
    assert "02_second" in ran
    assert read(folder, "02_second", "v") == 2


@pytest.mark.slow
def test_what_is_edited_or_replaced_while_a_stage_runs_is_not_taken_for_what_it_read(project):
    begin = "import nbkit, os, pathlib\nrun = nbkit.Run(run_dir)"
    second = project / "notebooks" / "02_second.ipynb"
    make_notebook(second, begin, "run.save('v', 999)")
    (project / "edited.json").write_text(second.read_text())
    make_notebook(second, begin, "run.save('v', 1)")
    (project / "d").write_text("old")
    (project / "d2").write_text("new")
    swap = "os.rename(run.root / 'd2', run.root / 'd')"
    edit_next = "pathlib.Path('02_second.ipynb').write_text((run.root / 'edited.json').read_text())"
    make_notebook(
        project / "notebooks" / "01_first.ipynb",
        begin,
        "v = open(run.root / 'd').read()",
        swap,
        edit_next,
        "run.save('v', v)",
    )
    (project / "params" / "shop.yaml").write_text("")
    ran, folder = run(project)
    assert [read(folder, stage, "v") for stage in ran] == ["old", 999]
    entry = read_record(folder).stages[1]
    assert entry.traced is False
    make_notebook(second, begin, "run.save('v', 1)")
    (project / "d2").write_text("newer")
    ran, folder = run(project)
    assert ran == ["01_first", "02_second"]
    assert read(folder, "01_first", "v") == "new"


def test_a_tag_that_skips_a_cell_and_the_order_of_a_mapping_count(shop):
    run(shop)
    path = shop / "notebooks" / "04_aside.ipynb"
    notebook = json.loads(path.read_text())
    notebook["cells"][-1]["metadata"]["tags"] = ["skip-execution"]
    path.write_text(json.dumps(notebook))
    assert explain(shop)["04_aside"][0] == "run"
    first = cache.Trace("s", "", "3", 1, [], {"d": {"a": 1, "b": 2}})
    second = cache.Trace("s", "", "3", 1, [], {"d": {"b": 2, "a": 1}})
    assert first.key != second.key


BESIDE = {
    "01_first": ["open(f'{run_dir}/count.txt', 'w').write(str(x))", "run.save('y', 1)"],
    "02_second": ["y = run.load('01_first', 'y')", "run.save('z', int(open(f'{run_dir}/count.txt').read()))"],
    "03_third": ["text = !cat {run_dir}/*.txt", "run.save('w', int(text[0]))"],
    "04_more": ["with open(f'{run_dir}/count.txt', 'a') as file:\n    file.write('0')", "run.save('n', 0)"],
    "05_last": ["run.save('end', int(open(f'{run_dir}/count.txt').read()))"],
}


@pytest.mark.slow
def test_where_a_stage_writes_into_the_folder_of_its_run_nothing_is_taken_over(project):
    for name, cells in BESIDE.items():
        parameters = {"parameters": PARAMETERS} if name == "01_first" else {}
        begin = "import nbkit\nrun = nbkit.Run(run_dir)"
        make_notebook(project / "notebooks" / f"{name}.ipynb", begin, *cells, **parameters)
    (project / "params" / "shop.yaml").write_text("01_first: {x: 1}\n")
    ran, first = run(project)
    assert ran == list(BESIDE)
    assert read(first, "05_last", "end") == 10
    assert run(project)[0] == list(BESIDE)  # nobody sees who reads such files, so nothing is taken over
    ran, folder = run(project, "01_first.x=2")  # it hands over the same values, and another file
    assert ran == list(BESIDE)
    assert [read(folder, *each) for each in (("02_second", "z"), ("03_third", "w"), ("05_last", "end"))] == [2, 2, 20]
    edit(project, "02_second", "int(open", "-int(open")
    ran, folder = run(project)
    assert ran == list(BESIDE)
    assert (read(folder, "02_second", "z"), read(folder, "05_last", "end")) == (-1, 10)


@pytest.mark.slow
def test_a_stage_that_failed_after_it_had_changed_a_file_finds_it_as_it_was(project):
    begin = "import nbkit\nrun = nbkit.Run(run_dir)\nn = run.folder / 'n.txt'"
    multiply = "n.write_text(str(10 * int(n.read_text())))"
    make_notebook(project / "notebooks" / "01_first.ipynb", begin, "n.write_text('1')", "run.save('y', 1)")
    make_notebook(project / "notebooks" / "02_second.ipynb", begin, multiply, "1 / 0")
    make_notebook(project / "notebooks" / "03_third.ipynb", begin, "run.save('n', int(n.read_text()))")
    (project / "params" / "shop.yaml").write_text("")
    folder, record = execute_plan(plan_run(project, [project / "params" / "shop.yaml"]))
    assert record.status == "failed"
    make_notebook(project / "notebooks" / "02_second.ipynb", begin, multiply, "run.save('m', 1)")
    _, record = execute_plan(plan_resume(project))
    assert record.status == "passed"
    assert read(folder, "03_third", "n") == 10
