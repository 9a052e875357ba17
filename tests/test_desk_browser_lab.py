"""nbkit lab in a real browser: it stands at the cell that failed, on the run's inputs, and what is mended there passes."""

import json
import subprocess
import sys

import psutil
import pytest
from browser_helpers import open_lab, require_browser, run_all, take_picture
from conftest import make_notebook

pytestmark = pytest.mark.slow
WORK = "import nbkit\nrun = nbkit.Run(run_dir, globals())"
BROKEN = "half = answer / nothing"


def nbkit(folder, *words):
    done = subprocess.run([sys.executable, "-m", "nbkit", *words], cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project whose second stage fails far down its page."""
    require_browser()
    folder = tmp_path_factory.mktemp("desk")
    size = 'run_dir: str = "."  # folder of this run\nsize: int = 1  # a size'
    make_notebook(folder / "notebooks" / "01_a.ipynb", WORK, "run.save(answer=size * 2)", parameters=size)
    filler = [f"print('line {n}\\n' * 5)" for n in range(12)]
    load = "answer = run.load('01_a', 'answer')\nnothing = 0"
    make_notebook(folder / "notebooks" / "02_b.ipynb", WORK, load, *filler, BROKEN, "run.save(half=half)")
    (folder / "params").mkdir()
    (folder / "params" / "p.yaml").write_text("01_a: {size: 21}\n")
    return folder


def test_a_failed_stage_is_mended_where_it_failed(project):
    code, said = nbkit(project, "run", "params/p.yaml", "--name", "one")
    assert (code, "ZeroDivisionError" in said) == (1, True), said
    with open_lab(project, "--failed") as desk:
        assert [line for line in desk.said if "http" in line] == [f"JupyterLab: {desk.address}\n"]
        assert not [line for line in desk.said if "LabApp" in line or "ServerApp" in line]
        desk.page.wait_for_function("() => window.jupyterapp.shell.currentWidget.content.activeCellIndex > 2")
        desk.wait_until_seen()
        active = desk.active()
        assert (active["source"], active["place"], active["seen"]) == (BROKEN, 16, True)
        shown = desk.outputs()
        assert all(f"line {n}" in shown[4 + n] for n in range(12))
        assert shown[16] == "[]"
        assert all(desk.trusted())  # else its charts would not be shown
        take_picture(desk, "lab-failed-light")
        desk.write("nothing = 2\nprint('the kernel knows', answer)\n" + BROKEN)
        desk.call("notebook:run-cell")
        assert "the kernel knows 42" in desk.outputs()[16]
        desk.save()
        assert desk.errors == []
    code, said = nbkit(project, "resume", "one")
    assert code == 0, said


def test_a_stage_takes_the_inputs_of_the_run_that_is_named_in_a_warm_kernel(project):
    load = "answer = run.load('01_a', 'answer')\nprint(answer)"
    warm = "import psutil\nprint(*psutil.Process().parent().cmdline())"  # what it was forked from
    make_notebook(project / "notebooks" / "02_b.ipynb", warm, WORK, load)
    for name, size in (("old", 5), ("new", 6)):
        code, said = nbkit(project, "run", "params/p.yaml", "--name", name, "--set", f"01_a.size={size}")
        assert code == 0, said
    with open_lab(project, "02_b", "--run", "old", scheme="dark") as desk:
        assert run_all(desk) == []
        take_picture(desk, "lab-run-dark")
        shown = desk.outputs()
        assert "nbkit" in shown[2]
        assert "jupyterlab" not in shown[2]
        assert "old/01_a.ipynb" in shown[4]
        assert '"10\\n' in shown[4] or "\\n10\\n" in shown[4]
        assert desk.errors == []
    saved = json.loads((project / "notebooks" / "02_b.ipynb").read_text())
    assert [cell["execution_count"] for cell in saved["cells"][1:]] == [1, 2, 3, 4]
    spec = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    assert saved["metadata"]["kernelspec"] == spec  # so that git has nothing to show


def test_who_ends_it_ends_jupyterlab_too(project):
    command = [sys.executable, "-u", "-m", "nbkit", "lab", "--no-browser"]
    with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        while "Ctrl-C" not in process.stdout.readline():
            assert process.poll() is None
        (server,) = psutil.Process(process.pid).children()
        process.terminate()
        process.wait(60)
        assert not server.is_running()


WIDGETS = {  # name: the source of a cell that shows a widget, what is pressed, and what is then to be read
    "a button of ipywidgets": (
        "import ipywidgets\nsaid = ipywidgets.HTML('<p>not yet</p>')\n"
        "button = ipywidgets.Button(description='Do it')\n"
        "button.on_click(lambda _: setattr(said, 'value', '<p>it is done</p>'))\nipywidgets.VBox([button, said])",
        "Do it",
        "it is done",
    ),
    "a widget of nbkit that fails": (
        "import ipywidgets\nfrom nbkit.desk.face import Face, guard\n\n\nclass Trial(Face):\n"
        "    def html(self):\n        return '<p>its static twin</p>'\n\n"
        "    def build(self):\n        place = ipywidgets.HTML()\n"
        "        button = ipywidgets.Button(description='Divide')\n"
        "        button.on_click(guard(place, lambda _: 1 / 0))\n"
        "        return ipywidgets.VBox([button, place])\n\n\nTrial()",
        "Divide",
        "✕ ZeroDivisionError: division by zero",
    ),
}


def test_widgets_answer_when_they_are_pressed(project):
    sources = [source for source, _, _ in WIDGETS.values()]
    make_notebook(project / "notebooks" / "03_w.ipynb", *sources)
    with open_lab(project, "03_w") as desk:
        assert run_all(desk) == []
        for _, pressed, answer in WIDGETS.values():
            desk.page.get_by_role("button", name=pressed, exact=True).click()
            desk.page.locator(".jp-OutputArea").get_by_text(answer).first.wait_for(timeout=30_000)
        assert "its static twin" in desk.outputs()[3]
        assert desk.page.locator(".jp-OutputArea").get_by_text("its static twin").count() == 0
        take_picture(desk, "lab-widgets-light")
        assert desk.errors == []
