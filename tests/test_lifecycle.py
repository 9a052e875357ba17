"""The lifecycle as a whole: the flagship on few rows, once, and what many look at afterwards; and two other kinds of problem."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import papermill
import pytest
import scrapbook
from nbclient import NotebookClient

from nbkit import Run
from nbkit.record import read_record
from nbkit.registry import Registry
from nbkit.scraps import read_scraps, read_value
from nbkit.stages import read_stages
from tests.page_checks import check_page

pytestmark = pytest.mark.slow
HERE = Path(__file__).parents[1]
STAGES = list(read_stages(HERE / "notebooks"))
SMALL = "params/small.yaml"
# what two runs of the same inputs may differ in, because it is about time; nothing else
ABOUT_TIME = {("10_deploy", name) for name in ("latency", "required", "gates", "headline")}


def lay(folder: Path) -> Path:
    """Lay a project out as a user has it."""
    shutil.copytree(HERE / "params", folder / "params")
    (folder / "notebooks").mkdir()
    for stage in STAGES:
        shutil.copy2(HERE / "notebooks" / f"{stage}.ipynb", folder / "notebooks")
    return folder


def start(root, *words):
    return subprocess.Popen(
        [sys.executable, "-m", "nbkit", *words], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def nbkit(root, *words):
    process = start(root, *words)
    out, err = process.communicate()
    return SimpleNamespace(code=process.returncode, out=out, err=err)


def hand_over(folder, stages=STAGES):
    """Return all that a run hands over; large things are told by their sha256."""
    found = {stage: read_scraps(folder / f"{stage}.ipynb") for stage in stages if (folder / f"{stage}.ipynb").is_file()}
    return {(stage, name): data for stage, scraps in found.items() for name, data in scraps.items()}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return lay(tmp_path_factory.mktemp("flagship"))


@pytest.fixture(scope="module")
def both(root):
    """The flagship on few rows, twice at the same time; what comes after 09 is about time, so the twin ends there."""
    words = ["run", "params/flights.yaml", SMALL, "--name"]
    processes = {"one": start(root, *words, "one"), "two": start(root, *words, "two", "--until", "09")}
    ended = {name: process.communicate() for name, process in processes.items()}
    return {
        name: SimpleNamespace(folder=root / "runs" / name, code=processes[name].returncode, out=out, err=err)
        for name, (out, err) in ended.items()
    }


@pytest.fixture(scope="module")
def first(both):
    return both["one"]


@pytest.fixture(scope="module")
def second(both):
    return both["two"]


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """A regression and three classes, at work beside whatever asks for them first."""
    folder = lay(tmp_path_factory.mktemp("others"))
    names = ("diabetes", "wine")
    processes = {name: start(folder, "run", f"params/{name}.yaml", SMALL, "--name", name) for name in names}
    yield folder, processes
    for process in processes.values():
        if process.poll() is None:
            process.terminate()
            process.communicate()


def test_the_flagship_passes_and_every_stage_says_what_it_found(first):
    assert first.code == 0, first.out + first.err
    assert [(each.stage, each.status) for each in read_record(first.folder).stages] == [
        (stage, "passed") for stage in STAGES[:10]
    ]
    headlines = Run(first.folder).headlines()
    assert headlines["stage"].tolist() == STAGES[:10]
    for line in headlines["headline"]:
        assert re.search(r"\d", line), line
        assert line in first.out
        assert not re.search(r"\bnan\b|None|\{|\}", line), line
    assert first.err == ""


def test_its_report_can_be_read_by_anybody(first):
    pages = {path.stem: check_page(path.read_text()) for path in sorted((first.folder / "report").glob("*.html"))}
    assert list(pages) == [*STAGES[:10], "card", "glossary", "index", "lineage"]
    front = pages["index"].text
    assert re.search(r"✓ Approve|✕ Reject|■ Not decided", front)
    for headline in Run(first.folder).headlines()["headline"]:
        assert " ".join(headline.split()) in front
    assert sum(len(page.all("figure")) for page in pages.values()) >= 6
    for name, page in pages.items():
        assert "A picture without a description" not in page.text, name
        assert "Traceback" not in page.text, name
        assert not re.search(r"<\w+\.\w+.* object at 0x|\bdtype: ", page.text), name
        assert str(first.folder) not in page.text, name


def test_plain_scrapbook_reads_all_of_it(first):
    book = scrapbook.read_notebooks(str(first.folder))
    for stage in STAGES[:10]:
        assert {name: scrap.data for name, scrap in book[stage].scraps.items()} == read_scraps(
            first.folder / f"{stage}.ipynb"
        )
    assert {stage for stage, _ in hand_over(first.folder)} == set(STAGES[:10])


def test_everything_that_is_handed_over_can_be_loaded(first):
    for stage, name in hand_over(first.folder):
        assert read_value(first.folder, stage, name) is not None or name == "positive"


def test_the_model_is_registered_and_tried_out(first, root):
    version = Registry(root / "registry").get("flights")
    assert version.reference == read_value(first.folder, "09_register", "version")
    assert version.lineage["run"] in ("one", "two")
    assert set(version.gates["gate"]) > {"criteria_met", "beats_rule"}
    assert read_value(first.folder, "10_deploy", "agreement") is not None
    assert Registry(root / "registry").verify() == []


def test_only_open_gates_lead_to_production(first, root):
    version = Registry(root / "registry").get("flights@1")
    is_ready = version.state == "staging" and bool((version.gates["passed"] | ~version.gates["blocking"]).all())
    done = nbkit(root, "promote", "flights@1", "--by", "ann", "--why", "to see")
    assert done.code == (0 if is_ready else 3)
    assert ("is now production" in done.out) == is_ready
    assert ("nbkit: " in done.err) != is_ready


def test_two_windows_are_monitored(first, root):
    windows = nbkit(root, "monitor", "params/flights.yaml", SMALL, "--list").out.split()
    assert windows == [f"2013-{month:02}" for month in range(6, 13)]
    done = nbkit(
        root, "monitor", "params/flights.yaml", SMALL, "--window", windows[0], "--window", windows[-1], "--json"
    )
    rows = json.loads(done.out)
    assert [row["window"] for row in rows] == [windows[0], windows[-1]]
    assert done.code == (3 if "retrain" in [row["decision"] for row in rows] else 0), done.err
    for row in rows:
        folder = root / "runs" / row["run"]
        assert row["decision"] in ("ok", "look", "inconclusive", "retrain")
        assert read_value(folder, "11_monitor", "decision") == row["decision"]
        assert read_value(folder, "11_monitor", "version") == "flights@1"
        page = check_page((folder / "report" / "index.html").read_text())
        assert row["decision"].upper() in page.text


def test_two_runs_of_the_same_inputs_hand_over_the_same_bytes(first, second):
    assert second.code == 0, second.out + second.err
    before, after = hand_over(first.folder, STAGES[:9]), hand_over(second.folder)
    assert before.keys() == after.keys()
    assert [key for key in before if before[key] != after[key] and key not in ABOUT_TIME] == []
    kinds = {data["value"]["kind"] for data in after.values() if isinstance(data, dict) and data.get("$") == "artifact"}
    assert kinds >= {"table", "model", "figure"}


def test_an_equal_bundle_is_the_same_version(second, root):
    assert read_value(second.folder, "09_register", "version") == "flights@1"
    assert Registry(root / "registry").list("flights")["number"].tolist() == [1]


def test_compare_says_that_they_are_the_same(second, root):
    done = nbkit(root, "compare", "one", "two", "--json")
    rows = json.loads(done.out)
    assert done.code == 0
    assert [row for row in rows if row["where"].partition(".")[0] != "10_deploy"] == []


def test_one_stage_runs_under_plain_papermill(first, root, tmp_path):
    folder = tmp_path / "plain"
    shutil.copytree(first.folder, folder, ignore=shutil.ignore_patterns("report", "logs", "0[4-9]_*", "10_*"))
    given = {**read_record(first.folder).parameters["04_explore"], "run_dir": str(folder)}
    source = root / "notebooks" / "04_explore.ipynb"
    papermill.execute_notebook(str(source), str(folder / source.name), given, progress_bar=False)
    assert hand_over(folder, ["04_explore"]) == hand_over(first.folder, ["04_explore"])


@pytest.mark.usefixtures("others")
def test_run_all_at_the_desk_gives_the_same_headlines(first, root, tmp_path):
    """What JupyterLab does: each notebook in its own kernel, in the folder of the sources, saved afterwards."""
    desk = lay(tmp_path / "desk")
    shutil.copytree(first.folder, desk / "runs" / "one")
    shutil.copytree(root / "registry", desk / "registry")
    for stage in STAGES[:8]:
        path = desk / "notebooks" / f"{stage}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        client = NotebookClient(
            notebook, kernel_name="python3", timeout=300, resources={"metadata": {"path": str(path.parent)}}
        )
        client.execute(env={**os.environ, "JPY_SESSION_NAME": str(path)})
        nbformat.write(notebook, path)
    batch, here = hand_over(first.folder, STAGES[:8]), hand_over(desk / "notebooks", STAGES[:8])
    assert [key for key in batch if batch[key] != here.get(key)] == []


def test_a_regression_and_three_classes_go_the_same_way(others):
    root, processes = others
    for name, process in processes.items():
        out, err = process.communicate()
        assert process.returncode == 0, out + err
        assert [each.status for each in read_record(root / "runs" / name).stages] == ["passed"] * 10
        for path in (root / "runs" / name / "report").glob("*.html"):
            assert "STOPPED" not in check_page(path.read_text()).text
    assert sorted(Registry(root / "registry").list()["name"]) == ["diabetes", "wine"]
    processes = {name: start(root, "monitor", f"params/{name}.yaml", SMALL, "--all", "--json") for name in processes}
    for name, process in processes.items():
        out, err = process.communicate()
        assert process.returncode in (0, 3), out + err
        assert [row["window"] for row in json.loads(out)] == ["rows-1", "rows-2"]
        assert {row["decision"] for row in json.loads(out)} <= {"ok", "look", "inconclusive", "retrain"}, name
