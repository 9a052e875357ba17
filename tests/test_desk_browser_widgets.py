"""The widgets of nbkit.desk in a real browser, on real stages: what is moved, chosen and pressed, and what comes of it."""

import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from browser_helpers import Desk, find_violations, open_lab, require_browser, run_all, take_picture
from conftest import make_notebook
from ruamel.yaml import YAML

from nbkit.model.predictions import predict_values
from nbkit.record import read_record
from nbkit.registry import Registry
from nbkit.scraps import read_value

pytestmark = pytest.mark.slow
QUICK = {
    "01_frame": {"costs": {"false_positive": 25, "false_negative": 60}, "rule": ["plan"], "protected": ["region"]},
    "02_ingest": {"split": {"by": "time", "valid": 0.2, "test": 0.2, "production": 0.2, "windows": "month"}},
    "06_train": {"candidates": ["boosting"], "trials": 0, "curve": [0.5, 1.0]},
    "07_evaluate": {"draws": 100, "min_rows": 50},
    "08_explain": {"explained_rows": 100, "permuted_rows": 200, "repeats": 1, "budget_s": 2.0},
    "09_register": {"enforce": False},
    "10_deploy": {"compared_rows": 20, "requests": 20, "enforce": False},
}
WIDGETS = ".jp-OutputArea-output:has(.jupyter-widgets)"
WIDER = """() => [...document.querySelectorAll('.widget-html-content p')].filter(each =>
each.scrollWidth > each.closest('.widget-html').clientWidth).length"""  # sentences that do not fit
STATED = {"objective": "Fewer customers leave", "decision": "Call those who may", "owner": "Sales"}


def nbkit(folder, *words):
    done = subprocess.run([sys.executable, "-m", "nbkit", *words], cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def write_customers(path, n=3000):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "customer": np.arange(n),
            "day": (pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(n) * 365 // n, unit="D")).astype(str),
            "region": rng.choice(["north", "south", "east", "west"], n),
            "plan": rng.choice(["basic", "plus", "pro"], n, p=[0.5, 0.3, 0.2]),
            "calls": rng.poisson(3, n),
            "spend": rng.gamma(4, 20, n).round(2),
        }
    )
    logit = -1.4 + 0.5 * (table["calls"] - 3) - 0.02 * (table["spend"] - 80) + 0.9 * (table["plan"] == "basic")
    table.assign(churned=np.where(rng.random(n) < 1 / (1 + np.exp(-logit)), "yes", "no")).to_csv(path, index=False)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project as `nbkit new` lays it, after its first run and a look at two windows."""
    require_browser()
    folder = tmp_path_factory.mktemp("customers")
    write_customers(folder / "customers.csv")
    code, said = nbkit(folder, "new", "churn", "--data", "customers.csv", "--target", "churned")
    assert code == 0, said
    path, yaml = folder / "params" / "churn.yaml", YAML()
    params = yaml.load(path)
    for stage, values in QUICK.items():
        params.setdefault(stage, {}).update(values)
    yaml.dump(params, path)
    for words in (
        ("contract", "confirm", "params/churn.contract.yaml", "--by", "Ann"),
        ("run", "params/churn.yaml", "--name", "first"),
        ("monitor", "params/churn.yaml", "--window", "2024-11"),
        ("monitor", "params/churn.yaml", "--window", "2024-12"),
    ):
        code, said = nbkit(folder, *words)
        assert code == 0, said
    return folder


@pytest.fixture(scope="module")
def lab(project):
    with open_lab(project) as desk:
        yield desk


@pytest.fixture
def desk(lab):
    lab.errors.clear()
    yield lab
    assert lab.errors == []


def open_and_run(desk, notebook):
    desk.go(notebook)
    assert run_all(desk) == []


def look_at(desk, name, words):
    """Take a picture in light and one in dark, of the place where words stand; axe finds nothing wrong in either."""
    desk.page.get_by_text(words).last.scroll_into_view_if_needed()
    take_picture(desk, f"{name}-light")
    assert find_violations(desk.page, WIDGETS) == []
    for theme in ("Dark", "Light"):
        desk.call("apputils:change-theme", theme=f"JupyterLab {theme}")
        desk.page.locator(f"body[data-jp-theme-name='JupyterLab {theme}']").wait_for(state="attached")
        desk.page.locator("#jupyterlab-splash").wait_for(state="detached")
        if theme == "Dark":
            take_picture(desk, f"{name}-dark")
            assert find_violations(desk.page, WIDGETS) == []


def read_params(project):
    return YAML(typ="safe").load(project / "params" / "churn.yaml")


def test_the_threshold_moves_the_money_and_goes_into_the_params_file_and_a_cohort_becomes_a_slice(desk, project):
    open_and_run(desk, "notebooks/07_evaluate.ipynb")
    before = desk.read(re.compile(r"^From 0\.\d+ on: (saves|costs)"))
    slider = desk.field("Act from")
    assert slider.get_attribute("aria-label") == "Act from"
    slider.focus()
    desk.page.keyboard.press("Home")
    desk.read(re.compile(r"^From 0 on: (saves|costs)"))
    desk.page.keyboard.press("PageUp")
    after = desk.read(re.compile(r"^From 0.005 on: (saves|costs)"))
    named = desk.page.locator(".jp-RenderedSVG img").evaluate_all("images => images.map(each => each.alt)")
    assert any("of the decisions are right" in each for each in named)
    assert all(named)
    cells = len(desk.outputs())
    desk.page.keyboard.press("a")  # which adds a cell where JupyterLab gets it
    assert before != after
    assert len(desk.outputs()) == cells
    assert "north" in after
    look_at(desk, "threshold", "From 0.005 on")
    desk.page.get_by_role("button", name="Use this").first.click()
    assert "threshold: 0.005" in desk.read("This would change churn.yaml")
    assert "threshold" not in read_params(project)["07_evaluate"]
    desk.page.get_by_role("button", name="Change the file").first.click()
    desk.read("churn.yaml is changed. `nbkit run params/churn.yaml` applies it")
    assert read_params(project)["07_evaluate"]["threshold"] == 0.005

    for name, value in (("Column 1", "plan"), ("value", "basic")):
        field = desk.page.locator(".widget-hbox", has=desk.page.get_by_text("Column 1")).get_by_label(name)
        field.fill(value)
        field.press("Enter")
        # the values of the column are offered by then; before, they would put back what is being typed
        desk.page.locator('datalist option[value="basic"]').first.wait_for(state="attached")
    cohort = desk.read(re.compile(r"plan .*basic.*: [\d,]+ rows of [\d,]+"))
    assert re.search(r"ROC AUC\s+0\.\d+ \(0\.\d+ to 0\.\d+\)\s+0\.\d+ \(0\.\d+ to 0\.\d+\)", cohort)
    desk.field("Save as").fill("basic plan")
    desk.field("Save as").press("Enter")
    desk.press("Use this")
    desk.press("Change the file")
    look_at(desk, "cohort", "Column 1")
    desk.read("does not concern is taken over")
    assert read_params(project)["07_evaluate"]["cohorts"] == {
        "basic plan": [{"column": "plan", "op": "==", "value": "basic"}]
    }


def test_what_if_shows_what_the_registered_pipeline_predicts(desk, project):
    open_and_run(desk, "notebooks/08_explain.ipynb")
    first = project / "runs" / "first"
    test, problem = read_value(first, "02_ingest", "test"), read_value(first, "01_frame", "problem")
    model = Registry(project / "registry").load("churn@1")
    row = problem.features(test).iloc[[0]]
    desk.read(f"probability that churned is yes: {predict_values(model, row, problem).iloc[0]:.4g}, so")
    slider = desk.field("calls")
    slider.focus()
    desk.page.keyboard.press("ArrowRight")
    moved = row.assign(calls=row["calls"] + 1)
    desk.read(f"probability that churned is yes: {predict_values(model, moved, problem).iloc[0]:.4g}, so")
    desk.field("plan").select_option("pro")
    moved = moved.assign(plan=pd.Series(["pro"], index=row.index, dtype=row["plan"].dtype))
    desk.read(f"probability that churned is yes: {predict_values(model, moved, problem).iloc[0]:.4g}, so")
    desk.read(re.compile(r"What moved it most:[\s\S]*pro[\s\S]*Unusual"))
    look_at(desk, "what-if", "What moved it most")


def test_another_window_and_column_change_the_histogram(desk):
    open_and_run(desk, "notebooks/11_monitor.ipynb")
    windows = desk.field("Window").locator("option").all_inner_texts()
    assert len(windows) == 2
    drawn = set()
    for window in windows:
        desk.field("Window").select_option(window)
        desk.read(re.compile(rf"in {window}: psi"))
        for column in ("calls", "spend"):
            desk.field("Column").select_option(column)
            assert "No histogram" not in desk.read(re.compile(rf"{column} in {window}: psi"))
            figure = desk.page.locator(f"figure[aria-label*='{column}: reference and {window}']")
            figure.wait_for()
            drawn.add(figure.locator("svg").inner_html())
    assert len(drawn) == 4
    desk.page.set_viewport_size({"width": 900, "height": 900})
    assert desk.page.evaluate(WIDER) == 0
    desk.page.set_viewport_size({"width": 1400, "height": 900})
    look_at(desk, "drift", "Window")


def test_a_version_is_refused_then_what_is_missing_is_stated_in_the_launcher_and_it_is_promoted(desk, project):
    code, said = nbkit(project, "promote", "churn@1", "production", "--by", "Ann", "--why", "better")
    assert code == 3
    open_and_run(desk, "notebooks/00_desk.ipynb")
    desk.field("your name").fill("Ann")
    desk.field("reason").fill("better")
    desk.press("Promote")
    desk.press("Yes, promote churn@1")
    refused = desk.read("may not go to production")
    assert refused == f"✕ {said.strip().removeprefix('nbkit: ')}"

    desk.field("name of the run").fill("second")
    for key, value in STATED.items():
        desk.field(key).fill(value)
        desk.field(key).press("Enter")
    desk.read(re.compile(r"01_frame\.owner: .*Sales"))
    desk.press("Run")
    desk.read(re.compile(r"second: \d\d_\w+, cell \d+ of \d+"))
    look_at(desk, "launcher", "name of the run")
    desk.read("second passed: ")
    stages = desk.read("10_deploy passed")
    assert re.search(r"✓ 06_train passed taken from first[\s\S]*✓ 09_register passed \d", stages)
    assert read_record(project / "runs" / "second").status == "passed"
    with desk.page.expect_popup() as opened:
        desk.page.get_by_role("link", name="Open the report of second").click()
    opened.value.get_by_text(STATED["objective"]).first.wait_for(state="attached")
    opened.value.close()

    desk.press("Look again")
    desk.read(re.compile(r"^\d versions? in "))
    newest = desk.field("version").locator("option").first.inner_text().partition(",")[0]
    desk.field("version").select_option(index=0)
    desk.press("Promote")
    desk.read(f"Promote {newest}, by Ann: better? Nothing is done until you say yes.")
    assert Registry(project / "registry").get(newest).state == "staging"
    desk.press(f"Yes, promote {newest}")
    desk.read(f"{newest} is now production")
    assert Registry(project / "registry").get("churn@production").reference == newest
    chosen = (
        desk.field("version").locator("option:checked").inner_text().replace("\xa0", " ")
    )  # as ipywidgets writes it
    assert chosen == f"{newest}, production, approved by Ann"
    look_at(desk, "registry", "your name")


def test_two_runs_are_compared(desk, project):
    source = f"import nbkit.desk\n\nnbkit.desk.RunComparison({str(project)!r}, 'first', 'second')"
    make_notebook(project / "compare.ipynb", source)
    open_and_run(desk, "compare.ipynb")
    assert re.search(r"01_frame\.objective[\s\S]*Fewer customers leave", desk.read("What may have caused it"))
    desk.field("Before").select_option("second")
    desk.read("Nothing differs.")
    look_at(desk, "comparison", "Nothing differs.")


def test_a_widget_whose_kernel_is_gone_shows_what_was_saved(desk, project):
    make_notebook(project / "later.ipynb", f"import nbkit.desk\n\nnbkit.desk.Launcher({str(project)!r})")
    open_and_run(desk, "later.ipynb")
    desk.field("params file").wait_for()
    desk.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    desk.go("later.ipynb")
    output = desk.page.locator(".jp-OutputArea-output", has_text="As it was when this notebook was saved").first
    output.get_by_text("nbkit run params/churn.yaml").wait_for(timeout=30_000)
    take_picture(desk, "gone-light")
    assert all("widget model not found" in each for each in desk.errors), desk.errors  # as ipywidgets notes it
    desk.errors.clear()
    desk.call("notebook:run-all-cells")
    desk.field("params file").wait_for(timeout=60_000)


def test_a_kernel_that_dies_leaves_the_run_alone_and_the_next_form_finds_it(desk, project):
    open_and_run(desk, "notebooks/00_desk.ipynb")
    section = desk.field("parameters")
    section.select_option(next(each for each in section.locator("option").all_inner_texts() if "10_deploy" in each))
    desk.field("requests").fill("100000")  # so that it is at work until it is cancelled
    desk.field("requests").press("Enter")
    desk.field("name of the run").fill("long")
    desk.read("10_deploy.requests: 20 → 100000")
    desk.press("Run")
    desk.read(re.compile(r"^long: \d\d_\w+, cell"))
    desk.kill_kernel()
    assert run_all(desk) == []
    desk.read(re.compile(r"^long: \d\d_\w+, cell"))
    assert read_record(project / "runs" / "long").status == "running"
    desk.press("Cancel")
    desk.read("long was interrupted")
    desk.read("`nbkit resume long` goes on")
    assert read_record(project / "runs" / "long").status == "interrupted"


def test_two_browsers_with_a_kernel_each_decide_once(desk, project):
    page = desk.page.context.browser.new_page(viewport={"width": 1400, "height": 900})
    windows = {"Ann": desk, "Bob": Desk(page, desk.lab, desk.address, desk.said)}
    for name, window in windows.items():
        make_notebook(project / f"{name}.ipynb", f"import nbkit.desk\n\nnbkit.desk.Browser({str(project)!r})")
        open_and_run(window, f"{name}.ipynb")
        versions = window.field("version").locator("option").all_inner_texts()
        window.field("version").select_option(next(each for each in versions if each.startswith("churn@1,")))
        window.field("your name").fill(name)
        window.field("reason").fill(f"{name} says so")
    windows["Bob"].press("Promote")
    windows["Bob"].read("Promote churn@1, by Bob: Bob says so? Nothing is done until you say yes.")
    windows["Ann"].press("Reject")
    windows["Ann"].press("Yes, reject churn@1")
    windows["Ann"].read("churn@1 is rejected")
    windows["Bob"].press("Yes, promote churn@1")
    assert re.search("churn@1 .*reject", windows["Bob"].read("✕ churn@1"))
    assert windows["Bob"].errors == []
    events = Registry(project / "registry").history("churn").query("number == 1 and by in ['Ann', 'Bob']")
    assert events[["event", "by", "why"]].values.tolist() == [["reject", "Ann", "Ann says so"]]
    page.close()


TWINS = {  # page to what the static twins of the widgets on it say
    "first/report/07_evaluate.html": [r"From [\d.]+ on: (saves|costs) .* against ", "No condition is set|rows of"],
    "first/report/08_explain.html": ["Row 0: probability that churned is yes", "What moved it most"],
    "11": [r"churn: 2024-1[12] \w+"],
    "index.html": ["Registry: ", "What can be run", "What may have caused it", "nbkit run params/churn.yaml"],
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_static_twin_stands_on_a_page_on_which_axe_finds_nothing(desk, project, scheme):
    code, said = nbkit(project, "site")
    assert code == 0, said
    page = desk.page.context.browser.new_page(color_scheme=scheme)
    looked = next(project.glob("runs/*monitor*/report/11_monitor.html"))
    for name, twins in TWINS.items():
        page.goto((looked if name == "11" else project / "runs" / name).as_uri())
        shown = page.locator("main").inner_text()
        for words in twins:
            assert re.search(words, shown), (name, words)
        assert find_violations(page) == []
    page.close()
